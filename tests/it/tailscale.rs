//! Tailscale publishes the gateway: for as long as it is configured, whatever becomes of children, and with words when it cannot.
//!
//! The program `tailscale` here is a stand-in for the real one, which needs a network and an account. It speaks the same command line:
//! `status --json`, `serve|funnel --bg --yes PORT`, `serve|funnel --https=443 off`; it notes what it is told, and does nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use openclaw_shared::control::{ChildName, TailscaleStatus};
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::kill;
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Instance, Launch};
use openclaw_tests::process::Signal;
use serde_json::json;

const SCRIPT: &str = r#"#!/bin/sh
folder=$(dirname "$0")
case "$*" in
"status --json")
    printf '{"BackendState":"%s","Self":{"DNSName":"box.tail1.ts.net."}}' "$(cat "$folder/state")"
    exit 0 ;;
esac
echo "$*" >> "$folder/calls"
case "$*" in
"serve --bg --yes "[0-9]* | "funnel --bg --yes "[0-9]*)
    echo "Available within your tailnet:" ;;
"serve --https=443 off" | "funnel --https=443 off") ;;
*)
    echo "error: unknown command: $*" >&2
    exit 1 ;;
esac
"#;

struct Tailnet {
    folder: PathBuf,
}

impl Tailnet {
    /// The program, in a home.
    fn new(home: &Home, state: &str) -> Self {
        let folder = home.path().join("tailnet");
        fs::create_dir(&folder).unwrap();
        let program = folder.join("tailscale");
        fs::write(&program, SCRIPT).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let tailnet = Self { folder };
        tailnet.is(state);
        tailnet
    }

    fn is(&self, state: &str) {
        fs::write(self.folder.join("state"), state).unwrap();
    }

    fn launch(&self, home: &Home) -> Launch {
        let path = format!("{}:/usr/bin:/bin", self.folder.display());
        home.launch().variable("PATH", &path)
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

async fn status(instance: &Instance, fits: impl Fn(&TailscaleStatus) -> bool) -> TailscaleStatus {
    eventually("Tailscale has done it", async || {
        match instance.status().await.tailscale {
            Some(status) if fits(&status) => Ok(status),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn what_is_published_stays_until_the_instance_stops() {
    let home = Home::new();
    home.configure(
        &json!({ "gateway": { "tailscale": { "mode": "serve", "resetOnExit": true } } }),
    );
    let tailnet = Tailnet::new(&home, "Running");
    let mut instance = tailnet.launch(&home).ready().await;
    let published = status(&instance, |status| status.url.is_some()).await;
    assert_eq!(published.url.as_deref(), Some("https://box.tail1.ts.net/"));
    let said = home.run(&["gateway", "restart"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    kill(instance.pid_of(ChildName::Gateway).await).await;
    instance.ready().await;
    let serve = format!("serve --bg --yes {}", home.port());
    assert_eq!(
        tailnet.calls(),
        std::slice::from_ref(&serve),
        "children come and go"
    );
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    assert_eq!(tailnet.calls(), [&*serve, "serve --https=443 off"]);
}

#[tokio::test]
async fn without_reset_on_exit_it_stays_published() {
    let home = Home::new();
    let tailnet = Tailnet::new(&home, "Running");
    let mut instance = tailnet
        .launch(&home)
        .arguments(&["--tailscale", "serve"])
        .ready()
        .await;
    status(&instance, |status| status.url.is_some()).await;
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    assert_eq!(tailnet.calls().len(), 1, "{:?}", tailnet.calls());
}

#[tokio::test]
async fn what_the_configuration_no_longer_asks_for_is_taken_back() {
    let home = Home::new();
    home.configure(&json!({ "gateway": { "tailscale": { "mode": "serve" } } }));
    let tailnet = Tailnet::new(&home, "Running");
    let instance = tailnet.launch(&home).ready().await;
    status(&instance, |status| status.url.is_some()).await;
    home.configure(&json!({}));
    eventually("it is taken back", async || {
        match tailnet.calls().last().map(String::as_str) {
            Some("serve --https=443 off") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_gateway_serves_without_tailscale_and_says_what_is_missing() {
    let home = Home::new();
    home.configure(&json!({ "gateway": { "tailscale": { "mode": "serve" } } }));
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for tool in ["sh", "setsid", "setpriv"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{tool}"), empty.join(tool)).unwrap();
    }
    let path = empty.display().to_string();
    let instance = home.launch().variable("PATH", &path).ready().await;
    let status = status(&instance, |status| status.error.is_some()).await;
    let error = status.error.unwrap();
    assert!(
        error.contains("no program `tailscale`") && error.contains("install Tailscale"),
        "{error}"
    );
    instance.client().await;
    let said = home.run(&["gateway", "status", "--no-probe"]).await;
    assert!(said.out.contains("no program `tailscale`"), "{said:?}");
}

#[tokio::test]
async fn it_is_published_once_somebody_is_logged_in() {
    let home = Home::new();
    home.configure(&json!({ "gateway": { "tailscale": { "mode": "serve" } } }));
    let tailnet = Tailnet::new(&home, "NeedsLogin");
    let instance = tailnet.launch(&home).ready().await;
    let waiting = status(&instance, |status| status.error.is_some()).await;
    let error = waiting.error.unwrap();
    assert!(
        error.contains("NeedsLogin") && error.contains("`tailscale up`"),
        "{error}"
    );
    tailnet.is("Running");
    status(&instance, |status| status.url.is_some()).await;
}

#[tokio::test]
async fn what_is_published_to_everybody_needs_a_password() {
    let home = Home::new();
    home.configure(&json!({ "gateway": { "tailscale": { "mode": "funnel" } } }));
    let said = home.run(&["gateway"]).await;
    assert_eq!(said.code, 79, "{said:?}");
    assert!(said.err.contains("needs password auth"), "{said:?}");
    let said = home
        .run(&["gateway", "--tailscale", "serve", "--bind", "lan"])
        .await;
    assert_eq!(said.code, 79, "{said:?}");
    assert!(said.err.contains("on loopback"), "{said:?}");

    let tailnet = Tailnet::new(&home, "Running");
    let instance = tailnet
        .launch(&home)
        .arguments(&["--auth", "password", "--password", "a long password"])
        .ready()
        .await;
    status(&instance, |status| status.url.is_some()).await;
    assert_eq!(
        tailnet.calls(),
        [format!("funnel --bg --yes {}", home.port())]
    );
}
