//! How an upgrade of a running instance stands or has ended, as `gateway upgrade`, `health` and `gateway status` show it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What has come of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeState {
    /// The binaries on disk are the ones that run.
    Unchanged,
    /// The new binary can take over; nothing was done, because only that was asked.
    Possible,
    /// The new binary is looked at.
    Checking,
    /// The new binary can take over, and waits until nothing else is under way.
    Waiting,
    /// The processes are being replaced by those of the new binaries.
    Replacing,
    /// Everything runs from the new binaries.
    Upgraded,
    /// The new binary cannot take over; nothing has changed.
    Refused,
    /// The new binary failed before it had taken over; the one before it goes on with everything as it was.
    TakenBack,
    /// The supervisor runs from the new binary, and a process could not be replaced; its predecessor serves on.
    Incomplete,
}

impl UpgradeState {
    /// The word on the wire and in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Possible => "possible",
            Self::Checking => "checking",
            Self::Waiting => "waiting",
            Self::Replacing => "replacing",
            Self::Upgraded => "upgraded",
            Self::Refused => "refused",
            Self::TakenBack => "taken-back",
            Self::Incomplete => "incomplete",
        }
    }

    /// Whether it is over.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Checking | Self::Waiting | Self::Replacing => false,
            Self::Unchanged
            | Self::Possible
            | Self::Upgraded
            | Self::Refused
            | Self::TakenBack
            | Self::Incomplete => true,
        }
    }

    /// Whether somebody has to look after it.
    #[must_use]
    pub const fn has_failed(self) -> bool {
        match self {
            Self::Refused | Self::TakenBack | Self::Incomplete => true,
            Self::Unchanged
            | Self::Possible
            | Self::Checking
            | Self::Waiting
            | Self::Replacing
            | Self::Upgraded => false,
        }
    }
}

/// An upgrade; `health.supervisor.upgrade` on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    /// When it came to this, in milliseconds since the epoch.
    pub ts: u64,
    /// What has come of it.
    pub state: UpgradeState,
    /// The version that ran before.
    pub from: String,
    /// The version of the binaries on disk, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why it did not come about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl fmt::Display for UpgradeStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = &self.from;
        let to = self.to.as_deref().unwrap_or("an unknown version");
        let reason = self.reason.as_deref().unwrap_or("no reason is known");
        match self.state {
            UpgradeState::Unchanged => write!(
                formatter,
                "Nothing to upgrade: the binaries on disk are the ones that run ({from})."
            ),
            UpgradeState::Possible => {
                write!(formatter, "An upgrade from {from} to {to} is possible.")
            }
            UpgradeState::Checking => write!(formatter, "The new binary is looked at."),
            UpgradeState::Waiting => write!(
                formatter,
                "The new binary ({to}) can take over; waiting until nothing else is under way."
            ),
            UpgradeState::Replacing => {
                write!(formatter, "The processes are replaced: {from} to {to}.")
            }
            UpgradeState::Upgraded if *from == to => {
                write!(formatter, "Upgraded to the new binaries of {to}.")
            }
            UpgradeState::Upgraded => write!(formatter, "Upgraded from {from} to {to}."),
            UpgradeState::Refused => write!(
                formatter,
                "The new binary was refused, and nothing has changed: {reason}."
            ),
            UpgradeState::TakenBack => write!(
                formatter,
                "The new binary failed to take over, and {from} goes on: {reason}."
            ),
            UpgradeState::Incomplete => write!(
                formatter,
                "The supervisor runs from {to}, but its processes do not: {reason}."
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{UpgradeState, UpgradeStatus};

    #[test]
    fn a_person_reads_what_came_of_it() {
        let mut status = UpgradeStatus {
            ts: 0,
            state: UpgradeState::Upgraded,
            from: "1.0".to_owned(),
            to: Some("1.1".to_owned()),
            reason: None,
        };
        assert_eq!(status.to_string(), "Upgraded from 1.0 to 1.1.");
        status.state = UpgradeState::Refused;
        status.reason = Some("it ended with code 1".to_owned());
        assert_eq!(
            status.to_string(),
            "The new binary was refused, and nothing has changed: it ended with code 1."
        );
    }
}
