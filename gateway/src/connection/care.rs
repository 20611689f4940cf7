//! When a silent or stuck connection is pinged, and when it counts as gone.             (pure)
//!
//! A peer that vanished without a word is found by a ping it does not answer, or by output of which it takes nothing. A
//! peer that is merely slow keeps draining, and is left alone however long that takes.

use std::time::Duration;

use crate::limits::{PING_AFTER, PONG_WINDOW, STALL_WINDOW};

/// What happened on a connection since it was last looked after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Something arrived.
    pub(crate) heard: bool,
    /// The peer took at least one byte.
    pub(crate) drained: bool,
    /// Output waits at this moment.
    pub(crate) waiting: bool,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Care {
    /// Nothing.
    Leave,
    /// Ask whether somebody is there.
    Ping,
    /// Nobody is there.
    Vanished,
    /// Somebody may be there, but does not read.
    Stalled,
}

/// How long a connection has been silent and stuck.
#[derive(Debug, Default)]
pub(crate) struct Vigil {
    silent: Duration,
    stuck: Duration,
    pinged: bool,
}

impl Vigil {
    /// Takes note of what was seen in the `elapsed` time.
    pub(crate) fn look(&mut self, elapsed: Duration, seen: Seen) -> Care {
        if seen.waiting && !seen.drained {
            self.stuck += elapsed;
        } else {
            self.stuck = Duration::ZERO;
        }
        if seen.heard {
            self.silent = Duration::ZERO;
            self.pinged = false;
        } else {
            self.silent += elapsed;
        }
        if self.stuck >= STALL_WINDOW {
            Care::Stalled
        } else if self.pinged && !seen.waiting && self.silent >= PING_AFTER + PONG_WINDOW {
            Care::Vanished
        } else if !self.pinged && self.silent >= PING_AFTER {
            self.pinged = true;
            Care::Ping
        } else {
            Care::Leave
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Care, Seen, Vigil};

    const SECOND: Duration = Duration::from_secs(1);

    /// What is done at which second, for the given seconds of one kind each.
    fn watch(story: &[(u32, Seen)]) -> Vec<(u32, Care)> {
        let mut vigil = Vigil::default();
        let mut second = 0;
        let mut done = Vec::new();
        for (seconds, seen) in story {
            for _ in 0..*seconds {
                second += 1;
                let care = vigil.look(SECOND, *seen);
                if care != Care::Leave {
                    done.push((second, care));
                }
            }
        }
        done
    }

    const QUIET: Seen = Seen {
        heard: false,
        drained: false,
        waiting: false,
    };
    const HEARD: Seen = Seen {
        heard: true,
        ..QUIET
    };
    const STUCK: Seen = Seen {
        waiting: true,
        ..QUIET
    };
    const SLOW: Seen = Seen {
        waiting: true,
        drained: true,
        ..QUIET
    };

    #[test]
    fn rule_72_silence_is_asked_about_once_and_then_believed() {
        assert_eq!(
            watch(&[(120, QUIET)]),
            [(30, Care::Ping), (120, Care::Vanished)]
        );
    }

    #[test]
    fn a_pong_starts_over() {
        assert_eq!(
            watch(&[(40, QUIET), (1, HEARD), (30, QUIET)]),
            [(30, Care::Ping), (71, Care::Ping)]
        );
    }

    #[test]
    fn rule_72_a_peer_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        assert_eq!(watch(&[(29, STUCK)]), []);
        assert_eq!(watch(&[(30, STUCK)]).last(), Some(&(30, Care::Stalled)));
        assert_eq!(
            watch(&[(25, STUCK), (1, SLOW), (25, STUCK)]),
            [(30, Care::Ping)]
        );
        assert_eq!(watch(&[(600, SLOW)]), [(30, Care::Ping)]);
    }
}
