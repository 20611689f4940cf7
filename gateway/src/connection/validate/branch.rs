//! What is wrong with a value for one branch of an `anyOf`.  (pure)
//!
//! valico says that no branch matches and keeps the reasons to itself; clients know the reasons of every branch. So the few
//! keywords that branches are made of are judged here, in the order of the published validator: type, what is missing, what is
//! unexpected, then each property.

use serde_json::{Map, Value};

use super::{escape, has_type, type_names, unexpected};

/// Says everything that is wrong, each with the place of it.
pub(super) fn complain(schema: &Value, value: &Value, pointer: &str, say: &mut dyn FnMut(String)) {
    let mut at = |message: &str| {
        say(if pointer.is_empty() {
            message.to_owned()
        } else {
            format!("at {pointer}: {message}")
        });
    };
    let wanted = &schema["type"];
    if wanted.is_string() && !has_type(value, wanted) {
        at(&format!("must be {}", type_names(wanted)));
        if schema.get("const").is_some() {
            at("must be equal to constant");
        }
        return;
    }
    if schema
        .get("const")
        .is_some_and(|constant| constant != value)
    {
        at("must be equal to constant");
    }
    if let Value::String(text) = value {
        let length = text.chars().count() as u64;
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        if let Some(least) = bound("minLength").filter(|least| length < *least) {
            at(&format!("must NOT have fewer than {least} characters"));
        }
        if let Some(most) = bound("maxLength").filter(|most| length > *most) {
            at(&format!("must NOT have more than {most} characters"));
        }
    }
    if let Some(number) = value.as_f64() {
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            at(&format!("must be >= {least}"));
        }
        if let Some(most) = bound("maximum").filter(|most| number > *most) {
            at(&format!("must be <= {most}"));
        }
    }
    if let Value::Object(object) = value {
        complain_of_object(schema, object, pointer, say);
    }
    if let Some(Value::Array(branches)) = schema.get("anyOf") {
        let mut matches = false;
        let mut said = Vec::new();
        for branch in branches {
            let before = said.len();
            complain(branch, value, pointer, &mut |piece| said.push(piece));
            matches |= said.len() == before;
        }
        if !matches {
            said.into_iter().for_each(&mut *say);
            say(if pointer.is_empty() {
                "must match a schema in anyOf".to_owned()
            } else {
                format!("at {pointer}: must match a schema in anyOf")
            });
        }
    }
}

fn complain_of_object(
    schema: &Value,
    object: &Map<String, Value>,
    pointer: &str,
    say: &mut dyn FnMut(String),
) {
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            let message = format!("must have required property '{name}'");
            say(if pointer.is_empty() {
                message
            } else {
                format!("at {pointer}: {message}")
            });
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        for key in object.keys() {
            if !properties.is_some_and(|known| known.contains_key(key)) {
                say(unexpected(key, pointer));
            }
        }
    }
    for (name, property) in properties.into_iter().flatten() {
        if let Some(value) = object.get(name) {
            complain(property, value, &format!("{pointer}/{}", escape(name)), say);
        }
    }
}
