//! Watching the instance of another profile, as a rescue bot does: what looks at it come to. Pure; [`look`] does the looking.
//!
//! One look that fails is nothing: a supervisor that hands over to its successor may be silent for a moment. What was up is given
//! three looks before it is said to be unwell, and two before it is said to be down. One that is down is looked at less often.
//!
//! What it keeps is plain data: a supervisor that hands over to its successor can hand it over as it is.

use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::recovery::{WatchedState, WatchedStatus};
use serde::{Deserialize, Serialize};

pub(crate) mod look;

/// Looks in a row that found it worse before that is said.
const LOOKS_UNTIL_DOWN: u32 = 2;
const LOOKS_UNTIL_UNWELL: u32 = 3;
/// How much longer the time between two looks may get while it is down.
const MAX_STRETCH: u32 = 6;

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The supervisor answers, and the gateway is ready.
    Up,
    /// The supervisor answers, and the gateway is not ready; why.
    Unwell(String),
    /// The supervisor does not answer; why.
    Down(String),
}

/// A change that is worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It has fallen, or has got worse or better without being up.
    Fell(WatchedState, String),
    /// It is up again, after so long.
    Back(Duration),
    /// It is up; it had not been seen before.
    Found,
}

/// One watched instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vigil {
    profile: String,
    state: WatchedState,
    since: Option<WallTime>,
    reason: Option<String>,
    falls: u32,
    /// Since when it has not been up.
    fallen_at: Option<WallTime>,
    /// Looks in a row that found it otherwise than `state` says, and not up.
    worse: u32,
    /// Looks in a row that found it down.
    absent: u32,
}

impl Vigil {
    pub(crate) const fn new(profile: String) -> Self {
        Self {
            profile,
            state: WatchedState::Unknown,
            since: None,
            reason: None,
            falls: 0,
            fallen_at: None,
            worse: 0,
            absent: 0,
        }
    }

    /// The profile that is watched.
    pub(crate) fn profile(&self) -> &str {
        &self.profile
    }

    /// Takes what a look found.
    #[must_use]
    pub(crate) fn saw(&mut self, now: WallTime, sight: Sight) -> Option<News> {
        let (state, reason) = match sight {
            Sight::Up => (WatchedState::Up, None),
            Sight::Unwell(reason) => (WatchedState::Unwell, Some(reason)),
            Sight::Down(reason) => (WatchedState::Down, Some(reason)),
        };
        self.absent = match state {
            WatchedState::Down => self.absent.saturating_add(1),
            WatchedState::Unknown | WatchedState::Up | WatchedState::Unwell => 0,
        };
        if state == self.state {
            self.worse = 0;
            self.reason = reason;
            return None;
        }
        self.worse = self.worse.saturating_add(1);
        let is_sure = match state {
            WatchedState::Unknown | WatchedState::Up => true,
            WatchedState::Unwell => self.worse >= LOOKS_UNTIL_UNWELL,
            WatchedState::Down => self.absent >= LOOKS_UNTIL_DOWN,
        };
        if !is_sure {
            return None;
        }
        self.worse = 0;
        let was = std::mem::replace(&mut self.state, state);
        self.since = Some(now);
        self.reason.clone_from(&reason);
        if state == WatchedState::Up {
            return Some(match self.fallen_at.take() {
                Some(fallen) => News::Back(now.since(fallen)),
                None => News::Found,
            });
        }
        if was == WatchedState::Up {
            self.falls = self.falls.saturating_add(1);
        }
        self.fallen_at.get_or_insert(now);
        Some(News::Fell(state, reason.unwrap_or_default()))
    }

    /// When to look again.
    pub(crate) fn next_look(&self, interval: Duration) -> Duration {
        interval
            * self
                .absent
                .saturating_sub(LOOKS_UNTIL_DOWN)
                .clamp(1, MAX_STRETCH)
    }

    /// As people and clients see it.
    pub(crate) fn status(&self) -> WatchedStatus {
        WatchedStatus {
            profile: self.profile.clone(),
            state: self.state,
            since_ms: self.since.map(WallTime::as_millis),
            reason: self.reason.clone(),
            falls: self.falls,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_shared::clock::WallTime;

    use super::{News, Sight, Vigil};

    /// Plays looks, one a second; every line is `what was seen => what is told`.
    fn check(story: &str) {
        let mut vigil = Vigil::new("main".to_owned());
        let lines = story.lines().map(str::trim).filter(|line| !line.is_empty());
        for (second, line) in lines.enumerate() {
            let (seen, expected) = line.split_once("=>").unwrap();
            let sight = match seen.trim() {
                "up" => Sight::Up,
                "unwell" => Sight::Unwell("not ready".to_owned()),
                "down" => Sight::Down("nobody answers".to_owned()),
                other => panic!("{other}"),
            };
            let now = WallTime::from_millis(second as u64 * 1_000);
            let told = match vigil.saw(now, sight) {
                None => "-".to_owned(),
                Some(News::Found) => "found".to_owned(),
                Some(News::Back(after)) => format!("back after {}s", after.as_secs()),
                Some(News::Fell(state, why)) => format!("{state}: {why}"),
            };
            let told = format!("{told}, falls {}", vigil.falls);
            assert_eq!(told, expected.trim(), "{line} (look {second})");
        }
    }

    #[test]
    fn a_fall_and_a_return_are_told_once() {
        check(
            "
            up   => found, falls 0
            up   => -, falls 0
            down => -, falls 0
            down => down: nobody answers, falls 1
            down => -, falls 1
            up   => back after 2s, falls 1
            up   => -, falls 1
            ",
        );
    }

    #[test]
    fn one_look_that_fails_is_nothing() {
        check(
            "
            up     => found, falls 0
            down   => -, falls 0
            up     => -, falls 0
            unwell => -, falls 0
            unwell => -, falls 0
            up     => -, falls 0
            ",
        );
    }

    #[test]
    fn one_that_gets_worse_is_told_and_counts_as_one_fall() {
        check(
            "
            up     => found, falls 0
            unwell => -, falls 0
            unwell => -, falls 0
            unwell => unwell: not ready, falls 1
            down   => -, falls 1
            down   => down: nobody answers, falls 1
            up     => back after 3s, falls 1
            ",
        );
    }

    #[test]
    fn one_look_that_finds_nobody_does_not_make_it_down() {
        check(
            "
            up     => found, falls 0
            unwell => -, falls 0
            down   => -, falls 0
            unwell => unwell: not ready, falls 1
            ",
        );
    }

    #[test]
    fn one_that_was_never_there_has_not_fallen() {
        check(
            "
            down => -, falls 0
            down => down: nobody answers, falls 0
            up   => back after 1s, falls 0
            ",
        );
    }

    #[test]
    fn one_that_is_down_is_looked_at_less_often() {
        let mut vigil = Vigil::new("main".to_owned());
        let second = Duration::from_secs(1);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let _ = vigil.saw(WallTime::from_millis(1), Sight::Down(String::new()));
            pauses.push(vigil.next_look(second).as_secs());
        }
        assert_eq!(pauses, [1, 1, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6]);
        let _ = vigil.saw(WallTime::from_millis(1), Sight::Up);
        assert_eq!(vigil.next_look(second), second);
    }
}
