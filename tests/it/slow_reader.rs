//! Law 5: no client can make us hold unbounded memory, or stall another.

use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::control::ChildName;
use openclaw_tests::client::{Client, Received, request};
use openclaw_tests::home::Home;
use openclaw_tests::instance::Instance;
use openclaw_tests::process;
use openclaw_tests::raw::{End, Raw, masked, opcode};
use serde_json::json;

const MIB: u64 = 1024 * 1024;

async fn memory(instance: &Instance) -> u64 {
    process::resident_bytes(instance.pid_of(ChildName::Gateway).await)
}

/// Whether somebody else is served as if nothing were. A client that waits for the one that does not read waits for ever.
async fn check_served(client: &mut Client) {
    let begin = Moment::now();
    client.call("status", json!({})).await.unwrap();
    let took = Moment::now().since(begin);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn rule_71_a_client_that_asks_and_never_reads_is_not_read_any_more() {
    let instance = Home::new().launch().ready().await;
    let mut other = instance.client().await;
    check_served(&mut other).await;
    let before = memory(&instance).await;
    let mut greedy = Raw::admitted(&instance.target()).await;
    let question = request("g", "health", json!({})).to_string();
    let questions: Vec<u8> = (0..200)
        .flat_map(|_| masked(true, opcode::TEXT, question.as_bytes()))
        .collect();
    let mut taken = 0;
    // Until the gateway has stopped to read and the kernel's buffers are full, which is far below this.
    while greedy
        .offer(&questions, Duration::from_millis(700))
        .await
        .unwrap_or(false)
    {
        taken += questions.len();
        assert!(taken < 256 * 1024 * 1024, "it reads on and on");
        check_served(&mut other).await;
    }
    check_served(&mut other).await;
    let grown = memory(&instance).await.saturating_sub(before);
    assert!(grown < 12 * MIB, "the gateway has grown by {grown} bytes");
}

#[tokio::test]
async fn rule_71_a_client_that_never_reads_its_events_is_dropped() {
    let instance = Home::new().launch().ready().await;
    let mut deaf = Raw::admitted(&instance.target()).await;
    let mut other = instance.client().await;
    // Two hundred entries with much to tell make a list that is large, and told to everybody with each change.
    let tags: Vec<String> = (0..32)
        .map(|index| format!("{index}-{}", "t".repeat(60)))
        .collect();
    let entry = |device: usize, reason: usize| {
        let device = format!("device-{device}");
        json!({ "text": "x", "deviceId": device, "host": device, "reason": reason.to_string(), "tags": tags })
    };
    for device in 0..190 {
        other.call("system-event", entry(device, 0)).await.unwrap();
    }
    let before = memory(&instance).await;
    let mut round = 0;
    while instance
        .home()
        .log()
        .with_text("closed a slow consumer")
        .is_empty()
    {
        round += 1;
        assert!(round < 200, "nobody was dropped");
        other.call("system-event", entry(0, round)).await.unwrap();
        other.event("presence").await;
        // A client that is too slow misses a presence list and stays; what must not be missed ends it.
        other
            .call("health", json!({ "probe": true }))
            .await
            .unwrap();
    }
    // What lies in the kernel's buffers is read first, then comes the end.
    assert_eq!(deaf.end().await, End::Closed(1008));
    check_served(&mut other).await;
    let grown = memory(&instance).await.saturating_sub(before);
    assert!(grown < 16 * MIB, "the gateway has grown by {grown} bytes");
}

#[tokio::test]
async fn rule_70_a_flood_of_requests_it_may_not_make_harms_nobody_and_ends() {
    let instance = Home::new().launch().ready().await;
    let mut params = openclaw_tests::client::connect_params(openclaw_tests::home::TOKEN);
    params["scopes"] = json!([]);
    let mut flooding = Client::connect_as(instance.home().port(), params).await;
    let mut other = instance.client().await;
    let log_before = instance.home().log().text().len();
    let flood = async {
        for _ in 0..50 {
            for _ in 0..100 {
                flooding.send("config.get", json!({})).await;
            }
        }
        // Nobody has so many wishes and not one that is granted.
        flooding.rest().await.1
    };
    let served = async {
        for _ in 0..20 {
            check_served(&mut other).await;
        }
    };
    let (end, ()) = tokio::join!(flood, served);
    let reason = "too many refused requests".to_owned();
    assert_eq!(end, Received::Closed { code: 1008, reason });
    let logged = instance.home().log().text().len() - log_before;
    assert!(
        logged < 200_000,
        "a thousand refusals wrote {logged} bytes of log"
    );
}
