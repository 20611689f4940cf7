//! Whether one list of scopes is enough for another.                                      (pure)

use openclaw_shared::protocol::scope::{Rights, Role, Scope};

const ADMIN: &str = "operator.admin";
const WRITE: &str = "operator.write";
const READ: &str = "operator.read";

/// Whether whoever was given `given` may be given `asked` without asking anybody. What this version does not know as a scope
/// is covered by itself alone.
pub(crate) fn cover(given: &[String], asked: &[String]) -> bool {
    asked.iter().all(|scope| covers(given, scope))
}

fn covers(given: &[String], scope: &str) -> bool {
    let has = |wanted: &str| given.iter().any(|given| given == wanted);
    has(scope) || (demand(scope).is_some() && has(ADMIN)) || (scope == READ && has(WRITE))
}

/// The first scope of `asked` that a caller with these rights does not hold itself.
pub(crate) fn missing(rights: Rights, asked: &[String]) -> Option<&str> {
    // What is no scope may become one, so only an admin may hand it on.
    asked
        .iter()
        .map(String::as_str)
        .find(|scope| rights.check(demand(scope).unwrap_or(Scope::Admin)).is_err())
}

/// What a scope lets its holder do.
fn demand(scope: &str) -> Option<Scope> {
    match scope {
        ADMIN => Some(Scope::Admin),
        READ => Some(Scope::Read),
        WRITE => Some(Scope::Write),
        "operator.pairing" => Some(Scope::Pairing),
        "operator.approvals" => Some(Scope::Approvals),
        _ => None,
    }
}

/// The scopes of both lists, each once, in order of appearance.
pub(crate) fn union(one: &[String], other: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(one.len() + other.len());
    for scope in one.iter().chain(other) {
        if !all.contains(scope) {
            all.push(scope.clone());
        }
    }
    all
}

/// What a client asks for: an operator that says nothing asks for everything, because clients rely on it; an explicitly empty list
/// asks for nothing.
pub(crate) fn asked<'a>(said: Option<impl Iterator<Item = &'a str>>, role: Role) -> Vec<String> {
    match (said, role) {
        (Some(scopes), _) => scopes.map(str::to_owned).collect(),
        (None, Role::Operator) => vec![ADMIN.to_owned()],
        (None, Role::Node) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::protocol::scope::{Rights, Role};

    use super::{cover, missing, union};

    fn list(scopes: &str) -> Vec<String> {
        scopes.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn admin_covers_every_scope_and_write_covers_read() {
        for (given, asked, expected) in [
            ("", "", true),
            ("", "operator.read", false),
            ("operator.read", "operator.read", true),
            ("operator.read", "operator.write", false),
            ("operator.write", "operator.read", true),
            (
                "operator.admin",
                "operator.pairing operator.approvals",
                true,
            ),
            ("operator.pairing", "operator.admin", false),
            ("operator.admin", "operator.*", false),
            ("operator.*", "operator.read", false),
            ("x", "x", true),
        ] {
            assert_eq!(
                cover(&list(given), &list(asked)),
                expected,
                "{given} / {asked}"
            );
        }
    }

    #[test]
    fn nobody_hands_on_what_they_do_not_hold() {
        let rights = |scopes: &str| Rights::new(Role::Operator, scopes.split_whitespace());
        for (held, asked, expected) in [
            ("operator.pairing", "", None),
            ("operator.pairing", "operator.pairing", None),
            (
                "operator.pairing",
                "operator.pairing operator.read",
                Some("operator.read"),
            ),
            (
                "operator.pairing",
                "operator.custom",
                Some("operator.custom"),
            ),
            ("operator.admin", "operator.read operator.custom", None),
        ] {
            assert_eq!(
                missing(rights(held), &list(asked)),
                expected,
                "{held} / {asked}"
            );
        }
    }

    #[test]
    fn what_two_lists_share_is_in_their_union_once() {
        assert_eq!(union(&list("a b"), &list("c a")), list("a b c"));
    }
}
