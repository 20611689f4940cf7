//! The service manager is told the truth, and its sockets are taken over.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use openclaw_shared::control::{ChildName, ChildState};
use openclaw_tests::client::Client;
use openclaw_tests::eventually::{eventually, soon};
use openclaw_tests::faults::{Stub, misbehave};
use openclaw_tests::home::Home;
use openclaw_tests::process::{self, Signal};
use serde_json::json;
use tokio::net::UnixDatagram;

/// The service manager's end.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(home: &Home) -> Self {
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { socket, path }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// The next message, as `NAME=value` lines.
    async fn told(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let count = soon(
            "the service manager is told something",
            self.socket.recv(&mut bytes),
        );
        let count = count.await.unwrap();
        String::from_utf8_lossy(&bytes[..count])
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// The next message that is no watchdog's.
    async fn told_state(&self) -> Vec<String> {
        loop {
            let told = self.told().await;
            if told != ["WATCHDOG=1"] {
                return told;
            }
        }
    }

    fn was_told_nothing(&self) -> bool {
        self.socket.try_recv(&mut [0; 4096]).is_err()
    }
}

fn value<'a>(told: &'a [String], name: &str) -> &'a str {
    let line = told
        .iter()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {name} in {told:?}"))
}

#[tokio::test]
async fn the_service_manager_hears_of_every_state_in_order() {
    let home = Home::new();
    let manager = Manager::new(&home);
    let mut instance = home
        .launch()
        .variable("NOTIFY_SOCKET", manager.path())
        .start();
    let ready = manager.told_state().await;
    assert_eq!(value(&ready, "READY"), "1");
    let status = value(&ready, "STATUS");
    assert!(
        status.contains(&format!("127.0.0.1:{}", home.port())),
        "{status}"
    );
    // Ready means served: nothing is waited for after it.
    Client::connect(&instance.target()).await;

    instance.restart(None).await.unwrap();
    check_reload(&manager).await;
    home.configure(&json!({ "env": { "vars": { "A": "1" } } }));
    check_reload(&manager).await;

    instance.signal(Signal::SIGTERM);
    let stopping = manager.told_state().await;
    assert_eq!(value(&stopping, "STOPPING"), "1");
    // The drain may take longer than a unit allows for.
    let budget: u64 = value(&stopping, "EXTEND_TIMEOUT_USEC").parse().unwrap();
    assert!(budget > 10_000_000, "{stopping:?}");
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    assert!(manager.was_told_nothing());
}

async fn check_reload(manager: &Manager) {
    let reloading = manager.told_state().await;
    assert_eq!(value(&reloading, "RELOADING"), "1");
    // Without it systemd takes the message for one of an older protocol and waits for ever.
    assert!(value(&reloading, "MONOTONIC_USEC").parse::<u64>().unwrap() > 0);
    // The same news may be told more than once, but nothing else comes before the end.
    loop {
        let told = manager.told_state().await;
        if told.iter().any(|line| line == "READY=1") {
            return;
        }
        assert_eq!(value(&told, "RELOADING"), "1", "{told:?}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_ready_is_not_called_so() {
    let home = Home::new().with_own_programs();
    misbehave(&home, ChildName::Gateway, Stub::NeverReady);
    let manager = Manager::new(&home);
    let instance = home
        .launch()
        .variable("NOTIFY_SOCKET", manager.path())
        .start();
    instance
        .until_child(ChildName::CanvasHost, ChildState::Active)
        .await;
    instance
        .until_child(ChildName::Gateway, ChildState::Starting)
        .await;
    assert!(manager.was_told_nothing(), "it was called ready");
}

#[tokio::test]
async fn the_watchdog_is_fed_as_often_as_it_asks() {
    let home = Home::new();
    let manager = Manager::new(&home);
    let instance = home
        .launch()
        .variable("NOTIFY_SOCKET", manager.path())
        .variable("WATCHDOG_USEC", "200000")
        .ready()
        .await;
    for _ in 0..3 {
        eventually("the watchdog is fed", async || {
            let told = manager.told().await;
            if told == ["WATCHDOG=1"] {
                Ok(())
            } else {
                Err(format!("{told:?}"))
            }
        })
        .await;
    }
    // The children must not speak in the supervisor's name.
    for child in ChildName::ALL {
        let variables = process::environment(instance.pid_of(child).await);
        for name in [
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "WATCHDOG_PID",
            "LISTEN_FDS",
            "LISTEN_PID",
        ] {
            assert!(!variables.contains_key(name), "{child} has {name}");
        }
    }
}

#[tokio::test]
async fn sockets_of_the_service_manager_are_taken_over_and_outlive_the_instance() {
    let home = Home::new();
    let sockets: Vec<TcpListener> = [home.port(), home.canvas_port(), home.browser_port()]
        .into_iter()
        .map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap())
        .collect();
    let handed = || {
        let copies = sockets
            .iter()
            .map(|socket| OwnedFd::from(socket.try_clone().unwrap()));
        copies.collect::<Vec<_>>()
    };
    // Whoever comes before the instance does waits for it.
    let early = tokio::spawn({
        let target = openclaw_tests::client::Target {
            port: home.port(),
            token: openclaw_tests::home::TOKEN.to_owned(),
        };
        async move { Client::connect(&target).await }
    });
    let mut instance = home.launch().sockets(handed()).ready().await;
    drop(soon("the early client is served", early).await.unwrap());
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code().await, 0);
    assert!(instance.processes().is_empty());

    let late = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, home.port()));
    assert!(late.is_ok(), "the socket was never closed: {late:?}");
    let second = home.launch().sockets(handed()).ready().await;
    second.client().await;
}

#[tokio::test]
async fn a_socket_of_the_service_manager_that_nobody_serves_is_told() {
    let home = Home::new();
    let stray = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = stray.local_addr().unwrap().to_string();
    let sockets = vec![OwnedFd::from(stray)];
    let _instance = home.launch().sockets(sockets).ready().await;
    let told = home
        .log()
        .said("the service manager listens on an address that is not configured any more; install the service again with --socket --force")
        .await;
    assert_eq!(told["1"]["address"], address, "{told}");
}
