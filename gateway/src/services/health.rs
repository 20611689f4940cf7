//! How the gateway is: the `health` and `status` summaries, prepared ahead of whoever asks.  (pure)
//!
//! Invariant: answering costs no serialisation; a summary is built when it is asked for after a change, once.

use std::collections::{BTreeMap, VecDeque};

use openclaw_shared::clock::WallTime;
use openclaw_shared::control::FleetStatus;
use openclaw_shared::instance::Instance;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::params::health::{
    AgentHealth, AgentHeartbeat, AgentHeartbeatStatus, AgentSessionsStatus, HealthSummary,
    HeartbeatStatus, SessionModelDefaults, SessionStoreSummary, SessionsStatus, StatusSummary,
};
use std::sync::Arc;

use crate::prepared::Prepared;
use crate::settings::{Agent, Settings};

/// Notes that wait for the main session at most; older ones go.
const MOST_SYSTEM_EVENTS: usize = 20;
/// How much of a note is kept, in characters.
const LONGEST_SYSTEM_EVENT: usize = 2_000;
/// An answer of an agent up to this long is taken for "all is well".
const ACK_MAX_CHARS: u64 = 300;

/// What the summaries are made of.
#[derive(Debug)]
pub(crate) struct Health {
    instance: Arc<Instance>,
    settings: Arc<Settings>,
    fleet: FleetStatus,
    system_events: VecDeque<String>,
    version: u64,
    summary: Option<Prepared<HealthSummary>>,
    status: Option<Prepared<StatusSummary>>,
}

impl Health {
    pub(crate) fn new(
        instance: Arc<Instance>,
        settings: Arc<Settings>,
        fleet: FleetStatus,
    ) -> Self {
        Self {
            instance,
            settings,
            fleet,
            system_events: VecDeque::new(),
            version: 1,
            summary: None,
            status: None,
        }
    }

    /// How often health was refreshed.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// The supervisor's view.
    pub(crate) const fn fleet(&self) -> &FleetStatus {
        &self.fleet
    }

    /// The supervisor's view changed. Whether everybody should hear of it: a process that has used some more time or memory
    /// is no news.
    pub(crate) fn set_fleet(&mut self, fleet: FleetStatus) -> bool {
        let is_news = without_samples(&self.fleet) != without_samples(&fleet);
        self.fleet = fleet;
        self.summary = None;
        self.status = None;
        is_news
    }

    /// The configuration changed.
    pub(crate) fn set_settings(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
        self.summary = None;
        self.status = None;
    }

    /// Leaves a note for the main session.
    pub(crate) fn queue_system_event(&mut self, text: String) {
        let text: String = text.chars().take(LONGEST_SYSTEM_EVENT).collect();
        if self.system_events.back() == Some(&text) {
            return;
        }
        self.system_events.push_back(text);
        if self.system_events.len() > MOST_SYSTEM_EVENTS {
            self.system_events.pop_front();
        }
        self.status = None;
    }

    /// Looks again; the result goes to everybody.
    pub(crate) fn refresh(&mut self, now: WallTime) -> Prepared<HealthSummary> {
        self.version += 1;
        let summary = Prepared::new(&self.look(now));
        self.summary = Some(summary.clone());
        summary
    }

    /// The last look, or a first one.
    pub(crate) fn summary(&mut self, now: WallTime) -> Prepared<HealthSummary> {
        if let Some(summary) = &self.summary {
            return summary.clone();
        }
        let summary = Prepared::new(&self.look(now));
        self.summary = Some(summary.clone());
        summary
    }

    /// Forgets the last look, so that the next summary is a fresh one.
    pub(crate) fn look_again(&mut self) {
        self.summary = None;
    }

    /// The short summary.
    pub(crate) fn status(&mut self) -> Prepared<StatusSummary> {
        if let Some(status) = &self.status {
            return status.clone();
        }
        let status = Prepared::new(&self.short());
        self.status = Some(status.clone());
        status
    }

    fn look(&self, now: WallTime) -> HealthSummary {
        let default_agent = self.settings.default_agent();
        HealthSummary {
            ok: true,
            ts: now.as_millis(),
            // Everything is at hand: no channel is probed.
            duration_ms: 0,
            link_channel: None,
            channels: BTreeMap::new(),
            channel_order: Vec::new(),
            channel_labels: BTreeMap::new(),
            heartbeat_seconds: 0,
            default_agent_id: default_agent.to_owned(),
            agents: self
                .settings
                .agents
                .iter()
                .map(|agent| self.agent(agent))
                .collect(),
            sessions: self.store(default_agent),
            supervisor: self.fleet.clone(),
        }
    }

    fn agent(&self, agent: &Agent) -> AgentHealth {
        AgentHealth {
            agent_id: agent.id.clone(),
            is_default: agent.is_default,
            // Agents do not run yet, so no heart beats, whatever the configuration wishes.
            heartbeat: AgentHeartbeat {
                enabled: false,
                every: "disabled".to_owned(),
                every_ms: None,
                prompt: String::new(),
                target: "last".to_owned(),
                ack_max_chars: ACK_MAX_CHARS,
            },
            sessions: self.store(&agent.id),
        }
    }

    fn store(&self, agent: &str) -> SessionStoreSummary {
        SessionStoreSummary {
            path: self.store_path(agent),
            count: 0,
            recent: Vec::new(),
        }
    }

    fn store_path(&self, agent: &str) -> String {
        let identity = &self.instance.identity;
        identity.display(&StatePaths(&identity.state_dir).sessions_index(agent))
    }

    fn short(&self) -> StatusSummary {
        let agents = &self.settings.agents;
        StatusSummary {
            link_channel: None,
            heartbeat: HeartbeatStatus {
                default_agent_id: self.settings.default_agent().to_owned(),
                agents: agents
                    .iter()
                    .map(|agent| AgentHeartbeatStatus {
                        agent_id: agent.id.clone(),
                        enabled: false,
                        every: "disabled".to_owned(),
                        every_ms: None,
                    })
                    .collect(),
            },
            channel_summary: Vec::new(),
            queued_system_events: self.system_events.iter().cloned().collect(),
            sessions: SessionsStatus {
                paths: agents
                    .iter()
                    .map(|agent| self.store_path(&agent.id))
                    .collect(),
                count: 0,
                defaults: SessionModelDefaults {
                    model: None,
                    context_tokens: None,
                },
                recent: Vec::new(),
                by_agent: agents
                    .iter()
                    .map(|agent| AgentSessionsStatus {
                        agent_id: agent.id.clone(),
                        path: self.store_path(&agent.id),
                        count: 0,
                        recent: Vec::new(),
                    })
                    .collect(),
            },
            supervisor: self.fleet.clone(),
        }
    }
}

fn without_samples(fleet: &FleetStatus) -> FleetStatus {
    let mut fleet = fleet.clone();
    for child in &mut fleet.children {
        child.memory_bytes = None;
        child.cpu_ms = None;
    }
    fleet
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openclaw_shared::clock::WallTime;
    use openclaw_shared::config::Config;
    use openclaw_shared::control::ChildState;
    use serde_json::{Value, json};

    use super::Health;
    use crate::settings::Settings;
    use crate::testing::{fleet, instance};

    fn health() -> Health {
        let instance = Arc::new(instance(std::path::Path::new("/home/me")));
        let settings = Settings::of(&Config::default(), &instance);
        Health::new(instance, Arc::new(settings), fleet())
    }

    fn json_of(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn the_summary_has_the_shape_that_clients_know() {
        let summary = json_of(health().summary(WallTime::from_millis(7)).json());
        let keys: Vec<&str> = summary
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "ok",
                "ts",
                "durationMs",
                "channels",
                "channelOrder",
                "channelLabels",
                "heartbeatSeconds",
                "defaultAgentId",
                "agents",
                "sessions",
                "supervisor"
            ]
        );
        assert_eq!(
            summary["sessions"]["path"],
            "~/.openclaw/agents/main/sessions/sessions.json"
        );
        let child = summary["supervisor"]["children"][0].as_object().unwrap();
        let keys: Vec<&str> = child.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "name",
                "state",
                "generation",
                "pid",
                "restarts",
                "memoryBytes",
                "cpuMs",
                "lastError"
            ]
        );
        let text = summary.to_string();
        assert!(
            !text.contains("/home/"),
            "no absolute path is shown: {text}"
        );
    }

    #[test]
    fn the_short_summary_has_the_shape_that_clients_know() {
        let status = json_of(health().status().json());
        let keys: Vec<&str> = status
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "heartbeat",
                "channelSummary",
                "queuedSystemEvents",
                "sessions",
                "supervisor"
            ]
        );
        assert!(!status.to_string().contains("/home/"));
    }

    #[test]
    fn only_a_refresh_counts_and_a_sample_is_no_news() {
        let mut health = health();
        let before = health.summary(WallTime::from_millis(1)).json().clone();
        assert_eq!(health.summary(WallTime::from_millis(2)).json(), &before);
        assert_eq!(health.version(), 1);
        let mut fleet = fleet();
        fleet.children[0].memory_bytes = Some(5);
        assert!(!health.set_fleet(fleet.clone()));
        let shown = json_of(health.summary(WallTime::from_millis(3)).json());
        assert_eq!(shown["supervisor"]["children"][0]["memoryBytes"], json!(5));
        fleet.children[0].state = ChildState::Backoff;
        assert!(health.set_fleet(fleet));
        let _ = health.refresh(WallTime::from_millis(4));
        assert_eq!(health.version(), 2);
    }

    #[test]
    fn notes_are_bounded_and_a_repeated_one_is_kept_once() {
        let mut health = health();
        for number in 0..50 {
            health.queue_system_event(format!("note {}", number / 2));
        }
        let status = json_of(health.status().json());
        let notes = status["queuedSystemEvents"].as_array().unwrap().clone();
        assert_eq!(
            (notes.len(), &notes[0], &notes[19]),
            (20, &json!("note 5"), &json!("note 24"))
        );
    }
}
