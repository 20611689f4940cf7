//! How a conversation ends when it is not the client that ends it.

use serde_json::json;

use super::admission::connecting;
use super::closed;
use crate::testing::{Gateway, connect};

#[tokio::test(flavor = "local")]
async fn a_draining_gateway_tells_everybody_and_finishes_what_it_read() {
    let mut gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let mut late = gateway.open().await;
    late.event("connect.challenge").await;
    client
        .send(r#"{"type":"req","id":"l","method":"logs.tail"}"#)
        .await;
    let context = gateway.context.clone();
    let follow = async {
        let shutdown = client.event("shutdown").await;
        assert_eq!(
            shutdown["payload"],
            json!({"reason": "gateway restarting", "restartExpectedMs": 1500})
        );
        let end = client.end().await;
        assert_eq!(late.connect(connect()).await["payload"]["type"], "hello-ok");
        assert_eq!(
            late.event("shutdown").await["payload"]["restartExpectedMs"],
            1500
        );
        (end, late.end().await)
    };
    let ((), ends) = tokio::join!(gateway.drain(), follow);
    assert_eq!(
        ends,
        (
            closed(1012, "service restart"),
            closed(1012, "service restart")
        )
    );
    assert_eq!(context.hub.counts(), (0, 0));
}

#[tokio::test(flavor = "local")]
async fn rule_34_whoever_is_late_at_a_life_that_leaves_needs_the_new_secret() {
    let mut gateway = Gateway::start().await;
    let mut late = gateway.open().await;
    late.event("connect.challenge").await;
    let mut later = gateway.open().await;
    later.event("connect.challenge").await;
    let context = gateway.context.clone();
    let follow = async {
        context.change_secrets(Some(crate::testing::credentials("another")));
        let refused = late.connect(connect()).await;
        let mut params = connect();
        params["auth"]["token"] = "another".into();
        (refused, later.connect(params).await)
    };
    let ((), (refused, admitted)) = tokio::join!(gateway.drain(), follow);
    assert_eq!(refused["ok"], false, "{refused}");
    assert_eq!(admitted["payload"]["type"], "hello-ok");
}

#[tokio::test(flavor = "local")]
async fn a_changed_secret_ends_the_sessions_of_the_old_one() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let settings = (*gateway.context.settings()).clone();
    let logging = gateway.context.logging();
    gateway.context.reload(
        settings,
        Some(crate::testing::credentials("another")),
        logging,
    );
    assert_eq!(client.end().await, closed(1008, "shared secret changed"));
    let (message, _) = connecting(&gateway, |_| {}).await;
    assert!(message.contains("token mismatch"), "{message}");
    let mut client = gateway.open().await;
    let mut params = connect();
    params["auth"]["token"] = "another".into();
    assert_eq!(client.connect(params).await["ok"], true);
}
