//! The shared secrets by which callers of an instance are known.

use serde::{Deserialize, Serialize};

use crate::secret::{Secret, in_clear};

pub use crate::config::section::AuthMode;

/// The secrets themselves; serialised in clear for the control channel, printed as placeholders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// Which one counts.
    pub mode: AuthMode,
    /// The token.
    #[serde(with = "in_clear")]
    pub token: Option<Secret<String>>,
    /// The password.
    #[serde(with = "in_clear")]
    pub password: Option<Secret<String>>,
}

impl Credentials {
    /// The secret of the active mode, if there is one.
    #[must_use]
    pub const fn active(&self) -> Option<&Secret<String>> {
        match self.mode {
            AuthMode::Token => self.token.as_ref(),
            AuthMode::Password => self.password.as_ref(),
        }
    }
}
