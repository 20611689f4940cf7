use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::config::Config;
use openclaw_shared::log::LogSettings;
use openclaw_shared::paths::StatePaths;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::settings::Settings;
use crate::testing::{Client, Gateway, TOKEN, credentials};

async fn list(client: &mut Client) -> Value {
    let mut answer = client.call("sessions.list", json!({})).await;
    assert_eq!(answer["ok"], true, "{answer}");
    answer["payload"].take()
}

async fn label(client: &mut Client) -> Value {
    list(client).await["sessions"][0]["label"].take()
}

async fn patch(client: &mut Client, label: &str) {
    let params = json!({"key": "main", "label": label});
    let answer = client.call("sessions.patch", params).await;
    assert_eq!(answer["ok"], true, "{answer}");
}

/// As another process writes.
fn write_beside(gateway: &Gateway, label: &str) {
    let state_dir = &gateway.context.instance.identity.state_dir;
    let other = Connection::open(StatePaths(state_dir).store()).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    let changed = other.execute(
        "UPDATE sessions SET label = ?1, entry = json_set(entry, '$.label', ?1)",
        [label],
    );
    assert_eq!(changed, Ok(1));
}

#[tokio::test(flavor = "local")]
async fn each_write_that_was_acknowledged_is_in_the_next_list() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    for name in ["a", "b", "c", "d"] {
        patch(&mut client, name).await;
        // The second of them is the first one again.
        assert_eq!(label(&mut client).await, name);
        assert_eq!(label(&mut client).await, name);
    }
}

#[tokio::test(flavor = "local")]
async fn what_another_process_has_written_is_soon_in_the_list() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    patch(&mut client, "a").await;
    assert_eq!(label(&mut client).await, "a");
    write_beside(&gateway, "b");
    let deadline = Moment::now() + Duration::from_secs(30);
    while label(&mut client).await != "b" {
        assert!(Moment::now() < deadline, "nobody noticed");
    }
}

#[tokio::test(flavor = "local")]
async fn a_list_shows_the_models_of_the_configuration_in_force() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let before = list(&mut client).await;
    assert_eq!(before["defaults"], list(&mut client).await["defaults"]);
    let config = json!({"agents": {"defaults": {"model": {"primary": "anthropic/claude-x"}}}});
    let config = Config::from_effective(&config).unwrap();
    let instance = &gateway.context.instance;
    gateway.context.reload(
        Settings::of(&config, instance),
        Some(credentials(TOKEN)),
        LogSettings::in_dir(instance.log_dir.clone()),
    );
    let after = list(&mut client).await;
    assert_ne!(after["defaults"], before["defaults"]);
    assert_eq!(after["defaults"]["model"], "claude-x", "{after}");
}
