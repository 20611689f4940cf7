//! What this process takes from the configuration, in the types it works with.
//!
//! Read once per launch and per reload; an unusable entry of a list is skipped with a warning, because the supervisor has
//! validated the file and a gateway that runs is worth more than one that sulks.

use std::net::IpAddr;

use openclaw_shared::config::Config;
use openclaw_shared::config::section::SessionScope;
use openclaw_shared::instance::Instance;
use openclaw_shared::protocol::snapshot::SessionDefaults;
use openclaw_shared::serve::host::{Host, HostPolicy};
use openclaw_shared::serve::origin::Origin;

use crate::connection::handshake::ControlUiRules;

/// The agent that answers when the configuration names none.
const DEFAULT_AGENT: &str = "main";
/// The last part of the main session's key when the configuration says nothing.
const DEFAULT_MAIN_KEY: &str = "main";

/// An agent as far as summaries show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) is_default: bool,
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
    /// How the Control UI may connect without a device.
    pub(crate) control_ui: ControlUiRules,
    /// Whether there is a canvas host.
    pub(crate) has_canvas: bool,
    /// The agents, the default one included; never empty.
    pub(crate) agents: Vec<Agent>,
    session_scope: SessionScope,
    main_key: String,
}

impl Settings {
    /// Takes what concerns this process.
    pub(crate) fn of(config: &Config, instance: &Instance) -> Self {
        let control_ui = &config.gateway.control_ui;
        let hosts = control_ui
            .allowed_hosts
            .iter()
            .filter_map(|text| usable(text, Host::parse(text), "gateway.controlUi.allowedHosts"))
            .fold(HostPolicy::bound_to(&instance.hosts), HostPolicy::and);
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
        Self {
            hosts,
            allowed_origins,
            trusted_proxies,
            control_ui: ControlUiRules {
                allow_insecure_auth: control_ui.allow_insecure_auth,
                disable_device_auth: control_ui.dangerously_disable_device_auth,
            },
            has_canvas: config.canvas_host.enabled,
            agents: agents(config),
            session_scope: config.session.scope,
            main_key: config
                .session
                .main_key
                .clone()
                .unwrap_or_else(|| DEFAULT_MAIN_KEY.to_owned()),
        }
    }

    /// The agent that answers when none is named.
    pub(crate) fn default_agent(&self) -> &str {
        self.agents
            .iter()
            .find(|agent| agent.is_default)
            .map_or(DEFAULT_AGENT, |agent| agent.id.as_str())
    }

    /// How clients name the main session.
    pub(crate) fn session_defaults(&self) -> SessionDefaults {
        let agent = self.default_agent().to_owned();
        let main_session_key = match self.session_scope {
            SessionScope::Global => "global".to_owned(),
            SessionScope::PerSender => format!("agent:{agent}:{}", self.main_key),
        };
        SessionDefaults {
            default_agent_id: agent,
            main_key: self.main_key.clone(),
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

fn agents(config: &Config) -> Vec<Agent> {
    let mut agents: Vec<Agent> = config
        .agents
        .list
        .iter()
        .map(|entry| Agent {
            id: entry.id.clone(),
            is_default: entry.default,
        })
        .collect();
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
