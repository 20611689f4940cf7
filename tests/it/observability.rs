//! What an operator sees of a running instance: numbers, the live view, the log by what it is about, and one request through all
//! processes.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_shared::control::{ChildName, ChildState};
use openclaw_shared::digest;
use openclaw_shared::trace::TraceId;
use openclaw_tests::client::attempt;
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::{freeze, thaw};
use openclaw_tests::home::{Home, Said, TOKEN};
use openclaw_tests::http::{self, Answer};
use openclaw_tests::instance::Instance;
use openclaw_tests::process::Signal;
use openclaw_tests::tmux::Window;
use prometheus_parse::{Sample, Scrape, Value as Number};
use serde_json::{Value, json};

/// The page of numbers, as somebody else's parser reads it.
struct Numbers {
    samples: Vec<Sample>,
    text: String,
}

impl Numbers {
    async fn of(home: &Home) -> Self {
        let answer = metrics(home, &[("Authorization", &format!("Bearer {TOKEN}"))]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.header("content-type"),
            "text/plain; version=0.0.4; charset=utf-8"
        );
        let text = answer.text();
        let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
        Self {
            samples: scrape.samples,
            text,
        }
    }

    /// A number, by its name and its labels.
    fn number(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found = self.samples.iter().find(|sample| {
            sample.metric == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(label) == Some(value))
        });
        match &found?.value {
            Number::Counter(number) | Number::Gauge(number) | Number::Untyped(number) => {
                Some(*number)
            }
            Number::Histogram(_) | Number::Summary(_) => None,
        }
    }
}

async fn metrics(home: &Home, headers: &[(&str, &str)]) -> Answer {
    let host = format!("127.0.0.1:{}", home.port());
    let mut all = vec![("Host", host.as_str())];
    all.extend(headers);
    http::get_with(home.port(), "/metrics", &all).await
}

#[tokio::test]
async fn what_is_done_is_counted_and_another_parser_reads_it() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let mut client = instance.client().await;
    for _ in 0..3 {
        client.call("status", json!({})).await.unwrap();
    }
    client
        .call("status.SECRETCANARY", json!({}))
        .await
        .unwrap_err();
    let said = json!({ "sessionKey": "SECRETCANARY", "message": "hello SECRETCANARY", "idempotencyKey": "k1" });
    client.call("chat.send", said).await.unwrap();
    assert!(attempt(home.port(), "[]").await.end.is_some());
    let numbers = eventually("the run is counted", async || {
        let numbers = Numbers::of(home).await;
        match numbers.number("openclaw_runs_total", &[("outcome", "ok")]) {
            Some(1.0) => Ok(numbers),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let at_least = |name: &str, labels: &[(&str, &str)], least: f64| {
        let number = numbers.number(name, labels);
        assert!(
            number.is_some_and(|number| number >= least),
            "{name} {labels:?} is {number:?}, not {least}"
        );
    };
    at_least(
        "openclaw_requests_total",
        &[("method", "status"), ("outcome", "ok")],
        3.0,
    );
    at_least(
        "openclaw_requests_total",
        &[("method", "other"), ("outcome", "invalid_request")],
        1.0,
    );
    at_least(
        "openclaw_handshakes_refused_total",
        &[("reason", "first_frame")],
        1.0,
    );
    at_least("openclaw_clients", &[], 1.0);
    at_least("openclaw_events_sent_total", &[], 1.0);
    at_least("openclaw_store_writes_total", &[], 1.0);
    at_least("openclaw_store_file_bytes", &[("file", "database")], 1.0);
    at_least("openclaw_tokens_total", &[("kind", "output")], 0.0);
    at_least("openclaw_gateway_active", &[], 1.0);
    at_least(
        "openclaw_child_state",
        &[("child", "canvas-host"), ("state", "active")],
        1.0,
    );
    at_least(
        "openclaw_child_resident_memory_bytes",
        &[("child", "gateway")],
        1_000_000.0,
    );
    at_least("openclaw_supervisor_resident_memory_bytes", &[], 100_000.0);
    assert!(!numbers.text.contains("SECRETCANARY"), "{}", numbers.text);
    is_well_formed(&numbers);
}

/// What the parser does not look at: each metric is explained before its numbers, and histograms add up.
fn is_well_formed(numbers: &Numbers) {
    let mut known = BTreeMap::new();
    for line in numbers.text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(known.insert(name, kind).is_none(), "{name} is there twice");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let whole = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .filter(|name| known.get(name) == Some(&"histogram"));
            assert!(known.contains_key(whole.unwrap_or(name)), "{line}");
        }
    }
    let helped = numbers
        .text
        .lines()
        .filter(|line| line.starts_with("# HELP "));
    assert_eq!(helped.count(), known.len());
    let histograms = numbers
        .samples
        .iter()
        .filter_map(|sample| match &sample.value {
            Number::Histogram(buckets) => Some((&sample.metric, buckets)),
            Number::Counter(_) | Number::Gauge(_) | Number::Untyped(_) | Number::Summary(_) => None,
        });
    let mut seen = 0;
    for (name, buckets) in histograms {
        assert!(
            buckets.is_sorted_by(
                |one, other| one.less_than < other.less_than && one.count <= other.count
            ),
            "{name}: {buckets:?}"
        );
        assert_eq!(
            buckets.last().map(|last| last.less_than),
            Some(f64::INFINITY)
        );
        seen += 1;
    }
    assert!(seen > 3, "{seen} histograms");
}

#[tokio::test]
async fn numbers_are_for_those_who_know_the_secret() {
    let home = Home::new();
    let instance = home.launch().ready().await;
    let own = format!("Bearer {TOKEN}");
    let secret = ("Authorization", own.as_str());
    assert_eq!(metrics(&home, &[]).await.status, 401);
    let guess = ("Authorization", "Bearer wrong");
    assert_eq!(metrics(&home, &[guess]).await.status, 401);
    assert_eq!(metrics(&home, &[secret]).await.status, 200);
    let page = ("Origin", "http://evil.example");
    assert_eq!(metrics(&home, &[secret, page]).await.status, 403);
    let rebound = [("Host", "evil.example"), secret];
    let answer = http::get_with(home.port(), "/metrics", &rebound).await;
    assert!(answer.status >= 400, "{answer:?}");
    // Whoever owns the machine may open it to the programs on it, and to nobody else.
    home.configure(&json!({ "gateway": { "metrics": { "openOnLoopback": true } } }));
    eventually("it is open on this machine", async || {
        match metrics(&home, &[]).await.status {
            200 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    assert_eq!(metrics(&home, &[page]).await.status, 403);
    let proxied = ("X-Forwarded-For", "192.0.2.1");
    assert_eq!(metrics(&home, &[proxied]).await.status, 401);
    home.configure(&json!({ "gateway": { "metrics": { "enabled": false } } }));
    eventually("it is gone", async || {
        match metrics(&home, &[secret]).await.status {
            404 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    drop(instance);
}

/// A trace of the test's own, and the header that names it.
fn trace() -> (String, String) {
    let id = TraceId::random().unwrap();
    let header = id.traceparent().to_str().unwrap().to_owned();
    (id.to_string(), header)
}

/// The processes that have written a line for a trace, as `openclaw logs` shows it.
async fn writers(home: &Home, id: &str) -> BTreeSet<String> {
    let said = home.run(&["logs", "--trace", id, "--json"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    lines(&said)
        .into_iter()
        .map(|line| {
            assert_eq!(line["traceId"], id, "{line}");
            line["process"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// The lines of the log in what a command has printed as JSON.
fn lines(said: &Said) -> Vec<Value> {
    let lines = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|line: &Value| line["type"] == "log").collect()
}

#[tokio::test]
async fn one_request_is_found_in_every_process_that_it_went_through() {
    let home = Home::new();
    home.configure(&json!({ "logging": { "level": "debug" } }));
    let instance = home.launch().ready().await;
    let (id, header) = trace();
    let host = format!("127.0.0.1:{}", home.port());
    let canvas = http::get_with(
        home.port(),
        "/__openclaw__/canvas/",
        &[("Host", &host), ("traceparent", &header)],
    )
    .await;
    assert_eq!(canvas.status, 200);
    let answered = TraceId::from_traceparent(canvas.header("traceresponse"));
    assert_eq!(answered.unwrap().to_string(), id);
    eventually("the canvas host has written", async || {
        match writers(&home, &id).await {
            seen if seen.contains("canvas-host") && seen.contains("gateway") => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await;
    // From the gateway to the supervisor, and from there to all that take the change.
    let (id, header) = trace();
    let params = json!({
        "raw": json!({ "logging": { "keepDays": 9 } }).to_string(),
        "baseHash": digest::hex(home.config_text().as_bytes()),
    });
    let params = params.to_string();
    let call = [
        "gateway",
        "call",
        "config.patch",
        "--params",
        params.as_str(),
    ];
    let said = home.run_with(&call, &[("TRACEPARENT", &header)]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let all = BTreeSet::from(
        ["supervisor", "gateway", "canvas-host", "browser-control"].map(str::to_owned),
    );
    eventually("all four have written", async || {
        match writers(&home, &id).await {
            seen if seen == all => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await;
    // The beginning of an id is enough, and so is the header.
    for wanted in [&id[..8], header.as_str()] {
        let said = home.run(&["logs", "--json", "--trace", wanted]).await;
        assert!(!lines(&said).is_empty(), "{wanted}: {said:?}");
    }
    // Browser control takes one as well, and gives one to whoever brings none.
    let (id, header) = trace();
    let browser = home.browser_port();
    let host = format!("127.0.0.1:{browser}");
    let secret = format!("Bearer {TOKEN}");
    let mut headers = vec![("Host", host.as_str()), ("Authorization", secret.as_str())];
    let without = http::get_with(browser, "/profiles", &headers).await;
    assert!(TraceId::from_traceparent(without.header("traceresponse")).is_some());
    headers.push(("traceparent", &header));
    assert_eq!(
        http::get_with(browser, "/profiles", &headers).await.status,
        200
    );
    eventually("browser control has written", async || {
        match writers(&home, &id).await {
            seen if seen.contains("browser-control") => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await;
    // The same is found in the file when nobody answers.
    stop(instance).await;
    assert!(writers(&home, &id).await.contains("browser-control"));
}

async fn stop(mut instance: Instance) {
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
}

#[tokio::test]
async fn requests_on_one_connection_are_told_apart() {
    let home = Home::new();
    home.configure(&json!({ "logging": { "level": "debug" } }));
    let instance = home.launch().ready().await;
    let mut client = instance.client().await;
    for _ in 0..2 {
        client.call("system-presence", json!({})).await.unwrap();
    }
    let ids = eventually("both are in the log", async || {
        let answered = home.log().with_text("request answered");
        let ids: Vec<String> = answered
            .iter()
            .filter(|record| record["1"]["method"] == "system-presence")
            .filter_map(|record| record["_meta"]["traceId"].as_str().map(str::to_owned))
            .collect();
        match ids.len() {
            2 => Ok(ids),
            _ => Err(format!("{ids:?}")),
        }
    })
    .await;
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn lines_are_chosen_by_what_they_are() {
    let home = Home::new();
    let instance = home.launch().ready().await;
    // By the gateway, and then by the file.
    check_choices(&home).await;
    stop(instance).await;
    check_choices(&home).await;
}

async fn check_choices(home: &Home) {
    for (arguments, expected) in [
        (&["--process", "supervisor"][..], true),
        (
            &["--process", "canvas-host", "--process", "browser-control"],
            true,
        ),
        (&["--process", "node-host"], false),
        (&["--subsystem", "supervisor"], true),
        (&["--subsystem", "nobody"], false),
        (&["--level", "info"], true),
        (&["--level", "fatal"], false),
        (&["--since", "1d"], true),
        (&["--until", "1d"], false),
        (&["--since", "1d", "--until", "2099-01-01"], true),
        (&["--grep", "LISTENING on"], false),
        (
            &["--grep", "listening ON", "--process", "supervisor"],
            false,
        ),
        (&["--grep", "listening on", "--process", "supervisor"], true),
        (&["--trace", "00000000000000000000000000000001"], false),
    ] {
        let command = [&["logs", "--json"], arguments].concat();
        let said = home.run(&command).await;
        assert_eq!(said.code, 0, "{said:?}");
        let lines = lines(&said);
        assert_eq!(!lines.is_empty(), expected, "{arguments:?}: {said:?}");
        for pair in arguments.chunks(2).filter(|pair| pair[0] == "--process") {
            let named = |line: &Value| arguments.iter().any(|it| line["process"] == *it);
            assert!(lines.iter().all(named), "{pair:?}: {said:?}");
        }
    }
    let said = home.run(&["logs", "--since", "yesterday"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("Invalid time"), "{said:?}");
}

#[tokio::test]
async fn what_is_chosen_is_found_however_far_back_it_lies() {
    let home = Home::empty();
    home.configure(&json!({ "logging": { "maxFileBytes": 20_000 } }));
    let instance = home.launch().ready().await;
    eventually("the beginning is in an older file", async || {
        instance.restart(None).await?;
        match std::fs::read_dir(home.log_dir()).unwrap().count() {
            0..=2 => Err("not yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    let said = home
        .run(&["logs", "--json", "--grep", "listening on ws://"])
        .await;
    assert_eq!(lines(&said).len(), 1, "{said:?}");
    let all = home
        .run(&["logs", "--json", "--process", "supervisor", "--limit", "5"])
        .await;
    assert_eq!(lines(&all).len(), 5, "{all:?}");
}

#[tokio::test]
async fn the_live_view_shows_goes_on_and_gives_the_terminal_back() {
    let instance = Home::new().launch().ready().await;
    let line = "echo before; openclaw top --interval 300ms; echo left with $?; exec cat";
    let window = Window::open(instance.home(), (100, 30), line).await;
    let screen = window.until_shown("gateway up").await;
    assert!(!screen.contains("before"), "{screen}");
    for text in ["browser-control", "Queues", "Clients", "system-presence"] {
        window.until_shown(text).await;
    }
    window.press("s");
    window.until_shown("by process").await;
    window.press("r");
    window.until_shown("by process, reversed").await;
    window.press("Tab");
    window.press("s");
    window.until_shown("by queue").await;
    window.press("p");
    window.until_shown("PAUSED").await;
    window.press("p");
    window
        .until("it goes on", |screen| !screen.contains("PAUSED"))
        .await;
    // A message of a person is seen as a run while it is answered.
    let mut client = instance.client().await;
    let said = json!({ "sessionKey": "watched", "idempotencyKey": "k1", "message": "/slow 2000\none two three four five six seven eight nine ten" });
    client.call("chat.send", said).await.unwrap();
    window.until_shown("watched").await;
    // The gateway dies, and what the supervisor knows is still there.
    instance.signal(Signal::SIGTERM);
    window.until_shown("gateway: ").await;
    window.until_shown("Processes").await;
    window.press("q");
    let screen = window.until_shown("left with 0").await;
    assert!(screen.contains("before"), "{screen}");
}

#[tokio::test]
async fn one_look_is_for_scripts_also_without_a_gateway() {
    let home = Home::new();
    let instance = home.launch().ready().await;
    let text = home.run(&["top", "--once"]).await;
    assert_eq!(text.code, 0, "{text:?}");
    for part in ["supervisor ", "gateway up", "Processes", "Queues"] {
        assert!(text.out.contains(part), "{part}: {text:?}");
    }
    assert!(!text.out.contains('\u{1b}'), "{text:?}");
    let look = home.run(&["top", "--json"]).await.json();
    assert_eq!(look["supervisor"]["reachable"], true, "{look}");
    let activity = &look["gateway"]["activity"];
    assert!(activity["clients"].as_u64() >= Some(1), "{look}");
    let children = look["supervisor"]["fleet"]["children"].as_array().unwrap();
    assert_eq!(children.len(), ChildName::ALL.len());
    assert!(!look.to_string().contains(TOKEN));
    // A gateway that is held does not answer; the supervisor does.
    let pid = instance.pid_of(ChildName::Gateway).await;
    freeze(pid).await;
    let look = home.run(&["top", "--json"]).await;
    assert_eq!(look.code, 0, "{look:?}");
    let look = look.json();
    assert_eq!(look["supervisor"]["reachable"], true, "{look}");
    // Unless the supervisor has already put another one in its place.
    thaw(pid);
    instance
        .until_child(ChildName::Gateway, ChildState::Active)
        .await;
    stop(instance).await;
    let gone = home.run(&["top", "--once"]).await;
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.out.contains("the instance does not run"), "{gone:?}");
    let refused = home.run(&["top"]).await;
    assert!(refused.err.contains("needs a terminal"), "{refused:?}");
}
