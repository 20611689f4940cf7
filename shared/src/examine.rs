//! What the command line and the gateway's program agree on when the store is looked over. Nothing is changed by it, and it may
//! be done while a gateway serves.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The argument that makes the gateway's program ([`crate::import::PROGRAM`]) do it. The order comes by its standard input, the
/// report leaves by its standard output.
pub const ARGUMENT: &str = "--examine";

/// Which store is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExamineOrder {
    /// The store; it is only read.
    pub store: PathBuf,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExamineReport {
    /// Which step of the tables it has.
    pub version: u32,
    /// The newest step that this program knows.
    pub known: u32,
    /// What is damaged, in the words of the database; empty when nothing is.
    pub damage: Vec<String>,
    /// Why it could not be looked over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
