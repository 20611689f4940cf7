//! What an instance is to be, from its identity, its configuration, the environment and the command line. The start, every
//! reload and the commands that look for an instance resolve it here, so that they agree.
//!
//! Pure, but for the question which addresses the machine has.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use openclaw_shared::config::section::{self, AuthMode, BindMode, ReloadMode, TailscaleMode};
use openclaw_shared::config::setting::MemoryBound;
use openclaw_shared::config::{Config, Issue, Loaded, Source, sentence};
use openclaw_shared::control::ChildName;
use openclaw_shared::credentials::Credentials;
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::{Environment, Identity, Instance, InstanceError, Wishes};
use openclaw_shared::log::{LogSettings, WsLog};
use openclaw_shared::ports::PortWishes;
use openclaw_shared::secret::Secret;
use serde_json::{Map, Value};

use crate::supervise::bounds::Bound;
use crate::supervise::child::Timing;
use crate::supervise::tailscale::{Audience, Publication};

mod refusal;

pub(crate) use refusal::Refusal;

/// What the command line of `gateway run` says; it wins over configuration and environment, also after a reload.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    pub(crate) port: Option<u16>,
    pub(crate) bind: Option<BindMode>,
    pub(crate) auth: Option<AuthMode>,
    pub(crate) token: Option<Secret<String>>,
    pub(crate) password: Option<Secret<String>>,
    pub(crate) tailscale: Option<TailscaleMode>,
    pub(crate) tailscale_reset_on_exit: bool,
    pub(crate) allow_unconfigured: bool,
    pub(crate) verbose: bool,
    pub(crate) no_color: bool,
    pub(crate) ws_log: Option<WsLog>,
}

/// Everything an instance runs on.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) effective: Value,
    pub(crate) source: Source,
    pub(crate) config_exists: bool,
    pub(crate) warnings: Vec<Issue>,
    pub(crate) instance: Instance,
    pub(crate) credentials: Credentials,
    /// Whether the owner chose the active secret, as opposed to one that was generated.
    pub(crate) secret_is_chosen: bool,
    pub(crate) logging: LogSettings,
    pub(crate) timing: Timing,
    pub(crate) reload_mode: ReloadMode,
    pub(crate) debounce: Duration,
    pub(crate) may_restart_by_signal: bool,
    /// The children that the configuration and the environment want.
    pub(crate) children: Vec<ChildName>,
    /// How much memory a child may use; one without a bound is not here.
    pub(crate) bounds: BTreeMap<ChildName, Bound>,
    /// How often that is looked at.
    pub(crate) check_bounds: Duration,
    /// What Tailscale publishes.
    pub(crate) publication: Option<Publication>,
}

/// Resolves everything. `generated` is the token in the state folder, if there is one.
///
/// # Errors
/// When ports do not fit, an address is missing, or the result would be unsafe.
pub(crate) fn resolve(
    identity: &Identity,
    loaded: Loaded,
    flags: &Flags,
    environment: &Environment,
    generated: Option<Secret<String>>,
) -> Result<Settings, Refusal> {
    let Loaded {
        mut config,
        mut effective,
        source,
        warnings,
        exists,
        ..
    } = loaded;
    if let Some(mode) = flags.tailscale {
        config.gateway.tailscale.mode = mode;
        // The gateway reads it too: it is then reached by the names of the tailnet.
        effective["gateway"]["tailscale"]["mode"] = mode.as_str().into();
    }
    let publication = Audience::of(config.gateway.tailscale.mode).map(|to| Publication {
        to,
        port: 0,
        reset_on_exit: flags.tailscale_reset_on_exit || config.gateway.tailscale.reset_on_exit,
    });
    let bind = flags.bind.unwrap_or(config.gateway.bind);
    let hosts = hosts(bind, config.gateway.custom_bind_host)?;
    let wishes = Wishes {
        ports: PortWishes {
            flag: flags.port,
            config: config.gateway.port.map(Into::into),
            canvas_host: config.canvas_host.port.map(Into::into),
            browser_control: config.browser.control_port.map(Into::into),
            ..PortWishes::default()
        },
        workspace: config.agents.defaults.workspace.clone(),
        canvas_root: config.canvas_host.root.clone(),
        log_file: config.logging.file.clone(),
        hosts,
    };
    let on_disk = |path: &Path| path.exists();
    let instance = Instance::resolve(identity.clone(), wishes, environment, &on_disk)
        .map_err(|error| unresolved(identity, &error))?;
    let (credentials, secret_is_chosen) =
        credentials(&config.gateway.auth, flags, environment, generated);
    let logging = logging(&config.logging, &instance, flags, environment);
    Ok(Settings {
        timing: timing(&config.supervisor),
        reload_mode: config.gateway.reload.mode,
        debounce: Duration::from_millis(config.gateway.reload.debounce_ms.get()),
        may_restart_by_signal: config.commands.restart,
        children: children(&config, environment),
        bounds: bounds(&config.gateway.limits),
        check_bounds: Duration::from_millis(config.gateway.limits.check_ms.get()),
        publication: publication.map(|publication| Publication {
            port: instance.ports.gateway,
            ..publication
        }),
        config_exists: exists,
        config,
        effective,
        source,
        warnings,
        instance,
        credentials,
        secret_is_chosen,
        logging,
    })
}

fn unresolved(identity: &Identity, error: &InstanceError) -> Refusal {
    let refusal = Refusal::new(Exit::ConfigInvalid, sentence(&error.to_string()));
    match error {
        InstanceError::Ports(_) => refusal.hint(format!(
            "The ports follow from gateway.port, canvasHost.port and browser.controlPort in {}.",
            identity.display(&identity.config_path)
        )),
        InstanceError::NoHome | InstanceError::BadPort { .. } => refusal,
    }
}

impl Settings {
    /// The sections of the configuration that a child may see.
    pub(crate) fn config_for(&self, child: ChildName) -> Value {
        let sections: &[&str] = match child {
            // It answers `config.*` for those who may ask.
            ChildName::Gateway => return self.effective.clone(),
            ChildName::CanvasHost => &["canvasHost", "gateway.controlUi"],
            ChildName::BrowserControl => &["browser", "gateway.controlUi"],
        };
        let mut seen = Map::new();
        for section in sections {
            let mut keys = section.split('.');
            let top = keys.next().unwrap_or(section);
            let below: Vec<&str> = keys.collect();
            let found = below
                .iter()
                .try_fold(self.effective.get(top), |value, key| Some(value?.get(key)))
                .flatten();
            if let Some(found) = found {
                let nested = below.iter().rev().fold(found.clone(), |value, key| {
                    Value::Object(Map::from_iter([((*key).to_owned(), value)]))
                });
                seen.insert(top.to_owned(), nested);
            }
        }
        Value::Object(seen)
    }

    /// The shared secrets, for the children that authenticate callers.
    pub(crate) fn credentials_for(&self, child: ChildName) -> Option<Credentials> {
        match child {
            ChildName::Gateway | ChildName::BrowserControl => Some(self.credentials.clone()),
            ChildName::CanvasHost => None,
        }
    }
}

fn hosts(bind: BindMode, custom: Option<IpAddr>) -> Result<Vec<IpAddr>, Refusal> {
    match bind {
        BindMode::Loopback | BindMode::Auto => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
        BindMode::Lan => Ok(vec![Ipv4Addr::UNSPECIFIED.into()]),
        BindMode::Custom => custom.map(|host| vec![host]).ok_or_else(|| {
            Refusal::new(
                Exit::ConfigInvalid,
                "gateway.bind is \"custom\", but gateway.customBindHost is not set.",
            )
            .hint("Set gateway.customBindHost to the address to listen on.")
        }),
        BindMode::Tailnet => tailnet_address().map(|host| vec![host]).ok_or_else(|| {
            // The address may come a moment later, as it does after a boot, so a service manager is to try again.
            Refusal::new(
                Exit::Failure,
                "gateway.bind is \"tailnet\", but this machine has no tailnet address.",
            )
            .hint("Start Tailscale, or set gateway.bind to \"loopback\".")
        }),
    }
}

/// The machine's address in 100.64.0.0/10, which Tailscale uses.
fn tailnet_address() -> Option<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().ok()?;
    interfaces
        .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()))
        .find(|address| {
            let [first, second, ..] = address.octets();
            first == 100 && (64..128).contains(&second)
        })
        .map(IpAddr::V4)
}

fn credentials(
    configured: &section::Auth,
    flags: &Flags,
    environment: &Environment,
    generated: Option<Secret<String>>,
) -> (Credentials, bool) {
    let variable = |names: &[&str]| {
        environment
            .first(names)
            .map(|value| Secret::new(value.to_owned()))
    };
    let not_empty = |secret: &Secret<String>| !secret.expose().is_empty();
    let chosen_token = flags
        .token
        .clone()
        .or_else(|| configured.token.clone().filter(not_empty))
        .or_else(|| variable(&["OPENCLAW_GATEWAY_TOKEN", "CLAWDBOT_GATEWAY_TOKEN"]));
    let password = flags
        .password
        .clone()
        .or_else(|| configured.password.clone().filter(not_empty))
        .or_else(|| variable(&["OPENCLAW_GATEWAY_PASSWORD", "CLAWDBOT_GATEWAY_PASSWORD"]));
    let by_presence = if password.is_some() {
        AuthMode::Password
    } else {
        AuthMode::Token
    };
    let mode = flags.auth.or(configured.mode).unwrap_or(by_presence);
    let chosen = match mode {
        AuthMode::Token => chosen_token.is_some(),
        AuthMode::Password => password.is_some(),
    };
    (
        Credentials {
            mode,
            token: chosen_token.or(generated),
            password,
        },
        chosen,
    )
}

fn logging(
    configured: &section::Logging,
    instance: &Instance,
    flags: &Flags,
    environment: &Environment,
) -> LogSettings {
    let defaults = LogSettings::in_dir(instance.log_dir.clone());
    LogSettings {
        file: instance.log_file.clone(),
        level: configured.level,
        console_level: configured.console_level,
        console_style: configured.console_style,
        verbose: flags.verbose,
        color: !flags.no_color && environment.get("NO_COLOR").is_none(),
        max_file_bytes: configured.max_file_bytes.unwrap_or(defaults.max_file_bytes),
        keep_days: configured.keep_days.unwrap_or(defaults.keep_days),
        ws_log: flags.ws_log.unwrap_or_default(),
        ..defaults
    }
}

const fn timing(configured: &section::Supervisor) -> Timing {
    Timing {
        ready: Duration::from_millis(configured.ready_timeout_ms.get()),
        drain: Duration::from_millis(configured.drain_timeout_ms.get()),
        beat: Duration::from_millis(configured.heartbeat_ms.get()),
        missed_beats: 3,
        retry: Duration::from_secs(60),
    }
}

/// Nobody's gateway needs more than these, and machines have more.
const MEMORY: [(ChildName, MemoryBound); 3] = [
    (ChildName::Gateway, MemoryBound::of(2_000_000_000)),
    (ChildName::CanvasHost, MemoryBound::of(512_000_000)),
    (ChildName::BrowserControl, MemoryBound::of(1_000_000_000)),
];

fn bounds(limits: &section::Limits) -> BTreeMap<ChildName, Bound> {
    let of = |(child, usual): (ChildName, MemoryBound)| {
        let process = match child {
            ChildName::Gateway => &limits.gateway,
            ChildName::CanvasHost => &limits.canvas_host,
            ChildName::BrowserControl => &limits.browser_control,
        };
        let memory = process.memory.unwrap_or(usual).bytes()?;
        let twice = MemoryBound::of(memory.saturating_mul(2));
        // Without a ceiling it is only replaced.
        let ceiling = process.memory_ceiling.unwrap_or(twice).bytes();
        let ceiling = ceiling.unwrap_or(u64::MAX);
        Some((child, Bound { memory, ceiling }))
    };
    MEMORY.into_iter().filter_map(of).collect()
}

fn children(config: &Config, environment: &Environment) -> Vec<ChildName> {
    let wanted = BTreeMap::from([
        (ChildName::Gateway, true),
        (
            ChildName::CanvasHost,
            config.canvas_host.enabled && !environment.is_on("OPENCLAW_SKIP_CANVAS_HOST"),
        ),
        (
            ChildName::BrowserControl,
            config.browser.enabled && !environment.is_on("OPENCLAW_SKIP_BROWSER_CONTROL_SERVER"),
        ),
    ]);
    ChildName::ALL
        .into_iter()
        .filter(|child| wanted[child])
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use openclaw_shared::config::load_candidate;
    use openclaw_shared::config::section::BindMode;
    use openclaw_shared::control::ChildName;
    use openclaw_shared::credentials::AuthMode;
    use openclaw_shared::exit::Exit;
    use openclaw_shared::instance::{Environment, Identity, Profile};
    use openclaw_shared::secret::Secret;
    use serde_json::json;

    use super::{Flags, Refusal, Settings, resolve};

    #[expect(
        clippy::unwrap_in_result,
        reason = "what is not under test is known to work"
    )]
    fn settings(
        text: &str,
        flags: &Flags,
        variables: &[(&str, &str)],
    ) -> Result<Settings, Refusal> {
        let pairs = [("HOME", "/home/me")];
        let environment =
            Environment::from_pairs(pairs.iter().chain(variables).copied(), Path::new("/"));
        let profile = Profile::parse("").unwrap();
        let identity = Identity::resolve(profile, &environment, &|_| false).unwrap();
        let loaded = load_candidate(&identity.config_path, text, environment.variables()).unwrap();
        resolve(
            &identity,
            loaded,
            flags,
            &environment,
            Some(Secret::new("made".into())),
        )
    }

    fn refusal(text: &str, flags: &Flags, variables: &[(&str, &str)]) -> Option<Exit> {
        settings(text, flags, variables)
            .and_then(|settings| settings.check_start(flags))
            .err()
            .map(|refusal| refusal.exit)
    }

    #[test]
    fn a_public_address_needs_a_secret_that_the_owner_chose() {
        let local = r#"{gateway: {mode: "local", bind: "lan"}}"#;
        let none = Flags::default();
        assert_eq!(refusal(local, &none, &[]), Some(Exit::Refused));
        let by_flag = Flags {
            token: Some(Secret::new("t".into())),
            ..Flags::default()
        };
        assert_eq!(refusal(local, &by_flag, &[]), None);
        assert_eq!(
            refusal(local, &none, &[("OPENCLAW_GATEWAY_TOKEN", "t")]),
            None
        );
        let custom = r#"{gateway: {mode: "local", bind: "custom", customBindHost: "0.0.0.0"}}"#;
        assert_eq!(refusal(custom, &none, &[]), Some(Exit::Refused));
        let loopback = r#"{gateway: {mode: "local", bind: "custom", customBindHost: "127.0.0.2"}}"#;
        assert_eq!(refusal(loopback, &none, &[]), None);
        let nowhere = Flags {
            bind: Some(BindMode::Custom),
            ..Flags::default()
        };
        assert_eq!(refusal("{}", &nowhere, &[]), Some(Exit::ConfigInvalid));
    }

    #[test]
    fn an_instance_that_was_not_set_up_says_how_to() {
        let none = Flags::default();
        assert_eq!(refusal("{}", &none, &[]), Some(Exit::ConfigInvalid));
        assert_eq!(
            refusal(r#"{gateway: {mode: "remote"}}"#, &none, &[]),
            Some(Exit::ConfigInvalid)
        );
        let allowed = Flags {
            allow_unconfigured: true,
            ..Flags::default()
        };
        assert_eq!(refusal("{}", &allowed, &[]), None);
        let password = r#"{gateway: {mode: "local", auth: {mode: "password"}}}"#;
        assert_eq!(refusal(password, &none, &[]), Some(Exit::Refused));
    }

    #[test]
    fn secrets_come_from_flag_then_config_then_environment_then_the_state_folder() {
        let variables = [("OPENCLAW_GATEWAY_TOKEN", "env")];
        let config = r#"{gateway: {auth: {token: "conf"}}}"#;
        let flags = Flags {
            token: Some(Secret::new("flag".into())),
            ..Flags::default()
        };
        let token = |text: &str, flags: &Flags, variables: &[(&str, &str)]| {
            settings(text, flags, variables)
                .unwrap()
                .credentials
                .token
                .unwrap()
                .expose()
                .clone()
        };
        let none = Flags::default();
        assert_eq!(token(config, &flags, &variables), "flag");
        assert_eq!(token(config, &none, &variables), "conf");
        assert_eq!(token("{}", &none, &variables), "env");
        assert_eq!(token("{}", &none, &[]), "made");
        let mode = settings(r#"{gateway: {auth: {password: "p"}}}"#, &none, &[]).unwrap();
        assert_eq!(mode.credentials.mode, AuthMode::Password);
    }

    #[test]
    fn a_child_sees_only_its_sections() {
        let text = r#"{gateway: {auth: {token: "t"}, controlUi: {allowedHosts: ["h"]}}, canvasHost: {liveReload: false}, browser: {headless: true}}"#;
        let settings = settings(text, &Flags::default(), &[]).unwrap();
        let canvas = settings.config_for(ChildName::CanvasHost);
        assert_eq!(
            canvas,
            json!({
                "canvasHost": {"liveReload": false},
                "gateway": {"controlUi": {"allowedHosts": ["h"]}},
            })
        );
        assert!(settings.credentials_for(ChildName::CanvasHost).is_none());
        assert!(
            settings
                .config_for(ChildName::Gateway)
                .to_string()
                .contains("token")
        );
    }

    #[test]
    fn children_that_are_switched_off_are_not_wanted() {
        let none = Flags::default();
        let wanted = |text: &str, variables: &[(&str, &str)]| {
            settings(text, &none, variables).unwrap().children
        };
        assert_eq!(wanted("{}", &[]), ChildName::ALL);
        assert_eq!(
            wanted(
                "{canvasHost: {enabled: false}, browser: {enabled: false}}",
                &[]
            ),
            [ChildName::Gateway]
        );
        let skip = [("OPENCLAW_SKIP_CANVAS_HOST", "1")];
        assert_eq!(
            wanted("{}", &skip),
            [ChildName::Gateway, ChildName::BrowserControl]
        );
    }
}
