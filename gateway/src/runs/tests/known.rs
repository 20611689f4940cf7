//! What existing clients know from the Node implementation, side by side with which these were compared.

use openclaw_tests::model_server::{ModelServer, Script};
use serde_json::{Value, json};

use super::{ask, is_chat, is_finish, until};
use crate::testing::{Client, Gateway};

/// Asks an agent for something; everything that comes until it is done.
async fn run(client: &mut Client, params: Value) -> Vec<Value> {
    ask(client, "A", "agent", params).await;
    until(client, is_finish).await
}

#[tokio::test(flavor = "local")]
async fn a_channel_that_nobody_knows_is_refused() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    for (key, channel, is_known) in [
        ("channel", "zzz", false),
        ("replyChannel", "zzz", false),
        ("channel", "whatsapp", true),
        ("channel", " Telegram ", true),
        ("replyChannel", "last", true),
        ("channel", "webchat", true),
    ] {
        let run = format!("{key} {channel}");
        let mut params = json!({"message": "hi", "agentId": "main", "idempotencyKey": run});
        params[key] = channel.into();
        ask(&mut client, &run, "agent", params).await;
        let seen = until(&mut client, |it| it["id"] == run.as_str()).await;
        let answer = seen.last().unwrap();
        if is_known {
            assert_eq!(answer["payload"]["status"], "accepted", "{answer}");
        } else {
            let why = &answer["error"]["message"];
            assert_eq!(*why, "invalid agent params: unknown channel: zzz");
        }
    }
}

#[tokio::test(flavor = "local")]
async fn a_session_id_that_is_new_names_a_conversation_of_its_own() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let params =
        |key: &str| json!({"message": "hi", "sessionId": "my-talk", "idempotencyKey": key});
    for key in ["one", "two"] {
        let seen = run(&mut client, params(key)).await;
        let last = seen.last().unwrap();
        assert_eq!(last["payload"]["status"], "ok", "{last}");
    }
    let history = json!({"sessionKey": "agent:main:explicit:my-talk"});
    let history = client.call("chat.history", history).await;
    let messages = history["payload"]["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 4, "{history}");
    let mut wrong = params("three");
    wrong["sessionId"] = "../../etc".into();
    let refused = client.call("agent", wrong).await;
    assert_eq!(refused["error"]["message"], "invalid session key");
}

#[tokio::test(flavor = "local")]
async fn a_provider_that_refuses_is_named_in_the_answer_and_in_the_transcript() {
    let server = ModelServer::start(Script::status(400, "bad thing")).await;
    let config = json!({
        "models": {"providers": {"one": {
            "baseUrl": server.base_url(), "apiKey": "key-1", "models": [{"id": "m", "contextWindow": 9_000}],
        }}},
        "agents": {"defaults": {"model": {"primary": "one/m"}}},
    });
    let gateway = Gateway::start_with(&config).await;
    let (mut client, _) = gateway.client().await;
    let params = json!({"message": "hi", "agentId": "main", "idempotencyKey": "k"});
    let seen = run(&mut client, params).await;
    let meta = &seen.last().unwrap()["payload"]["result"]["meta"]["agentMeta"];
    assert_eq!(
        (&meta["provider"], &meta["model"]),
        (&json!("one"), &json!("m")),
        "{meta}"
    );
    let history = json!({"sessionKey": "main"});
    let history = client.call("chat.history", history).await;
    let failed = &history["payload"]["messages"][1];
    assert_eq!(failed["stopReason"], "error", "{failed}");
    assert_eq!(
        (&failed["provider"], &failed["model"]),
        (&json!("one"), &json!("m"))
    );
    let listed = client.call("sessions.list", json!({})).await;
    assert_eq!(listed["payload"]["sessions"][0]["modelProvider"], "one");
}

#[tokio::test(flavor = "local")]
async fn what_no_step_has_caused_counts_as_the_step_after_the_last() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let command = json!({"sessionKey": "main", "message": "/whoami", "idempotencyKey": "c"});
    ask(&mut client, "C", "chat.send", command).await;
    let seen = until(&mut client, |it| is_chat(it, "c", "final")).await;
    assert_eq!(seen.last().unwrap()["payload"]["seq"], 1);
    let words = "word ".repeat(400);
    let slow = json!({
        "sessionKey": "main", "message": format!("/slow 300\n{words}"), "idempotencyKey": "s",
    });
    ask(&mut client, "S", "chat.send", slow).await;
    let mut seen = until(&mut client, |it| is_chat(it, "s", "delta")).await;
    ask(
        &mut client,
        "X",
        "chat.abort",
        json!({"sessionKey": "main"}),
    )
    .await;
    seen.extend(until(&mut client, |it| is_chat(it, "s", "aborted")).await);
    let steps = seen.iter().filter(|it| it["event"] == "agent");
    let last = steps.filter_map(|it| it["payload"]["seq"].as_u64()).max();
    let aborted = seen.last().unwrap()["payload"]["seq"].as_u64();
    assert_eq!(aborted, last.map(|last| last + 1));
}

#[tokio::test(flavor = "local")]
async fn what_a_tool_has_no_details_of_is_told_without_them() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let verbose = json!({"key": "main", "verboseLevel": "on"});
    client.call("sessions.patch", verbose).await;
    let write = r#"/tool write {"path": "a.txt", "content": "x"}"#;
    let params = json!({"message": write, "agentId": "main", "idempotencyKey": "w"});
    let seen = run(&mut client, params).await;
    let result = seen
        .iter()
        .map(|it| &it["payload"]["data"])
        .find(|it| it["phase"] == "result")
        .unwrap();
    assert_eq!(result["isError"], false, "{result}");
    assert!(result["result"].get("details").is_none(), "{result}");
}

#[tokio::test(flavor = "local")]
async fn what_tools_do_is_shown_for_the_run_that_asks_for_it() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let shows = |seen: &[Value]| seen.iter().any(|it| it["payload"]["stream"] == "tool");
    for (key, verbose, is_shown) in [
        ("a", None, false),
        ("b", Some("on"), true),
        ("c", None, false),
    ] {
        let mut params =
            json!({"message": "/tool session_status {}", "agentId": "main", "idempotencyKey": key});
        if let Some(verbose) = verbose {
            params["verbose"] = json!(verbose);
        }
        ask(&mut client, key, "agent", params).await;
        let seen = until(&mut client, is_finish).await;
        assert_eq!(shows(&seen), is_shown, "{key}: {seen:?}");
    }
    let said = "/verbose on /tool session_status {}";
    let seen = super::say(&mut client, said, "d").await;
    let seen = super::until_after(seen, &mut client, |it| super::is_chat(it, "d", "final")).await;
    assert!(shows(&seen), "{seen:?}");
    let params =
        json!({"message": "x", "agentId": "main", "idempotencyKey": "e", "verbose": "loud"});
    let refused = client.call("agent", params).await;
    assert_eq!(
        refused["error"]["message"],
        "invalid verbose (use on|off|full)"
    );
}
