//! Breaking things: processes that are killed or stopped, and programs that misbehave.

use openclaw_shared::control::ChildName;

use crate::eventually::eventually;
use crate::home::{Home, built_programs};
use crate::process::{self, Signal};

/// A program that takes the place of a child's own. What it does is in `bin/openclaw-test-stub.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stub {
    /// Ends at once with code 3.
    Exits,
    /// Is there and says nothing.
    Silent,
    /// Sends garbage instead of a hello.
    Babbles,
    /// Announces a message of four gigabytes instead of a hello.
    Boasts,
    /// Says hello for another child, on that child's socket.
    Impersonates(ChildName),
    /// Says hello, and is never ready.
    NeverReady,
    /// Is ready, and never serves.
    NeverActive,
    /// Says that it cannot go on as soon as it has been launched.
    Desperate,
    /// Says that it cannot go on when `env.vars.STUB` is `crash`; else a child that has nothing to do.
    Picky,
    /// A child of the next release, which also speaks the version of this one, and has nothing to do.
    NextRelease,
    /// A child that speaks the next version of the control contract alone.
    Foreign,
    /// The child's own program, stopped before it begins.
    Frozen,
}

impl Stub {
    fn name(self) -> &'static str {
        match self {
            Self::Exits => "exits",
            Self::Silent => "silent",
            Self::Babbles => "babbles",
            Self::Boasts => "boasts",
            Self::Impersonates(_) => "impersonates",
            Self::NeverReady => "never-ready",
            Self::NeverActive => "never-active",
            Self::Desperate => "desperate",
            Self::Picky => "picky",
            Self::NextRelease => "next-release",
            Self::Foreign => "foreign",
            Self::Frozen => "frozen",
        }
    }
}

/// Puts a stub in the place of a child's program, for its lives from now on.
///
/// # Panics
/// When the home uses the programs of the build.
pub fn misbehave(home: &Home, child: ChildName, stub: Stub) {
    let built = built_programs();
    let script = match stub {
        Stub::Frozen => {
            let program = built.join(format!("openclaw-{child}"));
            format!("#!/bin/sh\nkill -STOP $$\nexec {}\n", program.display())
        }
        Stub::Impersonates(other) => {
            let program = built.join("openclaw-test-stub");
            format!(
                "#!/bin/sh\nexec {} {child} {} {other}\n",
                program.display(),
                stub.name()
            )
        }
        Stub::Exits
        | Stub::Silent
        | Stub::NextRelease
        | Stub::Foreign
        | Stub::Babbles
        | Stub::Boasts
        | Stub::NeverReady
        | Stub::NeverActive
        | Stub::Desperate
        | Stub::Picky => {
            let program = built.join("openclaw-test-stub");
            format!(
                "#!/bin/sh\nexec {} {child} {}\n",
                program.display(),
                stub.name()
            )
        }
    };
    home.replace_program(child, &script);
}

/// Waits until a process has become the stub that takes its place, and has taken over what it inherits.
///
/// Before that it is a shell that reads the script, which a test must not change under it.
pub async fn has_become(pid: i32, stub: Stub) {
    eventually(&format!("{pid} has become the stub"), async || {
        let process = process::find(pid).ok_or("it is gone")?;
        let arguments = process::arguments(pid);
        let is_stub = || arguments.iter().any(|argument| argument == stub.name()) && waits(pid);
        let is_there = if stub == Stub::Frozen {
            process.is_stopped
        } else {
            is_stub()
        };
        if is_there {
            Ok(())
        } else {
            Err("it is not there yet")
        }
    })
    .await;
}

/// Whether a stub has come to where it waits: in the system's list of events.
fn waits(pid: i32) -> bool {
    let descriptors = procfs::process::Process::new(pid).and_then(|process| process.fd());
    descriptors.is_ok_and(|all| {
        all.flatten()
            .any(|descriptor| format!("{:?}", descriptor.target).contains("eventpoll"))
    })
}

/// Kills a process and waits until it is gone.
pub async fn kill(pid: i32) {
    process::send(pid, Signal::SIGKILL);
    eventually("a killed process is gone", async || {
        process::find(pid).map_or(Ok(()), |process| Err(format!("{process:?}")))
    })
    .await;
}

/// Stops a process, as a machine that swaps does, and waits until it stands still.
pub async fn freeze(pid: i32) {
    process::send(pid, Signal::SIGSTOP);
    eventually("a process stands still", async || {
        match process::find(pid) {
            Some(process) if process.is_stopped => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Lets a stopped process go on.
pub fn thaw(pid: i32) {
    process::send(pid, Signal::SIGCONT);
}
