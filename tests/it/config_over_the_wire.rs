//! `config.*`: a client reads and changes the configuration, and what it is told is true.

use std::fs;

use openclaw_shared::control::{ChildName, ConfigState};
use openclaw_shared::digest;
use openclaw_tests::client::{Client, Received, connect_params};
use openclaw_tests::eventually::{eventually, soon};
use openclaw_tests::faults::{Stub, kill, misbehave};
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::instance::Instance;
use serde_json::{Value, json};

/// A patch of the file as it is.
fn patch(home: &Home, change: &Value) -> Value {
    let hash = digest::hex(home.config_text().as_bytes());
    json!({ "raw": change.to_string(), "baseHash": hash })
}

async fn get(client: &mut Client) -> Value {
    client.call("config.get", json!({})).await.unwrap()
}

/// What clients are told is what runs.
async fn is_in_force(instance: &Instance) {
    let status = instance.status().await;
    let digest = digest::hex(instance.home().config_text().as_bytes());
    assert_eq!(status.fleet.config.state, ConfigState::Ok);
    assert_eq!(status.fleet.config.hash, Some(digest));
}

#[tokio::test]
async fn a_change_that_is_taken_in_place_is_live_when_it_is_answered() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let before = instance.pid_of(ChildName::Gateway).await;
    let mut client = instance.client().await;
    for (change, keys) in [
        (
            json!({"session": {"scope": "global"}}),
            json!(["session.scope"]),
        ),
        (json!({"session": {"scope": "global"}}), json!([])),
    ] {
        let done = client
            .call("config.patch", patch(home, &change))
            .await
            .unwrap();
        assert_eq!(
            done["outcome"],
            json!({"state": "live", "keys": keys}),
            "{done}"
        );
        assert_eq!(done["restart"]["mode"], "none");
        is_in_force(&instance).await;
    }
    assert_eq!(instance.pid_of(ChildName::Gateway).await, before);
    let shown = get(&mut client).await;
    assert_eq!(shown["config"]["session"]["scope"], "global");
    let hello = instance.client().await.hello;
    assert_eq!(hello["snapshot"]["sessionDefaults"]["scope"], "global");
}

#[tokio::test]
async fn a_gateway_that_is_replaced_by_a_change_answers_it_before_it_leaves() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let elsewhere = home.path().join("elsewhere");
    for (change, children) in [
        (json!({"env": {"vars": {"A": "one"}}}), json!(["gateway"])),
        (
            json!({"env": {"vars": {"A": "two"}}, "canvasHost": {"root": elsewhere}}),
            json!(["gateway", "canvas-host"]),
        ),
    ] {
        let before = instance.child(ChildName::Gateway).await;
        let mut client = instance.client().await;
        let id = client.send("config.apply", {
            let mut merged = home.config_with(&change);
            merged["session"] = json!({"scope": "global"});
            json!({"raw": merged.to_string(), "baseHash": digest::hex(home.config_text().as_bytes())})
        }).await;
        let (frames, end) = client.rest().await;
        let answered = frames.iter().position(|frame| frame["id"] == id);
        let farewell = frames.iter().position(|frame| frame["event"] == "shutdown");
        let answered = answered.unwrap_or_else(|| panic!("never answered: {frames:?} {end:?}"));
        assert!(Some(answered) < farewell, "{frames:?}");
        let done = &frames[answered]["payload"];
        assert_eq!(done["outcome"]["state"], "replaced", "{}", frames[answered]);
        assert_eq!(done["outcome"]["children"], children);
        assert_eq!(done["restart"]["ok"], true);
        assert!(
            matches!(end, Received::Closed { code: 1012, .. }),
            "{end:?}"
        );
        is_in_force(&instance).await;
        // Replaced once: the watch on the file does not do it again.
        let after = instance.child(ChildName::Gateway).await;
        assert_eq!(after.generation.0, before.generation.0 + 1);
        let mut newcomer = instance.client().await;
        assert_eq!(
            get(&mut newcomer).await["config"]["env"]["vars"]["A"],
            "__OPENCLAW_REDACTED__"
        );
    }
}

#[tokio::test]
async fn a_change_that_does_not_work_is_answered_with_its_roll_back_and_its_reason() {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    let before = (
        home.config_text(),
        instance.pid_of(ChildName::Gateway).await,
    );
    let mut client = instance.client().await;
    misbehave(&home, ChildName::Gateway, Stub::Picky);
    let elsewhere = home.path().join("elsewhere");
    let change = json!({"env": {"vars": {"STUB": "crash"}}, "canvasHost": {"root": elsewhere}});
    let error = client
        .call("config.patch", patch(&home, &change))
        .await
        .unwrap_err();
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("config rolled back: gateway: "),
        "{error}"
    );
    assert!(message.contains("the stub cannot go on"), "{error}");
    let outcome = &error["details"]["outcome"];
    assert_eq!(outcome["state"], "rolled-back");
    let kept = fs::read_to_string(outcome["kept"].as_str().unwrap()).unwrap();
    assert!(kept.contains("crash"), "{kept}");
    assert_eq!(home.config_text(), before.0, "the file is as it was");
    assert_eq!(instance.pid_of(ChildName::Gateway).await, before.1);
    // The same connection goes on, and so does the next change.
    let change = json!({"session": {"scope": "global"}});
    let done = client
        .call("config.patch", patch(&home, &change))
        .await
        .unwrap();
    assert_eq!(done["outcome"]["state"], "live");
}

#[tokio::test]
async fn a_change_that_the_reload_mode_does_not_allow_waits_for_a_restart() {
    let home = Home::new();
    home.configure(&json!({"gateway": {"reload": {"mode": "hot"}}}));
    let instance = home.launch().ready().await;
    let mut client = instance.client().await;
    let change = json!({"env": {"vars": {"A": "one"}}});
    let done = client
        .call("config.patch", patch(&home, &change))
        .await
        .unwrap();
    assert_eq!(
        done["outcome"],
        json!({"state": "pending", "keys": ["env.vars.A"]})
    );
    assert!(home.config_text().contains("one"));
    let status = instance.status().await;
    assert_eq!(status.fleet.config.state, ConfigState::Pending);
}

#[tokio::test]
async fn rule_55_two_clients_never_lose_each_others_change() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home().clone();
    let writers = (0..6).map(|index| {
        let (home, instance) = (&home, &instance);
        async move {
            let mut client = instance.client().await;
            loop {
                let change = json!({"ui": {"assistant": {"name": format!("W{index}")}}, "talk": {format!("w{index}"): 1}});
                match client.call("config.patch", patch(home, &change)).await {
                    Ok(_) => return,
                    // Somebody else was quicker: it is read again, and nothing of theirs is lost.
                    Err(error) => assert_eq!(
                        error["message"],
                        "config changed since last load; re-run config.get and retry"
                    ),
                }
            }
        }
    });
    soon(
        "everybody has written",
        futures_util::future::join_all(writers),
    )
    .await;
    let text = home.config_text();
    for index in 0..6 {
        assert!(
            text.contains(&format!("\"w{index}\"")) || text.contains(&format!("w{index}:")),
            "{text}"
        );
    }
    is_in_force(&instance).await;
}

#[tokio::test]
async fn rule_56_what_is_refused_leaves_the_file_and_what_runs_alone() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let before = (
        home.config_text(),
        instance.pid_of(ChildName::Gateway).await,
    );
    let mut client = instance.client().await;
    for (change, told) in [
        (json!({"gateway": {"port": "x"}}), "invalid config"),
        (
            json!({"gateway": {"bind": "lan", "auth": {"token": null}}}),
            "config refused: Refusing to bind the gateway to 0.0.0.0 without auth",
        ),
        (
            json!({"env": {"vars": {"A": "${NOT_SET_ANYWHERE}"}}}),
            "invalid config",
        ),
    ] {
        let error = client
            .call("config.patch", patch(home, &change))
            .await
            .unwrap_err();
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(told), "{error}");
        assert_eq!(error["code"], "INVALID_REQUEST");
        assert_eq!(home.config_text(), before.0);
    }
    is_in_force(&instance).await;
    assert_eq!(instance.pid_of(ChildName::Gateway).await, before.1);
}

#[tokio::test]
async fn a_port_in_use_is_refused_before_anything_is_written() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let text = home.config_text();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut client = instance.client().await;
    let change = json!({"canvasHost": {"port": port}});
    let error = client
        .call("config.patch", patch(home, &change))
        .await
        .unwrap_err();
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("config refused: "),
        "{error}"
    );
    assert_eq!(error["details"]["outcome"]["cause"], "unusable");
    assert_eq!(home.config_text(), text);
    is_in_force(&instance).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_costs_an_error_and_no_damage() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let text = home.config_text();
    // Backups that cannot be moved on, which is what a full or read-only disk comes to.
    for name in ["bak", "bak.1", "bak.2", "bak.3", "bak.4"] {
        let folder = home.config_path().with_extension(format!("json.{name}"));
        // A backup from before may be in the way.
        let _ = fs::remove_file(&folder);
        fs::create_dir_all(folder.join("in the way")).unwrap();
    }
    let mut client = instance.client().await;
    let change = json!({"session": {"scope": "global"}});
    let error = client
        .call("config.patch", patch(home, &change))
        .await
        .unwrap_err();
    assert_eq!(error["code"], "UNAVAILABLE", "{error}");
    assert_eq!(error["details"]["outcome"]["cause"], "unwritable");
    assert_eq!(home.config_text(), text);
    let hello = instance.client().await.hello;
    assert_ne!(hello["snapshot"]["sessionDefaults"]["scope"], "global");
    // It goes on by itself when there is room again.
    for name in ["bak", "bak.1", "bak.2", "bak.3", "bak.4"] {
        fs::remove_dir_all(home.config_path().with_extension(format!("json.{name}"))).unwrap();
    }
    client
        .call("config.patch", patch(home, &change))
        .await
        .unwrap();
}

#[tokio::test]
async fn rule_119_a_file_that_never_ends_or_never_begins_keeps_nobody_waiting() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let text = home.config_text();
    let mut client = instance.client().await;
    for odd in ["pipe", "device"] {
        fs::remove_file(home.config_path()).unwrap();
        match odd {
            "pipe" => {
                let mode = nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR;
                nix::unistd::mkfifo(&home.config_path(), mode).unwrap();
            }
            _ => std::os::unix::fs::symlink("/dev/zero", home.config_path()).unwrap(),
        }
        // As somebody asks who has seen an empty file.
        let params = json!({"raw": text, "baseHash": digest::hex(b"")});
        let error = client.call("config.set", params).await.unwrap_err();
        assert!(error["message"].is_string(), "{odd}: {error}");
        instance.status().await;
        fs::remove_file(home.config_path()).unwrap();
        home.write_config(&text);
        instance
            .until("the file counts again", |status| {
                status.fleet.config.state == ConfigState::Ok
            })
            .await;
    }
}

#[tokio::test]
async fn rule_103_no_secret_is_shown_and_a_placeholder_sent_back_keeps_it() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let mut client = instance.client().await;
    let shown = get(&mut client).await;
    assert!(!shown.to_string().contains(TOKEN), "{shown}");
    assert_eq!(
        shown["config"]["gateway"]["auth"]["token"],
        "__OPENCLAW_REDACTED__"
    );
    // As a form saves it.
    let mut form = shown["config"].clone();
    form["session"] = json!({"scope": "global"});
    let params = json!({"raw": form.to_string(), "baseHash": shown["hash"]});
    let done = client.call("config.set", params).await.unwrap();
    assert_eq!(done["outcome"]["state"], "live");
    assert!(!done.to_string().contains(TOKEN));
    assert!(home.config_text().contains(TOKEN));
    // The token is still the one that lets in.
    let mut again = instance.client().await;
    let clear = again
        .call("config.get", json!({"includeSecrets": true}))
        .await
        .unwrap();
    assert_eq!(clear["config"]["gateway"]["auth"]["token"], TOKEN);
    // Nobody but an administrator gets to ask.
    let mut params = openclaw_tests::client::connect_params(TOKEN);
    params["scopes"] = json!(["operator.read"]);
    let mut reader = Client::connect_as(home.port(), params).await;
    let error = reader.call("config.get", json!({})).await.unwrap_err();
    assert_eq!(error["message"], "missing scope: operator.admin");
}

#[tokio::test]
async fn a_kill_of_the_gateway_in_the_middle_of_a_change_leaves_the_old_file_or_the_new_one() {
    let home = Home::new();
    let instance = home.launch().ready().await;
    for round in 0..6 {
        let before = home.config_text();
        let life = instance.child(ChildName::Gateway).await;
        let value = format!("{round}-{}", "v".repeat(20_000));
        let mut client = instance.client().await;
        let pid = instance.pid_of(ChildName::Gateway).await;
        let change = patch(&home, &json!({"env": {"vars": {"BIG": value}}}));
        let changing = async {
            client.send("config.patch", change).await;
            client.rest().await
        };
        let killing = async {
            if round % 2 == 0 {
                // As soon as anything shows that the change has begun.
                eventually("the change has begun", async || {
                    if home.config_text() == before {
                        Err("not yet")
                    } else {
                        Ok(())
                    }
                })
                .await;
            }
            kill(pid).await;
        };
        let ((frames, _), ()) = tokio::join!(changing, killing);
        instance.until_later_life(ChildName::Gateway, &life).await;
        let after = home.config_text();
        assert!(
            after == before || after.contains(&value),
            "round {round}: half a file"
        );
        if frames.iter().any(|frame| frame["ok"] == true) {
            assert!(
                after.contains(&value),
                "round {round}: an acknowledgement is a promise"
            );
        }
        // What the file says is what runs, before long.
        let digest = digest::hex(after.as_bytes());
        instance
            .until("the file is in force", |status| {
                status.fleet.config.state == ConfigState::Ok
                    && status.fleet.config.hash.as_ref() == Some(&digest)
            })
            .await;
    }
}

#[tokio::test]
async fn the_schema_describes_what_forms_show() {
    let instance = Home::new().launch().ready().await;
    let mut client = instance.client().await;
    let reply = client.call("config.schema", json!({})).await.unwrap();
    assert_eq!(
        reply["schema"]["properties"]["gateway"]["properties"]["bind"]["enum"][0],
        "loopback"
    );
    assert_eq!(reply["uiHints"]["gateway"]["label"], "Gateway");
}

#[tokio::test]
async fn rule_34_whoever_changes_the_secret_hears_of_it_before_it_must_come_again() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let secret_of = |token: &str| json!({"gateway": {"auth": {"token": token}}});
    let mut by_successor = secret_of("the-third-secret-of-all");
    by_successor["env"] = json!({"vars": {"A": "one"}});
    let changes = [
        (TOKEN, secret_of("the-second-secret-of-all"), "live"),
        ("the-second-secret-of-all", by_successor, "replaced"),
    ];
    for (token, change, state) in changes {
        let mut client = Client::connect_as(home.port(), connect_params(token)).await;
        let done = client.call("config.patch", patch(home, &change)).await;
        assert_eq!(done.unwrap()["outcome"]["state"], state);
        let (_, end) = client.rest().await;
        let reason = "shared secret changed".to_owned();
        assert_eq!(end, Received::Closed { code: 1008, reason });
        let refused = Client::try_connect(home.port(), connect_params(token)).await;
        assert!(refused.is_err(), "the old secret still opens");
    }
}
