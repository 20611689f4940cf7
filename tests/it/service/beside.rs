//! What stands beside a service: instances started by hand, services of earlier names, users who may not linger, no service manager.

use std::fs;

use openclaw_tests::client::{Client, connect_params};
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::systemd::SystemdUser;
use serde_json::json;

use super::{MAIN, done, drop_in, serves, unit_path};

#[tokio::test]
async fn an_instance_that_was_started_by_hand_is_left_alone() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    let program = home.programs().join("openclaw");
    let mut by_hand = manager.command(&program, &["gateway"]).spawn().unwrap();
    serves(&home).await;
    let report = done(
        &manager
            .openclaw(&home, &["gateway", "install", "--json"])
            .await,
    );
    assert_eq!(report["result"], "installed", "{report}");
    let warning = report["warnings"].to_string();
    assert!(warning.contains("started by hand"), "{report}");
    assert!(by_hand.try_wait().unwrap().is_none(), "it was ended");
    assert_eq!(manager.property(MAIN, "ActiveState").await, "inactive");
    assert_eq!(manager.property(MAIN, "UnitFileState").await, "enabled");
    let report = done(
        &manager
            .openclaw(&home, &["gateway", "install", "--json"])
            .await,
    );
    assert_eq!(report["result"], "already-installed", "{report}");

    // As the hint says.
    done(
        &manager
            .openclaw(&home, &["gateway", "stop", "--json"])
            .await,
    );
    assert!(by_hand.wait().unwrap().success());
    done(
        &manager
            .openclaw(&home, &["gateway", "start", "--json"])
            .await,
    );
    serves(&home).await;
    manager.main_pid(MAIN).await;
}

#[tokio::test]
async fn services_of_earlier_names_go_and_it_is_said() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    let legacy = "clawdbot-gateway.service";
    let path = unit_path(&home, legacy);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(
        &path,
        "[Service]\nExecStart=/bin/sleep 100000\n[Install]\nWantedBy=default.target\n",
    )
    .unwrap();
    manager.systemctl(&["daemon-reload"]).await;
    manager.systemctl(&["enable", "--now", legacy]).await;
    assert_eq!(manager.property(legacy, "ActiveState").await, "active");
    let said = manager.openclaw(&home, &["gateway", "install"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out.contains("Removed the service of an earlier name") && said.out.contains(legacy),
        "{said:?}"
    );
    assert!(
        said.out
            .contains("Installed systemd service: ~/.config/systemd/user/openclaw-gateway.service"),
        "{said:?}"
    );
    assert_eq!(manager.property(legacy, "LoadState").await, "not-found");
    assert!(!path.exists());
}

#[tokio::test]
async fn who_may_not_linger_is_told_the_exact_command() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    let report = done(
        &manager
            .openclaw(&home, &["gateway", "install", "--json"])
            .await,
    );
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("Run: loginctl enable-linger root"),
        "{report}"
    );
    manager.linger("root", true).await;
    let report = done(
        &manager
            .openclaw(&home, &["gateway", "install", "--force", "--json"])
            .await,
    );
    assert_eq!(report["warnings"], json!([]), "{report}");
}

#[tokio::test]
async fn what_only_this_shell_knows_is_written_down() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    let mut config = home.config_with(&json!({}));
    let gateway = config["gateway"].as_object_mut().unwrap();
    for key in ["mode", "port", "auth"] {
        gateway.remove(key);
    }
    home.write_config(&format!("// kept\n{config:#}\n"));
    let port = home.port().to_string();
    let variables = [
        ("OPENCLAW_GATEWAY_TOKEN", TOKEN),
        ("OPENCLAW_GATEWAY_PORT", &*port),
    ];
    let program = home.programs().join("openclaw");
    let said = manager
        .run_with(&program, &["gateway", "install", "--json"], &variables)
        .await;
    let report = done(&said);
    assert!(
        report["notes"]
            .to_string()
            .contains("does not see this shell"),
        "{report}"
    );
    assert!(!said.out.contains(TOKEN), "{said:?}");
    Client::try_connect(home.port(), connect_params(TOKEN))
        .await
        .unwrap();
    let text = home.config_text();
    assert!(
        text.starts_with("// kept") && text.contains(TOKEN) && text.contains(&port),
        "{text}"
    );
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(home.config_path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[tokio::test]
async fn without_a_service_manager_it_is_said_what_to_do_instead() {
    let home = Home::new();
    for verb in ["install", "uninstall"] {
        // Outside of any session, as in a container.
        let said = home.run(&["gateway", verb]).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(
            said.err.starts_with("Gateway service check failed: "),
            "{said:?}"
        );
        assert!(said.err.contains("in the foreground"), "{said:?}");
        let said = home.run(&["gateway", verb, "--json"]).await;
        let document = said.json();
        assert_eq!(
            (&document["ok"], &document["kind"]),
            (&json!(false), &json!("unsupported")),
            "{document}"
        );
        let said = home
            .run_with(&["gateway", verb], &[("OPENCLAW_NIX_MODE", "1")])
            .await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.starts_with("Nix mode detected"), "{said:?}");
    }
    assert!(!home.path().join(".config").exists(), "nothing was written");
}

#[tokio::test]
async fn a_profile_on_anothers_ports_gets_the_next_free_ones() {
    let main = Home::empty();
    main.write_config("{ gateway: { mode: 'local' } }");
    let rescue = main.profile("rescue");
    rescue.write_config("// kept\n{ gateway: { mode: 'local' } }\n");
    let settled = done(
        &rescue
            .run(&["gateway", "install", "--only-settle", "--json"])
            .await,
    );
    let told = settled["told"].to_string();
    assert!(
        told.contains("Port 18789 belongs to the profile default; this one uses "),
        "{settled}"
    );
    let text = rescue.config_text();
    assert!(text.starts_with("// kept"), "{text}");
    let port: u16 = text
        .rsplit_once("port")
        .unwrap()
        .1
        .chars()
        .filter(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .unwrap();
    assert!(
        port > 18_789 && (port - 18_789).is_multiple_of(1_000),
        "{text}"
    );
    // It is written down, and nothing is left to say.
    let settled = done(
        &rescue
            .run(&["gateway", "install", "--only-settle", "--json"])
            .await,
    );
    assert_eq!(settled, json!({ "told": [], "warnings": [] }));

    // A port that somebody chose is left as it is, and the collision is said.
    let port = port.to_string();
    let settled = done(
        &main
            .run(&[
                "gateway",
                "install",
                "--only-settle",
                "--port",
                &port,
                "--json",
            ])
            .await,
    );
    assert!(
        settled["warnings"]
            .to_string()
            .contains("belongs to the profile rescue too"),
        "{settled}"
    );
}

#[tokio::test]
async fn rule_128_a_service_comes_back_after_a_reboot_and_after_failures_unless_its_owner_has_stopped_it()
 {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    drop_in(&home, MAIN, "[Unit]\nStartLimitBurst=2\n");
    done(
        &manager
            .openclaw(&home, &["gateway", "install", "--json"])
            .await,
    );

    // The end of the manager is what the end of the last session is, and a reboot.
    drop(manager);
    let manager = SystemdUser::start(&home).await.unwrap();
    serves(&home).await;

    // Failures use up what the unit allows; a start by a person counts anew.
    done(
        &manager
            .openclaw(&home, &["gateway", "stop", "--json"])
            .await,
    );
    let good = home.config_text();
    for entry in fs::read_dir(home.state_dir()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("last-good") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    home.write_config("{ gateway: ");
    for _ in 0..3 {
        assert_ne!(manager.systemctl(&["start", MAIN]).await.code, 0);
    }
    home.write_config(&good);
    assert_ne!(manager.systemctl(&["start", MAIN]).await.code, 0);
    done(
        &manager
            .openclaw(&home, &["gateway", "start", "--json"])
            .await,
    );
    serves(&home).await;

    // What its owner has stopped and disabled stays so.
    done(
        &manager
            .openclaw(&home, &["gateway", "stop", "--json"])
            .await,
    );
    manager.systemctl(&["disable", MAIN]).await;
    drop(manager);
    let manager = SystemdUser::start(&home).await.unwrap();
    assert_eq!(manager.property(MAIN, "ActiveState").await, "inactive");
    assert!(
        Client::try_connect(home.port(), connect_params(TOKEN))
            .await
            .is_err()
    );
}
