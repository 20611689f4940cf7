//! Everything the protocol consists of, as JSON Schema definitions that refer to each other by name.

use std::collections::BTreeMap;

use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::error::{ErrorCode, ErrorShape};
use openclaw_shared::protocol::event::{self, EventInfo};
use openclaw_shared::protocol::frame::{EventShape, RequestShape, ResponseShape};
use openclaw_shared::protocol::hello::HelloOk;
use openclaw_shared::protocol::method::{self, Availability, Family, MethodInfo};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::model::{self, Shape};

/// The protocol, ready to be rendered.
pub(super) struct Document {
    /// The definitions by name, as JSON Schema.
    pub(super) definitions: BTreeMap<String, Value>,
    /// The same as shapes.
    pub(super) shapes: BTreeMap<String, (String, Shape)>,
    /// The methods by family.
    pub(super) families: Vec<(&'static Family, Vec<MethodEntry>)>,
    /// The events.
    pub(super) events: Vec<EventEntry>,
}

/// A method and the names of its definitions.
pub(super) struct MethodEntry {
    pub(super) info: &'static MethodInfo,
    pub(super) params: String,
    pub(super) reply: String,
}

/// An event and the name of its definition.
pub(super) struct EventEntry {
    pub(super) info: &'static EventInfo,
    pub(super) payload: String,
}

/// The names of the frames, which every other definition is reached from.
pub(super) const FRAMES: [&str; 3] = ["RequestFrame", "ResponseFrame", "EventFrame"];

impl Document {
    /// Collects it from the types.
    pub(super) fn collect() -> Self {
        let mut definitions = Definitions::default();
        // First everything is put into the generators, so that a clash of names shows before a name is used.
        let read = SchemaSettings::draft07().into_generator();
        let written = SchemaSettings::draft07().for_serialize().into_generator();
        let (mut read, mut written) = (Contract::new(read), Contract::new(written));

        written.add::<RequestShape>();
        written.add::<ResponseShape>();
        written.add::<EventShape>();
        written.add::<ErrorShape>();
        written.add::<ErrorCode>();
        written.add::<HelloOk>();
        read.add::<ConnectParams>();

        let mut methods = Vec::new();
        for family in method::FAMILIES {
            for info in family.methods {
                let stem = pascal(info.name);
                let params = read.name(&stem, "Params", info.params_in);
                let reply = written.name(&stem, "Reply", info.reply_in);
                methods.push((family, info, params, reply));
            }
        }
        let payloads: Vec<String> = event::EVENTS
            .iter()
            .map(|info| written.name(&pascal(info.name), "Payload", info.payload_in))
            .collect();

        definitions.take(written.finish(strip_null), "");
        let renamed = definitions.take(read.finish(|_| {}), "Input");
        let renamed = |name: String| renamed.get(&name).cloned().unwrap_or(name);

        let mut families: Vec<(&'static Family, Vec<MethodEntry>)> = Vec::new();
        for (family, info, params, reply) in methods {
            if families
                .last()
                .is_none_or(|(last, _)| last.title != family.title)
            {
                families.push((family, Vec::new()));
            }
            if let Some((_, entries)) = families.last_mut() {
                let params = renamed(params);
                entries.push(MethodEntry {
                    info,
                    params,
                    reply,
                });
            }
        }
        let events = event::EVENTS
            .iter()
            .zip(payloads)
            .map(|(info, payload)| EventEntry { info, payload })
            .collect();
        let shapes = definitions
            .0
            .iter()
            .map(|(name, schema)| {
                (
                    name.clone(),
                    (model::doc_of(schema), model::shape_of(schema)),
                )
            })
            .collect();
        Self {
            definitions: definitions.0,
            shapes,
            families,
            events,
        }
    }

    /// The shape of a definition.
    pub(super) fn shape(&self, name: &str) -> &Shape {
        &self.shapes[name].1
    }
}

/// Definitions of one direction: what is read from clients, or what is written to them. A field that may be left out in the one
/// is always there in the other.
struct Contract {
    generator: SchemaGenerator,
    extra: BTreeMap<String, Value>,
}

impl Contract {
    fn new(generator: SchemaGenerator) -> Self {
        Self {
            generator,
            extra: BTreeMap::new(),
        }
    }

    fn add<T: schemars::JsonSchema>(&mut self) {
        // What counts is the definition that this leaves in the generator.
        let _ = self.generator.subschema_for::<T>();
    }

    /// The name of a schema's definition: its own, or `<stem><suffix>` for one that has none.
    fn name(
        &mut self,
        stem: &str,
        suffix: &str,
        schema: fn(&mut SchemaGenerator) -> Schema,
    ) -> String {
        let schema = schema(&mut self.generator).to_value();
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            return model::name_of(name).to_owned();
        }
        let name = format!("{stem}{suffix}");
        self.extra.insert(name.clone(), schema);
        name
    }

    /// All its definitions, each changed once more.
    fn finish(mut self, change: fn(&mut Value)) -> BTreeMap<String, Value> {
        let mut all = self.extra;
        all.extend(self.generator.take_definitions(true));
        all.values_mut().for_each(change);
        all
    }
}

/// What we write and leave out when there is nothing to say is never null, although its type in Rust is an `Option`.
fn strip_null(schema: &mut Value) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| {
        let required = required.as_array().into_iter().flatten();
        required.into_iter().any(|known| known == name)
    };
    match schema {
        Value::Object(members) => {
            for (keyword, value) in members {
                if let (true, Value::Object(properties)) = (keyword == "properties", &mut *value) {
                    properties
                        .iter_mut()
                        .filter(|(name, _)| !is_required(name))
                        .for_each(|(_, property)| without_null(property));
                }
                strip_null(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strip_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn without_null(property: &mut Value) {
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            property["type"] = only.clone();
        }
    }
    let Some(Value::Array(branches)) = property.get_mut("anyOf") else {
        return;
    };
    branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
    if let ([only], Value::Object(members)) = (branches.clone().as_slice(), property) {
        members.remove("anyOf");
        if only.get("$ref").is_some() {
            // Beside a reference, draft-07 ignores everything else.
            members.insert("allOf".to_owned(), Value::Array(vec![only.clone()]));
        } else if let Value::Object(only) = only {
            for (keyword, value) in only {
                members.entry(keyword).or_insert_with(|| value.clone());
            }
        }
    }
}

/// All definitions by name.
#[derive(Default)]
struct Definitions(BTreeMap<String, Value>);

impl Definitions {
    /// Takes over the definitions of one direction. One that differs from what the other direction calls by the same name gets
    /// a suffix; the answer maps old names to new ones.
    fn take(&mut self, extra: BTreeMap<String, Value>, suffix: &str) -> BTreeMap<String, String> {
        let mut renamed: BTreeMap<String, String> = BTreeMap::new();
        loop {
            // A definition that refers to a renamed one differs too.
            let clashes: Vec<String> = extra
                .iter()
                .filter(|(name, schema)| {
                    !renamed.contains_key(*name)
                        && self.0.get(*name).is_some_and(|known| known != *schema)
                        || !renamed.contains_key(*name)
                            && self.0.contains_key(*name)
                            && refers_to(schema, &renamed)
                })
                .map(|(name, _)| name.clone())
                .collect();
            if clashes.is_empty() {
                break;
            }
            for name in clashes {
                let new = format!("{name}{suffix}");
                renamed.insert(name, new);
            }
        }
        for (name, mut schema) in extra {
            redirect(&mut schema, &renamed);
            let name = renamed.get(&name).cloned().unwrap_or(name);
            self.0.insert(name, schema);
        }
        renamed
    }
}

fn refers_to(schema: &Value, names: &BTreeMap<String, String>) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(key, value)| match value.as_str() {
            Some(target) if key == "$ref" => names.contains_key(model::name_of(target)),
            _ => refers_to(value, names),
        }),
        Value::Array(items) => items.iter().any(|item| refers_to(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn redirect(schema: &mut Value, names: &BTreeMap<String, String>) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                if key == "$ref"
                    && let Some(new) = value
                        .as_str()
                        .and_then(|target| names.get(model::name_of(target)))
                {
                    *value = format!("#/definitions/{new}").into();
                } else {
                    redirect(value, names);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A name on the wire as the name of a type: `node.pair.request` becomes `NodePairRequest`.
pub(super) fn pascal(name: &str) -> String {
    name.split(['.', '-', '_', '/', ' '])
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().chain(letters).collect()
            })
        })
        .collect()
}

/// Whether something is there already, for people.
pub(super) fn availability(availability: Availability) -> String {
    match availability {
        Availability::Works => "works".to_owned(),
        Availability::Planned(why) => format!("planned: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Document, FRAMES, pascal};

    #[test]
    fn every_reference_leads_to_a_definition_and_no_name_is_a_number() {
        let document = Document::collect();
        let text = serde_json::to_string(&document.definitions).unwrap();
        for target in text.split("\"$ref\":\"").skip(1) {
            let name = target.split('"').next().unwrap();
            let name = name.strip_prefix("#/definitions/").unwrap();
            assert!(document.definitions.contains_key(name), "{name}");
        }
        for name in document.definitions.keys() {
            assert!(
                !name.ends_with(|last: char| last.is_ascii_digit()),
                "two types are called {name}: one needs #[schemars(rename)]"
            );
        }
        assert!(
            FRAMES
                .iter()
                .all(|name| document.definitions.contains_key(*name))
        );
    }

    #[test]
    fn names_on_the_wire_become_names_of_types() {
        assert_eq!(pascal("node.pair.request"), "NodePairRequest");
        assert_eq!(pascal("system-presence"), "SystemPresence");
        assert_eq!(pascal("tts.setProvider"), "TtsSetProvider");
    }
}
