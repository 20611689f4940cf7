//! Roles and scopes: who may call what, as data.

use std::fmt;

use crate::literals;

literals! {
    /// What a connection is.
    pub enum Role {
        /// A person, or a program acting for one.
        Operator = "operator",
        /// A device that offers commands to the gateway.
        Node = "node",
    }
}

/// What a method or an event asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `operator.read` or `operator.write`.
    Read,
    /// `operator.write`.
    Write,
    /// `operator.admin`; also what an undeclared method asks.
    Admin,
    /// `operator.pairing`.
    Pairing,
    /// `operator.approvals`.
    Approvals,
    /// The role `node`.
    Node,
}

impl Scope {
    /// Every scope, in the order of the table in the documentation.
    pub const ALL: &'static [Self] = &[
        Self::Read,
        Self::Write,
        Self::Admin,
        Self::Pairing,
        Self::Approvals,
        Self::Node,
    ];

    /// The scope as a client asks for it; `node` for what only the role grants.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Read | Self::Write | Self::Admin | Self::Pairing | Self::Approvals => {
                self.missing()
            }
        }
    }

    /// Who may call what asks for it, for people.
    #[must_use]
    pub const fn granted_to(self) -> &'static str {
        match self {
            Self::Read => "operators with `operator.read`, `operator.write` or `operator.admin`",
            Self::Write => "operators with `operator.write` or `operator.admin`",
            Self::Admin => "operators with `operator.admin`",
            Self::Pairing => "operators with `operator.pairing` or `operator.admin`",
            Self::Approvals => "operators with `operator.approvals` or `operator.admin`",
            Self::Node => "connections with the role `node`, whatever their scopes; nobody else",
        }
    }

    const fn missing(self) -> &'static str {
        match self {
            Self::Read => "operator.read",
            Self::Write => "operator.write",
            Self::Admin | Self::Node => "operator.admin",
            Self::Pairing => "operator.pairing",
            Self::Approvals => "operator.approvals",
        }
    }
}

/// The rights a caller was admitted with: its role, and its scopes as flags.
///
/// Invariant: a scope text this version does not know grants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    role: Role,
    admin: bool,
    read: bool,
    write: bool,
    pairing: bool,
    approvals: bool,
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The role may not call this at all.
    Role(Role),
    /// The scope is missing.
    Scope(Scope),
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => write!(formatter, "unauthorized role: {role}"),
            Self::Scope(scope) => write!(formatter, "missing scope: {}", scope.missing()),
        }
    }
}

impl Rights {
    /// The rights of a role with these scopes, exactly as spelled.
    pub fn new<'a>(role: Role, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut rights = Self {
            role,
            admin: false,
            read: false,
            write: false,
            pairing: false,
            approvals: false,
        };
        for scope in scopes {
            match scope {
                "operator.admin" => rights.admin = true,
                "operator.read" => rights.read = true,
                "operator.write" => rights.write = true,
                "operator.pairing" => rights.pairing = true,
                "operator.approvals" => rights.approvals = true,
                _ => {}
            }
        }
        rights
    }

    /// The role.
    #[must_use]
    pub const fn role(self) -> Role {
        self.role
    }

    /// Whether a call that asks for `scope` is allowed.
    ///
    /// # Errors
    /// Says what is missing.
    pub const fn check(self, scope: Scope) -> Result<(), Denied> {
        match (self.role, scope) {
            (Role::Node, Scope::Node) => return Ok(()),
            (Role::Node, _) | (Role::Operator, Scope::Node) => return Err(Denied::Role(self.role)),
            (Role::Operator, _) => {}
        }
        let allowed = self.admin
            || match scope {
                Scope::Read => self.read || self.write,
                Scope::Write => self.write,
                Scope::Pairing => self.pairing,
                Scope::Approvals => self.approvals,
                Scope::Admin | Scope::Node => false,
            };
        if allowed {
            Ok(())
        } else {
            Err(Denied::Scope(scope))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rights, Role, Scope};

    fn verdict(role: Role, scopes: &[&str], scope: Scope) -> String {
        match Rights::new(role, scopes.iter().copied()).check(scope) {
            Ok(()) => "ok".to_owned(),
            Err(denied) => denied.to_string(),
        }
    }

    #[test]
    fn rules_35_36_37_each_scope_grants_what_the_table_says_and_no_more() {
        use Scope::{Admin, Approvals, Node, Pairing, Read, Write};
        let table: &[(&[&str], [&str; 6])] = &[
            (&["operator.admin"], ["ok", "ok", "ok", "ok", "ok", "role"]),
            (&["operator.read"], ["ok", "no", "no", "no", "no", "role"]),
            (&["operator.write"], ["ok", "ok", "no", "no", "no", "role"]),
            (
                &["operator.pairing"],
                ["no", "no", "no", "ok", "no", "role"],
            ),
            (
                &["operator.approvals"],
                ["no", "no", "no", "no", "ok", "role"],
            ),
            (&[], ["no", "no", "no", "no", "no", "role"]),
            (
                &[
                    "operator.*",
                    "OPERATOR.ADMIN",
                    "admin",
                    "*",
                    "operator.admin ",
                ],
                ["no", "no", "no", "no", "no", "role"],
            ),
        ];
        for (scopes, expected) in table {
            for (scope, expected) in [Read, Write, Admin, Pairing, Approvals, Node]
                .into_iter()
                .zip(expected)
            {
                let verdict = verdict(Role::Operator, scopes, scope);
                let verdict = match verdict.as_str() {
                    "ok" => "ok",
                    "unauthorized role: operator" => "role",
                    text if text.starts_with("missing scope: operator.") => "no",
                    other => panic!("{other}"),
                };
                assert_eq!(verdict, *expected, "{scopes:?} {scope:?}");
            }
        }
    }

    #[test]
    fn rule_38_a_node_calls_node_methods_only_whatever_scopes_it_claims() {
        for scope in [
            Scope::Read,
            Scope::Write,
            Scope::Admin,
            Scope::Pairing,
            Scope::Approvals,
        ] {
            assert_eq!(
                verdict(Role::Node, &["operator.admin"], scope),
                "unauthorized role: node"
            );
        }
        assert_eq!(verdict(Role::Node, &[], Scope::Node), "ok");
    }
}
