//! `voicewake.get` and `voicewake.set`: the words that wake an assistant that listens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Parameters of `voicewake.get`; whatever is sent is ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoicewakeGetParams {}

/// Parameters of `voicewake.set`; unknown ones are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoicewakeSetParams {
    /// The words, as a list; what is no text in it is left out, and an empty list stands for the words we come with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers: Option<Value>,
}

/// Reply of both, and payload of the `voicewake.changed` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoicewakeTriggers {
    /// The words.
    pub triggers: Vec<String>,
}
