//! Edits as people see them: the text before, the text after.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::super::super::testing::{any_document, any_key, any_scalar, any_value};
use super::*;
use crate::config::{sensitive, tree};
use crate::secret::PLACEHOLDER;

fn read(text: &str) -> Value {
    tree::parse(text).unwrap().root.to_value()
}

fn outcome(result: Result<String, EditError>) -> String {
    result.unwrap_or_else(|error| format!("failed to {error}"))
}

fn check_set(text: &str, path: &str, value: Value, expected: &str) {
    let path: KeyPath = path.parse().unwrap();
    assert_eq!(
        outcome(set(text, &path, &value, None)),
        expected,
        "set {path} = {value} in {text}"
    );
}

fn check_unset(text: &str, path: &str, expected: &str) {
    assert_eq!(
        outcome(unset(text, &path.parse().unwrap(), None)),
        expected,
        "unset {path} in {text}"
    );
}

#[test]
fn elements_go_one_by_one_unless_they_are_very_many() {
    check_set(
        "{a: [1, /* two */ 2, 3]}",
        "a",
        json!([1]),
        "{a: [1 /* two */]}",
    );
    let many = format!("{{a: [{} /* last */]}}", "1, ".repeat(20_000));
    check_set(&many, "a", json!([1]), "{a: [1]}");
}

#[test]
fn a_value_is_replaced_where_it_stands() {
    check_set(
        "{a: 1, /* one */ b: 2} // end\n",
        "a",
        json!(5),
        "{a: 5, /* one */ b: 2} // end\n",
    );
    check_set("{a: 'x'}", "a", json!("it's"), "{a: \"it's\"}");
    check_set(
        "{a: [1, 2, /*three*/ 3,]}",
        "a[1]",
        json!(9),
        "{a: [1, 9, /*three*/ 3,]}",
    );
    check_set("{a: [1]}", "a", json!([1, 2]), "{a: [1, 2]}");
    check_set("{a: [1, 2, 3]}", "a", json!([1]), "{a: [1]}");
    check_set("{a: 1, a: 2}", "a", json!(3), "{a: 1, a: 3}");
    check_set("{a: 0x10}", "a", json!(16), "{a: 0x10}");
    check_set(
        "{\n  a: 1,\n}",
        "a",
        json!({"b": [1]}),
        "{\n  a: {\n    b: [\n      1\n    ]\n  },\n}",
    );
}

#[test]
fn an_object_is_set_member_by_member() {
    check_set(
        "{\n  a: {\n    keep: 1, // why\n    drop: 2,\n    change: 3,\n  },\n}",
        "a",
        json!({"keep": 1, "change": 4, "add": 5}),
        "{\n  a: {\n    keep: 1, // why\n    change: 4,\n    add: 5,\n  },\n}",
    );
}

#[test]
fn a_new_value_looks_like_its_neighbours() {
    check_set(
        "",
        "gateway.port",
        json!(1),
        "{\n  \"gateway\": {\n    \"port\": 1\n  }\n}\n",
    );
    check_set("{}", "a", json!(1), "{\n  \"a\": 1\n}");
    check_set("{a: 1}", "b", json!("x"), "{a: 1, b: \"x\"}");
    check_set("{a: 1,}", "b", json!(2), "{a: 1, b: 2,}");
    check_set("{\"a\": 1}", "b-c", json!(2), "{\"a\": 1, \"b-c\": 2}");
    check_set("{a: 1}", "[\"b-c\"]", json!(2), "{a: 1, \"b-c\": 2}");
    check_set(
        "{\n\ta: 1\n}\n",
        "b",
        json!({"c": 1}),
        "{\n\ta: 1,\n\tb: {\n\t\tc: 1\n\t}\n}\n",
    );
    check_set(
        "{\r\n  a: 1,\r\n}\r\n",
        "b",
        json!(2),
        "{\r\n  a: 1,\r\n  b: 2,\r\n}\r\n",
    );
    check_set(
        "{\n  a: 1 // last\n}",
        "b",
        json!(2),
        "{\n  a: 1, // last\n  b: 2\n}",
    );
    check_set(
        "{\n  a: 1, /* x */ // last\n  // free\n}",
        "b",
        json!(2),
        "{\n  a: 1, /* x */ // last\n  b: 2,\n  // free\n}",
    );
    check_set(
        "{\n  a: 1 // last\n  ,\n}",
        "b",
        json!(2),
        "{\n  a: 1 // last\n  ,\n  b: 2,\n}",
    );
    check_set("{a: {}}", "a.b", json!(1), "{a: { b: 1 }}");
    check_set(
        "{\n  a: {},\n}",
        "a.b",
        json!(1),
        "{\n  a: {\n    b: 1\n  },\n}",
    );
    check_set(
        "{ // nothing yet\n}",
        "a",
        json!(1),
        "{\n  \"a\": 1 // nothing yet\n}",
    );
    check_set(
        "{a: []}",
        "a[0]",
        json!({"id": "x"}),
        "{a: [{ id: \"x\" }]}",
    );
    check_set(
        "{}",
        "a[0].b",
        json!(1),
        "{\n  \"a\": [\n    {\n      \"b\": 1\n    }\n  ]\n}",
    );
    check_set("{a: {}}", "a[5]", json!(1), "{a: { \"5\": 1 }}");
}

#[test]
fn what_cannot_be_set_is_said() {
    check_set(
        "{a: 1}",
        "a.b",
        json!(1),
        "failed to follow the path a.b: there is a number at a",
    );
    check_set(
        "{a: [1]}",
        "a[3]",
        json!(1),
        "failed to set a[3]: the array has 1 elements",
    );
    check_set(
        "{a: [1]}",
        "a.b",
        json!(1),
        "failed to follow the path a.b: there is an array at a",
    );
    check_set(
        "{",
        "a",
        json!(1),
        "failed to edit a file that cannot be read: line 1, column 1: this object is never closed with \"}\"",
    );
    check_set(
        "[]",
        "a",
        json!(1),
        "failed to make the configuration an array: it has to be an object",
    );
    assert!(set("{}", &KeyPath::root(), &json!(1), None).is_err());
}

#[test]
fn a_removed_value_takes_its_comma_and_line_but_no_comment() {
    check_unset("{a: 1, b: 2, c: 3}", "a", "{b: 2, c: 3}");
    check_unset("{a: 1, b: 2, c: 3}", "b", "{a: 1, c: 3}");
    check_unset("{a: 1, b: 2, c: 3}", "c", "{a: 1, b: 2}");
    check_unset("{ a: 1 }", "a", "{ }");
    check_unset("{\n  a: 1,\n  b: 2\n}", "b", "{\n  a: 1\n}");
    check_unset(
        "{\n  a: 1,\n  // about b\n  b: 2, // more\n  c: 3,\n}",
        "b",
        "{\n  a: 1,\n  // about b\n  // more\n  c: 3,\n}",
    );
    check_unset("{\n  a: 1,\n  b: 2,\n}", "b", "{\n  a: 1,\n}");
    check_unset("{a: 1 /* x */, b: 2}", "a", "{/* x */ b: 2}");
    check_unset("{a: [1, 2, 3]}", "a[1]", "{a: [1, 3]}");
    check_unset("{a: 1, b: 5, a: 2}", "a", "{b: 5}");
    check_unset("{a: {b: 1}}", "a.b", "{a: {}}");
    check_unset("{a: 1}", "b", "failed to find b in the configuration");
    check_unset("{a: 1}", "a.b", "failed to find a.b in the configuration");
}

#[test]
fn references_and_includes_survive_a_configuration_that_comes_back_resolved() {
    let text = "{\n  $include: 'base.json',\n  gateway: { port: 1, auth: { token: '${TOKEN}' } }, // mine\n}";
    let effective = json!({
        "gateway": {"port": 1, "bind": "lan", "auth": {"token": "secret"}},
        "tools": {"allow": ["x"]},
    });
    let mut back = effective.clone();
    assert_eq!(
        set(text, &KeyPath::root(), &back, Some(&effective)).unwrap(),
        text
    );
    back["gateway"]["port"] = json!(2);
    back["tools"]["deny"] = json!(["y"]);
    let expected = "{\n  $include: 'base.json',\n  gateway: { port: 2, auth: { token: '${TOKEN}' } }, // mine\n  tools: {\n    deny: [\n      \"y\"\n    ]\n  },\n}";
    assert_eq!(
        set(text, &KeyPath::root(), &back, Some(&effective)).unwrap(),
        expected
    );
    assert_eq!(
        merge_patch(text, &back, Some(&effective)).unwrap(),
        expected
    );

    let refused = |path: &str, value: Value| {
        outcome(set(text, &path.parse().unwrap(), &value, Some(&effective)))
    };
    let included = |path: &str| {
        format!(
            "failed to change {path} in the main file: its value comes from an included file; change it there"
        )
    };
    assert_eq!(
        refused("tools.allow", json!(["z"])),
        included("tools.allow")
    );
    assert_eq!(
        refused("tools.allow[0]", json!("z")),
        included("tools.allow")
    );
    let joined = json!({"list": [{"id": "theirs"}, {"id": "ours"}]});
    for edit in [
        set(
            "{list: [{id: 'ours'}]}",
            &"list[0].id".parse().unwrap(),
            &json!("x"),
            Some(&joined),
        ),
        set(
            "{list: [{id: 'ours'}]}",
            &"list".parse().unwrap(),
            &json!([]),
            Some(&joined),
        ),
        unset(
            "{list: [{id: 'ours'}]}",
            &"list[0]".parse().unwrap(),
            Some(&joined),
        ),
    ] {
        assert_eq!(
            outcome(edit),
            included("list"),
            "an index in the whole is not one in the main file"
        );
    }
    assert_eq!(
        refused("gateway", json!({"port": 1})),
        included("gateway.bind")
    );
    assert_eq!(
        outcome(unset(
            text,
            &"gateway.bind".parse().unwrap(),
            Some(&effective)
        )),
        included("gateway.bind")
    );
    assert_eq!(
        outcome(merge_patch(text, &json!({"tools": null}), Some(&effective))),
        included("tools")
    );
    let sibling = set(
        text,
        &"gateway.bind".parse().unwrap(),
        &json!("loopback"),
        Some(&effective),
    )
    .unwrap();
    assert!(
        sibling.contains("{ port: 1, auth: { token: '${TOKEN}' }, bind: \"loopback\" }"),
        "{sibling}"
    );
}

#[test]
fn a_placeholder_that_comes_back_keeps_the_secret() {
    let text = "{gateway: {port: 1, auth: {token: 'abc', password: '${PW}'}}}";
    let mut shown = sensitive::redacted(&read(text));
    assert_eq!(shown["gateway"]["auth"]["token"], PLACEHOLDER);
    shown["gateway"]["port"] = json!(2);
    let expected = text.replace("port: 1", "port: 2");
    assert_eq!(set(text, &KeyPath::root(), &shown, None).unwrap(), expected);
    assert_eq!(merge_patch(text, &shown, None).unwrap(), expected);
    check_set(
        "{}",
        "hooks.token",
        json!("***"),
        "failed to set hooks.token: this is what stands for a hidden value, and there is none",
    );
}

#[test]
fn a_patch_merges_as_the_standard_says() {
    let check = |text: &str, patch: Value, expected: &str| {
        assert_eq!(
            outcome(merge_patch(text, &patch, None)),
            expected,
            "{text} + {patch}"
        );
    };
    check(
        "{a: {b: 1, c: 2}, d: 3}",
        json!({"a": {"b": null, "c": 4}, "d": null}),
        "{a: {c: 4}}",
    );
    check("{a: 1}", json!({"a": {"b": null}}), "{a: {}}");
    check("{a: [1, 2]}", json!({"a": [3]}), "{a: [3]}");
    check("{}", json!({"x": null}), "{}");
    check(
        "{}",
        json!([]),
        "failed to make the configuration an array: it has to be an object",
    );
    for key in FORBIDDEN {
        let patch: Value = json!({"a": [{*key: 1}]});
        check(
            "{}",
            patch,
            &format!("failed to use the key {key:?}: it has a meaning of its own in JavaScript"),
        );
    }
}

/// RFC 7386, as its pseudo-code has it.
fn merged(target: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut result = target.as_object().cloned().unwrap_or_default();
    for (key, value) in patch {
        if value.is_null() {
            result.shift_remove(key);
        } else {
            let member = merged(result.get(key).unwrap_or(&Value::Null), value);
            result.insert(key.clone(), member);
        }
    }
    Value::Object(result)
}

/// How often each of the comments stands in a text that generated documents hold.
fn comments(text: &str) -> [usize; 3] {
    [
        "/* a, comment: { */",
        "/* lines\n of it */",
        "// until the end, }",
    ]
    .map(|comment| text.matches(comment).count())
}

proptest! {
    #[test]
    fn a_document_is_read_as_it_was_written((text, value) in any_document()) {
        let document = tree::parse(&text).unwrap();
        prop_assert_eq!(&document.text, &text);
        prop_assert_eq!(document.root.to_value(), value);
    }

    #[test]
    fn what_was_set_is_what_is_read(
        (text, _) in any_document(),
        keys in prop::collection::vec(any_key(), 1..4),
        value in any_scalar(),
    ) {
        let path = KeyPath::of_keys(keys.iter().map(String::as_str));
        match set(&text, &path, &value, None) {
            Ok(edited) => {
                let mut expected = read(&text);
                let mut after = read(&edited);
                prop_assert_eq!(path.find(&after), Some(&value), "{} -> {}", text, edited);
                if !path.find(&expected).is_some_and(|old| old.is_object() || old.is_array()) {
                    prop_assert_eq!(comments(&edited), comments(&text));
                }
                for value in [&mut expected, &mut after] {
                    blank(value, &keys);
                }
                prop_assert_eq!(after, expected, "nothing else changes");
            }
            Err(error) => {
                let leads_through = matches!(error, EditError::NotAContainer { .. } | EditError::BeyondEnd { .. });
                prop_assert!(leads_through, "{}", error);
            }
        }
    }

    #[test]
    fn setting_everything_gives_exactly_that((text, _) in any_document(), value in any_value()) {
        let edited = set(&text, &KeyPath::root(), &value, None).unwrap();
        prop_assert_eq!(read(&edited), value, "{} -> {}", text, edited);
    }

    #[test]
    fn setting_what_is_there_changes_no_byte((text, value) in any_document()) {
        prop_assert_eq!(&set(&text, &KeyPath::root(), &value, None).unwrap(), &text);
    }

    #[test]
    fn what_was_removed_is_gone_and_nothing_else((text, value) in any_document()) {
        for key in value.as_object().unwrap().keys() {
            let edited = unset(&text, &KeyPath::of_keys([key.as_str()]), None).unwrap();
            let mut expected = value.clone();
            expected.as_object_mut().unwrap().shift_remove(key);
            prop_assert_eq!(read(&edited), expected, "{} -> {}", text, edited);
        }
    }

    #[test]
    fn a_patch_does_what_the_standard_says((text, value) in any_document(), patch in any_value()) {
        let edited = merge_patch(&text, &patch, None).unwrap();
        prop_assert_eq!(read(&edited), merged(&value, &patch), "{} + {} -> {}", text, patch, edited);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = tree::parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_text_of_json_characters_makes_the_reader_panic(text in "[{}\\[\\]:,'\"\\\\/*\n ua01xeE+.$I-]{0,60}") {
        if let Ok(document) = tree::parse(&text) {
            let rendered = document.root.to_value().to_string();
            prop_assert_eq!(read(&rendered), document.root.to_value());
        }
    }
}

/// Replaces what a path leads to, and the containers an edit may have created on the way, by null.
fn blank(value: &mut Value, keys: &[String]) {
    let Some((key, rest)) = keys.split_first() else {
        return;
    };
    match value {
        Value::Object(members) => {
            if rest.is_empty() || !members.get(key).is_some_and(Value::is_object) {
                members.shift_remove(key);
            } else {
                blank(&mut members[key], rest);
                if members[key].as_object().is_some_and(Map::is_empty) {
                    members.shift_remove(key);
                }
            }
        }
        Value::Array(elements) => {
            if let Some(element) = key
                .parse::<usize>()
                .ok()
                .and_then(|index| elements.get_mut(index))
            {
                *element = Value::Null;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
