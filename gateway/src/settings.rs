//! What this process takes from the configuration, in the types it works with.
//!
//! Read once per launch and per reload; an unusable entry of a list is skipped with a warning, because the supervisor has
//! validated the file and a gateway that runs is worth more than one that sulks.

use std::collections::BTreeSet;
use std::net::IpAddr;

use openclaw_shared::config::Config;
use openclaw_shared::config::section::{MdnsMode, Metrics, SessionScope, TailscaleMode};
use openclaw_shared::credentials::AuthMode;
use openclaw_shared::instance::Instance;
use openclaw_shared::model_providers::Keyring;
use openclaw_shared::protocol::snapshot::SessionDefaults;
use openclaw_shared::serve::host::{Host, HostPolicy};
use openclaw_shared::serve::origin::Origin;

use crate::connection::handshake::ControlUiRules;
use crate::services::session_key::{Naming, configured_agent_id};
use crate::services::sessions::freshness::ResetRules;

pub(crate) mod agency;
pub(crate) mod catalog;
pub(crate) mod hearts;
pub(crate) mod http;
pub(crate) mod models;
pub(crate) mod queue;
pub(crate) mod runs;
pub(crate) mod tooling;

use agency::Agency;
use catalog::Catalog;
use hearts::{CronSettings, Hearts};
use http::HttpSettings;
use runs::RunSettings;
use tooling::Tooling;

/// The agent that answers when the configuration names none.
const DEFAULT_AGENT: &str = "main";
/// The last part of a main session's key. `session.mainKey` does not change it, as in other versions, so that keys that are stored
/// stay what they are.
const MAIN_KEY: &str = "main";

/// An agent as far as summaries show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) is_default: bool,
}

/// Which commands nodes may be asked for, besides the built-in table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeCommands {
    /// `gateway.nodes.allowCommands`.
    pub(crate) allow: BTreeSet<String>,
    /// `gateway.nodes.denyCommands`; wins.
    pub(crate) deny: BTreeSet<String>,
}

/// The settings in force.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The names we may be called by.
    pub(crate) hosts: HostPolicy,
    /// Web origins besides our own.
    pub(crate) allowed_origins: Vec<Origin>,
    /// Proxies whose word about the client counts.
    pub(crate) trusted_proxies: Vec<IpAddr>,
    /// Whether an identity that Tailscale Serve vouches for counts; none leaves it to what Serve and the mode of the secret say.
    allow_tailscale: Option<bool>,
    /// Whether Tailscale Serve stands in front of us.
    pub(crate) serves_tailnet: bool,
    /// How the Control UI may connect without a device.
    pub(crate) control_ui: ControlUiRules,
    /// How much of this gateway is announced in the local network.
    pub(crate) announces: MdnsMode,
    /// Whether there is a canvas host.
    pub(crate) has_canvas: bool,
    /// The agents, the default one included; never empty.
    pub(crate) agents: Vec<Agent>,
    /// Which commands nodes may be asked for.
    pub(crate) node_commands: NodeCommands,
    /// What else the configuration names.
    pub(crate) catalog: Catalog,
    /// What holds for agents.
    pub(crate) agency: Agency,
    /// What holds for their tools.
    pub(crate) tooling: Tooling,
    /// What holds for runs.
    pub(crate) runs: RunSettings,
    /// What holds for runs at set times.
    pub(crate) cron: CronSettings,
    /// What wakes agents by itself.
    pub(crate) hearts: Hearts,
    /// When conversations end.
    pub(crate) resets: ResetRules,
    /// Which interfaces for programs are there.
    pub(crate) http: HttpSettings,
    /// What can be read of its own doings.
    pub(crate) metrics: Metrics,
    session_scope: SessionScope,
}

impl Settings {
    /// Takes what concerns this process, of which no model provider has a key but those of the configuration.
    #[cfg(test)]
    pub(crate) fn of(config: &Config, instance: &Instance) -> Self {
        let keyring = Keyring::of_variables(config, &std::collections::BTreeMap::new());
        Self::with_keys(config, instance, &keyring)
    }

    /// Takes what concerns this process.
    pub(crate) fn with_keys(config: &Config, instance: &Instance, keyring: &Keyring) -> Self {
        let control_ui = &config.gateway.control_ui;
        let hosts = control_ui
            .allowed_hosts
            .iter()
            .filter_map(|text| usable(text, Host::parse(text), "gateway.controlUi.allowedHosts"))
            .fold(HostPolicy::bound_to(&instance.hosts), HostPolicy::and);
        let hosts = match config.gateway.tailscale.mode {
            TailscaleMode::Off => hosts,
            TailscaleMode::Serve | TailscaleMode::Funnel => hosts.and_tailnet_names(),
        };
        let allowed_origins = control_ui
            .allowed_origins
            .iter()
            .filter_map(|text| {
                usable(
                    text,
                    Origin::parse(text),
                    "gateway.controlUi.allowedOrigins",
                )
            })
            .collect();
        let trusted_proxies = config
            .gateway
            .trusted_proxies
            .iter()
            .filter_map(|text| usable(text, text.parse().ok(), "gateway.trustedProxies"))
            .collect();
        let agents = agents(config);
        let default_agent = default_of(&agents);
        Self {
            hosts,
            allowed_origins,
            trusted_proxies,
            allow_tailscale: config.gateway.auth.allow_tailscale,
            serves_tailnet: config.gateway.tailscale.mode == TailscaleMode::Serve,
            control_ui: ControlUiRules {
                allow_insecure_auth: control_ui.allow_insecure_auth,
                disable_device_auth: control_ui.dangerously_disable_device_auth,
            },
            announces: config.discovery.mdns.mode,
            has_canvas: config.canvas_host.enabled,
            cron: CronSettings::of(config),
            hearts: Hearts::of(config, default_agent),
            agents,
            agency: Agency::of(config),
            tooling: Tooling::of(config, instance),
            catalog: Catalog::of(config, instance, keyring),
            runs: RunSettings::of(config),
            node_commands: NodeCommands {
                allow: names(&config.gateway.nodes.allow_commands),
                deny: names(&config.gateway.nodes.deny_commands),
            },
            resets: ResetRules::of(&config.session),
            http: HttpSettings::of(config),
            metrics: config.gateway.metrics.clone(),
            session_scope: config.session.scope,
        }
    }

    /// Whether an identity that Tailscale Serve vouches for counts, when this secret is the one that counts otherwise.
    pub(crate) fn believes_tailnet(&self, mode: AuthMode) -> bool {
        self.allow_tailscale
            .unwrap_or(self.serves_tailnet && mode != AuthMode::Password)
    }

    /// The agent that answers when none is named.
    pub(crate) fn default_agent(&self) -> &str {
        default_of(&self.agents)
    }

    /// How sessions are named.
    pub(crate) fn naming(&self) -> Naming<'_> {
        Naming {
            default_agent: self.default_agent(),
            main_key: MAIN_KEY,
            is_global: self.session_scope == SessionScope::Global,
        }
    }

    /// How clients name the main session.
    pub(crate) fn session_defaults(&self) -> SessionDefaults {
        let agent = self.default_agent().to_owned();
        let main_session_key = match self.session_scope {
            SessionScope::Global => "global".to_owned(),
            SessionScope::PerSender => format!("agent:{agent}:{MAIN_KEY}"),
        };
        SessionDefaults {
            default_agent_id: agent,
            main_key: MAIN_KEY.to_owned(),
            main_session_key,
            scope: Some(self.session_scope.to_string()),
        }
    }
}

fn usable<T>(text: &str, parsed: Option<T>, key: &str) -> Option<T> {
    if parsed.is_none() {
        tracing::warn!(target: "gateway", key, value = text, "skipped a setting that cannot be used");
    }
    parsed
}

fn names(list: &[String]) -> BTreeSet<String> {
    list.iter().map(|name| name.trim().to_owned()).collect()
}

fn default_of(agents: &[Agent]) -> &str {
    agents
        .iter()
        .find(|agent| agent.is_default)
        .map_or(DEFAULT_AGENT, |agent| agent.id.as_str())
}

fn agents(config: &Config) -> Vec<Agent> {
    let mut agents: Vec<Agent> = Vec::new();
    for entry in &config.agents.list {
        let id =
            configured_agent_id(&entry.id).filter(|id| !agents.iter().any(|agent| agent.id == *id));
        if let Some(id) = usable(&entry.id, id, "agents.list[].id") {
            agents.push(Agent {
                id,
                is_default: entry.default,
            });
        }
    }
    if agents.is_empty() {
        agents.push(Agent {
            id: DEFAULT_AGENT.to_owned(),
            is_default: true,
        });
    } else if !agents.iter().any(|agent| agent.is_default) {
        agents[0].is_default = true;
    }
    agents
}
