//! The command line about a gateway: its answers, its exit codes, its JSON.

use std::collections::BTreeSet;

use openclaw_shared::control::{ChildName, ChildState};
use openclaw_tests::faults::{Stub, freeze, has_become, misbehave};
use openclaw_tests::home::{Home, Said};
use openclaw_tests::instance::pid;
use openclaw_tests::process::{self, Signal};
use serde_json::{Value, json};

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .map(|object| object.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_running_gateway_is_described() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let said = home.run(&["gateway", "status"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    for part in [
        &*format!("supervisor pid {}", instance.pid()),
        " MB)",
        &format!("ws://127.0.0.1:{}", home.port()),
        "RPC probe:       ok",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    for child in ChildName::ALL {
        let status = instance.child(child).await;
        let is_row = |line: &&str| line.split_whitespace().next() == Some(child.as_str());
        let row = said.out.lines().find(is_row).unwrap();
        assert!(
            row.contains("active") && row.contains(&status.pid.unwrap().to_string()),
            "{row}"
        );
    }
    let said = home
        .run(&["gateway", "status", "--json", "--require-rpc"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    let found = said.json();
    let expected = [
        "ok",
        "profile",
        "supervisor",
        "service",
        "config",
        "gateway",
        "port",
        "logFile",
        "rpc",
        "extraServices",
        "configAudit",
        "otherInstances",
        "problems",
    ];
    assert_eq!(
        keys(&found),
        expected.into(),
        "the document of --json is a contract"
    );
    assert_eq!(
        (&found["ok"], &found["rpc"]["ok"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(found["supervisor"]["pid"], instance.pid());
    let child = [
        "name",
        "state",
        "generation",
        "pid",
        "restarts",
        "memoryBytes",
        "cpuMs",
        "lastError",
        "rung",
        "memoryLimitBytes",
    ];
    assert_eq!(
        keys(&found["supervisor"]["fleet"]["children"][0]),
        child.into()
    );
    for child in found["supervisor"]["fleet"]["children"].as_array().unwrap() {
        assert!(
            child["memoryBytes"].as_u64().unwrap() > 0 && child["cpuMs"].is_u64(),
            "{child}"
        );
    }
    let own = found["supervisor"]["fleet"]["memoryBytes"].as_u64();
    assert!(own > Some(0), "{found}");
    let config = ["state", "path", "hash", "error", "warnings"];
    assert_eq!(keys(&found["supervisor"]["fleet"]["config"]), config.into());

    for arguments in [
        &["gateway", "health"][..],
        &["health"],
        &["status"],
        &["gateway", "probe"],
    ] {
        let said = home.run(arguments).await;
        assert_eq!(said.code, 0, "{said:?}");
        assert!(!said.out.is_empty());
        let document = home.run(&[arguments, &["--json"]].concat()).await;
        assert_eq!(document.code, 0, "{document:?}");
        assert!(document.json().is_object(), "{document:?}");
    }
    let health = home.run(&["health", "--json"]).await.json();
    assert_eq!(health["ok"], true);
    assert_eq!(
        health["supervisor"]["children"][0]["state"], "active",
        "{health}"
    );
}

#[tokio::test]
async fn flags_are_taken_wherever_a_person_writes_them() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    for line in [
        &["--json", "gateway", "call", "status"][..],
        &["gateway", "--json", "call", "status"],
        &["gateway", "call", "--json", "status"],
        &["gateway", "call", "status", "--json", "--params", "{}"],
        &[
            "gateway",
            "--port",
            &home.port().to_string(),
            "call",
            "status",
            "--json",
        ],
    ] {
        let said = home.run(line).await;
        assert_eq!(said.code, 0, "{line:?}: {said:?}");
        assert!(said.json()["sessions"].is_object(), "{said:?}");
    }
}

#[tokio::test]
async fn a_call_is_answered_or_its_failure_named() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let failed = |said: &Said, kind: &str, text: &str| {
        assert_eq!(said.code, 1, "{said:?}");
        let document = said.json();
        assert_eq!(
            (&document["ok"], &document["kind"]),
            (&json!(false), &json!(kind)),
            "{document}"
        );
        let error = document["error"].as_str().unwrap_or_default();
        assert!(error.contains(text), "{document}");
    };
    let said = home.run(&["gateway", "call", "no.such", "--json"]).await;
    failed(&said, "refused", "unknown method: no.such");
    let said = home
        .run(&[
            "gateway",
            "call",
            "logs.tail",
            "--params",
            r#"{"limit":0}"#,
            "--json",
        ])
        .await;
    failed(&said, "refused", "at /limit: must be >= 1");
    let said = home
        .run(&["gateway", "call", "status", "--params", "{", "--json"])
        .await;
    failed(&said, "usage", "--params is not valid JSON");
    let said = home
        .run(&["gateway", "call", "status", "--token", "wrong", "--json"])
        .await;
    failed(&said, "unauthorized", "token mismatch");
    let said = home
        .run(&[
            "gateway",
            "call",
            "status",
            "--url",
            "ws://127.0.0.1:1",
            "--token",
            "x",
            "--json",
        ])
        .await;
    failed(&said, "unreachable", "127.0.0.1:1");
    // Without --json the same goes to stderr, and stdout stays empty.
    let said = home.run(&["gateway", "call", "no.such"]).await;
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("unknown method: no.such"), "{said:?}");
}

#[tokio::test]
async fn without_a_gateway_every_command_says_so_and_what_to_do() {
    let home = Home::new();
    for line in [
        &["gateway", "call", "status"][..],
        &["gateway", "health"],
        &["health"],
        &["gateway", "restart"],
    ] {
        let said = home.run(line).await;
        assert_eq!(said.code, 1, "{line:?}: {said:?}");
        assert!(
            said.err.contains("openclaw gateway"),
            "{line:?} gives no hint: {said:?}"
        );
    }
    assert_eq!(home.run(&["gateway", "probe"]).await.code, 1);
    // Those that only look have looked, and the status says by its exit code what it has found.
    for (line, code) in [
        (&["gateway", "status"][..], 3),
        (&["gateway", "status", "--no-probe"], 3),
        (&["gateway", "status", "--require-rpc"], 3),
        (&["status"], 0),
    ] {
        let said = home.run(line).await;
        assert_eq!(said.code, code, "{line:?}: {said:?}");
    }
    assert_eq!(
        home.run(&["gateway", "status", "--json"]).await.json()["ok"],
        false
    );
    // Nothing to stop is as stopped as can be.
    assert_eq!(home.run(&["gateway", "stop"]).await.code, 0);
    assert!(
        !home.state_dir().join("run").exists(),
        "looking starts nothing"
    );
}

#[tokio::test]
async fn the_status_explains_a_dead_gateway() {
    let home = Home::empty().with_own_programs();
    home.configure(&json!({ "supervisor": { "readyTimeoutMs": 60_000 } }));
    let instance = home.launch().ready().await;
    misbehave(&home, ChildName::Gateway, Stub::NeverReady);
    let before = instance.child(ChildName::Gateway).await;
    process::send(pid(&before).unwrap(), Signal::SIGKILL);
    let life = instance
        .until_child(ChildName::Gateway, ChildState::Starting)
        .await;
    has_become(pid(&life).unwrap(), Stub::NeverReady).await;
    // The socket accepts and nobody answers on it: only the supervisor knows why.
    let said = home.run(&["gateway", "status", "--timeout", "500"]).await;
    assert_eq!(said.code, 4, "{said:?}");
    for part in ["starting", "killed by SIGKILL", "RPC probe:       failed"] {
        assert!(
            said.out.contains(part) || said.err.contains(part),
            "{part}: {said:?}"
        );
    }
    let said = home
        .run(&["gateway", "status", "--json", "--no-probe"])
        .await;
    let child = &said.json()["supervisor"]["fleet"]["children"][0];
    assert_eq!(
        (&child["state"], &child["lastError"]),
        (&json!("starting"), &json!("it was killed by SIGKILL"))
    );
}

/// What the status says under a code.
fn problem(said: &Said, code: &str) -> Value {
    let problems = said.json()["problems"].clone();
    let all = problems.as_array().cloned().unwrap_or_default();
    let found = all.into_iter().find(|problem| problem["code"] == code);
    found.unwrap_or_else(|| panic!("{code} is missing: {said:?}"))
}

#[tokio::test]
async fn the_status_names_what_stands_in_the_way() {
    let home = Home::new();
    let stranger = std::net::TcpListener::bind(("127.0.0.1", home.port())).unwrap();
    let status = ["gateway", "status", "--json", "--timeout", "500"];
    let said = home.run(&status).await;
    assert_eq!(said.code, 3, "{said:?}");
    let busy = problem(&said, "port-busy").to_string();
    let pid = format!("pid {}", std::process::id());
    assert!(busy.contains(&pid), "{busy}");
    drop(stranger);
    // Nothing wrong but the secret.
    let instance = Home::new().launch().ready().await;
    let status = ["gateway", "status", "--json", "--token", "wrong"];
    let said = instance.home().run(&status).await;
    assert_eq!(said.code, 4, "{said:?}");
    problem(&said, "rpc-unauthorized");
}

#[tokio::test]
async fn the_last_error_is_shown_when_nothing_answers() {
    let home = Home::new();
    let mut instance = home.launch().ready().await;
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    let mut files = std::fs::read_dir(home.log_dir()).unwrap();
    let file = files.next().unwrap().unwrap().path();
    let record = r#"{"1":"it broke\u001b[2J","_meta":{"logLevelName":"ERROR"},"time":"then"}"#;
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}{record}\n")).unwrap();
    let said = home.run(&["gateway", "status"]).await;
    assert_eq!(said.code, 3, "{said:?}");
    let line = "Last error:      then it broke\\u{1b}[2J";
    assert!(said.out.contains(line), "{said:?}");
}

#[tokio::test]
async fn other_gateways_of_this_user_are_found() {
    let home = Home::new();
    let rescue = home.profile("rescue");
    rescue.configure(&json!({}));
    let other = rescue.launch().ready().await;
    let units = home.path().join(".config/systemd/user");
    std::fs::create_dir_all(&units).unwrap();
    let unit = "[Service]\nExecStart=/usr/bin/node /opt/clawdbot/index.js gateway\n";
    std::fs::write(units.join("clawdbot-gateway.service"), unit).unwrap();
    let said = home.run(&["gateway", "status", "--deep", "--json"]).await;
    let found = said.json();
    let seen = &found["otherInstances"][0];
    assert_eq!(
        (&seen["profile"], &seen["running"]),
        (&json!("rescue"), &json!(true)),
        "{found}"
    );
    assert_eq!(
        (&seen["pid"], &seen["port"]),
        (&json!(other.pid()), &json!(rescue.port())),
        "{found}"
    );
    let extra = found["extraServices"].as_array().unwrap();
    let legacy = extra
        .iter()
        .find(|service| service["label"] == "clawdbot-gateway.service");
    let legacy = legacy.unwrap_or_else(|| panic!("{found}"));
    assert_eq!(
        (&legacy["legacy"], &legacy["scope"]),
        (&json!(true), &json!("user"))
    );
    let said = home.run(&["gateway", "status"]).await;
    for part in ["Other gateway:   profile rescue: running", "Other service:"] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
}

#[tokio::test]
async fn a_gateway_that_stands_still_is_a_timeout_and_no_wait_without_end() {
    let instance = Home::new().launch().ready().await;
    freeze(instance.pid_of(ChildName::Gateway).await).await;
    let said = instance
        .home()
        .run(&["gateway", "call", "status", "--timeout", "300", "--json"])
        .await;
    assert_eq!(
        (said.code, &said.json()["kind"]),
        (1, &json!("timeout")),
        "{said:?}"
    );
}

#[tokio::test]
async fn restart_and_stop_tell_the_truth() {
    let home = Home::new().with_own_programs();
    let mut instance = home.launch().ready().await;
    let before = instance.status().await;
    let said = home.run(&["gateway", "restart", "--json"]).await;
    assert_eq!(
        (said.code, &said.json()["result"]),
        (0, &json!("restarted")),
        "{said:?}"
    );
    let after = instance.status().await;
    for child in ChildName::ALL {
        let of = openclaw_tests::instance::of;
        assert!(
            of(&after, child).generation > of(&before, child).generation,
            "told before it was true"
        );
        assert_eq!(of(&after, child).state, ChildState::Active);
    }
    misbehave(&home, ChildName::Gateway, Stub::Desperate);
    let said = home.run(&["gateway", "restart"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("the stub cannot go on") && said.err.contains("serves on"),
        "{said:?}"
    );
    assert_eq!(
        home.run(&["gateway", "restart", "canvas-host"]).await.code,
        0
    );
    assert_eq!(home.run(&["gateway", "restart", "nonsense"]).await.code, 1);

    let said = home.run(&["gateway", "stop", "--json"]).await;
    assert_eq!(
        (said.code, &said.json()["result"]),
        (0, &json!("stopped")),
        "{said:?}"
    );
    // It was told when it was over: nobody has to wait any more.
    assert!(
        instance.processes().is_empty(),
        "{:?}",
        instance.processes()
    );
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
}

#[tokio::test]
async fn a_line_that_makes_no_sense_is_refused_with_a_suggestion() {
    let home = Home::new();
    for (line, code, text) in [
        (&["gatway"][..], 1, "gateway"),
        (&["gateway", "staus"], 1, "status"),
        (&["gateway", "--prot", "1"], 1, "--port"),
        (&["gateway", "--port", "x"], 1, "Invalid port"),
        (&["gateway", "--bind", "everywhere"], 1, "loopback"),
        (&["--profile", "a/b", "status"], 2, "--profile"),
        (&["--dev", "--profile", "x", "status"], 2, "--dev"),
        (&["gateway", "--port"], 1, "--port"),
    ] {
        let said = home.run(line).await;
        assert_eq!(said.code, code, "{line:?}: {said:?}");
        assert_eq!(said.out, "", "{line:?}");
        assert!(said.err.contains(text), "{line:?}: {said:?}");
    }
    let said = home.run(&["--version"]).await;
    assert_eq!((said.code, said.out.trim()), (0, env!("CARGO_PKG_VERSION")));
    for line in [
        &["--help"][..],
        &["gateway", "--help"],
        &["gateway", "run", "--help"],
        &["config", "--help"],
    ] {
        let said = home.run(line).await;
        assert_eq!(said.code, 0, "{line:?}: {said:?}");
        assert!(said.out.contains("Usage"), "{line:?}: {said:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let said = home.run(&["completion", shell]).await;
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.out.contains("openclaw"), "{said:?}");
    }
}

#[tokio::test]
async fn a_new_user_needs_two_commands() {
    let home = Home::empty();
    let said = home.run(&["setup"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let text = home.config_text();
    assert_eq!(home.run(&["setup"]).await.code, 0);
    assert_eq!(home.config_text(), text, "a second setup changes nothing");
    let port = home.port().to_string();
    let instance = home.launch().arguments(&["--port", &port]).ready().await;
    let said = home.run(&["gateway", "call", "status", "--json"]).await;
    assert_eq!(
        said.code, 0,
        "the generated token is found by itself: {said:?}"
    );
    drop(instance);
}

#[tokio::test]
async fn the_port_comes_from_the_flag_then_the_environment_then_the_file() {
    let home = Home::new();
    let other = openclaw_tests::ports::PortBlock::lock();
    let third = openclaw_tests::ports::PortBlock::lock();
    let (other, third) = (other.base().to_string(), third.base().to_string());
    for (arguments, variables, expected) in [
        (vec![], vec![], home.port().to_string()),
        (
            vec![],
            vec![("OPENCLAW_GATEWAY_PORT", other.as_str())],
            other.clone(),
        ),
        (
            vec!["--port", third.as_str()],
            vec![("OPENCLAW_GATEWAY_PORT", other.as_str())],
            third.clone(),
        ),
    ] {
        let launch = variables.iter().fold(
            home.launch().arguments(&arguments),
            |launch, (name, value)| launch.variable(name, value),
        );
        let instance = launch.ready().await;
        assert_eq!(
            instance.status().await.instance.ports.gateway.to_string(),
            expected
        );
    }
}
