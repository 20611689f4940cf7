//! A second instance watches the first, as a rescue bot does, and helps it by command. Nothing else is shared between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use openclaw_shared::control::{ChildName, ChildState, ConfigState};
use openclaw_shared::recovery::{WatchedState, WatchedStatus};
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::{Stub, freeze, kill, misbehave, thaw};
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::instance::{Instance, pid};
use openclaw_tests::process::{self, Signal};
use openclaw_tests::systemd::SystemdUser;
use serde_json::{Value, json};

const RESCUE_TOKEN: &str = "rescue-token-8d11";

/// A main instance, and beside it a rescue bot that watches it.
fn homes() -> (Home, Home) {
    let main = Home::new();
    let rescue = rescue_of(&main);
    (main, rescue)
}

fn rescue_of(main: &Home) -> Home {
    let rescue = main.profile("rescue");
    rescue.configure(&json!({ "gateway": {
        "auth": { "token": RESCUE_TOKEN },
        "watch": { "profile": "default", "intervalMs": 100 },
    } }));
    rescue
}

async fn sees(rescue: &Instance, state: WatchedState) -> WatchedStatus {
    let what = format!("the watched instance is seen {state}");
    let status = rescue
        .until(&what, |status| {
            let watch = status.fleet.watch.as_ref();
            watch.is_some_and(|watch| watch.state == state)
        })
        .await;
    status.fleet.watch.unwrap()
}

/// A client of the rescue bot, which has a secret of its own.
async fn rescue_client(rescue: &Instance) -> openclaw_tests::client::Client {
    let target = openclaw_tests::client::Target {
        port: rescue.home().port(),
        token: RESCUE_TOKEN.to_owned(),
    };
    openclaw_tests::client::Client::connect(&target).await
}

async fn rescue_health(rescue: &Instance, pointer: &str, value: &Value) {
    eventually(
        &format!("the rescue bot's health shows {value}"),
        async || {
            let mut client = rescue_client(rescue).await;
            let health = client.call("health", json!({})).await.unwrap();
            match health.pointer(pointer) == Some(value) {
                true => Ok(()),
                false => Err(health["supervisor"].to_string()),
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_fall_and_a_return_are_seen_logged_and_told() {
    let (main, rescue) = homes();
    let (mut first, second) = tokio::join!(main.launch().ready(), rescue.launch().ready());
    sees(&second, WatchedState::Up).await;
    let mut client = rescue_client(&second).await;

    first.signal(Signal::SIGKILL);
    first.exit_code().await;
    let seen = sees(&second, WatchedState::Down).await;
    assert_eq!((seen.profile.as_str(), seen.falls), ("default", 1));
    assert!(seen.reason.is_some(), "{seen:?}");
    rescue_health(&second, "/supervisor/watch/state", &json!("down")).await;
    let record = rescue.log().said("the watched instance is down").await;
    assert_eq!(record["1"]["profile"], "default");
    // Whoever is connected hears of it, and the main session is left a note.
    let is_told = |health: &Value| health["payload"]["supervisor"]["watch"]["state"] == "down";
    while !is_told(&client.event("health").await) {}
    noted(&second, "The watched gateway \"default\" is down").await;
    let said = rescue.run(&["gateway", "status"]).await;
    assert!(said.out.contains("default is down since "), "{said:?}");
    let said = rescue.run(&["gateway", "rescue", "status"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("Supervisor: not running"), "{said:?}");

    let again = main.launch().ready().await;
    sees(&second, WatchedState::Up).await;
    rescue.log().said("the watched instance is up again").await;
    noted(&second, "The watched gateway \"default\" is up again.").await;
    let said = rescue.run(&["--json", "gateway", "rescue", "status"]).await;
    assert_eq!((said.code, &said.json()["ready"]), (0, &json!(true)));
    drop(again);
}

async fn noted(rescue: &Instance, text: &str) {
    eventually(&format!("a note says {text:?}"), async || {
        let mut client = rescue_client(rescue).await;
        let status = client.call("status", json!({})).await.unwrap();
        let notes = status["queuedSystemEvents"].to_string();
        match notes.contains(&text.replace('"', "\\\"")) {
            true => Ok(()),
            false => Err(notes),
        }
    })
    .await;
}

#[tokio::test]
async fn a_supervisor_that_hangs_and_a_gateway_that_hangs_are_told_apart() {
    let (main, rescue) = homes();
    let (first, second) = tokio::join!(main.launch().ready(), rescue.launch().ready());
    sees(&second, WatchedState::Up).await;
    // The gateway alone: its supervisor still answers. It would end a child that hangs, so it is told to be patient.
    main.configure(&json!({ "supervisor": { "heartbeatMs": 600_000 } }));
    first.restart(Some(ChildName::Gateway)).await.unwrap();
    let gateway = first.pid_of(ChildName::Gateway).await;
    freeze(gateway).await;
    let seen = sees(&second, WatchedState::Unwell).await;
    assert!(seen.reason.unwrap().contains("/readyz"));
    thaw(gateway);
    sees(&second, WatchedState::Up).await;

    freeze(first.pid()).await;
    let seen = sees(&second, WatchedState::Down).await;
    assert!(seen.reason.unwrap().contains("did not answer"));
    let said = rescue.run(&["gateway", "rescue", "restart"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    let hint = format!("kill -9 {}", first.pid());
    assert!(said.err.contains(&hint), "{said:?}");
    thaw(first.pid());
    sees(&second, WatchedState::Up).await;
}

#[tokio::test]
async fn the_watch_is_set_and_ended_by_command_while_it_runs() {
    let main = Home::new();
    let rescue = main.profile("rescue");
    rescue.configure(&json!({ "gateway": { "watch": { "intervalMs": 100 } } }));
    let (_first, second) = tokio::join!(main.launch().ready(), rescue.launch().ready());
    let before = second.status().await;
    assert_eq!(before.fleet.watch, None);
    let said = rescue.run(&["gateway", "rescue", "status"]).await;
    assert!(said.err.contains("No instance is watched"), "{said:?}");
    let said = rescue
        .run(&["gateway", "rescue", "--of", "default", "status"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");

    let said = rescue.run(&["gateway", "watch", "default"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    sees(&second, WatchedState::Up).await;
    let said = rescue.run(&["gateway", "watch"]).await;
    assert!(
        said.out.starts_with("Watch: default is up since "),
        "{said:?}"
    );
    for own in ["rescue", "no/name"] {
        let said = rescue.run(&["gateway", "watch", own]).await;
        assert_eq!(said.code, 1, "{said:?}");
    }

    let said = rescue.run(&["gateway", "watch", "off"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let after = second
        .until("nobody is watched", |status| status.fleet.watch.is_none())
        .await;
    let pids = |status: &openclaw_shared::control::InstanceStatus| -> Vec<_> {
        let children = &status.fleet.children;
        children.iter().map(|child| child.pid).collect()
    };
    assert_eq!(
        pids(&after),
        pids(&before),
        "no process was replaced for it"
    );
}

#[tokio::test]
async fn the_other_one_is_restarted_and_its_log_read() {
    let (main, rescue) = homes();
    let first = main.launch().ready().await;
    let before = first.child(ChildName::Gateway).await;
    let said = rescue.run(&["gateway", "rescue", "restart"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let after = first.child(ChildName::Gateway).await;
    assert!(after.generation > before.generation, "{after:?}");
    let said = rescue.run(&["gateway", "rescue", "logs"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let port = format!("listening on ws://127.0.0.1:{}", main.port());
    assert!(said.out.contains(&port), "{said:?}");
    let lines = rescue.run(&["--json", "gateway", "rescue", "logs", "--limit", "3"]);
    assert_eq!(lines.await.out.lines().count(), 3);
    drop(first);
    // The log of one that is dead is when it matters most.
    let said = rescue.run(&["gateway", "rescue", "logs"]).await;
    assert!(said.out.contains(&port), "{said:?}");
    let said = rescue.run(&["gateway", "rescue", "restart"]).await;
    assert!(said.err.contains("not running"), "{said:?}");
}

#[tokio::test]
async fn a_configuration_is_rolled_back_while_the_other_one_runs() {
    let (main, rescue) = homes();
    let first = main.launch().ready().await;
    let good = main.config_text();
    let said = rescue.run(&["gateway", "rescue", "rollback"]).await;
    assert!(said.out.contains("nothing to roll back"), "{said:?}");

    let broken = "{ gateway: { port: \"no\" } }";
    main.write_config(broken);
    let is = |state| {
        move |status: &openclaw_shared::control::InstanceStatus| status.fleet.config.state == state
    };
    first
        .until("it is refused", is(ConfigState::Rejected))
        .await;
    let said = rescue.run(&["gateway", "rescue", "rollback"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(main.config_text(), good);
    let backup = format!("{}.bak", main.config_path().display());
    assert_eq!(std::fs::read_to_string(backup).unwrap(), broken);
    first.until("it counts", is(ConfigState::Ok)).await;

    // One that works and is not what the owner wants: back to what served before it.
    main.configure(&json!({ "logging": { "level": "debug" } }));
    first
        .until("the next one is in force", |status| {
            let text = std::fs::read_to_string(main.state_dir().join("last-good.json"));
            status.fleet.config.state == ConfigState::Ok && text.unwrap().contains("debug")
        })
        .await;
    let said = rescue
        .run(&["gateway", "rescue", "rollback", "--previous"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(main.config_text(), good);
    first.until("it counts again", is(ConfigState::Ok)).await;
}

#[tokio::test]
async fn a_configuration_is_rolled_back_while_the_other_one_is_dead() {
    let main = Home::new().with_own_programs();
    let rescue = rescue_of(&main);
    let mut first = main.launch().ready().await;
    let good = main.config_text();
    misbehave(&main, ChildName::Gateway, Stub::Exits);
    kill(first.pid_of(ChildName::Gateway).await).await;
    assert_eq!(first.exit_code().await, 70);
    let broken = "{ gateway: ";
    main.write_config(broken);
    let said = rescue.run(&["gateway", "rescue", "status"]).await;
    assert!(said.out.contains("exit code 70"), "{said:?}");
    let said = rescue.run(&["gateway", "rescue", "rollback"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("from the next start"), "{said:?}");
    assert_eq!(main.config_text(), good);
    let backup = format!("{}.bak", main.config_path().display());
    assert_eq!(std::fs::read_to_string(backup).unwrap(), broken);
    main.restore_program(ChildName::Gateway);
    let again = main.launch().ready().await;
    let status = again.status().await;
    assert_eq!(status.fleet.config.state, ConfigState::Ok);
}

#[tokio::test]
async fn under_a_service_manager_one_that_hangs_and_one_that_is_gone_are_restarted() {
    let main = Home::new();
    let rescue = main.profile("rescue");
    rescue.configure(&json!({ "gateway": { "watch": { "intervalMs": 100 } } }));
    let Some(manager) = SystemdUser::start(&main).await else {
        return;
    };
    // The service manager would find out by itself that it hangs; here that is left to the rescue bot.
    let unit = "openclaw-gateway.service";
    let folder = main
        .path()
        .join(".config/systemd/user")
        .join(format!("{unit}.d"));
    std::fs::create_dir_all(&folder).unwrap();
    let text = "[Service]\nWatchdogSec=0\nRestartSec=100ms\n";
    std::fs::write(folder.join("override.conf"), text).unwrap();
    let installed = manager.openclaw(&main, &["gateway", "install"]).await;
    assert_eq!(installed.code, 0, "{installed:?}");
    let watching = ["gateway", "install", "--watch", "default"];
    let installed = manager.openclaw(&rescue, &watching).await;
    assert_eq!(installed.code, 0, "{installed:?}");
    is_seen(&manager, &rescue, "up").await;

    let hung = manager.main_pid(unit).await;
    manager.signal(hung, Signal::SIGSTOP);
    is_seen(&manager, &rescue, "down").await;
    let said = manager
        .openclaw(&rescue, &["gateway", "rescue", "restart"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_ne!(manager.main_pid(unit).await, hung);
    is_seen(&manager, &rescue, "up").await;

    manager.systemctl(&["stop", unit]).await;
    is_seen(&manager, &rescue, "down").await;
    let said = manager
        .openclaw(&rescue, &["gateway", "rescue", "restart"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    is_seen(&manager, &rescue, "up").await;
}

#[tokio::test]
async fn a_profile_with_a_name_is_watched_from_the_installation_on() {
    let main = Home::new();
    let (work, rescue) = (main.profile("work"), main.profile("rescue"));
    work.configure(&json!({}));
    rescue.configure(&json!({ "gateway": { "watch": { "intervalMs": 100 } } }));
    let Some(manager) = SystemdUser::start(&main).await else {
        return;
    };
    let installed = manager.openclaw(&work, &["gateway", "install"]).await;
    assert_eq!(installed.code, 0, "{installed:?}");
    let watching = ["gateway", "install", "--watch", "work"];
    let installed = manager.openclaw(&rescue, &watching).await;
    assert_eq!(installed.code, 0, "{installed:?}");
    is_seen(&manager, &rescue, "up").await;
    let unit = "openclaw-gateway-work.service";
    manager.systemctl(&["stop", unit]).await;
    is_seen(&manager, &rescue, "down").await;
    let said = manager
        .openclaw(&rescue, &["gateway", "rescue", "restart"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(manager.property(unit, "ActiveState").await, "active");
    is_seen(&manager, &rescue, "up").await;
}

/// What the rescue bot under a service manager says of the one it watches.
async fn is_seen(manager: &SystemdUser, rescue: &Home, state: &str) {
    eventually(
        &format!("the watched instance is seen {state}"),
        async || {
            let said = manager
                .openclaw(rescue, &["--json", "gateway", "watch"])
                .await;
            let seen = said.json()["seen"]["state"].clone();
            match seen == state {
                true => Ok(()),
                false => Err(format!("{said:?}")),
            }
        },
    )
    .await;
}

// ---- nothing else is shared -------------------------------------------------------------------------------------------------

/// The files that the processes of an instance have open, apart from those of the system and the programs.
fn open_files(instance: &Instance, home: &Path) -> BTreeSet<PathBuf> {
    let of = |pid: i32| {
        let descriptors = procfs::process::Process::new(pid).and_then(|process| process.fd());
        descriptors.into_iter().flatten().flatten()
    };
    let processes = instance.processes();
    let open = processes.iter().flat_map(|process| of(process.pid));
    open.filter_map(|descriptor| {
        let procfs::process::FDTarget::Path(path) = descriptor.target else {
            return None;
        };
        Some(path)
    })
    .filter(|path| path.starts_with(home))
    .collect()
}

/// The sockets and pipes that a process holds.
fn channels_of(pid: i32) -> BTreeSet<String> {
    use procfs::process::FDTarget;
    let descriptors = procfs::process::Process::new(pid).and_then(|process| process.fd());
    let open = descriptors.into_iter().flatten().flatten();
    open.filter_map(|descriptor| {
        if let FDTarget::Socket(inode) = descriptor.target {
            return Some(format!("socket {inode}"));
        }
        let FDTarget::Pipe(inode) = descriptor.target else {
            return None;
        };
        Some(format!("pipe {inode}"))
    })
    .collect()
}

/// The sockets and pipes that the processes of an instance hold, apart from what this test has handed down to both.
fn open_channels(instance: &Instance) -> BTreeSet<String> {
    let own = i32::try_from(std::process::id()).map(channels_of).unwrap();
    let processes = instance.processes();
    let open = processes
        .iter()
        .flat_map(|process| channels_of(process.pid));
    open.filter(|channel| !own.contains(channel)).collect()
}

/// Every file below a folder, with what tells whether it was written.
fn written(folder: &Path) -> BTreeMap<PathBuf, (u64, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.path().symlink_metadata() else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            found.insert(entry.path(), (metadata.len(), metadata.modified().unwrap()));
        }
    }
    found
}

#[tokio::test]
async fn nothing_but_the_watch_is_shared() {
    let (main, rescue) = homes();
    let (mut first, mut second) = tokio::join!(main.launch().ready(), rescue.launch().ready());
    sees(&second, WatchedState::Up).await;
    let of_main = [main.state_dir(), main.path().join(".openclaw/workspace")];

    // Descriptors: no file, no socket and no pipe is held by both, and no file of the one is open in the other.
    let files = |instance: &Instance| open_files(instance, main.path());
    let consoles = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("console-"))
    };
    for path in files(&second).iter().filter(|path| !consoles(path)) {
        let of_rescue = [
            rescue.state_dir(),
            main.path().join(".openclaw/workspace-rescue"),
        ];
        assert!(
            of_rescue.iter().any(|folder| path.starts_with(folder)),
            "{} is open in the rescue bot",
            path.display()
        );
    }
    for path in files(&first) {
        assert!(!path.starts_with(rescue.state_dir()), "{}", path.display());
    }
    let both: Vec<String> = open_channels(&first)
        .intersection(&open_channels(&second))
        .cloned()
        .collect();
    assert_eq!(both, Vec::<String>::new(), "held by both");

    // Environment: no process of the one knows a place or a secret of the other.
    for (instance, other) in [(&first, &rescue), (&second, &main)] {
        let state = other.state_dir().display().to_string() + "/";
        for process in instance.processes() {
            for (name, value) in process::environment(process.pid) {
                let foreign = value.contains(&state) || [TOKEN, RESCUE_TOKEN].contains(&&*value);
                assert!(!foreign, "{name}={value} in {process:?}");
            }
        }
    }

    // Ports: none is the same.
    let ports = |home: &Home| [home.port(), home.canvas_port(), home.browser_port()];
    assert!(
        ports(&main)
            .iter()
            .all(|port| !ports(&rescue).contains(port))
    );

    // Everything of the one is killed: the other notices by its watch, and serves on with the processes it had.
    let lives = second.status().await.fleet.children;
    for process in first.processes() {
        process::send(process.pid, Signal::SIGKILL);
    }
    first.exit_code().await;
    eventually("everything of main is gone", async || {
        let left = first.processes();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await;
    // What the dead one has left is as it is from here on: a watch writes nothing.
    let left = of_main.each_ref().map(|folder| written(folder));
    sees(&second, WatchedState::Down).await;
    rescue_client(&second)
        .await
        .call("status", json!({}))
        .await
        .unwrap();
    let same = second.status().await.fleet.children;
    let pids = |children: &[openclaw_shared::control::ChildStatus]| -> Vec<_> {
        children.iter().map(pid).collect()
    };
    assert_eq!(pids(&same), pids(&lives));
    assert!(
        same.iter()
            .all(|child| child.state == ChildState::Active && child.restarts == 0)
    );
    assert_eq!(
        of_main.each_ref().map(|folder| written(folder)),
        left,
        "the watch writes nothing"
    );

    // And the other way round: the one that is watched does not even notice.
    let again = main.launch().ready().await;
    sees(&second, WatchedState::Up).await;
    let lives = again.status().await;
    for process in second.processes() {
        process::send(process.pid, Signal::SIGKILL);
    }
    second.exit_code().await;
    again
        .client()
        .await
        .call("status", json!({}))
        .await
        .unwrap();
    let same = again.status().await;
    assert_eq!(pids(&same.fleet.children), pids(&lives.fleet.children));
    assert_eq!(same.fleet.recovery.rung, lives.fleet.recovery.rung);
    assert_eq!(same.fleet.watch, None);
    let log = main.log().text();
    assert!(!log.contains(RESCUE_TOKEN) && !log.contains("-rescue/"));
}
