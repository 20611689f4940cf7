//! One key is one execution, whoever leaves meanwhile.

use serde_json::json;

use super::{answer, ask, asked, leave, node, operator, read};
use crate::testing::Gateway;

#[tokio::test(flavor = "local")]
async fn one_key_is_one_execution_also_for_who_comes_back() {
    let gateway = Gateway::start().await;
    let (mut node, id) = node(&gateway, 1).await;
    let mut first = operator(&gateway, &["operator.write"]).await;
    ask(&mut first, &id, "system.which", "k", json!({"bins": ["a"]})).await;
    let request = asked(&mut node).await;
    let mut second = operator(&gateway, &["operator.write"]).await;
    ask(
        &mut second,
        &id,
        "system.which",
        "k",
        json!({"bins": ["b"]}),
    )
    .await;
    assert_eq!(
        second.answer().await["error"]["message"],
        "idempotencyKey was used with other parameters"
    );
    drop(first);
    ask(
        &mut second,
        &id,
        "system.which",
        "k",
        json!({"bins": ["a"]}),
    )
    .await;
    // The node was asked once: its next request is another one.
    ask(&mut second, &id, "system.which", "other", json!({})).await;
    assert_eq!(asked(&mut node).await["idempotencyKey"], "other");
    answer(&mut node, &id, &request, json!({"n": 1})).await;
    assert_eq!(second.answer().await["payload"]["payload"], json!({"n": 1}));
    drop(node);
    second.answer().await;
    ask(
        &mut second,
        &id,
        "system.which",
        "k",
        json!({"bins": ["a"]}),
    )
    .await;
    assert_eq!(second.answer().await["payload"]["payload"], json!({"n": 1}));
}

#[tokio::test(flavor = "local")]
async fn a_node_that_answers_and_hangs_up_has_answered() {
    let gateway = Gateway::start().await;
    let (mut box_, id) = node(&gateway, 1).await;
    let mut asker = operator(&gateway, &["operator.write"]).await;
    ask(&mut asker, &id, "system.which", "k", json!({})).await;
    let request = asked(&mut box_).await;
    let held = gateway.hold_writes();
    let result = json!({"id": request["id"], "nodeId": id, "ok": true, "payload": {"n": 1}});
    let result =
        json!({"type": "req", "id": "r", "method": "node.invoke.result", "params": result});
    box_.send(result.to_string()).await;
    read(&mut box_).await;
    leave(&gateway, box_).await;
    drop(held);
    assert_eq!(asker.answer().await["payload"]["payload"], json!({"n": 1}));

    let (mut box_, _) = node(&gateway, 1).await;
    ask(&mut asker, &id, "system.which", "k", json!({})).await;
    assert_eq!(asker.answer().await["payload"]["payload"], json!({"n": 1}));
    ask(&mut asker, &id, "system.which", "next", json!({})).await;
    assert_eq!(asked(&mut box_).await["idempotencyKey"], "next");
}

#[tokio::test(flavor = "local")]
async fn what_is_being_asked_is_asked_also_when_the_first_asker_leaves() {
    let gateway = Gateway::start().await;
    let (mut box_, id) = node(&gateway, 1).await;
    let mut first = operator(&gateway, &["operator.write"]).await;
    let mut second = operator(&gateway, &["operator.write"]).await;
    let held = gateway.hold_writes();
    ask(&mut first, &id, "system.which", "k", json!({})).await;
    read(&mut first).await;
    ask(&mut second, &id, "system.which", "k", json!({})).await;
    read(&mut second).await;
    leave(&gateway, first).await;
    drop(held);
    let request = asked(&mut box_).await;
    answer(&mut box_, &id, &request, json!({"n": 1})).await;
    assert_eq!(second.answer().await["payload"]["payload"], json!({"n": 1}));
}

#[tokio::test(flavor = "local")]
async fn two_repetitions_at_once_have_the_same_answer() {
    let gateway = Gateway::start().await;
    let (mut box_, id) = node(&gateway, 1).await;
    let mut first = operator(&gateway, &["operator.write"]).await;
    let mut second = operator(&gateway, &["operator.write"]).await;
    ask(&mut first, &id, "system.which", "k", json!({})).await;
    let request = asked(&mut box_).await;
    answer(&mut box_, &id, &request, json!({"n": 1})).await;
    first.answer().await;
    let held = gateway.hold_writes();
    for again in [&mut first, &mut second] {
        ask(again, &id, "system.which", "k", json!({})).await;
        read(again).await;
    }
    drop(held);
    for again in [&mut first, &mut second] {
        assert_eq!(again.answer().await["payload"]["payload"], json!({"n": 1}));
    }
}
