//! How much memory a child may use, and what follows when it uses more. Pure.
//!
//! What a few looks in a row find too large is replaced: a successor first, so that nobody is refused. A successor that grows too
//! large soon again is no accident; its own replacement waits, longer each time, because replacing for ever would only send
//! clients away again and again. Beyond the ceiling the machine is in danger: a child that no successor has relieved by then is killed.
//!
//! What it keeps is plain data: a supervisor that hands over to its successor can hand it over as it is.

use std::collections::VecDeque;
use std::time::Duration;

use openclaw_shared::backoff::Backoff;
use openclaw_shared::clock::WallTime;
use openclaw_shared::control::Generation;
use serde::{Deserialize, Serialize};

/// Looks in a row that find too much before anything is done, so that a spike is nothing.
const GRACE: u8 = 3;
/// Replacements within this time of each other are not chance.
const WINDOW: Duration = Duration::from_secs(3600);
/// How long the next replacement in the window waits.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(60),
    max: Duration::from_secs(1800),
};

/// What a child may use, in bytes of resident memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// More is too much.
    pub(crate) memory: u64,
    /// More is dangerous.
    pub(crate) ceiling: u64,
}

/// What follows from a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Leave,
    /// A successor is to take its place.
    Replace,
    /// A successor should, but not before this time is over; told once for each wait.
    Wait(Duration),
    /// It is to be killed.
    Kill,
}

/// The memory of one child over time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// The life that was looked at last.
    life: Generation,
    /// Looks in a row that found it over its bound.
    over: u8,
    /// Looks in a row that found it over its ceiling.
    beyond: u8,
    /// When it was replaced for this, the oldest first.
    replaced: VecDeque<WallTime>,
    /// The life for which a replacement was asked last.
    asked: Option<Generation>,
    /// Until when the next replacement waits, and for which life that was told.
    waits: Option<(Generation, WallTime)>,
}

impl Watch {
    /// Takes the look at a life that serves. `is_replacing` says whether a successor of it is on its way.
    #[must_use]
    pub(crate) fn looked(
        &mut self,
        now: WallTime,
        life: Generation,
        used: u64,
        bound: Bound,
        is_replacing: bool,
    ) -> Verdict {
        if self.life != life {
            self.life = life;
            self.over = 0;
            self.beyond = 0;
        }
        self.over = count(self.over, used > bound.memory);
        self.beyond = count(self.beyond, used > bound.ceiling);
        if self.over == 0 {
            self.waits = None;
        }
        let has_failed = self.asked == Some(life) && !is_replacing;
        let delay = self.delay(now);
        if self.beyond > 0 {
            let must_wait = has_failed || delay.is_some();
            // A successor that is on its way gets the time of a few looks more, in which it usually takes over.
            return match is_replacing {
                true if self.beyond <= GRACE => Verdict::Leave,
                false if !must_wait => self.replace(now, life),
                true | false => Verdict::Kill,
            };
        }
        if self.over < GRACE || is_replacing {
            return Verdict::Leave;
        }
        match delay {
            None => self.replace(now, life),
            Some(delay) => {
                let until = now.as_millis() + u64::try_from(delay.as_millis()).unwrap_or(0);
                match self.waits {
                    Some((told, _)) if told == life => Verdict::Leave,
                    Some(_) | None => {
                        self.waits = Some((life, WallTime::from_millis(until)));
                        Verdict::Wait(delay)
                    }
                }
            }
        }
    }

    /// Whether this life is too large, and its replacement has to wait.
    pub(crate) fn is_waiting(&self, now: WallTime, life: Generation) -> bool {
        self.waits
            .is_some_and(|(waits, until)| waits == life && now < until)
    }

    fn replace(&mut self, now: WallTime, life: Generation) -> Verdict {
        self.asked = Some(life);
        self.waits = None;
        self.over = 0;
        self.replaced.push_back(now);
        Verdict::Replace
    }

    /// How long the next replacement has to wait by now, if it has to.
    fn delay(&mut self, now: WallTime) -> Option<Duration> {
        while self
            .replaced
            .front()
            .is_some_and(|first| now.since(*first) > WINDOW)
        {
            self.replaced.pop_front();
        }
        let last = self.replaced.back()?;
        let times = u32::try_from(self.replaced.len()).unwrap_or(u32::MAX);
        let passed = now.since(*last);
        let whole = BACKOFF.delay(times, 0.0);
        whole.checked_sub(passed).filter(|left| !left.is_zero())
    }
}

const fn count(before: u8, goes_on: bool) -> u8 {
    if goes_on { before.saturating_add(1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::control::Generation;
    use proptest::prelude::*;

    use super::{Bound, Verdict, WINDOW, Watch};

    const BOUND: Bound = Bound {
        memory: 100,
        ceiling: 200,
    };

    /// Plays a story: every line is `second generation used [replacing] => verdict`.
    fn check(story: &str) {
        let mut watch = Watch::default();
        for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (look, expected) = line.split_once("=>").unwrap();
            let words: Vec<&str> = look.split_whitespace().collect();
            let number =
                |index: usize| words[index].trim_start_matches('g').parse::<u64>().unwrap();
            let now = WallTime::from_millis(1_000_000 + number(0) * 1_000);
            let is_replacing = words.get(3) == Some(&"replacing");
            let verdict = watch.looked(now, Generation(number(1)), number(2), BOUND, is_replacing);
            let told = match verdict {
                Verdict::Leave => "leave".to_owned(),
                Verdict::Replace => "replace".to_owned(),
                Verdict::Wait(delay) => format!("wait {}", delay.as_secs()),
                Verdict::Kill => "kill".to_owned(),
            };
            assert_eq!(told, expected.trim(), "{line}");
        }
    }

    #[test]
    fn a_spike_is_nothing_and_what_stays_is_replaced() {
        check(
            "
            0  g1 101 => leave
            5  g1 101 => leave
            10 g1 99  => leave
            15 g1 101 => leave
            20 g1 101 => leave
            25 g1 101 => replace
            30 g1 150 replacing => leave
            35 g2 50  => leave
            ",
        );
    }

    #[test]
    fn a_successor_that_grows_soon_again_waits_longer_each_time_and_is_told_once() {
        check(
            "
            0   g1 101 => leave
            5   g1 101 => leave
            10  g1 101 => replace
            15  g2 101 => leave
            20  g2 101 => leave
            25  g2 101 => wait 45
            30  g2 101 => leave
            69  g2 101 => leave
            70  g2 101 => replace
            75  g3 101 => leave
            80  g3 101 => leave
            85  g3 101 => wait 105
            190 g3 101 => replace
            ",
        );
    }

    #[test]
    fn one_that_waits_is_known_to_until_it_is_small_again() {
        let mut watch = Watch::default();
        let at = |second: u64| WallTime::from_millis(1_000_000 + second * 1_000);
        let look = |watch: &mut Watch, second, life, used| {
            watch.looked(at(second), Generation(life), used, BOUND, false)
        };
        for second in 0..3 {
            let _ = look(&mut watch, second, 1, 101);
        }
        for second in 3..5 {
            let _ = look(&mut watch, second, 2, 101);
            assert!(!watch.is_waiting(at(second), Generation(2)));
        }
        assert_eq!(
            look(&mut watch, 5, 2, 101),
            Verdict::Wait(std::time::Duration::from_secs(57))
        );
        assert!(watch.is_waiting(at(61), Generation(2)));
        assert!(!watch.is_waiting(at(62), Generation(2)));
        assert!(!watch.is_waiting(at(6), Generation(3)));
        let _ = look(&mut watch, 7, 2, 99);
        assert!(!watch.is_waiting(at(8), Generation(2)));
    }

    #[test]
    fn beyond_the_ceiling_there_is_no_grace_and_what_cannot_be_replaced_is_killed() {
        check(
            "
            0  g1 201 => replace
            5  g1 201 replacing => leave
            10 g1 201 replacing => leave
            15 g1 201 replacing => kill
            ",
        );
        check(
            "
            0  g1 201 => replace
            5  g1 201 => kill
            ",
        );
        check(
            "
            0  g1 201 => replace
            5  g2 201 => kill
            9  g3 99  => leave
            ",
        );
    }

    #[test]
    fn a_replacement_that_came_to_nothing_is_tried_again_after_its_wait() {
        check(
            "
            0  g1 101 => leave
            1  g1 101 => leave
            2  g1 101 => replace
            3  g1 101 => leave
            4  g1 101 => leave
            5  g1 101 => wait 57
            61 g1 101 => leave
            62 g1 101 => replace
            ",
        );
    }

    proptest! {
        #[test]
        fn replacements_never_come_closer_than_their_waits(
            looks in prop::collection::vec((1_u64..120, 0_u64..200, any::<bool>()), 1..400),
        ) {
            let mut watch = Watch::default();
            let (mut now, mut life) = (1_000_000_u64, 1_u64);
            let mut last = None::<u64>;
            for (gap, used, succeeds) in looks {
                now += gap * 1_000;
                let at = WallTime::from_millis(now);
                if watch.looked(at, Generation(life), used, BOUND, false) == Verdict::Replace {
                    if let Some(last) = last {
                        prop_assert!(now - last >= 60_000);
                    }
                    last = Some(now);
                    life += u64::from(succeeds);
                }
                prop_assert!(u128::from(now) < 1_000_000 + 400 * 120_000 + WINDOW.as_millis());
            }
        }
    }
}
