//! Which gateway is meant, and what is presented to it.

use std::path::PathBuf;

use openclaw_shared::secret::Secret;

/// How a program introduces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// A command that does something.
    Cli,
    /// A look whether the gateway answers.
    Probe,
    /// A terminal chat.
    Tui,
}

/// A gateway to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its WebSocket address.
    pub url: String,
    /// The token that every device may present.
    pub token: Option<Secret<String>>,
    /// The password, likewise.
    pub password: Option<Secret<String>>,
    /// Whether the secret was given for this very connection, by an option or the environment.
    pub secret_is_given: bool,
    /// Whether it is this machine, or what the configuration names as remote; anything else may be somebody else's.
    pub is_ours: bool,
    /// Where the key of this user's device is, or will be.
    pub identity: Option<PathBuf>,
}

impl Gateway {
    /// Whether there is a secret that every device may present.
    #[must_use]
    pub const fn has_secret(&self) -> bool {
        self.token.is_some() || self.password.is_some()
    }
}
