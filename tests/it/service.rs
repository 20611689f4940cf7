//! A profile's service, under a real `systemd --user`.

use std::fs;
use std::path::PathBuf;

use openclaw_shared::control::ChildName;
use openclaw_tests::client::{Client, connect_params};
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::{Home, Said, TOKEN};
use openclaw_tests::process::{self, Signal};
use openclaw_tests::systemd::SystemdUser;
use serde_json::{Value, json};

mod beside;
mod both;
mod drift;
mod sockets;
mod whole_system;

const MAIN: &str = "openclaw-gateway.service";
const RESCUE: &str = "openclaw-gateway-rescue.service";

/// Where the units of a home are.
fn unit_path(home: &Home, unit: &str) -> PathBuf {
    home.path().join(".config/systemd/user").join(unit)
}

/// What an owner wants otherwise, as `systemctl --user edit` writes it.
fn drop_in(home: &Home, unit: &str, text: &str) {
    let folder = unit_path(home, &format!("{unit}.d"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("override.conf"), text).unwrap();
}

fn done(said: &Said) -> Value {
    assert_eq!(said.code, 0, "{said:?}");
    said.json()
}

/// Waits until a client is served.
async fn serves(home: &Home) -> Client {
    let port = home.port();
    eventually("the service serves", async || {
        Client::try_connect(port, connect_params(TOKEN)).await
    })
    .await
}

/// The process of a child, as the inside counts.
async fn child_pid(manager: &SystemdUser, home: &Home, name: ChildName) -> i32 {
    eventually("a child has a process", async || {
        let said = manager
            .openclaw(home, &["gateway", "status", "--no-probe", "--json"])
            .await;
        let found = said.json();
        let children = found["supervisor"]["fleet"]["children"].clone();
        let all = children.as_array().cloned().unwrap_or_default();
        let child = all
            .iter()
            .find(|child| child["name"] == name.as_str() && child["state"] == "active");
        let pid = child.and_then(|child| child["pid"].as_i64());
        pid.and_then(|pid| i32::try_from(pid).ok())
            .ok_or_else(|| found["supervisor"].to_string())
    })
    .await
}

#[tokio::test]
async fn two_profiles_are_installed_side_by_side_and_removed_without_a_trace() {
    let home = Home::new();
    let rescue = home.profile("rescue");
    rescue.configure(&json!({}));
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    for (home, unit) in [(&home, MAIN), (&rescue, RESCUE)] {
        let report = done(
            &manager
                .openclaw(home, &["gateway", "install", "--json"])
                .await,
        );
        assert_eq!(
            (&report["result"], &report["service"]["loaded"]),
            (&json!("installed"), &json!(true)),
            "{report}"
        );
        // Installed means that it serves: nothing is waited for.
        Client::try_connect(home.port(), connect_params(TOKEN))
            .await
            .unwrap();
        assert_eq!(manager.property(unit, "ActiveState").await, "active");
        assert_eq!(manager.property(unit, "UnitFileState").await, "enabled");
        let text = fs::read_to_string(unit_path(home, unit)).unwrap();
        assert!(
            !text.contains(TOKEN) && !text.contains(&home.port().to_string()),
            "{text}"
        );
    }

    // Installing again is nothing to either.
    let pid = manager.main_pid(MAIN).await;
    let report = done(
        &manager
            .openclaw(&home, &["gateway", "install", "--json"])
            .await,
    );
    assert_eq!(report["result"], "already-installed", "{report}");
    assert_eq!(
        report["hints"],
        json!(["Reinstall with: openclaw gateway install --force"])
    );
    assert_eq!(manager.main_pid(MAIN).await, pid);

    let status = manager
        .openclaw(&rescue, &["gateway", "status", "--json", "--require-rpc"])
        .await;
    let status = done(&status);
    let service = &status["service"];
    assert_eq!(
        service["runtime"]["pid"], status["supervisor"]["pid"],
        "{status}"
    );
    assert_eq!(
        service["command"]["environment"]["OPENCLAW_PROFILE"], "rescue",
        "{service}"
    );
    assert_eq!(
        service["command"]["programArguments"][1], "gateway",
        "{service}"
    );

    // A restart replaces the processes; the service does not notice.
    done(
        &manager
            .openclaw(&home, &["gateway", "restart", "--json"])
            .await,
    );
    assert_eq!(manager.main_pid(MAIN).await, pid);

    // The end of one is nothing to the other.
    let rescue_pid = manager.main_pid(RESCUE).await;
    let report = done(
        &manager
            .openclaw(&home, &["gateway", "uninstall", "--json"])
            .await,
    );
    assert_eq!(report["result"], "uninstalled", "{report}");
    assert!(
        Client::try_connect(home.port(), connect_params(TOKEN))
            .await
            .is_err()
    );
    assert_eq!(manager.property(MAIN, "LoadState").await, "not-found");
    assert_eq!(manager.main_pid(RESCUE).await, rescue_pid);
    serves(&rescue).await;
    done(
        &manager
            .openclaw(&rescue, &["gateway", "uninstall", "--json"])
            .await,
    );
    let folder = home.path().join(".config/systemd/user");
    let left: Vec<PathBuf> = walk(&folder);
    assert!(left.is_empty(), "left behind: {left:?}");
    let report = done(
        &manager
            .openclaw(&rescue, &["gateway", "uninstall", "--json"])
            .await,
    );
    assert_eq!(report["result"], "not-installed", "{report}");
}

/// Every file and link below a folder.
fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(walk(&path)),
            false => found.push(path),
        }
    }
    found
}

#[tokio::test]
async fn whatever_is_killed_comes_back() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    drop_in(&home, MAIN, "[Service]\nRestartSec=100ms\n");
    done(
        &manager
            .openclaw(&home, &["gateway", "install", "--json"])
            .await,
    );
    let supervisor = manager.main_pid(MAIN).await;
    for child in ChildName::ALL {
        let pid = child_pid(&manager, &home, child).await;
        manager.signal(pid, Signal::SIGKILL);
        eventually("a later life serves", async || {
            let later = child_pid(&manager, &home, child).await;
            if later == pid {
                Err("the same".to_owned())
            } else {
                Ok(())
            }
        })
        .await;
        // That is the supervisor's business; the service manager is not asked.
        assert_eq!(manager.main_pid(MAIN).await, supervisor);
        assert_eq!(manager.property(MAIN, "NRestarts").await, "0");
    }
    manager.signal(supervisor, Signal::SIGKILL);
    let first = supervisor.to_string();
    manager
        .until(MAIN, "MainPID", |pid| pid != "0" && pid != first)
        .await;
    manager
        .until(MAIN, "ActiveState", |state| state == "active")
        .await;
    assert_eq!(manager.property(MAIN, "NRestarts").await, "1");
    serves(&home).await;
    // Nothing of the life before is left in the service.
    assert_eq!(manager.outside(supervisor), None);
}

#[tokio::test]
async fn a_supervisor_that_hangs_is_ended_and_started_again() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    drop_in(&home, MAIN, "[Service]\nRestartSec=100ms\nWatchdogSec=5s\n");
    done(
        &manager
            .openclaw(&home, &["gateway", "install", "--json"])
            .await,
    );
    let hung = manager.main_pid(MAIN).await;
    manager.signal(hung, Signal::SIGSTOP);
    let first = hung.to_string();
    manager
        .until(MAIN, "MainPID", |pid| pid != "0" && pid != first)
        .await;
    manager
        .until(MAIN, "ActiveState", |state| state == "active")
        .await;
    serves(&home).await;
    assert_eq!(manager.outside(hung), None, "the one that hung is gone");
}

#[tokio::test]
async fn a_misconfiguration_is_not_tried_for_ever() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    drop_in(&home, MAIN, "[Service]\nRestartSec=100ms\n");
    done(
        &manager
            .openclaw(&home, &["gateway", "install", "--json"])
            .await,
    );
    done(
        &manager
            .openclaw(&home, &["gateway", "stop", "--json"])
            .await,
    );
    // Without anything to fall back to.
    for entry in fs::read_dir(home.state_dir()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("last-good") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    home.write_config("{ gateway: { port: ");
    let said = manager.openclaw(&home, &["gateway", "start"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err
            .contains("journalctl --user -u openclaw-gateway.service"),
        "{said:?}"
    );
    manager
        .until(MAIN, "ActiveState", |state| state == "failed")
        .await;
    assert_eq!(manager.property(MAIN, "ExecMainStatus").await, "78");
    assert_eq!(manager.property(MAIN, "NRestarts").await, "0");

    // It is told, and once it is mended a start is all that is needed.
    let status = manager
        .openclaw(&home, &["gateway", "status", "--json"])
        .await
        .json();
    assert_eq!(
        status["service"]["runtime"]["lastExitStatus"], 78,
        "{status}"
    );
    home.configure(&json!({}));
    done(
        &manager
            .openclaw(&home, &["gateway", "start", "--json"])
            .await,
    );
    serves(&home).await;
}

#[tokio::test]
async fn what_is_stopped_stays_so_and_what_is_started_serves() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    let said = manager.openclaw(&home, &["gateway", "start"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("Install it: openclaw gateway install"),
        "{said:?}"
    );

    drop_in(&home, MAIN, "[Service]\nRestartSec=100ms\n");
    done(
        &manager
            .openclaw(&home, &["gateway", "install", "--json"])
            .await,
    );
    let pid = manager.main_pid(MAIN).await;
    let report = done(
        &manager
            .openclaw(&home, &["gateway", "start", "--json"])
            .await,
    );
    assert_eq!(report["result"], "already-running", "{report}");
    assert_eq!(manager.main_pid(MAIN).await, pid);

    let report = done(
        &manager
            .openclaw(&home, &["gateway", "stop", "--json"])
            .await,
    );
    assert_eq!(
        (&report["result"], &report["service"]["loaded"]),
        (&json!("stopped"), &json!(true)),
        "{report}"
    );
    // `Restart=always` is for what ends by itself.
    assert_eq!(manager.property(MAIN, "ActiveState").await, "inactive");
    assert_eq!(manager.property(MAIN, "Result").await, "success");
    let report = done(
        &manager
            .openclaw(&home, &["gateway", "stop", "--json"])
            .await,
    );
    assert_eq!(report["result"], "not-running", "{report}");

    let report = done(
        &manager
            .openclaw(&home, &["gateway", "start", "--json"])
            .await,
    );
    assert_eq!(report["result"], "started", "{report}");
    Client::try_connect(home.port(), connect_params(TOKEN))
        .await
        .unwrap();
    // Somebody's TERM is no stop: it comes back.
    let pid = manager.main_pid(MAIN).await;
    manager.signal(pid, Signal::SIGTERM);
    let first = pid.to_string();
    manager
        .until(MAIN, "MainPID", |pid| pid != "0" && pid != first)
        .await;
    serves(&home).await;
}

#[tokio::test]
async fn force_writes_the_service_anew_and_what_is_asked_for_goes_into_the_configuration() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    // The Node implementation's unit has the same name.
    let path = unit_path(&home, MAIN);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(
        &path,
        "[Service]\nExecStart=/bin/sleep 100000\n[Install]\nWantedBy=default.target\n",
    )
    .unwrap();
    manager.systemctl(&["daemon-reload"]).await;
    manager.systemctl(&["enable", "--now", MAIN]).await;
    let report = done(
        &manager
            .openclaw(&home, &["gateway", "install", "--json"])
            .await,
    );
    assert_eq!(report["result"], "already-installed", "{report}");
    assert_eq!(
        report["warnings"],
        json!(["It starts another program: /bin/sleep"]),
        "{report}"
    );

    // The block of ports is this test's for as long as its profile is there.
    let other = home.profile("other");
    let port = other.port().to_string();
    let asked = [
        "gateway",
        "install",
        "--force",
        "--port",
        &port,
        "--token",
        "another-token-51",
        "--json",
    ];
    let report = done(&manager.openclaw(&home, &asked).await);
    assert_eq!(report["result"], "installed", "{report}");
    Client::try_connect(other.port(), connect_params("another-token-51"))
        .await
        .unwrap();
    let config = home.config_text();
    assert!(
        config.contains(&port) && config.contains("another-token-51"),
        "{config}"
    );
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        !text.contains("another-token-51") && !text.contains(&port),
        "{text}"
    );
    assert!(!text.contains("/bin/sleep"), "{text}");

    // Once more, from before the verb and on a service that runs.
    let pid = manager.main_pid(MAIN).await;
    done(
        &manager
            .openclaw(&home, &["gateway", "--force", "install", "--json"])
            .await,
    );
    assert_ne!(manager.main_pid(MAIN).await, pid, "it was not restarted");
}

#[tokio::test]
async fn no_character_in_a_path_means_anything_to_the_service_manager() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    let programs = home.path().join("o dd 100%h $HOME ${X}");
    fs::create_dir(&programs).unwrap();
    let program = programs.join("openclaw");
    let built = home.programs().join("openclaw");
    if fs::hard_link(&built, &program).is_err() {
        fs::copy(&built, &program).unwrap();
    }
    for child in ChildName::ALL {
        let name = format!("openclaw-{child}");
        std::os::unix::fs::symlink(home.programs().join(&name), programs.join(&name)).unwrap();
    }
    let state = home.path().join("st \"a\" 'te' 5%n $Y \\t");
    fs::create_dir(&state).unwrap();
    fs::copy(home.config_path(), state.join("openclaw.json")).unwrap();
    let variables = [("OPENCLAW_STATE_DIR", state.to_str().unwrap())];
    let install = ["gateway", "install", "--json"];
    done(&manager.run_with(&program, &install, &variables).await);
    serves(&home).await;
    let pid = manager.outside(manager.main_pid(MAIN).await).unwrap();
    assert_eq!(process::arguments(pid)[0], program.to_str().unwrap());
    assert_eq!(
        process::environment(pid)["OPENCLAW_STATE_DIR"],
        state.to_str().unwrap()
    );
    let status = ["gateway", "status", "--json"];
    let status = manager.run_with(&program, &status, &variables).await.json();
    let command = &status["service"]["command"];
    assert_eq!(
        command["programArguments"][0],
        program.to_str().unwrap(),
        "{status}"
    );
    assert_eq!(
        command["environment"]["OPENCLAW_STATE_DIR"],
        state.to_str().unwrap(),
        "{status}"
    );
}
