//! Runs of agents, with a stand-in for the provider of models that says 200 words as fast as it can: so all the time there is belongs to
//! the subject, but for what the stand-in needs itself, which is measured beside it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use openclaw_shared::clock::Moment;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::open;
use crate::connection::Connection;
use crate::options::Options;
use crate::process::{CpuMark, tree_megabytes};
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{count, ms, percentile};
use crate::subject::{Prepared, Programs, Subject};
use crate::wire::{self, Incoming};

/// What the stand-in says.
const TOKENS: usize = 200;
/// Runs that are not counted: the first ones set things up that the later ones find.
const WARM_UP: usize = 5;
/// Runs one after another, each in a session of its own.
const ALONE: usize = 40;
/// Sessions that are at work at once, and how many runs each does.
const SESSIONS: usize = 32;
const ROUNDS: usize = 4;
/// Who watches, besides whoever asks.
const SUBSCRIBERS: [usize; 2] = [1, 100];
/// What ours should be better by.
const TIMES_PEER: f64 = 5.0;
/// How long a run may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);
/// After how many runs memory is looked at first.
const SETTLED_AFTER: usize = 500;
/// How often a list or a history is asked for.
const LOOKS: usize = 15;

/// The stand-in.
struct Model {
    child: Child,
    port: u16,
}

impl Drop for Model {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Model {
    fn start(programs: &Programs) -> Result<Self> {
        let mut child = Command::new(programs.ours.join("model-server"))
            .args(["--tokens", &TOKENS.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the stand-in for models")?;
        let out = child.stdout.take().context("it has an output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let port = line.trim().parse().context("it says its port")?;
        Ok(Self { child, port })
    }

    /// How long it takes itself, asked by nobody in between.
    async fn alone(&self) -> Result<Duration> {
        let body =
            json!({"model": "m1", "stream": true, "messages": [{"role": "user", "content": "hi"}]})
                .to_string();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        let mut took = Vec::new();
        for _ in 0..ALONE {
            let start = Moment::now();
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            // It keeps the connection for the next request.
            while !answer.ends_with(b"\r\n0\r\n\r\n") {
                let read = timeout(ANSWERED_WITHIN, stream.read_buf(&mut answer)).await;
                ensure!(
                    read.context("the stand-in is silent")?? > 0,
                    "the stand-in broke off"
                );
            }
            took.push(Moment::now().since(start));
        }
        percentile(took, 500).context("it was asked")
    }
}

/// A run, as a client sees it.
struct Seen {
    accepted: Duration,
    first_delta: Duration,
    finished: Duration,
}

fn request(id: usize, session: &str, key: &str) -> Vec<u8> {
    let params = json!({"message": "hi", "sessionKey": session, "idempotencyKey": key});
    wire::request(id, "agent", &params.to_string())
}

/// One run. Its events are told by the number of the run in their text.
async fn run(connection: &mut Connection, session: &str, key: &str) -> Result<Seen> {
    let start = Moment::now();
    connection.write(&request(7, session, key)).await?;
    let (mut accepted, mut first_delta) = (None, None);
    loop {
        while let Some((incoming, text)) = connection.next_text() {
            match incoming {
                Incoming::Answer { ok: true, .. } if accepted.is_none() => {
                    accepted = Some(Moment::now().since(start));
                }
                Incoming::Answer { ok: true, .. } => {
                    return Ok(Seen {
                        accepted: accepted.context("accepted first")?,
                        first_delta: first_delta.context("a delta first")?,
                        finished: Moment::now().since(start),
                    });
                }
                Incoming::Answer { ok: false, .. } | Incoming::Closed(_) => {
                    anyhow::bail!("a run failed: {}", String::from_utf8_lossy(text));
                }
                Incoming::Other
                    if first_delta.is_none() && has(text, br#""stream":"assistant""#) =>
                {
                    first_delta = Some(Moment::now().since(start));
                }
                Incoming::Other | Incoming::Hello => {}
            }
        }
        ensure!(connection.fill().await?, "cut off in a run");
    }
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

pub(super) async fn measure(
    prepared: &Prepared,
    options: &Options,
    round: usize,
    results: &mut Results,
) -> Result<()> {
    let programs = options.programs();
    let model = Model::start(&programs)?;
    prepared.configure_with(round, &with_model(model.port))?;
    let mut running = prepared.launch()?;
    drop(running.first_hello().await?);
    let (subject, root) = (prepared.subject, running.root());
    let model_alone = model.alone().await?;
    let mut connection = open(&prepared.target, 1).await?.remove(0);
    for number in 0..WARM_UP {
        one(&mut connection, round, &format!("warm-{number}")).await?;
    }
    one_by_one(&mut connection, root, round, model_alone, subject, results).await?;
    drop(connection);
    for subscribers in SUBSCRIBERS {
        at_once(prepared, root, round, subscribers, results).await?;
    }
    if round == 1 {
        long_lists(prepared, options, results).await?;
        memory(prepared, root, options, results).await?;
    }
    drop(running);
    prepared.configure(round)
}

async fn one(connection: &mut Connection, round: usize, name: &str) -> Result<Seen> {
    let (session, key) = (
        format!("agent:main:bench-{round}-{name}"),
        format!("bench-{round}-{name}"),
    );
    timeout(ANSWERED_WITHIN, run(connection, &session, &key))
        .await
        .context("not answered in time")?
}

fn with_model(port: u16) -> Value {
    json!({
        "models": {"providers": {"stand-in": {
            "baseUrl": format!("http://127.0.0.1:{port}/v1"),
            "apiKey": "bench",
            "api": "openai-completions",
            "models": [{
                "id": "m1", "name": "M1", "reasoning": false, "input": ["text"], "contextWindow": 200_000, "maxTokens": 8192,
                "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
            }],
        }}},
        "agents": {"defaults": {
            "model": {"primary": "stand-in/m1"},
            "skipBootstrap": true,
            "maxConcurrent": SESSIONS,
            "heartbeat": {"every": "0m"},
        }},
    })
}

async fn one_by_one(
    connection: &mut Connection,
    root: i32,
    round: usize,
    model_alone: Duration,
    subject: Subject,
    results: &mut Results,
) -> Result<()> {
    let mark = CpuMark::set(root)?;
    let mut seen = Vec::new();
    for number in 0..ALONE {
        seen.push(one(connection, round, &format!("alone-{number}")).await?);
    }
    let cpu: Duration = mark.since(root)?.into_iter().map(|(_, taken)| taken).sum();
    let middle = |of: fn(&Seen) -> Duration| percentile(seen.iter().map(of).collect(), 500);
    let mut add = |name: &str, value: Option<Duration>, goal: bool| {
        if let Some(value) = value {
            let mut metric = Metric::lower(Section::Runs, name, "ms");
            if goal {
                metric = metric.goal(Goal::TimesPeer(TIMES_PEER));
            }
            results.add(metric, subject, ms(value));
        }
    };
    add("agent to accepted", middle(|it| it.accepted), false);
    add("agent to first delta", middle(|it| it.first_delta), false);
    let finished = middle(|it| it.finished);
    add("agent to final", finished, false);
    add("the stand-in by itself", Some(model_alone), false);
    add(
        "overhead of a run (final less the stand-in)",
        finished.map(|it| it.saturating_sub(model_alone)),
        true,
    );
    let number = u32::try_from(ALONE).unwrap_or(1);
    add("server CPU of a run", Some(cpu / number), true);
    Ok(())
}

/// Every session does its runs one after another, all sessions at once, while others watch.
async fn at_once(
    prepared: &Prepared,
    root: i32,
    round: usize,
    subscribers: usize,
    results: &mut Results,
) -> Result<()> {
    let mut watching = tokio::task::JoinSet::new();
    for mut watcher in open(&prepared.target, subscribers).await? {
        watching.spawn_local(async move {
            // It takes whatever comes, until it is dropped.
            while watcher.fill().await.is_ok_and(|goes_on| goes_on) {
                while watcher.next().is_some() {}
            }
        });
    }
    let mark = CpuMark::set(root)?;
    let mut working = tokio::task::JoinSet::new();
    let start = Moment::now();
    for (place, mut connection) in open(&prepared.target, SESSIONS)
        .await?
        .into_iter()
        .enumerate()
    {
        let (session, name) = (
            format!("agent:main:bench-{round}-{subscribers}-{place}"),
            format!("bench-{round}-{subscribers}-{place}"),
        );
        working.spawn_local(timeout(ANSWERED_WITHIN, async move {
            for number in 0..ROUNDS {
                finish(&mut connection, &session, &format!("{name}-{number}")).await?;
            }
            anyhow::Ok(())
        }));
    }
    while let Some(done) = working.join_next().await {
        done.context("a client panicked")?
            .context("not answered in time")??;
    }
    let elapsed = Moment::now().since(start);
    let cpu: Duration = mark.since(root)?.into_iter().map(|(_, taken)| taken).sum();
    drop(watching);
    let runs = SESSIONS * ROUNDS;
    let name = match subscribers {
        1 => format!("{SESSIONS} sessions at once, 1 subscriber"),
        many => format!("{SESSIONS} sessions at once, {many} subscribers"),
    };
    let seconds = elapsed.as_secs_f64();
    results.add(
        Metric::higher(Section::Runs, format!("{name}: runs"), "/s"),
        prepared.subject,
        count(runs) / seconds,
    );
    results.add(
        Metric::higher(Section::Runs, format!("{name}: tokens"), "/s"),
        prepared.subject,
        count(runs * TOKENS) / seconds,
    );
    results.add(
        Metric::lower(Section::Runs, format!("{name}: server CPU of a run"), "ms")
            .goal(Goal::TimesPeer(TIMES_PEER)),
        prepared.subject,
        ms(cpu) / count(runs),
    );
    Ok(())
}

/// One run, of which only its end is looked at.
async fn finish(connection: &mut Connection, session: &str, key: &str) -> Result<()> {
    connection.write(&request(7, session, key)).await?;
    let mut answers = 0;
    loop {
        while let Some((incoming, text)) = connection.next_text() {
            match incoming {
                Incoming::Answer { ok: true, .. } => answers += 1,
                Incoming::Answer { ok: false, .. } | Incoming::Closed(_) => {
                    anyhow::bail!("a run failed: {}", String::from_utf8_lossy(text));
                }
                Incoming::Other | Incoming::Hello => {}
            }
        }
        if answers == 2 {
            return Ok(());
        }
        ensure!(connection.fill().await?, "cut off in a run");
    }
}

/// Memory as runs go by.
async fn memory(
    prepared: &Prepared,
    root: i32,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    let runs = match prepared.subject {
        Subject::Ours => options.runs,
        // It takes a hundred times as long.
        Subject::Peer | Subject::Echo => options.runs / 10,
    };
    let mut connections = open(&prepared.target, 4).await?;
    let mut done = 0;
    let mut settled = None;
    while done < runs {
        for (place, connection) in connections.iter_mut().enumerate() {
            let key = format!("memory-{done}");
            let session = format!("agent:main:memory-{place}-{}", done / 50);
            timeout(ANSWERED_WITHIN, finish(connection, &session, &key))
                .await
                .context("not answered in time")??;
            done += 1;
        }
        if settled.is_none() && done >= SETTLED_AFTER {
            settled = Some(tree_megabytes(root));
        }
    }
    let after = tree_megabytes(root);
    let before = settled.unwrap_or(after);
    results.add(
        Metric::lower(
            Section::Runs,
            format!("memory after {SETTLED_AFTER} runs"),
            "MB",
        ),
        prepared.subject,
        before,
    );
    results.add(
        Metric::lower(Section::Runs, format!("memory after {runs} runs"), "MB"),
        prepared.subject,
        after,
    );
    Ok(())
}

/// Lists of very many sessions, and a very long conversation.
async fn long_lists(prepared: &Prepared, options: &Options, results: &mut Results) -> Result<()> {
    let mut connection = open(&prepared.target, 1).await?.remove(0);
    for number in 0..options.sessions {
        let params = json!({"key": format!("agent:main:list-{number}"), "thinkingLevel": "low"});
        let frame = wire::request(1, "sessions.patch", &params.to_string());
        ensure!(connection.ask(&frame).await?, "a session was refused");
    }
    look(
        &mut connection,
        prepared.subject,
        "sessions.list",
        "{}",
        &format!("sessions.list of {} sessions", options.sessions),
        Some(Goal::TimesPeer(20.0)),
        results,
    )
    .await?;
    let session = "agent:main:long";
    one(&mut connection, 0, "long").await?;
    let patch = json!({"key": session, "thinkingLevel": "low"});
    let frame = wire::request(1, "sessions.patch", &patch.to_string());
    ensure!(connection.ask(&frame).await?, "a session was refused");
    let start = json!({"message": "hi", "sessionKey": session, "idempotencyKey": "long-first"});
    connection
        .write(&wire::request(7, "agent", &start.to_string()))
        .await?;
    let mut answers = 0;
    while answers < 2 {
        while let Some(incoming) = connection.next() {
            answers += usize::from(matches!(incoming, Incoming::Answer { ok: true, .. }));
        }
        ensure!(connection.fill().await? || answers == 2, "cut off");
    }
    for number in 0..options.messages {
        let params = json!({"sessionKey": session, "message": format!("message {number} of a long conversation")});
        let frame = wire::request(1, "chat.inject", &params.to_string());
        ensure!(connection.ask(&frame).await?, "a message was refused");
    }
    look(
        &mut connection,
        prepared.subject,
        "chat.history",
        &json!({"sessionKey": session, "limit": 1000}).to_string(),
        &format!("chat.history (1,000 of {} messages)", options.messages),
        None,
        results,
    )
    .await
}

async fn look(
    connection: &mut Connection,
    subject: Subject,
    method: &str,
    params: &str,
    name: &str,
    goal: Option<Goal>,
    results: &mut Results,
) -> Result<()> {
    let mut took = Vec::new();
    for _ in 0..LOOKS {
        let start = Moment::now();
        let frame = wire::request(1, method, params);
        let answered = timeout(ANSWERED_WITHIN, connection.ask(&frame)).await;
        ensure!(
            answered.context("not answered in time")??,
            "{method} was refused"
        );
        took.push(Moment::now().since(start));
    }
    if let Some(middle) = percentile(took, 500) {
        let mut metric = Metric::lower(Section::Runs, name, "ms");
        if let Some(goal) = goal {
            metric = metric.goal(goal);
        }
        results.add(metric, subject, ms(middle));
    }
    Ok(())
}
