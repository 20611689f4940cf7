//! What a person reads, as golden files: help, refusals, and what to do next.

use std::net::{Ipv4Addr, TcpListener};

use openclaw_tests::golden::{check, told};
use openclaw_tests::home::Home;
use serde_json::json;

#[tokio::test]
async fn the_help_of_every_command() {
    let home = Home::new();
    let mut text = String::new();
    for command in [
        &[][..],
        &["gateway"],
        &["gateway", "run"],
        &["gateway", "status"],
        &["gateway", "health"],
        &["gateway", "call"],
        &["gateway", "probe"],
        &["gateway", "stop"],
        &["gateway", "restart"],
        &["gateway", "start"],
        &["gateway", "install"],
        &["gateway", "uninstall"],
        &["setup"],
        &["status"],
        &["health"],
        &["logs"],
        &["config"],
        &["config", "get"],
        &["config", "set"],
        &["nodes"],
        &["nodes", "status"],
        &["nodes", "describe"],
        &["nodes", "approve"],
        &["nodes", "rename"],
        &["nodes", "invoke"],
        &["nodes", "run"],
        &["nodes", "notify"],
        &["nodes", "canvas"],
        &["nodes", "canvas", "present"],
        &["nodes", "camera"],
        &["nodes", "camera", "snap"],
        &["nodes", "screen", "record"],
        &["nodes", "location", "get"],
        &["devices"],
        &["devices", "approve"],
        &["devices", "rotate"],
        &["approvals"],
        &["approvals", "set"],
        &["approvals", "allowlist", "add"],
        &["approvals", "approve"],
        &["system"],
        &["system", "event"],
        &["system", "heartbeat"],
        &["cron"],
        &["cron", "add"],
        &["cron", "edit"],
        &["cron", "run"],
        &["sessions"],
        &["agents"],
        &["channels", "status"],
        &["models"],
        &["models", "list"],
        &["models", "set"],
        &["models", "scan"],
        &["skills", "list"],
        &["gateway", "usage-cost"],
        &["completion"],
    ] {
        let said = home.run(&[command, &["--help"]].concat()).await;
        assert_eq!(said.code, 0, "{said:?}");
        text.push_str(&format!(
            "$ openclaw {}\n{}\n",
            [command, &["--help"]].concat().join(" "),
            said.out
        ));
    }
    check("help.txt", &text);
}

#[tokio::test]
async fn a_start_that_is_refused() {
    let home = Home::empty();
    check(
        "start/no-configuration.txt",
        &told(&home, &home.run(&["gateway"]).await),
    );
    home.configure(&json!({ "gateway": { "mode": "remote" } }));
    check(
        "start/remote.txt",
        &told(&home, &home.run(&["gateway"]).await),
    );
    home.write_config(
        "{\n  gateway: {\n    mode: \"local\",\n    prot: 1,\n    bind: \"everywhere\",\n  },\n}\n",
    );
    check(
        "start/broken-configuration.txt",
        &told(&home, &home.run(&["gateway"]).await),
    );
    check(
        "start/broken-configuration.json",
        &told(&home, &home.run(&["gateway", "--json"]).await),
    );
    home.write_config("{\n  gateway: {\n    mode: \"local\",\n");
    check(
        "start/half-a-configuration.txt",
        &told(&home, &home.run(&["gateway"]).await),
    );
    home.write_config(&format!(
        "{{ gateway: {{ mode: \"local\", bind: \"lan\", port: {} }} }}",
        home.port()
    ));
    check(
        "start/lan-without-a-secret.txt",
        &told(&home, &home.run(&["gateway"]).await),
    );
}

#[tokio::test]
async fn a_start_on_a_busy_port() {
    let home = Home::new();
    let _stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, home.port())).unwrap();
    let said = home.run(&["gateway"]).await;
    let own =
        openclaw_tests::process::arguments(i32::try_from(std::process::id()).unwrap()).join(" ");
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap()
        .name;
    let text = told(&home, &said)
        .replace(&own, "COMMAND LINE")
        .replace(&format!("pid {}", std::process::id()), "pid PID")
        .replace(&format!("{user}: "), "USER: ");
    check("start/busy-port.txt", &text);
}

#[tokio::test]
async fn commands_without_a_gateway() {
    let home = Home::new();
    for (name, line) in [
        ("call", &["gateway", "call", "status"][..]),
        ("restart", &["gateway", "restart"]),
        ("stop", &["gateway", "stop"]),
        ("health", &["health"]),
        ("probe", &["gateway", "probe"]),
    ] {
        check(
            &format!("no-gateway/{name}.txt"),
            &told(&home, &home.run(line).await),
        );
    }
}

#[tokio::test]
async fn lines_that_make_no_sense() {
    let home = Home::new();
    let mut text = String::new();
    for line in [
        &["gatway"][..],
        &["gateway", "staus"],
        &["gateway", "--prot", "1"],
        &["gateway", "--port", "x"],
        &["gateway", "--bind", "everywhere"],
        &["gateway", "call"],
        &["gateway", "stop", "canvas-host"],
        &["gateway", "status", "--bind", "lan"],
        &["config", "get", "no.such.key"],
        &["config", "set", "gateway.port", "x"],
        &["--profile", "a/b", "status"],
    ] {
        let said = home.run(line).await;
        text.push_str(&format!(
            "$ openclaw {}\n{}\n",
            line.join(" "),
            told(&home, &said)
        ));
    }
    check("nonsense.txt", &text);
}
