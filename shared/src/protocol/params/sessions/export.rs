//! A conversation as files have it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::strict::{Int, NonEmpty, strict_options};

/// Parameters of `sessions.export`: exactly one of `key` and `sessionId`.
#[strict_options]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsExportParams {
    /// The session, by its key or an alias.
    pub key: Option<NonEmpty>,
    /// The conversation, also one that no session has any more.
    pub session_id: Option<NonEmpty>,
    /// `next` of the answer before; the beginning when absent.
    pub after: Option<Int<0>>,
    /// How many entries at most; 1,000 when absent.
    pub limit: Option<Int<1, 1000>>,
}

/// Reply of `sessions.export`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsExportReply {
    /// The canonical key, when a session has the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The conversation.
    pub session_id: String,
    /// One for each line of the file, the first of them `{type:"session",version:3,id,timestamp,cwd}`; the others have `type`, `id`,
    /// `parentId` and `timestamp`, and a `message` when they are of that type.
    pub entries: Vec<Value>,
    /// Where to go on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}
