//! The program `tailscale`: what it is asked and told, and what its answers mean.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use openclaw_shared::log::printable;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::kept::Kept;
use super::{Publication, Wish};

/// How long a command of Tailscale may take. It asks its server for a certificate at the first time.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest answer that is read; that of `status` grows with the tailnet.
const LONGEST_ANSWER: u64 = 8 * 1024 * 1024;

/// Why a command has not done what it was to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    Missing,
    NotLoggedIn(String),
    Silent,
    Unkept(String),
    Refused { command: String, why: String },
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("there is no program `tailscale` on the PATH"),
            Self::NotLoggedIn(state) => write!(
                formatter,
                "Tailscale is not connected (it says {state}); run `tailscale up`"
            ),
            Self::Silent => formatter.write_str("`tailscale` did not answer in time"),
            Self::Unkept(why) => write!(formatter, "what is published cannot be kept: {why}"),
            Self::Refused { command, why } => write!(formatter, "`{command}` failed: {why}"),
        }
    }
}

/// What has become of something that was to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was taken back.
    Back,
    /// It was not published any more.
    Gone,
    /// Something else is published in its place, by its owner or another profile.
    SomebodyElses,
}

/// The program `tailscale`, as it is found by the variables of this process.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Tells when nothing of ours may run any more.
    pub(super) wishes: watch::Receiver<Wish>,
}

impl Program {
    /// The address under which this machine is published.
    pub(super) async fn address(&self) -> Result<String, Trouble> {
        let status = self.run(&["status", "--json"]).await?;
        Ok(format!("https://{}/", name_of(&status)?))
    }

    pub(super) async fn publish(&self, wish: Publication) -> Result<(), Trouble> {
        let port = wish.port.to_string();
        let publish = [wish.to.verb(), "--bg", "--yes", &port];
        self.run(&publish).await.map(|_| ())
    }

    /// Takes back what [`Program::publish`] has published, and nothing else that the owner, or another profile, may have Tailscale
    /// publish: the port 443 is one for the whole machine, and whoever publishes last has it.
    pub(super) async fn take_back(&self, kept: &Kept) -> Result<Taken, Trouble> {
        if let Ok(targets) = self.targets().await {
            if targets.is_empty() {
                return Ok(Taken::Gone);
            }
            if !lead_to(&targets, kept) {
                return Ok(Taken::SomebodyElses);
            }
        }
        // Also when Tailscale does not tell what it publishes: too little published does less harm than too much.
        let off = [kept.to.verb(), "--https=443", "--set-path=/", "off"];
        self.run(&off).await?;
        match self.targets().await {
            Ok(targets) if lead_to(&targets, kept) => Err(Trouble::Refused {
                command: format!("tailscale {}", off.join(" ")),
                why: "the gateway is published after it as before".to_owned(),
            }),
            Ok(_) | Err(_) => Ok(Taken::Back),
        }
    }

    /// Where Tailscale leads who asks for `/` on port 443.
    async fn targets(&self) -> Result<Vec<Target>, Trouble> {
        let answer = self.run(&["serve", "status", "--json"]).await?;
        targets_of(&answer)
    }

    async fn run(&self, arguments: &[&str]) -> Result<Vec<u8>, Trouble> {
        let mut command = Command::new("tailscale");
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let refused = |why: String| Trouble::Refused {
            command: format!("tailscale {}", arguments.join(" ")),
            why,
        };
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Trouble::Missing),
            Err(error) => return Err(refused(error.to_string())),
        };
        let ended = tokio::select! {
            ended = timeout(DEADLINE, said(&mut child)) => ended.ok(),
            () = self.halted() => None,
        };
        match ended {
            Some(Ok((status, answer, _))) if status.success() => Ok(answer),
            Some(Ok((status, answer, complaint))) => {
                let words = if complaint.is_empty() {
                    answer
                } else {
                    complaint
                };
                Err(refused(words_of(&words, status)))
            }
            Some(Err(error)) => Err(refused(error.to_string())),
            None => {
                // Its end is waited for, or a program that is executed in this process would have a child that it does not know.
                if let Err(error) = child.kill().await {
                    tracing::debug!(target: "tailscale", %error, "a command that was given up cannot be ended");
                }
                Err(Trouble::Silent)
            }
        }
    }

    /// Ends when nothing of ours may run any more.
    async fn halted(&self) {
        let mut wishes = self.wishes.clone();
        let halted = wishes.wait_for(|wish| *wish == Wish::Halt).await.is_ok();
        if !halted {
            // Nobody wishes for anything any more; what was begun goes on to its end.
            std::future::pending::<()>().await;
        }
    }
}

async fn said(child: &mut Child) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    let reading = async {
        if let Some(stdout) = stdout {
            stdout.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
        }
        io::Result::Ok(())
    };
    let listening = async {
        if let Some(stderr) = stderr {
            stderr.take(64 * 1024).read_to_end(&mut complaint).await?;
        }
        io::Result::Ok(())
    };
    tokio::try_join!(reading, listening)?;
    let status = child.wait().await?;
    Ok((status, answer, complaint))
}

/// What it said, in one line.
fn words_of(said: &[u8], status: ExitStatus) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let words: Vec<&str> = lines.take(3).collect();
    match words.is_empty() {
        true => status.to_string(),
        false => printable(&words.join("; ")).to_string(),
    }
}

/// The name of this machine in the tailnet, from the answer of `tailscale status --json`.
fn name_of(answer: &[u8]) -> Result<String, Trouble> {
    let unread = || unread("tailscale status --json");
    let status: Value = serde_json::from_slice(answer).map_err(|_| unread())?;
    let state = status["BackendState"].as_str().unwrap_or("nothing");
    if state != "Running" {
        return Err(Trouble::NotLoggedIn(printable(state).to_string()));
    }
    let name = status["Self"]["DNSName"].as_str().ok_or_else(unread)?;
    let name = name.trim_end_matches('.');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    match !name.is_empty() && name.bytes().all(is_plain) {
        true => Ok(name.to_owned()),
        false => Err(unread()),
    }
}

fn unread(command: &str) -> Trouble {
    Trouble::Refused {
        command: command.to_owned(),
        why: "its answer cannot be read".to_owned(),
    }
}

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A port of this machine.
    Port(u16),
    /// Something that is no gateway of ours: a folder, a text, another machine.
    Other,
}

fn lead_to(targets: &[Target], kept: &Kept) -> bool {
    let is_ours = |target: &Target| match target {
        Target::Port(port) => kept.ports.contains(port),
        Target::Other => false,
    };
    targets.iter().any(is_ours)
}

/// From the answer of `tailscale serve status --json`, which tells of `serve` and `funnel` alike, and is `null` or empty when nothing is
/// published.
fn targets_of(answer: &[u8]) -> Result<Vec<Target>, Trouble> {
    let unread = || unread("tailscale serve status --json");
    let published: Value = serde_json::from_slice(answer).map_err(|_| unread())?;
    if !(published.is_object() || published.is_null()) {
        return Err(unread());
    }
    let web = match &published["Web"] {
        Value::Null => return Ok(Vec::new()),
        Value::Object(web) => web,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(unread());
        }
    };
    let on_443 = web.iter().filter(|(name, _)| name.ends_with(":443"));
    let handlers = on_443.map(|(_, server)| &server["Handlers"]["/"]);
    Ok(handlers
        .filter(|handler| !handler.is_null())
        .map(|handler| target(handler["Proxy"].as_str().unwrap_or_default()))
        .collect())
}

/// Where `http://127.0.0.1:18789` leads.
fn target(proxy: &str) -> Target {
    let (_, authority) = proxy.split_once("://").unwrap_or(("", proxy));
    let authority = authority.trim_end_matches('/');
    let port = ["127.0.0.1:", "localhost:", "[::1]:"]
        .iter()
        .find_map(|host| authority.strip_prefix(host)?.parse().ok());
    port.map_or(Target::Other, Target::Port)
}

#[cfg(test)]
mod tests {
    use super::super::Audience;
    use super::*;

    #[test]
    fn the_name_comes_from_a_tailnet_that_is_connected() {
        let name = |text: &str| name_of(text.as_bytes());
        let running = r#"{"BackendState":"Running","Self":{"DNSName":"box.tail1.ts.net."}}"#;
        assert_eq!(name(running).as_deref(), Ok("box.tail1.ts.net"));
        let out = name(r#"{"BackendState":"NeedsLogin","Self":{}}"#).unwrap_err();
        assert_eq!(out, Trouble::NotLoggedIn("NeedsLogin".to_owned()));
        assert!(out.to_string().contains("tailscale up"));
        for odd in [
            "",
            "{}",
            r#"{"BackendState":"Running","Self":{"DNSName":"a b"}}"#,
        ] {
            name(odd).unwrap_err();
        }
    }

    #[test]
    fn only_what_leads_to_a_port_of_ours_is_ours() {
        let ours = |handlers: &str| {
            let answer = format!(
                r#"{{"TCP":{{"443":{{"HTTPS":true}}}},"Web":{{"box.tail1.ts.net:443":{{"Handlers":{handlers}}}}}}}"#
            );
            let kept = Kept {
                to: Audience::Tailnet,
                ports: vec![18789, 19789],
            };
            let targets = targets_of(answer.as_bytes()).unwrap();
            (targets.len(), lead_to(&targets, &kept))
        };
        for proxy in [
            "http://127.0.0.1:18789",
            "http://localhost:19789/",
            "127.0.0.1:18789",
        ] {
            let handlers = format!(r#"{{"/":{{"Proxy":"{proxy}"}},"/x":{{"Text":"x"}}}}"#);
            assert_eq!(ours(&handlers), (1, true), "{proxy}");
        }
        for other in [
            r#"{"/":{"Proxy":"http://127.0.0.1:20789"}}"#,
            r#"{"/":{"Proxy":"http://10.0.0.9:18789"}}"#,
            r#"{"/":{"Text":"18789"}}"#,
        ] {
            assert_eq!(ours(other), (1, false), "{other}");
        }
        let aside = r#"{"/x":{"Proxy":"http://127.0.0.1:18789"}}"#;
        assert_eq!(ours(aside), (0, false));
        for nothing in [
            "null",
            "{}",
            r#"{"Web":{"box:8443":{"Handlers":{"/":{"Proxy":"http://127.0.0.1:18789"}}}}}"#,
        ] {
            assert_eq!(targets_of(nothing.as_bytes()), Ok(vec![]), "{nothing}");
        }
        for odd in ["", "[]", r#"{"Web":[]}"#] {
            targets_of(odd.as_bytes()).unwrap_err();
        }
    }
}
