//! An edit of the configuration touches only the children it concerns, in the way that the reload mode allows.

use openclaw_shared::control::{ChildName, ChildState, ConfigState, InstanceStatus};
use openclaw_tests::client::{Client, Target, connect_params};
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::instance::{Instance, of};
use openclaw_tests::ports::PortBlock;
use openclaw_tests::process::Signal;
use serde_json::{Value, json};

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

#[tokio::test]
async fn an_edit_touches_only_the_children_it_concerns() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let elsewhere = home.path().join("elsewhere");
    let edits: [(Value, &[ChildName]); 5] = [
        (json!({ "ui": { "seamColor": "#123456" } }), &[]),
        (json!({ "session": { "scope": "global" } }), &[]),
        (
            json!({ "env": { "vars": { "A": "1" } } }),
            &[ChildName::Gateway],
        ),
        (
            json!({ "env": { "vars": { "A": "1" } }, "canvasHost": { "root": elsewhere } }),
            &[ChildName::CanvasHost],
        ),
        (
            json!({ "env": { "vars": { "A": "1" } }, "canvasHost": { "root": elsewhere, "liveReload": false } }),
            &[],
        ),
    ];
    for (edit, replaced) in edits {
        let before = instance.status().await;
        home.configure(&edit);
        let after = instance
            .until("the edit is in force", |status| {
                status.fleet.config.hash != before.fleet.config.hash
                    && status
                        .fleet
                        .children
                        .iter()
                        .all(|child| child.state == ChildState::Active)
            })
            .await;
        assert!(
            config_is(&after, ConfigState::Ok),
            "{edit}: {:?}",
            after.fleet.config
        );
        for child in ChildName::ALL {
            let was_replaced = of(&before, child).pid != of(&after, child).pid;
            assert_eq!(was_replaced, replaced.contains(&child), "{child} by {edit}");
        }
    }
}

#[tokio::test]
async fn rule_34_a_changed_token_counts_at_once_and_the_old_one_no_longer() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let before = instance.pid_of(ChildName::Gateway).await;
    home.configure(&json!({ "gateway": { "auth": { "token": "another-token-77" } } }));
    eventually("the new token opens", async || {
        Client::try_connect(home.port(), connect_params("another-token-77"))
            .await
            .map(drop)
    })
    .await;
    let refused = Client::try_connect(home.port(), connect_params(TOKEN));
    assert!(refused.await.is_err(), "the old token still opens");
    assert_eq!(
        instance.pid_of(ChildName::Gateway).await,
        before,
        "taken in place"
    );
}

#[tokio::test]
async fn a_changed_port_is_moved_to_and_a_busy_one_is_refused() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let other = PortBlock::lock();
    // Somebody has the place of the canvas host there.
    let stranger = std::net::TcpListener::bind(("127.0.0.1", other.base() + 4)).unwrap();
    home.configure(&json!({ "gateway": { "port": other.base() } }));
    let status = instance
        .until("a busy port is refused", |status| {
            config_is(status, ConfigState::Rejected)
        })
        .await;
    let error = status.fleet.config.error.unwrap_or_default();
    assert!(error.contains(&format!("{}", other.base() + 4)), "{error}");
    serves(&instance).await;

    drop(stranger);
    instance.signal(Signal::SIGHUP);
    instance
        .until("the instance has moved", |status| {
            config_is(status, ConfigState::Ok) && status.instance.ports.gateway == other.base()
        })
        .await;
    let target = Target {
        port: other.base(),
        ..instance.target()
    };
    Client::connect(&target).await;
    eventually("the old port is given up", async || {
        std::net::TcpListener::bind(("127.0.0.1", home.port())).map(drop)
    })
    .await;
}

#[tokio::test]
async fn the_reload_mode_says_how_much_of_an_edit_is_done() {
    // mode, what happens to a change that needs a replacement, and to one that is taken in place
    for (mode, cold, hot) in [
        ("off", ConfigState::Pending, ConfigState::Pending),
        ("hot", ConfigState::Pending, ConfigState::Ok),
        ("restart", ConfigState::Ok, ConfigState::Ok),
        ("hybrid", ConfigState::Ok, ConfigState::Ok),
    ] {
        let home = Home::empty();
        let with = |added: Value| {
            let mut config = json!({ "gateway": { "reload": { "mode": mode } } });
            config
                .as_object_mut()
                .unwrap()
                .extend(added.as_object().unwrap().clone());
            config
        };
        home.configure(&with(json!({})));
        let instance = home.launch().ready().await;
        for (edit, state, needs_replacement) in [
            (json!({ "env": { "vars": { "A": "1" } } }), cold, true),
            (
                json!({ "env": { "vars": { "A": "1" } }, "session": { "scope": "global" } }),
                hot,
                false,
            ),
        ] {
            let before = instance.child(ChildName::Gateway).await;
            let hash = instance.status().await.fleet.config.hash;
            home.configure(&with(edit.clone()));
            let after = instance
                .until("the edit is noticed", |status| {
                    config_is(status, state)
                        && (state != ConfigState::Ok || status.fleet.config.hash != hash)
                        && of(status, ChildName::Gateway).state == ChildState::Active
                })
                .await;
            let was_replaced = of(&after, ChildName::Gateway).pid != before.pid;
            let should = state == ConfigState::Ok && (needs_replacement || mode == "restart");
            assert_eq!(was_replaced, should, "{mode}: {edit}");
            if state == ConfigState::Pending {
                let error = after.fleet.config.error.clone().unwrap_or_default();
                assert!(error.contains("restart"), "{mode}: {error}");
                // The restart that it waits for brings it in force.
                instance.restart(None).await.unwrap();
                let status = instance.status().await;
                assert!(
                    config_is(&status, ConfigState::Ok),
                    "{mode}: {:?}",
                    status.fleet.config
                );
                assert_ne!(status.fleet.config.hash, hash, "{mode}: {edit}");
            }
        }
    }
}

#[tokio::test]
async fn rule_120_an_unknown_key_is_a_warning_with_a_suggestion_and_stays_in_the_file() {
    let home = Home::empty();
    home.configure(&json!({ "gatewy": { "x": 1 }, "gateway": { "prot": 1 } }));
    let instance = home.launch().ready().await;
    let warnings = instance.status().await.fleet.config.warnings.join("\n");
    for part in ["gatewy", "gateway.prot", "Did you mean", "port"] {
        assert!(
            warnings.to_lowercase().contains(&part.to_lowercase()),
            "{part}: {warnings}"
        );
    }
    let said = home
        .run(&["config", "set", "ui.seamColor", "#abcdef"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        home.config_text().contains("gatewy"),
        "unknown keys are kept"
    );
}

#[tokio::test]
async fn a_child_that_is_switched_off_is_off_and_can_be_switched_on() {
    let home = Home::new();
    let instance = home
        .launch()
        .variable("OPENCLAW_SKIP_CANVAS_HOST", "1")
        .variable("OPENCLAW_SKIP_BROWSER_CONTROL_SERVER", "1")
        .ready()
        .await;
    assert_eq!(instance.processes().len(), 2, "{:?}", instance.processes());
    drop(instance);
    home.configure(&json!({ "browser": { "enabled": false } }));
    let instance = home.launch().ready().await;
    assert_eq!(
        instance.child(ChildName::BrowserControl).await.state,
        ChildState::Disabled
    );
    home.configure(&json!({}));
    instance
        .until_child(ChildName::BrowserControl, ChildState::Active)
        .await;
    home.configure(&json!({ "browser": { "enabled": false } }));
    instance
        .until_child(ChildName::BrowserControl, ChildState::Disabled)
        .await;
    let port = home.browser_port();
    eventually(
        "nobody listens on its port",
        async || match std::net::TcpStream::connect(("127.0.0.1", port)) {
            Ok(_) => Err("somebody listens"),
            Err(_) => Ok(()),
        },
    )
    .await;
}
