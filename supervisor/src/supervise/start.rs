//! A cold start: everything that is decided before the first child is spawned, in an order in which a doomed start harms nobody.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use openclaw_shared::config::{Issue, KeyPath, Loaded, load, load_from_source};
use openclaw_shared::control::ChildName;
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::{Environment, Identity};
use openclaw_shared::ipc::private_folder;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::ports::PortSource;
use openclaw_shared::secret::Secret;
use openclaw_shared::{config, log};

use super::claims::{ClaimError, Claims};
use super::last_good;
use super::listeners::{self, BindError, Listeners};
use super::neighbours::{self, Neighbour, neighbours};
use super::predecessor;
use super::spawn;
use crate::port_owner::{self, Force};
use crate::settings::{Flags, Refusal, Settings, resolve};

/// What `gateway run` was asked for.
#[derive(Debug, Clone)]
pub(crate) struct RunOptions {
    pub(crate) identity: Identity,
    pub(crate) environment: Environment,
    pub(crate) flags: Flags,
    /// Whether whoever listens on our ports is ended first.
    pub(crate) force: Option<Force>,
}

/// Everything that stands before the first child.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) settings: Settings,
    /// What to fall back to when the gateway cannot start on `settings`.
    pub(crate) fallback: Option<Settings>,
    /// Why the file is not what runs.
    pub(crate) degraded: Option<String>,
    pub(crate) listeners: Listeners,
    pub(crate) claims: Claims,
    pub(crate) log: log::Guard,
}

/// Prepares a start.
///
/// # Errors
/// One clear refusal; nothing has been started or changed then, but what `--force` ended.
pub(crate) async fn prepare(options: &RunOptions) -> Result<Prepared, Refusal> {
    let identity = &options.identity;
    let generated = read_token(&identity.state_dir);
    let resolve_loaded = |loaded: Loaded| {
        resolve(
            identity,
            loaded,
            &options.flags,
            &options.environment,
            generated.clone(),
        )
    };
    let good = last_good::recall(&identity.state_dir).and_then(|source| {
        let loaded = load_from_source(&source, options.environment.variables()).ok()?;
        resolve_loaded(loaded).ok()
    });
    let from_file = load(&identity.config_path, options.environment.variables());
    let (mut settings, fallback, degraded) = match (from_file, good) {
        (Ok(loaded), good) => {
            // A file that reads well and forbids the start is the owner's word; nothing stands in for it.
            let odd = loaded.warnings.clone();
            let explained = |refusal| with_warnings(refusal, &odd);
            let settings = resolve_loaded(loaded).map_err(explained)?;
            settings.check_start(&options.flags).map_err(explained)?;
            // By what they say, not by the bytes of the file: an included file may be what differs.
            let fallback = good.filter(|good| good.effective != settings.effective);
            (settings, fallback, None)
        }
        (Err(error), Some(good)) => (good, None, Some(error.to_string())),
        (Err(error), None) => {
            return Err(
                Refusal::new(Exit::ConfigInvalid, format!("Config invalid\n{error}")).hint(
                    format!(
                        "Mend it, then check it: {}",
                        identity.command("config validate")
                    ),
                ),
            );
        }
    };

    private_folder(&identity.state_dir).map_err(|error| {
        let path = identity.display(&identity.state_dir);
        Refusal::new(
            Exit::Failure,
            format!("The state folder {path} cannot be used: {error}."),
        )
    })?;
    let log = log::start(&settings.logging, source());
    if let Some(error) = &degraded {
        tracing::error!(
            target: "config",
            error = %error,
            "the configuration file is broken; starting from the last-known-good configuration"
        );
    }
    for warning in &settings.warnings {
        tracing::warn!(target: "config", warning = %warning, "odd configuration");
    }
    if let Some(force) = options.force {
        end_owners(&settings, force).await?;
    }
    let claims = Claims::take(&settings.instance)
        .await
        .map_err(|error| claimed(&error))?;
    let addresses: Vec<_> = settings
        .children
        .iter()
        .flat_map(|child| listeners::wanted(&settings.instance, *child))
        .map(|(address, _)| address)
        .collect();
    predecessor::gone(&settings.instance, &addresses).await;
    ensure_token(&mut settings)?;
    let listeners = bind(&mut settings, options)?;
    Ok(Prepared {
        settings,
        fallback,
        degraded,
        listeners,
        claims,
        log,
    })
}

/// A refusal, and what is odd in the file: a key that nobody reads is often why another one seems to be missing.
fn with_warnings(refusal: Refusal, warnings: &[Issue]) -> Refusal {
    const MOST: usize = 5;
    let shown = warnings.iter().take(MOST);
    shown.fold(refusal, |refusal, warning| {
        refusal.hint(format!("Note: {warning}"))
    })
}

/// Who writes the log.
pub(super) fn source() -> log::Source {
    log::Source {
        process: "supervisor".to_owned(),
        generation: None,
    }
}

/// Refuses a start without the programs of the children.
///
/// # Errors
/// The first one that is missing.
pub(super) fn check_programs(settings: &Settings, folder: &Path) -> Result<(), Refusal> {
    let missing = settings
        .children
        .iter()
        .map(|child| spawn::program(folder, *child))
        .find(|program| !program.is_file());
    match missing {
        None => Ok(()),
        Some(program) => Err(Refusal::new(
            Exit::Failure,
            format!(
                "{} is missing; install it beside `openclaw`.",
                program.display()
            ),
        )),
    }
}

fn claimed(error: &ClaimError) -> Refusal {
    match error {
        ClaimError::Taken { .. } => Refusal::new(
            Exit::AlreadyRunning,
            format!("gateway already running: {error}."),
        )
        .hint("Stop it with: openclaw gateway stop"),
        ClaimError::Unusable { .. } => {
            Refusal::new(Exit::Failure, format!("Cannot start: {error}."))
        }
    }
}

/// The token in the state folder, made on the first run.
pub(crate) fn read_token(state_dir: &Path) -> Option<Secret<String>> {
    let text = std::fs::read_to_string(StatePaths(state_dir).token()).ok()?;
    let token = text.trim();
    (!token.is_empty()).then(|| Secret::new(token.to_owned()))
}

/// Makes a token when clients could not authenticate otherwise.
fn ensure_token(settings: &mut Settings) -> Result<(), Refusal> {
    if settings.credentials.active().is_some() {
        return Ok(());
    }
    let identity = &settings.instance.identity;
    let path = StatePaths(&identity.state_dir).token();
    let failed = |error: io::Error| {
        let path = identity.display(&path);
        Refusal::new(
            Exit::Failure,
            format!("The gateway token cannot be written to {path}: {error}."),
        )
    };
    let token = random_token().map_err(failed)?;
    // Created with its mode, so that there is no moment in which somebody else could read it.
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    file.write_all(token.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    tracing::info!(
        target: "gateway",
        file = %identity.display(&path),
        "a gateway token was generated; clients need it, and this file shows it"
    );
    settings.credentials.token = Some(Secret::new(token));
    Ok(())
}

/// A token of 32 random bytes, in hexadecimal.
///
/// # Errors
/// When the system gives no random numbers.
pub(crate) fn random_token() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn end_owners(settings: &Settings, force: Force) -> Result<(), Refusal> {
    let ports: Vec<u16> = settings
        .children
        .iter()
        .flat_map(|child| listeners::wanted(&settings.instance, *child))
        .map(|(address, _)| address.port())
        .collect();
    let ended = port_owner::end(&ports, force)
        .await
        .map_err(|error| Refusal::new(Exit::PortBusy, format!("force: {error}.")))?;
    for ended in ended {
        tracing::warn!(
            target: "supervisor",
            pid = ended.owner.pid,
            command = %ended.owner.command,
            address = %ended.owner.address,
            killed = ended.killed,
            "force: ended the owner of a port"
        );
    }
    Ok(())
}

/// Binds every port. A named profile whose default port belongs to another instance moves on and keeps what it found.
fn bind(settings: &mut Settings, options: &RunOptions) -> Result<Listeners, Refusal> {
    let mut listeners = Listeners::new(&settings.instance, listeners::activated_sockets())
        .map_err(|error| {
            let path = settings
                .instance
                .identity
                .display(&settings.instance.run_dir);
            Refusal::new(
                Exit::Failure,
                format!("Local sockets cannot be bound in {path}: {error}."),
            )
        })?;
    let neighbours = neighbours(&settings.instance.identity, &options.environment);
    if may_move(settings) {
        let taken = neighbours::base_ports(&neighbours);
        if taken.contains(&settings.instance.ports.gateway)
            || listeners
                .ensure(&settings.instance, &settings.children)
                .is_err_and(|e| e.is_busy())
        {
            move_on(settings, options, &taken)?;
        }
    }
    warn_of_overlaps(settings, &neighbours);
    match listeners.ensure(&settings.instance, &settings.children) {
        Ok(()) => {
            warn_of_idle_sockets(&listeners, settings);
            Ok(listeners)
        }
        Err(error) if error.is_busy() => Err(busy(&error)),
        Err(error) => Err(Refusal::new(Exit::Failure, format!("{error}."))),
    }
}

/// The service manager goes on listening where nobody accepts, so that whoever comes there waits for ever.
fn warn_of_idle_sockets(listeners: &Listeners, settings: &Settings) {
    for address in listeners.idle(&settings.instance, &settings.children) {
        tracing::warn!(
            target: "supervisor",
            %address,
            "the service manager listens on an address that is not configured any more; install the service again with --socket --force"
        );
    }
}

/// Profiles that share ports can each run, but not at the same time; better said on a quiet day.
fn warn_of_overlaps(settings: &Settings, neighbours: &[Neighbour]) {
    for neighbour in neighbours {
        let shared = neighbour
            .ports
            .map(|theirs| settings.instance.ports.shared_with(&theirs));
        if let Some(shared) = shared.filter(|shared| !shared.is_empty()) {
            tracing::warn!(
                target: "supervisor",
                profile = neighbour.profile.name().unwrap_or("default"),
                shared = %shared.join(", "),
                "another profile is configured for the same ports; give one of them another gateway.port"
            );
        }
    }
}

/// A profile that nobody gave a port may take another; a port somebody chose is never changed.
fn may_move(settings: &Settings) -> bool {
    settings.instance.ports.source == PortSource::Default
        && !settings.instance.identity.profile.is_default()
}

fn move_on(
    settings: &mut Settings,
    options: &RunOptions,
    others: &BTreeSet<u16>,
) -> Result<(), Refusal> {
    let identity = &settings.instance.identity;
    let taken = settings.instance.ports.gateway;
    let free = neighbours::steps_from(taken)
        .filter(|base| !others.contains(base))
        .find(|base| {
            [0, 2, 4]
                .iter()
                .all(|offset| port_owner::owners(base + offset).is_empty())
        })
        .ok_or_else(|| {
            Refusal::new(
                Exit::PortBusy,
                format!("Port {taken} and those after it are in use."),
            )
            .hint("Set gateway.port in this profile's configuration, or pass --port.")
        })?;
    let path = &identity.config_path;
    let text = settings.source.main_text().unwrap_or("{}\n");
    let key = KeyPath::of_keys(["gateway", "port"]);
    let changed = config::write::set(text, &key, &free.into(), None)
        .map_err(|error| Refusal::new(Exit::ConfigInvalid, error.to_string()))?;
    let known = settings
        .config_exists
        .then_some(settings.source.hash.as_str());
    config::write::write_atomically(path, &changed, known)
        .map_err(|error| Refusal::new(Exit::Failure, error.to_string()))?;
    tracing::warn!(
        target: "supervisor",
        taken,
        port = free,
        file = %identity.display(path),
        "the default port belongs to another instance; this profile uses another one from now on"
    );
    let loaded = load(path, options.environment.variables())
        .map_err(|error| Refusal::new(Exit::ConfigInvalid, error.to_string()))?;
    let token = settings.credentials.token.clone();
    *settings = resolve(
        identity,
        loaded,
        &options.flags,
        &options.environment,
        token,
    )?;
    Ok(())
}

fn busy(error: &BindError) -> Refusal {
    let port = error.address.port();
    let mut refusal = Refusal::new(
        Exit::PortBusy,
        format!(
            "Port {port} is already in use; the {} needs it.",
            service(error.child)
        ),
    );
    for owner in port_owner::owners(port) {
        refusal = refusal.hint(format!("- {owner}"));
    }
    refusal.hint(format!(
        "Stop that process, choose another port (--port), or start with --force. Base port {port} is what this profile resolved to."
    ))
}

const fn service(child: ChildName) -> &'static str {
    match child {
        ChildName::Gateway => "gateway",
        ChildName::CanvasHost => "canvas host",
        ChildName::BrowserControl => "browser control service",
    }
}
