//! How the gateway is: the `health` and `status` summaries, prepared ahead of whoever asks.  (pure)
//!
//! Invariant: answering costs no serialisation; a summary is built when it is asked for after a change, once.

use std::collections::BTreeMap;

use openclaw_shared::clock::WallTime;
use openclaw_shared::control::FleetStatus;
use openclaw_shared::instance::Instance;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::params::health::{
    AgentHealth, AgentHeartbeat, AgentHeartbeatStatus, AgentSessionsStatus, HealthSummary,
    HeartbeatStatus, RecentSession, SessionModelDefaults, SessionStoreSummary, SessionsStatus,
    StatusSession, StatusSummary,
};
use std::sync::Arc;

use crate::prepared::Prepared;
use crate::services::overview::{AgentSessions, Overview, Recent};
use crate::services::session_key;
use crate::settings::hearts::Heart;
use crate::settings::{Agent, Settings};

/// The newest sessions in the health summary, at most.
const MOST_RECENT: usize = 5;
/// The newest sessions in the status summary, at most.
const MOST_STATUS_RECENT: usize = 10;
/// How long ages in the status summary may stand still, in milliseconds.
const AGES_STAND_STILL: u64 = 1_000;

/// What the summaries are made of.
#[derive(Debug)]
pub(crate) struct Health {
    instance: Arc<Instance>,
    settings: Arc<Settings>,
    fleet: FleetStatus,
    overview: Overview,
    /// The version of the store that the overview is of; `None` before the first look.
    seen: Option<u64>,
    store_is_broken: bool,
    version: u64,
    summary: Option<Prepared<HealthSummary>>,
    status: Option<(WallTime, Prepared<StatusSummary>)>,
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
            overview: Overview::default(),
            seen: None,
            store_is_broken: false,
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

    /// Whether the summaries are of this version of the store.
    pub(crate) fn has_seen(&self, version: u64) -> bool {
        self.seen == Some(version) && !self.store_is_broken
    }

    /// What the store holds.
    pub(crate) fn see(&mut self, version: u64, overview: Overview) {
        self.overview = overview;
        self.seen = Some(version);
        self.store_is_broken = false;
        self.summary = None;
        self.status = None;
    }

    /// The store cannot be read; what was seen last is still shown.
    pub(crate) fn store_failed(&mut self) {
        if !self.store_is_broken {
            self.store_is_broken = true;
            self.summary = None;
        }
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
    pub(crate) fn status(&mut self, now: WallTime) -> Prepared<StatusSummary> {
        if let Some((made, status)) = &self.status
            && (self.overview.agents.is_empty()
                || now.as_millis().abs_diff(made.as_millis()) < AGES_STAND_STILL)
        {
            return status.clone();
        }
        let status = Prepared::new(&self.short(now));
        self.status = Some((now, status.clone()));
        status
    }

    fn look(&self, now: WallTime) -> HealthSummary {
        let default_agent = self.settings.default_agent();
        HealthSummary {
            ok: !self.store_is_broken,
            ts: now.as_millis(),
            // Everything is at hand: no channel is probed.
            duration_ms: 0,
            link_channel: None,
            channels: BTreeMap::new(),
            channel_order: Vec::new(),
            channel_labels: BTreeMap::new(),
            heartbeat_seconds: self
                .heart(default_agent)
                .every
                .map_or(0, |every| every.as_secs()),
            default_agent_id: default_agent.to_owned(),
            agents: self
                .settings
                .agents
                .iter()
                .map(|agent| self.agent(agent, now))
                .collect(),
            sessions: self.store(default_agent, now),
            supervisor: self.fleet.clone(),
        }
    }

    fn agent(&self, agent: &Agent, now: WallTime) -> AgentHealth {
        AgentHealth {
            agent_id: agent.id.clone(),
            name: self
                .settings
                .catalog
                .agent(&agent.id)
                .and_then(|profile| profile.name.clone()),
            is_default: agent.is_default,
            heartbeat: {
                let heart = self.heart(&agent.id);
                AgentHeartbeat {
                    enabled: heart.every.is_some(),
                    every: shown(&heart),
                    every_ms: every_ms(&heart),
                    prompt: heart.prompt,
                    target: heart.target,
                    ack_max_chars: heart.ack_max_chars,
                }
            },
            sessions: self.store(&agent.id, now),
        }
    }

    fn heart(&self, agent: &str) -> Heart {
        self.settings.hearts.woken(agent)
    }

    fn store(&self, agent: &str, now: WallTime) -> SessionStoreSummary {
        let kept = self.overview.agents.get(agent);
        let recent = kept.map_or(&[][..], |sessions| &sessions.recent);
        SessionStoreSummary {
            path: self.store_path(),
            count: kept.map_or(0, |sessions| sessions.count),
            recent: recent
                .iter()
                .take(MOST_RECENT)
                .map(|session| RecentSession {
                    key: session.key.clone(),
                    updated_at: Some(session.entry.updated_at),
                    age: Some(age(session, now)),
                })
                .collect(),
        }
    }

    fn store_path(&self) -> String {
        let identity = &self.instance.identity;
        identity.display(&StatePaths(&identity.state_dir).store())
    }

    fn short(&self, now: WallTime) -> StatusSummary {
        let agents = &self.settings.agents;
        let defaults = self.settings.catalog.models.defaults();
        let defaults = SessionModelDefaults {
            model: defaults.model,
            context_tokens: defaults.context_tokens,
        };
        let rows = |sessions: &AgentSessions| -> Vec<StatusSession> {
            let recent = sessions.recent.iter();
            recent
                .map(|session| status_row(session, &defaults, now))
                .collect()
        };
        let mut ids: Vec<&str> = agents.iter().map(|agent| agent.id.as_str()).collect();
        ids.extend(
            self.overview
                .agents
                .keys()
                .map(String::as_str)
                .filter(|id| !agents.iter().any(|agent| agent.id == *id)),
        );
        let by_agent: Vec<AgentSessionsStatus> = ids
            .iter()
            .map(|id| {
                let kept = self.overview.agents.get(*id);
                AgentSessionsStatus {
                    agent_id: (*id).to_owned(),
                    path: self.store_path(),
                    count: kept.map_or(0, |sessions| sessions.count),
                    recent: kept.map(rows).unwrap_or_default(),
                }
            })
            .collect();
        let mut recent: Vec<StatusSession> = by_agent
            .iter()
            .flat_map(|agent| agent.recent.iter().cloned())
            .collect();
        recent.sort_by_key(|session| std::cmp::Reverse(session.updated_at));
        recent.truncate(MOST_STATUS_RECENT);
        StatusSummary {
            link_channel: None,
            heartbeat: HeartbeatStatus {
                default_agent_id: self.settings.default_agent().to_owned(),
                agents: agents
                    .iter()
                    .map(|agent| {
                        let heart = self.heart(&agent.id);
                        AgentHeartbeatStatus {
                            agent_id: agent.id.clone(),
                            enabled: heart.every.is_some(),
                            every: shown(&heart),
                            every_ms: every_ms(&heart),
                        }
                    })
                    .collect(),
            },
            channel_summary: Vec::new(),
            queued_system_events: self.overview.system_events.clone(),
            sessions: SessionsStatus {
                paths: vec![self.store_path()],
                count: by_agent.iter().map(|agent| agent.count).sum(),
                defaults,
                recent,
                by_agent,
            },
            supervisor: self.fleet.clone(),
        }
    }
}

fn shown(heart: &Heart) -> String {
    let is_beating = heart.every.is_some();
    let every = is_beating.then(|| heart.every_text.clone());
    every.unwrap_or_else(|| "disabled".to_owned())
}

fn every_ms(heart: &Heart) -> Option<u64> {
    let every = heart.every?.as_millis();
    Some(u64::try_from(every).unwrap_or(u64::MAX))
}

fn age(session: &Recent, now: WallTime) -> u64 {
    now.as_millis().saturating_sub(session.entry.updated_at)
}

fn status_row(session: &Recent, defaults: &SessionModelDefaults, now: WallTime) -> StatusSession {
    let entry = session.entry.clone();
    let total_tokens = entry.total_tokens.unwrap_or(0);
    let model = entry
        .model_override
        .clone()
        .or_else(|| defaults.model.clone());
    // The size of another model's context is not known here.
    let context_tokens = defaults
        .context_tokens
        .filter(|_| entry.model_override.is_none());
    let levels = [
        ("think", &entry.thinking_level),
        ("verbose", &entry.verbose_level),
        ("reasoning", &entry.reasoning_level),
        ("elevated", &entry.elevated_level),
    ];
    let mut flags: Vec<String> = levels
        .into_iter()
        .filter_map(|(name, level)| Some(format!("{name}:{}", level.as_ref()?)))
        .collect();
    for (is_set, flag) in [
        (entry.system_sent, "system"),
        (entry.aborted_last_run, "aborted"),
    ] {
        if is_set == Some(true) {
            flags.push(flag.to_owned());
        }
    }
    flags.push(format!("id:{}", entry.session_id));
    StatusSession {
        agent_id: session.agent.clone(),
        kind: session_key::kind(&session.key),
        key: session.key.clone(),
        updated_at: entry.updated_at,
        age: age(session, now),
        session_id: entry.session_id,
        thinking_level: entry.thinking_level,
        verbose_level: entry.verbose_level,
        reasoning_level: entry.reasoning_level,
        elevated_level: entry.elevated_level,
        system_sent: entry.system_sent,
        aborted_last_run: entry.aborted_last_run,
        input_tokens: entry.input_tokens,
        output_tokens: entry.output_tokens,
        total_tokens,
        remaining_tokens: context_tokens.map(|size| size.saturating_sub(total_tokens)),
        percent_used: context_tokens
            .filter(|size| *size > 0)
            .map(|size| (total_tokens.saturating_mul(100) / size).min(999)),
        model,
        context_tokens,
        flags,
    }
}

fn without_samples(fleet: &FleetStatus) -> FleetStatus {
    let mut fleet = fleet.clone();
    for child in &mut fleet.children {
        child.memory_bytes = None;
        child.cpu_ms = None;
    }
    fleet.memory_bytes = None;
    fleet
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openclaw_shared::clock::WallTime;
    use openclaw_shared::config::Config;
    use openclaw_shared::control::ChildState;
    use openclaw_shared::protocol::params::sessions::SessionEntry;
    use serde_json::{Value, json};

    use super::Health;
    use crate::services::overview::{AgentSessions, Overview, Recent};
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
        assert_eq!(summary["sessions"]["path"], "~/.openclaw/openclaw.sqlite");
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
                "lastError",
                "rung"
            ]
        );
        let supervisor = summary["supervisor"].as_object().unwrap();
        let keys: Vec<&str> = supervisor.keys().map(String::as_str).collect();
        assert_eq!(keys, ["config", "children", "recovery"]);
        let text = summary.to_string();
        assert!(
            !text.contains("/home/"),
            "no absolute path is shown: {text}"
        );
    }

    #[test]
    fn the_short_summary_has_the_shape_that_clients_know() {
        let status = json_of(health().status(WallTime::from_millis(7)).json());
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
    fn what_the_store_holds_is_shown_and_a_store_that_fails_is_not_well() {
        let mut health = health();
        let entry: SessionEntry = serde_json::from_value(
            json!({"sessionId": "s", "updatedAt": 5, "thinkingLevel": "high"}),
        )
        .unwrap();
        let recent = Recent {
            agent: "main".to_owned(),
            key: "agent:main:main".to_owned(),
            entry,
        };
        let sessions = AgentSessions {
            count: 1,
            recent: vec![recent],
        };
        health.see(
            3,
            Overview {
                agents: [("main".to_owned(), sessions)].into(),
                system_events: vec!["note".to_owned()],
            },
        );
        assert!(health.has_seen(3) && !health.has_seen(4));
        let now = WallTime::from_millis(7);
        let status = json_of(health.status(now).json());
        assert_eq!(status["queuedSystemEvents"], json!(["note"]));
        assert_eq!(status["sessions"]["count"], 1);
        assert_eq!(
            status["sessions"]["recent"][0]["flags"],
            json!(["think:high", "id:s"])
        );
        // Nothing is configured, so the built-in model answers.
        assert_eq!(status["sessions"]["recent"][0]["model"], "echo");
        let later = json_of(health.status(WallTime::from_millis(2_007)).json());
        assert_eq!(later["sessions"]["byAgent"][0]["recent"][0]["age"], 2_002);
        let summary = json_of(health.summary(now).json());
        assert_eq!(
            summary["sessions"]["recent"],
            json!([{"key": "agent:main:main", "updatedAt": 5, "age": 2}])
        );
        health.store_failed();
        assert!(!health.has_seen(3));
        assert_eq!(json_of(health.summary(now).json())["ok"], false);
        health.see(3, Overview::default());
        assert_eq!(json_of(health.summary(now).json())["ok"], true);
    }
}
