//! What may be executed on a machine, as its owner keeps it in one file: what the file says ([`ApprovalsFile`]), and how it is read and
//! changed (`file`).
//!
//! The gateway shows and replaces the file for clients; the node host reads it before it runs anything and notes what was used.
//! Who decides what the entries mean is the node host.
//!
//! Invariant: the socket's token leaves this machine in no answer ([`ApprovalsFile::redacted`]).

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::literals;
use crate::protocol::strict::{Int, object, present_object, strict_options};

mod file;

pub use file::{ApprovalsError, ApprovalsSnapshot, change, load, replace};

literals! {
    /// How much may be executed.
    pub enum Security {
        /// Nothing.
        Deny = "deny",
        /// What the allow-list names.
        Allowlist = "allowlist",
        /// Everything.
        Full = "full",
    }
}

literals! {
    /// When a person is asked.
    pub enum Ask {
        /// Never.
        Off = "off",
        /// When the allow-list does not say.
        OnMiss = "on-miss",
        /// Each time.
        Always = "always",
    }
}

/// The local socket of a companion app that asks on this machine's screen.
#[strict_options]
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsSocket {
    /// Where it is.
    pub path: Option<String>,
    /// What proves that a message is ours; never shown to clients.
    pub token: Option<String>,
}

impl fmt::Debug for ApprovalsSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApprovalsSocket")
            .field("path", &self.path)
            .field("token", &self.token.as_ref().map(|_| "***"))
            .finish()
    }
}

/// A struct with the rules that hold for everybody or for one agent, which stand beside whatever else it holds.
macro_rules! with_rules {
    ($(#[$about:meta])* pub struct $name:ident { $($others:tt)* }) => {
        $(#[$about])*
        #[strict_options]
        #[derive(Default, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            /// How much may be executed.
            pub security: Option<Security>,
            /// When a person is asked.
            pub ask: Option<Ask>,
            /// What holds when nobody can be asked. It is kept for other programs and has no effect on node hosts of ours: what
            /// nobody approves is not executed, and a node host says in its log that it does not keep to anything else.
            pub ask_fallback: Option<Security>,
            /// Whether programs of known skills need no entry, where they are found on the node's own search path.
            pub auto_allow_skills: Option<bool>,
            $($others)*
        }
    };
}

with_rules! {
    /// What holds unless an agent's own entry says otherwise.
    #[derive(Copy)]
    pub struct ApprovalsDefaults {}
}

/// A program that may be executed.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowlistEntry {
    /// What keeps the entry one across edits; given when it is missing.
    pub id: Option<String>,
    /// A glob over the path of the program.
    pub pattern: String,
    /// When it last allowed something, in milliseconds since the epoch.
    pub last_used_at: Option<Int<0>>,
    /// The command it last allowed.
    pub last_used_command: Option<String>,
    /// The program it last allowed.
    pub last_resolved_path: Option<String>,
}

with_rules! {
    /// What one agent may execute; `*` stands for all others.
    pub struct AgentApprovals {
        /// The programs that may be executed.
        #[serde(
            default,
            deserialize_with = "present_entries",
            skip_serializing_if = "Option::is_none"
        )]
        #[schemars(with = "Vec<AllowlistEntry>")]
        pub allowlist: Option<Vec<AllowlistEntry>>,
    }
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsFile {
    /// The form of the file: 1.
    #[schemars(schema_with = "one")]
    #[serde(deserialize_with = "read_one")]
    pub version: u8,
    /// The socket of a companion app.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "ApprovalsSocket")]
    pub socket: Option<ApprovalsSocket>,
    /// What holds for every agent.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "ApprovalsDefaults")]
    pub defaults: Option<ApprovalsDefaults>,
    /// What holds for single agents.
    #[serde(
        default,
        deserialize_with = "present_agents",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "BTreeMap<String, AgentApprovals>")]
    pub agents: Option<BTreeMap<String, AgentApprovals>>,
}

fn one(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "const": 1, "type": "number" })
}

fn read_one<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    Int::<1, 1>::deserialize(deserializer).map(|_| 1)
}

fn present_agents<'de, D>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, AgentApprovals>>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    /// An agent from an object alone.
    #[derive(Deserialize)]
    struct Strict(#[serde(deserialize_with = "object")] AgentApprovals);

    let agents = BTreeMap::<String, Strict>::deserialize(deserializer)?;
    Ok(Some(
        agents
            .into_iter()
            .map(|(name, Strict(agent))| (name, agent))
            .collect(),
    ))
}

fn present_entries<'de, D>(deserializer: D) -> Result<Option<Vec<AllowlistEntry>>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    /// An entry from an object alone.
    #[derive(Deserialize)]
    struct Strict(#[serde(deserialize_with = "object")] AllowlistEntry);

    let entries = Vec::<Strict>::deserialize(deserializer)?;
    Ok(Some(
        entries.into_iter().map(|Strict(entry)| entry).collect(),
    ))
}

impl Default for ApprovalsFile {
    fn default() -> Self {
        Self {
            version: 1,
            socket: None,
            defaults: None,
            agents: None,
        }
    }
}

impl ApprovalsFile {
    fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("the file has string keys") + "\n"
    }

    /// What clients may see of it.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        if let Some(socket) = &mut self.socket {
            socket.token = None;
        }
        self
    }

    /// The same with the name by which the main agent was known before, and with an id for every entry.
    #[must_use]
    pub fn normalized(mut self, mut fresh_id: impl FnMut() -> String) -> Self {
        let agents = self.agents.get_or_insert_default();
        if let Some(legacy) = agents.remove("default") {
            let main = agents.entry("main".to_owned()).or_default();
            main.security = main.security.or(legacy.security);
            main.ask = main.ask.or(legacy.ask);
            main.ask_fallback = main.ask_fallback.or(legacy.ask_fallback);
            main.auto_allow_skills = main.auto_allow_skills.or(legacy.auto_allow_skills);
            let known = main.allowlist.get_or_insert_default();
            for entry in legacy.allowlist.unwrap_or_default() {
                if !known.iter().any(|other| other.pattern == entry.pattern) {
                    known.push(entry);
                }
            }
        }
        for entry in agents
            .values_mut()
            .filter_map(|agent| agent.allowlist.as_mut())
            .flatten()
        {
            entry.id.get_or_insert_with(&mut fresh_id);
        }
        self
    }

    /// The same with the socket of the file it replaces: clients never saw its token and cannot send it back.
    #[must_use]
    pub fn keeping_socket_of(mut self, earlier: &Self) -> Self {
        if let Some(earlier) = &earlier.socket {
            let socket = self.socket.get_or_insert_default();
            socket.token.clone_from(&earlier.token);
            socket.path = socket.path.take().or_else(|| earlier.path.clone());
        } else if let Some(socket) = &mut self.socket {
            socket.token = None;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_get_ids_and_the_old_name_of_the_main_agent_is_understood() {
        let old: ApprovalsFile = serde_json::from_value(json!({"version": 1, "agents": {
            "default": {"security": "full", "ask": "off", "allowlist": [{"pattern": "/bin/a"}, {"pattern": "/bin/b"}]},
            "main": {"security": "deny", "allowlist": [{"id": "x", "pattern": "/bin/a"}]},
        }}))
        .unwrap();
        let mut count = 0;
        let new = old.normalized(|| {
            count += 1;
            format!("new-{count}")
        });
        assert_eq!(
            serde_json::to_value(new).unwrap(),
            json!({"version": 1, "agents": {"main": {"security": "deny", "ask": "off",
                "allowlist": [{"id": "x", "pattern": "/bin/a"}, {"id": "new-1", "pattern": "/bin/b"}]}}})
        );
    }
}
