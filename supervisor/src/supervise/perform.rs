//! Performs what the core decides.

use std::collections::BTreeSet;

use openclaw_shared::clock::Moment;
use openclaw_shared::config::Outcome;
use openclaw_shared::control::{
    ChildName, CliReply, Drain, Generation, Launch, Reloaded, StopReason, ToChild,
};
use openclaw_shared::paths::RunPaths;
use openclaw_shared::recovery::Rung;
use tokio::sync::oneshot;

use super::channel::Greeting;
use super::child::{self, Revision};
use super::fleet::{self, Action};
use super::notify::{self, Notice};
use super::recovery::{Ending, climbs};
use super::spawn::Recipe;
use super::{Due, Supervisor, Until, WaitsFor, last_good, listeners};
use openclaw_shared::child::inheritance::Use;
use openclaw_shared::control::ConfigState;

use super::view::ConfigView;

/// When clients may expect to be served again after they lost a predecessor; its successor serves already.
const RESTART_EXPECTED_MS: u64 = 1_500;

impl Supervisor {
    /// Puts an event to the core and performs what comes back.
    pub(super) fn happen(&mut self, event: fleet::Event) {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let ending = Ending::of(&event, &self.fleet);
            let was_changing = self.fleet.is_changing();
            let actions = self.fleet.on(Moment::now(), event, jitter());
            // Told before anything is done about it, so that the log reads in the order of things.
            for climb in climbs(ending, &actions, self.is_ready) {
                self.climb(&climb);
            }
            let is_told = |action: &Action| match action {
                Action::InForce(_) | Action::Restarted(..) => true,
                Action::Child(..)
                | Action::Reload(..)
                | Action::RolledBack { .. }
                | Action::GaveUp(..)
                | Action::Finish(_) => false,
            };
            let ended_untold =
                was_changing && !self.fleet.is_changing() && !actions.iter().any(is_told);
            for action in actions {
                events.extend(self.perform(action));
            }
            if ended_untold && self.is_ready && !self.fleet.is_stopping() {
                self.way_back_failed();
            }
        }
    }

    /// Performs one action; what happens by it at once comes back as an event.
    fn perform(&mut self, action: Action) -> Option<fleet::Event> {
        match action {
            Action::Child(name, action) => {
                return self
                    .perform_child(name, action)
                    .map(|event| fleet::Event::Child(name, event));
            }
            Action::Reload(child, generation, revision) => {
                self.reload(child, generation, revision);
            }
            Action::InForce(revision) => {
                let mut trace = self.traces.of(revision);
                trace.within(|| self.in_force(revision));
                self.traces.end(revision);
            }
            Action::RolledBack { from, to, why } => {
                let mut trace = self.traces.of(from);
                trace.within(|| self.rolled_back(from, to, &why));
                self.traces.end(from);
            }
            Action::Restarted(children, result) => self.restarted(&children, &result),
            // The ladder tells it.
            Action::GaveUp(..) => {}
            Action::Finish(exit) => {
                tracing::info!(target: "supervisor", code = exit.code(), meaning = exit.meaning(), "stopped");
                self.keep_end(exit);
                self.exit = Some(exit);
            }
        }
        None
    }

    fn perform_child(&mut self, name: ChildName, action: child::Action) -> Option<child::Event> {
        match action {
            child::Action::Spawn(generation, revision) => {
                let mut trace = self.traces.of(revision);
                let spawned = trace.within(|| self.spawn(name, generation, revision));
                return spawned.err().map(|error| {
                    child::Event::Exited(generation, format!("it could not be started: {error}"))
                });
            }
            child::Action::Activate(generation) => {
                self.lives.tell(name, generation, ToChild::Activate);
            }
            child::Action::Drain(generation, reason) => {
                tracing::info!(target: "supervisor", child = %name, %generation, ?reason, "draining");
                let restart_expected_ms = match reason {
                    StopReason::Replaced => Some(RESTART_EXPECTED_MS),
                    StopReason::Stop | StopReason::Disabled => None,
                };
                let settings = self.settings_in_force();
                let drain = Drain {
                    reason,
                    budget: settings.timing.drain.mul_f64(0.9),
                    restart_expected_ms,
                    credentials: settings.credentials_for(name),
                };
                self.lives.tell(name, generation, ToChild::Drain(drain));
            }
            child::Action::Kill(generation) => {
                tracing::warn!(target: "supervisor", child = %name, %generation, "killing");
                self.lives.kill(name, generation);
            }
            child::Action::AskAlive(generation) => {
                let order = ToChild::AreYouAlive { beat: generation.0 };
                self.lives.tell(name, generation, order);
            }
            child::Action::Arm(timer, delay) => self.arm(delay, Due::Child(name, timer)),
            // The fleet keeps these to itself.
            child::Action::Settled(..) | child::Action::Escalate(_) => {}
        }
        None
    }

    fn spawn(
        &mut self,
        child: ChildName,
        generation: Generation,
        revision: Revision,
    ) -> std::io::Result<()> {
        let settings = self.settings_of(revision);
        let programs = self.upgrade.image.folder();
        let mut sockets = self.listeners.of(&settings.instance, child);
        sockets.push((Use::Lock, self.claims.inherited()));
        let recipe = Recipe {
            child,
            generation,
            programs: &programs,
            environment: &self.environment,
            control: RunPaths(&settings.instance.run_dir).control(child),
            sockets,
        };
        let pid = self.lives.start(recipe)?;
        tracing::info!(target: "supervisor", %child, %generation, pid, "child started");
        Ok(())
    }

    /// A process says that it is a child: it is, when this supervisor spawned it as that.
    pub(super) fn greeted(&mut self, greeting: Greeting) {
        let Greeting {
            child,
            generation,
            pid,
            channel,
        } = greeting;
        if !self.lives.is(child, generation, pid) {
            tracing::warn!(target: "supervisor", %child, %generation, pid, "a stranger's hello was refused");
            return;
        }
        let orders = channel.open(
            child,
            generation,
            self.arrivals.clone(),
            self.freeze.clone(),
        );
        self.lives.connect(child, generation, orders);
        let revision = self
            .fleet
            .child(child)
            .revision_of(generation)
            .unwrap_or(self.in_force);
        let settings = self.settings_of(revision);
        let launch = Launch {
            child,
            generation,
            config: settings.config_for(child),
            credentials: settings.credentials_for(child),
            logging: settings.logging.clone(),
            local_sockets: listeners::local_sockets(&settings.instance),
            instance: settings.instance.clone(),
            fleet: self.view(),
        };
        self.lives
            .tell(child, generation, ToChild::Launch(Box::new(launch)));
    }

    fn reload(&self, child: ChildName, generation: Generation, revision: Revision) {
        let settings = self.settings_of(revision);
        let reloaded = Reloaded {
            instance: settings.instance.clone(),
            config: settings.config_for(child),
            credentials: settings.credentials_for(child),
            logging: settings.logging.clone(),
            trace: self.traces.of(revision).id(),
        };
        self.lives
            .tell(child, generation, ToChild::Reload(Box::new(reloaded)));
    }

    fn in_force(&mut self, revision: Revision) {
        self.in_force = revision;
        self.rolling.take_if(|rolling| *rolling == revision);
        let rolling = self.rolling;
        let settings = self.settings_in_force();
        self.settings
            .retain(|kept, _| *kept == revision || rolling.is_some_and(|newest| *kept <= newest));
        self.fleet.set_timing(settings.timing);
        self.listeners
            .release_others(&settings.instance, &settings.children);
        notify::tell(Notice::Ready, &self.serving());
        if self.is_ready {
            tracing::info!(target: "config", "configuration in force");
        } else {
            self.is_ready = true;
            tracing::info!(
                target: "gateway",
                port = settings.instance.ports.gateway,
                pid = std::process::id(),
                "listening on ws://127.0.0.1:{}", settings.instance.ports.gateway
            );
        }
        self.settle_rewrites(revision, None);
        self.keep_watch();
        self.tailscale.wish(settings.publication);
        if settings.config_exists
            && let Err(error) =
                last_good::keep(&settings.instance.identity.state_dir, &settings.source)
        {
            tracing::warn!(target: "config", %error, "the last-known-good configuration cannot be kept");
        }
        for waits_for in self.over(|until| until.is_revision_up_to(revision)) {
            match waits_for {
                WaitsFor::Restart(reply) => done(reply, "The configuration is in force."),
                WaitsFor::Change(asker, outcome) => self.tell_outcome(asker, outcome),
            }
        }
    }

    fn rolled_back(&mut self, from: Revision, to: Revision, why: &str) {
        let was_launch = !self.is_ready;
        let state = if was_launch {
            ConfigState::Degraded
        } else {
            ConfigState::Rejected
        };
        self.config = ConfigView::not_ok(state, why.to_owned());
        self.in_force = to;
        self.rolling.take_if(|rolling| *rolling == from);
        let kept = self.settle_rewrites(from, Some(why));
        self.config.rung = if was_launch {
            Rung::LastGood
        } else {
            Rung::RolledBack
        };
        let outcome = Outcome::RolledBack {
            reason: why.to_owned(),
            kept: kept.map(|kept| kept.display().to_string()),
        };
        for waits_for in self.over(|until| until.is_revision_up_to(from)) {
            match waits_for {
                WaitsFor::Restart(reply) => failed(reply, &outcome.to_string()),
                WaitsFor::Change(asker, _) => self.tell_outcome(asker, outcome.clone()),
            }
        }
    }

    /// Neither a change nor the way back from it came about everywhere. Nothing is under way any more, which the service manager would wait
    /// for until it loses patience.
    fn way_back_failed(&self) {
        tracing::error!(target: "config", "the configuration before could not be brought back to every process; what serves goes on, and the rest is started again");
        notify::tell(Notice::Ready, &self.serving());
    }

    fn restarted(&mut self, children: &BTreeSet<ChildName>, result: &Result<(), String>) {
        notify::tell(Notice::Ready, &self.serving());
        match result {
            Ok(()) => tracing::info!(target: "supervisor", "restarted"),
            Err(why) => {
                tracing::error!(target: "supervisor", error = %why, "restart failed; the predecessor serves on");
            }
        }
        for waits_for in self.over(|until| until.is_restart_among(children)) {
            match (waits_for, result) {
                (WaitsFor::Restart(reply), Ok(())) => done(reply, "Restarted."),
                (WaitsFor::Restart(reply), Err(why)) => failed(
                    reply,
                    &format!("The successor was discarded, the predecessor serves on: {why}."),
                ),
                // A change always has a revision, and ends with it.
                (WaitsFor::Change(asker, outcome), _) => self.tell_outcome(asker, outcome),
            }
        }
    }

    /// What there is to see for whoever looks at the service.
    pub(super) fn serving(&self) -> String {
        let settings = self.settings_in_force();
        let addresses = self
            .listeners
            .describe(&settings.instance, &settings.children);
        format!("serving: {}", addresses.join(", "))
    }

    /// Takes out those whose waiting is over.
    fn over(&mut self, is_over: impl Fn(&Until) -> bool) -> Vec<WaitsFor> {
        self.waiters
            .extract_if(.., |waiter| is_over(&waiter.until))
            .map(|waiter| waiter.waits_for)
            .collect()
    }

    pub(super) fn settings_of(
        &self,
        revision: Revision,
    ) -> std::sync::Arc<crate::settings::Settings> {
        self.settings
            .get(&revision)
            .map_or_else(|| self.settings_in_force(), std::sync::Arc::clone)
    }
}

/// Answers the command line; whoever asked may have left.
fn done(reply: oneshot::Sender<CliReply>, message: &str) {
    let message = message.to_owned();
    let _ = reply.send(CliReply::Done { message });
}

/// Answers the command line that it did not come about.
fn failed(reply: oneshot::Sender<CliReply>, message: &str) {
    let message = message.to_owned();
    let _ = reply.send(CliReply::Failed { message });
}

/// A number from 0 to 1.
fn jitter() -> f64 {
    // Without random numbers several instances may restart in step, which is harmless.
    getrandom::u32().map_or(0.0, |random| f64::from(random) / f64::from(u32::MAX))
}
