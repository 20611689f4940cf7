//! `openclaw agent` and `openclaw sessions`: a turn from the command line, whatever becomes of the gateway meanwhile, and what is kept
//! of it.

use std::process::Stdio;

use openclaw_shared::control::ChildName;
use openclaw_tests::eventually::{eventually, soon};
use openclaw_tests::faults::kill;
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Instance, pid};
use openclaw_tests::process::{self, Signal};
use openclaw_tests::tmux::Window;
use serde_json::{Value, json};

/// A message that takes the offline model a while.
const SLOW: &str = "so slowly\n/slow 300\none two three four five six seven eight nine ten";

/// A message that it does not come to an end with.
const ENDLESS: &str = "so slowly\n/slow 60000\none two three four five six seven eight nine ten";

/// The runs that the gateway knows to be under way, by the first words of the session's answer.
async fn until_it_runs(instance: &Instance) {
    let mut client = instance.client().await;
    eventually("the run is under way", async || {
        let answer = client
            .call("chat.history", json!({ "sessionKey": "main" }))
            .await;
        match answer.unwrap_or_default()["messages"].as_array() {
            Some(messages) if !messages.is_empty() => Ok(()),
            messages => Err(format!("{messages:?}")),
        }
    })
    .await;
}

/// Begins a turn.
fn begin(instance: &Instance, message: &str, arguments: &[&str]) -> tokio::process::Child {
    let mut command = instance
        .home()
        .command(&["agent", "--session", "main", "-m", message]);
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn end(child: tokio::process::Child) -> (Option<i32>, String, String) {
    let output = soon("the command ends", child.wait_with_output())
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[tokio::test]
async fn a_turn_is_answered_and_kept() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let said = home
        .run(&["agent", "--agent", "main", "--message", "hello you"])
        .await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    assert!(said.out.contains("hello you"), "{said:?}");
    let said = home
        .run(&[
            "agent",
            "--session",
            "notes",
            "-m",
            "hello \u{1b}[2Jyou",
            "--json",
        ])
        .await;
    let answer = said.json();
    assert_eq!(answer["status"], "ok", "{answer}");
    assert!(
        answer["result"]["payloads"][0]["text"].is_string(),
        "{answer}"
    );
    let said = home.run(&["sessions", "--json"]).await;
    let listed = said.json();
    let keys: Vec<&Value> = listed["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["key"])
        .collect();
    assert_eq!(
        keys,
        ["agent:main:notes", "agent:main:main"],
        "the newest first"
    );
    assert!(listed["sessions"][0]["ageMs"].is_u64(), "{listed}");
    let said = home.run(&["sessions", "history", "notes"]).await;
    assert!(
        said.out.contains("user       hello \\u{1b}[2Jyou"),
        "{said:?}"
    );
    let said = home.run(&["sessions", "preview", "main", "nothing"]).await;
    assert!(
        said.out.contains("hello you") && said.out.contains("There is no such session."),
        "{said:?}"
    );
    let said = home.run(&["sessions", "reset", "notes"]).await;
    assert!(
        said.out.starts_with("agent:main:notes begins again ("),
        "{said:?}"
    );
    let said = home.run(&["sessions", "history", "notes"]).await;
    assert_eq!(said.out, "Nothing was said yet.\n", "{said:?}");
    let said = home.run(&["sessions", "delete", "notes"]).await;
    assert!(
        said.out.starts_with("Deleted agent:main:notes."),
        "{said:?}"
    );
    let said = home.run(&["sessions", "delete", "main"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("Cannot delete the main session"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_turn_is_seen_while_it_grows() {
    let instance = Home::new().launch().ready().await;
    let line = "openclaw agent --session main -m \"$(printf 'x\\n/slow 1000\\none two three four five six')\"; echo left with $?; exec cat";
    let window = Window::open(instance.home(), (80, 24), line).await;
    let begun = window.until_shown("one two").await;
    assert!(!begun.contains("left with"), "{begun}");
    let ended = window.until_shown("left with 0").await;
    assert_eq!(ended.matches("five six").count(), 1, "{ended}");
}

#[tokio::test]
async fn the_tools_of_a_turn_are_seen_when_that_is_asked_for() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let turn = async |verbose: &str| {
        let message = "/tool session_status {}";
        home.run(&[
            "agent",
            "--session",
            "main",
            "-m",
            message,
            "--verbose",
            verbose,
        ])
        .await
    };
    let said = turn("on").await;
    assert!(
        said.code == 0 && said.err.contains("[session_status]"),
        "{said:?}"
    );
    let said = turn("off").await;
    assert!(
        said.code == 0 && !said.err.contains("[session_status]"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_turn_outlives_the_gateway_that_began_it() {
    let instance = Home::new().launch().ready().await;
    let child = begin(&instance, SLOW, &["--json"]);
    until_it_runs(&instance).await;
    instance.restart(Some(ChildName::Gateway)).await.unwrap();
    let (code, out, err) = end(child).await;
    assert_eq!(code, Some(0), "{out} {err}");
    assert!(out.contains("nine ten"), "{out} {err}");
}

#[tokio::test]
async fn a_turn_whose_gateway_was_killed_has_an_end() {
    let instance = Home::new().launch().ready().await;
    let child = begin(&instance, SLOW, &["--json"]);
    until_it_runs(&instance).await;
    let before = instance.child(ChildName::Gateway).await;
    kill(pid(&before).unwrap()).await;
    let (code, out, err) = end(child).await;
    let said: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out} {err}"));
    // It was done again when nothing of it had left the house, and is else closed with an error that says so.
    match code {
        Some(0) => assert!(out.contains("nine ten"), "{out}"),
        _ => assert_eq!(said["ok"], false, "{out} {err}"),
    }
}

#[tokio::test]
async fn ctrl_c_stops_the_run() {
    let instance = Home::new().launch().ready().await;
    let child = begin(&instance, ENDLESS, &[]);
    until_it_runs(&instance).await;
    process::send(i32::try_from(child.id().unwrap()).unwrap(), Signal::SIGINT);
    let (code, out, err) = end(child).await;
    assert_eq!(code, Some(130), "{out} {err}");
    assert!(err.contains("the run was stopped"), "{out} {err}");
    let said = instance
        .home()
        .run(&["agent", "--session", "main", "-m", "and now?"])
        .await;
    assert!(said.code == 0 && said.out.contains("and now?"), "{said:?}");
}

#[tokio::test]
async fn what_cannot_be_done_says_what_to_do() {
    let home = Home::new();
    let said = home.run(&["agent", "-m", "x"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err
            .starts_with("Error: Pass --to <E.164>, --session-id, "),
        "{said:?}"
    );
    let said = home.run(&["agent", "--agent", "main"]).await;
    assert!(
        said.err
            .starts_with("error: required option '--message <TEXT>' not specified\n"),
        "{said:?}"
    );
    let said = home
        .run(&["agent", "--agent", "main", "-m", "x", "--json"])
        .await;
    assert_eq!(said.json()["kind"], "unreachable", "{said:?}");
    let said = home
        .run(&["agent", "--local", "--agent", "main", "-m", "x"])
        .await;
    assert!(said.err.contains("--local is not available"), "{said:?}");
    let said = home.run(&["sessions", "--active", "5", "reset", "x"]).await;
    assert!(
        said.err
            .starts_with("error: option '--active' does not apply to 'sessions reset'"),
        "{said:?}"
    );
    let said = home.run(&["sessions", "reset", "x", "--limit", "5"]).await;
    assert!(
        said.err.starts_with("error: unknown option '--limit'"),
        "{said:?}"
    );
}
