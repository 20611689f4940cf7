//! The families that show an instance without runs and channels, over a real socket.

use serde_json::{Value, json};

use crate::testing::{Client, Gateway, connect};

async fn ok(client: &mut Client, method: &str, params: Value) -> Value {
    let shown = params.to_string();
    let mut answer = client.call(method, params).await;
    assert_eq!(answer["ok"], true, "{method} {shown}: {answer}");
    answer["payload"].take()
}

/// The code and the text of a refusal.
async fn no(client: &mut Client, method: &str, params: Value) -> String {
    let shown = params.to_string();
    let answer = client.call(method, params).await;
    assert_eq!(answer["ok"], false, "{method} {shown}: {answer}");
    let text = |key: &str| answer["error"][key].as_str().unwrap().to_owned();
    format!("{} {}", text("code"), text("message"))
}

#[tokio::test(flavor = "local")]
async fn agents_of_the_configuration_are_shown_by_the_ids_that_keys_use() {
    let gateway = Gateway::start_with(&json!({
        "agents": {"list": [
            {"id": "ops", "name": "Ops", "default": true},
            {"id": "Second Agent"},
            {"id": "second-agent", "name": "Twice"},
        ]},
        "session": {"mainKey": "boss"},
    }))
    .await;
    let (mut client, hello) = gateway.client().await;
    assert_eq!(
        hello["payload"]["snapshot"]["sessionDefaults"],
        json!({"defaultAgentId": "ops", "mainKey": "main", "mainSessionKey": "agent:ops:main", "scope": "per-sender"})
    );
    let rows = json!([{"id": "ops", "name": "Ops"}, {"id": "second-agent"}]);
    assert_eq!(
        ok(&mut client, "agents.list", json!({})).await["agents"],
        rows
    );
    let health = ok(&mut client, "health", json!({})).await;
    assert_eq!(
        (
            &health["agents"][0]["agentId"],
            &health["agents"][0]["name"]
        ),
        (&json!("ops"), &json!("Ops"))
    );
    assert_eq!(
        (
            &health["agents"][1]["agentId"],
            health["agents"][1].get("name"),
            health["agents"].get(2)
        ),
        (&json!("second-agent"), None, None)
    );
}

#[tokio::test(flavor = "local")]
async fn a_fresh_instance_shows_nothing_that_is_not_there() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let mut list = ok(
        &mut client,
        "sessions.list",
        json!({"includeGlobal": true, "activeMinutes": 10, "limit": 120}),
    )
    .await;
    assert!(list["ts"].take().is_u64());
    assert_eq!(
        list,
        json!({
            "ts": null, "path": "~/.openclaw/openclaw.sqlite", "count": 0,
            "defaults": {"modelProvider": "offline", "model": "echo", "contextTokens": 200_000}, "sessions": [],
        })
    );
    assert_eq!(
        ok(&mut client, "agents.list", json!({})).await,
        json!({"defaultId": "main", "mainKey": "main", "scope": "per-sender", "agents": [{"id": "main"}]})
    );
    let identity = json!({"agentId": "main", "name": "Assistant", "avatar": "A"});
    assert_eq!(
        ok(
            &mut client,
            "agent.identity.get",
            json!({"sessionKey": "agent:main:main"})
        )
        .await,
        identity
    );
    assert_eq!(
        ok(&mut client, "models.list", json!({})).await,
        json!({"models": [{
            "id": "echo", "name": "Echo (offline)", "provider": "offline",
            "contextWindow": 200_000, "reasoning": false, "input": ["text"],
        }]})
    );
    let channels = ok(
        &mut client,
        "channels.status",
        json!({"probe": true, "timeoutMs": 8000}),
    )
    .await;
    assert_eq!(channels["channelOrder"], json!([]));
    assert_eq!(channels["channelAccounts"], json!({}));
    assert_eq!(
        ok(&mut client, "usage.status", json!({"x": 1})).await["providers"],
        json!([])
    );
    let cost = ok(&mut client, "usage.cost", json!({"days": "7"})).await;
    assert_eq!(
        (
            &cost["days"],
            &cost["daily"],
            &cost["totals"]["totalTokens"]
        ),
        (&json!(7), &json!([]), &json!(0))
    );
    assert_eq!(
        ok(&mut client, "last-heartbeat", json!({})).await,
        Value::Null
    );
    assert_eq!(
        ok(&mut client, "cron.list", json!({})).await,
        json!({"jobs": []})
    );
    assert_eq!(
        ok(&mut client, "cron.status", json!({})).await,
        json!({"enabled": true, "storePath": "~/.openclaw/openclaw.sqlite", "jobs": 0, "nextWakeAtMs": null})
    );
    let skills = ok(&mut client, "skills.status", json!({})).await;
    assert_eq!(skills["skills"], json!([]));
    assert_eq!(
        ok(&mut client, "voicewake.get", json!({})).await["triggers"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test(flavor = "local")]
async fn sessions_are_set_listed_and_deleted() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let patched = ok(
        &mut client,
        "sessions.patch",
        json!({"key": "main", "label": "L", "thinkingLevel": "high"}),
    )
    .await;
    assert_eq!(
        (&patched["ok"], &patched["key"], &patched["path"]),
        (
            &json!(true),
            &json!("agent:main:main"),
            &json!("~/.openclaw/openclaw.sqlite")
        )
    );
    for _ in 0..2 {
        // The second answer is a kept one.
        let list = ok(&mut client, "sessions.list", json!({"search": "l"})).await;
        assert_eq!(
            (&list["count"], &list["sessions"][0]["label"]),
            (&json!(1), &json!("L"))
        );
    }
    ok(
        &mut client,
        "sessions.patch",
        json!({"key": "main", "label": null}),
    )
    .await;
    let list = ok(&mut client, "sessions.list", json!({"search": "l"})).await;
    assert_eq!(
        list["count"], 0,
        "a kept answer is not told after a change: {list}"
    );
    let status = ok(&mut client, "status", json!({})).await;
    assert_eq!(
        (
            &status["sessions"]["count"],
            &status["sessions"]["recent"][0]["key"]
        ),
        (&json!(1), &json!("agent:main:main"))
    );
    let health = ok(&mut client, "health", json!({})).await;
    assert_eq!(
        (&health["ok"], &health["sessions"]["count"]),
        (&json!(true), &json!(1))
    );
    let previews = ok(
        &mut client,
        "sessions.preview",
        json!({"keys": ["main", "zzz", "../x"]}),
    )
    .await;
    assert_eq!(
        previews["previews"],
        json!([
            {"key": "main", "status": "empty", "items": []}, {"key": "zzz", "status": "missing", "items": []},
            {"key": "../x", "status": "error", "items": []},
        ])
    );
    assert_eq!(
        ok(&mut client, "sessions.resolve", json!({"key": "main"})).await,
        json!({"ok": true, "key": "agent:main:main"})
    );
    let compact = ok(&mut client, "sessions.compact", json!({"key": "main"})).await;
    assert_eq!(
        compact,
        json!({"ok": true, "key": "agent:main:main", "compacted": false, "reason": "no transcript"})
    );
    assert_eq!(
        ok(&mut client, "sessions.reset", json!({"key": "new"})).await["entry"]["totalTokens"],
        0
    );
    assert_eq!(
        ok(&mut client, "sessions.delete", json!({"key": "new"})).await,
        json!({"ok": true, "key": "agent:main:new", "deleted": true, "archived": []})
    );
    for (method, params, text) in [
        (
            "sessions.list",
            json!({"limit": 0, "foo": 1}),
            "invalid sessions.list params: at root: unexpected property 'foo'; at /limit: must be >= 1",
        ),
        (
            "sessions.patch",
            json!({"key": "x", "label": ""}),
            "invalid sessions.patch params: at /label: must NOT have fewer than 1 characters; at /label: must be null; at /label: must match a schema in anyOf",
        ),
        (
            "sessions.patch",
            json!({"key": "x", "sendPolicy": "bogus"}),
            "invalid sessions.patch params: at /sendPolicy: must be equal to constant; at /sendPolicy: must be null; at /sendPolicy: must match a schema in anyOf",
        ),
        (
            "sessions.preview",
            json!({"keys": []}),
            "invalid sessions.preview params: at /keys: must NOT have fewer than 1 items",
        ),
        (
            "sessions.delete",
            json!({"key": "main"}),
            "Cannot delete the main session (agent:main:main).",
        ),
        ("sessions.patch", json!({"key": "  "}), "key required"),
        ("system-event", json!({}), "text required"),
        ("system-event", json!({"text": " \n"}), "text required"),
        (
            "sessions.resolve",
            json!({}),
            "Either key, sessionId, or label is required",
        ),
    ] {
        assert_eq!(
            no(&mut client, method, params).await,
            format!("INVALID_REQUEST {text}")
        );
    }
}

#[tokio::test(flavor = "local")]
async fn jobs_are_added_changed_and_removed_and_everybody_is_told() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let (mut watcher, _) = gateway.client().await;
    let spec = json!({"job": {"name": "A", "schedule": {"at": "2030-01-01"}, "payload": {"kind": "systemEvent", "text": "hi"}}});
    let job = ok(&mut client, "cron.add", spec).await;
    assert_eq!(
        (
            &job["enabled"],
            &job["schedule"],
            &job["state"],
            &job["sessionTarget"],
            &job["wakeMode"]
        ),
        (
            &json!(true),
            &json!({"kind": "at", "atMs": 1_893_456_000_000_u64}),
            &json!({"nextRunAtMs": 1_893_456_000_000_u64}),
            &json!("main"),
            &json!("next-heartbeat")
        )
    );
    let id = job["id"].clone();
    let told = |action: &str| json!({"jobId": id, "action": action});
    let mut added = told("added");
    added["nextRunAtMs"] = json!(1_893_456_000_000_u64);
    assert_eq!(watcher.event("cron").await["payload"], added);
    let changed = ok(
        &mut client,
        "cron.update",
        json!({"jobId": id, "patch": {"enabled": "false", "name": " B "}}),
    )
    .await;
    assert_eq!(
        (&changed["name"], &changed["enabled"]),
        (&json!("B"), &json!(false))
    );
    assert_eq!(watcher.event("cron").await["payload"], told("updated"));
    assert_eq!(
        ok(&mut client, "cron.list", json!({})).await["jobs"],
        json!([])
    );
    assert_eq!(
        ok(&mut client, "cron.list", json!({"includeDisabled": true})).await["jobs"],
        json!([changed])
    );
    assert_eq!(ok(&mut client, "cron.status", json!({})).await["jobs"], 1);
    assert_eq!(
        ok(&mut client, "cron.runs", json!({"id": id})).await,
        json!({"entries": []})
    );
    assert_eq!(
        ok(&mut client, "cron.remove", json!({"id": id})).await,
        json!({"ok": true, "removed": true})
    );
    assert_eq!(watcher.event("cron").await["payload"], told("removed"));
    assert_eq!(
        ok(&mut client, "cron.remove", json!({"id": id})).await,
        json!({"ok": true, "removed": false})
    );
    assert_eq!(
        ok(&mut client, "cron.remove", json!({"id": "../../x"})).await["removed"],
        false
    );
    let every = json!({"kind": "every", "everyMs": 1000});
    for (method, params, text) in [
        (
            "cron.run",
            json!({"id": "x"}),
            "UNAVAILABLE Error: unknown cron job id: x",
        ),
        (
            "cron.update",
            json!({"id": "zz", "patch": {}}),
            "UNAVAILABLE Error: unknown cron job id: zz",
        ),
        (
            "cron.update",
            json!({"id": "../x", "patch": {}}),
            "UNAVAILABLE Error: unknown cron job id: ../x",
        ),
        (
            "cron.runs",
            json!({}),
            "INVALID_REQUEST invalid cron.runs params: must have required property 'id'; must have required property 'jobId'; must match a schema in anyOf",
        ),
        (
            "cron.runs",
            json!({"id": "q", "limit": 0}),
            "INVALID_REQUEST invalid cron.runs params: at /limit: must be >= 1; must have required property 'jobId'; at root: unexpected property 'id'; must match a schema in anyOf",
        ),
        (
            "cron.add",
            json!({}),
            "INVALID_REQUEST invalid cron.add params: must have required property 'name'; must have required property 'schedule'; must have required property 'sessionTarget'; must have required property 'payload'",
        ),
        (
            "cron.add",
            json!({"name": "D", "schedule": {"kind": "every", "everyMs": 0}, "payload": {"kind": "systemEvent", "text": "hi"}}),
            "INVALID_REQUEST invalid cron.add params: at /schedule: must have required property 'atMs'; at /schedule: unexpected property 'everyMs'; \
             at /schedule/kind: must be equal to constant; at /schedule/everyMs: must be >= 1; at /schedule: must have required property 'expr'; \
             at /schedule: must match a schema in anyOf",
        ),
        (
            "cron.add",
            json!({"name": "D", "schedule": every, "sessionTarget": "main", "payload": {"kind": "agentTurn", "message": "hi"}}),
            "UNAVAILABLE Error: main cron jobs require payload.kind=\"systemEvent\"",
        ),
    ] {
        assert_eq!(no(&mut client, method, params).await, text, "{method}");
    }
}

#[tokio::test(flavor = "local")]
async fn notes_and_wake_words_are_kept() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let (mut watcher, _) = gateway.client().await;
    assert_eq!(
        ok(&mut client, "wake", json!({"mode": "now", "text": " "})).await,
        json!({"ok": false})
    );
    assert_eq!(
        ok(
            &mut client,
            "wake",
            json!({"mode": "next-heartbeat", "text": "hello"})
        )
        .await,
        json!({"ok": true})
    );
    assert_eq!(
        ok(&mut client, "status", json!({})).await["queuedSystemEvents"],
        json!(["hello"])
    );
    assert_eq!(
        no(&mut client, "wake", json!({})).await,
        "INVALID_REQUEST invalid wake params: must have required property 'mode'; must have required property 'text'"
    );
    let set = ok(
        &mut client,
        "voicewake.set",
        json!({"triggers": [" a ", 5, ""]}),
    )
    .await;
    assert_eq!(set, json!({"triggers": ["a"]}));
    let changed = watcher.event("voicewake.changed").await;
    assert_eq!(changed["payload"], set);
    assert!(changed["seq"].is_u64());
    assert_eq!(ok(&mut client, "voicewake.get", json!({})).await, set);
    assert_eq!(
        serde_json::to_value(gateway.context.voicewake_triggers().unwrap()).unwrap(),
        set
    );
    for params in [json!({}), json!({"triggers": "x"})] {
        assert_eq!(
            no(&mut client, "voicewake.set", params).await,
            "INVALID_REQUEST voicewake.set requires triggers: string[]"
        );
    }
    for enabled in [false, true] {
        assert_eq!(
            ok(&mut client, "set-heartbeats", json!({"enabled": enabled})).await,
            json!({"ok": true, "enabled": enabled})
        );
    }
}

#[tokio::test(flavor = "local")]
async fn what_the_configuration_names_is_shown() {
    let gateway = Gateway::start_with(&json!({
        "agents": {"list": [{"id": "Ops", "default": true, "name": "Operations", "identity": {"emoji": "🛠"}}, {"id": "b"}]},
        "channels": {"telegram": {"botToken": "1:CANARY"}},
    }))
    .await;
    let (mut client, _) = gateway.client().await;
    assert_eq!(
        ok(&mut client, "agents.list", json!({})).await["agents"],
        json!([{"id": "ops", "name": "Operations", "identity": {"emoji": "🛠"}}, {"id": "b"}])
    );
    let channels = ok(&mut client, "channels.status", json!({})).await;
    assert_eq!(channels["channels"]["telegram"]["configured"], true);
    assert_eq!(channels["channels"]["telegram"]["running"], false);
    assert_eq!(
        channels["channels"]["telegram"]["lastError"],
        "channels are not part of this version"
    );
    assert_eq!(
        channels["channelAccounts"]["telegram"][0]["accountId"],
        "default"
    );
    assert!(!channels.to_string().contains("CANARY"));
    let identity = ok(&mut client, "agent.identity.get", json!({})).await;
    assert_eq!(
        identity,
        json!({"agentId": "ops", "name": "Assistant", "avatar": "🛠"})
    );
    assert_eq!(
        no(
            &mut client,
            "agent.identity.get",
            json!({"agentId": "b", "sessionKey": "main"})
        )
        .await,
        "INVALID_REQUEST invalid agent.identity.get params: agent \"b\" does not match session key agent \"ops\""
    );
    let patched = ok(&mut client, "sessions.patch", json!({"key": "main"})).await;
    assert_eq!(patched["key"], "agent:ops:main");
}

/// Threat rules 35 and 36: what writes asks for its scope before it looks at anything else.
#[tokio::test(flavor = "local")]
async fn rule_35_36_readers_and_writers_change_nothing_beyond_their_scope() {
    let gateway = Gateway::start().await;
    let admin = [
        "sessions.patch",
        "sessions.reset",
        "sessions.delete",
        "sessions.compact",
        "sessions.resolve",
        "cron.add",
        "cron.update",
        "cron.remove",
        "cron.run",
        "set-heartbeats",
    ];
    let write = ["wake", "voicewake.set"];
    for (scope, refused) in [
        ("operator.read", [&admin[..], &write[..]].concat()),
        ("operator.write", admin.to_vec()),
    ] {
        let mut params = connect();
        params["scopes"] = json!([scope]);
        let mut client = gateway.open().await;
        assert_eq!(client.connect(params).await["ok"], true);
        for method in refused {
            let missing = if write.contains(&method) {
                "operator.write"
            } else {
                "operator.admin"
            };
            for params in [
                json!({}),
                json!([1]),
                json!({"key": "x", "id": "x", "mode": "now", "text": "t", "triggers": []}),
            ] {
                assert_eq!(
                    no(&mut client, method, params).await,
                    format!("INVALID_REQUEST missing scope: {missing}"),
                    "{scope} {method}"
                );
            }
        }
        for method in [
            "sessions.list",
            "agents.list",
            "cron.list",
            "cron.status",
            "channels.status",
            "skills.status",
            "usage.cost",
            "models.list",
        ] {
            ok(&mut client, method, json!({})).await;
        }
        // What is not known is asked for by administrators alone, so that a name tells nobody else anything.
        assert_eq!(
            no(&mut client, "no.such.method", json!({})).await,
            "INVALID_REQUEST missing scope: operator.admin"
        );
    }
}

/// Threat rule 58: identifiers that could become file names read and write nothing.
#[tokio::test(flavor = "local")]
async fn rule_58_planted_paths_lead_nowhere() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let before = files(gateway.home.path());
    for key in [
        "../../../../etc/passwd",
        "agent:main:../../x",
        "agent:../../x:main",
    ] {
        for method in [
            "sessions.patch",
            "sessions.reset",
            "sessions.delete",
            "sessions.compact",
        ] {
            assert_eq!(
                no(&mut client, method, json!({"key": key})).await,
                "INVALID_REQUEST invalid session key"
            );
        }
        let refused = no(
            &mut client,
            "agent.identity.get",
            json!({"sessionKey": key}),
        )
        .await;
        assert!(refused.contains("invalid session key"), "{refused}");
    }
    assert_eq!(
        ok(&mut client, "cron.runs", json!({"id": "../../x"})).await,
        json!({"entries": []})
    );
    assert_eq!(
        ok(&mut client, "sessions.list", json!({"agentId": "../x"})).await["count"],
        0
    );
    assert_eq!(files(gateway.home.path()), before);
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}
