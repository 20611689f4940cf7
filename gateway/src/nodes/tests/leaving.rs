//! What becomes of what nodes were asked when a life of the gateway ends.

use std::time::Duration;

use openclaw_shared::control::StopReason;
use serde_json::{Value, json};

use super::{answer, ask, asked, node, operator};
use crate::limits::LINGER;
use crate::testing::{DEADLINE, Gateway, Seen};

fn restarted() -> Seen {
    Seen::Closed(1012, "service restart".to_owned())
}

fn unknown() -> Value {
    json!({"code": "UNAVAILABLE", "message": "the gateway is restarting; the outcome of system.run is unknown", "details": {"code": "GATEWAY_RESTARTING"}})
}

#[tokio::test(flavor = "local")]
async fn a_replacement_lets_nodes_finish_what_they_were_asked() {
    let mut gateway = Gateway::start().await;
    let (mut at_work, one) = node(&gateway, 1).await;
    let (mut idle, _) = node(&gateway, 2).await;
    let mut asker = operator(&gateway, &["operator.admin"]).await;
    ask(&mut asker, &one, "system.run", "k1", json!({})).await;
    ask(&mut asker, &one, "system.which", "k2", json!({})).await;
    let requests = [asked(&mut at_work).await, asked(&mut at_work).await];
    let story = async {
        at_work.event("shutdown").await;
        assert_eq!(idle.end().await, restarted());
        for (request, said) in requests.iter().zip([1, 2]) {
            let taken = answer(&mut at_work, &one, request, json!(said)).await;
            assert_eq!(taken, json!({"ok": true}));
            assert_eq!(asker.answer().await["payload"]["payload"], said);
        }
        assert_eq!(at_work.end().await, restarted());
        assert_eq!(asker.end().await, restarted());
    };
    tokio::join!(gateway.drain(), story);
}

#[tokio::test(flavor = "local")]
async fn people_are_not_waited_for_by_a_life_that_ends() {
    let mut gateway = Gateway::start().await;
    let mut asker = operator(&gateway, &["operator.admin"]).await;
    let wish = json!({"type": "req", "id": "w", "method": "exec.approval.request", "params": {"id": "a", "command": "id"}});
    asker.send(wish.to_string()).await;
    asker.event("exec.approval.requested").await;
    let (answer, ()) = tokio::join!(asker.answer(), gateway.drain());
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(text.starts_with("the gateway is restarting"), "{text}");
}

#[tokio::test(flavor = "local")]
async fn what_nodes_do_not_finish_in_time_is_said_to_be_unknown() {
    let short = LINGER + Duration::from_secs(1) + Duration::from_millis(50);
    for (reason, budget, is_told) in [
        (StopReason::Replaced, short, false),
        (StopReason::Stop, DEADLINE, true),
    ] {
        let mut gateway = Gateway::start().await;
        let (mut at_work, id) = node(&gateway, 1).await;
        let mut asker = operator(&gateway, &["operator.admin"]).await;
        ask(&mut asker, &id, "system.run", "k", json!({})).await;
        let request = asked(&mut at_work).await;
        let story = async {
            assert_eq!(asker.answer().await["error"], unknown());
            let mut told = Vec::new();
            let end = loop {
                match at_work.see().await {
                    Seen::Frame(frame) if frame["event"] == "node.invoke.cancel" => {
                        told.push(frame["payload"]["id"].clone());
                    }
                    Seen::Frame(_) => {}
                    end @ (Seen::Closed(..) | Seen::Broken) => break end,
                }
            };
            assert_eq!(end, restarted());
            // After a replacement the node goes on, and is there for the successor.
            let expected = is_told.then(|| request["id"].clone());
            assert_eq!(told, Vec::from_iter(expected));
            assert_eq!(asker.end().await, restarted());
        };
        tokio::join!(gateway.drain_for(reason, budget), story);
    }
}
