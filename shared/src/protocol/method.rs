//! The one table of all methods.
//!
//! A method is declared by one line of [`methods!`]; its type, the scope it asks for, its place in `features.methods` and
//! the JSON Schema of its parameters all derive from that line. Undeclared methods ask for [`Scope::Admin`] and do not
//! exist.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::params::health::{HealthParams, HealthSummary, StatusParams, StatusSummary};
use super::params::logs::{LogsTailParams, LogsTailReply};
use super::params::presence::{SystemEventParams, SystemEventReply, SystemPresenceParams};
use super::scope::Scope;
use super::snapshot::PresenceEntry;

/// A method of the protocol, as a type.
pub trait Method {
    /// Its name on the wire.
    const NAME: &'static str;
    /// What it asks of its caller.
    const SCOPE: Scope;
    /// What it is called with.
    type Params: DeserializeOwned + JsonSchema + 'static;
    /// What it answers.
    type Reply: Serialize;
}

/// One line of the table, for code that needs all of them.
#[derive(Debug, Clone, Copy)]
pub struct MethodInfo {
    /// The name on the wire.
    pub name: &'static str,
    /// What it asks of its caller.
    pub scope: Scope,
    /// The JSON Schema (draft-07) of its parameters.
    pub params_schema: fn() -> Schema,
}

/// The JSON Schema of a type, draft-07, without references to follow.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>()
}

macro_rules! methods {
    ($( $(#[doc = $doc:literal])+ $method:ident = $name:literal, $scope:ident, $params:ty => $reply:ty; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $method;

            impl Method for $method {
                const NAME: &'static str = $name;
                const SCOPE: Scope = Scope::$scope;
                type Params = $params;
                type Reply = $reply;
            }
        )+

        /// Every method, in the order of `features.methods`.
        pub const METHODS: &[MethodInfo] = &[
            $( MethodInfo { name: $name, scope: Scope::$scope, params_schema: schema_of::<$params> } ),+
        ];
    };
}

methods! {
    /// The health summary.
    Health = "health", Read, HealthParams => HealthSummary;
    /// The newest lines of the instance's log.
    LogsTail = "logs.tail", Read, LogsTailParams => LogsTailReply;
    /// A short summary.
    Status = "status", Read, StatusParams => StatusSummary;
    /// Who is present.
    SystemPresence = "system-presence", Read, SystemPresenceParams => Vec<PresenceEntry>;
    /// Posts a presence entry or a note for the main session.
    SystemEvent = "system-event", Admin, SystemEventParams => SystemEventReply;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::METHODS;

    #[test]
    fn no_name_is_declared_twice() {
        let names: BTreeSet<_> = METHODS.iter().map(|method| method.name).collect();
        assert_eq!(names.len(), METHODS.len());
    }

    #[test]
    fn every_schema_describes_an_object() {
        for method in METHODS {
            let schema = (method.params_schema)();
            assert_eq!(
                schema.get("type"),
                Some(&"object".into()),
                "{}",
                method.name
            );
        }
    }
}
