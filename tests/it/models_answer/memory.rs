//! A conversation that comes near to what the model can read is made shorter in time, and the agent writes down before what it is to
//! remember; nobody else sees that.

use std::path::Path;

use openclaw_tests::model_server::Script;
use serde_json::{Value, json};

use super::{Stage, Told, roles};

/// A little more than a quarter of what the model can read, in tokens of four bytes.
fn long() -> String {
    "long ".repeat(22_000)
}

/// A model that reads a hundred thousand tokens, of which so many are left free.
fn narrow(compaction: Value) -> Value {
    json!({
        "models": {"providers": {"stand-in": {"models": [{"id": "m1", "name": "m1", "contextWindow": 100_000}]}}},
        "agents": {"defaults": {"compaction": compaction}},
    })
}

async fn told_at_length(stage: &Stage, session: &str) -> Told {
    let told = stage.ask(session, json!({ "message": long() })).await;
    assert_eq!(told.texts(), ["Hello"]);
    let params = json!({"message": format!("and now? {}", long())});
    stage.ask(session, params).await
}

#[tokio::test]
async fn an_agent_writes_down_what_it_remembers_before_a_part_is_left_out() {
    let stage = Stage::with(narrow(json!({"reserveTokensFloor": 48_000}))).await;
    let note = json!({"path": "memory/notes.md", "content": "the sky was blue"});
    stage.model.play([
        Script::say("Hello"),
        Script::call("write", note, ""),
        Script::say("NO_REPLY"),
        Script::say("the summary"),
        Script::say("Here"),
    ]);
    let told = told_at_length(&stage, "s").await;
    assert_eq!(told.texts(), ["Here"]);
    assert_eq!(told.chat(), "Here");
    let asked = stage.model.asked();
    assert_eq!(asked.len(), 5);
    let flush = asked[1].body["messages"].as_array().unwrap();
    let last = flush.last().unwrap().to_string();
    assert!(
        last.contains("memory/") && last.contains("NO_REPLY"),
        "{last}"
    );
    assert!(!asked[1].body.to_string().contains("and now?"));
    assert!(asked[4].body.to_string().contains("the summary"));
    let written = find(stage.instance.home().path(), "notes.md").expect("the notes");
    assert_eq!(
        std::fs::read_to_string(written).unwrap(),
        "the sky was blue"
    );
    let frames = json!(told.0).to_string();
    assert!(!frames.contains("NO_REPLY") && !frames.contains("notes.md"));
    let kept = stage.history("s").await;
    assert!(!roles(&kept).contains(&"toolResult"), "{:?}", roles(&kept));
    assert!(!json!(kept).to_string().contains("NO_REPLY"));
}

#[tokio::test]
async fn how_much_is_left_free_and_whether_anything_is_written_down_is_configured() {
    let compaction = json!({"reserveTokensFloor": 48_000, "memoryFlush": {"enabled": false}});
    let stage = Stage::with(narrow(compaction)).await;
    stage.model.play([
        Script::say("Hello"),
        Script::say("the summary"),
        Script::say("Here"),
    ]);
    let told = told_at_length(&stage, "s").await;
    assert_eq!(told.texts(), ["Here"]);
    assert_eq!(stage.model.counts().asked, 3);
    let usual = Stage::with(narrow(json!({}))).await;
    let told = told_at_length(&usual, "s").await;
    assert_eq!(told.texts(), ["Hello"]);
    assert_eq!(usual.model.counts().asked, 2, "there is room enough");
}

fn find(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find_map(|path| match path.is_dir() && !path.is_symlink() {
        true => find(&path, name),
        false => (path.file_name()? == name).then_some(path),
    })
}
