//! The same promises in the words of every protocol that models are asked in.

use std::time::Duration;

use futures_util::future::join_all;
use openclaw_shared::clock::Moment;
use openclaw_tests::model_server::{Answer, End, ModelServer, Script};
use serde_json::json;

use super::{Stage, provider, roles};

/// The protocols, and where each of them says how much is to be thought and what that is called.
const PROTOCOLS: [(&str, &str); 4] = [
    ("openai-completions", "/reasoning_effort"),
    ("openai-responses", "/reasoning/effort"),
    ("anthropic-messages", "/thinking/type"),
    ("google-generative-ai", "/generationConfig/thinkingConfig"),
];

/// The smallest picture there is.
const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test]
async fn every_protocol_carries_thoughts_calls_and_answers() {
    for (api, _) in PROTOCOLS {
        let stage = Stage::with(json!({"models": {"providers": {"stand-in": {"api": api}}}})).await;
        let calls = Answer {
            thought: "let me see".to_owned(),
            calls: vec![(
                "exec".to_owned(),
                json!({"command": "echo sum-$((40 + 2))"}),
            )],
            ..Answer::default()
        };
        stage
            .model
            .play([Script::Answer(calls), Script::say("well done")]);
        let told = stage.ask("s", json!({"thinking": "low"})).await;
        assert_eq!(told.texts(), ["well done"], "{api}");
        assert_eq!(told.chat(), "well done", "{api}");
        let asked = stage.last_asked().body.to_string();
        assert!(asked.contains("sum-42"), "{api}: {asked}");
        let kept = stage.history("s").await;
        assert_eq!(
            roles(&kept),
            ["user", "assistant", "toolResult", "assistant"],
            "{api}"
        );
        assert_eq!(kept[1]["api"], api);
        let thought = &kept[1]["content"][0];
        assert_eq!(thought["thinking"], "let me see", "{api}: {thought}");
        stage
            .model
            .play([Script::Answer(Answer::tokens(3).ending(End::BreakOff))]);
        let told = stage.ask("s", json!({})).await;
        assert!(
            told.texts()[1].contains("broke off"),
            "{api}: {:?}",
            told.texts()
        );
    }
}

#[tokio::test]
async fn every_protocol_carries_pictures_and_how_much_to_think() {
    for (api, place) in PROTOCOLS {
        let stage = Stage::with(json!({"models": {"providers": {"stand-in": {"api": api}}}})).await;
        let attachment = json!({"type": "image", "mimeType": "image/png", "content": PICTURE});
        let params = json!({"attachments": [attachment], "thinking": "high"});
        let told = stage.ask("s", params).await;
        assert_eq!(told.texts(), ["Hello"], "{api}");
        let asked = stage.last_asked().body;
        assert!(asked.to_string().contains(PICTURE), "{api}: {asked}");
        let much = asked.pointer(place).cloned();
        assert!(
            much.as_ref().is_some_and(|much| !much.is_null()),
            "{api}: {asked}"
        );
        stage.ask("s", json!({"thinking": "off"})).await;
        let asked = stage.last_asked().body;
        assert!(
            asked.to_string().contains(PICTURE),
            "{api}: the conversation is told whole"
        );
        let none = asked.pointer(place).cloned();
        assert_ne!(none, much, "{api}: {asked}");
    }
}

#[tokio::test]
async fn every_protocol_is_asked_again_when_it_may_be_and_stood_in_for_when_not() {
    // At the same time, because each of them waits for a while.
    join_all(PROTOCOLS.map(|(api, _)| asked_again_or_stood_in_for(api))).await;
}

async fn asked_again_or_stood_in_for(api: &str) {
    let second = ModelServer::start(Script::say("Hello from the second")).await;
    let mut other = provider(&second, "m2");
    other["api"] = json!(api);
    let stage = Stage::with(json!({
        "models": {"providers": {"stand-in": {"api": api}, "other": other}},
        "agents": {"defaults": {"model": {"fallbacks": ["other/m2"]}}},
    }))
    .await;
    let fails = Answer::tokens(0).ending(End::Failure);
    for (session, script, answer, times) in [
        ("limited", Script::limited("1"), "Hello", 2),
        ("failed", Script::Answer(fails), "Hello", 2),
        (
            "refused",
            Script::status(400, "no"),
            "Hello from the second",
            1,
        ),
    ] {
        let before = stage.model.counts().asked;
        stage.model.play([script]);
        let begun = Moment::now();
        let told = stage.ask(session, json!({})).await;
        assert_eq!(told.texts(), [answer], "{api} {session}");
        let waited = Moment::now().since(begun);
        assert!(
            session != "limited" || waited >= Duration::from_secs(1),
            "{api}"
        );
        let asked = stage.model.counts().asked - before;
        assert_eq!(asked, times, "{api} {session}");
        let kept = stage.history(session).await;
        assert_eq!(roles(&kept), ["user", "assistant"], "{api} {session}");
    }
    let stalls = Answer::tokens(2).ending(End::Stall);
    stage.model.play([Script::Answer(stalls)]);
    let told = stage.ask("stall", json!({})).await;
    let texts = told.texts();
    assert!(
        texts[1].contains("has not answered in time"),
        "{api}: {texts:?}"
    );
}
