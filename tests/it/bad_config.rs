//! Law 3: a bad configuration never takes the gateway down.

use std::fs;

use openclaw_shared::control::{ChildName, ChildState, ConfigState, InstanceStatus};
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::{Stub, misbehave};
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Instance, of};
use openclaw_tests::process::Signal;
use serde_json::json;

/// A configuration with a mistake in its fourth line.
fn broken(home: &Home) -> String {
    format!(
        "{{\n  gateway: {{\n    mode: \"local\",\n    port: \"not a port\", // {}\n  }},\n}}\n",
        home.port()
    )
}

async fn stop(mut instance: Instance) {
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
}

async fn serves(instance: &Instance) {
    instance
        .client()
        .await
        .call("status", json!({}))
        .await
        .unwrap();
}

fn config_is(status: &InstanceStatus, state: ConfigState) -> bool {
    status.fleet.config.state == state
}

// ---- at the start -----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn at_start_a_broken_file_ends_with_its_own_code_and_names_the_place() {
    let home = Home::empty();
    home.write_config(&broken(&home));
    let said = home.run(&["gateway"]).await;
    assert_eq!(said.code, 78, "{said:?}");
    for part in ["openclaw.json:4", "gateway.port"] {
        assert!(said.err.contains(part), "{part} is missing: {}", said.err);
    }
    assert_eq!(
        said.err.matches("gateway.port").count(),
        1,
        "told once: {}",
        said.err
    );
    assert_eq!(
        home.config_text(),
        broken(&home),
        "the file is left as it was"
    );
    assert!(
        !home.state_dir().join("run").exists(),
        "nothing was started"
    );
}

#[tokio::test]
async fn at_start_without_a_file_it_says_what_to_do() {
    let home = Home::empty();
    let said = home.run(&["gateway"]).await;
    assert_eq!(said.code, 78, "{said:?}");
    assert!(said.err.contains("openclaw setup"), "{said:?}");
    assert!(!home.config_path().exists());
}

#[tokio::test]
async fn at_start_a_broken_file_is_replaced_by_what_served_last_and_left_alone() {
    let home = Home::new();
    stop(home.launch().ready().await).await;
    home.write_config(&broken(&home));
    let instance = home.launch().ready().await;
    serves(&instance).await;
    let status = instance.status().await;
    assert!(
        config_is(&status, ConfigState::Degraded),
        "{:?}",
        status.fleet.config
    );
    let error = status.fleet.config.error.unwrap_or_default();
    assert!(
        error.contains(":4") && error.contains("gateway.port"),
        "{error}"
    );
    instance
        .health_shows("/supervisor/config/state", &json!("degraded"))
        .await;
    assert!(
        instance.console().contains("gateway.port"),
        "it is said aloud"
    );
    assert_eq!(
        home.config_text(),
        broken(&home),
        "the file is left as it was"
    );

    home.configure(&json!({}));
    instance
        .until("the mended file counts", |status| {
            config_is(status, ConfigState::Ok)
        })
        .await;
    serves(&instance).await;
}

#[tokio::test]
async fn a_broken_file_that_was_never_good_has_nothing_to_fall_back_to() {
    let home = Home::empty();
    home.write_config(&broken(&home));
    assert_eq!(home.run(&["gateway"]).await.code, 78);
    // A start that failed leaves nothing that a later one could mistake for a good configuration.
    assert_eq!(home.run(&["gateway"]).await.code, 78);
}

#[tokio::test]
async fn a_half_written_last_good_configuration_is_no_configuration() {
    let home = Home::new();
    stop(home.launch().ready().await).await;
    for torn in ["", "{", "null", "{\"files\":[]}"] {
        fs::write(home.state_dir().join("last-good.json"), torn).unwrap();
        home.write_config(&broken(&home));
        assert_eq!(home.run(&["gateway"]).await.code, 78, "{torn:?}");
    }
}

#[tokio::test]
async fn at_start_a_configuration_that_kills_the_gateway_is_replaced_by_what_served_last() {
    let home = Home::new().with_own_programs();
    stop(home.launch().ready().await).await;
    misbehave(&home, ChildName::Gateway, Stub::Picky);
    home.configure(&json!({ "env": { "vars": { "STUB": "crash" } } }));
    let text = home.config_text();
    let instance = home.launch().ready().await;
    let status = instance.status().await;
    assert!(
        config_is(&status, ConfigState::Degraded),
        "{:?}",
        status.fleet.config
    );
    let error = status.fleet.config.error.unwrap_or_default();
    assert!(error.contains("the stub cannot go on"), "{error}");
    assert_eq!(home.config_text(), text);
}

#[tokio::test]
async fn at_start_what_served_last_is_recalled_with_its_included_files() {
    let home = Home::new().with_own_programs();
    let part = home.state_dir().join("part.json5");
    fs::write(&part, "{ STUB: \"harmless\" }").unwrap();
    let mut config = home.config_with(&json!({}));
    config["env"] = json!({ "vars": { "$include": "./part.json5" } });
    home.write_config(&config.to_string());
    stop(home.launch().ready().await).await;
    misbehave(&home, ChildName::Gateway, Stub::Picky);
    fs::write(&part, "{ STUB: \"crash\" }").unwrap();
    let instance = home.launch().ready().await;
    let status = instance.status().await;
    assert!(
        config_is(&status, ConfigState::Degraded),
        "{:?}",
        status.fleet.config
    );
}

#[tokio::test]
async fn a_gateway_that_cannot_be_kept_alive_ends_the_instance_with_its_own_code() {
    let home = Home::new().with_own_programs();
    misbehave(&home, ChildName::Gateway, Stub::Exits);
    let mut instance = home.launch().start();
    assert_eq!(instance.exit_code_leaving_nothing().await, 70);
    assert!(
        instance.console().contains("it exited with code 3"),
        "{}",
        instance.console()
    );
}

#[tokio::test]
async fn rule_109_a_child_that_is_not_essential_fails_alone() {
    for child in [ChildName::CanvasHost, ChildName::BrowserControl] {
        let home = Home::new().with_own_programs();
        misbehave(&home, child, Stub::Exits);
        let instance = home.launch().start();
        let failed = instance.until_child(child, ChildState::Failed).await;
        assert_eq!(failed.last_error.as_deref(), Some("it exited with code 3"));
        serves(&instance).await;
        let place = ChildName::ALL
            .iter()
            .position(|name| *name == child)
            .unwrap();
        let told = instance
            .health_shows(
                &format!("/supervisor/children/{place}/state"),
                &json!("failed"),
            )
            .await;
        assert_eq!(
            told["supervisor"]["children"][place]["lastError"], "it exited with code 3",
            "{told}"
        );
        // A restart forgives.
        home.restore_program(child);
        instance.restart(Some(child)).await.unwrap();
        instance.until_child(child, ChildState::Active).await;
    }
}

// ---- while running ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn rule_119_a_broken_edit_is_refused_with_its_place_while_everything_serves_on() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let good = home.config_text();
    let before = instance.status().await;
    let mut client = instance.client().await;
    let port = home.port();
    for (text, place, key, reason) in [
        (broken(home), ":4:", "gateway.port", "port"),
        (format!("{{\n  gateway: {{ port: {port},\n"), ":", "", ""),
        (
            good.replace("\"local\"", "\"somewhere\""),
            ":3:",
            "gateway.mode",
            "somewhere",
        ),
        ("[]\n".to_owned(), ":1", "", "object"),
        (
            format!("{{ gateway: {{ mode: \"local\", port: {port}, auth: 7 }} }}"),
            ":1:",
            "gateway.auth",
            "object",
        ),
        (
            format!(
                "{{ gateway: {{ mode: \"local\", port: {port} }}, $include: \"./none.json\" }}"
            ),
            ":",
            "",
            "none.json",
        ),
        (
            "{ gateway: { mode: \"local\", auth: { token: \"${NOT_SET_ANYWHERE}\" } } }\n"
                .to_owned(),
            ":1",
            "gateway.auth.token",
            "NOT_SET_ANYWHERE",
        ),
        (String::new(), "", "", ""),
    ] {
        home.write_config(&text);
        let status = instance
            .until("the edit is refused", |status| {
                config_is(status, ConfigState::Rejected)
            })
            .await;
        let error = status.fleet.config.error.clone().unwrap_or_default();
        for part in ["openclaw.json", place, key, reason] {
            assert!(
                error.contains(part),
                "{part:?} is missing for {text:?}: {error}"
            );
        }
        assert_eq!(
            status.fleet.config.hash, before.fleet.config.hash,
            "what runs is what ran"
        );
        for child in ChildName::ALL {
            assert_eq!(
                of(&status, child).pid,
                of(&before, child).pid,
                "{child} was touched"
            );
        }
        instance
            .health_shows("/supervisor/config/error", &json!(error))
            .await;
        let health = instance
            .health_shows("/supervisor/config/state", &json!("rejected"))
            .await;
        assert_eq!(health["ok"], true);
        client.call("status", json!({})).await.unwrap();
        assert_eq!(
            home.config_text(),
            text,
            "a file edited by hand is never rewritten"
        );
        // Mended, it is what runs again.
        home.write_config(&good);
        instance
            .until("the file counts", |status| {
                config_is(status, ConfigState::Ok)
            })
            .await;
    }
    let said = home
        .log()
        .with_text("the configuration file was refused; the running one stays");
    assert!(said.len() >= 8, "each refusal is logged: {said:?}");
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_an_empty_one() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let text = home.config_text();
    fs::remove_file(home.config_path()).unwrap();
    let status = instance
        .until("its loss is noticed", |status| {
            config_is(status, ConfigState::Rejected)
        })
        .await;
    assert!(
        status
            .fleet
            .config
            .error
            .unwrap_or_default()
            .contains("gone")
    );
    serves(&instance).await;
    home.write_config(&text);
    instance
        .until("the file counts", |status| {
            config_is(status, ConfigState::Ok)
        })
        .await;
}

#[tokio::test]
async fn an_edit_that_makes_the_child_crash_is_rolled_back() {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    let mut client = instance.client().await;
    let before = instance.status().await;
    misbehave(&home, ChildName::Gateway, Stub::Picky);
    // It concerns two children; the one that could take it goes back as well.
    let elsewhere = home.path().join("elsewhere");
    home.configure(&json!({
        "env": { "vars": { "STUB": "crash" } },
        "canvasHost": { "root": elsewhere },
    }));
    let text = home.config_text();
    let rolled_back = |status: &InstanceStatus| {
        config_is(status, ConfigState::Rejected)
            && status.instance.canvas_root == home.canvas_root()
    };
    let status = instance.until("the edit is rolled back", rolled_back).await;
    let error = status.fleet.config.error.clone().unwrap_or_default();
    assert!(
        error.contains("gateway") && error.contains("the stub cannot go on"),
        "{error}"
    );
    let gateway = (
        of(&before, ChildName::Gateway),
        of(&status, ChildName::Gateway),
    );
    assert_eq!(gateway.0.pid, gateway.1.pid, "the predecessor serves on");
    client.call("status", json!({})).await.unwrap();
    instance
        .health_shows("/supervisor/config/state", &json!("rejected"))
        .await;
    assert_eq!(
        home.config_text(),
        text,
        "a file edited by hand is never rewritten"
    );
    eventually("the canvas host serves its old folder again", async || {
        let child = instance.child(ChildName::CanvasHost).await;
        if child.state == ChildState::Active {
            Ok(())
        } else {
            Err(format!("{child:?}"))
        }
    })
    .await;
    let page = openclaw_tests::http::get(home.canvas_port(), "/__openclaw__/canvas/").await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn a_setting_that_this_version_cannot_honour_is_rolled_back_and_not_ignored() {
    let instance = Home::new().launch().ready().await;
    let before = instance.pid_of(ChildName::Gateway).await;
    instance
        .home()
        .configure(&json!({ "gateway": { "tls": { "enabled": true } } }));
    let status = instance
        .until("the edit is rolled back", |status| {
            config_is(status, ConfigState::Rejected)
        })
        .await;
    let error = status.fleet.config.error.unwrap_or_default();
    assert!(error.contains("gateway.tls.enabled"), "{error}");
    assert_eq!(instance.pid_of(ChildName::Gateway).await, before);
    serves(&instance).await;
    // At a start there is nothing to go back to: it must not serve in clear what was asked to be encrypted.
    let home = Home::empty();
    home.configure(&json!({ "gateway": { "tls": { "enabled": true } } }));
    let mut instance = home.launch().start();
    assert_eq!(instance.exit_code_leaving_nothing().await, 70);
    assert!(
        instance.console().contains("gateway.tls.enabled"),
        "{}",
        instance.console()
    );
}

#[tokio::test]
async fn a_change_by_command_that_makes_the_child_crash_is_put_back() {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    let before = (
        home.config_text(),
        instance.pid_of(ChildName::Gateway).await,
    );
    misbehave(&home, ChildName::Gateway, Stub::Picky);
    let said = home.run(&["config", "set", "env.vars.STUB", "crash"]).await;
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.err.contains("the stub cannot go on"), "{said:?}");
    assert_eq!(home.config_text(), before.0, "it was ours to put back");
    let kept = home.config_path().with_extension("json.rejected");
    assert!(
        fs::read_to_string(kept).unwrap().contains("crash"),
        "the rejected one is kept"
    );
    assert_eq!(instance.pid_of(ChildName::Gateway).await, before.1);
    let status = instance.status().await;
    let error = status.fleet.config.error.unwrap_or_default();
    assert!(error.contains("the stub cannot go on"), "{error}");
}

#[tokio::test]
async fn rule_119_why_a_change_was_put_back_stays_in_view_until_the_file_says_something_else() {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    let before = home.config_text();
    misbehave(&home, ChildName::Gateway, Stub::Picky);
    let said = home.run(&["config", "set", "env.vars.STUB", "crash"]).await;
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(home.config_text(), before, "it was ours to put back");
    // What was put back is what runs, and a restart looks at it again. That it can be taken says nothing of what was rejected.
    home.restore_program(ChildName::Gateway);
    for child in [ChildName::CanvasHost, ChildName::Gateway] {
        instance.restart(Some(child)).await.unwrap();
        let status = instance.status().await;
        assert!(config_is(&status, ConfigState::Rejected), "{status:?}");
        let error = status.fleet.config.error.unwrap_or_default();
        assert!(error.contains("the stub cannot go on"), "{error}");
        let health = instance
            .health_shows("/supervisor/config/state", &json!("rejected"))
            .await;
        let error = health["supervisor"]["config"]["error"].to_string();
        assert!(error.contains("the stub cannot go on"), "{health}");
    }
    let said = home.run(&["gateway", "status"]).await;
    assert!(said.out.contains("the stub cannot go on"), "{said:?}");
    // Whoever writes the file anew, though it says the same, has read why.
    home.write_config(&format!("{before}// mended\n"));
    instance
        .until("the reason is taken away", |status| {
            config_is(status, ConfigState::Ok) && status.fleet.config.error.is_none()
        })
        .await;
}

#[tokio::test]
async fn a_change_by_command_that_would_be_invalid_is_never_written() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let before = home.config_text();
    let said = home
        .run(&["config", "set", "gateway.port", "nonsense"])
        .await;
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.err.contains("gateway.port"), "{said:?}");
    assert_eq!(home.config_text(), before);
    assert!(config_is(&instance.status().await, ConfigState::Ok));
}

#[tokio::test]
async fn an_edit_that_would_open_the_gateway_to_everybody_is_refused() {
    // The token of this instance was generated, not chosen.
    let home = Home::empty();
    home.write_config(&without_auth(&home, "loopback"));
    let instance = home.launch().ready().await;
    home.write_config(&without_auth(&home, "lan"));
    let status = instance
        .until("the edit is refused", |status| {
            config_is(status, ConfigState::Rejected)
        })
        .await;
    assert!(
        status
            .fleet
            .config
            .error
            .unwrap_or_default()
            .contains("without auth")
    );
    assert!(
        status
            .listening
            .iter()
            .all(|line| !line.contains("0.0.0.0")),
        "{:?}",
        status.listening
    );
}

fn without_auth(home: &Home, bind: &str) -> String {
    let mut config = home.config_with(&json!({ "gateway": { "bind": bind } }));
    config["gateway"].as_object_mut().unwrap().remove("auth");
    format!("{config:#}\n")
}

#[tokio::test]
async fn a_start_that_would_open_the_gateway_to_everybody_is_refused() {
    let home = Home::empty();
    home.write_config(&without_auth(&home, "lan"));
    let said = home.run(&["gateway"]).await;
    assert_eq!(said.code, 79, "{said:?}");
    assert!(
        said.err.contains("gateway.auth.token"),
        "it says what to do: {said:?}"
    );
}

#[tokio::test]
async fn an_included_file_is_watched_and_named_like_the_first_one() {
    let home = Home::new();
    let part = home.state_dir().join("part.json5");
    fs::write(&part, "{\n  seamColor: \"#111111\",\n}\n").unwrap();
    let mut config = home.config_with(&json!({}));
    config["ui"] = json!({ "$include": "./part.json5" });
    home.write_config(&format!("{config:#}\n"));
    let instance = home.launch().ready().await;
    let before = instance.status().await;
    assert!(
        config_is(&before, ConfigState::Ok),
        "{:?}",
        before.fleet.config
    );

    fs::write(&part, "{\n  seamColor: \"#222222\",\n}\n").unwrap();
    assert_eq!(
        home.log().said("configuration changed").await["1"]["keys"],
        "ui.seamColor"
    );
    fs::write(&part, "{\n  seamColor: [7],\n}\n").unwrap();
    let status = instance
        .until("the included file is refused", |status| {
            config_is(status, ConfigState::Rejected)
        })
        .await;
    let error = status.fleet.config.error.unwrap_or_default();
    for text in ["part.json5:2:", "ui.seamColor"] {
        assert!(error.contains(text), "{text}: {error}");
    }
    serves(&instance).await;
}
