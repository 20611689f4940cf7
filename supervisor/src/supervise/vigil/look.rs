//! One look at a watched instance: its supervisor's socket, then `/readyz` of its gateway.
//!
//! Invariant: a look ends within its time, reads a bounded number of bytes, writes nothing, and speaks to nobody but this user's own
//! processes: the folder of the socket and the socket must be this user's, a link is not followed, and the peer's user is checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_shared::control::InstanceStatus;
use openclaw_shared::instance::{Environment, Identity, Profile};
use openclaw_shared::ipc;
use openclaw_shared::paths::RunPaths;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Sight;
use crate::cli::control_client::{self, Asked};

/// A gateway that turns answers a probe at once.
const READY_LIMIT: Duration = Duration::from_secs(2);
/// The first line of an answer is short.
const MAX_ANSWER: u64 = 1024;

/// Who is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its profile, as people say it.
    pub(crate) profile: String,
    pub(crate) socket: PathBuf,
}

/// The identity of another profile of this user, whatever the environment says of our own.
///
/// # Errors
/// When the name is none.
pub(crate) fn identity(
    home: &Path,
    profile: &str,
    environment: &Environment,
) -> Result<(Identity, Environment), String> {
    let environment = environment.of_another_instance(home);
    let profile = Profile::parse(profile).map_err(|error| error.to_string())?;
    Identity::resolve(profile, &environment, &|path| path.exists())
        .map(|identity| (identity, environment))
        .map_err(|error| error.to_string())
}

impl Target {
    /// The instance of a profile, unless that is our own.
    ///
    /// # Errors
    /// When the name is none, or is our own.
    pub(crate) fn of(
        own: &Identity,
        profile: &str,
        environment: &Environment,
    ) -> Result<Self, String> {
        let (identity, environment) = identity(&own.home, profile, environment)?;
        if identity.state_dir == own.state_dir {
            return Err("an instance cannot watch itself".to_owned());
        }
        Ok(Self {
            profile: identity.profile.name().unwrap_or("default").to_owned(),
            socket: RunPaths(&identity.run_dir(&environment)).supervisor(),
        })
    }
}

/// Looks once.
pub(crate) async fn look(target: &Target) -> Sight {
    if let Err(error) = ipc::check_private(&target.socket) {
        let is_absent = error.kind() == std::io::ErrorKind::NotFound;
        return Sight::Down(match is_absent {
            true => "its supervisor does not run".to_owned(),
            false => format!("its socket is not trusted: {error}"),
        });
    }
    match control_client::status(&target.socket).await {
        Asked::Answered(status) => ready(&status).await,
        Asked::Absent => Sight::Down("its supervisor does not run".to_owned()),
        Asked::Failed(reason) => Sight::Down(reason),
    }
}

/// Whether its gateway may be trusted with traffic.
pub(crate) async fn ready(status: &InstanceStatus) -> Sight {
    let address = address(status);
    match timeout(READY_LIMIT, readyz(address)).await {
        Ok(Ok(200)) => Sight::Up,
        Ok(Ok(code)) => Sight::Unwell(format!("/readyz answers {code}")),
        Ok(Err(error)) => Sight::Unwell(format!("/readyz does not answer: {error}")),
        Err(_) => Sight::Unwell(format!(
            "/readyz does not answer within {} ms",
            READY_LIMIT.as_millis()
        )),
    }
}

fn address(status: &InstanceStatus) -> SocketAddr {
    let host = status.instance.hosts.first().copied();
    let host = host
        .filter(|host| !host.is_unspecified())
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    SocketAddr::new(host, status.instance.ports.gateway)
}

async fn readyz(address: SocketAddr) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    code_of(&answer).ok_or_else(|| std::io::Error::other("that is no HTTP"))
}

/// The status of an HTTP answer.
fn code_of(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use openclaw_shared::instance::{Environment, Identity, Profile};
    use openclaw_shared::ipc;

    use super::super::Sight;
    use super::{Target, code_of, look};

    fn rescue(home: &std::path::Path) -> (Identity, Environment) {
        let home = home.display().to_string();
        // What the environment says of our own folders is nothing about another's.
        let pairs = [
            ("HOME", home.as_str()),
            ("OPENCLAW_STATE_DIR", "/elsewhere"),
            ("OPENCLAW_PROFILE", "rescue"),
        ];
        let environment = Environment::from_pairs(pairs, std::path::Path::new("/"));
        let profile = Profile::parse("rescue").unwrap();
        let identity = Identity::resolve(profile, &environment, &|_| false).unwrap();
        (identity, environment)
    }

    #[test]
    fn another_profile_is_found_and_our_own_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let (own, environment) = rescue(home.path());
        let target = Target::of(&own, "main", &environment).unwrap();
        assert_eq!(
            target.socket,
            home.path().join(".openclaw-main/run/supervisor.sock")
        );
        assert!(Target::of(&own, "../x", &environment).is_err());
        let bare = Environment::from_pairs(
            [("HOME", home.path().to_str().unwrap())],
            std::path::Path::new("/"),
        );
        let own = Identity::resolve(Profile::parse("rescue").unwrap(), &bare, &|_| false).unwrap();
        assert!(Target::of(&own, "rescue", &bare).is_err());
    }

    #[tokio::test]
    async fn rule_104_a_watch_follows_no_link_and_trusts_no_open_folder() {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("run");
        ipc::private_folder(&run).unwrap();
        let real = home.path().join("real.sock");
        let _listener = ipc::bind(&real).unwrap();
        let target = Target {
            profile: "main".to_owned(),
            socket: run.join("supervisor.sock"),
        };
        let down = |sight: Sight| match sight {
            Sight::Down(reason) => reason,
            Sight::Up | Sight::Unwell(_) => panic!("{sight:?}"),
        };
        assert!(down(look(&target).await).contains("does not run"));
        symlink(&real, &target.socket).unwrap();
        assert!(down(look(&target).await).contains("not trusted"));
        std::fs::remove_file(&target.socket).unwrap();
        let _listener = ipc::bind(&target.socket).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(down(look(&target).await).contains("not trusted"));
    }

    #[test]
    fn only_the_first_line_of_an_answer_counts() {
        assert_eq!(code_of(b"HTTP/1.1 200 OK\r\nx: y\r\n"), Some(200));
        assert_eq!(code_of(b"HTTP/1.1 503 Service Unavailable\r\n"), Some(503));
        for bad in [&b""[..], b"SSH-2.0", b"HTTP/1.1", b"\xff\xff\r\n"] {
            assert_eq!(code_of(bad), None);
        }
    }
}
