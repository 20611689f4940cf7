use std::sync::Arc;

use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::scope::{Rights, Role};
use serde_json::{Value, json};

use super::{Place, Reply, Then, answer, parse};
use crate::connection::Caller;
use crate::services::session_key::SessionKey;
use crate::services::sessions::{self, Register};
use crate::testing::{Gateway, connect};

fn caller(gateway: &Gateway, scopes: &[&str]) -> Arc<Caller> {
    let params: ConnectParams = serde_json::from_value(connect()).unwrap();
    Arc::new(Caller {
        link: gateway.context.hub.number(),
        rights: Rights::new(Role::Operator, scopes.iter().copied()),
        device: None,
        agent: None,
        client: params.client,
        presence_key: None,
    })
}

fn session(gateway: &Gateway) -> SessionKey {
    Register::new(gateway.context.settings())
        .key("main")
        .unwrap()
}

async fn say(gateway: &Gateway, scopes: &[&str], text: &str) -> Reply {
    let command = parse(text).unwrap_or_else(|| panic!("{text} is a command"));
    let place = Place {
        context: &gateway.context,
        caller: &caller(gateway, scopes),
        session: &session(gateway),
        agent: "main",
    };
    answer(&place, command).await
}

fn entry(gateway: &Gateway) -> Value {
    let found = gateway
        .context
        .store
        .read(|reader| Ok(sessions::find(reader, "agent:main:main")))
        .unwrap()
        .unwrap();
    serde_json::to_value(found).unwrap()
}

const WRITER: &[&str] = &["operator.write"];
const OWNER: &[&str] = &["operator.admin"];

fn config() -> Value {
    json!({"agents": {"defaults": {"model": "p/one", "models": {"p/one": {}, "p/two": {"alias": "second"}}}}})
}

#[tokio::test(flavor = "local")]
async fn whoever_may_write_sets_how_the_conversation_thinks() {
    let gateway = Gateway::start_with(&config()).await;
    let told = say(&gateway, WRITER, "/think high /verbose on").await;
    assert_eq!(told.text, "⚙️ Thinking: high.\n⚙️ Verbose: on.");
    let kept = entry(&gateway);
    assert_eq!(
        (&kept["thinkingLevel"], &kept["verboseLevel"]),
        (&json!("high"), &json!("on"))
    );
    let told = say(&gateway, WRITER, "/think").await.text;
    assert!(
        told.starts_with("⚙️ Thinking: high. Choices: off, "),
        "{told}"
    );
    let told = say(&gateway, WRITER, "/think banana").await.text;
    assert!(told.contains("no level \"banana\""), "{told}");
    let told = say(&gateway, WRITER, "/usage tokens").await.text;
    assert!(told.contains("tokens"), "{told}");
    assert_eq!(entry(&gateway)["responseUsage"], "tokens");
}

#[tokio::test(flavor = "local")]
async fn models_are_chosen_by_name_alias_and_number() {
    let gateway = Gateway::start_with(&config()).await;
    for (text, told) in [
        ("/model second", "🧠 Model: p/two (default p/one)"),
        ("/model default", "🧠 Model: p/one"),
        ("/model 2", "🧠 Model: p/two (default p/one)"),
        ("/model status", "🧠 Model: p/two (default p/one)"),
        ("/model p/one", "🧠 Model: p/one"),
        (
            "/model 9",
            "⚠️ There is no model 9. /model list tells which there are.",
        ),
        ("/model x/y", "⚠️ model not allowed: x/y"),
    ] {
        assert_eq!(say(&gateway, WRITER, text).await.text, told, "{text}");
    }
    let told = say(&gateway, WRITER, "/models").await.text;
    assert!(told.contains("1. p/one\n2. p/two"), "{told}");
}

#[tokio::test(flavor = "local")]
async fn rule_48_what_decides_on_commands_and_the_gateway_is_for_owners() {
    let gateway = Gateway::start_with(&config()).await;
    for text in [
        "/exec security=full",
        "/elevated full",
        "/send off",
        "/restart",
    ] {
        let told = say(&gateway, WRITER, text).await.text;
        assert_eq!(told, "⚠️ missing scope: operator.admin", "{text}");
    }
    assert_eq!(entry(&gateway), Value::Null);
    let told = say(&gateway, OWNER, "/exec host=gateway ask=always")
        .await
        .text;
    assert!(
        told.contains("host gateway · security as configured · ask always"),
        "{told}"
    );
    let told = say(&gateway, OWNER, "/exec ask=never").await.text;
    assert!(told.starts_with("⚠️ invalid execAsk"), "{told}");
    let told = say(&gateway, OWNER, "/restart").await.text;
    assert_eq!(told, "⚠️ /restart is off. commands.restart turns it on.");
    let told = say(&gateway, WRITER, "/approve x allow-once").await.text;
    assert_eq!(told, "⚠️ missing scope: operator.approvals");
    let told = say(&gateway, OWNER, "/approve x yes").await.text;
    assert_eq!(told, "⚠️ unknown approval id");
}

#[tokio::test(flavor = "local")]
async fn rule_48_a_command_in_a_message_has_the_rights_of_whoever_sent_it() {
    let gateway = Gateway::start_with(&config()).await;
    let (mut owner, _) = gateway.client().await;
    let asked = json!({"id": "a1", "command": "rm -rf /", "timeoutMs": 60_000});
    let asked =
        json!({"type": "req", "id": "q", "method": "exec.approval.request", "params": asked});
    owner.send(asked.to_string()).await;
    owner.event("exec.approval.requested").await;
    let (mut writer, _, _) = gateway
        .device(5, |params| {
            params["scopes"] = json!(["operator.read", "operator.write"]);
        })
        .await;
    for (at, (text, scope)) in [
        ("/approve a1 allow-once", "operator.approvals"),
        ("/exec security=full", "operator.admin"),
        ("/elevated full", "operator.admin"),
        ("/restart", "operator.admin"),
    ]
    .into_iter()
    .enumerate()
    {
        let params =
            json!({"sessionKey": "main", "message": text, "idempotencyKey": format!("c{at}")});
        let sent = writer.call("chat.send", params).await;
        assert_eq!(sent["ok"], true, "{sent}");
        let told = loop {
            let told = owner.event("chat").await["payload"].clone();
            if told["runId"] == format!("c{at}") && told["state"] == "final" {
                break told;
            }
        };
        let told = told["message"]["content"][0]["text"].to_string();
        assert!(told.contains(&format!("missing scope: {scope}")), "{told}");
    }
    let kept = entry(&gateway);
    assert_eq!(
        (&kept["execSecurity"], &kept["elevatedLevel"]),
        (&Value::Null, &Value::Null)
    );
    // It still waits, so its owner can decide.
    let told = say(&gateway, OWNER, "/approve a1 no").await.text;
    assert_eq!(told, "✅ Decided: deny.");
}

#[tokio::test(flavor = "local")]
async fn what_comes_after_an_answer_is_said_with_it() {
    let gateway = Gateway::start_with(&config()).await;
    for (text, then) in [
        ("/new", Then::Reset { message: None }),
        (
            "/new second tell me",
            Then::Reset {
                message: Some("tell me".into()),
            },
        ),
        (
            "/reset what is new?",
            Then::Reset {
                message: Some("what is new?".into()),
            },
        ),
        ("/stop", Then::Stop),
        (
            "/compact mind the tea",
            Then::Compact {
                wish: Some("mind the tea".into()),
            },
        ),
        (
            "/skill tea green",
            Then::Say("Use the skill \"tea\" for this.\n\ngreen".into()),
        ),
        ("/help", Then::Nothing),
        ("/tts on", Then::Nothing),
    ] {
        assert_eq!(say(&gateway, WRITER, text).await.then, then, "{text}");
    }
    assert_eq!(entry(&gateway)["modelOverride"], "two");
}

#[tokio::test(flavor = "local")]
async fn people_see_how_things_stand() {
    let gateway = Gateway::start_with(&config()).await;
    for (text, parts) in [
        ("/help", &["/help — ", "/commands lists all"][..]),
        ("/commands", &["/restart — ", "/compact"]),
        ("/status", &["🦞 OpenClaw", "p/one", "agent:main:main"]),
        (
            "/whoami",
            &["gateway-client", "agent:main:main (agent main)"],
        ),
        ("/context", &["/context list"]),
        ("/context list", &["AGENTS.md: OK", "Tools: ", "Skills: 0"]),
        ("/context detail", &["- session_status: "]),
        ("/context json", &["\"injectedWorkspaceFiles\""]),
        ("/subagents", &["started no other agents"]),
        ("/usage cost", &["tokens, $0.00"]),
    ] {
        let told = say(&gateway, WRITER, text).await.text;
        for part in parts {
            assert!(told.contains(part), "{part} of {text} in {told}");
        }
    }
}

#[tokio::test(flavor = "local")]
async fn a_session_has_a_queue_of_its_own_until_that_is_taken_back() {
    let gateway =
        Gateway::start_with(&json!({"messages": {"queue": {"mode": "steer", "cap": 3}}})).await;
    let configured = "⚙️ Queue: steer · debounce 1000 ms · cap 3 · drop summarize";
    assert_eq!(say(&gateway, WRITER, "/queue").await.text, configured);
    let set = say(
        &gateway,
        WRITER,
        "/queue followup debounce:2s cap:25 drop:old",
    )
    .await;
    let own = "⚙️ Queue: followup · debounce 2000 ms · cap 25 · drop old";
    assert_eq!(set.text, own);
    assert_eq!(say(&gateway, WRITER, "/queue").await.text, own);
    let kept = entry(&gateway);
    assert_eq!(
        (&kept["queueMode"], &kept["queueDebounceMs"]),
        (&json!("followup"), &json!(2000))
    );
    let refused = say(&gateway, WRITER, "/queue banana").await.text;
    assert!(
        refused.contains("banana") && refused.contains("steer-backlog"),
        "{refused}"
    );
    assert_eq!(say(&gateway, WRITER, "/queue").await.text, own);
    assert_eq!(say(&gateway, WRITER, "/queue reset").await.text, configured);
    assert_eq!(entry(&gateway).get("queueMode"), None);
}

#[tokio::test(flavor = "local")]
async fn what_is_not_here_says_so() {
    let gateway = Gateway::start().await;
    for command in ["/tts on", "/bash ls", "/debug show", "/subagents log 1"] {
        let answer = say(&gateway, OWNER, command).await.text;
        assert!(answer.contains("is not available"), "{command}: {answer}");
    }
}
