//! What every part of the gateway works with: the instance, the settings in force, the services, the hub.
//!
//! Each piece has its own short lock; none is held across an await, and no two are held at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_shared::child::Control;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::control::FleetStatus;
use openclaw_shared::credentials::{AuthMode, Credentials};
use openclaw_shared::instance::Instance;
use openclaw_shared::log::LogSettings;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::event;
use openclaw_shared::protocol::frame::RequestShape;
use openclaw_shared::protocol::params::health::{HealthSummary, StatusSummary};
use openclaw_shared::protocol::params::voicewake::VoicewakeTriggers;
use openclaw_shared::protocol::scope::Role;
use openclaw_shared::protocol::snapshot::StateVersion;
use tokio::sync::{Notify, watch};

use crate::auth::tailnet::Tailnet;
use crate::auth::throttle::Throttle;
use crate::connection::Caller;
use crate::connection::link::AdmittedBy;
use crate::connection::validate::Validator;
use crate::errands::Errands;
use crate::hub::Hub;
use crate::machine::Machine;
use crate::methods::Routes;
use crate::metrics::Metrics;
use crate::nodes;
use crate::pdf;
use crate::phase::Phases;
use crate::prepared::Prepared;
use crate::quiet::Quiet;
use crate::reception::Reception;
use crate::runs::Runs;
use crate::services::config::{ConfigFile, with_credentials};
use crate::services::devices::sightings::Sightings;
use crate::services::exec_approvals::waiting::Waiting;
use crate::services::health::Health;
use crate::services::idempotency::Idempotency;
use crate::services::listings::Listings;
use crate::services::models::ModelPool;
use crate::services::nodes::Nodes;
use crate::services::nodes::invokes::Invokes;
use crate::services::presence::Presence;
use crate::services::{overview, voicewake};
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// The reason that clients read whose secret is no longer the one.
const SECRET_CHANGED: &str = "shared secret changed";

/// The schemas of what is not a method.
#[derive(Debug)]
pub(crate) struct Validators {
    pub(crate) request: Validator,
    pub(crate) connect: Validator,
}

/// Who may come in, as of the last launch or reload.
#[derive(Debug)]
struct Gate {
    credentials: Option<Arc<Credentials>>,
    settings: Arc<Settings>,
    logging: LogSettings,
    /// Grows with every change of the secrets.
    secret_generation: u64,
}

/// Who may come in at this moment.
#[derive(Debug, Clone)]
pub(crate) struct Admittance {
    /// The shared secrets.
    pub(crate) credentials: Option<Arc<Credentials>>,
    /// The settings.
    pub(crate) settings: Arc<Settings>,
    /// Which secrets these are.
    pub(crate) secret_generation: u64,
}

/// The process, as its parts see it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) instance: Arc<Instance>,
    pub(crate) machine: Machine,
    pub(crate) started: Moment,
    pub(crate) hub: Hub,
    pub(crate) config: ConfigFile,
    pub(crate) store: Store,
    pub(crate) phases: Phases,
    pub(crate) tailnet: Tailnet,
    /// Where strangers wait their turn.
    pub(crate) reception: Reception,
    routes: Routes,
    validators: Validators,
    gate: Mutex<Gate>,
    throttle: Mutex<Throttle>,
    sightings: Mutex<Sightings>,
    strangers: Mutex<Quiet>,
    presence: Mutex<Presence>,
    health: Mutex<Health>,
    listings: Mutex<Listings>,
    nodes: Mutex<Nodes>,
    invokes: Mutex<Invokes>,
    approvals: Mutex<Waiting>,
    /// What is done to its end, whoever leaves meanwhile.
    pub(crate) errands: Errands,
    /// Whose turn it is to work with the file of what may be executed on this machine.
    pub(crate) exec_approvals_turn: Arc<tokio::sync::Mutex<()>>,
    /// Requests that must not be done twice.
    pub(crate) idempotency: Idempotency,
    /// Who answers for agents.
    pub(crate) models: ModelPool,
    /// Who reads what strangers send as PDFs.
    pub(crate) pdfs: pdf::Reader,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// What agents do.
    pub(crate) runs: Runs,
    /// What agents do among themselves.
    pub(crate) aftermath: crate::toolbox::aftermath::Aftermath,
    /// Jobs, when they are due.
    pub(crate) cron: crate::cron::Bells,
    /// What wakes agents by itself.
    pub(crate) pulse: crate::heartbeat::Pulse,
    /// Rings when a node has come, gone, been asked or answered, or somebody who waited for one has left.
    pub(crate) nodes_bell: Arc<Notify>,
    /// Rings when nobody waits for a node any more.
    pub(crate) nodes_idle: Notify,
    /// Rings when a hook has started a run.
    pub(crate) hooks_bell: Notify,
    /// Whether this life is about to end, so that who waits on a connection for what takes longer is told so.
    pub(crate) last_words: watch::Sender<bool>,
    /// Rings when people are asked for an approval, or whoever asked has left.
    pub(crate) approvals_bell: Arc<Notify>,
    /// Rings when the presence list should go to everybody.
    pub(crate) presence_bell: Notify,
    /// Rings when health should be refreshed.
    pub(crate) health_bell: Notify,
}

/// What a context is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) instance: Instance,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) settings: Settings,
    pub(crate) logging: LogSettings,
    pub(crate) fleet: FleetStatus,
    pub(crate) machine: Machine,
    pub(crate) routes: Routes,
    /// The way to ask the supervisor, the only writer of the configuration file.
    pub(crate) control: Control,
    /// What `${VAR}` in the configuration file stands for.
    pub(crate) variables: BTreeMap<String, String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each critical section leaves its value whole, so a poisoned lock is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            instance,
            credentials,
            settings,
            logging,
            fleet,
            machine,
            routes,
            control,
            variables,
        } = parts;
        let instance = Arc::new(instance);
        let settings = Arc::new(settings);
        let tailnet = Tailnet::new(&variables);
        let idempotency = Idempotency::default();
        let config = ConfigFile::new(
            instance.identity.config_path.clone(),
            with_credentials(variables, credentials.as_ref()),
            control,
        );
        Self {
            started: Moment::now(),
            hub: Hub::default(),
            config,
            store: Store::new(StatePaths(&instance.identity.state_dir).store()),
            phases: Phases::default(),
            tailnet,
            reception: Reception::default(),
            routes,
            validators: Validators {
                request: Validator::of::<RequestShape>(),
                connect: Validator::of::<ConnectParams>(),
            },
            throttle: Mutex::new(Throttle::default()),
            sightings: Mutex::new(Sightings::default()),
            strangers: Mutex::new(Quiet::new(Moment::now())),
            presence: Mutex::new(Presence::new(machine.clone(), instance.version.clone())),
            health: Mutex::new(Health::new(instance.clone(), settings.clone(), fleet)),
            nodes: Mutex::new(Nodes::default()),
            invokes: Mutex::new(Invokes::default()),
            approvals: Mutex::new(Waiting::default()),
            models: ModelPool::default(),
            pdfs: pdf::Reader::default(),
            metrics: Metrics::default(),
            runs: Runs::new(idempotency.life()),
            aftermath: crate::toolbox::aftermath::Aftermath::default(),
            cron: crate::cron::Bells::default(),
            pulse: crate::heartbeat::Pulse::default(),
            idempotency,
            nodes_bell: Arc::default(),
            nodes_idle: Notify::new(),
            hooks_bell: Notify::new(),
            last_words: watch::Sender::new(false),
            approvals_bell: Arc::default(),
            errands: Errands::default(),
            exec_approvals_turn: Arc::default(),
            gate: Mutex::new(Gate {
                credentials: credentials.map(Arc::new),
                settings,
                logging,
                secret_generation: 0,
            }),
            listings: Mutex::new(Listings::default()),
            presence_bell: Notify::new(),
            health_bell: Notify::new(),
            instance,
            machine,
        }
    }

    pub(crate) const fn routes(&self) -> &Routes {
        &self.routes
    }

    pub(crate) const fn validators(&self) -> &Validators {
        &self.validators
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        lock(&self.gate).settings.clone()
    }

    pub(crate) fn logging(&self) -> LogSettings {
        lock(&self.gate).logging.clone()
    }

    /// Who may come in at this moment.
    pub(crate) fn admittance(&self) -> Admittance {
        let gate = lock(&self.gate);
        Admittance {
            credentials: gate.credentials.clone(),
            settings: gate.settings.clone(),
            secret_generation: gate.secret_generation,
        }
    }

    /// Whether an identity that Tailscale Serve vouches for counts.
    pub(crate) fn believes_tailnet(&self) -> bool {
        let gate = lock(&self.gate);
        let credentials = gate.credentials.as_ref();
        let mode = credentials.map_or(AuthMode::Token, |credentials| credentials.mode);
        gate.settings.believes_tailnet(mode)
    }

    /// Works with what is known of devices and not written yet.
    pub(crate) fn sightings<T>(&self, work: impl FnOnce(&mut Sightings) -> T) -> T {
        work(&mut lock(&self.sightings))
    }

    /// Works with the throttle; the lock ends with the closure, so that no two are ever held at once.
    pub(crate) fn throttle<T>(&self, work: impl FnOnce(&mut Throttle) -> T) -> T {
        work(&mut lock(&self.throttle))
    }

    /// Whether a line about a stranger may be logged, and how many were left out before it.
    pub(crate) fn may_log_stranger(&self) -> Option<u64> {
        lock(&self.strangers).may_speak(Moment::now())
    }

    /// Works with the presence list.
    pub(crate) fn presence<T>(&self, work: impl FnOnce(&mut Presence) -> T) -> T {
        work(&mut lock(&self.presence))
    }

    /// Works with the kept rows of sessions.
    pub(crate) fn listings<T>(&self, work: impl FnOnce(&mut Listings) -> T) -> T {
        work(&mut lock(&self.listings))
    }

    /// The words that wake an assistant that listens.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn voicewake_triggers(&self) -> Result<VoicewakeTriggers, StoreError> {
        self.store.read(voicewake::read)
    }

    /// The health summary, of what the store holds at this moment.
    pub(crate) fn health_summary(&self) -> Prepared<HealthSummary> {
        self.look_at_store();
        self.health(|health| health.summary(WallTime::now()))
    }

    /// The short summary, of what the store holds at this moment.
    pub(crate) fn status_summary(&self) -> Prepared<StatusSummary> {
        self.look_at_store();
        self.health(|health| health.status(WallTime::now()))
    }

    /// Shows the summaries the store, when it has changed since they saw it.
    fn look_at_store(&self) {
        let looked = self.store.version().and_then(|version| {
            if self.health(|health| health.has_seen(version)) {
                return Ok(None);
            }
            // What is read may be newer than the version; then the next look is one too many, and never one too few.
            let overview = self.store.read(overview::read)?;
            Ok(Some((version, overview)))
        });
        self.health(|health| match looked {
            Ok(None) => {}
            Ok(Some((version, overview))) => health.see(version, overview),
            Err(error) => {
                tracing::debug!(target: "store", %error, "the store cannot be read");
                health.store_failed();
            }
        });
    }

    /// Works with health.
    pub(crate) fn health<T>(&self, work: impl FnOnce(&mut Health) -> T) -> T {
        work(&mut lock(&self.health))
    }

    /// Works with the nodes that are here.
    pub(crate) fn nodes<T>(&self, work: impl FnOnce(&mut Nodes) -> T) -> T {
        work(&mut lock(&self.nodes))
    }

    /// Works with what nodes were asked.
    pub(crate) fn invokes<T>(&self, work: impl FnOnce(&mut Invokes) -> T) -> T {
        work(&mut lock(&self.invokes))
    }

    /// Works with the approvals that wait for people.
    pub(crate) fn approvals<T>(&self, work: impl FnOnce(&mut Waiting) -> T) -> T {
        work(&mut lock(&self.approvals))
    }

    /// The versions of what clients keep a copy of.
    pub(crate) fn state_version(&self) -> StateVersion {
        StateVersion {
            presence: self.presence(|presence| presence.version()),
            health: self.health(|health| health.version()),
        }
    }

    /// The supervisor's view changed.
    pub(crate) fn set_fleet(&self, fleet: FleetStatus) {
        if self.health(|health| health.set_fleet(fleet)) {
            self.health_is_stale();
        }
    }

    /// A new configuration is in force from here on.
    pub(crate) fn reload(
        &self,
        settings: Settings,
        credentials: Option<Credentials>,
        logging: LogSettings,
    ) {
        let settings = Arc::new(settings);
        {
            let mut gate = lock(&self.gate);
            gate.settings = settings.clone();
            gate.logging = logging;
        }
        self.change_secrets(credentials);
        self.health(|health| health.set_settings(settings));
        self.health_is_stale();
        self.cron.jobs_changed();
        crate::heartbeat::look_again(self);
    }

    /// These are the shared secrets from here on. Whoever came in by others must come in again.
    pub(crate) fn change_secrets(&self, credentials: Option<Credentials>) {
        let in_force = {
            let mut gate = lock(&self.gate);
            if gate.credentials.as_deref() == credentials.as_ref() {
                return;
            }
            gate.credentials = credentials.map(Arc::new);
            gate.secret_generation += 1;
            gate.secret_generation
        };
        self.hub.revoke(SECRET_CHANGED, |admitted| {
            matches!(admitted.by, AdmittedBy::Secret(generation) if generation < in_force)
        });
    }

    /// Health should be refreshed soon.
    pub(crate) fn health_is_stale(&self) {
        self.health_bell.notify_one();
    }

    /// Everybody should see the presence list soon.
    pub(crate) fn presence_changed(&self) {
        self.presence_bell.notify_one();
    }

    /// Refreshes health and tells everybody.
    pub(crate) fn refresh_health(&self) {
        self.look_at_store();
        let summary = self.health(|health| health.refresh(WallTime::now()));
        self.hub
            .publish::<event::Health>(&summary, self.state_version());
    }

    /// Tells everybody who is present.
    pub(crate) fn publish_presence(&self) {
        let presence = self.presence(|presence| presence.entries(WallTime::now()));
        let payload = Prepared::new(&event::PresencePayload { presence });
        self.hub
            .publish::<event::Presence>(&payload, self.state_version());
    }

    /// A client has gone.
    pub(crate) fn farewell(&self, caller: &Caller) {
        tracing::info!(target: "gateway/ws", conn = %caller.link, client = %caller.client.id, "client disconnected");
        if let (Role::Node, Some(node)) = (caller.rights.role(), &caller.device) {
            nodes::depart(self, node, caller.link);
        }
        if let Some(key) = &caller.presence_key {
            self.presence(|presence| presence.disconnect(WallTime::now(), key));
            self.presence_changed();
        }
    }
}
