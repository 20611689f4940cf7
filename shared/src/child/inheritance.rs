//! What a child is handed by the process that spawned it: descriptors, its generation, the way back.
//!
//! The names and numbers travel in the environment, as systemd's socket activation does it; nothing here is secret.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::control::{ChildName, Generation};
use crate::instance::Environment;

/// The path of the control socket.
const CONTROL: &str = "OPENCLAW_CONTROL_SOCKET";
/// The generation, a number.
const GENERATION: &str = "OPENCLAW_GENERATION";
/// The supervisor's process id.
const SUPERVISOR: &str = "OPENCLAW_SUPERVISOR_PID";
/// Descriptors by use: `tcp=3,tcp=4,local=5,lock=6`.
const DESCRIPTORS: &str = "OPENCLAW_DESCRIPTORS";

/// What an inherited descriptor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A listening TCP socket.
    Tcp,
    /// A listening local socket.
    Local,
    /// The instance lock: held by being open, so that the lock lasts as long as any process of the instance.
    Lock,
}

impl Use {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Local => "local",
            Self::Lock => "lock",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Tcp, Self::Local, Self::Lock]
            .into_iter()
            .find(|other| other.as_str() == text)
    }
}

/// The variables that tell a child what it inherits.
#[must_use]
pub fn variables(
    control: PathBuf,
    generation: Generation,
    descriptors: &[(Use, RawFd)],
) -> [(&'static str, OsString); 4] {
    let listed: Vec<String> = descriptors
        .iter()
        .map(|(purpose, fd)| format!("{}={fd}", purpose.as_str()))
        .collect();
    [
        (CONTROL, control.into_os_string()),
        (GENERATION, generation.0.to_string().into()),
        (SUPERVISOR, std::process::id().to_string().into()),
        (DESCRIPTORS, listed.join(",").into()),
    ]
}

/// Listening sockets bound by the supervisor.
#[derive(Debug, Default)]
pub struct Listeners {
    tcp: Vec<OwnedFd>,
    local: Option<OwnedFd>,
}

impl Listeners {
    /// The TCP listeners, once; empty afterwards.
    ///
    /// # Errors
    /// When a descriptor is not a listening socket.
    pub fn tcp(&mut self) -> io::Result<Vec<tokio::net::TcpListener>> {
        std::mem::take(&mut self.tcp)
            .into_iter()
            .map(|fd| {
                let listener = std::net::TcpListener::from(fd);
                listener.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(listener)
            })
            .collect()
    }

    /// The local listener, once; `None` afterwards.
    ///
    /// # Errors
    /// When the descriptor is not a listening socket.
    pub fn local(&mut self) -> io::Result<Option<tokio::net::UnixListener>> {
        self.local
            .take()
            .map(|fd| {
                let listener = std::os::unix::net::UnixListener::from(fd);
                listener.set_nonblocking(true)?;
                tokio::net::UnixListener::from_std(listener)
            })
            .transpose()
    }
}

/// What was handed down.
#[derive(Debug)]
pub struct Inheritance {
    /// Which life this is.
    pub generation: Generation,
    /// Where the supervisor listens for this child.
    pub control: PathBuf,
    /// Its sockets.
    pub listeners: Listeners,
}

impl Inheritance {
    /// Takes what the supervisor handed down, makes every descriptor close-on-exec, and binds this process's life to the
    /// supervisor's.
    ///
    /// # Errors
    /// A sentence, when the process was not started by a supervisor or the supervisor is gone already.
    pub fn take(child: ChildName) -> Result<Self, String> {
        let environment = Environment::from_process();
        let variable = |name: &str| {
            environment.get(name).ok_or_else(|| {
                format!(
                    "this is the {child} of an OpenClaw instance; it is started by `openclaw gateway`"
                )
            })
        };
        let number = |name: &str| -> Result<u64, String> {
            variable(name)?
                .parse()
                .map_err(|_| format!("{name} is not a number"))
        };
        let supervisor = number(SUPERVISOR)?;
        let generation = Generation(number(GENERATION)?);
        let control = PathBuf::from(variable(CONTROL)?);
        let mut listeners = Listeners::default();
        for (purpose, fd) in parse(variable(DESCRIPTORS)?)? {
            let fd = adopt(fd)?;
            match purpose {
                Use::Tcp => listeners.tcp.push(fd),
                Use::Local => listeners.local = Some(fd),
                // Kept open until the process ends, so that no new instance starts beside a dying one.
                Use::Lock => std::mem::forget(fd),
            }
        }
        die_with(supervisor)?;
        Ok(Self {
            generation,
            control,
            listeners,
        })
    }
}

fn parse(text: &str) -> Result<Vec<(Use, RawFd)>, String> {
    let mut seen = BTreeMap::new();
    for entry in text.split(',').filter(|entry| !entry.is_empty()) {
        let parsed = entry.split_once('=').and_then(|(purpose, fd)| {
            Some((
                Use::parse(purpose)?,
                fd.parse::<RawFd>().ok().filter(|fd| *fd > 2)?,
            ))
        });
        let (purpose, fd) =
            parsed.ok_or_else(|| format!("{DESCRIPTORS} has an odd entry: {entry}"))?;
        if seen.insert(fd, purpose).is_some() {
            return Err(format!("{DESCRIPTORS} names descriptor {fd} twice"));
        }
    }
    Ok(seen
        .into_iter()
        .map(|(fd, purpose)| (purpose, fd))
        .collect())
}

#[expect(
    unsafe_code,
    reason = "an inherited descriptor is known by its number alone"
)]
fn adopt(fd: RawFd) -> Result<OwnedFd, String> {
    // SAFETY: the number comes from the process that spawned this one, which mapped a descriptor of its own there for this
    // purpose; `parse` takes each number once, and nothing else in this process has opened a descriptor yet that could
    // have it. A number that is not open is found by `fcntl` below and never closed, because the value is forgotten then.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    match fcntl(owned.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        Ok(_) => Ok(owned),
        Err(error) => {
            std::mem::forget(owned);
            Err(format!("inherited descriptor {fd} is not open: {error}"))
        }
    }
}

/// Makes the system end this process with the supervisor's, where the system can, and finds a supervisor that is gone already.
fn die_with(supervisor: u64) -> Result<(), String> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|error| format!("no parent-death signal: {error}"))?;
    let parent = nix::unistd::getppid().as_raw();
    if u64::try_from(parent).ok() == Some(supervisor) {
        Ok(())
    } else {
        Err("the supervisor that started this process is gone".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Use, parse};

    #[test]
    fn descriptors_are_listed_by_use() {
        assert_eq!(
            parse("tcp=3,tcp=4,local=5").unwrap(),
            [(Use::Tcp, 3), (Use::Tcp, 4), (Use::Local, 5)]
        );
        for odd in ["tcp", "tcp=x", "nope=3", "tcp=3,local=3", "tcp=1", "tcp=-1"] {
            assert!(parse(odd).is_err(), "{odd}");
        }
    }
}
