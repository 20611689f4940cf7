//! Two profiles at once, each with a service of its own: whatever befalls the one is nothing to the other.

use std::fs;

use openclaw_shared::control::ChildName;
use openclaw_tests::client::{Client, connect_params};
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::process::Signal;
use openclaw_tests::systemd::SystemdUser;
use serde_json::json;

use super::{MAIN, RESCUE, child_pid, done, drop_in, serves};

/// The processes of a service, as the inside counts.
async fn lives(manager: &SystemdUser, home: &Home, unit: &str) -> Vec<i32> {
    let mut pids = vec![manager.main_pid(unit).await];
    for child in ChildName::ALL {
        pids.push(child_pid(manager, home, child).await);
    }
    pids
}

/// Waits until the service manager has started it again.
async fn comes_back(manager: &SystemdUser, home: &Home, unit: &str, earlier: i32) {
    let earlier = earlier.to_string();
    manager
        .until(unit, "MainPID", |pid| pid != "0" && pid != earlier)
        .await;
    manager
        .until(unit, "ActiveState", |state| state == "active")
        .await;
    serves(home).await;
}

#[tokio::test]
async fn whatever_befalls_one_of_two_services_is_nothing_to_the_other() {
    let home = Home::empty().with_own_programs();
    home.configure(&json!({}));
    let rescue = home.profile("rescue");
    rescue.configure(&json!({}));
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    drop_in(&home, MAIN, "[Service]\nRestartSec=100ms\nWatchdogSec=5s\n");
    let install = ["gateway", "install", "--json"];
    for home in [&home, &rescue] {
        done(&manager.openclaw(home, &install).await);
    }
    let unharmed = lives(&manager, &rescue, RESCUE).await;

    // Killed, and hung.
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        let pid = manager.main_pid(MAIN).await;
        manager.signal(pid, signal);
        comes_back(&manager, &home, MAIN, pid).await;
        assert_eq!(lives(&manager, &rescue, RESCUE).await, unharmed, "{signal}");
    }

    for child in ChildName::ALL {
        let pid = child_pid(&manager, &home, child).await;
        manager.signal(pid, Signal::SIGKILL);
        eventually("a later life serves", async || {
            match child_pid(&manager, &home, child).await {
                later if later != pid => Ok(()),
                same => Err(same),
            }
        })
        .await;
    }
    assert_eq!(lives(&manager, &rescue, RESCUE).await, unharmed);

    // Misconfigured.
    done(
        &manager
            .openclaw(&home, &["gateway", "stop", "--json"])
            .await,
    );
    for entry in fs::read_dir(home.state_dir()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("last-good") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    home.write_config("{ gateway: ");
    let start = ["gateway", "start", "--json"];
    assert_eq!(manager.openclaw(&home, &start).await.code, 1);
    manager
        .until(MAIN, "ActiveState", |state| state == "failed")
        .await;
    assert_eq!(manager.property(MAIN, "ExecMainStatus").await, "78");
    assert_eq!(lives(&manager, &rescue, RESCUE).await, unharmed);
    let status = ["gateway", "status", "--json"];
    assert_ne!(manager.openclaw(&home, &status).await.code, 0);
    done(&manager.openclaw(&rescue, &status).await);
    home.configure(&json!({}));
    // What follows has all the time that it needs.
    drop_in(&home, MAIN, "[Service]\nRestartSec=100ms\n");
    manager.systemctl(&["daemon-reload"]).await;
    done(&manager.openclaw(&home, &start).await);
    serves(&home).await;

    // Upgraded: the new file is there for both, and taken into use by the one that is told to.
    home.install_again();
    let pid = manager.main_pid(MAIN).await;
    let upgrade = ["gateway", "upgrade", "--json"];
    let report = done(&manager.openclaw(&home, &upgrade).await);
    assert_eq!(report["result"], "upgraded", "{report}");
    assert_eq!(manager.main_pid(MAIN).await, pid);
    assert_eq!(lives(&manager, &rescue, RESCUE).await, unharmed);
    let main = lives(&manager, &home, MAIN).await;
    let report = done(&manager.openclaw(&rescue, &upgrade).await);
    assert_eq!(report["result"], "upgraded", "{report}");
    assert_eq!(manager.main_pid(RESCUE).await, unharmed[0]);
    assert_eq!(lives(&manager, &home, MAIN).await, main);

    // Removed.
    done(
        &manager
            .openclaw(&home, &["gateway", "uninstall", "--json"])
            .await,
    );
    let params = connect_params(TOKEN);
    assert!(Client::try_connect(home.port(), params).await.is_err());
    assert_eq!(manager.main_pid(RESCUE).await, unharmed[0]);
    serves(&rescue).await;
}
