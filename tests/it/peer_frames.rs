//! What the clients of the Node implementation send is understood: the requests that `cargo xtask conformance` recorded are
//! sent again.
//!
//! Identifiers in them belong to another instance, so an answer may say that there is no such device; it may not say that the
//! request is malformed, unknown or not available. What belongs to conversations and jobs means the same here as where it was
//! recorded, and is granted like there.

use std::collections::BTreeMap;
use std::path::Path;

use openclaw_tests::client::{Client, attempt, connect_params, request};
use openclaw_tests::device::Device;
use openclaw_tests::home::{Home, TOKEN};
use serde_json::{Value, json};

/// Methods that only a node may call.
const OF_NODES: [&str; 3] = ["node.invoke.result", "node.event", "skills.bins"];

fn recorded(client: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/peer/{client}.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Methods that are granted wherever they were, because what they name was made by the requests before them.
fn means_the_same(method: &str) -> bool {
    const FAMILIES: [&str; 9] = [
        "agent.",
        "agents.",
        "chat.",
        "cron.",
        "models.",
        "sessions.",
        "usage.",
        "system-",
        "health",
    ];
    ["agent", "wake", "status", "last-heartbeat"].contains(&method)
        || FAMILIES.iter().any(|family| method.starts_with(family))
}

/// The same request with the identifiers that this instance has given.
fn ours(params: &Value, made: &BTreeMap<String, String>) -> Value {
    let mut text = params.to_string();
    for (recorded, here) in made {
        text = text.replace(recorded, here);
    }
    serde_json::from_str(&text).unwrap()
}

/// Why an answer shows that a request was not understood.
fn misunderstood(error: &Value) -> bool {
    let message = error["message"].as_str().unwrap_or_default();
    message.starts_with("invalid ") && message.contains(" params: ")
        || message.starts_with("unknown method")
        || message.starts_with("missing scope")
        || message.starts_with("unauthorized role")
        || message.contains("is not available yet")
}

async fn replay(client: &str) {
    let instance = Home::new().launch().ready().await;
    let port = instance.home().port();
    let mut operator = Client::connect_as(port, {
        let mut params = connect_params(TOKEN);
        params["scopes"] = json!(["operator.admin", "operator.approvals", "operator.pairing"]);
        params
    })
    .await;
    let node = json!({
        "minProtocol": 3, "maxProtocol": 3, "role": "node", "scopes": [], "caps": ["system"],
        "commands": ["system.run", "system.which"], "auth": { "token": TOKEN },
        "client": { "id": "node-host", "version": "1", "platform": "linux", "mode": "node" },
    });
    let (mut node, attempt_of_node) = Device::new(1).attempt(port, &[], node).await;
    assert!(attempt_of_node.end.is_none(), "{attempt_of_node:?}");
    let mut seen = 0;
    let mut made = BTreeMap::new();
    for line in recorded(client) {
        let method = line["method"].as_str().unwrap();
        let params = ours(&line["params"], &made);
        let error = match method {
            "connect" => {
                let first = request("c", "connect", params).to_string();
                let refused = attempt(port, &first).await;
                refused.answer.map(|answer| answer["error"].clone())
            }
            _ if OF_NODES.contains(&method) => {
                node.send(&request("again", method, params)).await;
                loop {
                    let frame = node.frame().await;
                    if frame["id"] == "again" {
                        break frame.get("error").cloned();
                    }
                }
            }
            // It waits for a decision or for a node; both are promises of other tests.
            "exec.approval.request" => continue,
            // It replaces the process this client is connected to.
            "config.set" | "config.patch" | "config.apply" => continue,
            _ => match operator.call(method, params).await {
                Ok(answer) => {
                    if let Some(recorded) = line["made"].as_str() {
                        let here = answer["id"].as_str().unwrap_or_default();
                        made.insert(recorded.to_owned(), here.to_owned());
                    }
                    None
                }
                Err(error) => Some(error),
            },
        };
        assert!(
            !error.as_ref().is_some_and(misunderstood),
            "{line} was answered {error:?}"
        );
        if means_the_same(method) {
            assert_eq!(line["ok"] == true, error.is_none(), "{line}: {error:?}");
        }
        seen += 1;
    }
    assert!(seen > 5, "only {seen} requests were recorded");
}

/// Whether each of these was recorded.
fn assert_recorded(client: &str, methods: &[&str]) {
    let recorded = recorded(client);
    for method in methods {
        assert!(
            recorded.iter().any(|line| line["method"] == *method),
            "nothing shows how the {client} asks for {method}"
        );
    }
}

#[tokio::test]
async fn requests_of_the_peers_command_line_are_understood() {
    let methods = [
        "agent",
        "agent.wait",
        "chat.history",
        "chat.send",
        "cron.add",
        "cron.list",
        "cron.remove",
        "cron.run",
        "cron.runs",
        "cron.update",
        "sessions.list",
        "sessions.preview",
    ];
    assert_recorded("cli", &methods);
    replay("cli").await;
}

#[tokio::test]
async fn requests_of_the_peers_web_page_are_understood() {
    let methods = [
        "chat.history",
        "chat.send",
        "chat.abort",
        "sessions.list",
        "cron.list",
    ];
    assert_recorded("page", &methods);
    replay("page").await;
}

#[tokio::test]
async fn requests_of_the_peers_node_host_are_understood() {
    replay("node").await;
}
