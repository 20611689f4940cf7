//! `${VAR}`: values that come from the environment.
//!
//! `${NAME}` with a name of capitals, digits and underscores stands for the variable; `$${NAME}` stands for
//! the text `${NAME}`; every other dollar is a dollar. A variable that is unset or empty is an error, because
//! an empty token is worse than none.

use std::collections::BTreeMap;

use serde_json::Value;

use super::include::{Located, LocatedKind, Placed};
use super::issue::Finding;
use super::path::{KeyPath, Step};

/// The variables a configuration may refer to: the environment first, then its own `env` block.
#[derive(Debug)]
pub(crate) struct Variables<'e> {
    environment: &'e BTreeMap<String, String>,
    block: BTreeMap<String, String>,
}

/// Why a reference has no value.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    Unset(String),
    Empty(String),
    Circular(String),
}

impl Missing {
    fn finding(&self, path: &KeyPath) -> Finding {
        const SET_IT: &str = "set it in the environment, in .env or under env.vars";
        match self {
            Self::Unset(name) => Finding::error(
                path.clone(),
                format!("the environment variable {name} is not set"),
            )
            .hint(SET_IT),
            Self::Empty(name) => Finding::error(
                path.clone(),
                format!("the environment variable {name} is empty"),
            )
            .hint(SET_IT),
            Self::Circular(name) => Finding::error(
                path.clone(),
                format!("the variable {name} refers to itself"),
            ),
        }
    }
}

impl<'e> Variables<'e> {
    /// Takes the `env` block from a configuration whose references are not replaced yet.
    pub(crate) fn new(environment: &'e BTreeMap<String, String>, raw: &Value) -> Self {
        let mut block = BTreeMap::new();
        if let Some(Value::Object(env)) = raw.get("env") {
            let vars = env.get("vars").and_then(Value::as_object);
            for (name, value) in env.iter().chain(vars.into_iter().flatten()) {
                if let Value::String(text) = value {
                    block.insert(name.clone(), text.clone());
                }
            }
        }
        Self { environment, block }
    }

    /// Replaces every reference in a tree, and reports those that have no value.
    pub(crate) fn substitute(&self, root: &mut Located) -> Vec<Placed> {
        let mut found = Vec::new();
        self.walk(root, &mut KeyPath::root(), &mut found);
        found
    }

    fn walk(&self, here: &mut Located, path: &mut KeyPath, found: &mut Vec<Placed>) {
        let place = here.place;
        match &mut here.kind {
            LocatedKind::Scalar(Value::String(text)) => match self.expand(text, &mut Vec::new()) {
                Ok(expanded) => *text = expanded,
                Err(missing) => {
                    found.push(Placed {
                        finding: missing.finding(path),
                        place: Some(place),
                    });
                }
            },
            LocatedKind::Scalar(_) => {}
            LocatedKind::Array(elements) => {
                for (index, element) in elements.iter_mut().enumerate() {
                    path.push(Step::Index(index));
                    self.walk(element, path, found);
                    path.pop();
                }
            }
            LocatedKind::Object(entries) => {
                for entry in entries {
                    path.push(Step::Key(entry.key.clone()));
                    self.walk(&mut entry.value, path, found);
                    path.pop();
                }
            }
        }
    }

    fn expand(&self, text: &str, within: &mut Vec<String>) -> Result<String, Missing> {
        let mut expanded = String::with_capacity(text.len());
        for part in parts(text) {
            match part {
                Part::Text(text) => expanded.push_str(text),
                Part::Reference(name) => expanded.push_str(&self.lookup(name, within)?),
            }
        }
        Ok(expanded)
    }

    fn lookup(&self, name: &str, within: &mut Vec<String>) -> Result<String, Missing> {
        let outside = self.environment.get(name);
        if let Some(value) = outside.filter(|value| !value.is_empty()) {
            return Ok(value.clone());
        }
        let Some(value) = self.block.get(name) else {
            let name = name.to_owned();
            return Err(if outside.is_some() {
                Missing::Empty(name)
            } else {
                Missing::Unset(name)
            });
        };
        if within.iter().any(|outer| outer == name) {
            return Err(Missing::Circular(name.to_owned()));
        }
        within.push(name.to_owned());
        let expanded = self.expand(value, within)?;
        within.pop();
        if expanded.is_empty() {
            Err(Missing::Empty(name.to_owned()))
        } else {
            Ok(expanded)
        }
    }
}

/// A piece of a string.
#[derive(Debug, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    Reference(&'t str),
}

/// Cuts a string into text and references.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut written = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('$') {
        let dollar = at + found;
        let escaped = text[dollar..].starts_with("$$");
        let reference = dollar + usize::from(escaped);
        let Some(name) = reference_at(&text[reference..]) else {
            at = dollar + 1;
            continue;
        };
        parts.push(Part::Text(&text[written..dollar]));
        let end = reference + "${}".len() + name.len();
        parts.push(if escaped {
            Part::Text(&text[reference..end])
        } else {
            Part::Reference(name)
        });
        written = end;
        at = end;
    }
    parts.push(Part::Text(&text[written..]));
    parts
}

/// The name in a `${NAME}` at the start of a text.
fn reference_at(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix("${")?.split_once('}')?;
    let starts_well = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
    let continues_well = name
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    (starts_well && continues_well).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: &str) {
        let environment = BTreeMap::from(
            [("A", "1"), ("EMPTY", ""), ("_B2", "two")].map(|(k, v)| (k.into(), v.into())),
        );
        let raw = json!({"env": {
            "vars": {"V": "v", "A": "not this", "CHAIN": "<${V}>", "LOOP": "${POOL}", "POOL": "${LOOP}"},
            "INLINE": "i", "EMPTY": "filled",
        }});
        let outcome = match Variables::new(&environment, &raw).expand(text, &mut Vec::new()) {
            Ok(expanded) => expanded,
            Err(missing) => missing.finding(&KeyPath::root()).message,
        };
        assert_eq!(outcome, expected, "text {text}");
    }

    #[test]
    fn references_are_replaced_and_other_dollars_stay() {
        check("${A}", "1");
        check("x${A}y${_B2}z", "x1ytwoz");
        check("$${A}", "${A}");
        check("$$${A}", "$${A}");
        check("$A ${a} ${} ${A $ $$", "$A ${a} ${} ${A $ $$");
        check("${1A} ${A-B}", "${1A} ${A-B}");
        check("${V} ${INLINE} ${CHAIN} ${EMPTY}", "v i <v> filled");
        check("${NOPE}", "the environment variable NOPE is not set");
        check("${LOOP}", "the variable LOOP refers to itself");
        check("ünï ${A}", "ünï 1");
    }
}
