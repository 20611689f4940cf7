//! The life of the process: build, stand by, serve, drain.

use std::sync::Arc;
use std::time::Duration;

use openclaw_exec::orphans;
use openclaw_shared::child::{Assignment, Control, Fatal, Order};
use openclaw_shared::clock::WallTime;
use openclaw_shared::config::Config;
use openclaw_shared::control::{ChildName, Drain, Generation, Launch, Reloaded};
use openclaw_shared::instance::{Environment, Instance};
use openclaw_shared::model_providers::Keyring;
use openclaw_shared::serve::{Limits, Server};
use openclaw_shared::trace::Trace;
use serde_json::Value;
use tokio::time::timeout;

use crate::context::{Context, Parts};
use crate::discovery::Announcer;
use crate::drain::drain;
use crate::http;
use crate::http::mounts::Mounts;
use crate::machine::Machine;
use crate::methods;
use crate::phase::Phase;
use crate::rounds;
use crate::settings::Settings;
use crate::watched;

/// How long serving waits for the store. Between one life and the next it takes a moment.
const OPENING: Duration = Duration::from_secs(3);

/// Everything that is built before the process is ready.
struct House {
    context: Arc<Context>,
    generation: Generation,
    server: Server,
    mounts: Option<Mounts>,
    announcer: Announcer,
}

/// Lives the life of the gateway.
pub(crate) async fn serve(assignment: Assignment) -> Result<(), Fatal> {
    let Assignment {
        launch,
        mut listeners,
        control,
        mut orders,
    } = assignment;
    orphans::adopt().map_err(|error| Fatal::new(format!("cannot adopt orphans: {error}")))?;
    let mounts = launch
        .local_sockets
        .get(&ChildName::CanvasHost)
        .cloned()
        .map(Mounts::new);
    let generation = launch.generation;
    let context = Arc::new(build(launch, control.clone())?);
    let tcp = listeners
        .tcp()
        .map_err(|error| Fatal::new(format!("cannot listen: {error}")))?;
    let local = listeners
        .local()
        .map_err(|error| Fatal::new(format!("cannot listen: {error}")))?;
    let service = http::service(context.clone(), mounts.clone());
    let server = Server::new(tcp, local, service, Limits::default());
    let house = House {
        context: context.clone(),
        generation,
        server,
        mounts,
        announcer: Announcer::default(),
    };
    control.ready().await;
    let lived = tokio::select! {
        done = obey(house, &control, &mut orders) => done,
        () = rounds::run(&context) => Err(Fatal::new("the timers ended")),
    };
    // Keepers end what is theirs when this process goes; what has lost its keeper is left to nobody else.
    orphans::end_strays(None);
    lived
}

fn build(launch: Launch, control: Control) -> Result<Context, Fatal> {
    let settings = settings(&launch.config, &launch.instance)?;
    let routes = methods::routes().map_err(|error| Fatal::new(error.to_string()))?;
    Ok(Context::new(Parts {
        instance: launch.instance,
        credentials: launch.credentials,
        settings,
        logging: launch.logging,
        fleet: launch.fleet,
        machine: Machine::read(),
        routes,
        control,
        variables: Environment::from_process().variables().clone(),
    }))
}

fn settings(config: &Value, instance: &Instance) -> Result<Settings, Fatal> {
    match Config::from_effective(config) {
        // Serving in clear where the owner asked for TLS would be worse than not serving.
        Ok(config) if config.gateway.tls.enabled => Err(Fatal::new(
            "gateway.tls.enabled is set, but this version does not serve TLS; put a TLS proxy in front and set it to false",
        )),
        Ok(config) => {
            let mut settings = Settings::with_keys(&config, instance, &keyring(&config, instance));
            // The supervisor starts no canvas host then, whatever the file says.
            settings.has_canvas &= !Environment::from_process().is_on("OPENCLAW_SKIP_CANVAS_HOST");
            settings.cron.is_enabled &= !Environment::from_process().is_on("OPENCLAW_SKIP_CRON");
            Ok(settings)
        }
        Err(issues) => {
            let issues: Vec<String> = issues.iter().map(ToString::to_string).collect();
            Err(Fatal::new(format!(
                "the configuration cannot be used: {}",
                issues.join("; ")
            )))
        }
    }
}

/// The keys of model providers, wherever they lie.
fn keyring(config: &Config, instance: &Instance) -> Keyring {
    let identity = &instance.identity;
    let environment = Environment::from_process();
    let keyring = Keyring::read(
        config,
        environment.variables(),
        &identity.state_dir,
        &identity.home,
        WallTime::now(),
    );
    for problem in &keyring.problems {
        tracing::warn!(target: "models", %problem, "a key of a model provider cannot be used");
    }
    keyring
}

async fn obey(
    mut house: House,
    control: &Control,
    orders: &mut tokio::sync::mpsc::Receiver<Order>,
) -> Result<(), Fatal> {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Activate => {
                open_store(&house).await;
                house.server.activate();
                house.context.phases.set(Phase::Active);
                tracing::info!(target: "gateway", port = house.context.instance.ports.gateway, "gateway serves");
                control.activated().await;
                house.announcer = Announcer::begin(&house.context, house.generation);
            }
            Order::Fleet(fleet) => watched::take(&house.context, *fleet),
            Order::Reload(reloaded) => {
                let mut trace = Trace::from(reloaded.trace);
                let outcome = trace.within(|| reload(&house.context, *reloaded));
                control.reloaded(outcome.err()).await
            }
            Order::Drain(order) => {
                leave(house, &order).await;
                control.drained().await;
                return Ok(());
            }
        }
    }
    Err(Fatal::new("the supervisor is gone"))
}

/// Opens the store before the first client comes, unless that takes too long: then clients are told that it is not there yet.
async fn open_store(house: &House) {
    let tried = house.context.store.begin(house.generation);
    // An attempt that failed has said why, and is made again.
    if timeout(OPENING, tried).await.is_err() {
        tracing::warn!(target: "gateway", "serving before the store is open: another process holds it");
    }
}

fn reload(context: &Context, reloaded: Reloaded) -> Result<(), String> {
    let settings = settings(&reloaded.config, &context.instance).map_err(|fatal| fatal.message)?;
    context.reload(settings, reloaded.credentials, reloaded.logging);
    tracing::info!(target: "gateway", "configuration applied");
    Ok(())
}

async fn leave(house: House, order: &Drain) {
    let House {
        context,
        server,
        mounts,
        announcer,
        generation: _,
    } = house;
    announcer.end(order.reason).await;
    // Whoever asked for the change that this life leaves for hears of it first.
    context.config.settled().await;
    // A secret that the change has replaced is worth nothing here either, neither to those who are here nor to the late.
    if let Some(credentials) = &order.credentials {
        context.change_secrets(Some(credentials.clone()));
    }
    // What is left of the budget belongs to the report and the exit.
    let budget = order.budget.saturating_sub(Duration::from_millis(250));
    drain(&context, server, mounts, order, budget).await;
}
