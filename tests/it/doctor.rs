//! The doctor: it says what is wrong, repairs what can be repaired, once, and deletes nothing of anybody else.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use openclaw_shared::control::ChildName;
use openclaw_shared::paths::StatePaths;
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::{Home, Said};
use openclaw_tests::process::Signal;
use openclaw_tests::terminal::Terminal;
use serde_json::{Value, json};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A home whose files are as an instance makes them.
fn tidy() -> Home {
    let home = Home::new();
    set_mode(&home.state_dir(), 0o700);
    set_mode(&home.config_path(), 0o600);
    home
}

/// The findings of a code, in the document of a run.
fn findings(said: &Said, code: &str) -> Vec<Value> {
    let document = said.json();
    let all = document["findings"].as_array().unwrap();
    all.iter()
        .filter(|finding| finding["code"] == code)
        .cloned()
        .collect()
}

fn finding(said: &Said, code: &str) -> Value {
    let found = findings(said, code);
    assert_eq!(found.len(), 1, "{code}: {said:?}");
    found[0].clone()
}

/// Every file below a folder: its rights and what is in it.
fn everything(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            all.insert(path.clone(), (mode(&path), Vec::new()));
            all.extend(everything(&path));
        } else {
            // A socket has no content.
            all.insert(
                path.clone(),
                (mode(&path), fs::read(&path).unwrap_or_default()),
            );
        }
    }
    all
}

async fn stop(mut instance: openclaw_tests::instance::Instance) {
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
}

#[tokio::test]
async fn an_instance_that_is_well_is_left_alone() {
    let home = tidy();
    let before = everything(&home.state_dir());
    let said = home.run(&["doctor", "--fix"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("nothing has to be done"), "{said:?}");
    assert_eq!(everything(&home.state_dir()), before, "nothing was written");
    let document = home.run(&["doctor", "--json"]).await.json();
    assert_eq!(document["ok"], true, "{document}");
    let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
    let expected = [
        "ok",
        "profile",
        "stateDir",
        "configPath",
        "checks",
        "findings",
        "import",
    ];
    assert_eq!(keys, expected, "the document of --json is a contract");
}

/// Breaks what can be repaired.
fn neglect(home: &Home) {
    let state = home.state_dir();
    fs::create_dir_all(state.join("credentials")).unwrap();
    fs::write(state.join("credentials/telegram.json"), "{}").unwrap();
    set_mode(&state.join("credentials/telegram.json"), 0o644);
    let text = format!(
        "{{\n  // mine\n  zzyzx: {{ a: 1 }},\n  gateway: {{ mode: \"local\", port: {}, token: \"a-token-of-some-length\" }},\n}}\n",
        home.port()
    );
    home.write_config(&text);
    set_mode(&home.config_path(), 0o644);
    set_mode(&state, 0o755);
    fs::create_dir_all(state.join("run")).unwrap();
    drop(UnixListener::bind(state.join("run/supervisor.sock")).unwrap());
    let half = state.join("openclaw.json.4711.00ff00ff00ff00ff.tmp");
    fs::write(&half, "{").unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000);
    let file = File::options().write(true).open(&half).unwrap();
    file.set_modified(long_ago).unwrap();
}

#[tokio::test]
async fn what_can_be_repaired_is_repaired_once_and_kept_as_it_was() {
    let home = Home::empty();
    neglect(&home);
    let (before, text) = (everything(&home.state_dir()), home.config_text());
    // Looking changes nothing.
    let looked = home.run(&["doctor", "--json"]).await;
    assert_eq!(looked.code, 4, "{looked:?}");
    assert_eq!(everything(&home.state_dir()), before);
    for code in [
        "state-open",
        "secret-readable",
        "config-unknown-key",
        "config-legacy-key",
        "socket-stale",
        "half-written",
    ] {
        let found = findings(&looked, code);
        assert!(!found.is_empty(), "{code} is missing: {looked:?}");
        for found in found {
            assert!(
                found["repair"].is_string() && found["fixed"] == false,
                "{found}"
            );
        }
    }

    let fixed = home
        .run(&["doctor", "--fix", "--non-interactive", "--json"])
        .await;
    assert_eq!(fixed.code, 0, "{fixed:?}");
    let state = home.state_dir();
    assert_eq!(
        [
            mode(&state),
            mode(&home.config_path()),
            mode(&state.join("credentials/telegram.json")),
        ],
        [0o700, 0o600, 0o600]
    );
    assert!(!state.join("run/supervisor.sock").exists());
    let mended = home.config_text();
    assert!(
        mended.contains("// mine") && !mended.contains("zzyzx"),
        "{mended}"
    );
    let token = home
        .run(&["config", "get", "gateway.auth.token", "--json"])
        .await;
    assert_eq!(token.code, 0, "{token:?}");
    // As it was, beside it, for its owner only.
    let backup = finding(&fixed, "config-unknown-key")["backup"].clone();
    let backup = PathBuf::from(backup.as_str().unwrap());
    assert_eq!(fs::read_to_string(&backup).unwrap(), text);
    assert_eq!(mode(&backup), 0o600);
    let name = backup.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("openclaw.json.bak-"), "{name}");

    let after = everything(&state);
    for _ in 0..2 {
        let again = home
            .run(&["doctor", "--fix", "--non-interactive", "--json"])
            .await;
        assert_eq!(again.code, 0, "{again:?}");
        let document = again.json();
        let repaired = document["findings"].as_array().unwrap().iter();
        assert_eq!(
            repaired.filter(|found| found["fixed"] == true).count(),
            0,
            "{document}"
        );
        assert_eq!(everything(&state), after, "a second run changes nothing");
    }
    // And what was repaired starts.
    stop(home.launch().ready().await).await;
}

#[tokio::test]
async fn a_running_instance_is_repaired_without_being_disturbed() {
    let home = Home::new();
    // A key at a place where nothing but the supervisor reads.
    home.configure(&json!({ "gateway": { "reload": { "zzyzx": 1 } } }));
    let instance = home.launch().ready().await;
    set_mode(&home.config_path(), 0o644);
    let gateway = instance.pid_of(ChildName::Gateway).await;
    let mut client = instance.client().await;
    let said = home.run(&["doctor", "--fix", "--yes", "--json"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(finding(&said, "config-unknown-key")["fixed"], true);
    assert!(!home.config_text().contains("zzyzx"));
    client.call("status", json!({})).await.unwrap();
    assert_eq!(instance.pid_of(ChildName::Gateway).await, gateway);
    assert!(findings(&said, "socket-stale").is_empty(), "{said:?}");
    assert!(findings(&said, "port-busy").is_empty(), "{said:?}");
}

#[tokio::test]
async fn a_database_that_is_damaged_is_told_and_left_as_it_is() {
    let home = tidy();
    stop(home.launch().ready().await).await;
    let store = StatePaths(&home.state_dir()).store();
    let well = home.run(&["doctor", "--json"]).await;
    assert_eq!(well.json()["ok"], true, "{well:?}");
    // What was committed last may still lie beside it.
    for path in [store.clone(), store.with_extension("sqlite-wal")] {
        if let Ok(mut file) = File::options().write(true).open(&path) {
            file.write_all(&[0xAA; 16 * 1024]).unwrap();
        }
    }
    let before = fs::read(&store).unwrap();
    let said = home.run(&["doctor", "--fix", "--yes", "--json"]).await;
    assert_eq!(said.code, 4, "{said:?}");
    let found = finding(&said, "database-damaged");
    assert_eq!(
        (&found["severity"], &found["repair"]),
        (&json!("error"), &Value::Null)
    );
    assert!(
        found["advice"].as_str().unwrap().contains("gateway stop"),
        "{found}"
    );
    assert_eq!(fs::read(&store).unwrap(), before);
}

#[tokio::test]
async fn a_broken_file_is_explained_and_never_written() {
    let home = tidy();
    let text = "{\n  gateway: {\n    port: \"x\",\n    bind: \"everywhere\",\n  },\n}\n";
    home.write_config(text);
    set_mode(&home.config_path(), 0o600);
    let said = home.run(&["doctor", "--fix", "--yes", "--json"]).await;
    assert_eq!(said.code, 4, "{said:?}");
    let places: Vec<Value> = findings(&said, "config-invalid")
        .iter()
        .map(|found| found["place"].clone())
        .collect();
    assert_eq!(
        places,
        [
            "~/.openclaw/openclaw.json:3:11",
            "~/.openclaw/openclaw.json:4:11"
        ]
    );
    assert_eq!(home.config_text(), text);
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_start_is_told_before_it() {
    let home = tidy();
    let _stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, home.canvas_port())).unwrap();
    let said = home.run(&["doctor", "--json"]).await;
    let busy = finding(&said, "port-busy");
    assert_eq!(busy["place"], format!("port {}", home.canvas_port()));
    assert!(
        busy["message"]
            .as_str()
            .unwrap()
            .contains(&format!("pid {}", std::process::id())),
        "{busy}"
    );

    let lan = json!({ "gateway": { "bind": "lan", "auth": { "token": null } } });
    let mut config = home.config_with(&lan);
    config["gateway"].as_object_mut().unwrap().remove("auth");
    home.write_config(&config.to_string());
    let said = home.run(&["doctor", "--json"]).await;
    assert_eq!(said.code, 4, "{said:?}");
    let refused = finding(&said, "config-refused");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("without auth"),
        "{refused}"
    );

    // Two profiles on the same ports.
    let other = home.profile("rescue");
    other.configure(&json!({ "gateway": { "port": home.port() } }));
    let said = other.run(&["doctor", "--json"]).await;
    let shared = finding(&said, "port-shared");
    assert!(
        shared["message"].as_str().unwrap().contains("\"default\""),
        "{shared}"
    );
    assert!(
        shared["message"]
            .as_str()
            .unwrap()
            .contains(&home.port().to_string()),
        "{shared}"
    );
}

#[tokio::test]
async fn what_others_have_left_is_named_and_never_deleted() {
    let home = tidy();
    let legacy = home.path().join(".clawdbot");
    let units = home.path().join(".config/systemd/user");
    let locks = home
        .path()
        .join(format!("tmp/openclaw-{}", nix::unistd::geteuid()));
    for folder in [&legacy, &units, &locks] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(legacy.join("clawdbot.json"), "{}").unwrap();
    fs::write(
        units.join("clawdbot-gateway.service"),
        "[Service]\nExecStart=/usr/bin/node /opt/clawdbot/index.js gateway\n",
    )
    .unwrap();
    // No process has this number: it is beyond what the system gives.
    fs::write(locks.join("gateway.00000000.lock"), "{\"pid\":2000000000}").unwrap();
    let before = everything(home.path());
    let variables = [("CLAWDBOT_GATEWAY_TOKEN", "an-old-token-of-length")];
    let said = home
        .run_with(&["doctor", "--fix", "--yes", "--json"], &variables)
        .await;
    for code in [
        "legacy-folder",
        "service-legacy",
        "lock-stale",
        "legacy-variable",
    ] {
        assert_eq!(finding(&said, code)["repair"], Value::Null, "{said:?}");
    }
    assert!(!said.out.contains("an-old-token-of-length"), "{said:?}");
    assert_eq!(everything(home.path()), before);
}

#[tokio::test]
async fn a_secret_never_leaves_by_what_the_doctor_says() {
    let home = Home::new();
    home.configure(&json!({ "gateway": { "auth": { "token": "hunter2" } } }));
    for line in [&["doctor"][..], &["doctor", "--json"]] {
        let said = home.run(line).await;
        assert!(said.out.contains("token-weak"), "{said:?}");
        assert!(
            !said.out.contains("hunter2") && !said.err.contains("hunter2"),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn a_token_is_made_when_it_is_asked_for() {
    let home = Home::empty();
    home.write_config(&format!(
        "{{ gateway: {{ mode: \"local\", port: {} }} }}",
        home.port()
    ));
    // Whatever the umask of the test made of it.
    set_mode(&home.state_dir(), 0o755);
    let said = home
        .run(&["doctor", "--generate-gateway-token", "--json"])
        .await;
    assert_eq!(finding(&said, "token-missing")["fixed"], true, "{said:?}");
    let path = StatePaths(&home.state_dir()).token();
    assert_eq!(mode(&path), 0o600);
    let token = fs::read_to_string(&path).unwrap();
    assert_eq!(token.len(), 64);
    assert!(!said.out.contains(&token));
    // Nothing else was repaired, and a second one is not made.
    assert!(
        said.json()["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|found| { found["code"] == "state-open" && found["fixed"] == false })
    );
    home.run(&["doctor", "--generate-gateway-token"]).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), token);
}

/// The doctor at a terminal, with somebody before it.
struct Visit {
    terminal: Terminal,
    doctor: tokio::process::Child,
}

impl Visit {
    fn begin(home: &Home, arguments: &[&str]) -> Self {
        let (terminal, inside) = Terminal::open();
        let mut command = tokio::process::Command::from(home.command(arguments));
        let end = || Stdio::from(inside.try_clone().unwrap());
        command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .kill_on_drop(true);
        let doctor = command.spawn().unwrap();
        drop(command);
        Self { terminal, doctor }
    }

    async fn sees(&self, text: &str, times: usize) {
        eventually("it is on the screen", async || {
            let shown = self.terminal.shown();
            match shown.matches(text).count() >= times {
                true => Ok(()),
                false => Err(format!("{text:?} is not {times} times in {shown}")),
            }
        })
        .await;
    }

    async fn ends(&mut self) -> i32 {
        let ended = tokio::time::timeout(openclaw_tests::eventually::DEADLINE, self.doctor.wait());
        ended
            .await
            .expect("the doctor ends")
            .unwrap()
            .code()
            .unwrap()
    }
}

#[tokio::test]
async fn at_a_terminal_each_repair_is_asked_for() {
    let home = Home::empty();
    neglect(&home);
    let mut visit = Visit::begin(&home, &["doctor"]);
    visit.sees("Repair config-", 1).await;
    visit.terminal.type_in("maybe\r");
    visit.sees("Repair config-", 2).await;
    visit.terminal.type_in("n\r");
    visit.sees("Repair config-", 3).await;
    visit.terminal.type_in("y\r");
    visit.sees("Repair secret-readable", 1).await;
    visit.terminal.type_in("q\r");
    assert_eq!(visit.ends().await, 4, "{}", visit.terminal.shown());
    let text = home.config_text();
    let changed = [!text.contains("zzyzx"), text.contains("auth")];
    assert_eq!(
        changed.iter().filter(|changed| **changed).count(),
        1,
        "one yes is one repair: {text}"
    );
    assert_eq!(
        mode(&home.state_dir()),
        0o755,
        "nothing was done after leaving"
    );

    let mut visit = Visit::begin(&home, &["doctor", "--fix"]);
    visit.sees("Repair ", 1).await;
    visit.terminal.type_in("all\r");
    assert_eq!(visit.ends().await, 0, "{}", visit.terminal.shown());
    assert_eq!(mode(&home.state_dir()), 0o700);

    // Nothing is asked of those who said so.
    neglect(&home);
    let mut visit = Visit::begin(&home, &["doctor", "--non-interactive"]);
    assert_eq!(visit.ends().await, 4);
    assert!(!visit.terminal.shown().contains("Repair "));
    let mut visit = Visit::begin(&home, &["doctor", "--yes"]);
    assert_eq!(visit.ends().await, 0, "{}", visit.terminal.shown());
}

#[tokio::test]
async fn whoever_leaves_the_terminal_has_said_no() {
    let home = Home::empty();
    neglect(&home);
    let mut visit = Visit::begin(&home, &["doctor"]);
    visit.sees("Repair ", 1).await;
    // The end of what is typed.
    visit.terminal.type_in("\x04");
    assert_eq!(visit.ends().await, 4);
    assert!(home.config_text().contains("zzyzx"));
}
