//! A gateway elsewhere: every command that asks a gateway asks that one, with the secret that is meant for it, and no other secret
//! ever leaves this machine.

use futures_util::{SinkExt as _, StreamExt as _};
use openclaw_tests::eventually::soon;
use openclaw_tests::home::{Home, Said, TOKEN};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// A gateway that lets nobody in, and remembers what it was shown.
struct Doorman {
    listener: TcpListener,
}

impl Doorman {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Runs a command, and returns what it has shown at the door: `auth` of `connect`, for each time it came.
    async fn shown_by(&self, command: impl Future<Output = Said>) -> (Said, Vec<Value>) {
        let mut shown = Vec::new();
        let mut command = std::pin::pin!(command);
        loop {
            let (socket, _) = tokio::select! {
                said = &mut command => return (said, shown),
                arrival = self.listener.accept() => arrival.unwrap(),
            };
            let Ok(mut socket) = accept_async(socket).await else {
                continue;
            };
            let challenge = json!({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}});
            // Whoever has left again shows nothing.
            let _ = socket.send(Message::text(challenge.to_string())).await;
            let frame = soon("a first frame, or its end", socket.next()).await;
            let Some(Ok(Message::Text(text))) = frame else {
                continue;
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            shown.push(frame["params"]["auth"].clone());
            let refusal = json!({
                "type": "res", "id": frame["id"], "ok": false,
                "error": {"code": "INVALID_REQUEST", "message": "unauthorized: gateway token mismatch"},
            });
            let _ = socket.send(Message::text(refusal.to_string())).await;
            let _ = socket.close(None).await;
        }
    }
}

/// Every command that asks a gateway, one line each.
const ASKING: &[&str] = &[
    "health",
    "status --deep",
    "logs",
    "gateway health",
    "gateway call status",
    "gateway status",
    "gateway probe",
    "gateway usage-cost",
    "nodes status",
    "nodes list",
    "nodes pending",
    "nodes describe --node x",
    "nodes invoke --node x --command y",
    "nodes notify --node x --title y",
    "devices list",
    "approvals pending",
    "approvals get",
    "system event --text hello",
    "system presence",
    "system heartbeat last",
    "cron status",
    "cron list",
    "agent --message hello --agent main",
    "sessions",
    "agents list",
    "channels status",
    "models list",
    "skills list",
    "top --once",
];

fn remote(port: u16) -> Home {
    let home = Home::new();
    let url = format!("ws://127.0.0.1:{port}");
    home.configure(&json!({
        "gateway": { "mode": "remote", "remote": { "url": url, "token": "token-of-theirs" } },
    }));
    home
}

#[tokio::test]
async fn every_command_asks_the_gateway_that_is_configured_with_its_token() {
    let door = Doorman::new().await;
    let home = remote(door.port());
    // What this machine has of its own is for this machine.
    let own = [("OPENCLAW_GATEWAY_TOKEN", "token-of-the-environment")];
    for line in ASKING {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["--timeout", "20000"]);
        let (said, shown) = door.shown_by(home.run_with(&arguments, &own)).await;
        assert!(!shown.is_empty(), "`{line}` asks nobody: {said:?}");
        for auth in &shown {
            assert_eq!(auth["token"], "token-of-theirs", "`{line}`: {auth}");
        }
        let words = format!("{}{}", said.out, said.err);
        assert!(
            !words.contains("token-of"),
            "`{line}` shows a secret: {said:?}"
        );
    }
}

#[tokio::test]
async fn every_command_takes_an_address_and_a_secret() {
    let door = Doorman::new().await;
    let home = Home::new();
    let url = format!("ws://127.0.0.1:{}", door.port());
    for line in ASKING {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["--url", &url, "--token", "given", "--timeout", "20000"]);
        let (said, shown) = door.shown_by(home.run(&arguments)).await;
        assert!(!shown.is_empty(), "`{line}` asks nobody: {said:?}");
        assert!(
            shown.iter().all(|auth| auth["token"] == "given"),
            "`{line}`: {shown:?}"
        );
    }
}

#[tokio::test]
async fn a_secret_of_this_machine_is_shown_to_nobody_else() {
    let door = Doorman::new().await;
    let home = Home::new();
    // An address that could be any machine's, as far as one can tell from it.
    let url = format!("ws://[::ffff:127.0.0.1]:{}", door.port());
    let own = [
        ("OPENCLAW_GATEWAY_TOKEN", "token-of-the-environment"),
        ("OPENCLAW_GATEWAY_PASSWORD", "password-of-the-environment"),
    ];
    for line in ASKING {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["--url", &url, "--timeout", "20000"]);
        let (_, shown) = door.shown_by(home.run_with(&arguments, &own)).await;
        for auth in &shown {
            let auth = auth.to_string();
            for secret in [TOKEN, "of-the-environment"] {
                assert!(!auth.contains(secret), "`{line}` shows {auth}");
            }
        }
        assert!(!shown.is_empty(), "`{line}` asks nobody");
    }
}

#[tokio::test]
async fn without_an_address_it_is_said_what_to_do() {
    let home = Home::new();
    home.configure(&json!({ "gateway": { "mode": "remote" } }));
    let said = home.run(&["health"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("gateway.remote.url"), "{said:?}");
    assert!(said.err.contains("gateway.mode=local"), "{said:?}");
}

#[tokio::test]
async fn no_gateway_is_started_on_a_machine_that_uses_another() {
    let home = remote(9);
    let said = home.run(&["gateway"]).await;
    assert_eq!(said.code, 78, "{said:?}");
    for words in [
        "Gateway start blocked: set gateway.mode=local (current: remote)",
        "This machine is to use the gateway at ws://127.0.0.1:9",
        "openclaw config set gateway.mode local",
    ] {
        assert!(said.err.contains(words), "{words}: {said:?}");
    }
    assert!(!said.err.contains("token-of-theirs"), "{said:?}");
}

#[tokio::test]
async fn a_gateway_elsewhere_answers_as_if_it_were_here() {
    let there = Home::new();
    let instance = there.launch().ready().await;
    let here = Home::new();
    let url = format!("ws://127.0.0.1:{}", there.port());
    here.configure(&json!({
        "gateway": { "mode": "remote", "auth": { "token": "another-token" }, "remote": { "url": url, "token": TOKEN } },
    }));
    let said = here.run(&["health", "--json"]).await;
    assert_eq!(said.json()["ok"], true, "{said:?}");
    drop(instance);
}
