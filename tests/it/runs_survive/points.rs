//! The points of a run's life between those that are watched from outside anyway, one after the other.
//!
//! | killed while the run | then it | asks the model |
//! |---|---|---|
//! | waits for a place among others | is done by the next life | once |
//! | is prepared | is done by the next life | once |
//! | is asked and no word was said | is closed with an error | not again |
//! | is asked again, after a tool | is closed with an error, and the tool is not called again | not again |
//! | waits for a person's word | is closed with an error, and nobody can give that word any more | not again |

use openclaw_tests::eventually::eventually;
use openclaw_tests::home::Home;
use openclaw_tests::instance::Instance;
use openclaw_tests::model_server::{ModelServer, Script};
use openclaw_tests::process;
use serde_json::{Value, json};

use super::{ended, history, kill, message, say};

/// An instance as the others have it, with this besides.
async fn instance(home: Home, model: &ModelServer, added: &Value) -> Instance {
    let mut config = super::config(model);
    for (key, value) in added.as_object().unwrap() {
        config[key] = value.clone();
    }
    home.configure(&config);
    home.launch().ready().await
}

/// Who has said something, and how it ended.
fn shape(messages: &[Value]) -> Vec<(&str, &str)> {
    let shape = messages.iter().map(|message| {
        let role = message["role"].as_str().unwrap();
        (role, message["stopReason"].as_str().unwrap_or("-"))
    });
    shape.collect()
}

/// The run ended because its gateway did.
async fn is_closed(instance: &Instance, run: &str) {
    let ended = ended(instance, run).await;
    assert_eq!(ended["status"], "error", "{ended}");
    let error = ended["error"].as_str().unwrap();
    assert!(error.contains("under way"), "{error}");
}

#[tokio::test]
async fn killed_while_it_waits_for_a_place_and_while_no_word_was_said() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let mut agents = super::config(&model)["agents"].clone();
    agents["defaults"]["maxConcurrent"] = json!(1);
    let instance = instance(Home::new(), &model, &json!({ "agents": agents })).await;
    let mut client = instance.client().await;
    model.play([Script::Silence]);
    say(&mut client, "first", "c1").await;
    model
        .until("it was asked", |counts| counts.asked == 1)
        .await;
    let mut elsewhere = message("second", "c2");
    elsewhere["sessionKey"] = json!("side");
    let taken = client.call("chat.send", elsewhere).await.unwrap();
    assert_eq!(taken["status"], "started");
    kill(&instance).await;
    is_closed(&instance, "c1").await;
    let second = ended(&instance, "c2").await;
    assert_eq!(second["status"], "ok", "{second}");
    let kept = history(&instance).await;
    assert_eq!(shape(&kept), [("user", "-"), ("assistant", "error")]);
    assert_eq!(model.counts().asked, 2);
}

#[tokio::test]
async fn killed_while_it_is_prepared() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let home = Home::new();
    let mark = home.path().join("mark");
    let shown = mark.display();
    // A server of tools that never gets ready in the first life, and does not start in the next.
    let slow = format!(
        "[ -e {shown} ] && exit 1; echo $$ > {shown}.new; mv {shown}.new {shown}; exec sleep 600"
    );
    let servers =
        json!({"slow": {"command": "/bin/sh", "args": ["-c", slow], "timeoutSeconds": 600}});
    let instance = instance(home, &model, &json!({"mcp": {"servers": servers}})).await;
    let mut client = instance.client().await;
    say(&mut client, "first", "c1").await;
    let pid: i32 = eventually("it is prepared", async || {
        let text = std::fs::read_to_string(&mark).map_err(|error| error.to_string())?;
        text.trim().parse().map_err(|_| format!("{text:?}"))
    })
    .await;
    assert_eq!(model.counts().asked, 0);
    kill(&instance).await;
    let first = ended(&instance, "c1").await;
    assert_eq!(first["status"], "ok", "{first}");
    let kept = history(&instance).await;
    assert_eq!(shape(&kept), [("user", "-"), ("assistant", "stop")]);
    assert_eq!(model.counts().asked, 1);
    eventually(
        "the server of tools is gone",
        async || match process::is_alive(pid) {
            false => Ok(()),
            true => Err("it runs"),
        },
    )
    .await;
}

#[tokio::test]
async fn killed_while_it_is_asked_again_after_a_tool() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let instance = instance(Home::new(), &model, &json!({})).await;
    let mut client = instance.client().await;
    let count = instance.home().path().join("count");
    let command = json!({"command": format!("echo done >> {}", count.display())});
    model.play([Script::call("exec", command, ""), Script::Silence]);
    say(&mut client, "first", "c1").await;
    model
        .until("it was asked again", |counts| counts.asked == 2)
        .await;
    kill(&instance).await;
    is_closed(&instance, "c1").await;
    let kept = history(&instance).await;
    assert_eq!(
        shape(&kept),
        [
            ("user", "-"),
            ("assistant", "toolUse"),
            ("toolResult", "-"),
            ("assistant", "error")
        ]
    );
    // The conversation goes on behind it, and what was done was done once.
    say(&mut instance.client().await, "second", "c2").await;
    assert_eq!(ended(&instance, "c2").await["status"], "ok");
    assert_eq!(model.counts().asked, 3);
    assert_eq!(std::fs::read_to_string(count).unwrap(), "done\n");
}

#[tokio::test]
async fn killed_while_it_waits_for_a_persons_word() {
    let model = ModelServer::start(Script::say("Hello")).await;
    let exec = json!({"exec": {"security": "allowlist", "ask": "always"}});
    let instance = instance(Home::new(), &model, &json!({ "tools": exec })).await;
    let mut client = instance.client().await;
    let mark = instance.home().path().join("mark");
    let command = json!({"command": format!("touch {}", mark.display())});
    model.play([Script::call("exec", command, "")]);
    say(&mut client, "first", "c1").await;
    let wish = client.event("exec.approval.requested").await["payload"].clone();
    kill(&instance).await;
    is_closed(&instance, "c1").await;
    let decided = json!({"id": wish["id"], "decision": "allow-once"});
    eventually("nobody can approve it", async || {
        let mut person = instance.client().await;
        let pending = person.call("exec.approval.list", json!({})).await;
        let pending = pending.unwrap();
        match pending["pending"].as_array().is_some_and(Vec::is_empty) {
            true => Ok(()),
            false => Err(pending),
        }
    })
    .await;
    let mut person = instance.client().await;
    let refused = person.call("exec.approval.resolve", decided).await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(!mark.exists());
    assert_eq!(model.counts().asked, 1);
}
