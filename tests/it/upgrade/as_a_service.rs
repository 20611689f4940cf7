//! An upgrade of a service, under a real `systemd --user`: the manager sees a reload, and the same process before and after.

use std::time::Duration;

use openclaw_shared::control::ChildName;
use openclaw_tests::client::{Client, connect_params};
use openclaw_tests::eventually::{eventually, holds_within};
use openclaw_tests::home::TOKEN;
use openclaw_tests::load::Load;
use openclaw_tests::systemd::SystemdUser;
use serde_json::json;

use super::{check_seamless, home, script};

const UNIT: &str = "openclaw-gateway.service";

#[tokio::test]
async fn a_service_is_upgraded_and_taken_back_without_another_main_process() {
    let home = home();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    let installed = manager
        .openclaw(&home, &["gateway", "install", "--json"])
        .await;
    assert_eq!(installed.code, 0, "{installed:?}");
    eventually("the service serves", async || {
        Client::try_connect(home.port(), connect_params(TOKEN)).await
    })
    .await;
    let pid = manager.main_pid(UNIT).await;
    let target = openclaw_tests::client::Target {
        port: home.port(),
        token: TOKEN.to_owned(),
    };
    let load = Load::start(10, &target).await;
    // By hand and by a restart, with the same end; then one that is given back. A command is one of the build, because what is
    // installed may be no program.
    let build = home.with_programs_of_the_build();
    for (verb, new) in [
        ("upgrade", None),
        ("restart", None),
        ("upgrade", Some(script("exec \"$REAL\" gateway --nonsense"))),
    ] {
        let served = load.served();
        match &new {
            None => home.install_again(),
            Some(new) => home.install_script(new),
        }
        let said = manager.openclaw(&build, &["gateway", verb, "--json"]).await;
        let expected = match (verb, &new) {
            (_, Some(_)) => "taken-back",
            ("restart", None) => "restarted",
            (_, None) => "upgraded",
        };
        assert_eq!(said.json()["result"], json!(expected), "{said:?}");
        if new.is_none() {
            load.served_anew(&served).await;
        }
        // The manager hears of it a moment later.
        let active = |state: &str| state == "active";
        manager.until(UNIT, "ActiveState", active).await;
        assert_eq!(manager.main_pid(UNIT).await, pid);
        assert_eq!(manager.property(UNIT, "NRestarts").await, "0");
    }
    check_seamless(&load.stop().await);
    let outside = manager.outside(pid).expect("it runs");
    holds_within(
        Duration::from_secs(60),
        "every child is there",
        async || match openclaw_tests::process::children_of(outside).len() {
            children if children == ChildName::ALL.len() => Ok(()),
            children => Err(format!("{children} processes")),
        },
    )
    .await;
}

#[tokio::test]
async fn the_sockets_of_the_service_manager_outlive_an_upgrade() {
    let home = home();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    let installed = manager
        .openclaw(&home, &["gateway", "install", "--socket", "--json"])
        .await;
    assert_eq!(installed.code, 0, "{installed:?}");
    eventually("the service serves", async || {
        Client::try_connect(home.port(), connect_params(TOKEN)).await
    })
    .await;
    let pid = manager.main_pid(UNIT).await;
    let target = openclaw_tests::client::Target {
        port: home.port(),
        token: TOKEN.to_owned(),
    };
    let load = Load::start(5, &target).await;
    let served = load.served();
    home.install_again();
    let said = manager
        .openclaw(&home, &["gateway", "upgrade", "--json"])
        .await;
    assert_eq!(said.json()["result"], json!("upgraded"), "{said:?}");
    load.served_anew(&served).await;
    check_seamless(&load.stop().await);
    manager
        .until(UNIT, "ActiveState", |state| state == "active")
        .await;
    assert_eq!(manager.main_pid(UNIT).await, pid);
    let socket = "openclaw-gateway.socket";
    assert_eq!(manager.property(socket, "ActiveState").await, "active");

    // They still are the manager's: while the service is down, who comes waits, and starts it again.
    manager.systemctl(&["stop", UNIT]).await;
    eventually("the service serves again", async || {
        Client::try_connect(home.port(), connect_params(TOKEN)).await
    })
    .await;
    assert_ne!(manager.main_pid(UNIT).await, pid);
}
