//! The precise `INVALID_REQUEST`: which field, and what is wrong with it.
//!
//! Asked only after the typed parse has failed, so it may take its time. valico tells what is wrong; this module puts it
//! into the order and wording that clients of the protocol know: per object its type, what is missing, what is unexpected, then
//! each property in the order of the schema.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use openclaw_shared::protocol::method::schema_of;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;
use valico::common::error::ValicoErrors;
use valico::json_schema::{SchemaVersion, Scope, ValidationState};

mod branch;

/// At most this many complaints are listed; a client that sends thousands of unexpected keys learns enough from these.
const MOST_COMPLAINTS: usize = 20;
/// A key of the client is repeated to it only up to this length.
const LONGEST_KEY: usize = 64;

type Judge = Box<dyn Fn(&Value) -> ValidationState + Send>;

/// A JSON Schema, compiled when it is first needed: most lives never refuse the parameters of most methods.
pub(crate) struct Validator {
    schema: fn() -> Schema,
    compiled: OnceLock<Compiled>,
}

struct Compiled {
    schema: Value,
    /// Behind a lock only because valico's schemas are not `Sync`.
    judge: Mutex<Judge>,
}

impl fmt::Debug for Validator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Validator").finish_non_exhaustive()
    }
}

impl Compiled {
    fn new(schema: Value) -> Self {
        let mut scope = Scope::without_formats(SchemaVersion::Draft7);
        let id = scope
            .compile(schema.clone(), false)
            .expect("schemars writes schemas that compile; a test compiles each");
        let judge: Judge = Box::new(move |value: &Value| {
            let schema = scope
                .resolve(&id)
                .expect("the schema was compiled into this scope");
            schema.validate(value)
        });
        Self {
            schema,
            judge: Mutex::new(judge),
        }
    }
}

impl Validator {
    /// The schema of a type.
    pub(crate) const fn of<T: JsonSchema>() -> Self {
        Self::new(schema_of::<T>)
    }

    /// A schema.
    pub(crate) const fn new(schema: fn() -> Schema) -> Self {
        Self {
            schema,
            compiled: OnceLock::new(),
        }
    }

    fn compiled(&self) -> &Compiled {
        self.compiled
            .get_or_init(|| Compiled::new((self.schema)().to_value()))
    }

    /// Everything that is wrong with a value, as clients read it; `None` when nothing is.
    pub(crate) fn complaints(&self, value: &Value) -> Option<String> {
        let Compiled { schema, judge } = self.compiled();
        let state = judge.lock().unwrap_or_else(PoisonError::into_inner)(value);
        if state.is_valid() {
            return None;
        }
        let mut found = HashSet::new();
        collect(&state.errors, &mut found);
        let mut report = Report {
            found,
            pieces: Vec::new(),
        };
        report.walk(schema, value, &mut String::new(), "");
        if report.pieces.is_empty() {
            // A keyword without a wording of its own; better vague than silent.
            report.pieces.push("must match the schema".to_owned());
        }
        Some(report.pieces.join("; "))
    }
}

impl Validator {
    /// Reads the parameters of a method from their raw JSON.
    ///
    /// # Errors
    /// The text that refuses them.
    pub(crate) fn parse<P: DeserializeOwned>(&self, method: &str, raw: &str) -> Result<P, String> {
        // Serde would take an array for a struct.
        if raw.starts_with('{')
            && let Ok(params) = serde_json::from_str(raw)
        {
            return Ok(params);
        }
        // A key that occurs twice fails above and is no error for a schema: the last one counts.
        let value = self.check(method, raw)?;
        serde_json::from_value(value)
            .map_err(|_| format!("invalid {method} params: must match the schema"))
    }

    /// Holds the raw JSON of parameters against the schema alone.
    ///
    /// # Errors
    /// The text that refuses them.
    pub(crate) fn check(&self, method: &str, raw: &str) -> Result<Value, String> {
        let refuse = |text: &str| Err(format!("invalid {method} params: {text}"));
        let Ok(value) = serde_json::from_str::<Value>(raw) else {
            return refuse("must be valid JSON of reasonable depth");
        };
        match self.complaints(&value) {
            Some(complaints) => refuse(&complaints),
            None => Ok(value),
        }
    }
}

type Found = HashSet<(&'static str, String)>;

fn collect(errors: &ValicoErrors, found: &mut Found) {
    for error in errors {
        let Some(code) = KEYWORDS.iter().find(|code| **code == error.get_code()) else {
            continue;
        };
        found.insert((code, error.get_path().to_owned()));
    }
}

/// The verdicts of valico that have a wording.
const KEYWORDS: [&str; 12] = [
    "wrong_type",
    "required",
    "properties",
    "min_length",
    "max_length",
    "minimum",
    "maximum",
    "min_items",
    "max_items",
    "const",
    "enum",
    "any_of",
];

/// Words a complaint about a bound.
type Wording = fn(&Value) -> String;

struct Report {
    found: Found,
    pieces: Vec<String>,
}

impl Report {
    /// `path` is where valico says a value is; `pointer` is the same, escaped as a JSON pointer.
    fn walk(&mut self, schema: &Value, value: &Value, path: &mut String, pointer: &str) {
        if self.pieces.len() >= MOST_COMPLAINTS {
            return;
        }
        if self.has("wrong_type", path) {
            self.say(pointer, &format!("must be {}", type_names(&schema["type"])));
        }
        self.scalars(schema, path, pointer);
        if let Value::Object(object) = value {
            self.object(schema, object, path, pointer);
        }
        if let (Value::Array(items), Some(item_schema)) = (value, schema.get("items")) {
            for (at, item) in items.iter().enumerate() {
                self.below(
                    item_schema,
                    item,
                    path,
                    &format!("{pointer}/{at}"),
                    &at.to_string(),
                );
            }
        }
        // A value of the wrong type has been told so; that it matches no branch follows.
        if self.has("any_of", path) && !self.has("wrong_type", path) {
            self.any_of(schema, value, pointer);
        }
    }

    fn scalars(&mut self, schema: &Value, path: &str, pointer: &str) {
        let wordings: [(&str, &str, Wording); 8] = [
            ("min_length", "minLength", |n| {
                format!("must NOT have fewer than {n} characters")
            }),
            ("max_length", "maxLength", |n| {
                format!("must NOT have more than {n} characters")
            }),
            ("minimum", "minimum", |n| format!("must be >= {n}")),
            ("maximum", "maximum", |n| format!("must be <= {n}")),
            ("min_items", "minItems", |n| {
                format!("must NOT have fewer than {n} items")
            }),
            ("max_items", "maxItems", |n| {
                format!("must NOT have more than {n} items")
            }),
            ("const", "const", |_| "must be equal to constant".to_owned()),
            ("enum", "enum", |_| {
                "must be equal to one of the allowed values".to_owned()
            }),
        ];
        for (code, keyword, wording) in wordings {
            if self.has(code, path)
                && let Some(bound) = schema.get(keyword)
            {
                self.say(pointer, &wording(bound));
            }
        }
    }

    fn object(
        &mut self,
        schema: &Value,
        object: &serde_json::Map<String, Value>,
        path: &mut String,
        pointer: &str,
    ) {
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if self.has("required", &format!("{path}/{name}")) {
                self.say(pointer, &format!("must have required property '{name}'"));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let is_known = |key: &String| properties.is_some_and(|known| known.contains_key(key));
        if self.has("properties", path) {
            for key in object.keys().filter(|key| !is_known(key)) {
                self.push(unexpected(key, pointer));
            }
        }
        for (name, property) in properties.into_iter().flatten() {
            if let Some(value) = object.get(name) {
                self.below(
                    property,
                    value,
                    path,
                    &format!("{pointer}/{}", escape(name)),
                    name,
                );
            }
        }
        if let Some(additional @ Value::Object(_)) = schema.get("additionalProperties") {
            for (name, value) in object.iter().filter(|(key, _)| !is_known(key)) {
                self.below(
                    additional,
                    value,
                    path,
                    &format!("{pointer}/{}", escape(name)),
                    name,
                );
            }
        }
    }

    fn below(
        &mut self,
        schema: &Value,
        value: &Value,
        path: &mut String,
        pointer: &str,
        name: &str,
    ) {
        let length = path.len();
        path.push('/');
        path.push_str(name);
        self.walk(schema, value, path, pointer);
        path.truncate(length);
    }

    /// The complaints of each branch first, then that none matches.
    fn any_of(&mut self, schema: &Value, value: &Value, pointer: &str) {
        let branches = schema.get("anyOf").and_then(Value::as_array);
        for branch in branches.into_iter().flatten() {
            branch::complain(branch, value, pointer, &mut |piece| self.push(piece));
        }
        self.say(pointer, "must match a schema in anyOf");
    }

    fn has(&self, code: &'static str, path: &str) -> bool {
        self.found.contains(&(code, path.to_owned()))
    }

    fn say(&mut self, pointer: &str, message: &str) {
        self.push(if pointer.is_empty() {
            message.to_owned()
        } else {
            format!("at {pointer}: {message}")
        });
    }

    fn push(&mut self, piece: String) {
        if self.pieces.len() < MOST_COMPLAINTS && !self.pieces.contains(&piece) {
            self.pieces.push(piece);
        }
    }
}

/// A key of the client that the schema does not know.
fn unexpected(key: &str, pointer: &str) -> String {
    let place = if pointer.is_empty() { "root" } else { pointer };
    let key: String = key.chars().take(LONGEST_KEY).collect();
    format!("at {place}: unexpected property '{}'", key.escape_debug())
}

fn type_names(wanted: &Value) -> String {
    match wanted {
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(","),
        Value::String(name) => name.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "valid".to_owned(),
    }
}

fn has_type(value: &Value, wanted: &Value) -> bool {
    match value {
        Value::Null => wanted == "null",
        Value::Bool(_) => wanted == "boolean",
        Value::Number(number) => {
            wanted == "number"
                || (wanted == "integer"
                    && number.as_f64().is_some_and(|number| number.fract() == 0.0))
        }
        Value::String(_) => wanted == "string",
        Value::Array(_) => wanted == "array",
        Value::Object(_) => wanted == "object",
    }
}

fn escape(key: &str) -> String {
    let key: String = key.chars().take(LONGEST_KEY).collect();
    key.replace('~', "~0")
        .replace('/', "~1")
        .escape_debug()
        .to_string()
}

#[cfg(test)]
mod tests;
