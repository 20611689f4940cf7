//! A gateway is found in the local network, under a name of its own, for as long as it serves. Everything here happens on the
//! loopback interface, where a gateway that listens on loopback is announced.

use openclaw_shared::control::ChildName;
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::Home;
use openclaw_tests::instance::Instance;
use openclaw_tests::process::Signal;
use serde_json::{Value, json};

/// An instance that announces itself, under a name that no other test has.
async fn announced(home: &Home) -> Instance {
    let name = format!("oc{}", home.port());
    announced_as(home, &name).await
}

async fn announced_as(home: &Home, name: &str) -> Instance {
    home.launch()
        .variable("OPENCLAW_DISABLE_BONJOUR", "0")
        .variable("OPENCLAW_MDNS_HOSTNAME", name)
        .ready()
        .await
}

/// The beacons of a port, as they are found now. Nobody says the same twice within a second (RFC 6762, 6), so one listens for longer.
async fn beacons(home: &Home, port: u16) -> Vec<Value> {
    let arguments = [
        "gateway",
        "discover",
        "--only-here",
        "--timeout",
        "3000",
        "--json",
    ];
    let said = home.run(&arguments).await;
    assert_eq!(said.code, 0, "{said:?}");
    let found = said.json();
    assert_eq!(found["domains"], json!(["local."]));
    assert_eq!(found["timeoutMs"], 3000);
    let beacons = found["beacons"].as_array().unwrap().clone();
    assert_eq!(found["count"], beacons.len());
    beacons
        .into_iter()
        .filter(|beacon| beacon["port"] == port)
        .collect()
}

async fn found(home: &Home, port: u16) -> Value {
    eventually("the gateway is found", async || {
        let found = beacons(home, port).await;
        match &found[..] {
            [one] => Ok(one.clone()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn rule_107_a_gateway_is_found_and_says_no_more_than_is_needed() {
    let home = Home::new();
    let instance = announced(&home).await;
    let port = home.port();
    let beacon = found(&home, port).await;
    assert_eq!(beacon["instanceName"], format!("oc{port} (OpenClaw)"));
    assert_eq!(beacon["wsUrl"], format!("ws://127.0.0.1:{port}"));
    assert_eq!(beacon["gatewayPort"], port);
    assert_eq!(beacon["canvasPort"], home.canvas_port());
    assert_eq!(beacon["role"], "gateway");
    for key in ["cliPath", "sshPort", "tailnetDns"] {
        assert_eq!(beacon[key], Value::Null, "{beacon}");
    }
    let path = home.path().display().to_string();
    assert!(!beacon.to_string().contains(&path), "{beacon}");
    // For people too.
    let said = home
        .run(&["gateway", "discover", "--only-here", "--timeout", "700"])
        .await;
    assert!(
        said.out.starts_with("Gateway Discovery\nFound "),
        "{said:?}"
    );
    drop(instance);
}

#[tokio::test]
async fn a_stopped_gateway_takes_its_leave_and_a_replaced_one_does_not() {
    let home = Home::new();
    let mut instance = announced(&home).await;
    let port = home.port();
    let before = found(&home, port).await;
    let said = home.run(&["gateway", "restart", "gateway"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    // At once, without a search that fails in between.
    let after = beacons(&home, port).await;
    assert_eq!(
        after,
        std::slice::from_ref(&before),
        "the name is the same, and never gone"
    );
    openclaw_tests::faults::kill(instance.pid_of(ChildName::Gateway).await).await;
    instance.ready().await;
    assert_eq!(found(&home, port).await, before);
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    assert_eq!(beacons(&home, port).await, [] as [Value; 0]);
}

#[tokio::test]
async fn gateways_of_the_same_name_are_told_apart_and_keep_what_they_are_called() {
    let (one, other) = (Home::new(), Home::new());
    let name = format!("same{}", one.port());
    let first = announced_as(&one, &name).await;
    found(&one, one.port()).await;
    let mut second = announced_as(&other, &name).await;
    let beacon = found(&other, other.port()).await;
    assert_eq!(beacon["instanceName"], format!("{name} (OpenClaw) (2)"));
    // A successor does not ask again.
    let said = other.run(&["gateway", "restart", "gateway"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    second.ready().await;
    assert_eq!(found(&other, other.port()).await, beacon);
    let names: Vec<Value> = beacons(&one, one.port()).await;
    assert_eq!(names[0]["instanceName"], format!("{name} (OpenClaw)"));
    drop((first, second));
}

#[tokio::test]
async fn it_is_not_announced_when_it_is_switched_off() {
    let home = Home::new();
    home.configure(&json!({ "discovery": { "mdns": { "mode": "off" } } }));
    let silent = announced(&home).await;
    let other = Home::new();
    let loud = announced(&other).await;
    found(&other, other.port()).await;
    assert_eq!(beacons(&home, home.port()).await, [] as [Value; 0]);
    drop((silent, loud));
}
