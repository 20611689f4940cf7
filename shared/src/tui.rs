//! What `openclaw tui` and `openclaw top` hand to the program they become.
//!
//! The document comes through a pipe with a descriptor of its own, because arguments and environment can be seen by others and this
//! holds secrets; standard input is the terminal.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret::{Secret, in_clear};

/// The name of the program, beside `openclaw`.
pub const PROGRAM: &str = "openclaw-tui";

/// The number of the descriptor that the document is read from.
pub const DESCRIPTOR: i32 = 3;

/// The largest document: it is written before anybody reads it, and must fit the pipe.
pub const LARGEST: usize = 32 * 1024;

/// The document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Launch {
    /// The terminal chat.
    Chat(Box<TuiLaunch>),
    /// The live view.
    Top(Box<TopLaunch>),
}

/// Where the live view goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopOutput {
    /// To the terminal, until it is ended.
    Screen,
    /// To standard output, once, as text.
    Text,
    /// The same as one JSON document.
    Json,
}

/// Everything the live view needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopLaunch {
    /// The gateway's WebSocket address.
    pub url: String,
    /// The gateway's token.
    #[serde(with = "in_clear")]
    pub token: Option<Secret<String>>,
    /// The gateway's password.
    #[serde(with = "in_clear")]
    pub password: Option<Secret<String>>,
    /// Whether the secret was given for this very start, and so counts before what the gateway has issued.
    pub secret_is_given: bool,
    /// Whether the gateway is this machine, or what the configuration names as remote.
    pub is_ours: bool,
    /// Where the key of this user's device is, or will be.
    pub identity: Option<PathBuf>,
    /// The control socket of the supervisor; absent when the gateway is on another machine.
    pub supervisor: Option<PathBuf>,
    /// Between two looks, in milliseconds.
    pub interval_ms: u64,
    /// Where it goes.
    pub output: TopOutput,
    /// Whether there are colours.
    pub color: bool,
}

/// Everything the terminal chat needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TuiLaunch {
    /// The gateway's WebSocket address.
    pub url: String,
    /// The gateway's token.
    #[serde(with = "in_clear")]
    pub token: Option<Secret<String>>,
    /// The gateway's password.
    #[serde(with = "in_clear")]
    pub password: Option<Secret<String>>,
    /// Whether the secret was given for this very start, and so counts before what the gateway has issued.
    pub secret_is_given: bool,
    /// Whether the gateway is this machine, or what the configuration names as remote.
    pub is_ours: bool,
    /// Where the key of this user's device is, or will be.
    pub identity: Option<PathBuf>,
    /// The session to open; the main one when absent.
    pub session: Option<String>,
    /// How much the model may think.
    pub thinking: Option<String>,
    /// Whether answers also go to the session's channel.
    pub deliver: bool,
    /// How long a run may take, in milliseconds; the configured time when absent.
    pub timeout_ms: Option<u64>,
    /// What is sent as soon as the session is open.
    pub message: Option<String>,
    /// How many messages of the past are shown.
    pub history_limit: u32,
    /// Whether there are colours.
    pub color: bool,
}
