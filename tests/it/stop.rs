//! Stopping: clients are told first, what was accepted is finished, and then nothing is left.

use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::control::{ChildName, ChildState};
use openclaw_tests::client::Received;
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::{Stub, freeze, misbehave};
use openclaw_tests::home::Home;
use openclaw_tests::instance::Instance;
use openclaw_tests::process::Signal;
use openclaw_tests::raw::Raw;
use serde_json::json;

#[tokio::test]
async fn rule_112_a_stop_tells_every_client_first_and_leaves_nothing() {
    for how in [
        How::Signal(Signal::SIGTERM),
        How::Signal(Signal::SIGINT),
        How::Command,
    ] {
        let mut instance = Home::new().launch().ready().await;
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(instance.client().await);
        }
        // One has a question under way, one has never said who it is.
        let id = clients[0].send("health", json!({})).await;
        let mut silent = Raw::websocket(instance.home().port()).await;
        stop(&instance, how).await;
        for (index, client) in clients.iter_mut().enumerate() {
            let (frames, end) = client.rest().await;
            let shutdown = frames.iter().find(|frame| frame["event"] == "shutdown");
            let shutdown = &shutdown.expect("a shutdown event comes before the end")["payload"];
            assert_eq!(shutdown["reason"], "gateway stopping", "{shutdown}");
            assert!(shutdown["restartExpectedMs"].is_null(), "{shutdown}");
            assert_eq!(
                end,
                Received::Closed {
                    code: 1012,
                    reason: "service restart".to_owned()
                }
            );
            if index == 0 {
                let answer = frames.iter().find(|frame| frame["id"] == id.as_str());
                assert_eq!(answer.expect("what was asked is answered")["ok"], true);
            }
        }
        silent.end().await;
        assert_eq!(instance.exit_code_leaving_nothing().await, 0, "{how:?}");
        let left = std::fs::read_dir(instance.home().state_dir().join("run"))
            .unwrap()
            .count();
        assert_eq!(left, 0, "no socket file is left");
    }
}

#[derive(Debug, Clone, Copy)]
enum How {
    Signal(Signal),
    Command,
}

async fn stop(instance: &Instance, how: How) {
    match how {
        How::Signal(signal) => instance.signal(signal),
        How::Command => {
            let said = instance.home().run(&["gateway", "stop"]).await;
            assert_eq!(said.code, 0, "{said:?}");
        }
    }
}

/// A home whose instance waits so long for what it has accepted that a stop that does not wait is told from one that does.
fn patient() -> Home {
    let home = Home::empty();
    home.configure(&json!({ "supervisor": { "drainTimeoutMs": 60_000 } }));
    home
}

#[tokio::test]
async fn a_stop_with_many_idle_connections_is_quick() {
    let mut instance = patient().launch().ready().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(Raw::connect(instance.home().port()).await);
        idle.push(Raw::connect(instance.home().canvas_port()).await);
        idle.push(Raw::connect(instance.home().browser_port()).await);
    }
    instance.client().await;
    let begin = Moment::now();
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    // Connections on which nothing was ever asked are nobody's unfinished work.
    let took = Moment::now().since(begin);
    assert!(took < Duration::from_secs(40), "{took:?}");
}

#[tokio::test]
async fn rule_113_a_stop_that_has_to_be_forced_says_so() {
    for child in ChildName::ALL {
        let home = Home::empty();
        home.configure(&json!({ "supervisor": { "drainTimeoutMs": 300 } }));
        let mut instance = home.launch().ready().await;
        freeze(instance.pid_of(child).await).await;
        instance.signal(Signal::SIGTERM);
        assert_eq!(
            instance.exit_code_leaving_nothing().await,
            71,
            "{child} was stuck"
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_leave_does_not_hold_the_stop() {
    let home = Home::empty();
    home.configure(&json!({ "supervisor": { "drainTimeoutMs": 3000 } }));
    let mut instance = home.launch().ready().await;
    // It is there, says nothing, and never answers a close.
    let deaf = Raw::websocket(home.port()).await;
    let _client = instance.client().await;
    instance.signal(Signal::SIGTERM);
    instance.exit_code_leaving_nothing().await;
    drop(deaf);
}

#[tokio::test]
async fn rule_112_a_second_signal_stops_at_once() {
    let mut instance = patient().launch().ready().await;
    freeze(instance.pid_of(ChildName::CanvasHost).await).await;
    let begin = Moment::now();
    instance.signal(Signal::SIGTERM);
    instance
        .until_child(ChildName::CanvasHost, ChildState::Draining)
        .await;
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 71);
    let took = Moment::now().since(begin);
    assert!(
        took < Duration::from_secs(40),
        "it waited for the whole drain budget: {took:?}"
    );
}

#[tokio::test]
async fn a_stop_while_it_starts_is_a_stop() {
    let home = Home::new().with_own_programs();
    misbehave(&home, ChildName::Gateway, Stub::NeverReady);
    let mut instance = home.launch().start();
    instance
        .until_child(ChildName::CanvasHost, ChildState::Active)
        .await;
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_restart_is_a_stop() {
    let home = Home::new().with_own_programs();
    let mut instance = home.launch().ready().await;
    misbehave(&home, ChildName::Gateway, Stub::NeverReady);
    let restart = async {
        let refused = instance.restart(None).await;
        assert!(refused.is_err(), "{refused:?}");
    };
    let stop = async {
        eventually("the successor is on its way", async || {
            let count = instance.processes().len();
            if count > 4 {
                Ok(())
            } else {
                Err(count.to_string())
            }
        })
        .await;
        instance.signal(Signal::SIGTERM);
    };
    tokio::join!(restart, stop);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
}

#[tokio::test]
async fn a_sigterm_to_a_child_ends_that_child_alone_and_it_is_started_again() {
    let instance = Home::new().launch().ready().await;
    for child in ChildName::ALL {
        let before = instance.child(child).await;
        openclaw_tests::process::send(
            openclaw_tests::instance::pid(&before).unwrap(),
            Signal::SIGTERM,
        );
        instance.until_later_life(child, &before).await;
    }
    instance
        .client()
        .await
        .call("status", json!({}))
        .await
        .unwrap();
}
