//! Whatever a provider does, whoever asked reads an answer or why there is none: in the second answer of `agent`, in the chat, and in
//! the transcript, with the same words, and with no secret in them.
//!
//! | the provider | then it |
//! |---|---|
//! | says nothing wrong | is heard while it speaks |
//! | is busy before its first word | is asked again, and nobody sees it |
//! | fails after its first word, or again and again | is quoted, after what it has said |
//! | refuses the key | is quoted without the key |
//! | wants to be paid | is asked after the others for hours, also by the next life of the gateway |
//! | never comes to an end | is quoted as that, after a bound |
//! | finds the conversation too long | is asked with a shorter one, once |
//! | has others that stand in for it | is named only when none of them answers |

use std::path::PathBuf;
use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_tests::home::Home;
use openclaw_tests::instance::Instance;
use openclaw_tests::model_server::{Answer, Asked, End, ModelServer, Script};
use serde_json::{Value, json};

mod approvals;
mod doors;
mod keys;
mod memory;
mod programs;
mod protocols;
mod queue;
mod tasks;
mod tools;

/// What the provider is asked with.
const KEY: &str = "sk-own-0123456789abcdefghij";

/// An instance whose agents ask this model server.
struct Stage {
    model: ModelServer,
    instance: Instance,
}

/// What whoever asked has been sent, up to the second answer of `agent`.
struct Told(Vec<Value>);

impl Stage {
    async fn with(added: Value) -> Self {
        Self::in_home(Home::new(), added, &[]).await
    }

    async fn in_home(home: Home, added: Value, variables: &[(&str, &str)]) -> Self {
        let model = ModelServer::start(Script::say("Hello")).await;
        let mut config = json!({
            "models": {"idleTimeoutSeconds": 5, "providers": {"stand-in": provider(&model, "m1")}},
            "agents": {"defaults": {"model": {"primary": "stand-in/m1"}, "skipBootstrap": true}},
            "tools": {"exec": {"security": "full", "ask": "off"}},
        });
        merge(&mut config, added);
        home.configure(&config);
        let mut launch = home.launch();
        for (name, value) in variables {
            launch = launch.variable(name, value);
        }
        let instance = launch.ready().await;
        Self { model, instance }
    }

    /// Asks the agent in a session of this name, with these parameters besides.
    async fn ask(&self, session: &str, added: Value) -> Told {
        self.ask_as(&format!("agent:main:{session}"), added).await
    }

    /// Asks whatever agent a session belongs to.
    async fn ask_as(&self, key: &str, added: Value) -> Told {
        let mut params = json!({
            "message": "hi",
            "sessionKey": key,
            "idempotencyKey": format!("{key}-{}", self.model.counts().asked),
        });
        merge(&mut params, added);
        let mut client = self.instance.client().await;
        let id = client.send("agent", params).await;
        let mut frames = Vec::new();
        loop {
            let frame = client.socket().frame().await;
            let is_last = frame["id"] == *id && frame["payload"]["status"] != "accepted";
            frames.push(frame);
            if is_last {
                return Told(frames);
            }
        }
    }

    async fn history(&self, session: &str) -> Vec<Value> {
        let params = json!({"sessionKey": format!("agent:main:{session}")});
        let mut client = self.instance.client().await;
        let history = client.call("chat.history", params).await.unwrap();
        history["messages"].as_array().unwrap().clone()
    }

    /// What the provider was asked last.
    fn last_asked(&self) -> Asked {
        self.model.asked().pop().unwrap()
    }
}

impl Told {
    /// The second answer of `agent`.
    fn answer(&self) -> &Value {
        let answer = &self.0.last().unwrap()["payload"];
        assert_eq!(answer["status"], "ok", "{answer}");
        answer
    }

    /// The texts in it.
    fn texts(&self) -> Vec<&str> {
        let payloads = self.answer()["result"]["payloads"].as_array().unwrap();
        let texts = payloads.iter().map(|part| part["text"].as_str());
        texts.map(Option::unwrap).collect()
    }

    /// Events of this name, in order.
    fn events(&self, name: &str) -> Vec<&Value> {
        let events = self.0.iter().filter(|frame| frame["event"] == name);
        events.map(|frame| &frame["payload"]).collect()
    }

    /// How it ended in the chat.
    fn chat(&self) -> &str {
        let last = *self.events("chat").last().unwrap();
        assert_eq!(last["state"], "final", "{last}");
        text(&last["message"])
    }
}

/// A provider as the configuration names it.
fn provider(model: &ModelServer, name: &str) -> Value {
    json!({
        "baseUrl": model.base_url(),
        "apiKey": KEY,
        "api": "openai-completions",
        "models": [{"id": name, "name": name, "reasoning": true, "input": ["text", "image"]}],
    })
}

fn merge(into: &mut Value, added: Value) {
    match (into, added) {
        (Value::Object(into), Value::Object(added)) => {
            for (key, value) in added {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, added) => *into = added,
    }
}

/// The first text of a message.
fn text(message: &Value) -> &str {
    message["content"][0]["text"].as_str().unwrap_or_default()
}

/// The roles of a conversation.
fn roles(messages: &[Value]) -> Vec<&str> {
    let roles = messages.iter().map(|it| it["role"].as_str());
    roles.map(Option::unwrap).collect()
}

fn ends(end: End) -> Script {
    Script::Answer(Answer::tokens(3).ending(end))
}

#[tokio::test]
async fn an_answer_is_heard_while_it_is_said() {
    let stage = Stage::with(json!({})).await;
    let interval = Duration::from_millis(300);
    stage.model.play([Script::tokens(8, interval)]);
    let told = stage.ask("s", json!({})).await;
    let whole: String = (0..8).map(|index| format!("w{index} ")).collect();
    assert_eq!(told.texts().concat().trim(), whole.trim());
    assert_eq!(told.chat().trim(), whole.trim());
    let deltas: Vec<&str> = (told.events("chat").into_iter())
        .filter(|told| told["state"] == "delta")
        .map(|told| text(&told["message"]))
        .collect();
    assert!(deltas.len() > 2, "{deltas:?}");
    assert!(deltas.iter().all(|delta| whole.starts_with(delta)));
    assert!(deltas.is_sorted_by_key(|delta| delta.len()), "{deltas:?}");
    let streamed: String = (told.events("agent").into_iter())
        .filter(|told| told["stream"] == "assistant")
        .map(|told| told["data"]["delta"].as_str().unwrap())
        .collect();
    assert_eq!(streamed, whole);
    let kept = stage.history("s").await;
    assert_eq!(roles(&kept), ["user", "assistant"]);
    assert_eq!(text(&kept[1]), whole);
    assert_eq!(kept[1]["provider"], "stand-in");
    assert_eq!(kept[1]["model"], "m1");
    let meta = &told.answer()["result"]["meta"]["agentMeta"];
    assert_eq!(
        (&meta["provider"], &meta["model"]),
        (&json!("stand-in"), &json!("m1"))
    );
    // The server counts eleven tokens read, one of them from its cache, and one written for each chunk.
    assert_eq!(
        (&kept[1]["usage"]["input"], &kept[1]["usage"]["output"]),
        (&json!(10), &json!(8))
    );
}

#[tokio::test]
async fn an_answer_may_be_long_and_may_be_cut() {
    let stage = Stage::with(json!({})).await;
    let line = "x".repeat(1 << 18);
    stage.model.play([Script::say(&line)]);
    let told = stage.ask("long", json!({})).await;
    assert!(told.texts() == [line.as_str()] && told.chat() == line);
    stage.model.play([ends(End::Length)]);
    let told = stage.ask("cut", json!({})).await;
    assert_eq!(told.texts(), ["w0 w1 w2 "]);
    let kept = stage.history("cut").await;
    assert_eq!(kept[1]["stopReason"], "length");
    // Some servers leave out the protocol's last frame; everything was said before it.
    stage.model.play([ends(End::NoLastFrame)]);
    let told = stage.ask("bare", json!({})).await;
    assert_eq!(told.texts(), ["w0 w1 w2 "]);
}

#[tokio::test]
async fn what_passes_before_the_first_word_is_not_seen() {
    let stage = Stage::with(json!({})).await;
    let wordless = |end| Script::Answer(Answer::tokens(0).ending(end));
    let courses = [
        ("limited", Script::limited("1")),
        ("failed", Script::status(500, "not now")),
        ("closed", Script::Close),
        ("ended", wordless(End::NoEnd)),
        ("cut", wordless(End::BreakOff)),
        ("garbled", wordless(End::Malformed)),
    ];
    for (session, script) in courses {
        let before = stage.model.counts().asked;
        stage.model.play([script]);
        let begun = Moment::now();
        let told = stage.ask(session, json!({})).await;
        assert_eq!(told.texts(), ["Hello"], "{session}");
        assert_eq!(told.chat(), "Hello", "{session}");
        let waited = Moment::now().since(begun);
        assert!(session != "limited" || waited >= Duration::from_secs(1));
        assert_eq!(stage.model.counts().asked, before + 2, "{session}");
        let kept = stage.history(session).await;
        assert_eq!(roles(&kept), ["user", "assistant"], "{session}");
        assert_eq!(kept[1]["stopReason"], "stop", "{session}");
    }
}

#[tokio::test]
async fn a_failure_is_told_after_what_was_said() {
    let stage = Stage::with(json!({})).await;
    let refusal = Script::status(400, "no such \n parameter");
    let three_times = |script: Script| vec![script; 3];
    let courses = [
        ("stall", vec![ends(End::Stall)], "has not answered in time"),
        ("break-off", vec![ends(End::BreakOff)], "broke off"),
        ("no-end", vec![ends(End::NoEnd)], "broke off"),
        ("malformed", vec![ends(End::Malformed)], "cannot be read"),
        ("failure", vec![ends(End::Failure)], "the model fell over"),
        ("refused", vec![refusal], "HTTP 400: no such parameter"),
        (
            "endless",
            vec![Script::named("endless-line").unwrap()],
            "is too large to be kept",
        ),
        (
            "failed",
            three_times(Script::status(500, "not now")),
            "HTTP 500: not now",
        ),
        ("closed", three_times(Script::Close), "broke off"),
        (
            "limited",
            vec![Script::limited("600")],
            "HTTP 429: slow down",
        ),
    ];
    for (session, scripts, expected) in courses {
        let (before, times) = (stage.model.counts().asked, scripts.len());
        let has_words = matches!(&scripts[0], Script::Answer(_));
        stage.model.play(scripts);
        let told = stage.ask(session, json!({})).await;
        assert_eq!(stage.model.counts().asked, before + times, "{session}");
        let texts = told.texts();
        let (error, said) = texts.split_last().unwrap();
        assert!(error.contains(expected), "{session}: {error}");
        let words: &[&str] = if has_words { &["w0 w1 w2 "] } else { &[] };
        assert_eq!(said, words, "{session}");
        assert_eq!(told.chat(), texts.join("\n\n"), "{session}");
        let kept = stage.history(session).await;
        assert_eq!(roles(&kept), ["user", "assistant"], "{session}");
        assert_eq!(kept[1]["stopReason"], "error", "{session}");
        assert_eq!(kept[1]["errorMessage"], **error, "{session}");
        assert_eq!(text(&kept[1]), words.concat(), "{session}");
        if session == "stall" {
            stage
                .model
                .until("its socket is closed", |counts| counts.open == 0)
                .await;
        }
        // The conversation goes on.
        let next = stage.ask(session, json!({})).await;
        assert_eq!(next.texts(), ["Hello"], "{session}");
    }
}

#[tokio::test]
async fn a_refused_key_is_nowhere_to_be_read() {
    let stage = Stage::with(json!({})).await;
    let text = format!("Incorrect API key provided: {KEY}");
    stage.model.play([Script::status(401, &text)]);
    let told = stage.ask("s", json!({})).await;
    let sent = stage.last_asked().header("authorization").to_owned();
    assert_eq!(sent, format!("Bearer {KEY}"));
    assert_eq!(stage.model.counts().asked, 1);
    assert_eq!(
        told.texts(),
        ["HTTP 401: Incorrect API key provided: ***"],
        "what the provider says is told, but for the key"
    );
    let kept = stage.history("s").await;
    let log = stage.instance.home().log();
    log.said("a model did not answer").await;
    let seen = [
        ("frames", json!(told.0).to_string()),
        ("history", json!(kept).to_string()),
        ("log", log.text()),
        ("console", stage.instance.console()),
    ];
    for (place, seen) in seen {
        assert!(!seen.contains(KEY), "{place}: {seen}");
    }
    let files = files_below(stage.instance.home().state_dir());
    // The configuration holds the key, and so does the copy of it that was seen to work.
    let others = files.iter().filter(|path| {
        !path.ends_with("openclaw.json") && !path.to_string_lossy().contains("last-good")
    });
    for path in others {
        let bytes = std::fs::read(path).unwrap();
        let is_in = bytes.windows(KEY.len()).any(|it| it == KEY.as_bytes());
        assert!(!is_in, "{}", path.display());
    }
}

fn files_below(folder: PathBuf) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_made_shorter_once() {
    let stage = Stage::with(json!({})).await;
    let full = || Script::named("context-full").unwrap();
    // There is nothing to leave out of a single question.
    stage.model.play([full()]);
    let told = stage.ask("short", json!({})).await;
    let [error] = told.texts()[..] else {
        panic!("one text was expected: {:?}", told.texts());
    };
    assert!(error.contains("maximum context length"), "{error}");
    assert_eq!(stage.model.counts().asked, 1);

    let long = format!("begin {}", "long ".repeat(25_000));
    stage.ask("long", json!({ "message": long })).await;
    stage
        .model
        .play([full(), Script::say("the notes"), Script::say("Here")]);
    let told = stage.ask("long", json!({"message": "and now?"})).await;
    assert_eq!(told.texts(), ["Here"]);
    assert_eq!(stage.model.counts().asked, 5);
    let asked = stage.last_asked().body["messages"].to_string();
    assert!(asked.contains("the notes") && asked.contains("and now?"));
    assert!(!asked.contains("long long"));
    let phases: Vec<&Value> = (told.events("agent").into_iter())
        .filter(|told| told["stream"] == "compaction")
        .map(|told| &told["data"])
        .collect();
    assert_eq!(
        phases,
        [
            &json!({"phase": "start"}),
            &json!({"phase": "end", "willRetry": true})
        ]
    );
    // It stays shorter.
    stage.ask("long", json!({})).await;
    let asked = stage.last_asked().body["messages"].to_string();
    assert!(asked.contains("the notes") && !asked.contains("long long"));
}

#[tokio::test]
async fn another_provider_answers_and_the_transcript_names_it() {
    let second = ModelServer::start(Script::say("Hello from the second")).await;
    let stage = Stage::with(json!({
        "models": {"providers": {"other": provider(&second, "m2")}},
        "agents": {"defaults": {"model": {"fallbacks": ["other/m2"]}}},
    }))
    .await;
    stage.model.play([Script::status(400, "no")]);
    second.play([Script::status(400, "neither")]);
    let told = stage.ask("nobody", json!({})).await;
    assert_eq!(
        told.texts(),
        ["no model has answered: stand-in/m1: HTTP 400: no | other/m2: HTTP 400: neither"]
    );
    for (session, script, is_asked) in [
        ("silent", Script::Silence, true),
        ("limited", Script::limited("60"), true),
        // A key that has reached its limit is left alone for as long as the provider wishes.
        ("resting", Script::say("never"), false),
    ] {
        let (first, other) = (stage.model.counts().asked, second.counts().asked);
        stage.model.play([script]);
        let told = stage.ask(session, json!({})).await;
        assert_eq!(told.texts(), ["Hello from the second"], "{session}");
        assert_eq!(told.chat(), "Hello from the second", "{session}");
        assert_eq!(second.counts().asked, other + 1, "{session}");
        assert_eq!(stage.model.counts().asked > first, is_asked, "{session}");
        let meta = &told.answer()["result"]["meta"]["agentMeta"];
        assert_eq!(meta["provider"], "other", "{session}");
        let kept = stage.history(session).await;
        assert_eq!(roles(&kept), ["user", "assistant"], "{session}");
        assert_eq!(kept[1]["provider"], "other", "{session}");
        assert_eq!(kept[1]["model"], "m2", "{session}");
    }
}

#[tokio::test]
async fn pictures_and_how_much_to_think_reach_the_provider() {
    /// The smallest picture there is.
    const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let stage = Stage::with(json!({})).await;
    let attachment = json!({"type": "image", "mimeType": "image/png", "content": PICTURE});
    let params = json!({"attachments": [attachment], "thinking": "high"});
    stage.ask("s", params).await;
    let asked = stage.last_asked().body;
    let url = format!("data:image/png;base64,{PICTURE}");
    assert!(asked["messages"].to_string().contains(&url), "{asked}");
    assert_eq!(asked["reasoning_effort"], "high", "{asked}");
    stage.ask("s", json!({})).await;
    let asked = stage.last_asked().body;
    assert_eq!(asked["reasoning_effort"], Value::Null, "{asked}");
    assert!(
        asked["messages"].to_string().contains(&url),
        "the conversation is told whole"
    );
}
