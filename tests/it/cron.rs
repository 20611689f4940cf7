//! A job runs once for each time that it is due, whatever becomes of the gateway: killed before, while and after it runs, replaced, or not
//! there at all.

use openclaw_shared::clock::WallTime;
use openclaw_shared::control::ChildName;
use openclaw_tests::client::Client;
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::{freeze, kill};
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Instance, pid};
use openclaw_tests::process::Signal;
use serde_json::{Value, json};

const FAR: u64 = 4_000_000_000_000;

fn now() -> u64 {
    WallTime::now().as_millis()
}

async fn add(client: &mut Client, at: u64, message: &str) -> String {
    let job = json!({
        "name": "J", "schedule": {"kind": "at", "atMs": at}, "payload": {"kind": "agentTurn", "message": message},
    });
    let job = client.call("cron.add", job).await.unwrap();
    job["id"].as_str().unwrap().to_owned()
}

/// Asks whoever serves.
async fn ask(instance: &Instance, method: &str, params: Value) -> Value {
    let answer = instance.client().await.call(method, params).await;
    answer.unwrap()
}

async fn the_time_has_come(at: u64) {
    eventually("the time has come", async || {
        let now = now();
        (now > at).then_some(()).ok_or(now)
    })
    .await;
}

/// The one run of a job, when it is over; there is never another.
async fn only_run(instance: &Instance, id: &str) -> Value {
    let entry = eventually("the job has run", async || {
        let runs = ask(instance, "cron.runs", json!({"id": id})).await;
        match runs["entries"].as_array().unwrap().as_slice() {
            [] => Err("it has not run".to_owned()),
            [entry] => Ok(entry.clone()),
            more => panic!("it ran more than once: {more:?}"),
        }
    })
    .await;
    let all = json!({"includeDisabled": true});
    let jobs = ask(instance, "cron.list", all).await;
    let state = &jobs["jobs"][0]["state"];
    assert_eq!(
        (state.get("nextRunAtMs"), state.get("runningAtMs")),
        (None, None),
        "{jobs}"
    );
    entry
}

/// How often an agent was asked by a job.
async fn asked(instance: &Instance, id: &str) -> usize {
    let key = format!("agent:main:cron:{id}");
    let history = ask(instance, "chat.history", json!({"sessionKey": key})).await;
    let messages = history["messages"].as_array().unwrap();
    messages
        .iter()
        .filter(|message| message["role"] == "user")
        .count()
}

#[tokio::test]
async fn what_was_missed_while_nothing_ran_runs_once() {
    let home = Home::new();
    // It does no jobs, so that the time may come before this one is gone.
    let launch = home.launch().variable("OPENCLAW_SKIP_CRON", "1");
    let mut instance = launch.ready().await;
    let mut client = instance.client().await;
    let at = now() + 500;
    let id = add(&mut client, at, "missed").await;
    instance.signal(Signal::SIGTERM);
    instance.exit_code_leaving_nothing().await;
    let gone = now().max(at);
    the_time_has_come(gone).await;
    let instance = home.launch().ready().await;
    let entry = only_run(&instance, &id).await;
    assert_eq!(entry["status"], "ok", "{entry}");
    assert!(entry["runAtMs"].as_u64() > Some(gone), "{entry}");
    assert_eq!(asked(&instance, &id).await, 1);
}

#[tokio::test]
async fn killed_between_the_time_and_the_run() {
    let instance = Home::new().launch().ready().await;
    let mut client = instance.client().await;
    let gateway = instance.child(ChildName::Gateway).await;
    let at = now() + 4_000;
    let id = add(&mut client, at, "late").await;
    freeze(pid(&gateway).unwrap()).await;
    the_time_has_come(at).await;
    kill(pid(&gateway).unwrap()).await;
    instance
        .until_later_life(ChildName::Gateway, &gateway)
        .await;
    let entry = only_run(&instance, &id).await;
    assert_eq!(entry["status"], "ok", "{entry}");
    assert_eq!(asked(&instance, &id).await, 1);
}

#[tokio::test]
async fn killed_while_it_runs() {
    let instance = Home::new().launch().ready().await;
    let mut client = instance.client().await;
    let gateway = instance.child(ChildName::Gateway).await;
    let id = add(&mut client, now() + 200, "wait\n/slow 60000\nnever said").await;
    eventually("the agent is asked", async || {
        let asked = asked(&instance, &id).await;
        (asked == 1).then_some(()).ok_or(asked)
    })
    .await;
    kill(pid(&gateway).unwrap()).await;
    instance
        .until_later_life(ChildName::Gateway, &gateway)
        .await;
    // The agent may have done anything by then, so that it is not asked again.
    let entry = only_run(&instance, &id).await;
    assert_eq!(entry["status"], "error", "{entry}");
    assert_eq!(asked(&instance, &id).await, 1);
}

#[tokio::test]
async fn replaced_while_it_runs() {
    let instance = Home::new().launch().ready().await;
    let mut client = instance.client().await;
    let id = add(&mut client, now() + 200, "wait\n/slow 300\na b c d e").await;
    eventually("the agent is asked", async || {
        let asked = asked(&instance, &id).await;
        (asked == 1).then_some(()).ok_or(asked)
    })
    .await;
    instance.restart(Some(ChildName::Gateway)).await.unwrap();
    let entry = only_run(&instance, &id).await;
    assert_eq!(entry["status"], "ok", "{entry}");
    assert_eq!(asked(&instance, &id).await, 1);
}

#[tokio::test]
async fn a_note_wakes_the_agent_once_and_the_command_line_waits_for_a_run() {
    let instance = Home::new().launch().ready().await;
    let mut client = instance.client().await;
    let note = json!({
        "name": "N", "schedule": {"kind": "at", "atMs": now() + 100}, "wakeMode": "now", "deleteAfterRun": true,
        "payload": {"kind": "systemEvent", "text": "drink some water"},
    });
    client.call("cron.add", note).await.unwrap();
    let beat = client.event("heartbeat").await;
    assert_ne!(beat["payload"]["status"], "skipped", "{beat}");
    let history = client
        .call("chat.history", json!({"sessionKey": "main"}))
        .await;
    let history = history.unwrap().to_string();
    assert!(history.contains("] drink some water"), "{history}");
    let jobs = client
        .call("cron.list", json!({"includeDisabled": true}))
        .await;
    assert_eq!(jobs.unwrap()["jobs"], json!([]));
    let id = add(&mut client, FAR, "by hand").await;
    let said = instance.home().run(&["cron", "run", &id, "--force"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let run = client.call("cron.runs", json!({"id": id})).await.unwrap();
    assert_eq!(run["entries"][0]["status"], "ok", "{run}");
}
