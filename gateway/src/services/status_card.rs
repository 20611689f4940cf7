//! How a session stands, in a few lines that people and agents read.                                            (pure)

use std::fmt::Write as _;
use std::time::Duration;

use openclaw_shared::clock::{LocalTime, WallTime};
use openclaw_shared::protocol::params::sessions::{SessionEntry, SessionsDefaults};

/// What the lines tell of.
#[derive(Debug)]
pub(crate) struct Card<'a> {
    pub(crate) version: &'a str,
    pub(crate) key: &'a str,
    pub(crate) entry: Option<&'a SessionEntry>,
    /// What a session uses that says nothing else.
    pub(crate) defaults: &'a SessionsDefaults,
    pub(crate) now: WallTime,
    /// The same where the person is.
    pub(crate) local: &'a LocalTime,
    pub(crate) is_busy: bool,
}

impl Card<'_> {
    /// The lines.
    pub(crate) fn lines(&self) -> String {
        let LocalTime {
            date,
            weekday,
            time,
            zone,
        } = self.local;
        let mut text = format!(
            "🦞 OpenClaw {}\n🕒 Time: {weekday}, {date} {time} ({zone})\n🧠 Model: {}",
            self.version,
            self.model()
                .unwrap_or_else(|| "none is configured".to_owned())
        );
        let entry = self.entry;
        let read = entry.and_then(|entry| entry.input_tokens).unwrap_or(0);
        let written = entry.and_then(|entry| entry.output_tokens).unwrap_or(0);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n🧮 Tokens: {} in · {} out\n📚 Context: {} · compactions {}",
            short(read),
            short(written),
            self.context(),
            entry.and_then(|entry| entry.compaction_count).unwrap_or(0)
        );
        let _ = write!(text, "\n🧵 Session: {}", self.key);
        if let Some(entry) = entry {
            let age = self.now.since(WallTime::from_millis(entry.updated_at));
            let _ = write!(text, " · updated {} ago", spoken(age));
        }
        let level = |level: Option<&String>| level.map_or("off", String::as_str).to_owned();
        let _ = write!(
            text,
            "\n⚙️ Settings: think {} · verbose {} · reasoning {} · elevated {}",
            level(entry.and_then(|entry| entry.thinking_level.as_ref())),
            level(entry.and_then(|entry| entry.verbose_level.as_ref())),
            level(entry.and_then(|entry| entry.reasoning_level.as_ref())),
            level(entry.and_then(|entry| entry.elevated_level.as_ref())),
        );
        if self.is_busy {
            text.push_str("\n🚦 The agent is at work in it.");
        }
        text
    }

    fn model(&self) -> Option<String> {
        let chosen = self.entry.and_then(|entry| {
            let model = entry.model_override.as_ref()?;
            Some((entry.provider_override.as_ref(), model))
        });
        let default = self.defaults.model.as_ref();
        let default = default.map(|model| (self.defaults.model_provider.as_ref(), model));
        // What has answered last is not what will answer next, unless nobody chose anything.
        let last = self.entry.and_then(|entry| {
            let model = entry.model.as_ref()?;
            Some((entry.model_provider.as_ref(), model))
        });
        let (provider, model) = chosen.or(default).or(last)?;
        Some(match provider {
            Some(provider) => format!("{provider}/{model}"),
            None => model.clone(),
        })
    }

    fn context(&self) -> String {
        let used = self.entry.and_then(|entry| entry.total_tokens).unwrap_or(0);
        let window = self
            .entry
            .and_then(|entry| entry.context_tokens)
            .or(self.defaults.context_tokens)
            .filter(|window| *window > 0);
        match window {
            Some(window) => format!(
                "{}/{} ({}%)",
                short(used),
                short(window),
                used.saturating_mul(100) / window
            ),
            None => short(used),
        }
    }
}

/// `950`, `1.2k`, `200k`, `1.5m`.
pub(crate) fn short(number: u64) -> String {
    let with = |unit: u64, sign: char| {
        let (whole, tenth) = (number / unit, number % unit * 10 / unit);
        if whole >= 100 || tenth == 0 {
            format!("{whole}{sign}")
        } else {
            format!("{whole}.{tenth}{sign}")
        }
    };
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => with(1_000, 'k'),
        1_000_000.. => with(1_000_000, 'm'),
    }
}

/// `5s`, `3m`, `2h`, `4d`.
pub(crate) fn spoken(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds @ 86_400.. => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::protocol::params::sessions::{SessionEntry, SessionsDefaults};
    use serde_json::json;

    use super::{Card, short};

    #[test]
    fn numbers_are_short() {
        let all = [0, 999, 1_000, 1_250, 99_999, 123_456, 2_500_000].map(short);
        assert_eq!(all, ["0", "999", "1k", "1.2k", "99.9k", "123k", "2.5m"]);
    }

    #[test]
    fn a_session_that_nobody_has_used_has_a_card_too() {
        let now = WallTime::from_millis(1_795_331_527_274);
        let defaults = SessionsDefaults::default();
        let card = |entry: Option<&SessionEntry>, is_busy| {
            Card {
                version: "1",
                key: "agent:main:main",
                entry,
                defaults: &defaults,
                now,
                local: &now.in_zone(Some("Europe/Vienna")),
                is_busy,
            }
            .lines()
        };
        assert_eq!(
            card(None, false),
            "🦞 OpenClaw 1\n🕒 Time: Sunday, 2026-11-22 08:12 (Europe/Vienna)\n🧠 Model: none is configured\n\
             🧮 Tokens: 0 in · 0 out\n📚 Context: 0 · compactions 0\n🧵 Session: agent:main:main\n\
             ⚙️ Settings: think off · verbose off · reasoning off · elevated off"
        );
        let entry: SessionEntry = serde_json::from_value(json!({
            "sessionId": "s", "updatedAt": now.as_millis() - 125_000, "thinkingLevel": "high", "modelOverride": "m",
            "providerOverride": "p", "inputTokens": 1_200, "outputTokens": 30, "totalTokens": 2_000, "contextTokens": 200_000,
        }))
        .unwrap();
        let told = card(Some(&entry), true);
        for part in [
            "🧠 Model: p/m",
            "1.2k in · 30 out",
            "2k/200k (1%)",
            "updated 2m ago",
            "think high",
            "at work",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
