//! Two profiles side by side share nothing.

use std::fs;

use openclaw_shared::ports::INSTANCE_STEP;
use openclaw_tests::client::{Client, Target, connect_params};
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::http;
use openclaw_tests::instance::Instance;
use openclaw_tests::ports::PortBlock;
use openclaw_tests::process::Signal;
use serde_json::json;

#[tokio::test]
async fn two_profiles_share_neither_folders_nor_secrets_nor_fate() {
    let main = Home::new();
    let rescue = main.profile("rescue");
    rescue.configure(&json!({ "gateway": { "auth": { "token": "rescue-token-42" } } }));
    let (mut first, second) = tokio::join!(main.launch().ready(), rescue.launch().ready());

    let (one, other) = (
        first.status().await.instance,
        second.status().await.instance,
    );
    for (one, other) in [
        (&one.identity.state_dir, &other.identity.state_dir),
        (&one.identity.config_path, &other.identity.config_path),
        (&one.workspace, &other.workspace),
        (&one.canvas_root, &other.canvas_root),
        (&one.log_dir, &other.log_dir),
        (&one.run_dir, &other.run_dir),
    ] {
        assert!(
            !one.starts_with(other) && !other.starts_with(one),
            "{one:?} and {other:?}"
        );
    }

    // A secret of the one opens nothing of the other.
    let crossed = Client::try_connect(rescue.port(), connect_params(TOKEN)).await;
    assert!(crossed.is_err(), "the token of another profile opens");
    let target = Target {
        port: rescue.port(),
        token: "rescue-token-42".to_owned(),
    };
    let mut client = Client::connect(&target).await;

    // What the one shows, the other does not.
    fs::write(main.canvas_root().join("only.txt"), "only here").unwrap();
    assert_eq!(
        http::get(main.canvas_port(), "/__openclaw__/canvas/only.txt")
            .await
            .status,
        200
    );
    assert_eq!(
        http::get(rescue.canvas_port(), "/__openclaw__/canvas/only.txt")
            .await
            .status,
        404
    );

    // A presence of the one is not seen at the other.
    let mut main_client = first.client().await;
    main_client
        .call(
            "system-event",
            json!({ "text": "hello", "host": "only-main" }),
        )
        .await
        .unwrap();
    let presence = client.call("system-presence", json!({})).await.unwrap();
    assert!(!presence.to_string().contains("only-main"), "{presence}");

    // The end of the one is nothing to the other.
    first.signal(Signal::SIGTERM);
    assert_eq!(first.exit_code_leaving_nothing().await, 0);
    client.call("status", json!({})).await.unwrap();
    let pids: Vec<i32> = second
        .processes()
        .iter()
        .map(|process| process.pid)
        .collect();
    assert_eq!(pids.len(), 4);
    let log = rescue.log().text();
    let port = main.port();
    // The number alone may be anything: a process, or a part of a moment.
    for of_main in [
        "only-main",
        &format!("127.0.0.1:{port}"),
        &format!("\"port\":{port}"),
    ] {
        assert!(!log.contains(of_main), "logs are apart: {of_main}");
    }
}

#[tokio::test]
async fn commands_reach_the_instance_of_their_profile() {
    let main = Home::new();
    let rescue = main.profile("rescue");
    rescue.configure(&json!({}));
    let (first, mut second) = tokio::join!(main.launch().ready(), rescue.launch().ready());
    let said = rescue.run(&["gateway", "stop"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(second.exit_code_leaving_nothing().await, 0);
    first.client().await;
}

#[tokio::test]
async fn a_second_profile_without_a_port_moves_on_and_writes_down_where_to() {
    let Some(ports) = PortBlock::default_ports() else {
        openclaw_tests::skip("something that is no test listens on the default port 18789");
        return;
    };
    let base = ports.base();
    let main = Home::on(ports);
    let without_port = |home: &Home| {
        let mut config = home.config_with(&json!({}));
        config["gateway"].as_object_mut().unwrap().remove("port");
        home.write_config(&format!("// kept\n{config:#}\n"));
    };
    without_port(&main);
    let first = main.launch().ready().await;
    assert_eq!(first.status().await.instance.ports.gateway, base);

    let rescue = main.profile("rescue");
    without_port(&rescue);
    let second = rescue.launch().ready().await;
    let moved = moved_to(&second, base).await;
    let text = rescue.config_text();
    assert!(text.contains(&format!("\"port\": {moved}")), "{text}");
    assert!(
        text.starts_with("// kept"),
        "the rest of the file is as it was: {text}"
    );
    let text =
        "the default port belongs to another instance; this profile uses another one from now on";
    assert_eq!(rescue.log().said(text).await["1"]["port"], moved);
    Client::connect(&Target {
        port: moved,
        token: TOKEN.to_owned(),
    })
    .await;

    // From now on it is the profile's own, whoever has the default port.
    drop((first, second));
    let again = rescue.launch().ready().await;
    assert_eq!(again.status().await.instance.ports.gateway, moved);
}

async fn moved_to(instance: &Instance, base: u16) -> u16 {
    let ports = instance.status().await.instance.ports;
    // The next place may have been taken by a stranger; then it is the one after.
    assert_eq!((ports.gateway - base) % INSTANCE_STEP, 0, "{ports:?}");
    assert!(ports.gateway > base, "{ports:?}");
    assert_eq!(
        (ports.browser_control, ports.canvas_host),
        (ports.gateway + 2, ports.gateway + 4)
    );
    ports.gateway
}

#[tokio::test]
async fn two_instances_with_one_workspace_or_one_configuration_are_told() {
    let main = Home::new();
    let first = main.launch().ready().await;
    let rescue = main.profile("rescue");
    let workspace = main.canvas_root().parent().unwrap().to_path_buf();
    rescue.configure(&json!({ "agents": { "defaults": { "workspace": workspace } } }));
    let said = rescue.run(&["gateway"]).await;
    assert_eq!(said.code, 76, "{said:?}");
    assert!(said.err.contains("workspace"), "{said:?}");
    assert!(
        said.err.contains(&format!("pid {}", first.pid())),
        "{said:?}"
    );

    rescue.configure(&json!({ "canvasHost": { "root": main.canvas_root() } }));
    let said = rescue.run(&["gateway"]).await;
    assert_eq!(said.code, 76, "{said:?}");
    assert!(said.err.contains("canvas folder"), "{said:?}");
}
