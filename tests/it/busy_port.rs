//! A busy port is found in one place, before anything starts, with one clear error that names its owner.

use std::net::{Ipv4Addr, TcpListener};

use openclaw_tests::home::Home;
use openclaw_tests::process::{self, Signal};
use serde_json::json;

#[tokio::test]
async fn rule_116_a_busy_port_is_named_with_its_owner_before_anything_starts() {
    let home = Home::new();
    for (port, service) in [
        (home.port(), "gateway"),
        (home.browser_port(), "browser control"),
        (home.canvas_port(), "canvas host"),
    ] {
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let said = home.run(&["gateway"]).await;
        assert_eq!(said.code, 75, "{said:?}");
        assert!(
            said.err.contains(&format!("Port {port} is already in use")),
            "{said:?}"
        );
        assert!(said.err.contains(service), "{said:?}");
        assert!(
            said.err.contains(&format!("pid {}", std::process::id())),
            "{said:?}"
        );
        assert!(
            !home.log().text().contains("child started"),
            "nothing was started"
        );
        drop(stranger);
    }
    // Nothing of the failed starts is in the way of one on free ports.
    home.launch().ready().await;
}

#[tokio::test]
async fn rule_116_a_port_that_was_just_released_is_no_obstacle() {
    let home = Home::new();
    for _ in 0..3 {
        let mut instance = home.launch().ready().await;
        // A connection that is closed by the gateway first leaves its port in TIME_WAIT.
        let mut client = instance.client().await;
        instance.signal(Signal::SIGTERM);
        client.rest().await;
        assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    }
}

#[tokio::test]
async fn force_ends_an_instance_that_has_our_ports() {
    let first_home = Home::new();
    let mut first = first_home.launch().ready().await;
    // Another instance, with a state of its own, on the same ports.
    let home = first_home.profile("second");
    home.configure(&json!({ "gateway": { "port": first_home.port() } }));
    assert_eq!(home.run(&["gateway"]).await.code, 75);
    let mut second = home.launch().arguments(&["--force"]).ready().await;
    assert_eq!(
        first.exit_code().await,
        0,
        "it was asked to leave, and drained"
    );
    let ended = home.log().with_text("force: ended the owner of a port");
    assert!(
        ended.iter().any(|record| record["1"]["pid"] == first.pid()),
        "{ended:?}"
    );
    second.ready().await;
}

#[tokio::test]
async fn force_asks_again_before_it_ends_a_stranger() {
    let home = Home::new();
    let mut stranger = Stranger::listening_on(home.port()).await;
    let said = home.run(&["gateway", "--force"]).await;
    assert_eq!(said.code, 75, "{said:?}");
    assert!(said.err.contains("--force-any"), "{said:?}");
    assert!(
        said.err.contains(&format!("pid {}", stranger.pid())),
        "{said:?}"
    );
    assert!(stranger.is_alive());
    home.launch().arguments(&["--force-any"]).ready().await;
    assert!(!stranger.is_alive());
}

/// A program that is not ours, and listens.
struct Stranger(std::process::Child);

impl Stranger {
    /// A program that holds a socket without knowing it.
    async fn listening_on(port: u16) -> Self {
        use std::os::fd::OwnedFd;
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let child = std::process::Command::new("sleep")
            .arg("600")
            .stdin(OwnedFd::from(socket))
            .spawn()
            .unwrap();
        let stranger = Self(child);
        openclaw_tests::eventually::eventually("the stranger runs", async || {
            let found = process::find(stranger.pid()).ok_or("it is gone")?;
            if found.name == "sleep" {
                Ok(())
            } else {
                Err("it is not there yet")
            }
        })
        .await;
        stranger
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn two_services_on_one_port_are_refused_before_anything_starts() {
    let home = Home::empty();
    home.configure(&json!({ "canvasHost": { "port": home.port() } }));
    let said = home.run(&["gateway"]).await;
    assert_eq!(said.code, 78, "{said:?}");
    assert!(said.err.contains("same port"), "{said:?}");
}
