//! Starts the process of one life.
//!
//! The process gets its own group, so that a Ctrl-C at the terminal reaches the supervisor alone; an environment without
//! secrets and without what the service manager meant for the supervisor; and its sockets from descriptor 3 on.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use command_fds::{CommandFdExt as _, FdMapping};
use openclaw_shared::child::inheritance::{self, Use};
use openclaw_shared::control::{ChildName, Generation};
use openclaw_shared::instance::{Environment, without_secrets};

use super::upgrade::handed::{HANDED_BACK, HANDED_OVER};

const FIRST_DESCRIPTOR: RawFd = 3;

/// Variables that speak to this process alone.
pub(super) const OWN_VARIABLES: [&str; 9] = [
    HANDED_OVER,
    HANDED_BACK,
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "MAINPID",
];

/// Words in the name of a variable that tell of a credential: `ANTHROPIC_API_KEY`, `AWS_SECRET_ACCESS_KEY`, `SLACK_BOT_TOKEN`.
const CREDENTIAL_WORDS: [&str; 9] = [
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "KEY",
    "PASSWD",
    "PASSWORD",
    "PAT",
    "SECRET",
    "TOKEN",
];

/// Only the gateway speaks to model providers and channels. The two others show what agents wrote, and pages of strangers.
fn needs(child: ChildName, variable: &OsStr) -> bool {
    match child {
        ChildName::Gateway => true,
        ChildName::CanvasHost | ChildName::BrowserControl => !variable
            .to_string_lossy()
            .to_ascii_uppercase()
            .split('_')
            .any(|word| CREDENTIAL_WORDS.contains(&word)),
    }
}

/// What a process is started from.
#[derive(Debug)]
pub(crate) struct Recipe<'a> {
    pub(crate) child: ChildName,
    pub(crate) generation: Generation,
    /// The folder of the binaries.
    pub(crate) programs: &'a Path,
    pub(crate) environment: &'a Environment,
    /// Where its control channel is.
    pub(crate) control: PathBuf,
    pub(crate) sockets: Vec<(Use, BorrowedFd<'a>)>,
}

/// The file of a child's program.
pub(crate) fn program(programs: &Path, child: ChildName) -> PathBuf {
    programs.join(format!("openclaw-{child}"))
}

/// Starts the process. It must be called on the thread that lives as long as the supervisor, because the parent-death signal
/// follows the thread.
///
/// # Errors
/// As the system says.
pub(crate) fn spawn(recipe: Recipe<'_>) -> io::Result<Child> {
    let mut mappings = Vec::with_capacity(recipe.sockets.len());
    let mut told = Vec::with_capacity(recipe.sockets.len());
    for ((purpose, descriptor), child_fd) in recipe.sockets.iter().zip(FIRST_DESCRIPTOR..) {
        let parent_fd = descriptor.as_fd().try_clone_to_owned()?;
        mappings.push(FdMapping {
            parent_fd,
            child_fd,
        });
        told.push((*purpose, child_fd));
    }
    let inherited = without_secrets(recipe.environment.all());
    let kept = inherited
        .into_iter()
        .filter(|(name, _)| OWN_VARIABLES.iter().all(|own| name.as_os_str() != *own))
        .filter(|(name, _)| needs(recipe.child, name));
    let mut command = Command::new(program(recipe.programs, recipe.child));
    command
        .env_clear()
        .envs(kept)
        .envs(inheritance::variables(
            recipe.control,
            recipe.generation,
            &told,
        ))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .fd_mappings(mappings)
        .map_err(|collision| io::Error::other(collision.to_string()))?;
    // It dies with this process by the parent-death signal and by the end of its channel; nothing here has to end it.
    command.spawn()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use openclaw_shared::control::ChildName;

    use super::needs;

    #[test]
    fn credentials_reach_the_gateway_alone() {
        for name in [
            "ANTHROPIC_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "SLACK_BOT_TOKEN",
            "DB_PASSWORD",
            "github_token",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ] {
            let name = OsStr::new(name);
            assert!(needs(ChildName::Gateway, name), "{name:?}");
            assert!(!needs(ChildName::CanvasHost, name), "{name:?}");
            assert!(!needs(ChildName::BrowserControl, name), "{name:?}");
        }
    }

    #[test]
    fn everything_else_reaches_every_child() {
        for name in [
            "PATH",
            "HOME",
            "DISPLAY",
            "XKB_KEYBOARD",
            "HTTPS_PROXY",
            "SSH_AUTH_SOCK",
            "RUST_LOG",
        ] {
            assert!(needs(ChildName::BrowserControl, OsStr::new(name)), "{name}");
        }
    }
}
