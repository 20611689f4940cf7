//! The tables of all methods, one family a file.
//!
//! A method is declared by one line of [`methods!`]; its type, the scope it asks for, its place in `features.methods`, its page
//! of documentation and the JSON Schema of its parameters and its reply all derive from that line. Undeclared methods ask for
//! [`Scope::Admin`] and do not exist.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::scope::Scope;

pub mod agents;
pub mod browser;
pub mod channels;
pub mod chat;
pub mod config;
pub mod cron;
pub mod delivery;
pub mod devices;
pub mod heartbeat;
pub mod nodes;
pub mod sessions;
pub mod setup;
pub mod skills;
pub mod speech;
pub mod system;
pub mod usage;
pub mod voicewake;

/// A method of the protocol, as a type.
pub trait Method {
    /// Its name on the wire.
    const NAME: &'static str;
    /// What it asks of its caller.
    const SCOPE: Scope;
    /// What it is called with.
    type Params: DeserializeOwned + JsonSchema + 'static;
    /// What it answers.
    type Reply: Serialize + JsonSchema + 'static;
}

/// Whether a method can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It works, and `features.methods` lists it.
    Works,
    /// It is part of the protocol, and answers `UNAVAILABLE` with this sentence.
    Planned(&'static str),
}

/// One line of a table, for code that needs all of them.
#[derive(Debug, Clone, Copy)]
pub struct MethodInfo {
    /// The name on the wire.
    pub name: &'static str,
    /// What it does, for people.
    pub doc: &'static str,
    /// What it asks of its caller.
    pub scope: Scope,
    /// Whether it can be called.
    pub availability: Availability,
    /// The JSON Schema (draft-07) of its parameters.
    pub params_schema: fn() -> Schema,
    /// The JSON Schema (draft-07) of its reply.
    pub reply_schema: fn() -> Schema,
    /// The schema of its parameters by reference, the types they consist of added to the generator's definitions.
    pub params_in: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its reply, likewise.
    pub reply_in: fn(&mut SchemaGenerator) -> Schema,
    /// Whether the type of its parameters takes a text, as a call would have it read.
    pub accepts: fn(&str) -> bool,
}

/// Methods that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// What they are about, as a heading.
    pub title: &'static str,
    /// Its methods, in the order of `features.methods`.
    pub methods: &'static [MethodInfo],
}

/// Every family, in the order of `features.methods`.
pub const FAMILIES: &[Family] = &[
    system::FAMILY,
    config::FAMILY,
    chat::FAMILY,
    delivery::FAMILY,
    speech::FAMILY,
    setup::FAMILY,
    browser::FAMILY,
    devices::FAMILY,
    nodes::FAMILY,
    sessions::FAMILY,
    agents::FAMILY,
    channels::FAMILY,
    usage::FAMILY,
    heartbeat::FAMILY,
    voicewake::FAMILY,
    cron::FAMILY,
    skills::FAMILY,
];

/// Every method, in the order of `features.methods`.
pub fn all() -> impl Iterator<Item = &'static MethodInfo> {
    FAMILIES.iter().flat_map(|family| family.methods)
}

/// The names of the methods that work: `features.methods`.
pub fn features() -> impl Iterator<Item = &'static str> {
    all()
        .filter(|method| method.availability == Availability::Works)
        .map(|method| method.name)
}

/// The JSON Schema of a type, draft-07, without references to follow.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>()
}

/// Whether `P` takes the text of an object; arrays, which serde would take for a struct, are refused.
#[must_use]
pub fn accepts<P: DeserializeOwned>(raw: &str) -> bool {
    raw.starts_with('{') && serde_json::from_str::<P>(raw).is_ok()
}

/// The schema of a type by reference.
pub fn schema_in<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Declares a family: its title, and one line for each method. A line that ends in `planned "…"` declares a method that is
/// part of the protocol and does not work yet.
macro_rules! methods {
    (@availability) => { $crate::protocol::method::Availability::Works };
    (@availability $why:literal) => { $crate::protocol::method::Availability::Planned($why) };
    ($title:literal; $( $(#[doc = $doc:literal])+
        $method:ident = $name:literal, $scope:ident, $params:ty => $reply:ty $(, planned $why:literal)?; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $method;

            impl $crate::protocol::method::Method for $method {
                const NAME: &'static str = $name;
                const SCOPE: $crate::protocol::scope::Scope = $crate::protocol::scope::Scope::$scope;
                type Params = $params;
                type Reply = $reply;
            }
        )+

        /// The methods of this file.
        pub const FAMILY: $crate::protocol::method::Family = $crate::protocol::method::Family {
            title: $title,
            methods: &[ $( $crate::protocol::method::MethodInfo {
                name: $name,
                doc: concat!($($doc, "\n"),+),
                scope: $crate::protocol::scope::Scope::$scope,
                availability: methods!(@availability $($why)?),
                params_schema: $crate::protocol::method::schema_of::<$params>,
                reply_schema: $crate::protocol::method::schema_of::<$reply>,
                params_in: $crate::protocol::method::schema_in::<$params>,
                reply_in: $crate::protocol::method::schema_in::<$reply>,
                accepts: $crate::protocol::method::accepts::<$params>,
            } ),+ ],
        };
    };
}

use methods;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::all;

    #[test]
    fn no_name_is_declared_twice() {
        let names: BTreeSet<_> = all().map(|method| method.name).collect();
        assert_eq!(names.len(), all().count());
    }

    #[test]
    fn every_schema_describes_an_object() {
        for method in all() {
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
