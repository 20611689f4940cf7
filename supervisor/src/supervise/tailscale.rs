//! Has Tailscale publish the gateway, by its command line: `tailscale serve` for the machines of the tailnet, `tailscale funnel` for
//! everybody.
//!
//! The supervisor does it, because what is published must stay while its children are replaced. Tailscale keeps it by itself, also
//! when this process ends; it is taken back when the configuration no longer asks for it, and at the end when `resetOnExit`
//! says so. A gateway serves without it: what goes wrong is said, and tried again, since at a start of the machine Tailscale may
//! come later.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_shared::config::section::TailscaleMode;
use openclaw_shared::control::TailscaleStatus;
use openclaw_shared::instance::{Environment, without_secrets};
use openclaw_shared::log::printable;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a command of Tailscale may take. It asks its server for a certificate at the first time.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long an end waits for what is taken back.
const LAST_DEADLINE: Duration = Duration::from_secs(10);
/// The pauses between attempts; the last one is repeated.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
];
/// The longest answer that is read; that of `status` grows with the tailnet.
const LONGEST_ANSWER: u64 = 8 * 1024 * 1024;

/// What is to be published, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publication {
    /// To whom.
    pub(crate) to: Audience,
    /// The port of the gateway on loopback.
    pub(crate) port: u16,
    /// Whether it is taken back when the instance stops.
    pub(crate) reset_on_exit: bool,
}

/// Who sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The machines of the tailnet.
    Tailnet,
    /// Everybody.
    Everybody,
}

impl Audience {
    /// Who is meant by the configuration, if anybody.
    pub(crate) const fn of(mode: TailscaleMode) -> Option<Self> {
        match mode {
            TailscaleMode::Off => None,
            TailscaleMode::Serve => Some(Self::Tailnet),
            TailscaleMode::Funnel => Some(Self::Everybody),
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Tailnet => "serve",
            Self::Everybody => "funnel",
        }
    }
}

/// Why nothing is published.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    Missing,
    NotLoggedIn(String),
    Silent,
    Refused { command: String, why: String },
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str(
                "there is no program `tailscale` on the PATH; install Tailscale, or set gateway.tailscale.mode to \"off\"",
            ),
            Self::NotLoggedIn(state) => write!(
                formatter,
                "Tailscale is not connected (it says {state}); run `tailscale up`"
            ),
            Self::Silent => formatter.write_str("`tailscale` did not answer in time"),
            Self::Refused { command, why } => write!(formatter, "`{command}` failed: {why}"),
        }
    }
}

/// Looks after what is published. There is one for as long as the instance lives.
#[derive(Debug)]
pub(super) struct Tailscale {
    wish: watch::Sender<Option<Publication>>,
    told: Arc<Mutex<Option<TailscaleStatus>>>,
    work: JoinHandle<()>,
}

impl Tailscale {
    /// Begins to look after it; so far nothing is wished for.
    pub(super) fn new(environment: &Environment) -> Self {
        let (wish, wishes) = watch::channel(None);
        let told = Arc::default();
        let program = Program {
            environment: without_secrets(environment.all()).into_iter().collect(),
        };
        let work = tokio::spawn(look_after(program, wishes, Arc::clone(&told)));
        Self { wish, told, work }
    }

    /// Says what is to be published from now on.
    pub(super) fn wish(&self, wanted: Option<Publication>) {
        self.wish.send_if_modified(|wish| {
            let is_new = *wish != wanted;
            *wish = wanted;
            is_new
        });
    }

    /// What has become of it.
    pub(super) fn status(&self) -> Option<TailscaleStatus> {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes back what is to be taken back at the end, within bounds.
    pub(super) async fn end(self) {
        let takes_back = self.wish.borrow().is_some_and(|wish| wish.reset_on_exit);
        if !takes_back {
            self.work.abort();
            return;
        }
        // Without anybody who wishes, the work ends once nothing is published.
        self.wish(None);
        drop(self.wish);
        if timeout(LAST_DEADLINE, self.work).await.is_err() {
            tracing::warn!(target: "tailscale", "what Tailscale publishes could not be taken back in time");
        }
    }
}

async fn look_after(
    program: Program,
    mut wishes: watch::Receiver<Option<Publication>>,
    told: Arc<Mutex<Option<TailscaleStatus>>>,
) {
    let tell = |status: Option<TailscaleStatus>| {
        *told.lock().unwrap_or_else(PoisonError::into_inner) = status;
    };
    let mut published: Option<Publication> = None;
    let mut attempts = 0_usize;
    let mut last_trouble = None;
    loop {
        let wish = *wishes.borrow_and_update();
        if let Some(old) = published.filter(|old| wish.map(|wish| wish.to) != Some(old.to)) {
            match program.take_back(old.to).await {
                Ok(()) => tracing::info!(target: "tailscale", "taken back"),
                Err(trouble) => {
                    tracing::warn!(target: "tailscale", %trouble, "what Tailscale publishes could not be taken back");
                }
            }
            published = None;
        }
        let mut pause = None;
        match wish {
            None => tell(None),
            Some(wish) if published.is_some_and(|done| done.port == wish.port) => {
                published = Some(wish);
            }
            Some(wish) => {
                let mode = wish.to.verb().to_owned();
                match program.publish(wish).await {
                    Ok(url) => {
                        tracing::info!(target: "tailscale", mode = wish.to.verb(), %url, "published");
                        published = Some(wish);
                        attempts = 0;
                        last_trouble = None;
                        tell(Some(TailscaleStatus {
                            mode,
                            url: Some(url),
                            error: None,
                        }));
                    }
                    Err(trouble) => {
                        // Once for each reason: it may go on for long.
                        if last_trouble.as_ref() != Some(&trouble) {
                            tracing::error!(target: "tailscale", mode = wish.to.verb(), %trouble, "the gateway is not published; it is tried again");
                        }
                        tell(Some(TailscaleStatus {
                            mode,
                            url: None,
                            error: Some(trouble.to_string()),
                        }));
                        last_trouble = Some(trouble);
                        pause = Some(PAUSES[attempts.min(PAUSES.len() - 1)]);
                        attempts += 1;
                    }
                }
            }
        }
        let changed = match pause {
            None => wishes.changed().await,
            // An attempt that is due begins without a change.
            Some(pause) => timeout(pause, wishes.changed()).await.unwrap_or(Ok(())),
        };
        if changed.is_err() {
            return;
        }
    }
}

/// The program `tailscale`, as it is found by the variables of this process.
#[derive(Debug)]
struct Program {
    environment: Vec<(OsString, OsString)>,
}

impl Program {
    async fn publish(&self, wish: Publication) -> Result<String, Trouble> {
        let status = self.run(&["status", "--json"]).await?;
        let name = name_of(&status)?;
        let port = wish.port.to_string();
        self.run(&[wish.to.verb(), "--bg", "--yes", &port]).await?;
        Ok(format!("https://{name}/"))
    }

    /// Takes back what [`Program::publish`] has published, and nothing else that the owner may have Tailscale publish.
    async fn take_back(&self, audience: Audience) -> Result<(), Trouble> {
        let off = [audience.verb(), "--https=443", "off"];
        self.run(&off).await.map(|_| ())
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
        let named = || format!("tailscale {}", arguments.join(" "));
        let refused = |why: String| Trouble::Refused {
            command: named(),
            why,
        };
        match timeout(DEADLINE, said(command)).await {
            Ok(Ok((status, answer, _))) if status.success() => Ok(answer),
            Ok(Ok((status, answer, complaint))) => {
                let words = if complaint.is_empty() {
                    answer
                } else {
                    complaint
                };
                Err(refused(words_of(&words, status)))
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(Trouble::Missing),
            Ok(Err(error)) => Err(refused(error.to_string())),
            Err(_late) => Err(Trouble::Silent),
        }
    }
}

async fn said(mut command: Command) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let mut child = command.spawn()?;
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
    let unread = || Trouble::Refused {
        command: "tailscale status --json".to_owned(),
        why: "its answer cannot be read".to_owned(),
    };
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

#[cfg(test)]
mod tests {
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
}
