//! What waits for a session is told with the next message, once.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use serde_json::{Value, json};

use super::{is_chat, say_in, until_after};
use crate::services::system_events::{self, Kind, Queued};
use crate::store::StoreError;
use crate::testing::{Client, Gateway};

async fn leave(gateway: &Gateway, text: &'static str) {
    let queued = gateway.context.store.write(move |tx| {
        let kind = Kind::Wake(WakeMode::NextHeartbeat);
        system_events::enqueue(tx, WallTime::now(), None, kind, text)
    });
    assert_eq!(queued.await, Ok::<_, StoreError>(Queued::Waits));
}

fn waiting(gateway: &Gateway) -> Vec<String> {
    let store = &gateway.context.store;
    store.read(system_events::waiting).unwrap()
}

/// What is answered to a message, which is all that the agent was told.
async fn answered(client: &mut Client, session: &str, text: &str, key: &str) -> String {
    let is_end = |it: &Value| is_chat(it, key, "final") || is_chat(it, key, "error");
    let seen = say_in(client, session, text, key).await;
    let seen = until_after(seen, client, is_end).await;
    let end = &seen.iter().find(|it| is_end(it)).unwrap()["payload"];
    end["message"]["content"][0]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "local")]
async fn a_message_brings_along_what_waits_for_its_session_once() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    leave(&gateway, "the kettle is on").await;
    let elsewhere = answered(&mut client, "other", "hello", "c1").await;
    assert!(!elsewhere.contains("kettle"), "{elsewhere}");
    let told = answered(&mut client, "main", "hello", "c2").await;
    let note = told.find("] the kettle is on\n").expect("it is told");
    assert!(told.contains("System: ["), "{told}");
    assert!(note < told.find("hello").unwrap(), "{told}");
    assert_eq!(waiting(&gateway), [""; 0]);
    let again = answered(&mut client, "main", "more", "c3").await;
    assert!(!again.contains("kettle"), "{again}");
}

#[tokio::test(flavor = "local")]
async fn what_was_not_told_waits_on() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    leave(&gateway, "the kettle is on").await;
    // An agent without a workspace is told nothing.
    let workspace = gateway.context.settings().catalog.workspace("main", true);
    std::fs::create_dir_all(workspace.parent().unwrap()).unwrap();
    std::fs::write(&workspace, "in the way").unwrap();
    let refused = answered(&mut client, "main", "hello", "c1").await;
    assert_eq!(refused, "");
    assert_eq!(waiting(&gateway), ["the kettle is on"]);
    std::fs::remove_file(&workspace).unwrap();
    let told = answered(&mut client, "main", "hello", "c2").await;
    assert!(told.contains("] the kettle is on\n"), "{told}");
}

#[tokio::test(flavor = "local")]
async fn what_a_life_had_claimed_is_told_by_the_next_one_unless_it_was_told() {
    for (has_left, expected) in [(false, 1), (true, 0)] {
        let gateway = Gateway::start().await;
        let (mut client, _) = gateway.client().await;
        leave(&gateway, "the kettle is on").await;
        super::left_behind_with(&gateway, ("main", "r1"), "running", has_left, move |tx| {
            system_events::claim_within(tx, "agent:main:main", true, "r1")?;
            if has_left {
                system_events::told(tx, "r1")?;
            }
            Ok(())
        })
        .await;
        super::super::estate::take_over(&gateway.context).await;
        client.call("agent.wait", json!({"runId": "r1"})).await;
        let params = json!({"sessionKey": "main"});
        let history = client.call("chat.history", params).await;
        let messages = history["payload"]["messages"].as_array().unwrap();
        let told = messages
            .iter()
            .filter(|it| it["role"] == "user" && it.to_string().contains("the kettle is on"));
        assert_eq!(told.count(), expected, "{history}");
        assert_eq!(waiting(&gateway), [""; 0]);
    }
}
