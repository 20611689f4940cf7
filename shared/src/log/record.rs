//! One record, and the JSON line it becomes.
//!
//! The shape is the one existing readers of the log expect: positional arguments as digit keys, the first being the
//! subsystem; level and name in `_meta`. Anything they do not know is added to `_meta` only.

use std::fmt::{self, Write as _};

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::Level;
use tracing::field::{Field, Visit};

use super::redact::{HIDDEN, redact};
use super::text::{Bounded, cut, printable};
use crate::clock::WallTime;
use crate::secret::names_a_secret;
use crate::trace::TraceId;

/// One value of a field, in bytes.
const VALUE_BYTES: usize = 400;
/// The message.
const MESSAGE_BYTES: usize = 2_000;
/// How much of a value is looked at for secrets before it is cut.
const SCANNED_BYTES: usize = 4_096;
/// Fields of a record, those of its spans included.
const FIELDS: usize = 40;

/// Named values of a record or a span, safe to be written.
pub(super) type Fields = Map<String, Value>;

/// A record that is ready to be written: secrets hidden, values cut and escaped.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) time: WallTime,
    pub(super) level: Level,
    pub(super) subsystem: String,
    pub(super) text: String,
    pub(super) fields: Fields,
    /// What it was written for.
    pub(super) trace: Option<TraceId>,
}

/// What is the same in every record of a process.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) process: String,
    pub(super) generation: Option<u64>,
    pub(super) pid: u32,
    pub(super) hostname: String,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "0")]
    subsystem: &'a str,
    #[serde(rename = "1")]
    first: First<'a>,
    #[serde(rename = "2", skip_serializing_if = "Option::is_none")]
    second: Option<&'a str>,
    #[serde(rename = "_meta")]
    meta: Meta<'a>,
    time: &'a str,
}

/// With fields the object comes first and the text second; without, the text is alone.
#[derive(Serialize)]
#[serde(untagged)]
enum First<'a> {
    Text(&'a str),
    Fields(&'a Fields),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    runtime: &'static str,
    hostname: &'a str,
    name: &'a str,
    parent_names: [&'static str; 1],
    date: &'a str,
    log_level_id: u8,
    log_level_name: &'static str,
    pid: u32,
    process: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
}

impl Record {
    /// The line of the file, with its line feed.
    pub(super) fn to_json_line(&self, origin: &Origin) -> Vec<u8> {
        let name = serde_json::json!({ "subsystem": self.subsystem }).to_string();
        let time = self.time.to_rfc3339();
        let (first, second) = if self.fields.is_empty() {
            (First::Text(&self.text), None)
        } else {
            (First::Fields(&self.fields), Some(self.text.as_str()))
        };
        let (log_level_id, log_level_name) = level_names(self.level);
        let line = Line {
            subsystem: &name,
            first,
            second,
            meta: Meta {
                runtime: "rust",
                hostname: &origin.hostname,
                name: &name,
                parent_names: ["openclaw"],
                date: &time,
                log_level_id,
                log_level_name,
                pid: origin.pid,
                process: &origin.process,
                generation: origin.generation,
                trace_id: self.trace,
            },
            time: &time,
        };
        let mut bytes =
            serde_json::to_vec(&line).expect("strings, numbers and string-keyed maps serialise");
        bytes.push(b'\n');
        bytes
    }
}

fn level_names(level: Level) -> (u8, &'static str) {
    match level {
        Level::TRACE => (1, "TRACE"),
        Level::DEBUG => (2, "DEBUG"),
        Level::INFO => (3, "INFO"),
        Level::WARN => (4, "WARN"),
        Level::ERROR => (5, "ERROR"),
    }
}

/// Collects the fields of an event or a span.
#[derive(Debug, Default)]
pub(super) struct Collect {
    pub(super) message: String,
    pub(super) fields: Fields,
}

impl Collect {
    fn put(&mut self, field: &Field, value: Value) {
        put(&mut self.fields, field.name(), value);
    }

    fn text(&mut self, field: &Field, value: &dyn fmt::Display) {
        if field.name() == "message" {
            self.message = safe(value, MESSAGE_BYTES);
        } else if names_a_secret(field.name()) {
            self.put(field, Value::from(HIDDEN));
        } else {
            let text = safe(value, VALUE_BYTES);
            self.put(field, Value::from(text));
        }
    }
}

/// Adds a field unless there are too many; a later value of the same name replaces an earlier one.
pub(super) fn put(fields: &mut Fields, name: &str, value: Value) {
    if fields.len() < FIELDS || fields.contains_key(name) {
        fields.insert(name.strip_prefix("r#").unwrap_or(name).to_owned(), value);
    }
}

/// Formats, hides secrets, escapes, and cuts, in this order: a secret that was cut in half is still one.
fn safe(value: &dyn fmt::Display, limit: usize) -> String {
    let mut bounded = Bounded::new(SCANNED_BYTES);
    // `Bounded` takes everything; only a broken `Display` of the value can fail, and then what came so far is kept.
    let _ = write!(bounded, "{value}");
    let (text, omitted) = bounded.into_parts();
    let mut text = printable(&redact(&text));
    cut(&mut text, limit, omitted);
    text
}

struct Debugged<'a>(&'a dyn fmt::Debug);

impl fmt::Display for Debugged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An error with its causes, as one line.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Visit for Collect {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, &Chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &Debugged(value));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn sample(text: &str) -> Record {
        Record {
            time: WallTime::from_millis(1_795_331_527_274),
            level: Level::WARN,
            subsystem: "gateway/ws".to_owned(),
            text: text.to_owned(),
            fields: Fields::new(),
            trace: None,
        }
    }

    pub(in super::super) fn origin() -> Origin {
        Origin {
            process: "gateway".to_owned(),
            generation: Some(3),
            pid: 77,
            hostname: "host".to_owned(),
        }
    }

    fn line(record: &Record) -> String {
        String::from_utf8(record.to_json_line(&origin())).unwrap()
    }

    #[test]
    fn the_line_has_the_shape_that_readers_expect() {
        assert_eq!(
            line(&sample("hello \"you\"")),
            concat!(
                r#"{"0":"{\"subsystem\":\"gateway/ws\"}","1":"hello \"you\"","#,
                r#""_meta":{"runtime":"rust","hostname":"host","name":"{\"subsystem\":\"gateway/ws\"}","#,
                r#""parentNames":["openclaw"],"date":"2026-11-22T07:12:07.274Z","logLevelId":4,"logLevelName":"WARN","#,
                r#""pid":77,"process":"gateway","generation":3},"time":"2026-11-22T07:12:07.274Z"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn with_fields_the_object_comes_before_the_text() {
        let mut record = sample("closed");
        put(&mut record.fields, "conn", Value::from("c1"));
        let line = line(&record);
        assert!(
            line.contains(r#""1":{"conn":"c1"},"2":"closed","_meta""#),
            "{line}"
        );
    }

    #[test]
    fn a_trace_is_named_where_only_those_look_who_know_it() {
        let mut record = sample("closed");
        record.trace = "4bf92f3577b34da6a3ce929d0e0e4736".parse().ok();
        let line = line(&record);
        assert!(
            line.contains(r#""generation":3,"traceId":"4bf92f3577b34da6a3ce929d0e0e4736"},"time""#),
            "{line}"
        );
    }

    #[test]
    fn a_secret_is_hidden_before_the_value_is_cut() {
        let text = format!(
            "{} Bearer {}",
            "x".repeat(VALUE_BYTES - 12),
            "s3cr3t".repeat(100)
        );
        let safe = safe(&text, VALUE_BYTES);
        assert!(!safe.contains("s3cr3t"), "{safe}");
        assert!(safe.len() < VALUE_BYTES + 40);
    }

    #[test]
    fn fields_are_bounded() {
        let mut fields = Fields::new();
        for n in 0..1000 {
            put(&mut fields, &n.to_string(), Value::from(n));
        }
        put(&mut fields, "0", Value::from(true));
        assert_eq!(fields.len(), FIELDS);
        assert_eq!(fields["0"], true);
    }
}
