//! How long a wrong guess waits for its answer.                                          (pure)
//!
//! Only wrong guesses count, per address and web origin, and per device that holds its key. The answer to a wrong guess is delayed, more with every
//! further one; nobody is ever locked out, and whoever knows the secret never waits: the check comes first, the delay
//! after.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use openclaw_shared::clock::Moment;

/// Guesses that cost nothing, for people who mistype.
const FREE: u32 = 3;
/// The delay of the first guess that costs something; it doubles from there.
const FIRST_DELAY: Duration = Duration::from_millis(200);
/// No answer takes longer, so that the handshake deadline is not what a person sees.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// Guesses are forgotten after this long without another.
const FORGET_AFTER: Duration = Duration::from_secs(300);
/// Sources that are remembered; beyond, the one that has been quiet for longest is forgotten.
const MOST_SOURCES: usize = 1024;

/// Where guesses come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A place.
    Place {
        /// The address; none for the local socket.
        address: Option<IpAddr>,
        /// The web origin, when a browser said one.
        origin: Option<String>,
    },
    /// A device, wherever it is.
    Device(String),
}

#[derive(Debug)]
struct Guesses {
    count: u32,
    last: Moment,
}

/// The guesses of everybody.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    sources: BTreeMap<Source, Guesses>,
}

impl Throttle {
    /// Counts a wrong guess for everything it came from, and says how long its answer waits.
    #[must_use = "an answer that does not wait costs the guesser nothing"]
    pub(crate) fn wrong_guess(
        &mut self,
        now: Moment,
        sources: impl IntoIterator<Item = Source>,
    ) -> Duration {
        let delays = sources.into_iter().map(|source| self.count(now, source));
        delays.max().unwrap_or_default()
    }

    fn count(&mut self, now: Moment, source: Source) -> Duration {
        if self.sources.len() >= MOST_SOURCES && !self.sources.contains_key(&source) {
            self.forget(now);
        }
        let guesses = self.sources.entry(source).or_insert(Guesses {
            count: 0,
            last: now,
        });
        if now.since(guesses.last) >= FORGET_AFTER {
            guesses.count = 0;
        }
        guesses.last = now;
        guesses.count = guesses.count.saturating_add(1);
        delay(guesses.count)
    }

    fn forget(&mut self, now: Moment) {
        self.sources
            .retain(|_, guesses| now.since(guesses.last) < FORGET_AFTER);
        while self.sources.len() >= MOST_SOURCES {
            let quietest = self.sources.iter().min_by_key(|(_, guesses)| guesses.last);
            let Some(source) = quietest.map(|(source, _)| source.clone()) else {
                return;
            };
            self.sources.remove(&source);
        }
    }
}

fn delay(count: u32) -> Duration {
    match count.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_DELAY
            .saturating_mul(1 << doublings.min(16))
            .min(LONGEST_DELAY),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_shared::clock::Moment;

    use super::{MOST_SOURCES, Source, Throttle};

    fn source(number: usize) -> Source {
        let address = std::net::Ipv4Addr::from(u32::try_from(number).unwrap());
        Source::Place {
            address: Some(address.into()),
            origin: None,
        }
    }

    #[test]
    fn a_guesser_waits_longer_each_time_and_others_do_not() {
        let mut throttle = Throttle::default();
        let now = Moment::now();
        let delays: Vec<u128> = (0..12)
            .map(|_| throttle.wrong_guess(now, [source(1)]).as_millis())
            .collect();
        assert_eq!(
            delays,
            [0, 0, 0, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]
        );
        assert_eq!(throttle.wrong_guess(now, [source(2)]), Duration::ZERO);
        let page = Source::Place {
            address: Some("0.0.0.1".parse().unwrap()),
            origin: Some("http://127.0.0.1:1".into()),
        };
        assert_eq!(throttle.wrong_guess(now, [page]), Duration::ZERO);
    }

    #[test]
    fn a_device_that_guesses_from_many_places_waits_too() {
        let mut throttle = Throttle::default();
        let now = Moment::now();
        let device = || Source::Device("d".into());
        let delays: Vec<u128> = (1..6)
            .map(|place| {
                throttle
                    .wrong_guess(now, [source(place), device()])
                    .as_millis()
            })
            .collect();
        assert_eq!(delays, [0, 0, 0, 200, 400]);
    }

    #[test]
    fn guesses_are_forgotten_in_time() {
        let mut throttle = Throttle::default();
        let now = Moment::now();
        for _ in 0..10 {
            let _ = throttle.wrong_guess(now, [source(1)]);
        }
        let later = now + Duration::from_secs(300);
        assert_eq!(throttle.wrong_guess(later, [source(1)]), Duration::ZERO);
    }

    #[test]
    fn many_sources_do_not_grow_the_memory() {
        let mut throttle = Throttle::default();
        let now = Moment::now();
        for number in 0..3 * MOST_SOURCES {
            let _ =
                throttle.wrong_guess(now + Duration::from_millis(number as u64), [source(number)]);
        }
        assert!(throttle.sources.len() <= MOST_SOURCES);
        assert!(throttle.sources.contains_key(&source(3 * MOST_SOURCES - 1)));
    }
}
