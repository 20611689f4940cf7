//! Tailscale publishes the gateway: for as long as it is configured, whatever becomes of children, and with words when it cannot. What was
//! published is taken back when it is not wanted any more, whatever became of the process that had published it.
//!
//! The program `tailscale` here is a stand-in for the real one, which needs a network and an account. It speaks the same command line:
//! `status --json`, `serve status --json`, `serve|funnel --bg --yes PORT`, `serve|funnel --https=443 --set-path=/ off`; it notes what it is
//! told to do, and keeps what it would publish in a file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use openclaw_shared::control::{ChildName, TailscaleStatus};
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::kill;
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Instance, Launch};
use openclaw_tests::process::{self, Signal};
use serde_json::json;

/// `front` holds what is published; `broken` has nothing taken back; with `slow` what is to be published is, and the command does not
/// come back.
const SCRIPT: &str = r#"#!/bin/sh
folder=$(dirname "$0")
case "$*" in
"status --json")
    printf '{"BackendState":"%s","Self":{"DNSName":"box.tail1.ts.net."}}' "$(cat "$folder/state")"
    exit 0 ;;
"serve status --json")
    [ -e "$folder/front" ] || { echo null; exit 0; }
    printf '{"TCP":{"443":{"HTTPS":true}},"Web":{"box.tail1.ts.net:443":{"Handlers":{"/":{"Proxy":"http://127.0.0.1:%s"}}}}}' \
        "$(cat "$folder/front")"
    exit 0 ;;
esac
echo "$*" >> "$folder/calls"
case "$*" in
"serve --bg --yes "[0-9]* | "funnel --bg --yes "[0-9]*)
    echo "$4" > "$folder/front"
    while [ -e "$folder/slow" ]; do sleep 0.1; done
    echo "Available within your tailnet:" ;;
"serve --https=443 --set-path=/ off" | "funnel --https=443 --set-path=/ off")
    if [ -e "$folder/broken" ]; then
        echo "tailscaled is not running" >&2
        exit 1
    fi
    rm -f "$folder/front" ;;
*)
    echo "error: unknown command: $*" >&2
    exit 1 ;;
esac
"#;

/// What takes back what was published to the tailnet.
const OFF: &str = "serve --https=443 --set-path=/ off";

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

    /// Has the program do something otherwise, or not any more.
    fn set(&self, what: &str, on: bool) {
        let file = self.folder.join(what);
        match on {
            true => fs::write(file, "").unwrap(),
            false => fs::remove_file(file).unwrap(),
        }
    }

    /// Where Tailscale leads.
    fn front(&self) -> Option<String> {
        let front = fs::read_to_string(self.folder.join("front")).ok();
        front.map(|port| port.trim().to_owned())
    }

    fn leads_to(&self, port: u16) {
        fs::write(self.folder.join("front"), port.to_string()).unwrap();
    }

    /// Waits until nothing is published, and nothing is kept of it.
    async fn is_taken_back(&self, home: &Home) {
        eventually("it is taken back", async || {
            match (self.front(), record(home)) {
                (None, None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
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

/// What the instance keeps of what is published.
fn record(home: &Home) -> Option<String> {
    fs::read_to_string(home.state_dir().join("tailscale-published")).ok()
}

fn serving() -> serde_json::Value {
    json!({ "gateway": { "tailscale": { "mode": "serve" } } })
}

/// Has an instance publish itself, and stop without taking that back.
async fn leave_published(home: &Home, tailnet: &Tailnet) {
    home.configure(&serving());
    let mut instance = tailnet.launch(home).ready().await;
    status(&instance, |status| status.url.is_some()).await;
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    assert_eq!(tailnet.front(), Some(home.port().to_string()));
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
    assert_eq!(tailnet.calls(), [&*serve, OFF]);
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
            Some(call) if call == OFF => Ok(()),
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

#[tokio::test]
async fn what_was_left_published_is_taken_back_when_the_configuration_has_changed_meanwhile() {
    let home = Home::new();
    let tailnet = Tailnet::new(&home, "Running");
    home.configure(&json!({ "gateway": {
        "auth": { "mode": "password", "password": "a long password" },
        "tailscale": { "mode": "funnel" },
    } }));
    let mut instance = tailnet.launch(&home).ready().await;
    status(&instance, |status| status.url.is_some()).await;
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    assert!(tailnet.front().is_some() && record(&home).is_some());
    home.configure(&json!({}));
    let instance = tailnet.launch(&home).ready().await;
    tailnet.is_taken_back(&home).await;
    let calls = tailnet.calls();
    let last = calls.last().map(String::as_str);
    assert_eq!(last, Some("funnel --https=443 --set-path=/ off"));
    assert_eq!(instance.status().await.tailscale, None);
}

#[tokio::test]
async fn what_is_published_to_others_than_before_is_taken_back_first() {
    let home = Home::new();
    let tailnet = Tailnet::new(&home, "Running");
    leave_published(&home, &tailnet).await;
    let instance = tailnet
        .launch(&home)
        .arguments(&["--tailscale", "funnel"])
        .arguments(&["--auth", "password", "--password", "a long password"])
        .ready()
        .await;
    status(&instance, |status| status.url.is_some()).await;
    let port = home.port();
    let calls = [
        format!("serve --bg --yes {port}"),
        OFF.to_owned(),
        format!("funnel --bg --yes {port}"),
    ];
    assert_eq!(tailnet.calls(), calls);
    let kept = format!(r#"{{"mode":"funnel","ports":[{port}]}}"#);
    assert_eq!(record(&home), Some(kept));
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_told_and_tried_again() {
    let home = Home::new();
    home.configure(&serving());
    let tailnet = Tailnet::new(&home, "Running");
    let mut instance = tailnet.launch(&home).ready().await;
    status(&instance, |status| status.url.is_some()).await;
    tailnet.set("broken", true);
    home.configure(&json!({}));
    let told = status(&instance, |status| status.error.is_some()).await;
    let error = told.error.unwrap();
    assert!(
        error.contains("may still be published") && error.contains("tailscaled is not running"),
        "{error}"
    );
    let said = home.run(&["gateway", "status", "--no-probe"]).await;
    assert!(said.out.contains("may still be published"), "{said:?}");

    // An instance that ends meanwhile leaves it to the next one.
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    assert!(record(&home).is_some());
    let instance = tailnet.launch(&home).ready().await;
    status(&instance, |status| status.error.is_some()).await;
    tailnet.set("broken", false);
    tailnet.is_taken_back(&home).await;
    eventually("nothing is wrong any more", async || {
        match instance.status().await.tailscale {
            None => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_supervisor_was_about_to_publish_is_taken_back() {
    let home = Home::new();
    home.configure(&serving());
    let tailnet = Tailnet::new(&home, "Running");
    tailnet.set("slow", true);
    let mut instance = tailnet.launch(&home).ready().await;
    eventually("it is published", async || tailnet.front().ok_or("not yet")).await;
    instance.signal(Signal::SIGKILL);
    instance.exit_code().await;
    tailnet.set("slow", false);
    home.configure(&json!({}));
    let _instance = tailnet.launch(&home).ready().await;
    tailnet.is_taken_back(&home).await;
    assert_eq!(tailnet.calls().last().map(String::as_str), Some(OFF));
}

#[tokio::test]
async fn what_another_profile_has_published_since_stays() {
    let home = Home::new();
    let tailnet = Tailnet::new(&home, "Running");
    leave_published(&home, &tailnet).await;
    tailnet.leads_to(1);
    home.configure(&json!({}));
    let _instance = tailnet.launch(&home).ready().await;
    eventually("it is forgotten", async || {
        record(&home).map_or(Ok(()), Err)
    })
    .await;
    assert_eq!(tailnet.front().as_deref(), Some("1"));
    assert_eq!(tailnet.calls().len(), 1, "{:?}", tailnet.calls());
}

#[tokio::test]
async fn a_record_that_says_something_else_is_told_and_not_acted_upon() {
    let home = Home::new();
    home.configure(&json!({}));
    let tailnet = Tailnet::new(&home, "Running");
    let file = home.state_dir().join("tailscale-published");
    fs::write(&file, r#"{"mode":"serve; reboot","ports":[1]}"#).unwrap();
    let instance = tailnet.launch(&home).ready().await;
    let told = status(&instance, |status| status.error.is_some()).await;
    let error = told.error.unwrap();
    assert!(
        error.contains("tailscale-published") && error.contains("tailscale serve status"),
        "{error}"
    );
    assert_eq!(tailnet.calls(), Vec::<String>::new());
    assert!(file.exists(), "it is its owner's to remove");
}

#[tokio::test]
async fn an_upgrade_leaves_no_command_behind() {
    let home = Home::empty().with_own_programs();
    home.configure(&serving());
    let tailnet = Tailnet::new(&home, "Running");
    tailnet.set("slow", true);
    let instance = tailnet.launch(&home).ready().await;
    eventually("it is published", async || tailnet.front().ok_or("not yet")).await;
    home.install_again();
    let said = home.run(&["gateway", "upgrade"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let ended: Vec<_> = process::children_of(instance.pid())
        .into_iter()
        .filter(|child| is_ended(child.pid))
        .collect();
    assert!(ended.is_empty(), "{ended:?}");
    tailnet.set("slow", false);
    let published = status(&instance, |status| status.url.is_some()).await;
    assert_eq!(published.error, None);
    assert_eq!(tailnet.front(), Some(home.port().to_string()));
}

/// Whether a process has ended and its parent does not know.
fn is_ended(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    state.starts_with('Z')
}
