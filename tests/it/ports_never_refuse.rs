//! Law 1: the supervisor owns the ports. While a child is down or being replaced, connections wait; they are never refused.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, TcpStream};

use openclaw_shared::control::{ChildName, ChildState, InstanceStatus};
use openclaw_tests::client::Client;
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::{Stub, has_become, kill, misbehave};
use openclaw_tests::home::Home;
use openclaw_tests::http;
use openclaw_tests::instance::pid;
use openclaw_tests::load::Load;
use serde_json::json;

#[tokio::test]
async fn a_killed_gateway_refuses_nobody_and_loses_nothing_it_was_not_killed_with() {
    let instance = Home::new().launch().ready().await;
    let load = Load::start(20, &instance.target()).await;
    for _ in 0..3 {
        let before = (load.served(), instance.child(ChildName::Gateway).await);
        kill(pid(&before.1).unwrap()).await;
        load.served_anew(&before.0).await;
        instance
            .until_later_life(ChildName::Gateway, &before.1)
            .await;
    }
    let tally = load.stop().await;
    assert_eq!(
        (tally.refused, tally.lost, tally.rejected),
        (0, 0, 0),
        "{tally:?}"
    );
    // What had been accepted is cut: the load was really there.
    assert!(tally.cut >= 20, "{tally:?}");
}

#[tokio::test]
async fn the_other_children_do_not_notice_a_kill() {
    let instance = Home::new().launch().ready().await;
    let mut client = instance.client().await;
    for killed in [ChildName::CanvasHost, ChildName::BrowserControl] {
        let before = instance.status().await;
        kill(instance.pid_of(killed).await).await;
        client.call("status", json!({})).await.unwrap();
        // By the base port, through the gateway, and on its own: the request waits for the next life.
        for port in [instance.home().port(), instance.home().canvas_port()] {
            assert_eq!(
                http::get(port, "/__openclaw__/canvas/").await.status,
                200,
                "{killed}"
            );
        }
        let serves = |status: &InstanceStatus| {
            status
                .fleet
                .children
                .iter()
                .all(|child| child.state == ChildState::Active)
        };
        let after = instance.until("every child serves", serves).await;
        for (before, after) in before.fleet.children.iter().zip(&after.fleet.children) {
            let is_same_process = before.pid == after.pid;
            assert_eq!(
                is_same_process,
                before.name != killed,
                "{before:?} then {after:?}"
            );
        }
    }
}

#[tokio::test]
async fn connections_wait_while_a_child_cannot_start() {
    let home = Home::empty().with_own_programs();
    home.configure(&json!({ "supervisor": { "readyTimeoutMs": 6000 } }));
    let instance = home.launch().ready().await;
    for child in ChildName::ALL {
        misbehave(&home, child, Stub::Silent);
        let before = instance.child(child).await;
        kill(pid(&before).unwrap()).await;
        let life = instance.until_child(child, ChildState::Starting).await;
        has_become(pid(&life).unwrap(), Stub::Silent).await;
        home.restore_program(child);
        let served = async {
            match child {
                ChildName::Gateway => drop(Client::connect(&instance.target()).await),
                ChildName::CanvasHost => {
                    assert_eq!(
                        http::get(home.canvas_port(), "/__openclaw__/canvas/")
                            .await
                            .status,
                        200
                    );
                }
                ChildName::BrowserControl => {
                    assert_eq!(http::get(home.browser_port(), "/").await.status, 401);
                }
            }
        };
        served.await;
        let after = instance.until_later_life(child, &before).await;
        let why = after.last_error.unwrap_or_default();
        assert!(why.contains("not ready within 6s"), "{why}");
    }
}

#[tokio::test]
async fn no_child_ever_binds() {
    let instance = Home::new().launch().ready().await;
    let before = listening(&instance);
    // Three ports on two loopback addresses, where the machine has both.
    assert!(before.len() == 6 || before.len() == 3, "{before:?}");
    for child in ChildName::ALL {
        let life = instance.child(child).await;
        kill(pid(&life).unwrap()).await;
        instance.until_later_life(child, &life).await;
    }
    instance.restart(None).await.unwrap();
    assert_eq!(
        listening(&instance),
        before,
        "the sockets are those of the start"
    );
}

/// The listening sockets on the ports of an instance, by address and the kernel's own number.
fn listening(instance: &openclaw_tests::instance::Instance) -> BTreeSet<(String, u64)> {
    let home = instance.home();
    let ports = [home.port(), home.browser_port(), home.canvas_port()];
    let tables = [
        procfs::net::tcp().unwrap(),
        procfs::net::tcp6().unwrap_or_default(),
    ];
    tables
        .into_iter()
        .flatten()
        .filter(|socket| socket.state == procfs::net::TcpState::Listen)
        .filter(|socket| ports.contains(&socket.local_address.port()))
        .map(|socket| (socket.local_address.to_string(), socket.inode))
        .collect()
}

#[tokio::test]
async fn both_loopback_addresses_are_served() {
    let instance = Home::new().launch().ready().await;
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        openclaw_tests::skip("this machine has no IPv6 loopback");
        return;
    }
    for port in [
        instance.home().port(),
        instance.home().canvas_port(),
        instance.home().browser_port(),
    ] {
        eventually("the port accepts on ::1", async || {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).map(drop)
        })
        .await;
    }
}

#[tokio::test]
async fn rule_98_nothing_listens_beyond_loopback_unless_asked_for() {
    let instance = Home::new().launch().ready().await;
    for (address, _) in listening(&instance) {
        let ip = address.parse::<std::net::SocketAddr>().unwrap().ip();
        assert!(ip.is_loopback(), "{address}");
    }
}

#[tokio::test]
async fn an_address_of_the_owners_choice_is_the_only_one() {
    let home = Home::empty();
    home.configure(&json!({ "gateway": { "bind": "custom", "customBindHost": "127.0.0.2" } }));
    let instance = home.launch().ready().await;
    for (address, _) in listening(&instance) {
        let address = address.parse::<std::net::SocketAddr>().unwrap();
        // Browser control never leaves loopback's own address.
        let expected = if address.port() == home.browser_port() {
            address.ip().is_loopback()
        } else {
            address.ip().to_string() == "127.0.0.2"
        };
        assert!(expected, "{address}");
    }
    assert!(TcpStream::connect(("127.0.0.1", home.port())).is_err());
    assert!(TcpStream::connect(("127.0.0.2", home.port())).is_ok());
}
