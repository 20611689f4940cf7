//! The peer's headless node host.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use openclaw_shared::clock::Moment;
use openclaw_tests::home::TOKEN;
use serde_json::{Value, json};

use crate::peer::{Peer, end};
use crate::report::Outcome;
use crate::stage::Stage;

const CLIENT: &str = "node host";
/// The peer needs seconds to start.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run(peer: &Peer, record: Option<&Path>) -> Result<Vec<Outcome>> {
    let stage = Stage::open(&json!({})).await?;
    let port = stage.recorder.port.to_string();
    // What the node may run is decided on its own machine.
    let policy =
        json!({ "version": 1, "defaults": { "security": "full", "ask": "off" }, "agents": {} });
    std::fs::write(
        stage.peer_home().join(".openclaw/exec-approvals.json"),
        policy.to_string(),
    )?;
    let start = [
        "node",
        "run",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--display-name",
        "Conformance",
    ];
    let mut host = peer.start(stage.peer_home(), &start, TOKEN)?;
    let mut outcomes = Vec::new();
    let node = connected(&stage).await;
    let id = match &node {
        Ok(node) => node["nodeId"].as_str().unwrap_or_default().to_owned(),
        Err(_) => String::new(),
    };
    outcomes.push(Outcome::new(
        CLIENT,
        "pairs and shows in `node.list`",
        node.map(drop),
    ));
    let invoke = async |command: &str, params: Value| {
        let mut client = stage.instance.client().await;
        let params = json!({
            "nodeId": id, "command": command, "params": params,
            "timeoutMs": 20_000, "idempotencyKey": format!("conformance-{command}"),
        });
        let answer = client.call("node.invoke", params).await;
        answer.map_err(|error| error.to_string())
    };
    let which = invoke("system.which", json!({ "bins": ["sh"] })).await;
    outcomes.push(Outcome::new(
        CLIENT,
        "`system.which`",
        which.and_then(|it| match it["payload"]["bins"]["sh"].is_string() {
            true => Ok(()),
            false => Err(it.to_string()),
        }),
    ));
    let ran = invoke("system.run", json!({ "command": ["/bin/echo", "hello"] })).await;
    outcomes.push(Outcome::new(
        CLIENT,
        "`system.run` of a command",
        ran.and_then(|it| match it["payload"]["stdout"] == "hello\n" {
            true => Ok(()),
            false => Err(it.to_string()),
        }),
    ));
    let policy = invoke("system.execApprovals.get", json!({})).await;
    outcomes.push(Outcome::new(
        CLIENT,
        "`system.execApprovals.get`",
        policy.and_then(|it| match it["payload"]["hash"].is_string() {
            true => Ok(()),
            false => Err(it.to_string()),
        }),
    ));
    for line in [
        "nodes status --json",
        "nodes describe --node Conformance --json",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let said = peer.run(stage.peer_home(), &words).await;
        let result = match said.code == Some(0) && said.out.contains("Conformance") {
            true => Ok(()),
            false => Err(format!("{said:?}")),
        };
        outcomes.push(Outcome::new(CLIENT, format!("`{line}`"), result));
    }
    let words = [
        "nodes",
        "invoke",
        "--node",
        "Conformance",
        "--command",
        "system.which",
        "--params",
        r#"{"bins":["ls"]}"#,
        "--json",
    ];
    let said = peer.run(stage.peer_home(), &words).await;
    let result = match said.code == Some(0) && said.out.contains("/ls") {
        true => Ok(()),
        false => Err(format!("{said:?}")),
    };
    outcomes.push(Outcome::new(
        CLIENT,
        "`nodes invoke --command system.which`",
        result,
    ));
    let replaced = stage.instance.restart(None).await.map(drop);
    // It ends by itself when its connection does, against the peer's own gateway too; its service manager starts it again.
    let ended = tokio::time::timeout(PATIENCE, host.wait()).await;
    if let Ok(ended) = ended {
        ended?;
        host = peer.start(stage.peer_home(), &start, TOKEN)?;
    }
    let back = match replaced {
        Ok(()) => connected(&stage).await.map(drop),
        Err(why) => Err(why),
    };
    outcomes.push(Outcome::new(
        CLIENT,
        "is let in again, by its own token, after the gateway was replaced",
        back,
    ));
    end(&mut host).await?;
    outcomes.push(Outcome::new(
        CLIENT,
        "is offline and still listed when it is gone",
        offline(&stage, &id).await,
    ));
    stage.keep(record, "node")?;
    Ok(outcomes)
}

/// Waits until a node is connected; its row.
async fn connected(stage: &Stage) -> Result<Value, String> {
    row(stage, |node| {
        node["connected"] == true && node["paired"] == true
    })
    .await
}

async fn offline(stage: &Stage, id: &str) -> Result<(), String> {
    row(stage, |node| {
        node["nodeId"] == id && node["connected"] == false
    })
    .await
    .map(drop)
}

async fn row(stage: &Stage, fits: impl Fn(&Value) -> bool) -> Result<Value, String> {
    let start = Moment::now();
    let mut client = stage.instance.client().await;
    loop {
        let list = match client.call("node.list", json!({})).await {
            Ok(list) => list,
            Err(error) => return Err(error.to_string()),
        };
        let nodes = list["nodes"].as_array();
        if let Some(node) = nodes.into_iter().flatten().find(|node| fits(node)) {
            return Ok(node.clone());
        }
        if Moment::now().since(start) > PATIENCE {
            let log =
                std::fs::read_to_string(stage.peer_home().join("peer.log")).unwrap_or_default();
            return Err(format!("{list}; the node host says {log}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
