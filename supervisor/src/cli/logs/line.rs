//! One line of the log, as it is in the file and as it is shown. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use openclaw_shared::log::printable;
use serde_json::{Map, Value};

use super::super::output::{Output, Tone};

/// A line of the log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A record.
    Record {
        time: Option<String>,
        level: Option<String>,
        subsystem: Option<String>,
        module: Option<String>,
        /// Which process has written it.
        process: Option<String>,
        /// What it was written for.
        trace: Option<String>,
        message: String,
        raw: String,
    },
    /// Something else.
    Raw(String),
}

impl Line {
    pub(super) fn parse(raw: &str) -> Self {
        let Ok(Value::Object(record)) = serde_json::from_str(raw) else {
            return Self::Raw(raw.to_owned());
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let meta = &record.get("_meta").cloned().unwrap_or_default();
        let name = meta["name"]
            .as_str()
            .and_then(|name| serde_json::from_str::<Value>(name).ok());
        let name = name.unwrap_or_default();
        Self::Record {
            time: record
                .get("time")
                .and_then(text)
                .or_else(|| text(&meta["date"])),
            level: text(&meta["logLevelName"]).map(|level| level.to_lowercase()),
            subsystem: text(&name["subsystem"]),
            module: text(&name["module"]),
            process: text(&meta["process"]),
            trace: text(&meta["traceId"]),
            message: message(&record, meta["name"].as_str()),
            raw: raw.to_owned(),
        }
    }

    /// For `--json`.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Raw(raw) => serde_json::json!({ "type": "raw", "raw": raw }),
            Self::Record {
                time,
                level,
                subsystem,
                module,
                process,
                trace,
                message,
                raw,
            } => {
                let mut object = Map::new();
                object.insert("type".to_owned(), "log".into());
                let named = [
                    ("time", time),
                    ("level", level),
                    ("subsystem", subsystem),
                    ("module", module),
                    ("process", process),
                    ("traceId", trace),
                ];
                for (name, value) in named {
                    if let Some(value) = value {
                        object.insert(name.to_owned(), value.as_str().into());
                    }
                }
                object.insert("message".to_owned(), message.as_str().into());
                object.insert("raw".to_owned(), raw.as_str().into());
                Value::Object(object)
            }
        }
    }

    /// `<time> <level> <subsystem> <message>`.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Raw(raw) => printable(raw),
            Self::Record {
                time,
                level,
                subsystem,
                message,
                ..
            } => {
                let parts = [
                    time.as_deref(),
                    level.as_deref(),
                    subsystem.as_deref(),
                    Some(message),
                ];
                let parts: Vec<&str> = parts.into_iter().flatten().collect();
                printable(&parts.join(" "))
            }
        }
    }

    /// The same with the local time of day and colours.
    pub(super) fn for_terminal(&self, out: &Output) -> String {
        let Self::Record {
            time,
            level,
            subsystem,
            message,
            ..
        } = self
        else {
            return self.plain();
        };
        let time = time
            .as_deref()
            .map(|time| local_time(time).unwrap_or_else(|| printable(time)));
        let level = level.as_deref().unwrap_or_default();
        let tone = match level {
            "error" | "fatal" => Tone::Bad,
            "warn" => Tone::Odd,
            "info" => Tone::Good,
            _ => Tone::Faint,
        };
        format!(
            "{} {} {} {}",
            out.paint(Tone::Faint, &time.unwrap_or_default()),
            out.paint(tone, &printable(level)),
            out.paint(
                Tone::Faint,
                &printable(subsystem.as_deref().unwrap_or_default())
            ),
            printable(message),
        )
    }
}

/// The texts of a record in their order; objects of fields follow as `name=value`. The first argument is left out when it only
/// names the subsystem.
fn message(record: &Map<String, Value>, name: Option<&str>) -> String {
    let mut texts = Vec::new();
    let mut fields = Vec::new();
    for index in 0..10 {
        match record.get(&index.to_string()) {
            None => break,
            Some(Value::String(text)) if index == 0 && Some(text.as_str()) == name => {}
            Some(Value::String(text)) => texts.push(text.clone()),
            Some(Value::Object(object)) => {
                fields.extend(object.iter().map(|(name, value)| match value {
                    Value::String(text) if !text.is_empty() && !text.contains([' ', '"']) => {
                        format!("{name}={text}")
                    }
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_)
                    | Value::Array(_)
                    | Value::Object(_) => format!("{name}={value}"),
                }));
            }
            Some(other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_))) => {
                texts.push(other.to_string());
            }
        }
    }
    texts.extend(fields);
    texts.join(" ")
}

fn local_time(time: &str) -> Option<String> {
    let time: Timestamp = time.parse().ok()?;
    Some(
        time.to_zoned(TimeZone::system())
            .strftime("%H:%M:%S")
            .to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_FIELDS: &str = r#"{"0":"{\"subsystem\":\"gateway/ws\"}","1":{"conn":"c1","why":"a b"},"2":"closed","_meta":{"name":"{\"subsystem\":\"gateway/ws\"}","logLevelName":"WARN"},"time":"2026-11-22T07:12:07.275Z"}"#;

    #[test]
    fn a_record_is_shown_with_its_fields() {
        assert_eq!(
            Line::parse(WITH_FIELDS).plain(),
            "2026-11-22T07:12:07.275Z warn gateway/ws closed conn=c1 why=\"a b\""
        );
    }

    #[test]
    fn a_record_of_the_other_implementation_is_read_as_well() {
        let line = Line::parse(
            r#"{"0":"{\"module\":\"x\"}","1":"one","2":"two","_meta":{"name":"{\"module\":\"x\"}","logLevelName":"INFO","date":"2026-11-22T07:12:07.275Z"}}"#,
        );
        assert_eq!(line.plain(), "2026-11-22T07:12:07.275Z info one two");
        assert_eq!(line.to_json()["module"], "x");
        assert_eq!(line.to_json().get("subsystem"), None);
    }

    #[test]
    fn what_is_no_record_is_passed_on_without_power_over_the_terminal() {
        let line = Line::parse("plain \x1b[31m text");
        assert_eq!(line.plain(), "plain \\u{1b}[31m text");
        assert_eq!(line.to_json()["type"], "raw");
    }
}
