//! What files become, and what people are told when they become nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::super::section::{BindMode, LogLevel};
use super::super::testing::any_scalar;
use super::*;

fn environment() -> BTreeMap<String, String> {
    BTreeMap::from(
        [("SET", "value"), ("EMPTY", ""), ("PASSWORD", "hunter2")]
            .map(|(k, v)| (k.into(), v.into())),
    )
}

/// A folder with these files, the first of which is the main file.
fn folder(files: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let main = folder.path().join(files[0].0);
    (folder, main)
}

fn print(issues: &[Issue], folder: &Path) -> Vec<String> {
    let prefix = format!("{}/", folder.display());
    issues
        .iter()
        .map(|issue| issue.to_string().replace(&prefix, ""))
        .collect()
}

/// Loads files, the first of which is the main file, and compares the effective value.
fn check(files: &[(&str, &str)], expected: Value) {
    let (folder, main) = folder(files);
    let loaded = load(&main, &environment())
        .map_err(|error| print(&error.issues, folder.path()))
        .unwrap();
    assert_eq!(loaded.effective, expected);
    let again = load_from_source(&loaded.source, &environment()).unwrap();
    assert_eq!(again, loaded, "a source gives what its files gave");
}

/// Loads files and compares every issue, errors and warnings.
fn check_issues(files: &[(&str, &str)], expected: &[&str]) {
    let (folder, main) = folder(files);
    let issues = match load(&main, &environment()) {
        Ok(loaded) => loaded.warnings,
        Err(error) => error.issues,
    };
    assert_eq!(print(&issues, folder.path()), expected, "{files:?}");
}

fn main(text: &str) -> [(&str, &str); 1] {
    [("openclaw.json", text)]
}

#[test]
fn an_existing_file_works_as_it_is() {
    let (_folder, path) = folder(&main(
        r#"{
          // a comment
          gateway: { port: 20001.0, bind: 'lan', auth: { token: "${PASSWORD}" } },
          logging: { level: "debug" },
          channels: { telegram: { botToken: "x", accounts: {} }, defaults: {} },
          agents: { defaults: { model: { primary: "a/b" } }, list: [{ id: "main", default: true }] },
          env: { vars: { A: "1" }, B: "2", shellEnv: { enabled: true } },
          messages: { ackReaction: "x" },
        }"#,
    ));
    let loaded = load(&path, &environment()).unwrap();
    assert_eq!(loaded.warnings, []);
    assert!(loaded.exists);
    let config = &loaded.config;
    assert_eq!(config.gateway.port.map(|port| port.get()), Some(20001));
    assert_eq!(config.gateway.bind, BindMode::Lan);
    assert_eq!(
        config
            .gateway
            .auth
            .token
            .as_ref()
            .map(|token| token.expose().as_str()),
        Some("hunter2")
    );
    assert_eq!(config.gateway.reload.debounce_ms.get(), 300);
    assert_eq!(config.logging.level, LogLevel::Debug);
    assert_eq!(config.agents.list[0].id, "main");
    assert_eq!(config.agents.defaults.max_concurrent, 4);
    assert_eq!(config.env.variables.keys().collect::<Vec<_>>(), ["A", "B"]);
    assert!(config.env.shell_env.enabled);
    assert_eq!(loaded.raw["gateway"]["auth"]["token"], "${PASSWORD}");
    assert_eq!(loaded.effective["gateway"]["auth"]["token"], "hunter2");
    assert_eq!(
        Config::from_effective(&loaded.effective).as_ref(),
        Ok(config)
    );
    let shown = format!("{loaded:?} {}", serde_json::to_string(config).unwrap());
    assert!(
        !shown.contains("hunter2") && !shown.contains("botToken: \"x\""),
        "{shown}"
    );
}

#[test]
fn a_file_that_does_not_exist_is_an_empty_configuration() {
    let loaded = load(Path::new("/nonexistent/openclaw.json"), &environment()).unwrap();
    assert!(!loaded.exists);
    assert_eq!(loaded.config, Config::default());
    assert_eq!(
        loaded.source.hash,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        load_from_source(&loaded.source, &environment()).unwrap(),
        loaded
    );
}

#[test]
fn a_source_survives_being_stored() {
    let (_folder, path) = folder(&[
        ("a.json", "{$include: 'b.json'}"),
        ("b.json", "{gateway: {port: 1234}}"),
    ]);
    let loaded = load(&path, &environment()).unwrap();
    let stored = serde_json::to_string(&loaded.source).unwrap();
    let source: Source = serde_json::from_str(&stored).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(load_from_source(&source, &environment()).unwrap(), loaded);
    assert_eq!(loaded.source.watched().count(), 2);
}

#[test]
fn includes_merge() {
    check(&main("{}"), json!({}));
    check(
        &[
            ("m", "{$include: './b.json'}"),
            ("b.json", "{ui: {seamColor: 'x'}}"),
        ],
        json!({"ui": {"seamColor": "x"}}),
    );
    check(
        &[
            (
                "m",
                "{$include: ['a', 'sub/b'], tools: {own: 1, list: [3]}}",
            ),
            ("a", "{tools: {own: 0, list: [1], a: {x: 1}}}"),
            ("sub/b", "{$include: 'c', tools: {list: [2], a: {y: 2}}}"),
            ("sub/c", "{tools: {c: true}}"),
        ],
        json!({"tools": {"own": 1, "list": [1, 2, 3], "a": {"x": 1, "y": 2}, "c": true}}),
    );
    check(
        &[
            ("m", "{agents: {list: {$include: 'l'}}}"),
            ("l", "[{id: 'a'}]"),
        ],
        json!({"agents": {"list": [{"id": "a"}]}}),
    );
    check(
        &[("m", "{tools: {$include: ['x', 'x']}}"), ("x", "{l: [1]}")],
        json!({"tools": {"l": [1, 1]}}),
    );
}

#[test]
fn includes_that_cannot_work_are_refused_where_they_stand() {
    check_issues(
        &main("{\n  $include: 'gone.json'}"),
        &["openclaw.json:2:13: $include: cannot include gone.json: the file does not exist"],
    );
    check_issues(
        &[
            ("m", "{$include: 'a'}"),
            ("a", "{x: {$include: 'b'}}"),
            ("b", "{$include: 'a'}"),
        ],
        &[
            "b:1:12: x.$include: cannot include a: it includes itself, directly or through other files",
        ],
    );
    check_issues(
        &main("{$include: 5}"),
        &["openclaw.json:1:12: $include: expected a file name or an array of file names"],
    );
    check_issues(
        &[("m", "{$include: 'a'}"), ("a", "{\n b: }")],
        &["a:2:5: expected a value, found \"}\""],
    );
    check_issues(
        &[("m", "{tools: {$include: 'a', b: 1}}"), ("a", "[1]")],
        &[
            "m:1:20: tools.$include: the included file holds no object, so that no keys can stand beside it",
        ],
    );
    let names: Vec<String> = (0..12).map(|n| format!("f{n}")).collect();
    let texts: Vec<String> = (1..13).map(|n| format!("{{$include: 'f{n}'}}")).collect();
    let chain: Vec<(&str, &str)> = names
        .iter()
        .map(String::as_str)
        .zip(texts.iter().map(String::as_str))
        .collect();
    check_issues(
        &chain,
        &["f10:1:12: $include: cannot include f11: files include each other more than 10 deep"],
    );
    let twice: Vec<String> = (1..11)
        .map(|n| format!("{{$include: ['f{n}', 'f{n}', 'f{n}']}}"))
        .collect();
    let mut bomb: Vec<(&str, &str)> = names
        .iter()
        .map(String::as_str)
        .zip(twice.iter().map(String::as_str))
        .collect();
    bomb.push(("f10", "{}"));
    let (_folder, path) = folder(&bomb);
    let error = load(&path, &environment()).unwrap_err();
    assert!(
        error.issues[0]
            .message
            .contains("included more than 256 times"),
        "{error}"
    );
}

#[test]
fn every_mistake_is_named_once_with_its_place() {
    check_issues(
        &main(
            "{\n  gateway: {\n    port: \"18789\",\n    bind: 'everywhere',\n    prot: 1,\n  },\n  logging: { level: 5 },\n}",
        ),
        &[
            "openclaw.json:3:11: gateway.port: expected an integer from 1 to 65535, found the string \"18789\"; write it without quotes",
            "openclaw.json:4:11: gateway.bind: expected one of \"loopback\", \"lan\", \"tailnet\", \"auto\", \"custom\", found the string \"everywhere\"",
            "openclaw.json:5:5: gateway.prot: this key is not known; it is kept, but has no effect; did you mean \"port\"?",
            "openclaw.json:7:21: logging.level: expected one of \"silent\", \"fatal\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", found the number 5",
        ],
    );
    check_issues(
        &main("[]"),
        &["openclaw.json:1:1: expected an object, found an array"],
    );
    check_issues(
        &main("null"),
        &["openclaw.json:1:1: expected an object, found null"],
    );
    check_issues(
        &main("{gateway: null}"),
        &["openclaw.json:1:11: gateway: expected an object, found null"],
    );
    check_issues(
        &main("{gateway: []}"),
        &["openclaw.json:1:11: gateway: expected an object, found an array"],
    );
    check_issues(
        &main("{canvasHost: {prot: 1, port: 70000}}"),
        &[
            "openclaw.json:1:15: canvasHost.prot: this key is not known; it is kept, but has no effect; did you mean \"port\"?",
            "openclaw.json:1:30: canvasHost.port: expected an integer from 1 to 65535, found the number 70000",
        ],
    );
    check_issues(
        &main("{ui: {}, ui: {}}"),
        &["openclaw.json:1:10: ui: this key stands here twice; the last one counts"],
    );
    check_issues(
        &[("m", "{$include: 'a'}"), ("a", "{\n gateway: {port: 0}}")],
        &["a:2:18: gateway.port: expected an integer from 1 to 65535, found the number 0"],
    );
}

#[test]
fn variables_are_replaced_or_named() {
    check(
        &main("{env: {vars: {MINE: 'm'}}, talk: {a: '${SET}', b: '$${SET}', c: '${MINE}${SET}'}}"),
        json!({"env": {"vars": {"MINE": "m"}}, "talk": {"a": "value", "b": "${SET}", "c": "mvalue"}}),
    );
    check_issues(
        &main("{gateway: {auth: {token: '${NOPE_X}', password: '${EMPTY}'}}}"),
        &[
            "openclaw.json:1:26: gateway.auth.token: the environment variable NOPE_X is not set; set it in the environment, in .env or under env.vars",
            "openclaw.json:1:49: gateway.auth.password: the environment variable EMPTY is empty; set it in the environment, in .env or under env.vars",
        ],
    );
    check_issues(
        &main("{gateway: {bind: '${NOPE}', port: '${PASSWORD}'}}"),
        &[
            "openclaw.json:1:18: gateway.bind: the environment variable NOPE is not set; set it in the environment, in .env or under env.vars",
            "openclaw.json:1:35: gateway.port: expected an integer from 1 to 65535, found the string \"${PASSWORD}\"",
        ],
    );
}

#[test]
fn settings_that_cannot_stand_together_are_refused() {
    check_issues(
        &main(
            "{agents: {list: [{id: 'a', agentDir: '/x'}, {id: 'b', agentDir: '/x/'}, {name: 'c'}]}}",
        ),
        &[
            "openclaw.json:1:65: agents.list[1].agentDir: agents.list[0] uses the same folder, and two agents cannot share one",
            "openclaw.json:1:73: agents.list[2]: expected an agent with an \"id\"",
        ],
    );
    check_issues(
        &main("{agents: {defaults: {heartbeat: {every: 'soon'}}}}"),
        &[
            "openclaw.json:1:41: agents.defaults.heartbeat.every: expected a duration such as \"30m\", found the string \"soon\"; \"0m\" switches heartbeats off",
        ],
    );
    check_issues(
        &main(
            "{agents: {list: [{id: 'a', heartbeat: {every: ' 0m '}}, {id: 'b', heartbeat: {every: ''}}]}}",
        ),
        &[],
    );
    check_issues(
        &main("{hooks: {enabled: true}}"),
        &["openclaw.json:1:19: hooks.enabled: hooks need a token; set hooks.token"],
    );
    check_issues(
        &main("{hooks: {enabled: true, token: 5}}"),
        &["openclaw.json:1:32: hooks.token: expected a string, found a number"],
    );
    check_issues(
        &main("{gateway: {port: 20000}, canvasHost: {port: 20000}}"),
        &[
            "openclaw.json:1:45: canvasHost.port: gateway.port has the same port 20000; give one of them another port",
        ],
    );
    check_issues(
        &main("{gateway: {port: 20000}, canvasHost: {port: 20000, enabled: false}}"),
        &[],
    );
    check_issues(
        &main("{gateway: {bind: 'custom'}}"),
        &[
            "openclaw.json:1:18: gateway.bind: \"custom\" needs an address; set gateway.customBindHost",
        ],
    );
}

#[test]
fn keys_of_older_versions_are_explained() {
    check_issues(
        &main("{telegram: {}, gateway: {token: 'x'}, agent: {}}"),
        &[
            "openclaw.json:1:2: telegram: this key belongs to an older version; it is kept, but has no effect; move it to channels.telegram",
            "openclaw.json:1:26: gateway.token: this key belongs to an older version; it is kept, but has no effect; move it to gateway.auth.token",
            "openclaw.json:1:39: agent: this key belongs to an older version; it is kept, but has no effect; move it to agents.defaults",
        ],
    );
}

#[test]
fn what_is_not_a_text_file_is_refused_without_waiting() {
    let (folder, path) = folder(&main("{}"));
    std::fs::write(&path, b"{\xff}").unwrap();
    let refused = |path: &Path| {
        load(path, &environment()).unwrap_err().issues[0]
            .message
            .clone()
    };
    assert_eq!(refused(&path), "the file is not UTF-8 text");
    let issue = &load(&path, &environment()).unwrap_err().issues[0];
    assert_eq!((issue.line, issue.column), (Some(1), Some(2)));
    std::fs::write(&path, b"\xff\xfe{\0}\0").unwrap();
    assert_eq!(
        refused(&path),
        "the file is UTF-16 text and has to be UTF-8"
    );
    assert_eq!(refused(folder.path()), "this is not a regular file");
    std::fs::write(&path, " ".repeat(usize::try_from(MAX_BYTES).unwrap() + 1)).unwrap();
    assert_eq!(refused(&path), "the file is larger than 8388608 bytes");
}

#[test]
fn what_can_be_read_of_a_broken_file_is_there_to_ask_with() {
    let (_folder, path) = folder(&main(
        "{gateway: {port: 1234, bind: 5, auth: {token: 'abc'}}}",
    ));
    let error = load(&path, &environment()).unwrap_err();
    let readable = error.readable.unwrap();
    assert_eq!(readable.gateway.port.map(|port| port.get()), Some(1234));
    assert_eq!(readable.gateway.auth.token.unwrap().expose(), "abc");
    assert_eq!(
        load_candidate(&path, "{", &environment())
            .unwrap_err()
            .readable,
        None
    );
}

#[test]
fn a_thousand_mistakes_are_counted_not_listed() {
    let keys: String = (0..1000).map(|n| format!("k{n}: 1, ")).collect();
    let text = format!("{{{keys} gateway: 5}}");
    let (folder, path) = folder(&main(&text));
    let issues = load(&path, &environment()).unwrap_err().issues;
    assert_eq!(issues.len(), MAX_ISSUES + 1);
    let printed = print(&issues, folder.path());
    assert!(
        printed
            .iter()
            .any(|line| line.contains("gateway: expected an object")),
        "errors come first"
    );
    assert!(printed.last().unwrap().ends_with("and 901 more"));
}

/// A value under keys that exist, so that reading gets far.
fn any_config() -> impl Strategy<Value = Value> {
    let sections = prop::collection::vec(
        (prop::sample::select(Config::KEYS.to_vec()), any_section()),
        0..5,
    );
    sections.prop_map(|sections| sections.into_iter().collect())
}

fn any_section() -> impl Strategy<Value = Value> {
    let keys = [
        "port", "bind", "auth", "token", "list", "defaults", "enabled", "vars", "profiles", "id",
        "mode",
    ];
    let member = any_scalar().prop_recursive(3, 16, 4, move |inner| {
        prop::collection::vec((prop::sample::select(keys.to_vec()), inner), 0..4)
            .prop_map(|members| members.into_iter().collect())
    });
    prop_oneof![
        member.clone(),
        prop::collection::vec(member, 0..3).prop_map(Value::from)
    ]
}

proptest! {
    #[test]
    fn any_value_is_read_or_refused_and_secrets_stay_hidden(value in any_config()) {
        let (config, findings) = Config::check(&value, None);
        let refused = findings.iter().any(|finding| finding.level == IssueLevel::Error);
        prop_assert_eq!(Config::from_effective(&value).is_err(), refused);
        if let Some(token) = &config.gateway.auth.token && token.expose().len() > 3 {
            let shown = serde_json::to_string(&config.gateway).unwrap();
            prop_assert!(!shown.contains(token.expose()));
        }
    }

    #[test]
    fn a_warning_names_a_key_that_is_there(value in any_config()) {
        let (_, findings) = Config::check(&value, None);
        for finding in findings.iter().filter(|finding| finding.level == IssueLevel::Warning) {
            prop_assert!(finding.path.find(&value).is_some(), "{:?}", finding);
        }
    }
}
