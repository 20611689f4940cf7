//! What is private is unreadable to others from the moment it exists, and secrets are nowhere they need not be.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use openclaw_shared::control::ChildName;
use openclaw_tests::client::{attempt, connect_params, request};
use openclaw_tests::home::Home;
use openclaw_tests::http;
use openclaw_tests::process;
use serde_json::json;

#[tokio::test]
async fn rule_101_nothing_in_the_state_folder_is_open_to_others() {
    let home = Home::empty();
    assert_eq!(home.run(&["setup"]).await.code, 0);
    assert_eq!(
        home.run(&["config", "set", "gateway.port", &home.port().to_string()])
            .await
            .code,
        0
    );
    // Every instance of these tests runs under umask 0.
    let instance = home.launch().ready().await;
    assert_eq!(
        home.run(&["config", "set", "env.vars.A", "one"]).await.code,
        0
    );
    instance.restart(None).await.unwrap();
    assert_eq!(
        http::get(home.port(), "/__openclaw__/canvas/").await.status,
        200
    );
    let seen = check_private(&home.state_dir());
    for file in [
        "gateway-token",
        "last-good.json",
        "openclaw.json",
        "openclaw.json.bak",
        "instance.lock",
        "supervisor.sock",
    ] {
        assert!(
            seen.iter().any(|path| path.ends_with(file)),
            "{file} is missing: {seen:?}"
        );
    }
    assert!(seen.iter().any(|path| path.ends_with(".log")), "{seen:?}");
}

/// Every path below a folder, after a look at its mode.
fn check_private(folder: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let Ok(metadata) = path.symlink_metadata() else {
                continue;
            };
            if metadata.is_symlink() {
                continue;
            }
            let mode = metadata.permissions().mode();
            assert_eq!(
                mode & 0o077,
                0,
                "{} is open to others ({mode:o})",
                path.display()
            );
            assert_eq!(metadata.uid(), nix::unistd::geteuid().as_raw());
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            seen.push(path.display().to_string());
        }
        let mode = folder.metadata().unwrap().permissions().mode();
        assert_eq!(
            mode & 0o077,
            0,
            "{} is open to others ({mode:o})",
            folder.display()
        );
    }
    seen
}

#[tokio::test]
async fn a_state_folder_that_was_open_is_closed() {
    let home = Home::new();
    fs::set_permissions(home.state_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    home.launch().ready().await;
    assert_eq!(
        home.state_dir().metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[tokio::test]
async fn rules_100_102_secrets_are_in_no_arguments_no_environment_and_no_log() {
    let home = Home::new();
    let token = "SECRETCANARY-token-from-the-environment";
    let mut config = home.config_with(&json!({ "logging": { "level": "trace" } }));
    config["gateway"].as_object_mut().unwrap().remove("auth");
    home.write_config(&config.to_string());
    let instance = home
        .launch()
        .arguments(&["--verbose", "--ws-log", "full", "--auth", "token"])
        .variable("OPENCLAW_GATEWAY_TOKEN", token)
        .variable("OPENCLAW_GATEWAY_PASSWORD", "SECRETCANARY-password")
        .ready()
        .await;
    let port = home.port();

    // A right one and wrong ones, wherever a client may put them.
    let right = request("c", "connect", connect_params(token)).to_string();
    assert!(attempt(port, &right).await.end.is_none());
    let mut wrong = connect_params("SECRETCANARY-wrong");
    wrong["auth"]["password"] = json!("SECRETCANARY-wrong-too");
    let refused = attempt(port, &request("c", "connect", wrong).to_string()).await;
    assert!(
        !format!("{refused:?}").contains("SECRETCANARY"),
        "{refused:?}"
    );
    let host = format!("127.0.0.1:{port}");
    for path in [
        "/?token=SECRETCANARY-url",
        "/tools/invoke?token=SECRETCANARY-url",
    ] {
        let headers = [
            ("Host", host.as_str()),
            ("Authorization", "Bearer SECRETCANARY-header"),
            ("Cookie", "token=SECRETCANARY-cookie"),
        ];
        let answer = http::get_with(port, path, &headers).await;
        assert!(!answer.text().contains("SECRETCANARY"), "{answer:?}");
    }
    let browser = home.browser_port();
    let host = format!("127.0.0.1:{browser}");
    let headers = [
        ("Host", host.as_str()),
        ("Authorization", "Bearer SECRETCANARY-header"),
    ];
    assert_eq!(http::get_with(browser, "/", &headers).await.status, 401);
    instance.restart(None).await.unwrap();

    let mut pids: Vec<i32> = Vec::new();
    for child in ChildName::ALL {
        pids.push(instance.pid_of(child).await);
    }
    for pid in pids {
        let arguments = process::arguments(pid).join(" ");
        let variables = format!("{:?}", process::environment(pid));
        assert!(!arguments.contains("SECRETCANARY"), "{arguments}");
        assert!(!variables.contains("SECRETCANARY"), "{variables}");
    }
    let log = home.log().text();
    assert!(log.contains("client connected"), "the log is really read");
    let line = log.lines().find(|line| line.contains("SECRETCANARY"));
    assert_eq!(line, None, "a secret is in the log");
    let line = instance
        .console()
        .lines()
        .find(|line| line.contains("SECRETCANARY"))
        .map(str::to_owned);
    assert_eq!(line, None, "a secret is on the console");
    let kept = fs::read_to_string(home.state_dir().join("last-good.json")).unwrap();
    assert!(
        !kept.contains("SECRETCANARY"),
        "the last good configuration keeps no resolved secrets"
    );
}

#[tokio::test]
async fn a_secret_that_the_configuration_takes_from_the_environment_stays_there() {
    let home = Home::new();
    let text = home
        .config_text()
        .replace(openclaw_tests::home::TOKEN, "${MY_TOKEN}");
    home.write_config(&text);
    let instance = home
        .launch()
        .variable("MY_TOKEN", "SECRETCANARY-mine")
        .ready()
        .await;
    let said = home
        .run_with(
            &["config", "set", "ui.seamColor", "#123456"],
            &[("MY_TOKEN", "SECRETCANARY-mine")],
        )
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        home.config_text().contains("${MY_TOKEN}"),
        "the reference is kept"
    );
    let kept = fs::read_to_string(home.state_dir().join("last-good.json")).unwrap();
    assert!(
        kept.contains("${MY_TOKEN}") && !kept.contains("SECRETCANARY"),
        "{kept}"
    );
    drop(instance);
}

#[tokio::test]
async fn rule_99_what_clients_say_of_themselves_is_one_line_of_the_log() {
    let instance = Home::new().launch().ready().await;
    let mut params = connect_params(openclaw_tests::home::TOKEN);
    params["client"]["version"] = json!("1\n{\"forged\":true}\n\u{1b}[31mred");
    params["client"]["displayName"] = json!("x".repeat(3000));
    let hello = attempt(
        instance.home().port(),
        &request("c", "connect", params).to_string(),
    )
    .await;
    assert!(hello.end.is_none(), "{hello:?}");
    let record = instance.home().log().said("client connected").await;
    assert!(
        record["1"]["version"].as_str().unwrap().contains("forged"),
        "{record}"
    );
    // Each line is a record, none is the client's own, and none is long.
    for record in instance.home().log().records() {
        assert!(record.get("forged").is_none(), "{record}");
        assert!(record.to_string().len() < 4096, "{record}");
    }
    assert!(!instance.home().log().text().contains('\u{1b}'));
    assert!(!instance.console().contains("\u{1b}[31mred"));
}
