//! What every part of the gateway works with: the instance, the settings in force, the services, the hub.
//!
//! Each piece has its own short lock; none is held across an await, and no two are held at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::control::FleetStatus;
use openclaw_shared::credentials::Credentials;
use openclaw_shared::instance::Instance;
use openclaw_shared::log::LogSettings;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::event;
use openclaw_shared::protocol::frame::RequestShape;
use openclaw_shared::protocol::snapshot::StateVersion;
use tokio::sync::Notify;

use crate::auth::throttle::Throttle;
use crate::connection::Caller;
use crate::connection::handshake::{ControlUiRules, close_code};
use crate::connection::validate::Validator;
use crate::hub::Hub;
use crate::machine::Machine;
use crate::methods::Routes;
use crate::phase::Phases;
use crate::prepared::Prepared;
use crate::quiet::Quiet;
use crate::services::health::Health;
use crate::services::presence::Presence;
use crate::settings::Settings;
use crate::store::Store;

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
    credentials: Option<Credentials>,
    settings: Arc<Settings>,
    logging: LogSettings,
    /// Grows with every change of the secrets.
    secret_generation: u64,
}

/// The process, as its parts see it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) instance: Arc<Instance>,
    pub(crate) machine: Machine,
    pub(crate) started: Moment,
    pub(crate) hub: Hub,
    pub(crate) store: Store,
    pub(crate) phases: Phases,
    routes: Routes,
    validators: Validators,
    gate: Mutex<Gate>,
    throttle: Mutex<Throttle>,
    strangers: Mutex<Quiet>,
    presence: Mutex<Presence>,
    health: Mutex<Health>,
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
        } = parts;
        let instance = Arc::new(instance);
        let settings = Arc::new(settings);
        Self {
            started: Moment::now(),
            hub: Hub::default(),
            store: Store::new(StatePaths(&instance.identity.state_dir).store()),
            phases: Phases::default(),
            routes,
            validators: Validators {
                request: Validator::of::<RequestShape>(),
                connect: Validator::of::<ConnectParams>(),
            },
            throttle: Mutex::new(Throttle::default()),
            strangers: Mutex::new(Quiet::new(Moment::now())),
            presence: Mutex::new(Presence::new(machine.clone(), instance.version.clone())),
            health: Mutex::new(Health::new(instance.clone(), settings.clone(), fleet)),
            gate: Mutex::new(Gate {
                credentials,
                settings,
                logging,
                secret_generation: 0,
            }),
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

    pub(crate) fn secret_generation(&self) -> u64 {
        lock(&self.gate).secret_generation
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

    /// Works with health.
    pub(crate) fn health<T>(&self, work: impl FnOnce(&mut Health) -> T) -> T {
        work(&mut lock(&self.health))
    }

    /// Judges a first frame by what is in force at this moment.
    pub(crate) fn judge<T>(
        &self,
        judge: impl FnOnce(Option<&Credentials>, ControlUiRules, &Validator) -> T,
    ) -> T {
        let gate = lock(&self.gate);
        judge(
            gate.credentials.as_ref(),
            gate.settings.control_ui,
            &self.validators.connect,
        )
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

    /// A new configuration is in force from here on. Whoever came in by a secret that changed must come in again.
    pub(crate) fn reload(
        &self,
        settings: Settings,
        credentials: Option<Credentials>,
        logging: LogSettings,
    ) {
        let settings = Arc::new(settings);
        let revoked = {
            let mut gate = lock(&self.gate);
            let changed = gate.credentials != credentials;
            gate.settings = settings.clone();
            gate.logging = logging;
            gate.credentials = credentials;
            gate.secret_generation += u64::from(changed);
            changed.then_some(gate.secret_generation)
        };
        self.health(|health| health.set_settings(settings));
        if let Some(generation) = revoked {
            self.hub
                .revoke_older_than(generation, close_code::POLICY, SECRET_CHANGED);
        }
        self.health_is_stale();
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
        if let Some(key) = &caller.presence_key {
            self.presence(|presence| presence.disconnect(WallTime::now(), key));
            self.presence_changed();
        }
    }
}
