//! What the configuration says of heartbeats, and of runs at set times.  (pure)

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use openclaw_shared::clock::WallTime;
use openclaw_shared::config::section::Heartbeat;
use openclaw_shared::config::setting::Block;
use openclaw_shared::config::{Config, period};
use serde_json::Value;

use crate::services::session_key::configured_agent_id;

/// How often a heart beats when nobody says.
const EVERY: &str = "30m";
/// What an agent is asked when nobody says.
const PROMPT: &str = "Read HEARTBEAT.md if it exists (workspace context). Follow it strictly. Do not infer or repeat old tasks from prior chats. If nothing needs attention, reply HEARTBEAT_OK.";
/// Where the answer goes when nobody says.
const TARGET: &str = "last";
/// How long an answer may be that says that there is nothing, in characters, when nobody says.
const ACK_MAX_CHARS: u64 = 300;

/// Runs at set times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CronSettings {
    /// Whether jobs run by themselves.
    pub(crate) is_enabled: bool,
    /// How many may run at once; at least one.
    pub(crate) most_at_once: usize,
}

impl CronSettings {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            is_enabled: config.cron.enabled,
            most_at_once: usize::try_from(config.cron.max_concurrent_runs.max(1)).unwrap_or(1),
        }
    }
}

/// The regular wake-up of an agent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heart {
    pub(crate) agent: String,
    /// How often, as it is shown.
    pub(crate) every_text: String,
    /// How often; none when it does not beat by itself.
    pub(crate) every: Option<Duration>,
    /// When in the day.
    pub(crate) hours: Option<ActiveHours>,
    pub(crate) model: Option<String>,
    /// The session it happens in, when it is not the main one.
    pub(crate) session: Option<String>,
    pub(crate) target: String,
    pub(crate) prompt: String,
    pub(crate) ack_max_chars: u64,
}

/// The hours of the day in which a heart beats.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ActiveHours {
    /// Minutes since midnight. When the end comes first, they go on past midnight.
    start: u32,
    end: u32,
    zone: Zone,
}

#[derive(Debug, Clone, PartialEq)]
enum Zone {
    Local,
    Named(TimeZone),
}

/// The hearts of an instance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hearts {
    /// Those that beat by themselves, or would if their distance were not zero.
    beating: Vec<Heart>,
    /// What holds for an agent that is woken although it has none.
    defaults: Heart,
}

impl Hearts {
    /// The agents whose entry has a block; when there is none, the default agent.
    pub(crate) fn of(config: &Config, default_agent: &str) -> Self {
        let defaults = &config.agents.defaults.heartbeat;
        let user_zone = config.agents.defaults.user_timezone.as_deref();
        let mut beating: Vec<Heart> = config
            .agents
            .list
            .iter()
            .filter_map(|entry| {
                let own = entry.heartbeat.as_ref()?;
                let agent = configured_agent_id(&entry.id)?;
                Some(heart(agent, Some(own), defaults, user_zone))
            })
            .collect();
        if beating.is_empty() {
            beating.push(heart(default_agent.to_owned(), None, defaults, user_zone));
        }
        Self {
            beating,
            defaults: heart(default_agent.to_owned(), None, defaults, user_zone),
        }
    }

    /// The hearts that are there.
    pub(crate) fn beating(&self) -> &[Heart] {
        &self.beating
    }

    /// The heart of an agent, if it has one.
    pub(crate) fn of_agent(&self, agent: &str) -> Option<&Heart> {
        self.beating.iter().find(|heart| heart.agent == agent)
    }

    /// The heart of an agent, or what holds for one that has none and is woken.
    pub(crate) fn woken(&self, agent: &str) -> Heart {
        self.of_agent(agent).cloned().unwrap_or_else(|| Heart {
            agent: agent.to_owned(),
            every: None,
            ..self.defaults.clone()
        })
    }
}

fn heart(
    agent: String,
    own: Option<&Heartbeat>,
    defaults: &Heartbeat,
    user_zone: Option<&str>,
) -> Heart {
    fn words(text: Option<&String>) -> Option<String> {
        text.map(|text| text.trim())
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    }
    fn first<T>(
        own: Option<&Heartbeat>,
        defaults: &Heartbeat,
        of: impl Fn(&Heartbeat) -> Option<T>,
    ) -> Option<T> {
        own.and_then(&of).or_else(|| of(defaults))
    }
    let every_text =
        first(own, defaults, |it| words(it.every.as_ref())).unwrap_or_else(|| EVERY.to_owned());
    Heart {
        every: period(&every_text).filter(|every| !every.is_zero()),
        every_text,
        hours: first(own, defaults, |it| it.active_hours.clone())
            .and_then(|block| ActiveHours::of(&block, user_zone)),
        model: first(own, defaults, |it| words(it.model.as_ref())),
        session: first(own, defaults, |it| words(it.session.as_ref())),
        target: first(own, defaults, |it| words(it.target.as_ref()))
            .unwrap_or_else(|| TARGET.to_owned()),
        prompt: first(own, defaults, |it| words(it.prompt.as_ref()))
            .unwrap_or_else(|| PROMPT.to_owned()),
        ack_max_chars: first(own, defaults, |it| it.ack_max_chars).unwrap_or(ACK_MAX_CHARS),
        agent,
    }
}

impl ActiveHours {
    /// None when a part is missing or cannot be read, so that a slip of the pen does not silence an agent.
    fn of(block: &Block, user_zone: Option<&str>) -> Option<Self> {
        let block = block.expose();
        let text = |key: &str| block.get(key).and_then(Value::as_str).map(str::trim);
        let zone = match text("timezone") {
            Some("local") => Zone::Local,
            None | Some("" | "user") => named(user_zone),
            Some(name) => match TimeZone::get(name) {
                Ok(zone) => Zone::Named(zone),
                Err(_) => named(user_zone),
            },
        };
        Some(Self {
            start: minutes(text("start")?).filter(|start| *start < 24 * 60)?,
            end: minutes(text("end")?)?,
            zone,
        })
    }

    /// Whether it is one of them.
    pub(crate) fn contain(&self, now: WallTime, local: &TimeZone) -> bool {
        if self.start == self.end {
            return true;
        }
        let zone = match &self.zone {
            Zone::Local => local,
            Zone::Named(zone) => zone,
        };
        let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let Ok(timestamp) = Timestamp::from_millisecond(millis) else {
            return true;
        };
        let there = timestamp.to_zoned(zone.clone());
        let now =
            u32::from(there.hour().unsigned_abs()) * 60 + u32::from(there.minute().unsigned_abs());
        if self.start < self.end {
            (self.start..self.end).contains(&now)
        } else {
            now >= self.start || now < self.end
        }
    }
}

fn named(user_zone: Option<&str>) -> Zone {
    user_zone
        .and_then(|name| TimeZone::get(name.trim()).ok())
        .map_or(Zone::Local, Zone::Named)
}

/// `08:00` to `24:00`, in minutes since midnight.
fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let is_number = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !(is_number(hours) && is_number(minutes)) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let is_time = minutes < 60 && (hours < 24 || (hours, minutes) == (24, 0));
    is_time.then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::config::Config;
    use serde_json::{Value, json};

    use super::Hearts;

    fn hearts(agents: Value) -> Hearts {
        let config = Config::from_effective(&json!({"agents": agents})).unwrap();
        Hearts::of(&config, "main")
    }

    #[test]
    fn the_default_agent_has_a_heart_unless_others_do() {
        let plain = hearts(json!({}));
        let [heart] = plain.beating() else {
            panic!("{plain:?}");
        };
        assert_eq!(
            (
                &*heart.agent,
                &*heart.every_text,
                heart.every,
                heart.ack_max_chars,
                &*heart.target
            ),
            ("main", "30m", Some(Duration::from_secs(1_800)), 300, "last")
        );
        let own = hearts(json!({
            "defaults": {"heartbeat": {"every": "0m", "prompt": " look ", "ackMaxChars": 5}},
            "list": [{"id": "main", "default": true}, {"id": "Ops", "heartbeat": {"every": "90s", "model": "a/b"}}],
        }));
        let [heart] = own.beating() else {
            panic!("{own:?}");
        };
        assert_eq!(
            (
                &*heart.agent,
                heart.every,
                &*heart.prompt,
                heart.ack_max_chars,
                heart.model.as_deref()
            ),
            ("ops", Some(Duration::from_secs(90)), "look", 5, Some("a/b"))
        );
        assert_eq!(own.of_agent("main"), None);
        let woken = own.woken("main");
        assert_eq!((&*woken.agent, woken.every), ("main", None));
    }

    #[track_caller]
    fn check(hours: Value, local: &str, expected: bool) {
        let hearts = hearts(json!({"defaults": {"heartbeat": {"activeHours": hours}}}));
        let zone = TimeZone::posix("<+02>-2").unwrap();
        let now: Timestamp = format!("2026-01-05T{local}:00+02:00").parse().unwrap();
        let now = WallTime::from_millis(now.as_millisecond() as u64);
        let is_in = hearts.beating()[0]
            .hours
            .as_ref()
            .is_none_or(|hours| hours.contain(now, &zone));
        assert_eq!(is_in, expected, "{hours} at {local}");
    }

    #[test]
    fn hours_are_those_of_their_zone_and_may_go_past_midnight() {
        let day = json!({"start": "08:00", "end": "24:00"});
        check(day.clone(), "07:59", false);
        check(day.clone(), "08:00", true);
        check(day, "23:59", true);
        let night = json!({"start": "22:00", "end": "06:00", "timezone": "local"});
        check(night.clone(), "21:59", false);
        check(night.clone(), "23:00", true);
        check(night.clone(), "05:59", true);
        check(night, "06:00", false);
        let utc = json!({"start": "08:00", "end": "09:00", "timezone": "UTC"});
        check(utc.clone(), "08:30", false);
        check(utc, "10:30", true);
        check(json!({"start": "08:00", "end": "08:00"}), "03:00", true);
        for unreadable in [
            json!({"start": "8", "end": "9"}),
            json!({"start": "25:00", "end": "26:00"}),
            json!({"start": "24:00", "end": "08:00"}),
            json!({"start": "08:00"}),
        ] {
            check(unreadable, "03:00", true);
        }
    }
}
