//! JSON Schema as the shapes it stands for, as far as our types use it.

use serde_json::Value;

/// What a value looks like.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// Null and nothing else.
    Null,
    /// true or false.
    Boolean,
    /// A number without a fraction.
    Integer { min: Option<i64>, max: Option<i64> },
    /// A number.
    Number,
    /// A text.
    Text { min: Option<u64>, max: Option<u64> },
    /// One of these texts.
    Words(Vec<Word>),
    /// A list.
    List {
        item: Box<Self>,
        min: Option<u64>,
        max: Option<u64>,
    },
    /// An object whose keys are data.
    Map(Box<Self>),
    /// An object with these fields.
    Record(Record),
    /// One of these.
    Union(Vec<Self>),
    /// The same, or null.
    Nullable(Box<Self>),
    /// A definition.
    Named(String),
}

/// One of a closed list of texts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) doc: String,
}

/// An object with named fields.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) fields: Vec<Field>,
    /// Whether other keys may stand beside them.
    pub(super) is_open: bool,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) is_required: bool,
    pub(super) shape: Shape,
}

/// The name that a reference ends in.
pub(super) fn name_of(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

/// What a schema says about itself, on one line per paragraph.
pub(super) fn doc_of(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str);
    let paragraphs = text.unwrap_or_default().split("\n\n");
    let paragraphs: Vec<String> = paragraphs
        .map(|paragraph| {
            let words: Vec<&str> = paragraph.split_whitespace().collect();
            unlink(&words.join(" "))
        })
        .collect();
    paragraphs.join("\n")
}

/// Links of rustdoc mean nothing elsewhere: ``[`Tick`]`` becomes `` `Tick` ``.
fn unlink(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`")
}

/// Reads a schema.
///
/// Panics on a keyword that no renderer knows: that is found by the first test that runs.
pub(super) fn shape_of(schema: &Value) -> Shape {
    let Value::Object(members) = schema else {
        return Shape::Any;
    };
    if let Some(target) = text(schema, "$ref") {
        return Shape::Named(name_of(target).to_owned());
    }
    if let Some([only]) = list(schema, "allOf") {
        return shape_of(only);
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(branches) = list(schema, keyword) {
            let union = union_of(branches);
            return match members.contains_key("properties") {
                true => spread(&record_of(schema), union),
                false => union,
            };
        }
    }
    if let Some(constant) = members.get("const") {
        return match constant {
            Value::String(text) => Shape::Words(vec![Word {
                text: text.clone(),
                doc: doc_of(schema),
            }]),
            Value::Bool(_) => Shape::Boolean,
            Value::Null => Shape::Null,
            Value::Number(_) => Shape::Number,
            Value::Array(_) | Value::Object(_) => Shape::Any,
        };
    }
    if let Some(words) = list(schema, "enum") {
        return words_of(words);
    }
    match members.get("type") {
        None => Shape::Any,
        Some(Value::Array(types)) => {
            let branches: Vec<Value> = types
                .iter()
                .map(|kind| {
                    let mut branch = members.clone();
                    branch.insert("type".to_owned(), kind.clone());
                    Value::Object(branch)
                })
                .collect();
            union_of(&branches)
        }
        Some(kind) => typed(schema, kind.as_str().unwrap_or_default()),
    }
}

fn typed(schema: &Value, kind: &str) -> Shape {
    let natural = |key: &str| schema.get(key).and_then(Value::as_u64);
    let integer = |key: &str| {
        let number = schema.get(key)?;
        let float = || number.as_f64().filter(|n| n.fract() == 0.0);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "bounds in our types are small whole numbers"
        )]
        number.as_i64().or_else(|| float().map(|n| n as i64))
    };
    match kind {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "integer" => Shape::Integer {
            min: integer("minimum"),
            max: integer("maximum"),
        },
        "number" => Shape::Number,
        "string" => Shape::Text {
            min: natural("minLength"),
            max: natural("maxLength"),
        },
        "array" => Shape::List {
            item: Box::new(schema.get("items").map_or(Shape::Any, shape_of)),
            min: natural("minItems"),
            max: natural("maxItems"),
        },
        "object" => {
            let has_fields = schema.get("properties").is_some();
            match schema.get("additionalProperties") {
                Some(values @ (Value::Object(_) | Value::Bool(true))) if !has_fields => {
                    Shape::Map(Box::new(shape_of(values)))
                }
                _ => Shape::Record(record_of(schema)),
            }
        }
        other => panic!("no shape for the type {other}"),
    }
}

fn record_of(schema: &Value) -> Record {
    let required = list(schema, "required").unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object);
    let fields = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| Field {
            name: name.clone(),
            doc: doc_of(schema),
            is_required: required.iter().any(|known| known == name.as_str()),
            shape: shape_of(schema),
        })
        .collect();
    Record {
        fields,
        is_open: schema.get("additionalProperties") != Some(&Value::Bool(false)),
    }
}

/// A record some of whose fields depend on which branch of a union it is.
fn spread(common: &Record, union: Shape) -> Shape {
    let join = |branch: Shape| {
        let Shape::Record(record) = branch else {
            return branch;
        };
        let fields = common.fields.iter().cloned().chain(record.fields);
        Shape::Record(Record {
            fields: fields.collect(),
            is_open: record.is_open && common.is_open,
        })
    };
    let Shape::Union(branches) = union else {
        return join(union);
    };
    Shape::Union(branches.into_iter().map(join).collect())
}

fn union_of(branches: &[Value]) -> Shape {
    let mut words = Vec::new();
    let mut others = Vec::new();
    let mut is_nullable = false;
    for branch in branches {
        let mut shape = shape_of(branch);
        if let Shape::Nullable(inner) = shape {
            is_nullable = true;
            shape = *inner;
        }
        if shape == Shape::Null {
            is_nullable = true;
        } else if let Shape::Words(more) = shape {
            words.extend(more);
        } else {
            others.push(shape);
        }
    }
    // A text covers its words: a language has no type for "this word, or any text".
    let is_any_text = |shape: &Shape| matches!(shape, Shape::Text { max: None, .. });
    if !words.is_empty() && !others.iter().any(is_any_text) {
        others.insert(0, Shape::Words(words));
    }
    let shape = match others.len() {
        0 => return Shape::Null,
        1 => others.remove(0),
        _ => Shape::Union(others),
    };
    if is_nullable {
        Shape::Nullable(Box::new(shape))
    } else {
        shape
    }
}

fn words_of(values: &[Value]) -> Shape {
    let words = values
        .iter()
        .filter_map(Value::as_str)
        .map(|text| Word {
            text: text.to_owned(),
            doc: String::new(),
        })
        .collect();
    let words = Shape::Words(words);
    if values.contains(&Value::Null) {
        Shape::Nullable(Box::new(words))
    } else {
        words
    }
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key)?.as_str()
}

fn list<'a>(schema: &'a Value, key: &str) -> Option<&'a [Value]> {
    schema.get(key)?.as_array().map(Vec::as_slice)
}
