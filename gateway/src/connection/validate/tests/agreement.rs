//! That serde and valico never disagree: one verdict on every value, for the parameters of every method.
//!
//! The values are made from the schema: right in every part, or wrong in one or several, in the ways that people and
//! attackers get them wrong. A seed makes all of them, so that a failure is replayed by the seed alone.

use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::frame::RequestShape;
use openclaw_shared::protocol::method::{self, accepts, schema_of};
use proptest::prelude::*;
use schemars::Schema;
use serde_json::{Map, Value, json};

use super::super::Validator;

/// How many values one seed makes for each type.
const VALUES_PER_TYPE: usize = 4;

/// A type and its two judges.
struct Subject {
    name: &'static str,
    schema: Value,
    accepts: fn(&str) -> bool,
    validator: Validator,
}

impl Subject {
    fn new(name: &'static str, schema: fn() -> Schema, accepts: fn(&str) -> bool) -> Self {
        Self {
            name,
            schema: schema().to_value(),
            accepts,
            validator: Validator::new(schema),
        }
    }

    fn all() -> Vec<Self> {
        let methods =
            method::all().map(|info| Self::new(info.name, info.params_schema, info.accepts));
        let frames = [
            Self::new(
                "connect",
                schema_of::<ConnectParams>,
                accepts::<ConnectParams>,
            ),
            Self::new(
                "(request)",
                schema_of::<RequestShape>,
                accepts::<RequestShape>,
            ),
        ];
        methods.chain(frames).collect()
    }

    /// Both verdicts on a value are one, and a refusal says why.
    fn judge(&self, value: &Value) -> Result<bool, TestCaseError> {
        let raw = value.to_string();
        let typed = (self.accepts)(&raw);
        let complaints = self.validator.complaints(value);
        prop_assert_eq!(
            typed,
            complaints.is_none(),
            "{}: {}: {:?}",
            self.name,
            raw,
            complaints
        );
        prop_assert_ne!(
            complaints.as_deref(),
            Some("must match the schema"),
            "{}: {}",
            self.name,
            raw
        );
        Ok(typed)
    }
}

/// Choices that follow from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }

    fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A value that fits its schema, except that each part is spoilt once in `flaw` times (never when it is zero).
fn near(schema: &Value, dice: &mut Dice, flaw: usize) -> Value {
    if flaw > 0 && dice.one_in(flaw) {
        return wild(schema, dice);
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(branches) = schema.get(keyword).and_then(Value::as_array) {
            let branch = near(dice.pick(branches), dice, flaw);
            return match (branch, schema.get("properties").is_some()) {
                (Value::Object(more), true) => {
                    let mut object = object(schema, dice, flaw);
                    object.extend(more);
                    object.into()
                }
                (branch, _) => branch,
            };
        }
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return dice.pick(words).clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => dice.pick(kinds).as_str(),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match kind {
        Some("object") => object(schema, dice, flaw).into(),
        Some("array") => array(schema, dice, flaw),
        Some("string") => text(schema, dice, flaw),
        Some("integer") => number(schema, dice, flaw),
        Some("number") => dice.pick(&[json!(1.5), json!(-2), json!(0)]).clone(),
        Some("boolean") => dice.one_in(2).into(),
        Some("null") => Value::Null,
        _ => anything(dice, 3),
    }
}

fn object(schema: &Value, dice: &mut Dice, flaw: usize) -> Map<String, Value> {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required =
        |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
    let mut object = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let left_out = if is_required(name) {
            flaw > 0 && dice.one_in(flaw)
        } else {
            dice.one_in(2)
        };
        if !left_out {
            object.insert(name.clone(), near(property, dice, flaw));
        }
    }
    if let Some(values @ Value::Object(_)) = schema.get("additionalProperties") {
        for _ in 0..dice.below(3) {
            let key = dice.pick(&["a", "b/c", "~", "", "ü"]);
            object.insert((*key).to_owned(), near(values, dice, flaw));
        }
    }
    if flaw > 0 && dice.one_in(flaw) {
        let keys = ["extra", "__proto__", "type", "id", ""];
        object.insert((*dice.pick(&keys)).to_owned(), anything(dice, 2));
    }
    object
}

fn array(schema: &Value, dice: &mut Dice, flaw: usize) -> Value {
    let bound = |keyword: &str| {
        let bound = schema.get(keyword).and_then(Value::as_u64);
        bound.and_then(|bound| usize::try_from(bound).ok())
    };
    let least = bound("minItems").unwrap_or(0);
    let most = bound("maxItems").unwrap_or(least + 3);
    let length = if flaw > 0 && dice.one_in(flaw) {
        *dice.pick(&[0, least.saturating_sub(1), most + 1])
    } else {
        least + dice.below(most - least + 1)
    };
    let items = schema.get("items").unwrap_or(&Value::Bool(true));
    (0..length).map(|_| near(items, dice, flaw)).collect()
}

fn text(schema: &Value, dice: &mut Dice, flaw: usize) -> Value {
    let bound = |keyword: &str| {
        let bound = schema.get(keyword).and_then(Value::as_u64);
        bound.and_then(|bound| usize::try_from(bound).ok())
    };
    let least = bound("minLength").unwrap_or(0);
    let most = bound("maxLength").unwrap_or(least + 5);
    let length = if flaw > 0 && dice.one_in(flaw) {
        *dice.pick(&[0, least.saturating_sub(1), most + 1])
    } else {
        *dice.pick(&[least, most])
    };
    let letter = *dice.pick(&["x", "ü", "\u{1f980}", "\u{0}", "7"]);
    letter.repeat(length).into()
}

fn number(schema: &Value, dice: &mut Dice, flaw: usize) -> Value {
    let bound = |keyword: &str, otherwise: i64| {
        let bound = schema.get(keyword);
        bound.and_then(Value::as_i64).unwrap_or(otherwise)
    };
    let (least, most) = (bound("minimum", -1_000), bound("maximum", 9_000_000));
    let inside = *dice.pick(&[least, most, least + (most - least) / 2]);
    if flaw > 0 && dice.one_in(flaw) {
        let outside = [least.saturating_sub(1), most.saturating_add(1)];
        return (*dice.pick(&outside)).into();
    }
    if dice.one_in(3) {
        // An integral float is an integer.
        return (inside as f64).into();
    }
    inside.into()
}

/// A value of some other kind.
fn wild(schema: &Value, dice: &mut Dice) -> Value {
    match dice.below(4) {
        // What fits, one level too deep or as the array that serde takes for a struct.
        0 => json!([near(schema, dice, 0)]),
        1 => {
            let fits = near(schema, dice, 0);
            let Value::Object(object) = fits else {
                return json!({ "x": fits });
            };
            object.into_iter().map(|(_, value)| value).collect()
        }
        2 => (0..dice.below(100)).fold(json!(1), |inner, at| match at % 2 {
            0 => json!([inner]),
            _ => json!({ "deep": inner }),
        }),
        _ => anything(dice, 2),
    }
}

fn anything(dice: &mut Dice, depth: usize) -> Value {
    let scalars = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(3.0),
        json!(3.5),
        json!(-0.0),
        json!(1e20),
        json!(-1e20),
        json!(1e300),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1_000_001),
        json!(""),
        json!("x"),
        json!("cli"),
        json!("now"),
        json!("\u{0}"),
        json!({}),
        json!([]),
    ];
    if depth == 0 || dice.one_in(2) {
        return dice.pick(&scalars).clone();
    }
    let inner = |dice: &mut Dice| anything(dice, depth - 1);
    if dice.one_in(2) {
        (0..dice.below(4)).map(|_| inner(dice)).collect()
    } else {
        let keys = ["id", "text", "a", "limit", "kind"];
        let members = (0..dice.below(4)).map(|_| ((*dice.pick(&keys)).to_owned(), inner(dice)));
        Value::Object(members.collect())
    }
}

#[test]
fn serde_and_valico_agree_on_every_parameter_type() {
    let subjects = Subject::all();
    let mut fitting = vec![0_usize; subjects.len()];
    let mut refused = fitting.clone();
    let seen = (&mut fitting, &mut refused);
    let seen = std::cell::RefCell::new(seen);
    let mut config = ProptestConfig::default();
    // Each case tries every type several times.
    config.cases /= 4;
    proptest!(config, |(seed in any::<u64>())| {
        let mut seen = seen.borrow_mut();
        for (at, subject) in subjects.iter().enumerate() {
            let mut dice = Dice(seed);
            for round in 0..VALUES_PER_TYPE {
                let flaw = [0, 40, 12, 5][round % 4];
                let value = near(&subject.schema, &mut dice, flaw);
                match subject.judge(&value)? {
                    true => seen.0[at] += 1,
                    false => seen.1[at] += 1,
                }
            }
        }
    });
    // A generator that only ever makes nonsense, or none, shows nothing.
    for (at, subject) in subjects.iter().enumerate() {
        assert!(
            fitting[at] > 20,
            "{}: {} values fit",
            subject.name,
            fitting[at]
        );
        assert!(
            refused[at] > 5,
            "{}: {} are refused",
            subject.name,
            refused[at]
        );
    }
}
