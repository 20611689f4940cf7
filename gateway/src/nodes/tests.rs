//! Nodes over a real socket.

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::testing::{Client, DEADLINE, Gateway, connect};

mod approved;
mod asked;
mod keys;
mod leaving;
mod telling;

const ALL: [&str; 4] = [
    "system.run",
    "system.which",
    "system.execApprovals.get",
    "camera.snap",
];

async fn node(gateway: &Gateway, seed: u8) -> (Client, String) {
    let (client, _, id) = gateway.device(seed, |params| {
        params["client"] = json!({"id": "node-host", "displayName": format!("Box {seed}"), "version": "1", "platform": "linux", "mode": "node"});
        params["role"] = json!("node");
        params["scopes"] = json!([]);
        params["caps"] = json!(["system", "browser"]);
        params["commands"] = json!(ALL);
        params["pathEnv"] = json!("/usr/bin");
        params["permissions"] = json!({"screen": true});
    })
    .await;
    (client, id)
}

/// An operator with these scopes and no device.
async fn operator(gateway: &Gateway, scopes: &[&str]) -> Client {
    let mut client = gateway.open().await;
    let mut params = connect();
    params["scopes"] = json!(scopes);
    let hello = client.connect(params).await;
    assert_eq!(hello["payload"]["type"], "hello-ok", "{hello}");
    client
}

async fn ask(client: &mut Client, node: &str, command: &str, key: &str, params: Value) {
    let params =
        json!({"nodeId": node, "command": command, "params": params, "idempotencyKey": key});
    let request = json!({"type": "req", "id": key, "method": "node.invoke", "params": params});
    client.send(request.to_string()).await;
}

/// Waits for a fact that nobody is told of.
async fn until(is_so: impl Fn() -> bool) {
    let looks = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, looks).await.expect("it is so in time");
}

/// Leaves, and waits until the gateway has seen it.
async fn leave(gateway: &Gateway, client: Client) {
    let (clients, _) = gateway.context.hub.counts();
    drop(client);
    until(|| gateway.context.hub.counts().0 < clients).await;
}

/// Waits until everything is read that this client has sent.
async fn read(client: &mut Client) {
    let seen = client.call("voicewake.get", json!({})).await;
    assert_eq!(seen["id"], "voicewake.get", "{seen}");
}

/// What the node is asked next.
async fn asked(node: &mut Client) -> Value {
    let event = node.event("node.invoke.request").await;
    assert_eq!(event.get("seq"), None);
    event["payload"].clone()
}

async fn answer(node: &mut Client, id: &str, request: &Value, payload: Value) -> Value {
    let params = json!({"id": request["id"], "nodeId": id, "ok": true, "payload": payload});
    node.call("node.invoke.result", params).await["payload"].clone()
}
