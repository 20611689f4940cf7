//! What becomes of messages that come while their session is busy: as configured, and as a session has it for itself.  (pure)

use std::time::Duration;

use serde_json::{Map, Value, json};

/// How many messages wait in one session when nobody says.
const CAP: usize = 20;
/// How long a session is quiet before what waits in it is answered, when nobody says.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// The longest that can be asked for.
const LONGEST_DEBOUNCE: Duration = Duration::from_secs(3600);
/// The channel of whoever writes to the gateway itself.
const OWN_CHANNEL: &str = "webchat";

/// Where a session keeps what it has for itself.
const MODE: &str = "queueMode";
const DEBOUNCE_MS: &str = "queueDebounceMs";
const MOST: &str = "queueCap";
const DROP: &str = "queueDrop";

openclaw_shared::literals! {
    /// What becomes of a message that comes while its session is busy.
    #[derive(Default)]
    pub enum QueueMode {
        /// All that wait are answered together.
        #[default]
        Collect = "collect",
        /// Each is answered by itself.
        Followup = "followup",
        /// The run that is under way hears it.
        Steer = "steer",
        /// The run that is under way hears it, and it is answered by itself as well.
        SteerBacklog = "steer-backlog",
        /// The run that is under way is stopped.
        Interrupt = "interrupt",
    }
}

impl QueueMode {
    /// A mode, also by the names of older configurations.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.trim().to_lowercase().as_str() {
            "queue" => Some(Self::Steer),
            "steer+backlog" => Some(Self::SteerBacklog),
            other => Self::from_text(other),
        }
    }
}

openclaw_shared::literals! {
    /// Which message goes when too many wait.
    #[derive(Default)]
    pub enum DropPolicy {
        /// The oldest, of which the next turn is told in a line.
        #[default]
        Summarize = "summarize",
        /// The oldest.
        Old = "old",
        /// The one that comes.
        New = "new",
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) mode: QueueMode,
    /// How long a session is quiet before messages that waited in it are answered.
    pub(crate) debounce: Duration,
    /// How many messages wait in one session at most.
    pub(crate) cap: usize,
    pub(crate) drop: DropPolicy,
}

impl Queue {
    /// Takes `messages.queue`.
    pub(crate) fn of(queue: &Value) -> Self {
        let own = queue["byChannel"][OWN_CHANNEL].as_str();
        let mode = own.or(queue["mode"].as_str());
        Self {
            mode: mode.and_then(QueueMode::parse).unwrap_or_default(),
            debounce: debounce(&queue["debounceMs"]).unwrap_or(DEBOUNCE),
            cap: cap(&queue["cap"]).unwrap_or(CAP),
            drop: policy(&queue["drop"]).unwrap_or_default(),
        }
    }

    /// The same for a session that has something of it for itself.
    pub(crate) fn within(&self, session: &Map<String, Value>) -> Self {
        let own = |key: &str| session.get(key).unwrap_or(&Value::Null);
        Self {
            mode: (own(MODE).as_str())
                .and_then(QueueMode::parse)
                .unwrap_or(self.mode),
            debounce: debounce(own(DEBOUNCE_MS)).unwrap_or(self.debounce),
            cap: cap(own(MOST)).unwrap_or(self.cap),
            drop: policy(own(DROP)).unwrap_or(self.drop),
        }
    }

    /// How long a session is quiet before a message that waited in it is answered. One that interrupts does not wait.
    pub(crate) fn quiet(&self) -> Duration {
        match self.mode {
            QueueMode::Interrupt => Duration::ZERO,
            QueueMode::Collect
            | QueueMode::Followup
            | QueueMode::Steer
            | QueueMode::SteerBacklog => self.debounce,
        }
    }
}

fn debounce(value: &Value) -> Option<Duration> {
    let millis = value.as_u64().map(Duration::from_millis)?;
    Some(millis.min(LONGEST_DEBOUNCE))
}

fn cap(value: &Value) -> Option<usize> {
    let cap = value.as_u64().filter(|cap| *cap > 0)?;
    usize::try_from(cap).ok()
}

fn policy(value: &Value) -> Option<DropPolicy> {
    DropPolicy::from_text(value.as_str()?)
}

/// What a person wants of the queue of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To know how it is.
    Show,
    /// That it is as configured.
    Clear,
    /// That these are so, by the names under which a session keeps them.
    Set(Map<String, Value>),
}

impl Wish {
    /// Reads `collect debounce:2s cap:25 drop:summarize`.
    ///
    /// # Errors
    /// The first word that says nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        match words.as_slice() {
            [] => return Ok(Self::Show),
            [only] if ["default", "reset", "clear"].contains(&only.as_str()) => {
                return Ok(Self::Clear);
            }
            _ => {}
        }
        let mut wished = Map::new();
        for word in words {
            let (key, value) = match word.split_once([':', '=']) {
                Some(("debounce", value)) => (
                    DEBOUNCE_MS,
                    time(value).map(|it| json!(u64::try_from(it.as_millis()).unwrap_or(u64::MAX))),
                ),
                Some(("cap", value)) => {
                    let most = value.parse::<u64>().ok().filter(|most| *most > 0);
                    (MOST, most.map(Value::from))
                }
                Some(("drop", value)) => {
                    let policy = match value {
                        "oldest" => Some(DropPolicy::Old),
                        "newest" => Some(DropPolicy::New),
                        "summary" => Some(DropPolicy::Summarize),
                        other => DropPolicy::from_text(other),
                    };
                    (DROP, policy.map(|policy| json!(policy.as_str())))
                }
                Some(_) => return Err(word),
                None => (MODE, QueueMode::parse(&word).map(|it| json!(it.as_str()))),
            };
            let Some(value) = value else {
                return Err(word);
            };
            wished.insert(key.to_owned(), value);
        }
        Ok(Self::Set(wished))
    }

    /// Does it to what a session keeps.
    pub(crate) fn apply(self, session: &mut Map<String, Value>) {
        match self {
            Self::Show => {}
            Self::Clear => {
                for key in [MODE, DEBOUNCE_MS, MOST, DROP] {
                    session.remove(key);
                }
            }
            Self::Set(wished) => session.extend(wished),
        }
    }
}

/// `2s`, `500ms`, `1m`; a number alone is milliseconds.
fn time(text: &str) -> Option<Duration> {
    let digits = text
        .find(|it: char| !it.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let each = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return None,
    };
    let time = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(each)?);
    (time <= LONGEST_DEBOUNCE).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_collect_with_a_second_of_quiet() {
        let usual = Queue::of(&Value::Null);
        let expected = Queue {
            mode: QueueMode::Collect,
            debounce: Duration::from_secs(1),
            cap: 20,
            drop: DropPolicy::Summarize,
        };
        assert_eq!(usual, expected);
        let broken = json!({"mode": "sideways", "debounceMs": -1, "cap": 0, "drop": "all"});
        assert_eq!(Queue::of(&broken), expected);
    }

    #[test]
    fn modes_have_other_names_and_a_channel_its_own() {
        for (queue, mode) in [
            (json!({"mode": "queue"}), QueueMode::Steer),
            (json!({"mode": "steer+backlog"}), QueueMode::SteerBacklog),
            (json!({"mode": "steer-backlog"}), QueueMode::SteerBacklog),
            (
                json!({"mode": "collect", "byChannel": {"webchat": "followup", "discord": "steer"}}),
                QueueMode::Followup,
            ),
        ] {
            assert_eq!(Queue::of(&queue).mode, mode, "{queue}");
        }
    }

    #[test]
    fn a_session_has_what_a_person_has_said_until_it_is_taken_back() {
        let configured = Queue::of(&json!({"mode": "steer", "cap": 3}));
        let mut session = Map::new();
        let wish = Wish::parse("FollowUp debounce:2s cap:25 drop:old").unwrap();
        wish.apply(&mut session);
        let own = configured.within(&session);
        let expected = Queue {
            mode: QueueMode::Followup,
            debounce: Duration::from_secs(2),
            cap: 25,
            drop: DropPolicy::Old,
        };
        assert_eq!(own, expected);
        // What is not named stays as it was.
        Wish::parse("debounce:500ms").unwrap().apply(&mut session);
        let later = configured.within(&session);
        assert_eq!(
            (later.mode, later.debounce),
            (QueueMode::Followup, Duration::from_millis(500))
        );
        for word in ["default", "reset"] {
            Wish::parse(word).unwrap().apply(&mut session);
            assert_eq!(configured.within(&session), configured);
        }
        assert_eq!(Wish::parse(" "), Ok(Wish::Show));
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        for (text, word) in [
            ("banana", "banana"),
            ("collect debounce:soon", "debounce:soon"),
            ("debounce:2h", "debounce:2h"),
            ("cap:0", "cap:0"),
            ("drop:all", "drop:all"),
            ("collect please", "please"),
            ("colour:blue", "colour:blue"),
        ] {
            assert_eq!(Wish::parse(text), Err(word.to_owned()));
        }
    }
}
