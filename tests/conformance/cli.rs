//! The peer's command line.

use std::path::Path;

use anyhow::Result;
use openclaw_tests::client::{Socket, connect_params, request};
use openclaw_tests::home::TOKEN;
use serde_json::{Value, json};

use crate::peer::{Peer, Said};
use crate::report::Outcome;
use crate::stage::Stage;

const CLIENT: &str = "command line";

/// What is expected of the one JSON document that a command prints.
type Fits = fn(&Value) -> bool;

/// Commands that need nothing but a running gateway, in the order in which they build on one another.
const PLAIN: &[(&str, Fits)] = &[
    ("gateway health --json", |it| it["ok"] == true),
    ("health --json", |it| it["ok"] == true),
    ("gateway status --json", |it| it["rpc"]["ok"] == true),
    ("gateway probe --json", |it| {
        it["ok"] == true
            && it["targets"][0]["connect"]["ok"] == true
            && it["targets"][0]["health"]["ok"] == true
            && it["targets"][0]["config"]["valid"] == true
    }),
    ("status --json", |it| it["gateway"]["reachable"] == true),
    ("gateway call health --json", |it| it["ok"] == true),
    ("gateway call status --json", |it| {
        it["sessions"].is_object()
    }),
    ("gateway call system-presence --json", |it| {
        it.as_array().is_some_and(|list| !list.is_empty())
    }),
    ("gateway call config.get --json", |it| {
        it["valid"] == true && it["hash"].is_string()
    }),
    ("gateway call config.schema --json", |it| {
        it["schema"]["properties"]["gateway"].is_object()
    }),
    ("gateway call sessions.list --json", |it| {
        it["sessions"].is_array()
    }),
    ("gateway call agents.list --json", |it| {
        it["defaultId"].is_string()
    }),
    ("gateway call models.list --json", |it| {
        it["models"].is_array()
    }),
    ("gateway call voicewake.get --json", |it| {
        it["triggers"].is_array()
    }),
    ("gateway call last-heartbeat --json", Value::is_null),
    ("gateway usage-cost --json", |it| it["totals"].is_object()),
    ("channels status --json", |it| it["channelOrder"].is_array()),
    ("system presence --json", Value::is_array),
    (
        "system event --text hello --mode next-heartbeat --json",
        |it| it["ok"] == true,
    ),
    ("system heartbeat last --json", Value::is_null),
    ("cron status --json", |it| it["jobs"] == 0),
    (
        "cron add --name tea --at 2h --session main --system-event tea --json",
        |it| it["id"].is_string() && it["name"] == "tea",
    ),
    ("cron list --json", |it| it["jobs"][0]["name"] == "tea"),
    ("agent --agent main --message hello --json", |it| {
        it["status"] == "ok" && says(&it["result"]["payloads"], "hello")
    }),
    (
        r#"gateway call chat.history --params {"sessionKey":"main"} --json"#,
        |it| it["messages"][0]["role"] == "user" && it["messages"][1]["role"] == "assistant",
    ),
    (
        r#"gateway call agent --params {"message":"again","agentId":"main","idempotencyKey":"k1"} --expect-final --json"#,
        |it| it["status"] == "ok" && says(&it["result"]["payloads"], "again"),
    ),
    (
        r#"gateway call agent.wait --params {"runId":"k1"} --json"#,
        |it| it["status"] == "ok",
    ),
    (
        r#"gateway call chat.send --params {"sessionKey":"main","message":"/status","idempotencyKey":"k2"} --json"#,
        |it| it["runId"] == "k2",
    ),
    (
        "cron add --name job --every 2h --session isolated --message hi --json",
        |it| it["id"].is_string(),
    ),
    ("sessions --json", |it| it["sessions"].is_array()),
    (
        r#"gateway call sessions.preview --params {"keys":["main"]} --json"#,
        |it| it["previews"][0]["status"] == "ok",
    ),
    ("devices list --json", |it| {
        it["paired"].as_array().is_some_and(|list| !list.is_empty())
    }),
    ("nodes status --json", |it| it["nodes"].is_array()),
    ("nodes list --json", |it| it["paired"].is_array()),
    ("nodes pending --json", |it| {
        it.is_array() || it["pending"].is_array()
    }),
    ("approvals get --gateway --json", |it| {
        it["hash"].is_string()
    }),
    (
        "approvals allowlist add --gateway --agent main /usr/bin/uptime --json",
        |it| it["file"]["agents"]["main"]["allowlist"].is_array(),
    ),
];

/// Whether one of the parts of an answer holds a text.
fn says(parts: &Value, text: &str) -> bool {
    let parts = parts.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut texts = parts.iter().filter_map(|part| part["text"].as_str());
    texts.any(|part| part.contains(text))
}

pub(crate) async fn run(peer: &Peer, record: Option<&Path>) -> Result<Vec<Outcome>> {
    let stage = Stage::open(&json!({})).await?;
    let mut outcomes = Vec::new();
    for (line, fits) in PLAIN {
        let words: Vec<&str> = line.split(' ').collect();
        let said = peer.run(stage.peer_home(), &words).await;
        outcomes.push(Outcome::new(
            CLIENT,
            format!("`{line}`"),
            judge(&said, *fits),
        ));
    }
    outcomes.push(logs(peer, &stage).await);
    outcomes.extend(cron(peer, &stage).await);
    outcomes.extend(devices(peer, &stage).await);
    outcomes.extend(config(peer, &stage).await);
    outcomes.push(wrong_token(peer, &stage).await);
    stage.keep(record, "cli")?;
    Ok(outcomes)
}

fn judge(said: &Said, fits: Fits) -> Result<(), String> {
    let document = document(said)?;
    if fits(&document) {
        Ok(())
    } else {
        Err(format!("answered {document}"))
    }
}

/// The JSON document that a command printed; some print notes before it.
fn document(said: &Said) -> Result<Value, String> {
    let failed = |why: &str| {
        Err(format!(
            "{why}; code {:?}, printed {} {}",
            said.code, said.out, said.err
        ))
    };
    if said.code != Some(0) {
        return failed("it failed");
    }
    let text = said.out.trim();
    match serde_json::from_str(text) {
        Ok(document) => Ok(document),
        Err(_) => match text
            .find(['{', '['])
            .map(|at| serde_json::from_str(&text[at..]))
        {
            Some(Ok(document)) => Ok(document),
            Some(Err(_)) | None => failed("no JSON"),
        },
    }
}

async fn logs(peer: &Peer, stage: &Stage) -> Outcome {
    let said = peer
        .run(stage.peer_home(), &["logs", "--json", "--limit", "20"])
        .await;
    let result = if said.code == Some(0) && said.out.contains("\"type\":\"log\"") {
        Ok(())
    } else {
        Err(format!("{said:?}"))
    };
    Outcome::new(CLIENT, "`logs --json --limit 20`", result)
}

/// The life of a job.
async fn cron(peer: &Peer, stage: &Stage) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let listed = peer
        .run(stage.peer_home(), &["cron", "list", "--json"])
        .await;
    let id = document(&listed).map(|list| {
        list["jobs"][0]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    });
    let id = id.unwrap_or_default();
    let isolated = document(&listed).map(|list| {
        let jobs = list["jobs"].as_array().cloned().unwrap_or_default();
        let job = jobs.iter().find(|job| job["name"] == "job");
        job.and_then(|job| job["id"].as_str().map(str::to_owned))
    });
    let isolated = isolated.ok().flatten().unwrap_or_default();
    let steps: [(&str, &[&str], &str); 6] = [
        (
            "`cron run ID --force`",
            &["cron", "run", &isolated, "--force"],
            "true",
        ),
        (
            "`cron runs --id ID` after a run",
            &["cron", "runs", "--id", &isolated],
            "finished",
        ),
        ("`cron disable ID`", &["cron", "disable", &id], ""),
        (
            "`cron edit ID --name coffee`",
            &["cron", "edit", &id, "--name", "coffee"],
            "",
        ),
        (
            "`cron runs --id ID`",
            &["cron", "runs", "--id", &id],
            "entries",
        ),
        (
            "`cron rm ID --json`",
            &["cron", "rm", &id, "--json"],
            "removed",
        ),
    ];
    for (what, words, expected) in steps {
        let said = peer.run(stage.peer_home(), words).await;
        let result = if said.code == Some(0) && said.out.contains(expected) {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        };
        outcomes.push(Outcome::new(CLIENT, what, result));
    }
    outcomes
}

/// A device that comes through a proxy has to be approved.
async fn devices(peer: &Peer, stage: &Stage) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let request_id = ask_to_be_paired(stage.instance.home().port()).await;
    let approved = peer
        .run(
            stage.peer_home(),
            &["devices", "approve", &request_id, "--json"],
        )
        .await;
    let device = document(&approved).map(|it| {
        it["device"]["deviceId"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    });
    outcomes.push(Outcome::new(
        CLIENT,
        "`devices approve REQUEST --json`",
        match &device {
            Ok(id) if !id.is_empty() => Ok(()),
            Ok(_) => Err(format!("{approved:?}")),
            Err(why) => Err(why.clone()),
        },
    ));
    let device = device.unwrap_or_default();
    for verb in ["rotate", "revoke"] {
        let words = [
            "devices", verb, "--device", &device, "--role", "operator", "--json",
        ];
        let said = peer.run(stage.peer_home(), &words).await;
        let result = document(&said).and_then(|it| match it["deviceId"] == device.as_str() {
            true => Ok(()),
            false => Err(it.to_string()),
        });
        outcomes.push(Outcome::new(
            CLIENT,
            format!("`devices {verb} --device ID --role operator`"),
            result,
        ));
    }
    outcomes
}

/// Connects as a new device from afar; the id of the request that waits for approval.
async fn ask_to_be_paired(port: u16) -> String {
    let headers = [("x-forwarded-for", "203.0.113.9")];
    let Ok(mut socket) = Socket::open_with(port, "/", &headers).await else {
        return String::new();
    };
    let challenge = socket.frame().await;
    let nonce = challenge["payload"]["nonce"].as_str().unwrap_or_default();
    let mut params = connect_params(TOKEN);
    openclaw_tests::device::Device::new(7).sign(&mut params, nonce);
    socket.send(&request("c", "connect", params)).await;
    let answer = socket.frame().await;
    let id = &answer["error"]["details"]["requestId"];
    id.as_str().unwrap_or_default().to_owned()
}

/// Reads, writes and reads again, as the peer's tools do.
async fn config(peer: &Peer, stage: &Stage) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let call = async |method: &str, params: Value| {
        let params = params.to_string();
        let words = ["gateway", "call", method, "--params", &params, "--json"];
        document(&peer.run(stage.peer_home(), &words).await)
    };
    let hash = async || {
        let snapshot = call("config.get", json!({})).await?;
        Ok::<_, String>(snapshot["hash"].as_str().unwrap_or_default().to_owned())
    };
    let patched = async {
        let patch = json!({ "ui": { "assistant": { "name": "Clawd" } } }).to_string();
        let answer = call(
            "config.patch",
            json!({ "raw": patch, "baseHash": hash().await? }),
        )
        .await?;
        match answer["ok"] == true && answer["config"]["ui"]["assistant"]["name"] == "Clawd" {
            true => Ok(()),
            false => Err(answer.to_string()),
        }
    };
    outcomes.push(Outcome::new(
        CLIENT,
        "`gateway call config.patch`",
        patched.await,
    ));
    let stale = call(
        "config.patch",
        json!({ "raw": "{}", "baseHash": "0".repeat(64) }),
    )
    .await;
    let result = match stale {
        Err(why) if why.contains("config changed since last load") => Ok(()),
        other => Err(format!("{other:?}")),
    };
    outcomes.push(Outcome::new(
        CLIENT,
        "`gateway call config.patch` on an old hash is refused",
        result,
    ));
    outcomes
}

async fn wrong_token(peer: &Peer, stage: &Stage) -> Outcome {
    let url = format!("ws://127.0.0.1:{}", stage.recorder.port);
    let fresh = tempfile::TempDir::with_prefix("openclaw-peer-");
    let result = match fresh {
        Ok(home) => {
            let words = ["gateway", "health", "--url", &url, "--token", "nonsense"];
            let said = peer.run(home.path(), &words).await;
            match said.code == Some(1) && said.err.contains("unauthorized") {
                true => Ok(()),
                false => Err(format!("{said:?}")),
            }
        }
        Err(error) => Err(error.to_string()),
    };
    Outcome::new(CLIENT, "a wrong token is refused with its hint", result)
}
