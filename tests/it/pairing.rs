//! Devices and their approval: who is known stays known, whatever dies, and nobody gets more than was approved.

use std::os::unix::fs::PermissionsExt as _;

use openclaw_shared::control::ChildName;
use openclaw_tests::client::{Attempt, Client, Received, Socket, connect_params};
use openclaw_tests::device::Device;
use openclaw_tests::faults::kill;
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::instance::{Instance, pid};
use serde_json::{Value, json};

/// What a proxy says that nobody has told the gateway of.
const REMOTE: &[(&str, &str)] = &[("X-Forwarded-For", "192.0.2.9")];

async fn instance() -> Instance {
    Home::new().launch().ready().await
}

fn asking(scopes: &[&str]) -> Value {
    let mut params = connect_params(TOKEN);
    params["scopes"] = json!(scopes);
    params
}

fn with_token(token: &str, scopes: &[&str]) -> Value {
    let mut params = asking(scopes);
    params["auth"] = json!({ "token": token });
    params
}

async fn attempt(
    instance: &Instance,
    device: &Device,
    headers: &[(&str, &str)],
    params: Value,
) -> (Socket, Attempt) {
    device
        .attempt(instance.home().port(), headers, params)
        .await
}

#[track_caller]
fn token_of(attempt: &Attempt) -> String {
    let answer = attempt.answer.as_ref().unwrap();
    let token = &answer["payload"]["auth"]["deviceToken"];
    token
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

/// The request that waits for the owner.
#[track_caller]
fn request_of(attempt: &Attempt) -> String {
    let error = &attempt.answer.as_ref().unwrap()["error"];
    assert_eq!(error["code"], "NOT_PAIRED", "{attempt:?}");
    assert_eq!(attempt.code(), Some(1008));
    error["details"]["requestId"].as_str().unwrap().to_owned()
}

#[track_caller]
fn check_refused(attempt: &Attempt, error: &str) {
    assert_eq!(attempt.code(), Some(1008), "{attempt:?}");
    assert!(attempt.error().contains(error), "{attempt:?}");
}

async fn kill_gateway(instance: &Instance) {
    let before = instance.child(ChildName::Gateway).await;
    kill(pid(&before).unwrap()).await;
    instance.until_later_life(ChildName::Gateway, &before).await;
}

async fn approve(owner: &mut Client, request: &str) -> Value {
    owner
        .call("device.pair.approve", json!({ "requestId": request }))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_device_of_this_machine_is_known_after_a_kill_and_comes_back_by_its_own_token() {
    let instance = instance().await;
    let device = Device::new(1);
    let (_socket, first) = attempt(&instance, &device, &[], asking(&["operator.admin"])).await;
    let token = token_of(&first);
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
    kill_gateway(&instance).await;
    let own = with_token(&token, &["operator.admin"]);
    let (mut socket, again) = attempt(&instance, &device, REMOTE, own).await;
    assert_eq!(token_of(&again), token);
    socket
        .send(&json!({"type": "req", "id": "1", "method": "health"}))
        .await;
    let (_other, stolen) = attempt(&instance, &Device::new(2), &[], with_token(&token, &[])).await;
    check_refused(&stolen, "gateway token mismatch");
}

#[tokio::test]
async fn a_device_elsewhere_is_let_in_once_the_owner_has_said_so() {
    let instance = instance().await;
    let device = Device::new(1);
    let (_socket, refused) = attempt(&instance, &device, REMOTE, asking(&["operator.read"])).await;
    let request = request_of(&refused);
    // What was acknowledged is there after a kill, on both sides of the approval.
    kill_gateway(&instance).await;
    let (_socket, retried) = attempt(&instance, &device, REMOTE, asking(&["operator.read"])).await;
    assert_eq!(request_of(&retried), request);
    let mut owner = instance.client().await;
    approve(&mut owner, &request).await;
    kill_gateway(&instance).await;
    let (_socket, admitted) = attempt(&instance, &device, REMOTE, asking(&["operator.read"])).await;
    token_of(&admitted);
}

#[tokio::test]
async fn rule_10_a_device_that_came_through_a_proxy_is_not_of_this_machine() {
    let instance = instance().await;
    for (number, headers) in (1..).zip([
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
    ]) {
        let device = Device::new(number);
        let (_socket, refused) = attempt(&instance, &device, &[headers], asking(&[])).await;
        request_of(&refused);
    }
}

#[tokio::test]
async fn rule_12_a_tailnet_name_makes_nobody_local() {
    let home = Home::new();
    home.configure(&json!({ "gateway": { "controlUi": { "allowedHosts": ["gw.tail.ts.net"] } } }));
    let instance = home.launch().ready().await;
    let host = [("Host", "gw.tail.ts.net")];
    let (_socket, refused) = attempt(&instance, &Device::new(1), &host, asking(&[])).await;
    request_of(&refused);
}

/// The stand-in for `tailscale` is a script of the test's own on the `PATH` of the gateway: there is no tailnet here.
#[tokio::test]
async fn rule_13_a_tailnet_identity_counts_when_the_tailnet_confirms_it() {
    let home = Home::new();
    home.configure(&json!({ "gateway": { "auth": { "allowTailscale": true } } }));
    let programs = home.path().join("programs of the test");
    std::fs::create_dir(&programs).unwrap();
    let script = "#!/bin/sh\n[ \"$*\" = 'whois --json 100.64.0.7' ] || exit 1\necho '{\"UserProfile\":{\"LoginName\":\"ada@example.com\"}}'\n";
    std::fs::write(programs.join("tailscale"), script).unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(programs.join("tailscale"), mode).unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let instance = home.launch().variable("PATH", &path).ready().await;
    let device = Device::new(1);
    let mut params = asking(&["operator.read"]);
    params.as_object_mut().unwrap().remove("auth");
    let serve = |login, address| {
        [
            ("Tailscale-User-Login", login),
            ("X-Forwarded-For", address),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "gw.tail.ts.net"),
        ]
    };
    for (login, address, error) in [
        (
            "eve@example.com",
            "100.64.0.7",
            "tailscale identity mismatch",
        ),
        (
            "ada@example.com",
            "100.64.0.8",
            "tailscale identity check failed",
        ),
        (
            "ada@example.com",
            "100.64.0.7, 100.64.0.8",
            "tailscale identity check failed",
        ),
        (
            "ada@example.com",
            "nonsense",
            "tailscale proxy headers missing",
        ),
    ] {
        let headers = serve(login, address);
        let (_socket, refused) = attempt(&instance, &device, &headers, params.clone()).await;
        check_refused(&refused, error);
    }
    let headers = serve("Ada@Example.com", "100.64.0.7");
    let (_socket, known) = attempt(&instance, &device, &headers, params.clone()).await;
    let request = request_of(&known);
    approve(&mut instance.client().await, &request).await;
    let (_socket, admitted) = attempt(&instance, &device, &headers, params).await;
    token_of(&admitted);
}

#[tokio::test]
async fn rule_17_a_second_connect_changes_nothing() {
    let instance = instance().await;
    let mut client = Client::connect_as(instance.home().port(), asking(&["operator.read"])).await;
    let error = client
        .call("connect", asking(&["operator.admin"]))
        .await
        .unwrap_err();
    assert_eq!(
        error["message"],
        "connect is only valid as the first request"
    );
    let error = client.call("config.get", json!({})).await.unwrap_err();
    assert_eq!(error["message"], "missing scope: operator.admin");
    client.call("health", json!({})).await.unwrap();
}

#[tokio::test]
async fn rules_18_20_21_22_23_a_proof_holds_for_one_key_one_time_one_connection_and_one_frame() {
    let instance = instance().await;
    let device = Device::new(1);
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 11] = [
        ("device identity mismatch", |p| {
            p["device"]["id"] = json!(Device::new(2).id())
        }),
        ("device signature invalid", |p| {
            p["device"]["signature"] = json!("A".repeat(86))
        }),
        ("device signature invalid", |p| {
            p["device"]["signature"] = json!("AA")
        }),
        ("invalid connect params", |p| {
            p["device"]["signature"] = json!("")
        }),
        ("device public key invalid", |p| {
            p["device"]["publicKey"] = json!("AAAA")
        }),
        ("device signature expired", |p| {
            let signed = p["device"]["signedAt"].as_u64().unwrap();
            p["device"]["signedAt"] = json!(signed - 700_000);
        }),
        ("device signature expired", |p| {
            let signed = p["device"]["signedAt"].as_u64().unwrap();
            p["device"]["signedAt"] = json!(signed + 700_000);
        }),
        ("device nonce mismatch", |p| {
            p["device"]["nonce"] = json!("of another connection")
        }),
        ("device nonce required", |p| {
            drop(p["device"].as_object_mut().unwrap().remove("nonce"))
        }),
        ("device signature invalid", |p| {
            p["scopes"] = json!(["operator.admin"])
        }),
        ("device signature invalid", |p| {
            p["auth"]["token"] = json!("another")
        }),
    ];
    for (error, change) in changes {
        let mut socket = Socket::open(instance.home().port()).await.unwrap();
        let challenge = socket.frame().await;
        let mut params = asking(&["operator.read"]);
        device.sign(&mut params, challenge["payload"]["nonce"].as_str().unwrap());
        change(&mut params);
        let request = json!({"type": "req", "id": "1", "method": "connect", "params": params});
        socket.send(&request).await;
        let answer = socket.frame().await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(error), "{error}: {answer}");
        if error == "device signature expired" {
            let ahead = answer["error"]["details"]["clockAheadMs"].as_i64().unwrap();
            assert!((600_000..800_000).contains(&ahead.abs()), "{answer}");
        }
        assert!(matches!(
            socket.receive().await,
            Received::Closed { code: 1008, .. }
        ));
    }
    let (_socket, admitted) = attempt(&instance, &device, &[], asking(&["operator.read"])).await;
    token_of(&admitted);
}

#[tokio::test]
async fn rules_24_25_a_device_token_is_worth_something_to_its_device_and_for_its_scopes() {
    let instance = instance().await;
    let device = Device::new(1);
    let (_socket, first) = attempt(&instance, &device, &[], asking(&["operator.read"])).await;
    let token = token_of(&first);
    let mismatch = "gateway token mismatch";
    let bare = with_token(&token, &["operator.read"]);
    let refused = Client::try_connect(instance.home().port(), bare.clone()).await;
    assert!(refused.unwrap_err().contains(mismatch));
    let (_socket, other) = attempt(&instance, &Device::new(2), &[], bare).await;
    check_refused(&other, mismatch);
    let wider = with_token(&token, &["operator.read", "operator.admin"]);
    let (_socket, wider) = attempt(&instance, &device, &[], wider).await;
    check_refused(&wider, mismatch);
    let mut as_node = with_token(&token, &[]);
    as_node["role"] = json!("node");
    let (_socket, as_node) = attempt(&instance, &device, &[], as_node).await;
    check_refused(&as_node, mismatch);
}

#[tokio::test]
async fn rules_26_27_28_a_token_ends_when_the_owner_says_so_and_grows_for_nobody() {
    let instance = instance().await;
    let device = Device::new(1);
    let (_socket, refused) = attempt(&instance, &device, REMOTE, asking(&["operator.read"])).await;
    let mut owner = instance.client().await;
    approve(&mut owner, &request_of(&refused)).await;
    let (_socket, first) = attempt(&instance, &device, REMOTE, asking(&["operator.read"])).await;
    let token = token_of(&first);
    let own = || with_token(&token, &["operator.read"]);
    let (mut open, admitted) = attempt(&instance, &device, REMOTE, own()).await;
    assert_eq!(token_of(&admitted), token);
    let rotate = |role: &str, scopes: Value| {
        let mut params = json!({ "deviceId": device.id(), "role": role });
        if !scopes.is_null() {
            params["scopes"] = scopes;
        }
        params
    };
    let port = instance.home().port();
    let mut pairer = Client::connect_as(port, asking(&["operator.pairing"])).await;
    let error = pairer
        .call("device.token.rotate", rotate("operator", Value::Null))
        .await
        .unwrap_err();
    assert_eq!(error["message"], "missing scope: operator.read");
    let error = owner
        .call(
            "device.token.rotate",
            rotate("operator", json!(["operator.admin"])),
        )
        .await
        .unwrap_err();
    assert_eq!(
        error["message"],
        "scope not approved for this device: operator.admin"
    );
    let error = owner
        .call("device.token.rotate", rotate("node", Value::Null))
        .await
        .unwrap_err();
    assert_eq!(error["message"], "unknown deviceId/role");
    let revoke = json!({ "deviceId": device.id(), "role": "operator" });
    owner.call("device.token.revoke", revoke).await.unwrap();
    let (_, end) = open.rest().await;
    let reason = "device token revoked".to_owned();
    assert_eq!(end, Received::Closed { code: 1008, reason });
    let (_socket, refused) = attempt(&instance, &device, REMOTE, own()).await;
    check_refused(&refused, "gateway token mismatch");
    // The shared secret still opens, to a device without a token of its own.
    let (_socket, admitted) = attempt(&instance, &device, &[], asking(&["operator.read"])).await;
    let payload = &admitted.answer.unwrap()["payload"];
    assert_eq!(
        (payload["type"].as_str(), payload.get("auth")),
        (Some("hello-ok"), None)
    );
}

#[tokio::test]
async fn rules_29_30_an_approval_is_for_what_was_asked_by_one_who_may_give_it() {
    let instance = instance().await;
    let device = Device::new(1);
    let (_socket, refused) = attempt(&instance, &device, REMOTE, asking(&["operator.read"])).await;
    let modest = request_of(&refused);
    let (_socket, refused) = attempt(&instance, &device, REMOTE, asking(&["operator.admin"])).await;
    let greedy = request_of(&refused);
    let mut owner = instance.client().await;
    let error = owner
        .call("device.pair.approve", json!({ "requestId": modest }))
        .await
        .unwrap_err();
    assert_eq!(error["message"], "unknown requestId");
    let port = instance.home().port();
    let mut pairer = Client::connect_as(port, asking(&["operator.pairing"])).await;
    for method in ["device.pair.approve", "node.pair.approve"] {
        let error = pairer
            .call(method, json!({ "requestId": greedy }))
            .await
            .unwrap_err();
        assert_eq!(error["message"], "missing scope: operator.admin");
    }
    let (_socket, refused) = attempt(&instance, &device, REMOTE, asking(&["operator.admin"])).await;
    assert_eq!(request_of(&refused), greedy);
}

#[tokio::test]
async fn rule_31_a_flood_of_new_devices_leaves_the_owner_a_place() {
    let home = Home::new();
    home.configure(&json!({ "gateway": { "trustedProxies": ["127.0.0.1"] } }));
    let instance = home.launch().ready().await;
    let own = [("X-Forwarded-For", "198.51.100.1")];
    let (_socket, refused) = attempt(&instance, &Device::new(200), &own, asking(&[])).await;
    let request = request_of(&refused);
    for number in 1..=40 {
        let (_socket, refused) =
            attempt(&instance, &Device::new(number), REMOTE, asking(&[])).await;
        request_of(&refused);
    }
    let mut owner = instance.client().await;
    let listed = owner.call("device.pair.list", json!({})).await.unwrap();
    assert!(
        listed["pending"].as_array().unwrap().len() <= 64,
        "{listed}"
    );
    approve(&mut owner, &request).await;
}

#[tokio::test]
async fn rules_19_37_made_up_scopes_and_keys_grant_nothing() {
    let instance = instance().await;
    let port = instance.home().port();
    let made_up = [
        "operator.*",
        "OPERATOR.ADMIN",
        "operator.admin ",
        "admin",
        "*",
    ];
    let mut client = Client::connect_as(port, asking(&made_up)).await;
    for method in ["health", "device.pair.list", "config.get"] {
        let error = client.call(method, json!({})).await.unwrap_err();
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("missing scope: "), "{method}: {error}");
    }
    // The identity point: a signature of it fits every text, unless it is verified strictly.
    let mut socket = Socket::open(port).await.unwrap();
    let challenge = socket.frame().await;
    let mut params = asking(&["operator.read"]);
    params["device"] = json!({
        "id": "01d0fabd251fcbbe2b93b4b927b26ad2a1a99077152e45ded1e678afa45dbec5",
        "publicKey": format!("AQ{}", "A".repeat(41)),
        "signature": format!("AQ{}", "A".repeat(84)),
        "signedAt": challenge["payload"]["ts"],
        "nonce": challenge["payload"]["nonce"],
    });
    socket
        .send(&json!({"type": "req", "id": "1", "method": "connect", "params": params}))
        .await;
    assert_eq!(
        socket.frame().await["error"]["message"],
        "device signature invalid"
    );
}
