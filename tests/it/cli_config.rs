//! `openclaw config`: reads, changes and checks, and never loses what it does not know.

use std::fs;

use openclaw_shared::control::{ChildName, ConfigState};
use openclaw_tests::home::{Home, TOKEN};
use serde_json::json;

#[tokio::test]
async fn a_change_keeps_everything_else_and_a_copy_of_before() {
    let home = Home::new();
    let text = format!(
        "// my gateway\n{{\n  unknownKey: {{ kept: true }}, // odd\n  gateway: {{\n    mode: 'local', // here\n    port: {},\n    auth: {{ token: \"${{MY_TOKEN}}\" }},\n  }},\n}}\n",
        home.port()
    );
    home.write_config(&text);
    let token = [("MY_TOKEN", "SECRETCANARY")];
    let said = home
        .run_with(&["config", "set", "ui.seamColor", "#123456"], &token)
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    let changed = home.config_text();
    for kept in [
        "// my gateway",
        "unknownKey: { kept: true }, // odd",
        "mode: 'local', // here",
        "${MY_TOKEN}",
    ] {
        assert!(changed.contains(kept), "{kept} is lost: {changed}");
    }
    assert!(changed.contains("#123456"), "{changed}");
    let backup = fs::read_to_string(home.config_path().with_extension("json.bak")).unwrap();
    assert_eq!(backup, text);

    let said = home
        .run_with(&["config", "get", "ui.seamColor"], &token)
        .await;
    assert_eq!((said.code, said.out.trim()), (0, "#123456"), "{said:?}");
    let said = home
        .run_with(&["config", "unset", "ui.seamColor"], &token)
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!home.config_text().contains("#123456"));
    assert!(
        home.config_text()
            .contains("unknownKey: { kept: true }, // odd")
    );
}

#[tokio::test]
async fn secrets_are_shown_only_when_asked_for() {
    let home = Home::new();
    for line in [
        &["config", "get", "gateway.auth"][..],
        &["config", "get"],
        &["config", "get", "gateway.auth.token", "--json"],
    ] {
        let said = home.run(line).await;
        assert_eq!(said.code, 0, "{said:?}");
        assert!(!format!("{said:?}").contains(TOKEN), "{line:?}: {said:?}");
    }
    let said = home
        .run(&["config", "get", "gateway.auth.token", "--show-secrets"])
        .await;
    assert_eq!(said.out.trim(), TOKEN, "{said:?}");
}

#[tokio::test]
async fn a_file_that_is_refused_says_where_and_why() {
    let home = Home::new();
    let said = home.run(&["config", "validate"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    home.write_config("{\n  gateway: {\n    port: \"x\",\n    bind: \"everywhere\",\n  },\n}\n");
    let said = home.run(&["config", "validate"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    for part in [
        "openclaw.json:3:",
        "gateway.port",
        "openclaw.json:4:",
        "gateway.bind",
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    let document = home.run(&["config", "validate", "--json"]).await;
    assert_eq!(document.code, 1);
    let document = document.json();
    assert_eq!(
        (&document["ok"], &document["valid"]),
        (&json!(false), &json!(false)),
        "{document}"
    );
    assert_eq!(
        document["issues"].as_array().map(Vec::len),
        Some(2),
        "{document}"
    );
    // A change may mend it, but not add to it.
    let said = home
        .run(&["config", "set", "ui.seamColor", "#123456"])
        .await;
    assert_eq!(said.code, 1, "{said:?}");
}

#[tokio::test]
async fn a_path_or_a_value_that_makes_no_sense_changes_nothing() {
    let home = Home::new();
    let text = home.config_text();
    for line in [
        &["config", "set", "", "1"][..],
        &["config", "set", "gateway..port", "1"],
        &["config", "set", "gateway.port", "70000"],
        &["config", "set", "gateway.port", "-1"],
        &["config", "set", "gateway.mode", "somewhere"],
        &["config", "set", "__proto__.polluted", "1"],
        &["config", "set", "gateway.port.deeper", "1"],
        &["config", "set", "gateway.port", "{", "--json"],
        &["config", "get", "no.such.key"],
    ] {
        let said = home.run(line).await;
        assert_eq!(said.code, 1, "{line:?}: {said:?}");
        assert!(!said.err.is_empty() || !said.out.is_empty(), "{line:?}");
        assert_eq!(home.config_text(), text, "{line:?}");
    }
}

#[tokio::test]
async fn a_change_while_it_runs_is_in_force_when_the_command_returns() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let before = instance.pid_of(ChildName::Gateway).await;
    // One that concerns nobody, one taken in place, one that needs a successor.
    for (key, value, is_replaced) in [
        ("ui.seamColor", "#123456", false),
        ("session.scope", "global", false),
        ("env.vars.A", "one", true),
    ] {
        let said = home.run(&["config", "set", key, value]).await;
        assert_eq!(said.code, 0, "{key}: {said:?}");
        let status = instance.status().await;
        assert_eq!(status.fleet.config.state, ConfigState::Ok, "{key}");
        let digest = openclaw_shared::digest::hex(home.config_text().as_bytes());
        assert_eq!(
            status.fleet.config.hash.as_deref(),
            Some(digest.as_str()),
            "{key}: told before it was true"
        );
        let now = instance.pid_of(ChildName::Gateway).await;
        assert_eq!(now != before, is_replaced, "{key}");
    }
    let hello = instance.client().await.hello;
    assert_eq!(hello["snapshot"]["sessionDefaults"]["scope"], "global");
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_says_what_became_of_it() {
    let home = Home::new();
    home.write_config(&format!("// mine\n{}", home.config_text()));
    let patch = home.path().join("patch.json5");
    fs::write(
        &patch,
        "{ ui: { seamColor: '#123456' }, env: { vars: { A: 'one' } } }",
    )
    .unwrap();
    let patch = patch.display().to_string();
    let instance = home.launch().ready().await;
    let said = home.run(&["config", "patch", &patch, "--json"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        said.json()["outcome"],
        json!({"state": "replaced", "keys": ["env.vars.A", "ui.seamColor"], "children": ["gateway"]})
    );
    assert!(home.config_text().starts_with("// mine\n"));
    // The same once more has nothing to do.
    let said = home.run(&["config", "patch", &patch]).await;
    assert_eq!(
        (said.code, said.out.trim()),
        (0, "The file says so already.")
    );
    for nonsense in ["[]", "{", "{ __proto__: {} }", "{ gateway: { port: 0 } }"] {
        let text = home.config_text();
        fs::write(&patch, nonsense).unwrap();
        let said = home.run(&["config", "patch", &patch]).await;
        assert_eq!(said.code, 1, "{nonsense}: {said:?}");
        assert_eq!(home.config_text(), text, "{nonsense}");
    }
    drop(instance);
}

#[tokio::test]
async fn the_schema_is_printed_and_any_file_can_be_checked() {
    let home = Home::new();
    let said = home.run(&["config", "schema"]).await;
    assert_eq!(said.json()["properties"]["gateway"]["type"], "object");
    let other = home.path().join("other.json5");
    fs::write(&other, "{ gateway: { port: 'x' } }").unwrap();
    let said = home
        .run(&["config", "validate", &other.display().to_string()])
        .await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("other.json5:1:"), "{said:?}");
}

#[tokio::test]
async fn two_writers_never_lose_each_others_change() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home().clone();
    let writers = (0..6).map(|index| {
        let home = home.clone();
        async move {
            let key = format!("env.vars.W{index}");
            loop {
                let said = home.run(&["config", "set", &key, "one"]).await;
                if said.code == 0 {
                    return;
                }
                // Somebody else was quicker; then it is read again, and nothing of theirs is lost.
                assert!(said.err.contains("changed"), "{said:?}");
            }
        }
    });
    openclaw_tests::eventually::soon(
        "everybody has written",
        futures_util::future::join_all(writers),
    )
    .await;
    let text = home.config_text();
    for index in 0..6 {
        assert!(
            text.contains(&format!("W{index}")),
            "W{index} is lost: {text}"
        );
    }
}

#[tokio::test]
async fn rule_118_a_kill_in_the_middle_of_a_change_leaves_the_old_file_or_the_new_one() {
    let home = Home::new();
    for round in 0..8 {
        let mut instance = home.launch().ready().await;
        let before = home.config_text();
        let value = format!("{round}-{}", "v".repeat(20_000));
        let line = ["config", "set", "env.vars.BIG", &value];
        let changing = home.run(&line);
        let killing = async {
            // As soon as anything beside the file shows that the change has begun.
            openclaw_tests::eventually::eventually("the change has begun", async || {
                let names = fs::read_dir(home.state_dir())
                    .unwrap()
                    .map(|entry| entry.unwrap().path());
                let is_begun = home.config_text() != before
                    || names
                        .into_iter()
                        .any(|path| path.to_string_lossy().contains(".tmp"));
                if is_begun { Ok(()) } else { Err("not yet") }
            })
            .await;
            openclaw_tests::faults::kill(instance.pid()).await;
        };
        let (said, ()) = tokio::join!(changing, killing);
        let after = home.config_text();
        assert!(
            after == before || after.contains(&value),
            "round {round}: half a file: {after}"
        );
        if said.code == 0 {
            assert!(
                after.contains(&value),
                "round {round}: an acknowledgement is a promise"
            );
        }
        instance
            .leaves_nothing_within(std::time::Duration::from_secs(1))
            .await;
    }
    home.launch().ready().await;
}
