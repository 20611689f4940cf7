//! What has to stand in the configuration before a service can start on it: each start reads it there, so nothing is frozen into the
//! service, and what only this shell knows is not lost.

use std::net::{SocketAddr, TcpListener};

use openclaw_shared::config::section::GatewayMode;
use openclaw_shared::config::{self, KeyPath};
use openclaw_shared::instance::{Environment, Identity};
use openclaw_shared::paths::StatePaths;
use openclaw_shared::ports::{PortSource, PortWishes, Ports};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::InstallArgs;
use crate::cli::config_edit::{Edit, apply};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Kind};
use crate::cli::gateway_watch;
use crate::cli::guard;
use crate::cli::target::read_secret;
use crate::port_owner;
use crate::settings::{self, Flags};
use crate::supervise::listeners;
use crate::supervise::neighbours::{self, Neighbour, neighbours};

/// What became of it, one sentence each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settled {
    pub(super) told: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Writes what was asked for and what is missing.
///
/// # Errors
/// When the configuration is broken, is for a gateway elsewhere, or would be refused with the change.
pub(super) async fn settle(context: &Context, arguments: &InstallArgs) -> Result<Settled, Failure> {
    guard::require_valid(context)?;
    let config = context.config();
    let mut settled = Settled::default();
    let mut edits = Vec::new();
    let mut set = |path: &[&str], value: Value| {
        edits.push(Edit::Set(KeyPath::of_keys(path.iter().copied()), value));
    };
    match config.gateway.mode {
        Some(GatewayMode::Local) => {}
        Some(GatewayMode::Remote) => {
            return Err(Failure::new(
                Kind::Refused,
                "gateway.mode is \"remote\": this machine uses a gateway elsewhere.",
            )
            .hint(format!(
                "Run one here: {}",
                context.command("config set gateway.mode local")
            )));
        }
        None => {
            set(&["gateway", "mode"], "local".into());
            settled
                .told
                .push("gateway.mode was not set; it is \"local\" from now on.".to_owned());
        }
    }
    if let Some(bind) = arguments.bind {
        set(&["gateway", "bind"], bind.as_str().into());
    }
    if let Some(auth) = arguments.auth {
        set(&["gateway", "auth", "mode"], auth.as_str().into());
    }
    if let Some(mode) = arguments.tailscale {
        set(&["gateway", "tailscale", "mode"], mode.as_str().into());
    }
    if arguments.tailscale_reset_on_exit {
        set(&["gateway", "tailscale", "resetOnExit"], true.into());
    }

    let asked_token = match (&arguments.token, &arguments.token_file) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(path)) => Some(read_secret(path)?),
        (None, None) => None,
    };
    let auth = &config.gateway.auth;
    let secrets = [
        (
            "token",
            "OPENCLAW_GATEWAY_TOKEN",
            asked_token,
            auth.token.is_some(),
        ),
        (
            "password",
            "OPENCLAW_GATEWAY_PASSWORD",
            arguments.password.clone(),
            auth.password.is_some(),
        ),
    ];
    for (key, variable, asked, is_configured) in secrets {
        let of_shell =
            only_of_shell(context, variable).filter(|_| !is_configured || arguments.only_settle);
        if let Some(secret) = &asked {
            set(&["gateway", "auth", key], secret.expose().as_str().into());
        } else if let Some(secret) = of_shell {
            set(&["gateway", "auth", key], secret.into());
            settled.told.push(format!("The {key} in {variable} was written into the configuration, since a service does not see this shell."));
        }
    }

    let port = match arguments.port {
        Some(port) => Some(port),
        None => choose_port(context, &mut settled)?,
    };
    if let Some(port) = port {
        set(&["gateway", "port"], port.into());
    }
    if !edits.is_empty() {
        apply(context, &edits).await?;
    }
    if let Some(profile) = &arguments.watch {
        gateway_watch::set(&context.again(), profile).await?;
    }
    let identity = &context.identity;
    let environment = of_service(identity, &context.environment);
    if let Err(error) = config::load(&identity.config_path, environment.variables()) {
        let shown = context.shown(&StatePaths(&identity.state_dir).dotenv());
        let first = error
            .errors()
            .next()
            .map(ToString::to_string)
            .unwrap_or_default();
        settled.warnings.push(format!("The configuration needs variables of this shell, which a service does not see; put them into {shown}: {first}"));
    }
    warn_of_overlaps(context, port, &mut settled);
    Ok(settled)
}

/// A variable that this shell has and the service will not have.
fn only_of_shell<'a>(context: &'a Context, name: &str) -> Option<&'a str> {
    let value = context.environment.get(name)?;
    let service = of_service(&context.identity, &context.environment);
    (service.get(name) != Some(value)).then_some(value)
}

/// What a service finds in its environment: next to nothing, and what `.env` of the state folder fills in.
fn of_service(identity: &Identity, environment: &Environment) -> Environment {
    let home = identity.home.to_string_lossy();
    let path = environment.get("PATH").unwrap_or_default();
    let mut service =
        Environment::from_pairs([("HOME", home.as_ref()), ("PATH", path)], &identity.home);
    if let Ok(text) = std::fs::read_to_string(StatePaths(&identity.state_dir).dotenv()) {
        service.fill_from_dotenv(&text);
    }
    service
}

/// The port that has to be written down: the one of this shell, or a free one where the default belongs to another profile.
fn choose_port(context: &Context, settled: &mut Settled) -> Result<Option<u16>, Failure> {
    let instance = context.instance()?;
    let ports = instance.ports;
    match ports.source {
        PortSource::Flag | PortSource::Config => return Ok(None),
        PortSource::Environment => {
            if only_of_shell(context, "OPENCLAW_GATEWAY_PORT").is_none() {
                return Ok(None);
            }
            settled.told.push(format!(
                "The port {} of this shell was written into the configuration, since a service does not see this shell.",
                ports.gateway
            ));
            return Ok(Some(ports.gateway));
        }
        PortSource::Default => {}
    }
    let neighbours = neighbours(&context.identity, &context.environment);
    let Some(other) = neighbours.iter().find(|other| collides(&ports, other)) else {
        return Ok(None);
    };
    let is_free = |base: u16| {
        let wishes = PortWishes {
            config: Some(base),
            ..PortWishes::default()
        };
        Ports::derive(wishes)
            .is_ok_and(|ports| !neighbours.iter().any(|other| collides(&ports, other)))
            && [0, 2, 4]
                .iter()
                .all(|offset| port_owner::owners(base + offset).is_empty())
    };
    let free = neighbours::steps_from(ports.gateway)
        .find(|base| is_free(*base))
        .ok_or_else(|| {
            Failure::new(
                Kind::Refused,
                format!("Port {} and those after it are in use.", ports.gateway),
            )
            .hint(format!(
                "Choose one: {}",
                context.command("gateway install --port PORT")
            ))
        })?;
    settled.told.push(format!(
        "Port {} belongs to the profile {}; this one uses {free} from now on.",
        ports.gateway,
        other.profile.name().unwrap_or("default")
    ));
    Ok(Some(free))
}

fn collides(ports: &Ports, other: &Neighbour) -> bool {
    other
        .ports
        .is_some_and(|theirs| !ports.shared_with(&theirs).is_empty())
}

/// A port that somebody chose is left as it is.
fn warn_of_overlaps(context: &Context, chosen: Option<u16>, settled: &mut Settled) {
    let context = context.again();
    let Ok(instance) = context.instance() else {
        return;
    };
    let wishes = PortWishes {
        config: chosen,
        ..PortWishes::default()
    };
    let ports = match chosen {
        Some(_) => Ports::derive(wishes).unwrap_or(instance.ports),
        None => instance.ports,
    };
    for other in neighbours(&context.identity, &context.environment) {
        if collides(&ports, &other) {
            settled.warnings.push(format!(
                "Port {} or one derived from it belongs to the profile {} too; the two cannot run at the same time.",
                ports.gateway,
                other.profile.name().unwrap_or("default")
            ));
        }
    }
}

/// The addresses that the instance will listen on, as the service will see its configuration.
///
/// # Errors
/// When the configuration cannot be used.
pub(super) fn sockets(
    identity: &Identity,
    environment: &Environment,
) -> Result<Vec<SocketAddr>, Failure> {
    let environment = of_service(identity, environment);
    let refused =
        |why: String| Failure::new(Kind::Config, format!("The ports cannot be told: {why}"));
    let loaded = config::load(&identity.config_path, environment.variables())
        .map_err(|error| refused(error.to_string()))?;
    let settings = settings::resolve(identity, loaded, &Flags::default(), &environment, None)
        .map_err(|refusal| refused(refusal.to_string()))?;
    // A machine without IPv6 cannot listen on its loopback, and then the whole unit would fail.
    let has_v6 = TcpListener::bind("[::1]:0").is_ok();
    let wanted = settings
        .children
        .iter()
        .flat_map(|child| listeners::wanted(&settings.instance, *child));
    let addresses = wanted.filter(|(address, required)| *required || address.is_ipv4() || has_v6);
    Ok(addresses.map(|(address, _)| address).collect())
}
