//! Exit codes, defined once.
//!
//! A script, a service manager and the supervisor read them, so each has one meaning and keeps its number.
//! `docs/LIFECYCLE.md` holds the table; a test compares it with [`Exit::ALL`].

use std::process::ExitCode;

/// How a process of ours ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Everything asked for was done; also a stop on request that finished its drain.
    Ok,
    /// The command failed; the text on stderr says why.
    Failure,
    /// The command line names no instance: a bad `--profile`.
    Usage,
    /// A command that looks found nothing that runs.
    NotRunning,
    /// A command that looks found something that is not as it should be.
    NotWell,
    /// The instance could not be kept alive: its gateway died too often.
    KeptDying,
    /// A stop had to be forced: the drain budget was over before all work was finished.
    Forced,
    /// A process lost its supervisor, or the supervisor does not speak its version.
    Orphaned,
    /// A port of the instance belongs to somebody else.
    PortBusy,
    /// Another instance holds the same state, configuration, workspace or canvas folder.
    AlreadyRunning,
    /// The configuration is missing or invalid, and there is no last-known-good one to run on.
    ConfigInvalid,
    /// The start was refused because it would be unsafe, for example a LAN bind without authentication.
    Refused,
}

impl Exit {
    /// Every exit code, in numeric order.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Failure,
        Self::Usage,
        Self::NotRunning,
        Self::NotWell,
        Self::KeptDying,
        Self::Forced,
        Self::Orphaned,
        Self::PortBusy,
        Self::AlreadyRunning,
        Self::ConfigInvalid,
        Self::Refused,
    ];

    /// The number the operating system sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotRunning => 3,
            Self::NotWell => 4,
            Self::KeptDying => 70,
            Self::Forced => 71,
            Self::Orphaned => 72,
            Self::PortBusy => 75,
            Self::AlreadyRunning => 76,
            Self::ConfigInvalid => 78,
            Self::Refused => 79,
        }
    }

    /// One sentence for the table in `docs/LIFECYCLE.md`.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done, or stopped on request after a complete drain",
            Self::Failure => "the command failed; stderr says why",
            Self::Usage => "the command line names no instance (bad `--profile`)",
            Self::NotRunning => "`gateway status` found no gateway",
            Self::NotWell => {
                "`gateway status` or `doctor` found something that is not as it should be"
            }
            Self::KeptDying => "the gateway died too often to be kept alive",
            Self::Forced => {
                "stopped by force: the drain budget was over before all work was finished"
            }
            Self::Orphaned => "a child lost its supervisor, or does not speak its version",
            Self::PortBusy => "a port of the instance belongs to somebody else",
            Self::AlreadyRunning => {
                "another instance holds the same state, configuration, workspace or canvas folder"
            }
            Self::ConfigInvalid => {
                "the configuration is missing or invalid and there is no last-known-good"
            }
            Self::Refused => {
                "the start was refused as unsafe (for example a LAN bind without authentication)"
            }
        }
    }

    /// Whether starting again without a change by the operator can only end the same way; the unit file lists these in
    /// `RestartPreventExitStatus`.
    #[must_use]
    pub const fn needs_operator(self) -> bool {
        match self {
            Self::Usage | Self::AlreadyRunning | Self::ConfigInvalid | Self::Refused => true,
            Self::Ok
            | Self::Failure
            | Self::NotRunning
            | Self::NotWell
            | Self::KeptDying
            | Self::Forced
            | Self::Orphaned
            | Self::PortBusy => false,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_distinct_and_below_the_shells_own() {
        let mut codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        codes.dedup();
        assert_eq!(codes.len(), Exit::ALL.len());
        assert!(codes.iter().all(|code| *code < 125));
        assert!(codes.is_sorted());
    }

    #[test]
    fn the_lifecycle_page_lists_every_code() {
        let page = include_str!("../../docs/LIFECYCLE.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(
                page.contains(&row),
                "docs/LIFECYCLE.md lacks the row:\n{row}"
            );
        }
    }
}
