//! The processes of all lives: spawned, spoken to, killed, reaped.

//!
//! A process is known by its number alone, so that a successor of the supervisor in the same process can go on with it. The number
//! stays its own until [`Lives::reap`] has learned of its end, and nobody else reaps.

use std::collections::BTreeMap;
use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use openclaw_shared::control::{ChildName, Generation, ToChild};

use super::channel::Orders;
use super::spawn::{self, Recipe};
use super::upgrade::image::FileId;

pub(crate) mod kept;

/// The end of a process.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) child: ChildName,
    pub(crate) generation: Generation,
    pub(crate) how: String,
}

#[derive(Debug)]
struct Life {
    pid: u32,
    /// The file that it runs from.
    program: Option<FileId>,
    orders: Option<Orders>,
    /// Whether its end has been learned; its number may be somebody else's since.
    is_reaped: bool,
    /// Whether something that it said may still be on its way to us.
    is_heard: bool,
    /// How it ended, until everything it said has arrived.
    end: Option<String>,
    /// What it said before it died, which tells more than its exit status.
    last_words: Option<String>,
}

impl Life {
    const fn of(pid: u32, program: Option<FileId>) -> Self {
        Self {
            pid,
            program,
            orders: None,
            is_reaped: false,
            is_heard: false,
            end: None,
            last_words: None,
        }
    }
}

/// Every process that lives, or whose end has not been told yet.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    lives: BTreeMap<(ChildName, Generation), Life>,
}

impl Lives {
    /// Starts a process.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn start(&mut self, recipe: Recipe<'_>) -> io::Result<u32> {
        let key = (recipe.child, recipe.generation);
        let program = FileId::at(&spawn::program(recipe.programs, recipe.child));
        let pid = spawn::spawn(recipe)?.id();
        self.lives.insert(key, Life::of(pid, program));
        Ok(pid)
    }

    /// The processes that have ended since this was asked last. To be asked whenever the system says that some child has.
    pub(crate) fn reap(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        for ((child, generation), life) in &mut self.lives {
            if life.is_reaped {
                continue;
            }
            if let Some(how) = end_of(life.pid) {
                life.is_reaped = true;
                ended.push(Ended {
                    child: *child,
                    generation: *generation,
                    how,
                });
            }
        }
        ended
    }

    /// Ends a process with SIGKILL, unless it has ended: then its number may be a stranger's.
    pub(crate) fn kill(&self, child: ChildName, generation: Generation) {
        if let Some(life) = self.lives.get(&(child, generation))
            && !life.is_reaped
            && let Some(pid) = number(life.pid)
        {
            // One that ended a moment ago is still ours, and does not mind.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    /// Whether this process id belongs to this life.
    pub(crate) fn is(&self, child: ChildName, generation: Generation, pid: Option<u32>) -> bool {
        let life = self.lives.get(&(child, generation));
        // A system that does not tell the peer's process id still told its user.
        life.is_some_and(|life| life.orders.is_none() && pid.is_none_or(|pid| pid == life.pid))
    }

    /// A life can be spoken to from now on.
    pub(crate) fn connect(&mut self, child: ChildName, generation: Generation, orders: Orders) {
        if let Some(life) = self.lives.get_mut(&(child, generation)) {
            life.orders = Some(orders);
            life.is_heard = true;
        }
    }

    /// A process has ended. Gives back how, when nothing that it said is on its way any more; [`Lives::silent`] does otherwise,
    /// so that its last words are known before its end is acted upon.
    pub(crate) fn ended(
        &mut self,
        child: ChildName,
        generation: Generation,
        how: String,
    ) -> Option<String> {
        match self.lives.get_mut(&(child, generation)) {
            Some(life) if life.is_heard => {
                life.end = Some(how);
                None
            }
            Some(_) | None => Some(how),
        }
    }

    /// Everything that a life said has arrived. Gives back how it ended, when it has.
    pub(crate) fn silent(&mut self, child: ChildName, generation: Generation) -> Option<String> {
        let life = self.lives.get_mut(&(child, generation))?;
        life.is_heard = false;
        life.end.take()
    }

    /// Says something to a life. A child that takes no orders is found by its heartbeat, so an order that does not fit is dropped.
    pub(crate) fn tell(&self, child: ChildName, generation: Generation, order: ToChild) {
        let Some(orders) = self
            .lives
            .get(&(child, generation))
            .and_then(|life| life.orders.as_ref())
        else {
            return;
        };
        if !orders.give(order) {
            tracing::warn!(target: "supervisor", %child, %generation, "the child takes no orders");
        }
    }

    /// Keeps what a life said before it dies.
    pub(crate) fn last_words(&mut self, child: ChildName, generation: Generation, words: String) {
        if let Some(life) = self.lives.get_mut(&(child, generation)) {
            life.last_words = Some(words);
        }
    }

    /// Forgets a life whose end was told, and gives back its last words.
    pub(crate) fn forget(&mut self, child: ChildName, generation: Generation) -> Option<String> {
        self.lives
            .remove(&(child, generation))
            .and_then(|life| life.last_words)
    }

    /// The process id of a life.
    pub(crate) fn pid(&self, child: ChildName, generation: Generation) -> Option<u32> {
        self.lives.get(&(child, generation)).map(|life| life.pid)
    }

    /// The file that a life runs from.
    pub(crate) fn program(&self, child: ChildName, generation: Generation) -> Option<FileId> {
        self.lives.get(&(child, generation))?.program
    }

    /// The process ids of all lives.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.lives.values().map(|life| life.pid).collect()
    }
}

fn number(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().map(Pid::from_raw)
}

/// How a process of ours has ended, when it has.
fn end_of(pid: u32) -> Option<String> {
    let waited = number(pid).map_or(Err(Errno::ESRCH), |pid| {
        waitpid(pid, Some(WaitPidFlag::WNOHANG))
    });
    match waited {
        Ok(WaitStatus::Exited(_, code)) => Some(format!("it exited with code {code}")),
        Ok(WaitStatus::Signaled(_, signal, _)) => {
            Some(format!("it was killed by {}", signal.as_str()))
        }
        // Nobody asked to hear of stops, and one that was stopped lives.
        Ok(_) | Err(Errno::EINTR) => None,
        Err(error) => Some(format!("its end could not be learned: {error}")),
    }
}
