//! What the command line and the gateway's program agree on when the state of another version is taken over.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The program that does it; it lies beside the command line.
pub const PROGRAM: &str = "openclaw-gateway";
/// The argument that makes it do that. The order comes by its standard input, the report leaves by its standard output.
pub const ARGUMENT: &str = "--import";
/// The longest order, in bytes; less than a pipe takes without a reader.
pub const LARGEST_ORDER: usize = 16 * 1024;

/// What is to be taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportOrder {
    /// The state folder of the other version; it is only read.
    pub from: PathBuf,
    /// The store that it goes into; created when there is none.
    pub store: PathBuf,
    /// Whether nothing is to be kept, and only the report is wanted.
    pub dry_run: bool,
}

/// What became of the things of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Were not here, and are.
    pub added: u64,
    /// Were here, older, and are as the other version has them.
    pub updated: u64,
    /// Were taken over before, and stay as they are here.
    pub unchanged: u64,
    /// Are newer here, or went on here, and stay as they are here.
    pub newer_here: u64,
    /// Cannot be taken over; the notes say why.
    pub skipped: u64,
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The file, below the state folder.
    pub file: String,
    /// What is the matter with it.
    pub text: String,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImportReport {
    /// Whether the folder is one of the other version.
    pub found: bool,
    /// Whether nothing was kept.
    pub dry_run: bool,
    /// Conversations.
    pub transcripts: Tally,
    /// Messages and other entries that were added to them.
    pub entries: u64,
    /// Sessions.
    pub sessions: Tally,
    /// Jobs.
    pub jobs: Tally,
    /// Histories of jobs.
    pub histories: Tally,
    /// Runs that were added to them.
    pub runs: u64,
    /// Devices with their tokens.
    pub devices: Tally,
    /// Nodes that were paired without a key.
    pub nodes: Tally,
    /// The words that wake an assistant.
    pub voicewake: Tally,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// Why it ended early; what is in the report was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
