//! The supervisor: owns the ports, the instance's claims, the configuration and the signals; brings up the children and keeps them up.
//!
//! This file is the shell. It waits for whatever can happen, puts it to the core ([`fleet`]) as an event, and performs the
//! actions that come back. Nothing here decides about restarts.
//!
//! Invariant: one thread, one task that owns everything. Processes are spawned on it, because the parent-death signal follows
//! the thread that forks.

pub(crate) mod bounds;
mod change;
mod channel;
pub(crate) mod child;
mod claims;
mod doors;
mod fleet;
mod intensity;
pub(crate) mod last_good;
pub(crate) mod life;
pub(crate) mod listeners;
mod lives;
pub(crate) mod neighbours;
mod notify;
mod perform;
mod predecessor;
mod recover;
mod recovery;
mod reload;
mod rewrite;
mod sample;
mod signals;
mod spawn;
pub(crate) mod start;
pub(crate) mod tailscale;
mod traces;
pub(crate) mod upgrade;
mod view;
pub(crate) mod vigil;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
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
use openclaw_shared::recovery::Rung;
use openclaw_shared::trace::Trace;
use tokio::sync::{mpsc, oneshot};

use self::channel::{Arrival, Freeze};
use self::child::{Revision, Timer};
use self::claims::Claims;
pub(crate) use self::claims::holder_of;
use self::fleet::Fleet;
use self::intensity::Limits;
use self::life::Wires;
use self::listeners::Listeners;
use self::lives::{Ended, Lives};
use self::notify::Notice;
use self::recover::Record;
pub(crate) use self::recover::last_stop;
use self::recovery::Climb;
use self::rewrite::{Asker, Rewrite};
use self::sample::Usage;
use self::signals::Asked;
use self::start::Prepared;
pub(crate) use self::start::{RunOptions, read_token};
use self::tailscale::Tailscale;
use self::traces::Traces;
use self::upgrade::image::Image;
use self::upgrade::{Caller, Upgrade};
use self::view::ConfigView;
use self::watch::Watch;
use crate::settings::{Flags, Settings};

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
/// Everything that can wake the loop.
#[derive(Debug)]
enum Waking {
    Signalled(Asked),
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
    /// What an upgrade waits for has taken too long.
    Upgrade,
    /// A minute has passed since the last step of the ladder.
    Quiet,
    /// A look at the memory of the children.
    Bounds,
    /// A look at the watched instance.
    Look,
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
    /// What the revisions on their way are rolled out for.
    traces: Traces,
    /// By time; the number keeps two of the same moment apart.
    due: BTreeMap<(Moment, u64), Due>,
    due_count: u64,
    watch: Watch,
    arrivals: mpsc::Sender<Arrival>,
    freeze: Freeze,
    upgrade: Upgrade,
    /// Whether the instance was started in a terminal.
    has_terminal: bool,
    usage: BTreeMap<u32, Usage>,
    record: Record,
    tailscale: Tailscale,
    told: Option<FleetStatus>,
    is_ready: bool,
    exit: Option<Exit>,
}

impl Supervisor {
    fn new(
        prepared: Prepared,
        options: RunOptions,
        image: Image,
        wires: Wires,
        freeze: Freeze,
    ) -> (Self, log::Guard) {
        let Prepared {
            settings,
            fallback,
            degraded,
            listeners,
            claims,
            log,
        } = prepared;
        let config = degraded.map_or_else(ConfigView::ok, |error| {
            ConfigView::not_ok(ConfigState::Degraded, error)
        });
        let mut supervisor = Self {
            started: Moment::now(),
            tailscale: Tailscale::new(&options.environment, &settings.instance.identity.state_dir),
            environment: options.environment,
            flags: options.flags,
            claims,
            listeners,
            lives: Lives::default(),
            fleet: Fleet::new(LIMITS, settings.timing),
            settings: BTreeMap::new(),
            in_force: Revision(1),
            rolling: None,
            last_revision: Revision(1),
            config,
            rewrites: Vec::new(),
            put_back: None,
            waiters: Vec::new(),
            traces: Traces::default(),
            due: BTreeMap::new(),
            due_count: 0,
            watch: signals::aside(|| Watch::new(wires.nudge)),
            arrivals: wires.arrivals,
            freeze,
            upgrade: Upgrade::new(image),
            has_terminal: false,
            usage: BTreeMap::new(),
            record: Record::recall(&settings.instance.identity.state_dir),
            told: None,
            is_ready: false,
            exit: None,
        };
        supervisor.settings.insert(Revision(1), Arc::new(settings));
        if let Some(fallback) = fallback {
            supervisor.last_revision = Revision(2);
            supervisor.settings.insert(Revision(2), Arc::new(fallback));
        }
        (supervisor, log)
    }

    fn launch(&mut self) {
        let settings = self.settings_in_force();
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
        self.watch.follow(settings.source.watched());
        if let Some(period) = notify::watchdog_period() {
            self.arm(period, Due::Watchdog);
        }
        if let Some(error) = self.config.error.clone() {
            self.climb(&Climb::of(self.config.rung, None, error));
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
            Waking::Arrived(Arrival::Silent(child, generation)) => {
                self.fell_silent(child, generation);
            }
            Waking::Arrived(Arrival::Greeting(greeting)) => self.greeted(greeting),
            Waking::Arrived(Arrival::Said(child, generation, message)) => {
                self.said(child, generation, message);
            }
            Waking::Arrived(Arrival::Asked(request, reply)) => self.asked(request, reply),
            Waking::Arrived(Arrival::Saw(profile, sight)) => self.saw(&profile, sight),
            Waking::Arrived(Arrival::Examined(answer)) => self.examined(answer),
            Waking::Arrived(Arrival::Replaced(result)) => self.replaced(result),
            Waking::Nudged => {
                // Waits until the file is quiet: every further nudge begins the wait anew.
                self.due.retain(|_, due| *due != Due::Reload);
                self.arm(self.settings_in_force().debounce, Due::Reload);
            }
            Waking::Due => self.due(),
        }
    }

    /// Learns which processes have ended.
    fn reap(&mut self) {
        for Ended {
            child,
            generation,
            how,
        } in self.lives.reap()
        {
            let how = self.lives.ended(child, generation, how);
            self.exited(child, generation, how);
        }
    }

    /// A life will say nothing more.
    fn fell_silent(&mut self, child: ChildName, generation: Generation) {
        let how = self.lives.silent(child, generation);
        self.exited(child, generation, how);
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
            Asked::Reap => self.reap(),
        }
    }

    /// SIGUSR1 reaches us from outside, also by way of a child; whether it may restart is the owner's word.
    fn restart_signal(&mut self) {
        if self.settings_in_force().may_restart_by_signal {
            tracing::info!(target: "supervisor", "restart requested by SIGUSR1");
            if self.upgrade.is_due() {
                self.ask_upgrade(None, false);
            } else {
                self.restart(&ChildName::ALL, None);
            }
        } else {
            tracing::warn!(
                target: "supervisor",
                "SIGUSR1 restart ignored (not authorized; enable commands.restart or use `openclaw gateway restart`)"
            );
        }
    }

    fn stop(&mut self) {
        if !self.fleet.is_stopping() {
            let settings = self.settings.get(&self.in_force);
            let drain = settings.map_or(Duration::ZERO, |settings| settings.timing.drain);
            let within = notify::budget_of_stop(drain);
            notify::tell(Notice::Stopping { within }, "stopping");
            self.defer_changes();
            self.abandon_upgrade();
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
                Due::Upgrade => self.upgrade_is_late(),
                Due::Quiet => self.quiet(),
                Due::Bounds => self.check_bounds(),
                Due::Look => self.look(),
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
                trace,
            } => {
                let asker = Asker::Child {
                    child,
                    generation,
                    ask,
                };
                Trace::from(trace)
                    .within(|| self.write_config(base_hash.as_deref(), &text.0, asker));
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
            CliRequest::Restart { child, trace } => {
                if child.is_none() && self.upgrade.is_due() {
                    tracing::info!(target: "upgrade", "restart requested, and the binaries on disk are others");
                    self.ask_upgrade(Some(Caller::Restart(reply)), false);
                    return;
                }
                let children = child.map_or_else(|| ChildName::ALL.to_vec(), |child| vec![child]);
                Trace::from(trace).within(|| {
                    tracing::info!(target: "supervisor", ?children, "restart requested");
                    self.restart(&children, Some(reply));
                });
            }
            CliRequest::Upgrade { check } => {
                tracing::info!(target: "upgrade", check, "upgrade requested");
                self.ask_upgrade(Some(Caller::Upgrade(reply)), check);
            }
            CliRequest::Stop => {
                tracing::info!(target: "supervisor", "stop requested");
                let message = "The instance is stopping.".to_owned();
                let _ = reply.send(CliReply::Done { message });
                self.stop();
            }
            CliRequest::WriteConfig {
                base_hash,
                text,
                trace,
            } => {
                let asker = Asker::CommandLine(reply);
                Trace::from(trace)
                    .within(|| self.write_config(base_hash.as_deref(), &text.0, asker));
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
            tailscale: self.tailscale.status(),
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
            &self.record,
            self.upgrade.status(),
        )
    }

    /// The gateway shows the fleet in `health`; it hears of every change.
    fn tell_the_gateway(&mut self) {
        let view = self.view();
        if self.told.as_ref() == Some(&view) {
            return;
        }
        for generation in self.fleet.child(ChildName::Gateway).living() {
            self.lives.tell(
                ChildName::Gateway,
                generation,
                ToChild::Fleet(Box::new(view.clone())),
            );
        }
        self.told = Some(view);
    }

    fn settings_in_force(&self) -> Arc<Settings> {
        let settings = self.settings.get(&self.in_force);
        Arc::clone(settings.expect("the settings in force are kept as long as they are in force"))
    }

    /// When there is something to do.
    fn next_due(&self) -> Option<std::time::Instant> {
        let first = self.due.keys().next();
        first.map(|(moment, _)| moment.into_std())
    }

    /// Looks again at everything that is looked at from time to time, after somebody else did.
    fn watch_everything(&mut self) {
        let settings = self.settings_in_force();
        self.watch.follow(settings.source.watched());
        if let Some(period) = notify::watchdog_period() {
            notify::tell(Notice::Watchdog, "");
            self.arm(period, Due::Watchdog);
        }
        self.sample_in(SETTLING);
        self.keep_watch();
        if self.view().recovery.rung != Rung::Well {
            self.await_quiet();
        }
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
