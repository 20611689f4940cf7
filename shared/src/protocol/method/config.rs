//! The configuration over the wire.

use super::methods;
use crate::protocol::params::config::{
    ConfigApplyParams, ConfigApplyReply, ConfigGetParams, ConfigSchemaParams, ConfigSchemaReply,
    ConfigSetParams, ConfigSetReply, ConfigSnapshot,
};

methods! {
    "Configuration";
    /// The configuration file as it is, without its secrets unless they are asked for.
    ConfigGet = "config.get", Admin, ConfigGetParams => ConfigSnapshot;
    /// Replaces the file. Answered when the change is in force, waits for a restart, or was rolled back; the last is an error,
    /// with the outcome in its details.
    ConfigSet = "config.set", Admin, ConfigSetParams => ConfigSetReply;
    /// Replaces the file, as `config.set`, and says what was restarted.
    ConfigApply = "config.apply", Admin, ConfigApplyParams => ConfigApplyReply;
    /// Merges a patch into the file, which keeps its comments and its layout.
    ConfigPatch = "config.patch", Admin, ConfigApplyParams => ConfigApplyReply;
    /// What the file can say: a JSON Schema and hints for forms.
    ConfigSchema = "config.schema", Admin, ConfigSchemaParams => ConfigSchemaReply;
}
