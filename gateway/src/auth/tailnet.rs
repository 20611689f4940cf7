//! Whether a client is who Tailscale Serve says it is.
//!
//! Serve runs on this machine, connects over loopback and adds who it speaks for. Anybody on loopback could write the same
//! headers, so they are only a claim: `tailscale whois` must name the same login for the address the request came from.
//!
//! Invariant: one command runs for one address at a time, few in all, each with a deadline; what it found is kept for a short
//! while. A client that shows a good secret starts none.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use openclaw_exec::orphans;
use openclaw_shared::clock::Moment;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long the command may take.
const DEADLINE: Duration = Duration::from_secs(3);
/// How long an identity is believed without asking again.
const FRESH_FOR: Duration = Duration::from_secs(60);
/// How long a failure is.
const FAILED_FOR: Duration = Duration::from_secs(5);
/// Addresses that are remembered.
const MOST_ADDRESSES: usize = 256;
/// Commands that run at the same time.
const COMMANDS: usize = 2;
/// What is read of an answer, in bytes; a longer one is none.
const LONGEST_ANSWER: u64 = 256 * 1024;

/// What a proxy on this machine says of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    login: String,
    address: IpAddr,
}

/// Why there is no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The login is missing.
    Missing,
    /// Serve would have said where the request comes from.
    NoProxyHeaders,
    /// Nobody could say who it is.
    Unchecked,
    /// It is somebody else.
    Mismatch,
}

impl Failure {
    /// The text of the error.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Missing => {
                "unauthorized: tailscale identity missing (use Tailscale Serve auth or gateway token/password)"
            }
            Self::NoProxyHeaders => {
                "unauthorized: tailscale proxy headers missing (use Tailscale Serve auth or gateway token/password)"
            }
            Self::Unchecked => {
                "unauthorized: tailscale identity check failed (use Tailscale Serve auth or gateway token/password)"
            }
            Self::Mismatch => {
                "unauthorized: tailscale identity mismatch (use Tailscale Serve auth or gateway token/password)"
            }
        }
    }
}

/// Reads what the headers of an upgrade claim; none when they claim nothing, or do not come from this machine.
pub(crate) fn claim(peer: Option<IpAddr>, headers: &HeaderMap) -> Option<Result<Claim, Failure>> {
    if !peer.is_some_and(|peer| peer.to_canonical().is_loopback()) {
        return None;
    }
    let mut logins = headers.get_all("tailscale-user-login").iter();
    let (login, None) = (logins.next()?, logins.next()) else {
        return Some(Err(Failure::Missing));
    };
    let login = login.to_str().map(str::trim).unwrap_or_default();
    if login.is_empty() {
        return Some(Err(Failure::Missing));
    }
    let has = |name: &str| headers.contains_key(name);
    // A client can write at the beginning of the list, but Serve writes its end.
    let address = headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()
        .and_then(|list| list.to_str().ok())
        .and_then(|list| list.rsplit(',').next())
        .and_then(|hop| hop.trim().parse::<IpAddr>().ok());
    match address {
        Some(address) if has("x-forwarded-proto") && has("x-forwarded-host") => Some(Ok(Claim {
            login: login.to_owned(),
            address: address.to_canonical(),
        })),
        Some(_) | None => Some(Err(Failure::NoProxyHeaders)),
    }
}

#[derive(Debug)]
struct Known {
    /// None when nobody could say.
    login: Option<String>,
    at: Moment,
}

/// Asks the tailnet who is behind an address.
#[derive(Debug)]
pub(crate) struct Tailnet {
    known: Mutex<BTreeMap<IpAddr, Known>>,
    commands: Semaphore,
    /// What the command needs of the environment, and no more.
    environment: Vec<(&'static str, String)>,
}

impl Tailnet {
    /// Asks by the `tailscale` that is on the `PATH` of this environment.
    pub(crate) fn new(variables: &BTreeMap<String, String>) -> Self {
        let environment = ["PATH", "HOME"]
            .into_iter()
            .filter_map(|name| Some((name, variables.get(name)?.clone())))
            .collect();
        Self {
            known: Mutex::new(BTreeMap::new()),
            commands: Semaphore::new(COMMANDS),
            environment,
        }
    }

    /// Whether the claim holds.
    ///
    /// # Errors
    /// When somebody else is behind the address, or nobody can say who.
    pub(crate) async fn confirm(&self, claim: &Claim) -> Result<(), Failure> {
        let login = match self.remembered(claim.address) {
            Some(login) => login,
            None => {
                // A closed semaphore does not exist here; a failure to get in would be a failure to check.
                let Ok(_turn) = self.commands.acquire().await else {
                    return Err(Failure::Unchecked);
                };
                match self.remembered(claim.address) {
                    Some(login) => login,
                    None => {
                        let login = self.whois(claim.address).await;
                        self.remember(claim.address, login.clone());
                        login
                    }
                }
            }
        };
        match login {
            Some(login) if login.eq_ignore_ascii_case(&claim.login) => Ok(()),
            Some(_) => Err(Failure::Mismatch),
            None => Err(Failure::Unchecked),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Known>> {
        // Each critical section leaves the map whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self, address: IpAddr) -> Option<Option<String>> {
        let now = Moment::now();
        self.known()
            .get(&address)
            .filter(|known| known.is_fresh(now))
            .map(|known| known.login.clone())
    }

    fn remember(&self, address: IpAddr, login: Option<String>) {
        let at = Moment::now();
        let mut known = self.known();
        known.retain(|_, known| known.is_fresh(at));
        if known.len() < MOST_ADDRESSES {
            known.insert(address, Known { login, at });
        }
    }

    async fn whois(&self, address: IpAddr) -> Option<String> {
        let mut command = Command::new("tailscale");
        command
            .args(["whois", "--json", &address.to_string()])
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let answer = match timeout(DEADLINE, read_answer(command)).await {
            Ok(Ok(Said::Answer(answer))) => answer,
            Ok(Ok(Said::Failed(status))) => {
                tracing::warn!(target: "gateway/auth", %status, "tailscale whois failed");
                return None;
            }
            Ok(Ok(Said::TooMuch)) => {
                tracing::warn!(target: "gateway/auth", "tailscale whois says more than anybody reads");
                return None;
            }
            Ok(Err(error)) => {
                tracing::warn!(target: "gateway/auth", %error, "tailscale whois cannot be run");
                return None;
            }
            Err(_late) => {
                tracing::warn!(target: "gateway/auth", "tailscale whois did not answer in time");
                return None;
            }
        };
        login_of(&answer)
    }
}

/// What a command said.
enum Said {
    Answer(Vec<u8>),
    Failed(ExitStatus),
    TooMuch,
}

/// Runs a command and reads what it says, as far as that can be an answer. A command that says more is ended with its process.
async fn read_answer(mut command: Command) -> io::Result<Said> {
    let mut child = orphans::start_own(|| command.spawn(), Child::id)?;
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = stdout.take(LONGEST_ANSWER + 1);
        stdout.read_to_end(&mut answer).await?;
    }
    if answer.len() as u64 > LONGEST_ANSWER {
        return Ok(Said::TooMuch);
    }
    let status = child.wait().await?;
    Ok(if status.success() {
        Said::Answer(answer)
    } else {
        Said::Failed(status)
    })
}

impl Known {
    fn is_fresh(&self, now: Moment) -> bool {
        let lasts = match self.login {
            Some(_) => FRESH_FOR,
            None => FAILED_FOR,
        };
        now.since(self.at) < lasts
    }
}

/// Reads the answer of `tailscale whois --json`.
fn login_of(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Whois {
        #[serde(rename = "UserProfile")]
        profile: Profile,
    }
    #[derive(Deserialize)]
    struct Profile {
        #[serde(rename = "LoginName")]
        login: String,
    }
    let whois: Whois = serde_json::from_slice(answer).ok()?;
    let login = whois.profile.login.trim();
    (!login.is_empty()).then(|| login.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use http::HeaderMap;
    use openclaw_shared::clock::Moment;

    use super::{Claim, Failure, Tailnet, claim, login_of};

    const SERVE: &[(&str, &str)] = &[
        ("tailscale-user-login", "ada@example.com"),
        ("x-forwarded-for", "100.64.0.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "gw.tail.ts.net"),
    ];

    fn read(peer: &str, headers: &[(&'static str, &str)]) -> Option<Result<Claim, Failure>> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        claim(Some(peer.parse().unwrap()), &map)
    }

    #[test]
    fn rule_13_headers_count_from_this_machine_and_complete() {
        let good = Claim {
            login: "ada@example.com".into(),
            address: "100.64.0.7".parse().unwrap(),
        };
        assert_eq!(read("127.0.0.1", SERVE), Some(Ok(good.clone())));
        assert_eq!(read("::ffff:127.0.0.1", SERVE), Some(Ok(good)));
        assert_eq!(read("192.0.2.9", SERVE), None);
        assert_eq!(claim(None, &HeaderMap::new()), None);
        assert_eq!(read("127.0.0.1", &SERVE[1..]), None);
        for without in 1..SERVE.len() {
            let mut headers = SERVE.to_vec();
            headers.remove(without);
            assert_eq!(
                read("127.0.0.1", &headers),
                Some(Err(Failure::NoProxyHeaders))
            );
        }
        let mut twice = SERVE.to_vec();
        twice.push(("tailscale-user-login", "eve@example.com"));
        assert_eq!(read("127.0.0.1", &twice), Some(Err(Failure::Missing)));
    }

    #[test]
    fn the_address_is_the_one_that_the_proxy_wrote() {
        let mut headers = SERVE.to_vec();
        headers[1].1 = "100.64.0.1, 100.64.0.7";
        let Some(Ok(claim)) = read("127.0.0.1", &headers) else {
            panic!()
        };
        assert_eq!(claim.address.to_string(), "100.64.0.7");
    }

    #[test]
    fn an_answer_names_a_login_or_nobody() {
        let answer = br#"{"Node":{"ID":1},"UserProfile":{"ID":2,"LoginName":"ada@example.com"}}"#;
        assert_eq!(login_of(answer).as_deref(), Some("ada@example.com"));
        for nobody in ["", "{}", r#"{"UserProfile":{"LoginName":" "}}"#, "null"] {
            assert_eq!(login_of(nobody.as_bytes()), None, "{nobody}");
        }
    }

    /// A stand-in for `tailscale` that counts its calls in a file beside it.
    fn tailnet(folder: &Path, script: &str) -> Tailnet {
        let path = folder.join("tailscale");
        let text = format!(
            "#!/bin/sh\necho x >> '{}/calls'\n{script}\n",
            folder.display()
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let search = format!("{}:/usr/bin:/bin", folder.display());
        Tailnet::new(&[("PATH".to_owned(), search)].into())
    }

    fn ada() -> Claim {
        Claim {
            login: "Ada@Example.com".into(),
            address: "100.64.0.7".parse().unwrap(),
        }
    }

    #[tokio::test(flavor = "local")]
    async fn the_command_is_asked_once_for_an_address() {
        let folder = tempfile::tempdir().unwrap();
        let says = r#"[ "$*" = "whois --json 100.64.0.7" ] && echo '{"UserProfile":{"LoginName":"ada@example.com"}}'"#;
        let tailnet = tailnet(folder.path(), says);
        assert_eq!(tailnet.confirm(&ada()).await, Ok(()));
        let eve = Claim {
            login: "eve@example.com".into(),
            ..ada()
        };
        assert_eq!(tailnet.confirm(&eve).await, Err(Failure::Mismatch));
        let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
        assert_eq!(calls.lines().count(), 1);
    }

    #[tokio::test(flavor = "local")]
    async fn a_command_that_never_ends_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let tailnet = tailnet(
            folder.path(),
            "trap '' PIPE; while :; do echo xxxxxxxxxxxxxxxx; done",
        );
        let begun = Moment::now();
        assert_eq!(tailnet.confirm(&ada()).await, Err(Failure::Unchecked));
        assert!(
            Moment::now().since(begun) < super::DEADLINE,
            "the bound was not the time"
        );
    }

    #[tokio::test(flavor = "local")]
    async fn a_command_that_fails_gives_no_identity() {
        let folder = tempfile::tempdir().unwrap();
        let tailnet = tailnet(folder.path(), "exit 1");
        assert_eq!(tailnet.confirm(&ada()).await, Err(Failure::Unchecked));
        let nowhere = Tailnet::new(&[("PATH".to_owned(), "/nonexistent".to_owned())].into());
        assert_eq!(nowhere.confirm(&ada()).await, Err(Failure::Unchecked));
    }
}
