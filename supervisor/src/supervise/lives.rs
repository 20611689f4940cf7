//! The processes of all lives: spawned, spoken to, killed, reaped.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use openclaw_shared::control::{ChildName, Generation, ToChild};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};

use super::spawn::{self, Recipe};

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
    kill: Option<oneshot::Sender<()>>,
    orders: Option<mpsc::Sender<ToChild>>,
    /// Whether something that it said may still be on its way to us.
    is_heard: bool,
    /// How it ended, until everything it said has arrived.
    end: Option<String>,
    /// What it said before it died, which tells more than its exit status.
    last_words: Option<String>,
}

/// Every process that lives, or whose end has not been told yet.
#[derive(Debug)]
pub(crate) struct Lives {
    lives: BTreeMap<(ChildName, Generation), Life>,
    ended: mpsc::Sender<Ended>,
}

impl Lives {
    /// No process yet; ends are told to `ended`.
    pub(crate) const fn new(ended: mpsc::Sender<Ended>) -> Self {
        Self {
            lives: BTreeMap::new(),
            ended,
        }
    }

    /// Starts a process.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn start(&mut self, recipe: Recipe<'_>) -> io::Result<u32> {
        let key = (recipe.child, recipe.generation);
        let process = spawn::spawn(recipe)?;
        let pid = process
            .id()
            .ok_or_else(|| io::Error::other("it ended at once"))?;
        let (kill, killed) = oneshot::channel();
        tokio::spawn(reap(process, key, killed, self.ended.clone()));
        let life = Life {
            pid,
            kill: Some(kill),
            orders: None,
            is_heard: false,
            end: None,
            last_words: None,
        };
        self.lives.insert(key, life);
        Ok(pid)
    }

    /// Ends a process with SIGKILL. The signal is sent by the task that reaps it, so it cannot reach a stranger who got the
    /// same process id.
    pub(crate) fn kill(&mut self, child: ChildName, generation: Generation) {
        let kill = self
            .lives
            .get_mut(&(child, generation))
            .and_then(|life| life.kill.take());
        if let Some(kill) = kill {
            // When the task has ended, so has the process.
            let _ = kill.send(());
        }
    }

    /// Whether this process id belongs to this life.
    pub(crate) fn is(&self, child: ChildName, generation: Generation, pid: Option<u32>) -> bool {
        let life = self.lives.get(&(child, generation));
        // A system that does not tell the peer's process id still told its user.
        life.is_some_and(|life| life.orders.is_none() && pid.is_none_or(|pid| pid == life.pid))
    }

    /// A life can be spoken to from now on.
    pub(crate) fn connect(
        &mut self,
        child: ChildName,
        generation: Generation,
        orders: mpsc::Sender<ToChild>,
    ) {
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
        if orders.try_send(order).is_err() {
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

    /// The process ids of all lives.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.lives.values().map(|life| life.pid).collect()
    }
}

async fn reap(
    mut process: Child,
    (child, generation): (ChildName, Generation),
    killed: oneshot::Receiver<()>,
    ended: mpsc::Sender<Ended>,
) {
    let status = tokio::select! {
        status = process.wait() => status,
        Ok(()) = killed => {
            // It may have ended meanwhile; then there is nothing to kill.
            let _ = process.start_kill();
            process.wait().await
        }
    };
    let how = match status {
        Ok(status) => describe(status),
        Err(error) => format!("its end could not be learned: {error}"),
    };
    // The loop that owns everything outlives its children, unless it is ending itself.
    let _ = ended
        .send(Ended {
            child,
            generation,
            how,
        })
        .await;
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it exited with code {code}"),
        (None, Some(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal)
                .map_or_else(|_| signal.to_string(), |signal| signal.as_str().to_owned());
            format!("it was killed by {name}")
        }
        (None, None) => "it ended".to_owned(),
    }
}
