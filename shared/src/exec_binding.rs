//! What an approval of an execution is bound to.                                         (pure)
//!
//! The gateway computes it when a person approves, the node computes it again from what is about to run; an approval
//! that was given for anything else does not fit.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest;

#[derive(Serialize)]
struct Bound<'a> {
    argv: &'a [String],
    cwd: Option<&'a str>,
    env: Option<&'a BTreeMap<String, String>>,
}

/// The SHA-256, in hexadecimal, over `{"argv":[...],"cwd":string|null,"env":{sorted}|null}` without blanks. An execution
/// without variables of its own and one with an empty set of them are the same.
#[must_use]
pub fn binding(argv: &[String], cwd: Option<&str>, env: &BTreeMap<String, String>) -> String {
    let bound = Bound {
        argv,
        cwd,
        env: (!env.is_empty()).then_some(env),
    };
    let text = serde_json::to_string(&bound).expect("strings, lists and maps of strings are JSON");
    digest::hex(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(argv: &[&str], cwd: Option<&str>, env: &[(&str, &str)]) -> String {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        binding(&argv, cwd, &env)
    }

    #[test]
    fn the_text_is_fixed() {
        assert_eq!(
            of(&["/bin/echo", "a\"b"], None, &[]),
            digest::hex(br#"{"argv":["/bin/echo","a\"b"],"cwd":null,"env":null}"#)
        );
        assert_eq!(
            of(&["ls"], Some("/tmp"), &[("B", "2"), ("A", "1")]),
            digest::hex(br#"{"argv":["ls"],"cwd":"/tmp","env":{"A":"1","B":"2"}}"#)
        );
    }

    #[test]
    fn whatever_changes_what_runs_changes_it() {
        let all = [
            of(&["a", "b"], None, &[]),
            of(&["a b"], None, &[]),
            of(&["a", "b", ""], None, &[]),
            of(&["a", "b"], Some(""), &[]),
            of(&["a", "b"], Some("/"), &[]),
            of(&["a", "b"], None, &[("A", "")]),
            of(&["a", "b"], None, &[("A", "1")]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
    }
}
