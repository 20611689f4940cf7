//! Why a command did not do what it was asked: for a person, for a script, for the shell.

use openclaw_shared::exit::Exit;
use serde::Serialize;

/// What kind of failure it is; the stable word in `--json` output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The command line asks for something that does not exist.
    Usage,
    /// The configuration stands in the way.
    Config,
    /// Nobody answers.
    Unreachable,
    /// Somebody answers, but not in time.
    Timeout,
    /// The caller is not let in.
    Unauthorized,
    /// The request was understood and refused.
    Refused,
    /// It cannot be done with this build or on this system.
    Unsupported,
    /// Anything else.
    Failed,
}

/// What a gateway said that has no name of its own here.
pub(crate) const UNNAMED: &str = "Details";

/// A command's failure. `message` is what went wrong, `details` is where, `hints` are what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) details: Vec<(&'static str, String)>,
    pub(crate) hints: Vec<String>,
    /// What the gateway answered, as it said it, when it was the gateway that refused.
    pub(crate) refusal: Option<Box<serde_json::Value>>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failure,
            kind,
            message: message.into(),
            details: Vec::new(),
            hints: Vec::new(),
            refusal: None,
        }
    }

    #[must_use]
    pub(crate) fn detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub(crate) const fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The document that takes the place of an answer on stdout under `--json`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let details: serde_json::Map<_, _> = self
            .details
            .iter()
            // The refusal has them as they came.
            .filter(|(name, _)| *name != UNNAMED)
            .map(|(name, value)| (camel_case(name), serde_json::Value::from(value.as_str())))
            .collect();
        let mut document = serde_json::json!({
            "ok": false,
            "error": self.message,
            "kind": self.kind,
            "details": details,
            "hints": self.hints,
        });
        if let Some(refusal) = &self.refusal {
            document["refusal"] = serde_json::Value::clone(refusal);
        }
        document
    }
}

/// The name of a detail as people read it (`Gateway target`) as a key (`gatewayTarget`).
fn camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (index, word) in name.split(' ').enumerate() {
        let (first, rest) = word.split_at(word.len().min(1));
        if index == 0 {
            out.push_str(&first.to_ascii_lowercase());
        } else {
            out.push_str(&first.to_ascii_uppercase());
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_gets_the_same_facts_as_a_person() {
        let failure = Failure::new(Kind::Unreachable, "connect ECONNREFUSED 127.0.0.1:1")
            .detail("Gateway target", "ws://127.0.0.1:1")
            .hint("Start it with: openclaw gateway");
        assert_eq!(
            failure.to_json().to_string(),
            concat!(
                r#"{"ok":false,"error":"connect ECONNREFUSED 127.0.0.1:1","kind":"unreachable","#,
                r#""details":{"gatewayTarget":"ws://127.0.0.1:1"},"hints":["Start it with: openclaw gateway"]}"#
            )
        );
    }
}
