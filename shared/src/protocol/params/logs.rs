//! `logs.tail`: the newest lines of the instance's log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::strict::{Int, strict_options};

/// Parameters of `logs.tail`.
#[strict_options]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogsTailParams {
    /// Where the last answer ended, as a byte offset; absent for the newest lines.
    pub cursor: Option<Int<0>>,
    /// How many lines at most; 500 when absent.
    pub limit: Option<Int<1, 5000>>,
    /// How many bytes at most; 250,000 when absent.
    pub max_bytes: Option<Int<1, 1_000_000>>,
}

/// Reply of `logs.tail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogsTailReply {
    /// The file that was read, for people: the home directory is written `~`.
    pub file: String,
    /// Where to go on from.
    pub cursor: u64,
    /// How long the file is, in bytes.
    pub size: u64,
    /// The lines, oldest first.
    pub lines: Vec<String>,
    /// Whether lines were left out because there were more than asked for.
    pub truncated: bool,
    /// Whether the cursor was of no use: the file is another one, or has gone on too far.
    pub reset: bool,
}
