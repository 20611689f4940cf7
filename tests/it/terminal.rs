//! In the foreground of a terminal: Ctrl-C stops, and so does closing the window. Without a terminal SIGHUP reads the configuration.

use openclaw_shared::control::{ChildName, ConfigState};
use openclaw_tests::client::Received;
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::Home;
use openclaw_tests::process::Signal;
use openclaw_tests::terminal::Terminal;
use serde_json::json;

#[tokio::test]
async fn closing_the_window_stops_the_instance_and_everything_in_it() {
    let (terminal, inside) = Terminal::open();
    let mut instance = Home::new().launch().terminal(inside).ready().await;
    let mut client = instance.client().await;
    terminal.close();
    let (frames, end) = client.rest().await;
    assert!(
        frames.iter().any(|frame| frame["event"] == "shutdown"),
        "{frames:?}"
    );
    assert!(
        matches!(end, Received::Closed { code: 1012, .. }),
        "{end:?}"
    );
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
}

#[tokio::test]
async fn ctrl_c_stops_the_instance_and_everything_in_it() {
    let (terminal, inside) = Terminal::open();
    let mut instance = Home::new().launch().terminal(inside).ready().await;
    let mut client = instance.client().await;
    terminal.type_in("\x03");
    let (frames, end) = client.rest().await;
    assert!(
        frames.iter().any(|frame| frame["event"] == "shutdown"),
        "{frames:?}"
    );
    assert!(
        matches!(end, Received::Closed { code: 1012, .. }),
        "{end:?}"
    );
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
}

#[tokio::test]
async fn a_second_ctrl_c_does_not_wait() {
    let (terminal, inside) = Terminal::open();
    let mut instance = Home::new().launch().terminal(inside).ready().await;
    // A gateway that stands still would be waited for until the end of its drain budget.
    openclaw_tests::faults::freeze(instance.pid_of(ChildName::Gateway).await).await;
    terminal.type_in("\x03");
    instance
        .until_child(
            ChildName::Gateway,
            openclaw_shared::control::ChildState::Draining,
        )
        .await;
    terminal.type_in("\x03");
    assert_eq!(instance.exit_code_leaving_nothing().await, 71);
}

#[tokio::test]
async fn a_person_sees_where_it_listens() {
    let (terminal, inside) = Terminal::open();
    let instance = Home::new().launch().terminal(inside).ready().await;
    let address = format!("ws://127.0.0.1:{}", instance.home().port());
    eventually("the address is on the screen", async || {
        let shown = terminal.shown();
        if shown.contains(&address) {
            Ok(())
        } else {
            Err(shown)
        }
    })
    .await;
}

#[tokio::test]
async fn signals_of_the_terminal_do_not_reach_the_children() {
    let instance = Home::new().launch().ready().await;
    let before = instance.status().await;
    for child in &before.fleet.children {
        for signal in [Signal::SIGINT, Signal::SIGHUP] {
            openclaw_tests::process::send(openclaw_tests::instance::pid(child).unwrap(), signal);
        }
    }
    for child in ChildName::ALL {
        instance.restart(Some(child)).await.unwrap();
        let status = instance.child(child).await;
        assert_eq!(status.restarts, 0, "{child} took a signal for itself");
    }
}

#[tokio::test]
async fn every_child_has_a_group_of_its_own() {
    let instance = Home::new().launch().ready().await;
    for process in instance.processes() {
        assert_eq!(process.group, process.pid, "{process:?}");
    }
}

#[tokio::test]
async fn without_a_terminal_sighup_reads_the_configuration_again() {
    let home = Home::empty();
    // So long a wait for the file to be quiet that only the signal can be what makes it count.
    home.configure(&json!({ "gateway": { "reload": { "debounceMs": 600_000 } } }));
    let instance = home.launch().ready().await;
    let before = instance.status().await;
    home.configure(&json!({
        "gateway": { "reload": { "debounceMs": 600_000 } },
        "session": { "scope": "global" },
    }));
    instance.signal(Signal::SIGHUP);
    let after = instance
        .until("the file was read", |status| {
            status.fleet.config.hash != before.fleet.config.hash
        })
        .await;
    assert_eq!(after.fleet.config.state, ConfigState::Ok);
    assert_eq!(after.pid, before.pid);
}
