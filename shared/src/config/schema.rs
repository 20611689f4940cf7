//! The configuration described for programs: a JSON Schema of the file, and hints for forms made from it.
//!
//! The schema uses plain `type`, `properties`, `items`, `enum` and `additionalProperties`, which is what form builders understand.
//! A key that is not in it is a mistake in a form, though the loader only warns about it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::model::{Field, Section, Shape, Word, places, root, sentence};
use super::own_keys::OWN_KEYS;
use super::sensitive::is_secret;

/// What a form shows beside a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UiHint {
    /// The name of the key for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The heading it belongs under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Where it stands among its neighbours; the smallest comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
    /// Whether it is for those who know what they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advanced: Option<bool>,
    /// Whether its value must not be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<bool>,
    /// An example of a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
}

/// Examples of values whose form the type does not tell.
const PLACEHOLDERS: &[(&str, &str)] = &[
    ("agents.defaults.heartbeat.every", "30m"),
    ("agents.defaults.heartbeat.target", "last"),
    ("agents.list[].identity.avatar", "avatars/openclaw.png"),
    (
        "gateway.controlUi.allowedOrigins",
        "https://control.example.com",
    ),
    ("gateway.controlUi.basePath", "/openclaw"),
    ("gateway.remote.sshTarget", "user@host"),
    ("gateway.remote.tlsFingerprint", "sha256:ab12cd34…"),
    ("gateway.remote.url", "ws://host:18789"),
    ("ui.seamColor", "#FF4500"),
];

/// The top-level keys in the order in which existing forms show them; the others follow.
const ORDER: &[&str] = &[
    "wizard",
    "update",
    "diagnostics",
    "gateway",
    "nodeHost",
    "agents",
    "tools",
    "bindings",
    "audio",
    "models",
    "messages",
    "commands",
    "session",
    "cron",
    "hooks",
    "ui",
    "browser",
    "talk",
    "channels",
    "skills",
    "plugins",
    "discovery",
    "logging",
];

/// The JSON Schema (draft-07) of the configuration file.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = Map::new();
    schema.insert(
        "$schema".to_owned(),
        json!("http://json-schema.org/draft-07/schema#"),
    );
    schema.extend(section_schema(&root(), None));
    Value::Object(schema)
}

/// Hints by dotted path.
#[must_use]
pub fn ui_hints() -> BTreeMap<String, UiHint> {
    let root = root();
    let mut hints = BTreeMap::new();
    let mut order = 0;
    for place in places(&root, "") {
        let top = place.path.split(['.', '[']).next().unwrap_or_default();
        let is_top = top == place.path;
        order = if is_top { 0 } else { order + 1 };
        let as_path = place.path.replace("[]", "[0]").replace(".*", ".x");
        let is_sensitive =
            !place.field.shape.is_container() && as_path.parse().is_ok_and(|path| is_secret(&path));
        let hint = UiHint {
            label: Some(label(place.field.key)),
            help: Some(sentence(place.field.doc)),
            group: Some(label(top)),
            order: Some(if is_top { top_order(top) } else { order }),
            advanced: is_advanced(&place.path, place.field.key).then_some(true),
            sensitive: is_sensitive.then_some(true),
            placeholder: PLACEHOLDERS
                .iter()
                .find(|(path, _)| *path == place.path)
                .map(|(_, example)| (*example).to_owned()),
        };
        hints.insert(place.path, hint);
    }
    hints
}

fn section_schema(section: &Section, others: Option<&Shape>) -> Map<String, Value> {
    let properties: Map<String, Value> = section
        .fields
        .iter()
        .map(|field| (field.key.to_owned(), field_schema(field)))
        .collect();
    Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), Value::Object(properties)),
        (
            "additionalProperties".to_owned(),
            others.map_or(Value::Bool(false), |shape| {
                Value::Object(shape_schema(shape))
            }),
        ),
    ])
}

fn field_schema(field: &Field) -> Value {
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(sentence(field.doc)));
    schema.extend(shape_schema(&field.shape));
    if let Some(default) = &field.default {
        schema.insert("default".to_owned(), default.clone());
    }
    Value::Object(schema)
}

fn shape_schema(shape: &Shape) -> Map<String, Value> {
    /// The largest integer that JavaScript tells from its neighbours.
    const MAX_SAFE: u64 = 9_007_199_254_740_991;
    let members = |value: Value| match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    };
    match shape {
        Shape::Any => Map::new(),
        Shape::Text | Shape::Secret => members(json!({ "type": "string" })),
        Shape::Flag => members(json!({ "type": "boolean" })),
        Shape::Number => members(json!({ "type": "number" })),
        Shape::Integer { min, max } => {
            members(json!({ "type": "integer", "minimum": min, "maximum": max.min(&MAX_SAFE) }))
        }
        Shape::Words(words) => {
            let words: Vec<&str> = words.iter().map(|Word { word, .. }| *word).collect();
            members(json!({ "type": "string", "enum": words }))
        }
        Shape::List(element) => members(json!({ "type": "array", "items": shape_schema(element) })),
        Shape::Map(member) => members(
            json!({ "type": "object", "properties": {}, "additionalProperties": shape_schema(member) }),
        ),
        Shape::Block => {
            members(json!({ "type": "object", "properties": {}, "additionalProperties": {} }))
        }
        Shape::Section(section) => section_schema(section, None),
        Shape::Open(section, others) => section_schema(section, Some(others)),
    }
}

/// Our own keys, which another implementation refuses, and those that take protection away.
fn is_advanced(path: &str, key: &str) -> bool {
    let is_own = OWN_KEYS.iter().any(|own| {
        path == *own
            || path
                .strip_prefix(own)
                .is_some_and(|rest| rest.starts_with('.'))
    });
    is_own || key.starts_with("dangerously") || key.starts_with("allowInsecure")
}

fn top_order(key: &str) -> u32 {
    let position = ORDER.iter().position(|known| *known == key);
    let position = position.unwrap_or(ORDER.len());
    u32::try_from(position).map_or(u32::MAX, |position| 10 * (position + 1))
}

/// A key as words: `debounceMs` is `Debounce (ms)`, `cdpUrl` is `CDP URL`.
fn label(key: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for c in key.chars().filter(|c| c.is_alphanumeric()) {
        match words.last_mut() {
            Some(word) if !c.is_uppercase() => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let unit = match words.last().map(String::as_str) {
        Some("Ms") => Some(" (ms)"),
        Some("Mb") => Some(" (MB)"),
        Some(_) | None => None,
    };
    if unit.is_some() {
        words.pop();
    }
    let words: Vec<String> = words.iter().map(|word| spelled(word)).collect();
    format!("{}{}", words.join(" "), unit.unwrap_or_default())
}

fn spelled(word: &str) -> String {
    const ABBREVIATIONS: &[&str] = &["ui", "url", "id", "tls", "http", "cdp", "ssh", "api", "dm"];
    if ABBREVIATIONS.contains(&word.to_lowercase().as_str()) {
        return word.to_uppercase();
    }
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Config;
    use super::{json_schema, label, ui_hints};

    #[test]
    fn the_schema_says_what_the_sections_declare() {
        let schema = json_schema();
        let at = |pointer: &str| schema.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(
            at("/properties/gateway/properties/port"),
            json!({
                "description": "The base port; the derived ports follow it. Absent means the instance's default.",
                "type": "integer", "minimum": 1, "maximum": 65535,
            })
        );
        assert_eq!(
            at("/properties/gateway/properties/reload/properties/mode"),
            json!({
                "description": "Which changes are applied, and how.",
                "type": "string", "enum": ["off", "hot", "restart", "hybrid"], "default": "hybrid",
            })
        );
        assert_eq!(
            at("/properties/agents/properties/list/items/properties/id/type"),
            "string"
        );
        assert_eq!(
            at(
                "/properties/browser/properties/profiles/additionalProperties/properties/color/type"
            ),
            "string"
        );
        assert_eq!(
            at("/properties/env/additionalProperties"),
            json!({"type": "string"})
        );
        assert_eq!(at("/additionalProperties"), false);
    }

    #[test]
    fn every_default_satisfies_the_schema() {
        let defaults = serde_json::to_value(Config::default()).unwrap();
        fn without_nulls(value: Value) -> Value {
            let Value::Object(members) = value else {
                return value;
            };
            members
                .into_iter()
                .filter(|(_, member)| !member.is_null())
                .map(|(key, member)| (key, without_nulls(member)))
                .collect()
        }
        let mut defaults = without_nulls(defaults);
        // These are written in another way than they are held.
        defaults.as_object_mut().unwrap().remove("env");
        let mut scope = valico::json_schema::Scope::new();
        let schema = scope.compile_and_return(json_schema(), false).unwrap();
        let state = schema.validate(&defaults);
        assert!(state.is_strictly_valid(), "{state:?}");
    }

    #[test]
    fn hints_name_explain_and_mark() {
        let hints = ui_hints();
        let token = &hints["gateway.auth.token"];
        assert_eq!(
            serde_json::to_value(token).unwrap(),
            json!({"label": "Token", "help": "The shared token.", "group": "Gateway", "order": token.order, "sensitive": true})
        );
        assert_eq!(hints["gateway"].group.as_deref(), Some("Gateway"));
        assert!(hints["gateway"].order < hints["browser"].order);
        assert_eq!(hints["supervisor.heartbeatMs"].advanced, Some(true));
        assert_eq!(hints["agents.defaults.contextTokens"].sensitive, None);
        assert_eq!(
            hints["gateway.remote.url"].placeholder.as_deref(),
            Some("ws://host:18789")
        );
    }

    #[test]
    fn keys_become_words() {
        for (key, words) in [
            ("debounceMs", "Debounce (ms)"),
            ("cdpUrl", "CDP URL"),
            ("controlUi", "Control UI"),
            ("mediaMaxMb", "Media Max (MB)"),
            ("$schema", "Schema"),
        ] {
            assert_eq!(label(key), words);
        }
    }
}
