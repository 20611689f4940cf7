//! The supervisor: owns the ports, the instance's claims, the configuration and the signals; brings up the children and keeps them up.
//!
//! This file is the shell. It waits for whatever can happen, puts it to the core ([`fleet`]) as an event, and performs the
//! actions that come back. Nothing here decides about restarts.
//!
//! Invariant: one thread, one task that owns everything. Processes are spawned on it, because the parent-death signal follows
//! the thread that forks.

mod change;
mod channel;
pub(crate) mod child;
mod claims;
mod fleet;
mod intensity;
pub(crate) mod last_good;
mod listeners;
mod lives;
mod neighbours;
mod notify;
mod perform;
mod predecessor;
mod reload;
mod rewrite;
mod sample;
mod signals;
mod spawn;
mod start;
mod view;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::backoff::Backoff;
use openclaw_shared::clock::Moment;
use openclaw_shared::config::Outcome;
use openclaw_shared::control::{
    ChildName, CliReply, CliRequest, ConfigState, FleetStatus, Generation, InstanceStatus, ToChild,
    ToSupervisor,
};
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::{Environment, VERSION};
use openclaw_shared::log;
use openclaw_shared::memory;
use openclaw_shared::paths::RunPaths;
use tokio::sync::{mpsc, oneshot};

use self::channel::Arrival;
use self::child::{Revision, Timer};
use self::claims::Claims;
pub(crate) use self::claims::holder_of;
use self::fleet::Fleet;
use self::intensity::Limits;
use self::listeners::Listeners;
use self::lives::{Ended, Lives};
use self::notify::Notice;
use self::rewrite::{Asker, Rewrite};
use self::sample::Usage;
use self::signals::{Asked, Signals};
use self::start::Prepared;
pub(crate) use self::start::{RunOptions, read_token};
use self::view::ConfigView;
use self::watch::Watch;
use crate::settings::{Flags, Refusal, Settings};

/// Five failures within a minute are more than chance.
const LIMITS: Limits = Limits {
    restarts: 5,
    window: Duration::from_secs(60),
    backoff: Backoff {
        initial: Duration::from_millis(250),
        max: Duration::from_secs(10),
    },
};
/// How often memory and CPU of the children are sampled.
const SAMPLE_PERIOD: Duration = Duration::from_secs(60);
/// How long after a change the children are sampled, once they have settled.
const SETTLING: Duration = Duration::from_secs(1);
/// Arrivals that may wait for the loop; senders wait when it is full.
const MAX_ARRIVALS: usize = 256;

/// Everything that can wake the loop.
#[derive(Debug)]
enum Waking {
    Signalled(Asked),
    Ended(Ended),
    Arrived(Arrival),
    Nudged,
    Due,
}

/// What a moment in the future is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Child(ChildName, Timer),
    Reload,
    Sample,
    Watchdog,
}

/// Who waits for a revision to be in force, or for a restart to end.
#[derive(Debug)]
struct Waiter {
    until: Until,
    waits_for: WaitsFor,
}

/// What ends somebody's waiting.
#[derive(Debug)]
enum Until {
    /// This configuration, or a later one, is in force, or is not and never will be.
    Revision(Revision),
    /// All of these have been replaced on the configuration in force, or could not be.
    Restart(BTreeSet<ChildName>),
}

impl Until {
    fn is_revision_up_to(&self, ended: Revision) -> bool {
        match self {
            Self::Revision(revision) => *revision <= ended,
            Self::Restart(_) => false,
        }
    }

    fn is_restart_among(&self, ended: &BTreeSet<ChildName>) -> bool {
        match self {
            Self::Revision(_) => false,
            Self::Restart(children) => children.is_subset(ended),
        }
    }
}

/// What somebody waits for.
#[derive(Debug)]
enum WaitsFor {
    /// The end of a restart.
    Restart(oneshot::Sender<CliReply>),
    /// The end of a change of the configuration, and what there is to say when it is in force.
    Change(Asker, Outcome),
}

/// The running supervisor.
#[derive(Debug)]
struct Supervisor {
    started: Moment,
    programs: PathBuf,
    environment: Environment,
    flags: Flags,
    claims: Claims,
    listeners: Listeners,
    lives: Lives,
    fleet: Fleet,
    /// Every configuration that a life runs on, or may run on again.
    settings: BTreeMap<Revision, Arc<Settings>>,
    in_force: Revision,
    /// The newest configuration on its way to be in force.
    rolling: Option<Revision>,
    last_revision: Revision,
    config: ConfigView,
    /// Changes of the file that came through us and are not in force yet, the oldest first.
    rewrites: Vec<Rewrite>,
    /// The hash of the text that took the place of a rejected one. While the file says just that, the rejection is what there is to
    /// know of it.
    put_back: Option<String>,
    waiters: Vec<Waiter>,
    /// By time; the number keeps two of the same moment apart.
    due: BTreeMap<(Moment, u64), Due>,
    due_count: u64,
    watch: Watch,
    arrivals: mpsc::Sender<Arrival>,
    usage: BTreeMap<u32, Usage>,
    told: Option<FleetStatus>,
    is_ready: bool,
    exit: Option<Exit>,
}

/// Runs an instance until it is told to stop or cannot be kept alive.
///
/// # Errors
/// When it does not start at all; nothing has been changed then.
pub(crate) async fn run(options: RunOptions) -> Result<Exit, Refusal> {
    let prepared = start::prepare(&options).await?;
    let mut signals = Signals::install()
        .map_err(|error| Refusal::new(Exit::Failure, format!("No signal handlers: {error}.")))?;
    let (arrivals, mut arrived) = mpsc::channel(MAX_ARRIVALS);
    let (ended, mut endings) = mpsc::channel(MAX_ARRIVALS);
    let (nudge, mut nudges) = mpsc::channel(1);
    let run_dir = prepared.settings.instance.run_dir.clone();
    serve_sockets(&run_dir, &arrivals)?;
    let (mut supervisor, _log) = Supervisor::new(prepared, options, arrivals, ended, nudge)?;
    supervisor.launch();
    loop {
        if let Some(exit) = supervisor.exit {
            remove_sockets(&run_dir);
            return Ok(exit);
        }
        let next_due = supervisor
            .due
            .keys()
            .next()
            .map(|(moment, _)| moment.into_std());
        let waking = tokio::select! {
            asked = signals.next() => Waking::Signalled(asked),
            Some(ended) = endings.recv() => Waking::Ended(ended),
            Some(arrival) = arrived.recv() => Waking::Arrived(arrival),
            Some(()) = nudges.recv() => Waking::Nudged,
            () = sleep_until(next_due) => Waking::Due,
        };
        supervisor.wake(waking);
        supervisor.tell_the_gateway();
    }
}

async fn sleep_until(moment: Option<std::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

fn serve_sockets(
    run_dir: &std::path::Path,
    arrivals: &mpsc::Sender<Arrival>,
) -> Result<(), Refusal> {
    let paths = RunPaths(run_dir);
    let children = ChildName::ALL.into_iter().try_for_each(|child| {
        channel::serve_children(&paths.control(child), child, arrivals.clone())
    });
    children
        .and_then(|()| channel::serve_cli(&paths.supervisor(), arrivals.clone()))
        .map_err(|error| {
            Refusal::new(
                Exit::Failure,
                format!("A local socket cannot be bound: {error}."),
            )
        })
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

impl Supervisor {
    fn new(
        prepared: Prepared,
        options: RunOptions,
        arrivals: mpsc::Sender<Arrival>,
        ended: mpsc::Sender<Ended>,
        nudge: mpsc::Sender<()>,
    ) -> Result<(Self, log::Guard), Refusal> {
        let Prepared {
            settings,
            fallback,
            degraded,
            listeners,
            claims,
            log,
        } = prepared;
        let programs = std::env::current_exe()
            .ok()
            .and_then(|program| Some(program.parent()?.to_path_buf()))
            .ok_or_else(|| {
                Refusal::new(Exit::Failure, "The folder of the binaries is not known.")
            })?;
        for child in &settings.children {
            let program = spawn::program(&programs, *child);
            if !program.is_file() {
                return Err(Refusal::new(
                    Exit::Failure,
                    format!(
                        "{} is missing; install it beside `openclaw`.",
                        program.display()
                    ),
                ));
            }
        }
        let config = degraded.map_or_else(ConfigView::ok, |error| {
            ConfigView::not_ok(ConfigState::Degraded, error)
        });
        let mut supervisor = Self {
            started: Moment::now(),
            programs,
            environment: options.environment,
            flags: options.flags,
            claims,
            listeners,
            lives: Lives::new(ended),
            fleet: Fleet::new(LIMITS, settings.timing),
            settings: BTreeMap::new(),
            in_force: Revision(1),
            rolling: None,
            last_revision: Revision(1),
            config,
            rewrites: Vec::new(),
            put_back: None,
            waiters: Vec::new(),
            due: BTreeMap::new(),
            due_count: 0,
            watch: Watch::new(nudge),
            arrivals,
            usage: BTreeMap::new(),
            told: None,
            is_ready: false,
            exit: None,
        };
        supervisor.settings.insert(Revision(1), Arc::new(settings));
        if let Some(fallback) = fallback {
            supervisor.last_revision = Revision(2);
            supervisor.settings.insert(Revision(2), Arc::new(fallback));
        }
        Ok((supervisor, log))
    }

    fn launch(&mut self) {
        let settings = self.settings_in_force();
        self.watch.follow(settings.source.watched());
        for line in self
            .listeners
            .describe(&settings.instance, &settings.children)
        {
            tracing::info!(target: "supervisor", listener = %line, "bound");
        }
        let now = openclaw_shared::clock::WallTime::now();
        let log_file = log::current_file(&settings.logging, now);
        tracing::info!(
            target: "supervisor",
            pid = std::process::id(),
            version = VERSION,
            profile = settings.instance.identity.profile.name().unwrap_or("default"),
            state = %settings.instance.identity.display(&settings.instance.identity.state_dir),
            log_file = %settings.instance.identity.display(&log_file),
            "starting"
        );
        if let Some(period) = notify::watchdog_period() {
            self.arm(period, Due::Watchdog);
        }
        let fallback = self
            .settings
            .keys()
            .copied()
            .find(|revision| *revision != self.in_force);
        self.happen(fleet::Event::Launch {
            children: settings.children.clone(),
            revision: self.in_force,
            fallback,
        });
    }

    fn wake(&mut self, waking: Waking) {
        match waking {
            Waking::Signalled(asked) => self.signalled(asked),
            Waking::Ended(Ended {
                child,
                generation,
                how,
            }) => {
                let how = self.lives.ended(child, generation, how);
                self.exited(child, generation, how);
            }
            Waking::Arrived(Arrival::Silent(child, generation)) => {
                let how = self.lives.silent(child, generation);
                self.exited(child, generation, how);
            }
            Waking::Arrived(Arrival::Greeting(greeting)) => self.greeted(greeting),
            Waking::Arrived(Arrival::Said(child, generation, message)) => {
                self.said(child, generation, message);
            }
            Waking::Arrived(Arrival::Asked(request, reply)) => self.asked(request, reply),
            Waking::Nudged => {
                // Waits until the file is quiet: every further nudge begins the wait anew.
                self.due.retain(|_, due| *due != Due::Reload);
                self.arm(self.settings_in_force().debounce, Due::Reload);
            }
            Waking::Due => self.due(),
        }
    }

    /// A life is over, when there is a `how`.
    fn exited(&mut self, child: ChildName, generation: Generation, how: Option<String>) {
        let Some(how) = how else { return };
        let why = self.lives.forget(child, generation).unwrap_or(how);
        tracing::info!(target: "supervisor", %child, %generation, how = %why, "child ended");
        self.child(child, child::Event::Exited(generation, why));
    }

    fn signalled(&mut self, asked: Asked) {
        match asked {
            Asked::Stop | Asked::HangUp => {
                tracing::info!(target: "supervisor", ?asked, "stop requested by a signal");
                self.stop();
            }
            Asked::Restart => self.restart_signal(),
            Asked::Reload => self.reload_files(),
        }
    }

    /// SIGUSR1 reaches us from outside, also by way of a child; whether it may restart is the owner's word.
    fn restart_signal(&mut self) {
        if self.settings_in_force().may_restart_by_signal {
            tracing::info!(target: "supervisor", "restart requested by SIGUSR1");
            self.restart(&ChildName::ALL, None);
        } else {
            tracing::warn!(
                target: "supervisor",
                "SIGUSR1 restart ignored (not authorized; enable commands.restart or use `openclaw gateway restart`)"
            );
        }
    }

    fn stop(&mut self) {
        if !self.fleet.is_stopping() {
            notify::tell(Notice::Stopping, "stopping");
            self.defer_changes();
        }
        self.happen(fleet::Event::Stop);
    }

    fn due(&mut self) {
        let now = Moment::now();
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Due::Child(child, timer) => self.child(child, child::Event::Fired(timer)),
                Due::Reload => self.reload_files(),
                Due::Sample => {
                    self.usage = sample::usage(&self.lives.pids());
                    self.sample_in(SAMPLE_PERIOD);
                    memory::rest();
                }
                Due::Watchdog => {
                    notify::tell(Notice::Watchdog, "");
                    if let Some(period) = notify::watchdog_period() {
                        self.arm(period, Due::Watchdog);
                    }
                }
            }
        }
    }

    fn said(&mut self, child: ChildName, generation: Generation, message: ToSupervisor) {
        match message {
            ToSupervisor::Ready => self.child(child, child::Event::Ready(generation)),
            ToSupervisor::Activated => {
                self.child(child, child::Event::Activated(generation));
                self.sample_in(SETTLING);
            }
            ToSupervisor::Alive { .. } => self.child(child, child::Event::Alive(generation)),
            ToSupervisor::Reloaded { error } => {
                let result = error.map_or(Ok(()), Err);
                self.happen(fleet::Event::Reloaded(child, generation, result));
            }
            ToSupervisor::RestartSignal => self.restart_signal(),
            ToSupervisor::Drained => {
                tracing::debug!(target: "supervisor", %child, %generation, "child drained");
            }
            ToSupervisor::WriteConfig {
                ask,
                base_hash,
                text,
            } => {
                let asker = Asker::Child {
                    child,
                    generation,
                    ask,
                };
                self.write_config(base_hash.as_deref(), &text.0, asker);
            }
            ToSupervisor::Fatal { message } => self.lives.last_words(child, generation, message),
            ToSupervisor::Hello { .. } => {
                tracing::warn!(target: "supervisor", %child, %generation, "a second hello was ignored");
            }
        }
    }

    fn asked(&mut self, request: CliRequest, reply: oneshot::Sender<CliReply>) {
        // Whoever asked may have left; then nobody misses the answer.
        match request {
            CliRequest::Status => {
                self.usage = sample::usage(&self.lives.pids());
                let _ = reply.send(CliReply::Status(Box::new(self.status())));
            }
            CliRequest::Restart { child } => {
                let children = child.map_or_else(|| ChildName::ALL.to_vec(), |child| vec![child]);
                tracing::info!(target: "supervisor", ?children, "restart requested");
                self.restart(&children, Some(reply));
            }
            CliRequest::Stop => {
                tracing::info!(target: "supervisor", "stop requested");
                let message = "The instance is stopping.".to_owned();
                let _ = reply.send(CliReply::Done { message });
                self.stop();
            }
            CliRequest::WriteConfig { base_hash, text } => {
                self.write_config(base_hash.as_deref(), &text.0, Asker::CommandLine(reply));
            }
        }
    }

    fn status(&self) -> InstanceStatus {
        let settings = self.settings_in_force();
        let uptime = Moment::now().since(self.started);
        InstanceStatus {
            pid: std::process::id(),
            version: VERSION.to_owned(),
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            listening: self
                .listeners
                .describe(&settings.instance, &settings.children),
            instance: settings.instance.clone(),
            fleet: self.view(),
        }
    }

    fn view(&self) -> FleetStatus {
        let pid_of = |child, generation| self.lives.pid(child, generation);
        view::view(
            &self.fleet,
            &self.settings_in_force(),
            &self.config,
            pid_of,
            &self.usage,
        )
    }

    /// The gateway shows the fleet in `health`; it hears of every change.
    fn tell_the_gateway(&mut self) {
        let view = self.view();
        if self.told.as_ref() == Some(&view) {
            return;
        }
        for generation in self.fleet.child(ChildName::Gateway).living() {
            self.lives
                .tell(ChildName::Gateway, generation, ToChild::Fleet(view.clone()));
        }
        self.told = Some(view);
    }

    fn settings_in_force(&self) -> Arc<Settings> {
        let settings = self.settings.get(&self.in_force);
        Arc::clone(settings.expect("the settings in force are kept as long as they are in force"))
    }

    fn arm(&mut self, delay: Duration, due: Due) {
        self.due_count += 1;
        self.due
            .insert((Moment::now() + delay, self.due_count), due);
    }

    /// Samples once more after this time; an earlier plan is forgotten.
    fn sample_in(&mut self, delay: Duration) {
        self.due.retain(|_, due| *due != Due::Sample);
        self.arm(delay, Due::Sample);
    }

    fn child(&mut self, name: ChildName, event: child::Event) {
        self.happen(fleet::Event::Child(name, event));
    }
}
