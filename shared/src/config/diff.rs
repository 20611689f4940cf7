//! Which settings differ between two configurations.

use std::collections::BTreeSet;

use serde_json::Value;

use super::path::{KeyPath, Step};

/// The dotted paths at which two plain configurations differ, sorted.
///
/// A block that one of them lacks is taken apart, so that every changed setting is named for itself; an array
/// is named as a whole.
pub fn changed_keys(old: &Value, new: &Value) -> Vec<String> {
    let mut changed = BTreeSet::new();
    compare(Some(old), Some(new), &mut KeyPath::root(), &mut changed);
    changed.into_iter().collect()
}

fn compare(
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut KeyPath,
    changed: &mut BTreeSet<String>,
) {
    if old == new {
        return;
    }
    let members = |side: Option<&Value>| match side {
        Some(Value::Object(members)) => Some(members.keys().cloned().collect::<BTreeSet<_>>()),
        Some(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_),
        ) => None,
        None => Some(BTreeSet::new()),
    };
    let keys = match (members(old), members(new)) {
        (Some(left), Some(right)) => left.union(&right).cloned().collect(),
        (None, _) | (_, None) => BTreeSet::new(),
    };
    if keys.is_empty() {
        changed.insert(path.to_string());
        return;
    }
    for key in keys {
        let (left, right) = (
            old.and_then(|side| side.get(&key)),
            new.and_then(|side| side.get(&key)),
        );
        path.push(Step::Key(key));
        compare(left, right, path, changed);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::any_value;
    use super::*;

    fn check(old: Value, new: Value, expected: &[&str]) {
        assert_eq!(changed_keys(&old, &new), expected, "{old} -> {new}");
    }

    #[test]
    fn every_changed_setting_is_named() {
        check(json!({}), json!({}), &[]);
        check(json!({"a": 1}), json!({"a": 1}), &[]);
        check(json!({"a": 1}), json!({"a": 2}), &["a"]);
        check(
            json!({"a": {"b": 1, "c": 2}}),
            json!({"a": {"b": 1, "c": 3}}),
            &["a.c"],
        );
        check(
            json!({}),
            json!({"a": {"b": 1, "c": {"d": 2}}}),
            &["a.b", "a.c.d"],
        );
        check(json!({"a": {"b": 1}}), json!({}), &["a.b"]);
        check(json!({}), json!({"a": {}}), &["a"]);
        check(json!({"a": {"b": 1}}), json!({"a": {}}), &["a.b"]);
        check(json!({"a": [1, 2]}), json!({"a": [1, 3]}), &["a"]);
        check(json!({"a": {"b": 1}}), json!({"a": 1}), &["a"]);
        check(json!({"a": {"k.x": 1}}), json!({"a": {}}), &["a[\"k.x\"]"]);
        check(json!({"a": 1}), json!([]), &[""]);
    }

    /// Takes what changed from `new`.
    fn apply(old: &Value, new: &Value, changed: &[String]) -> Value {
        let mut result = old.clone();
        for path in changed {
            if path.is_empty() {
                return new.clone();
            }
            let path: KeyPath = path.parse().unwrap();
            put(&mut result, path.steps(), path.find(new));
        }
        result
    }

    fn put(target: &mut Value, steps: &[Step], value: Option<&Value>) {
        let Some((Step::Key(key), rest)) = steps.split_first() else {
            panic!("arrays change as a whole")
        };
        if !target.is_object() {
            *target = json!({});
        }
        let members = target.as_object_mut().unwrap();
        match (rest.is_empty(), value) {
            (true, Some(value)) => {
                members.insert(key.clone(), value.clone());
            }
            (true, None) => {
                members.remove(key);
            }
            (false, _) => put(members.entry(key.clone()).or_insert(json!({})), rest, value),
        }
    }

    proptest! {
        #[test]
        fn nothing_changed_means_equal(old in any_value(), new in any_value()) {
            prop_assert_eq!(changed_keys(&old, &new).is_empty(), old == new);
            prop_assert!(changed_keys(&old, &old.clone()).is_empty());
        }

        #[test]
        fn a_change_back_names_the_same_settings(old in any_value(), new in any_value()) {
            prop_assert_eq!(changed_keys(&old, &new), changed_keys(&new, &old));
        }

        #[test]
        fn applying_what_changed_leaves_no_other_setting_different(old in any_value(), new in any_value()) {
            let applied = apply(&old, &new, &changed_keys(&old, &new));
            // A block that vanished altogether leaves its empty shell; nothing else may differ.
            for path in changed_keys(&applied, &new) {
                let path: KeyPath = path.parse().unwrap();
                prop_assert_eq!(path.find(&applied), Some(&json!({})));
                prop_assert_eq!(path.find(&new), None);
            }
        }
    }
}
