//! The walk through a configuration: where it stands, and how it words what it finds there.

use serde_json::{Map, Value};

use super::Setting;
use crate::config::issue::Finding;
use crate::config::path::{KeyPath, Step};
use crate::config::sensitive;

/// What is said of every key that nothing reads.
pub(crate) const UNKNOWN_KEY: &str = "this key is not known; it is kept, but has no effect";

/// The walk through a configuration: where it stands and what it found.
#[derive(Debug)]
pub(crate) struct Walk<'r> {
    path: KeyPath,
    /// The configuration with its `${VAR}` references, so that a message shows the reference and never the
    /// variable's content.
    raw: Option<&'r Value>,
    findings: Vec<Finding>,
}

impl<'r> Walk<'r> {
    pub(crate) fn new(raw: Option<&'r Value>) -> Self {
        Self {
            path: KeyPath::root(),
            raw,
            findings: Vec::new(),
        }
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    pub(crate) fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Reads a value one step further down.
    pub(crate) fn below<T: Setting>(&mut self, step: Step, value: &Value) -> Option<T> {
        self.path.push(step);
        let read = T::read(value, self);
        self.path.pop();
        read
    }

    /// Reports that the value here is not what it should be.
    pub(crate) fn expected<T>(&mut self, what: &str, found: &Value) -> Option<T> {
        self.expected_with(what, found, None)
    }

    /// The same, with what to do about it.
    pub(crate) fn expected_with<T>(
        &mut self,
        what: &str,
        found: &Value,
        hint: Option<String>,
    ) -> Option<T> {
        let found = self.describe(found);
        self.report(Finding {
            hint,
            ..Finding::error(self.path.clone(), format!("expected {what}, found {found}"))
        });
        None
    }

    /// Reports a word that is none of those known here, with the nearest one if it is close.
    pub(crate) fn expected_word<T>(
        &mut self,
        what: &str,
        found: &Value,
        known: &[&str],
    ) -> Option<T> {
        let meant = found.as_str().and_then(|word| nearest(word.trim(), known));
        let hint = meant.map(|word| format!("did you mean \"{word}\"?"));
        self.expected_with(what, found, hint)
    }

    /// The value as an object, or a report that it is none.
    pub(crate) fn object<'v>(&mut self, value: &'v Value) -> Option<&'v Map<String, Value>> {
        value
            .as_object()
            .or_else(|| self.expected("an object", value))
    }

    /// Warns about keys that are not known here, with the nearest known one if it is close.
    pub(crate) fn unknown_keys(&mut self, object: &Map<String, Value>, known: &[&str]) {
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            let finding = Finding::warning(self.path.key(key), UNKNOWN_KEY);
            self.report(match nearest(key, known) {
                Some(name) => finding.hint(format!("did you mean \"{name}\"?")),
                None => finding,
            });
        }
    }

    /// A value as a message may show it.
    fn describe(&self, value: &Value) -> String {
        let hidden = sensitive::is_secret(&self.path);
        let shown = self
            .raw
            .and_then(|raw| self.path.find(raw))
            .unwrap_or(value);
        match shown {
            Value::Null => "null".to_owned(),
            Value::Array(_) => "an array".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            Value::String(_) if hidden => "a string".to_owned(),
            Value::Number(_) if hidden => "a number".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => format!("the number {number}"),
            Value::String(text) => format!("the string {}", shortened(text)),
        }
    }
}

/// A string in quotes, cut when it is long.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", Value::from(&text[..end])),
        None => Value::from(text).to_string(),
    }
}

/// The known name that somebody who wrote `key` most likely meant.
fn nearest<'n>(key: &str, known: &[&'n str]) -> Option<&'n str> {
    let lower = key.to_lowercase();
    known
        .iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&lower, &name.to_lowercase()),
                *name,
            )
        })
        .filter(|(distance, name)| {
            *distance <= (name.chars().count().min(lower.chars().count()) / 3).max(1)
        })
        .filter(|(distance, name)| *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_shows_the_reference_and_hides_the_secret() {
        let effective = json!({"port": "hunter2", "token": 7});
        let raw = json!({"port": "${PW}", "token": 7});
        let mut walk = Walk::new(Some(&raw));
        walk.below::<NonZeroU16>(Step::Key("port".into()), &effective["port"]);
        walk.below::<String>(Step::Key("token".into()), &effective["token"]);
        let texts: Vec<_> = walk
            .into_findings()
            .into_iter()
            .map(|f| f.message)
            .collect();
        assert_eq!(
            texts,
            [
                "expected an integer from 1 to 65535, found the string \"${PW}\"",
                "expected a string, found a number"
            ]
        );
    }

    #[test]
    fn a_slip_of_the_pen_finds_the_key_that_was_meant() {
        let known = ["port", "bind", "mode", "customBindHost", "trustedProxies"];
        for (written, meant) in [
            ("prot", Some("port")),
            ("Port", Some("port")),
            ("custombindhost", Some("customBindHost")),
            ("trustedProxy", Some("trustedProxies")),
            ("wat", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, &known), meant, "{written}");
        }
    }
}
