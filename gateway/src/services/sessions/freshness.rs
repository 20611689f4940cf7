//! When a conversation is over, so that the next message begins another: at an hour of the day, or after silence.  (pure)

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::config::section::{ResetMode, Session};
use openclaw_shared::protocol::params::sessions::SessionKind;
use serde_json::{Map, Value};

use crate::services::session_key::{self, SessionKey};

/// The hour of the day when nobody says.
const USUAL_HOUR: u8 = 4;
/// The silence when it is to count and nobody says how long.
const USUAL_IDLE: Duration = Duration::from_secs(60 * 60);

/// What ends a conversation; whichever comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ResetRule {
    /// An hour of the day, in the zone of the machine.
    at_hour: Option<u8>,
    /// That nobody has said anything for so long.
    idle: Option<Duration>,
}

/// What ends which conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResetRules {
    usual: ResetRule,
    direct: Option<ResetRule>,
    group: Option<ResetRule>,
    thread: Option<ResetRule>,
    channels: BTreeMap<String, ResetRule>,
}

impl ResetRule {
    fn daily(at_hour: Option<u8>, idle: Option<Duration>) -> Self {
        Self {
            at_hour: at_hour.or(Some(USUAL_HOUR)),
            idle,
        }
    }

    fn idle(idle: Option<Duration>) -> Self {
        Self {
            at_hour: None,
            idle: idle.or(Some(USUAL_IDLE)),
        }
    }

    /// One that the configuration has no types for.
    fn of(written: &Value) -> Option<Self> {
        let written = written.as_object()?;
        let hour = written.get("atHour").and_then(Value::as_u64);
        let hour = hour.and_then(|hour| u8::try_from(hour).ok().filter(|hour| *hour < 24));
        let idle = minutes(written.get("idleMinutes").and_then(Value::as_u64));
        Some(match written.get("mode").and_then(Value::as_str) {
            Some("idle") => Self::idle(idle),
            Some(_) | None => Self::daily(hour, idle),
        })
    }

    /// Whether a conversation is over that was last added to at `updated`. `last_at` is the last time the clocks showed an hour.
    pub(crate) fn is_over(
        self,
        updated: WallTime,
        now: WallTime,
        last_at: impl Fn(u8) -> WallTime,
    ) -> bool {
        let by_hour = self.at_hour.is_some_and(|hour| updated < last_at(hour));
        let by_silence = self.idle.is_some_and(|idle| now.since(updated) > idle);
        by_hour || by_silence
    }
}

fn minutes(minutes: Option<u64>) -> Option<Duration> {
    minutes
        .filter(|minutes| *minutes > 0)
        .map(|minutes| Duration::from_secs(minutes.saturating_mul(60)))
}

impl ResetRules {
    /// What the configuration says.
    pub(crate) fn of(session: &Session) -> Self {
        let idle = minutes(session.idle_minutes);
        let by_type = session.reset_by_type.as_ref().map(|block| block.expose());
        let of_type = |name: &str| by_type.and_then(|block| block.get(name));
        let usual = match &session.reset {
            // Whoever set only the silence, as older files do, means nothing else.
            None if idle.is_some() && by_type.is_none() => ResetRule::idle(idle),
            None => ResetRule::daily(None, idle),
            Some(reset) => {
                let idle = minutes(reset.idle_minutes).or(idle);
                let hour = reset.at_hour.and_then(|hour| u8::try_from(hour.get()).ok());
                match reset.mode {
                    Some(ResetMode::Idle) => ResetRule::idle(idle),
                    Some(ResetMode::Daily) | None => ResetRule::daily(hour, idle),
                }
            }
        };
        let by_channel = session.reset_by_channel.as_ref();
        let none = Map::new();
        let channels = by_channel.map_or(&none, |block| block.expose());
        Self {
            usual,
            direct: of_type("dm").and_then(ResetRule::of),
            group: of_type("group").and_then(ResetRule::of),
            thread: of_type("thread").and_then(ResetRule::of),
            channels: channels
                .iter()
                .filter_map(|(channel, rule)| Some((channel.to_lowercase(), ResetRule::of(rule)?)))
                .collect(),
        }
    }

    /// The rule of a session.
    pub(crate) fn rule(&self, key: &SessionKey) -> ResetRule {
        let rest = key.rest();
        let channel = rest.split_once(':').map(|(channel, _)| channel);
        let of_channel = channel.and_then(|channel| self.channels.get(&channel.to_lowercase()));
        let of_type = if rest.contains(":thread:") || rest.contains(":topic:") {
            self.thread
        } else {
            match session_key::kind(key.as_str()) {
                SessionKind::Group => self.group,
                SessionKind::Direct | SessionKind::Global | SessionKind::Unknown => self.direct,
            }
        };
        of_channel.copied().or(of_type).unwrap_or(self.usual)
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::config::Config;
    use serde_json::{Value, json};

    use super::ResetRules;
    use crate::services::session_key::{Naming, SessionKey};

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;

    /// Times are in minutes of a day that begins at zero; the clocks show the time.
    fn check(session: Value, key: &str, updated: u64, now: u64, is_over: bool) {
        let config = Config::from_effective(&json!({ "session": session })).unwrap();
        let naming = Naming {
            default_agent: "main",
            main_key: "main",
            is_global: false,
        };
        let parsed = SessionKey::parse(key, naming).unwrap();
        let rule = ResetRules::of(&config.session).rule(&parsed);
        let day = 24 * HOUR;
        let time = |minutes: u64| WallTime::from_millis(day + minutes * MINUTE);
        let now_at = time(now);
        let last_at = |hour: u8| {
            let at = day + u64::from(hour) * HOUR;
            let at = if at <= now_at.as_millis() {
                at
            } else {
                at - day
            };
            WallTime::from_millis(at)
        };
        assert_eq!(
            rule.is_over(time(updated), now_at, last_at),
            is_over,
            "{session} {key} {updated} {now}"
        );
    }

    #[test]
    fn a_conversation_ends_at_its_hour_or_after_silence() {
        let at = |hour: u64, minute: u64| hour * 60 + minute;
        let nothing = || json!({});
        for (session, key, updated, now, is_over) in [
            (nothing(), "main", at(3, 59), at(4, 0), true),
            (nothing(), "main", at(4, 0), at(23, 0), false),
            (nothing(), "main", at(1, 0), at(3, 59), false),
            (
                json!({"reset": {"atHour": 6}}),
                "main",
                at(5, 0),
                at(5, 59),
                false,
            ),
            (
                json!({"reset": {"atHour": 6}}),
                "main",
                at(5, 0),
                at(6, 0),
                true,
            ),
            (
                json!({"reset": {"mode": "daily", "idleMinutes": 10}}),
                "main",
                at(5, 0),
                at(5, 10),
                false,
            ),
            (
                json!({"reset": {"mode": "daily", "idleMinutes": 10}}),
                "main",
                at(5, 0),
                at(5, 11),
                true,
            ),
            (
                json!({"reset": {"mode": "idle"}}),
                "main",
                at(3, 59),
                at(4, 59),
                false,
            ),
            (
                json!({"reset": {"mode": "idle"}}),
                "main",
                at(3, 59),
                at(5, 0),
                true,
            ),
            (
                json!({"idleMinutes": 30}),
                "main",
                at(3, 50),
                at(4, 10),
                false,
            ),
            (
                json!({"idleMinutes": 30}),
                "main",
                at(3, 50),
                at(4, 21),
                true,
            ),
            // With any rule for a type beside it, the usual rule is the daily one again.
            (
                json!({"idleMinutes": 30, "resetByType": {}}),
                "main",
                at(3, 50),
                at(4, 10),
                true,
            ),
            (
                json!({"resetByType": {"group": {"mode": "idle", "idleMinutes": 5}}}),
                "main",
                at(5, 0),
                at(6, 0),
                false,
            ),
            (
                json!({"resetByType": {"group": {"mode": "idle", "idleMinutes": 5}}}),
                "x:group:1",
                at(5, 0),
                at(6, 0),
                true,
            ),
            (
                json!({"resetByType": {"dm": {"mode": "idle", "idleMinutes": 5}}}),
                "x:group:1",
                at(5, 0),
                at(6, 0),
                false,
            ),
            (
                json!({"resetByType": {"dm": {"mode": "idle", "idleMinutes": 5}}}),
                "x:dm:1",
                at(5, 0),
                at(6, 0),
                true,
            ),
            (
                json!({"resetByType": {"thread": {"atHour": 6}}}),
                "x:group:1:topic:2",
                at(5, 0),
                at(6, 0),
                true,
            ),
            (
                json!({"resetByType": {"thread": {"atHour": 6}}}),
                "x:group:1",
                at(5, 0),
                at(6, 0),
                false,
            ),
            (
                json!({"resetByType": {"group": {"mode": "idle", "idleMinutes": 5}}, "resetByChannel": {"Slack": {"mode": "idle", "idleMinutes": 900}}}),
                "slack:group:1",
                at(3, 0),
                at(6, 0),
                false,
            ),
        ] {
            check(session, key, updated, now, is_over);
        }
    }
}
