//! What `openclaw node run` hands to the node host it becomes.
//!
//! The document goes through a pipe that is the node host's standard input, because arguments and environment can be seen by
//! others and this holds secrets.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::log::LogSettings;
use crate::secret::{Secret, in_clear};

/// The name of the program, beside `openclaw`.
pub const PROGRAM: &str = "openclaw-node-host";

/// The largest document: it is written before anybody reads it, and must fit the pipe.
pub const LARGEST: usize = 32 * 1024;

/// Everything the node host needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeLaunch {
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
    /// Where identity, node file and approvals are kept.
    pub state_dir: PathBuf,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// What keeps the presence entry one; kept from the last time when absent.
    pub node_id: Option<String>,
    /// The name for people; kept from the last time when absent.
    pub display_name: Option<String>,
    /// Whether each state is one JSON object on a line.
    pub json: bool,
    /// Where it logs.
    pub log: LogSettings,
}
