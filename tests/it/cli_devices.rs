//! The command line as a device: it is known by its key, and lets others in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use openclaw_shared::paths::StatePaths;
use openclaw_tests::client::connect_params;
use openclaw_tests::device::Device;
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::instance::Instance;
use serde_json::{Value, json};

/// What a proxy says that nobody has told the gateway of: it makes a caller one from elsewhere.
const ELSEWHERE: &[(&str, &str)] = &[("X-Forwarded-For", "192.0.2.9")];

async fn instance() -> Instance {
    Home::new().launch().ready().await
}

fn stored_tokens(home: &Home) -> Value {
    let state = home.state_dir();
    let file = StatePaths(&state).identity().join("device-auth.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Replaces the token that was issued to the command line.
fn spoil_token(home: &Home) {
    let state = home.state_dir();
    let file = StatePaths(&state).identity().join("device-auth.json");
    let mut tokens = stored_tokens(home);
    tokens["tokens"]["operator"]["token"] = "0123456789abcdef0123456789abcdef".into();
    fs::write(file, tokens.to_string()).unwrap();
}

/// A device elsewhere that asks to be let in; its request.
async fn asks(instance: &Instance, device: &Device) -> String {
    let port = instance.home().port();
    let (_socket, attempt) = device.attempt(port, ELSEWHERE, connect_params(TOKEN)).await;
    let answer = attempt.answer.unwrap();
    let request = answer["error"]["details"]["requestId"].as_str();
    request.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn the_command_line_is_a_device_of_its_own() {
    let instance = instance().await;
    let home = instance.home();
    let said = home.run(&["devices", "list", "--json"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let state = home.state_dir();
    let file = StatePaths(&state).operator_identity();
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let own: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(
        said.json()["paired"][0]["deviceId"],
        own["deviceId"],
        "{said:?}"
    );
    assert_eq!(stored_tokens(home)["deviceId"], own["deviceId"]);

    let text = home.run(&["devices", "list"]).await;
    assert!(text.out.starts_with("Pending: 0 · Paired: 1\n"), "{text:?}");
    assert!(
        text.out.lines().all(|line| line.chars().count() <= 80),
        "{text:?}"
    );
}

#[tokio::test]
async fn a_token_that_is_stale_is_replaced_by_the_shared_secret() {
    let instance = instance().await;
    let home = instance.home();
    assert_eq!(home.run(&["health"]).await.code, 0);
    spoil_token(home);
    let spoilt = stored_tokens(home);
    let said = home.run(&["health"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_ne!(stored_tokens(home), spoilt);
}

#[tokio::test]
async fn a_secret_that_is_given_is_the_one_that_counts() {
    let instance = instance().await;
    let home = instance.home();
    assert_eq!(home.run(&["health"]).await.code, 0);
    let stored = stored_tokens(home);
    for said in [
        home.run(&["health", "--token", "wrong", "--json"]).await,
        home.run_with(
            &["health", "--json"],
            &[("OPENCLAW_GATEWAY_TOKEN", "wrong")],
        )
        .await,
    ] {
        assert_eq!(said.code, 1, "{said:?}");
        assert_eq!(said.json()["kind"], "unauthorized", "{said:?}");
    }
    assert_eq!(stored_tokens(home), stored);
}

#[tokio::test]
async fn without_a_place_for_its_key_a_command_goes_on_and_says_so_when_asked() {
    let instance = instance().await;
    let home = instance.home();
    let state = home.state_dir();
    fs::write(StatePaths(&state).identity(), "in the way").unwrap();
    let said = home.run(&["health"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let said = home.run(&["health", "--verbose"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("no device identity"), "{said:?}");
}

#[tokio::test]
async fn a_device_is_let_in_by_naming_its_request() {
    let instance = instance().await;
    let home = instance.home();
    let device = Device::new(1);
    let request = asks(&instance, &device).await;

    let said = home.run(&["devices", "approve"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("One request is waiting"), "{said:?}");
    assert!(
        said.err
            .contains(&format!("openclaw devices approve {request}")),
        "{said:?}"
    );

    let said = home.run(&["devices", "approve", &request[..6]]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.starts_with("Approved "), "{said:?}");
    let port = home.port();
    let (_socket, attempt) = device.attempt(port, ELSEWHERE, connect_params(TOKEN)).await;
    assert_eq!(attempt.answer.unwrap()["ok"], true);

    let id = device.id();
    let rotated = home
        .run(&[
            "devices",
            "rotate",
            "--device",
            &id[..8],
            "--role",
            "operator",
            "--json",
        ])
        .await;
    assert_eq!(rotated.code, 0, "{rotated:?}");
    assert!(rotated.json()["token"].is_string());
    let revoked = home
        .run(&["devices", "revoke", "--device", id, "--role", "operator"])
        .await;
    assert_eq!(revoked.code, 0, "{revoked:?}");
    let removed = home.run(&["devices", "remove", id]).await;
    assert_eq!(removed.code, 0, "{removed:?}");
    let left = home.run(&["devices", "list", "--json"]).await.json();
    let ids: Vec<&Value> = left["paired"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["deviceId"])
        .collect();
    assert!(!ids.contains(&&json!(id)), "{left}");
}

#[tokio::test]
async fn a_device_is_turned_away() {
    let instance = instance().await;
    let home = instance.home();
    let request = asks(&instance, &Device::new(2)).await;
    let said = home.run(&["devices", "reject", &request, "--json"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json()["requestId"], request);
    let said = home.run(&["devices", "reject", &request, "--json"]).await;
    assert_eq!(
        (said.code, &said.json()["kind"]),
        (1, &json!("usage")),
        "{said:?}"
    );
}
