use openclaw_shared::clock::WallTime;
use serde_json::{Value, json};

use crate::store::StoreError;
use crate::testing::{Client, Gateway, Seen};

mod kept;
mod known;
mod lives;
mod notes;
mod queue;
mod tasks;

/// Everything that comes until the answer that a rule names.
async fn until(client: &mut Client, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut seen = Vec::new();
    loop {
        match client.see().await {
            Seen::Frame(frame) => {
                let is_last = is_last(&frame);
                seen.push(frame);
                if is_last {
                    return seen;
                }
            }
            end @ (Seen::Closed(..) | Seen::Broken) => panic!("{end:?} after {seen:?}"),
        }
    }
}

async fn ask(client: &mut Client, id: &str, method: &str, params: Value) {
    let request = json!({"type": "req", "id": id, "method": method, "params": params});
    client.send(request.to_string()).await;
}

/// Says something in the main session, and returns everything that came until that was acknowledged.
async fn say(client: &mut Client, text: &str, key: &str) -> Vec<Value> {
    say_in(client, "main", text, key).await
}

async fn say_in(client: &mut Client, session: &str, text: &str, key: &str) -> Vec<Value> {
    let params = json!({"sessionKey": session, "message": text, "idempotencyKey": key});
    let id = format!("say {key}");
    ask(client, &id, "chat.send", params).await;
    let seen = until(client, |it| it["id"] == id.as_str()).await;
    let answer = seen.last().unwrap();
    assert_eq!(answer["payload"]["status"], "started", "{answer}");
    seen
}

/// The same as [`until`], unless that was among what was seen already.
async fn until_after(
    mut seen: Vec<Value>,
    client: &mut Client,
    is_last: impl Fn(&Value) -> bool,
) -> Vec<Value> {
    if !seen.iter().any(&is_last) {
        seen.extend(until(client, is_last).await);
    }
    seen
}

fn is_chat(frame: &Value, run: &str, state: &str) -> bool {
    frame["event"] == "chat"
        && frame["payload"]["runId"] == run
        && frame["payload"]["state"] == state
}

fn is_finish(frame: &Value) -> bool {
    frame["type"] == "res" && frame["payload"]["status"] != "accepted"
}

#[tokio::test(flavor = "local")]
async fn a_run_is_accepted_told_and_finished_under_one_id() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let params = json!({"message": "hi there", "agentId": "main", "idempotencyKey": "ag-1"});
    ask(&mut client, "A", "agent", params.clone()).await;
    let seen = until(&mut client, is_finish).await;
    let responses: Vec<&Value> = seen.iter().filter(|it| it["type"] == "res").collect();
    assert_eq!(responses[0]["payload"]["runId"], "ag-1");
    assert_eq!(responses[0]["payload"]["status"], "accepted");
    let last = &responses[1]["payload"];
    assert_eq!(responses[1]["id"], "A");
    assert_eq!(
        (&last["status"], &last["summary"]),
        (&json!("ok"), &json!("completed"))
    );
    let text = last["result"]["payloads"][0]["text"].as_str().unwrap();
    assert!(text.contains("hi there"), "{text}");
    assert_eq!(last["result"]["payloads"][0]["mediaUrl"], Value::Null);
    assert!(last["result"]["meta"]["agentMeta"]["sessionId"].is_string());
    let agent: Vec<&Value> = (seen.iter().filter(|it| it["event"] == "agent"))
        .map(|it| &it["payload"])
        .collect();
    assert_eq!(agent[0]["stream"], "lifecycle");
    assert_eq!(agent[0]["data"]["phase"], "start");
    assert_eq!(agent[0]["sessionKey"], "agent:main:main");
    let seqs: Vec<u64> = agent.iter().map(|it| it["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let end = agent.last().unwrap();
    assert_eq!(
        (&end["stream"], &end["data"]["phase"]),
        (&json!("lifecycle"), &json!("end"))
    );
    let said: String = (agent.iter().filter(|it| it["stream"] == "assistant"))
        .map(|it| it["data"]["delta"].as_str().unwrap())
        .collect();
    assert_eq!(said, text);
    // First the end of the run, then of the chat, then the answer.
    let order: Vec<&str> = (seen.iter().rev().take(3))
        .map(|it| it["event"].as_str().unwrap_or("res"))
        .collect();
    assert_eq!(order, ["res", "chat", "agent"]);
    let chat = &seen[seen.len() - 2]["payload"];
    assert_eq!(chat["message"]["content"][0]["text"], text);
    // The same again is the same run.
    ask(&mut client, "B", "agent", params).await;
    let again = until(&mut client, is_finish).await;
    assert!(again.iter().all(|it| it["event"] != "agent"), "{again:?}");
    assert_eq!(again.last().unwrap()["payload"], *last);
    let waited = client.call("agent.wait", json!({"runId": "ag-1"})).await;
    assert_eq!(waited["payload"]["status"], "ok");
    let history = client
        .call("chat.history", json!({"sessionKey": "main"}))
        .await;
    let messages = history["payload"]["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2, "{history}");
    assert_eq!(messages[1]["content"][0]["text"], text);
    let other = json!({"message": "else", "agentId": "main", "idempotencyKey": "ag-1"});
    let refused = client.call("agent", other).await;
    assert_eq!(refused["error"]["details"]["code"], "IDEMPOTENCY_CONFLICT");
}

#[tokio::test(flavor = "local")]
async fn what_agent_refuses_is_said_before_it_is_accepted() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    for (params, expected) in [
        (
            json!({"agentId": "zzz"}),
            "invalid agent params: unknown agent id \"zzz\"",
        ),
        (
            json!({"agentId": "main", "sessionKey": "agent:b:main"}),
            "invalid agent params: agent \"main\" does not match session key agent \"b\"",
        ),
    ] {
        let mut params = params;
        params["message"] = "hi".into();
        params["idempotencyKey"] = "k".into();
        let refused = client.call("agent", params).await;
        assert_eq!(refused["error"]["message"], expected);
    }
    ask(
        &mut client,
        "A",
        "agent",
        json!({"message": "hi", "idempotencyKey": "ag-4"}),
    )
    .await;
    let seen = until(&mut client, is_finish).await;
    let last = seen.last().unwrap();
    assert_eq!(last["ok"], false);
    assert_eq!(last["payload"]["status"], "error");
    assert_eq!(last["payload"]["summary"], last["error"]["message"]);
    assert!(
        last["error"]["message"]
            .as_str()
            .unwrap()
            .contains("--session-id")
    );
}

#[tokio::test(flavor = "local")]
async fn a_chat_grows_and_is_finished_and_another_waits_for_it() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let message = |text: &str, key: &str| json!({"sessionKey": "main", "message": text, "idempotencyKey": key});
    let slow = message(
        "/slow 600\none two three four five six seven eight nine ten eleven twelve",
        "c1",
    );
    let started = client.call("chat.send", slow.clone()).await;
    assert_eq!(
        started["payload"],
        json!({"runId": "c1", "status": "started"})
    );
    let again = client.call("chat.send", slow).await;
    assert_eq!(again["payload"]["status"], "in_flight");
    until(&mut client, |it| is_chat(it, "c1", "delta")).await;
    for key in ["c2", "c3"] {
        let answer = client
            .call("chat.send", message(&format!("and {key}"), key))
            .await;
        assert_eq!(answer["payload"]["status"], "started");
    }
    let seen = until(&mut client, |it| is_chat(it, "c3", "final")).await;
    let first = seen.iter().find(|it| is_chat(it, "c1", "final")).unwrap();
    assert_eq!(first["payload"]["sessionKey"], "main");
    let last = seen.last().unwrap()["payload"]["message"]["content"][0]["text"].to_string();
    assert!(last.contains("c3"), "{last}");
    // What was answered together is over for all of it.
    until(&mut client, |it| is_chat(it, "c2", "final")).await;
    let waited = client.call("agent.wait", json!({"runId": "c2"})).await;
    assert_eq!(waited["payload"]["status"], "ok");
    let history = client
        .call("chat.history", json!({"sessionKey": "main"}))
        .await;
    let roles: Vec<&str> = (history["payload"]["messages"].as_array().unwrap().iter())
        .map(|it| it["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "user", "user", "assistant"]);
}

#[tokio::test(flavor = "local")]
async fn a_chat_is_stopped_and_what_it_has_said_is_kept() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let slow = json!({"sessionKey": "main", "message": "/slow 1500\none two three four five six seven eight nine ten eleven twelve", "idempotencyKey": "c1"});
    client.call("chat.send", slow).await;
    until(&mut client, |it| is_chat(it, "c1", "delta")).await;
    let wrong = json!({"sessionKey": "agent:main:main", "runId": "c1"});
    let refused = client.call("chat.abort", wrong).await;
    assert_eq!(
        refused["error"]["message"],
        "runId does not match sessionKey"
    );
    let params = json!({"sessionKey": "main", "runId": "c1"});
    ask(&mut client, "abort", "chat.abort", params.clone()).await;
    let seen = until(&mut client, |it| is_chat(it, "c1", "aborted")).await;
    assert_eq!(seen.last().unwrap()["payload"]["stopReason"], "rpc");
    let waited = client.call("agent.wait", json!({"runId": "c1"})).await;
    assert_eq!(waited["payload"]["status"], "ok");
    let again = client.call("chat.abort", params).await;
    assert_eq!(
        again["payload"],
        json!({"ok": true, "aborted": false, "runIds": []})
    );
    let history = client
        .call("chat.history", json!({"sessionKey": "main"}))
        .await;
    let kept = &history["payload"]["messages"][1];
    assert_eq!(kept["stopReason"], "aborted");
    assert!(kept["content"][0]["text"].is_string(), "{kept}");
}

#[tokio::test(flavor = "local")]
async fn a_run_that_takes_too_long_ends_with_its_own_code() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let params = json!({"message": "/slow 10000\none two", "agentId": "main", "idempotencyKey": "t", "timeout": 1});
    ask(&mut client, "A", "agent", params).await;
    let seen = until(&mut client, is_finish).await;
    let last = seen.last().unwrap();
    assert_eq!(last["error"]["code"], "AGENT_TIMEOUT");
    let waited = client.call("agent.wait", json!({"runId": "t"})).await;
    assert_eq!(waited["payload"]["status"], "error");
}

#[tokio::test(flavor = "local")]
async fn words_that_stop_begin_nothing() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    for text in ["/stop", " Abort "] {
        let params = json!({"sessionKey": "main", "message": text, "idempotencyKey": text});
        let answer = client.call("chat.send", params).await;
        assert_eq!(
            answer["payload"],
            json!({"ok": true, "aborted": false, "runIds": []})
        );
    }
    let blank = json!({"sessionKey": "main", "message": "  ", "idempotencyKey": "b"});
    let refused = client.call("chat.send", blank).await;
    assert_eq!(
        refused["error"]["message"],
        "message or attachment required"
    );
}

/// What a life has left that ended at this point of a run.
async fn left_behind(gateway: &Gateway, run: &str, state: &'static str, has_left: bool) {
    left_behind_with(gateway, ("main", run), state, has_left, |_| Ok(())).await;
}

/// `also` is done in the same step, because this life may still be about to look at what others have left.
async fn left_behind_with(
    gateway: &Gateway,
    (session, run): (&str, &str),
    state: &'static str,
    has_left: bool,
    also: impl FnOnce(&rusqlite::Connection) -> Result<(), StoreError> + Send + 'static,
) {
    let request = super::RunRequest {
        run_id: run.to_owned(),
        kind: super::RunKind::Chat,
        session: crate::services::session_key::SessionKey::of_canonical(&format!(
            "agent:main:{session}"
        )),
        asked_as: session.to_owned(),
        work: super::Work {
            agent: "main".to_owned(),
            message: match session {
                "main" => format!("do {run}"),
                _ => format!("/slow 20\ndo {run} now"),
            },
            ..super::Work::default()
        },
    };
    gateway
        .context
        .store
        .write(move |tx| {
            super::journal::enter(tx, &request, "p", Some("dead"), WallTime::now())?;
            // No process has this number.
            tx.execute(
                "INSERT OR REPLACE INTO lives (life, pid, born) VALUES ('dead', 2147483646, 1)",
                [],
            )?;
            tx.execute(
                "UPDATE runs SET state = ?2, has_left = ?3 WHERE id = ?1",
                rusqlite::params![request.run_id, state, has_left],
            )?;
            also(tx)
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "local")]
async fn what_a_life_has_left_is_done_unless_something_of_it_has_left_the_house() {
    for (state, has_left, expected) in [
        ("accepted", false, "ok"),
        ("running", false, "ok"),
        ("running", true, "error"),
    ] {
        let gateway = Gateway::start().await;
        let (mut client, _) = gateway.client().await;
        left_behind(&gateway, "r1", state, has_left).await;
        super::estate::take_over(&gateway.context).await;
        let waited = client.call("agent.wait", json!({"runId": "r1"})).await;
        assert_eq!(waited["payload"]["status"], expected, "{state} {has_left}");
        let history = client
            .call("chat.history", json!({"sessionKey": "main"}))
            .await;
        let last = history["payload"]["messages"]
            .as_array()
            .unwrap()
            .last()
            .cloned();
        let is_answered = last.is_some_and(|it| it["stopReason"] == "stop");
        assert_eq!(is_answered, expected == "ok");
        // Whoever comes back hears of what was closed.
        let (mut late, _) = gateway.client().await;
        if expected == "error" {
            let told = late.event("chat").await;
            assert_eq!(told["payload"]["state"], "error", "{told}");
            assert_eq!(told["payload"]["sessionKey"], "main");
        }
        // Nobody sees off the same life twice.
        let rows = gateway.context.store.read(|reader| {
            reader.query_row(
                "SELECT count(*) FROM lives WHERE life = 'dead'",
                [],
                |row| row.get::<_, i64>(0),
            )
        });
        assert_eq!(rows, Ok(0));
    }
}

#[tokio::test(flavor = "local")]
async fn rule_124_what_many_sessions_have_left_is_done_a_few_at_a_time() {
    const SESSIONS: usize = 12;
    const AT_ONCE: i64 = 2;
    let gateway =
        Gateway::start_with(&json!({"agents": {"defaults": {"maxConcurrent": AT_ONCE}}})).await;
    for at in 0..SESSIONS {
        let (session, run) = (format!("s{at}"), format!("r{at}"));
        left_behind_with(&gateway, (&session, &run), "accepted", false, |_| Ok(())).await;
    }
    super::estate::take_over(&gateway.context).await;
    let running = || {
        let store = &gateway.context.store;
        let sql = "SELECT count(*) FROM runs WHERE state = 'running'";
        store.read(|reader| reader.query_row(sql, [], |row| row.get::<_, i64>(0)))
    };
    let mut most = 0;
    for at in 0..SESSIONS {
        let run = format!("r{at}");
        let ended = loop {
            let glance = std::time::Duration::from_millis(1);
            let ended = super::outcome(&gateway.context, &run, Some(glance));
            let ended = ended.await.unwrap();
            most = most.max(running().unwrap());
            if let Some(ended) = ended {
                break ended;
            }
        };
        assert_eq!(ended.status, super::RunStatus::Ok, "{ended:?}");
    }
    assert!((1..=AT_ONCE).contains(&most), "{most} at once");
}

#[tokio::test(flavor = "local")]
async fn a_reset_stops_what_is_under_way_first() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let slow = json!({"sessionKey": "main", "message": "/slow 1500\none two three four five six seven", "idempotencyKey": "c1"});
    client.call("chat.send", slow).await;
    until(&mut client, |it| is_chat(it, "c1", "delta")).await;
    let reset = client.call("sessions.reset", json!({"key": "main"})).await;
    assert_eq!(reset["ok"], true, "{reset}");
    let ended = super::outcome(&gateway.context, "c1", Some(std::time::Duration::ZERO));
    let ended = ended.await.unwrap().expect("it was ended before");
    assert!(!ended.text().contains("seven"), "{ended:?}");
    let history = client
        .call("chat.history", json!({"sessionKey": "main"}))
        .await;
    assert_eq!(history["payload"]["messages"], json!([]), "{history}");
}

#[tokio::test(flavor = "local")]
async fn a_session_that_another_life_works_in_is_waited_for() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    left_behind_with(&gateway, ("main", "r1"), "running", true, |tx| {
        // The life that holds the run is this very process, and here as long as it is.
        super::lives::leave(tx, "dead")?;
        super::lives::enter(tx, "other")?;
        tx.execute("UPDATE runs SET life = 'other'", [])?;
        Ok(())
    })
    .await;
    super::estate::take_over(&gateway.context).await;
    let params = json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "c1"});
    client.call("chat.send", params).await;
    let waited = client
        .call("agent.wait", json!({"runId": "c1", "timeoutMs": 200}))
        .await;
    assert_eq!(waited["payload"]["status"], "timeout");
    gateway
        .context
        .store
        .write(|tx| {
            tx.execute(
                "UPDATE runs SET state = 'done', ended_ms = 1, outcome = ?1 WHERE id = 'r1'",
                [
                    serde_json::to_string(&super::Outcome::ended(super::RunStatus::Ok, None, 1))
                        .unwrap(),
                ],
            )?;
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    let waited = client.call("agent.wait", json!({"runId": "c1"})).await;
    assert_eq!(waited["payload"]["status"], "ok");
}

#[tokio::test(flavor = "local")]
async fn a_replaced_life_takes_in_what_its_successor_will_do() {
    let mut gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let slow = json!({"sessionKey": "main", "message": "/slow 1000\none two three four five six seven", "idempotencyKey": "c1"});
    client.call("chat.send", slow).await;
    until(&mut client, |it| is_chat(it, "c1", "delta")).await;
    let queued = json!({"sessionKey": "main", "message": "later", "idempotencyKey": "c2"});
    client.call("chat.send", queued).await;
    gateway.drain().await;
    let rows = gateway.context.store.read(|reader| {
        let mut statement =
            reader.prepare("SELECT id, state, life IS NULL FROM runs ORDER BY number")?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, bool>(2)?,
            ))
        })?;
        rows.collect::<Result<Vec<_>, _>>()
    });
    let expected = [("c1", "done", false), ("c2", "accepted", true)]
        .map(|(id, state, is_free)| (id.to_owned(), state.to_owned(), is_free));
    assert_eq!(rows.unwrap(), expected);
    // What was told meanwhile waits for the successor's clients.
    let told = gateway.context.store.read(|reader| {
        reader.query_row(
            "SELECT count(*) FROM run_events WHERE payload LIKE '%\"state\":\"final\"%'",
            [],
            |row| row.get::<_, i64>(0),
        )
    });
    assert_eq!(told, Ok(1));
}
