//! Keeps a flood of the same line from filling the disk: after so many in one window the rest are only counted. Pure.

use crate::clock::WallTime;

/// Within this many milliseconds the allowance applies.
const WINDOW_MS: u64 = 1_000;
/// How many different lines are watched at once; the longest quiet one gives way.
const WATCHED: usize = 64;

/// What to do with a line.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
#[must_use]
pub(super) enum Verdict {
    /// Write it.
    Write,
    /// Count it.
    Suppress,
}

/// A summary that is due: the line `key` was suppressed `times` times.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(super) struct Lapsed<K> {
    pub(super) key: K,
    pub(super) times: u64,
}

#[derive(Debug)]
struct Entry<K> {
    key: K,
    since: WallTime,
    seen: u32,
    suppressed: u64,
}

/// The lines seen lately. `K` identifies a line: level, subsystem and message, without the fields.
#[derive(Debug)]
pub(super) struct Repeats<K> {
    entries: Vec<Entry<K>>,
}

impl<K: PartialEq + Clone> Repeats<K> {
    pub(super) const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Judges one more line with `key`, of which `allowance` may be written in a window.
    pub(super) fn judge(&mut self, now: WallTime, key: &K, allowance: u32) -> Verdict {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == *key) {
            entry.seen = entry.seen.saturating_add(1);
            if entry.seen <= allowance {
                return Verdict::Write;
            }
            entry.suppressed += 1;
            return Verdict::Suppress;
        }
        // A line that is not watched is written: better one too many than one that nobody ever sees.
        if self.entries.len() < WATCHED {
            self.entries.push(Entry {
                key: key.clone(),
                since: now,
                seen: 1,
                suppressed: 0,
            });
        }
        Verdict::Write
    }

    /// Forgets the windows that have ended and returns the summaries that are due.
    pub(super) fn lapse(&mut self, now: WallTime) -> Vec<Lapsed<K>> {
        self.drain(|entry| {
            // A clock that was set back must not hold a line back for ever.
            now < entry.since || now.as_millis() - entry.since.as_millis() >= WINDOW_MS
        })
    }

    /// Ends all windows.
    pub(super) fn finish(&mut self) -> Vec<Lapsed<K>> {
        self.drain(|_| true)
    }

    fn drain(&mut self, ended: impl Fn(&Entry<K>) -> bool) -> Vec<Lapsed<K>> {
        let mut due = Vec::new();
        self.entries.retain(|entry| {
            let over = ended(entry);
            if over && entry.suppressed > 0 {
                due.push(Lapsed {
                    key: entry.key.clone(),
                    times: entry.suppressed,
                });
            }
            !over
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> WallTime {
        WallTime::from_millis(millis)
    }

    #[test]
    fn a_flood_is_counted_and_summarised_once() {
        let mut repeats = Repeats::new();
        let verdicts: Vec<_> = (0..5).map(|i| repeats.judge(at(i), &"x", 2)).collect();
        assert_eq!(
            verdicts,
            [
                Verdict::Write,
                Verdict::Write,
                Verdict::Suppress,
                Verdict::Suppress,
                Verdict::Suppress
            ]
        );
        assert_eq!(repeats.lapse(at(999)), []);
        assert_eq!(repeats.lapse(at(1000)), [Lapsed { key: "x", times: 3 }]);
        assert_eq!(repeats.lapse(at(2000)), []);
        assert_eq!(repeats.judge(at(2000), &"x", 2), Verdict::Write);
    }

    #[test]
    fn other_lines_are_not_held_back() {
        let mut repeats = Repeats::new();
        for _ in 0..3 {
            let _ = repeats.judge(at(0), &1, 1);
        }
        assert_eq!(repeats.judge(at(0), &2, 1), Verdict::Write);
    }

    #[test]
    fn the_watch_list_is_bounded_and_errs_towards_writing() {
        let mut repeats = Repeats::new();
        for key in 0..1000 {
            assert_eq!(repeats.judge(at(0), &key, 1), Verdict::Write);
        }
        assert_eq!(repeats.entries.len(), WATCHED);
    }

    #[test]
    fn rule_125_a_clock_set_back_ends_the_window() {
        let mut repeats = Repeats::new();
        let _ = repeats.judge(at(5000), &"x", 1);
        let _ = repeats.judge(at(5000), &"x", 1);
        assert_eq!(repeats.lapse(at(10)), [Lapsed { key: "x", times: 1 }]);
    }

    #[test]
    fn the_end_of_the_process_reports_what_was_held_back() {
        let mut repeats = Repeats::new();
        let _ = repeats.judge(at(0), &"x", 1);
        let _ = repeats.judge(at(0), &"x", 1);
        assert_eq!(repeats.finish(), [Lapsed { key: "x", times: 1 }]);
    }
}
