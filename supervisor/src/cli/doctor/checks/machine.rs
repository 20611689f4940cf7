//! The machine, and what runs on it.                                                                       (pure)

use openclaw_shared::clock::WallTime;
use openclaw_shared::control::ChildState;

use super::super::finding::{Code, Finding};
use super::super::snapshot::{Browser, Snapshot};

const MIB: u64 = 1024 * 1024;
/// Below this, a day's log or a large answer fills the disk.
const LITTLE: u64 = 256 * MIB;
/// Below this, the database cannot be relied on to commit.
const NOTHING: u64 = 16 * MIB;
/// 2025-01-01: before there was anything to run.
const EARLIEST: WallTime = WallTime::from_millis(1_735_689_600_000);
/// How far ahead of the clock a file may be; other machines write to shared folders by their own clocks.
const AHEAD_MILLIS: u64 = 24 * 60 * 60 * 1_000;

pub(super) fn running(snapshot: &Snapshot) -> Vec<Finding> {
    if let super::super::snapshot::Running::Silent(why) = &snapshot.running {
        let finding = Finding::new(
            Code::SupervisorSilent,
            format!("A supervisor is there and does not answer as expected: {why}."),
        )
        .advice(format!(
            "If it stays so, end it and start anew: {}",
            snapshot.command("gateway stop")
        ));
        return vec![finding];
    }
    let Some(status) = snapshot.running.status() else {
        return Vec::new();
    };
    let unwell = status
        .fleet
        .children
        .iter()
        .filter(|child| match child.state {
        ChildState::Active
        | ChildState::Disabled
        // A replacement is under way.
        | ChildState::Starting
        | ChildState::Standby
        | ChildState::Draining
        | ChildState::Stopped => false,
        ChildState::Backoff | ChildState::Failed => true,
    });
    unwell
        .map(|child| {
            let why = child
                .last_error
                .as_ref()
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            Finding::new(
                Code::ChildNotWell,
                format!("It is in state {}{why}.", child.state),
            )
            .at(child.name.to_string())
            .advice(format!(
                "See more: {}. Try again: {}",
                snapshot.command("logs"),
                snapshot.command(&format!("gateway restart {}", child.name))
            ))
        })
        .collect()
}

pub(super) fn programs(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot
        .missing_programs
        .iter()
        .map(|name| {
            Finding::new(
                Code::ProgramsIncomplete,
                format!("The program {name} is not beside this one."),
            )
            .at(name.clone())
            .advice("Install openclaw as a whole: its programs lie in one folder.")
        })
        .collect()
}

pub(super) fn disk(snapshot: &Snapshot) -> Vec<Finding> {
    let Some(disk) = snapshot.disk else {
        return Vec::new();
    };
    let (code, what) = match disk.free {
        0..NOTHING => (Code::DiskFull, "There is no room left for the database"),
        NOTHING..LITTLE => (Code::DiskLow, "There is little room left"),
        LITTLE.. => return Vec::new(),
    };
    let finding = Finding::new(code, format!("{what}: {} MB are free.", disk.free / MIB))
        .at(snapshot.shown(&snapshot.identity.state_dir))
        .advice("Make room on this disk.");
    vec![finding]
}

pub(super) fn clock(snapshot: &Snapshot) -> Vec<Finding> {
    let wrong =
        |what: String| {
            vec![Finding::new(Code::ClockWrong, what).at("clock").advice(
                "Set the clock; signatures, jobs and logs go by it. See: timedatectl status",
            )]
        };
    if snapshot.now < EARLIEST {
        return wrong(format!("The clock says {}.", snapshot.now.to_rfc3339()));
    }
    let latest = snapshot.entries.iter().map(|entry| entry.modified).max();
    match latest {
        Some(latest) if latest.as_millis() > snapshot.now.as_millis() + AHEAD_MILLIS => {
            wrong(format!(
                "A file in the state folder was written at {}, and the clock says {}.",
                latest.to_rfc3339(),
                snapshot.now.to_rfc3339()
            ))
        }
        Some(_) | None => Vec::new(),
    }
}

pub(super) fn browser(snapshot: &Snapshot) -> Vec<Finding> {
    let finding = match &snapshot.browser {
        Browser::NotWanted | Browser::Found => return Vec::new(),
        Browser::Missing(path) => Finding::new(
            Code::BrowserMissing,
            format!(
                "The browser that the configuration names does not exist: {}.",
                path.display()
            ),
        )
        .at("browser.executablePath")
        .advice("Name one that exists, or take the key out."),
        Browser::None => Finding::new(
            Code::BrowserMissing,
            "No browser was found that could be controlled.",
        )
        .advice("Install Chromium, Chrome, Brave or Edge, if agents are to use the web; or switch it off with browser.enabled=false."),
    };
    vec![finding]
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::super::snapshot::tests::entry;
    use super::super::super::snapshot::{Disk, Kind, Running};
    use super::super::testing::codes;
    use super::*;

    #[test]
    fn a_supervisor_that_does_not_answer_is_not_one_that_is_absent() {
        let silent = |seen: &mut Snapshot| seen.running = Running::Silent("it is stuck".to_owned());
        assert_eq!(codes(running, silent), ["supervisor-silent"]);
    }

    #[test]
    fn room_is_little_before_it_is_none() {
        let free = |free: u64| move |seen: &mut Snapshot| seen.disk = Some(Disk { free });
        assert_eq!(codes(disk, free(255 * MIB)), ["disk-low"]);
        assert_eq!(codes(disk, free(15 * MIB)), ["disk-full"]);
        assert_eq!(codes(disk, free(256 * MIB)), [] as [&str; 0]);
        assert_eq!(codes(disk, |seen| seen.disk = None), [] as [&str; 0]);
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_told() {
        let early = |seen: &mut Snapshot| seen.now = WallTime::from_millis(0);
        assert_eq!(codes(clock, early), ["clock-wrong"]);
        let written = |ahead: u64| {
            move |seen: &mut Snapshot| {
                let mut file = entry("a", Kind::File, 0o600);
                file.modified = WallTime::from_millis(seen.now.as_millis() + ahead);
                seen.entries.push(file);
            }
        };
        assert_eq!(codes(clock, written(2 * AHEAD_MILLIS)), ["clock-wrong"]);
        assert_eq!(codes(clock, written(60_000)), [] as [&str; 0]);
    }

    #[test]
    fn a_missing_browser_is_worth_a_note() {
        let none = |seen: &mut Snapshot| seen.browser = Browser::None;
        assert_eq!(codes(browser, none), ["browser-missing"]);
        let named = |seen: &mut Snapshot| seen.browser = Browser::Missing(PathBuf::from("/gone"));
        assert_eq!(codes(browser, named), ["browser-missing"]);
        let gone =
            |seen: &mut Snapshot| seen.missing_programs = vec!["openclaw-gateway".to_owned()];
        assert_eq!(codes(programs, gone), ["programs-incomplete"]);
    }
}
