//! The life of a supervisor: it begins by itself or goes on for a program before it, waits for whatever can happen, and ends or hands
//! over.

use std::time::Duration;

use openclaw_shared::control::ChildName;
use openclaw_shared::exit::Exit;
use openclaw_shared::log;
use openclaw_shared::paths::RunPaths;
use tokio::sync::mpsc;

use super::channel::{Arrival, Freeze};
use super::doors::{Doors, Sockets};
use super::signals::{self, Signals};
use super::start::{self, RunOptions};
use super::upgrade::arrive::arrive;
use super::upgrade::handed::{HandOver, HandedOver, Unexecuted};
use super::upgrade::image::Image;
use super::{Supervisor, Waking};
use crate::settings::Refusal;

/// Arrivals that may wait for the loop; senders wait when it is full.
const MAX_ARRIVALS: usize = 256;
/// How long a signal may take from the system to the loop.
const LAST_SIGNAL: Duration = Duration::from_millis(10);

/// How a life begins.
#[derive(Debug)]
pub(crate) enum Begin<'a> {
    /// By itself.
    Cold,
    /// With what the program before has handed over.
    HandedOver(&'a HandedOver),
    /// With what this very program could not hand over.
    Unexecuted(Box<Unexecuted>),
}

/// How a life ended.
#[derive(Debug)]
pub(crate) enum Left {
    /// For good.
    Ended(Exit),
    /// For whoever goes on.
    HandOver(Box<HandOver>),
}

/// What tasks say something to the loop by.
#[derive(Debug)]
pub(super) struct Wires {
    pub(super) arrivals: mpsc::Sender<Arrival>,
    pub(super) nudge: mpsc::Sender<()>,
}

/// A life that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) supervisor: Supervisor,
    pub(super) doors: Doors,
    pub(super) signals: Signals,
    pub(super) log: log::Guard,
}

/// Runs an instance until it is told to stop, cannot be kept alive, or another program is to go on with it.
///
/// # Errors
/// When it does not start at all; nothing has been changed then.
pub(crate) async fn run(options: RunOptions, begin: Begin<'_>) -> Result<Left, Refusal> {
    let (arrivals, mut arrived) = mpsc::channel(MAX_ARRIVALS);
    let (nudge, mut nudges) = mpsc::channel(1);
    let wires = Wires { arrivals, nudge };
    let Begun {
        mut supervisor,
        doors,
        mut signals,
        log: _log,
    } = match begin {
        Begin::Cold => cold(options, wires).await?,
        Begin::HandedOver(handed) => {
            let document = handed
                .document()
                .map_err(|why| Refusal::new(Exit::Failure, why))?;
            arrive(options, document, handed.back(), wires, || handed.taken())?
        }
        Begin::Unexecuted(unexecuted) => {
            let Unexecuted { document, why } = *unexecuted;
            arrive(options, document, Some(why), wires, || {})?
        }
    };
    let settings = supervisor.settings_in_force();
    let run_dir = settings.instance.run_dir.clone();
    if supervisor.is_ready {
        // What another program has begun is gone on with.
        supervisor.tailscale.wish(settings.publication);
    }
    drop(settings);
    loop {
        supervisor.tell_the_gateway();
        if let Some(exit) = supervisor.exit {
            supervisor.tailscale.end().await;
            remove_sockets(&run_dir);
            return Ok(Left::Ended(exit));
        }
        if let Some(cause) = supervisor.may_leave() {
            signals::hold();
            // What reached the handlers before that is answered here; what comes later waits for whoever goes on.
            if let Ok(asked) = tokio::time::timeout(LAST_SIGNAL, signals.next()).await {
                signals::release();
                supervisor.wake(Waking::Signalled(asked));
                continue;
            }
            let left = supervisor.leave(arrived, doors, cause).await;
            return left
                .map(|left| Left::HandOver(Box::new(left)))
                .map_err(|error| {
                    Refusal::new(
                        Exit::Failure,
                        format!("nothing can be handed over: {error}"),
                    )
                });
        }
        let next_due = supervisor.next_due();
        let waking = tokio::select! {
            asked = signals.next() => Waking::Signalled(asked),
            Some(arrival) = arrived.recv() => Waking::Arrived(arrival),
            Some(()) = nudges.recv() => Waking::Nudged,
            () = sleep_until(next_due) => Waking::Due,
        };
        supervisor.wake(waking);
    }
}

async fn cold(options: RunOptions, wires: Wires) -> Result<Begun, Refusal> {
    let failed = |what: &str, error: std::io::Error| {
        Refusal::new(Exit::Failure, format!("{what}: {error}."))
    };
    let image = Image::of_process(
        std::env::args_os().next().as_deref(),
        options
            .environment
            .all()
            .get(std::ffi::OsStr::new("PATH"))
            .map(|path| &**path),
        options.environment.working_dir(),
    )
    .map_err(|error| failed("The file of this program cannot be found", error))?;
    let prepared = start::prepare(&options).await?;
    let signals = Signals::install(None).map_err(|error| failed("No signal handlers", error))?;
    start::check_programs(&prepared.settings, &image.folder())?;
    let sockets = Sockets::bind(&prepared.settings.instance.run_dir)
        .map_err(|error| failed("A local socket cannot be bound", error))?;
    let (stop, freeze) = Freeze::new();
    let doors = Doors::open(sockets, Vec::new(), &wires.arrivals, (stop, freeze.clone()));
    let (mut supervisor, log) = Supervisor::new(prepared, options, image, wires, freeze);
    supervisor.has_terminal = signals.has_terminal();
    supervisor.launch();
    Ok(Begun {
        supervisor,
        doors,
        signals,
        log,
    })
}

async fn sleep_until(moment: Option<std::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Leaves no socket files behind; after a crash the next start finds that nobody answers on them.
fn remove_sockets(run_dir: &std::path::Path) {
    let paths = RunPaths(run_dir);
    let of_children = ChildName::ALL
        .into_iter()
        .flat_map(|child| [paths.control(child), paths.service(child)]);
    for path in of_children.chain([paths.supervisor()]) {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(target: "supervisor", path = %path.display(), %error, "socket file stays");
        }
    }
}
