//! Edits of a configuration's text: what is set is there afterwards, and everything else is as it was.
//!
//! The input is a path, a value and a text, each ended by an ASCII record separator.
#![no_main]

use openclaw_shared::config::write::{merge_patch, parse_value, set, unset};
use openclaw_shared::config::{KeyPath, Step};
use serde_json::{Value, json};

libfuzzer_sys::fuzz_target!(|input: &str| {
    let mut parts = input.splitn(3, '\u{1e}');
    let (Some(path), Some(value), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let (Ok(path), Ok(value)) = (path.parse::<KeyPath>(), parse_value(value)) else {
        return;
    };
    let before = parse_value(text);
    if let Ok(before) = &before {
        assert!(
            merge_patch(text, &json!({}), Some(before)).is_ok_and(|same| same == text)
                || !before.is_object()
        );
    }
    let effective = before.clone().unwrap_or_else(|_| json!({}));
    if let Ok(changed) = set(text, &path, &value, before.as_ref().ok()) {
        let after = parse_value(&changed).expect("an edited text can be read");
        assert_eq!(
            path.find(&after),
            Some(&value),
            "set {path} in {text:?} gave {changed:?}"
        );
        others_are_equal(&effective, &after, &path);
        // Once more changes nothing.
        let again = set(&changed, &path, &value, Some(&after));
        assert_eq!(again.as_deref(), Ok(changed.as_str()));
    }
    if let Ok(changed) = unset(text, &path, before.as_ref().ok()) {
        let after = parse_value(&changed).expect("an edited text can be read");
        others_are_equal(&effective, &after, &path);
        if matches!(path.steps().last(), Some(Step::Key(_))) {
            assert_eq!(
                path.find(&after),
                None,
                "unset {path} in {text:?} gave {changed:?}"
            );
        }
    }
    if let Ok(changed) = merge_patch(text, &value, before.as_ref().ok()) {
        assert!(parse_value(&changed).is_ok_and(|after| after.is_object()));
    }
});

/// What lies beside the first step of the path has not changed.
fn others_are_equal(before: &Value, after: &Value, path: &KeyPath) {
    let Some(Step::Key(first)) = path.steps().first() else {
        return;
    };
    let rest = |value: &Value| {
        let mut rest = value.as_object().cloned().unwrap_or_default();
        rest.shift_remove(first);
        rest
    };
    assert_eq!(rest(before), rest(after), "beside {path}");
}
