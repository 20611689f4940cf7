//! What this process counts of itself, for `/metrics` and `openclaw top`.
//!
//! What happens often adds to a number, and nothing else: no lock, no name looked up, no memory taken. What can be asked for when somebody
//! looks (clients, lanes, the size of the store) is not counted here but read then ([`gather`]).
//!
//! Invariant: what a number is told apart by comes from a closed list (methods from the table, outcomes, states), so that no client can
//! make the page grow, and nothing that a person has written is ever on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openclaw_shared::protocol::error::ErrorCode;

use crate::connection::Outgoing;

pub(crate) mod gather;
pub(crate) mod page;
pub(crate) mod table;

/// A number that only grows while this process lives.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many places a histogram has at most, the last of which takes everything that is longer.
const PLACES: usize = 10;

/// How long something takes, counted by upper bounds.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [Duration],
    places: [Counter; PLACES],
    sum_micros: Counter,
}

/// Bounds for what a machine does by itself: half a millisecond to ten seconds.
pub(crate) const QUICK: &[Duration] = &[
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_millis(2_500),
    Duration::from_secs(10),
];

/// Bounds for what a model takes part in: a tenth of a second to half an hour.
pub(crate) const SLOW: &[Duration] = &[
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(1_800),
];

impl Histogram {
    pub(crate) fn new(bounds: &'static [Duration]) -> Self {
        debug_assert!(bounds.len() < PLACES, "the last place has no bound");
        Self {
            bounds,
            places: Default::default(),
            sum_micros: Counter::default(),
        }
    }

    pub(crate) fn observe(&self, took: Duration) {
        let place = self
            .bounds
            .iter()
            .take_while(|bound| took > **bound)
            .count();
        if let Some(place) = self.places.get(place) {
            place.one();
        }
        // What is shorter than a microsecond adds nothing, and need not be added.
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if micros > 0 {
            self.sum_micros.add(micros);
        }
    }

    /// How many took at most as long as each bound.
    pub(crate) fn up_to(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counts = self.bounds.iter().zip(&self.places);
        counts.scan(0, |all, (bound, place)| {
            *all += place.get();
            Some((*bound, *all))
        })
    }

    pub(crate) fn count(&self) -> u64 {
        self.places.iter().map(Counter::get).sum()
    }

    pub(crate) fn sum_seconds(&self) -> f64 {
        Duration::from_micros(self.sum_micros.get()).as_secs_f64()
    }
}

/// How a request of a client ended; the code of its error, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestOutcome(Option<ErrorCode>);

impl RequestOutcome {
    const ALL: [Self; 6] = [
        Self(None),
        Self(Some(ErrorCode::InvalidRequest)),
        Self(Some(ErrorCode::NotPaired)),
        Self(Some(ErrorCode::Unavailable)),
        Self(Some(ErrorCode::NotLinked)),
        Self(Some(ErrorCode::AgentTimeout)),
    ];

    const fn place(self) -> usize {
        match self.0 {
            None => 0,
            Some(ErrorCode::InvalidRequest) => 1,
            Some(ErrorCode::NotPaired) => 2,
            Some(ErrorCode::Unavailable) => 3,
            Some(ErrorCode::NotLinked) => 4,
            Some(ErrorCode::AgentTimeout) => 5,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self.0 {
            None => "ok",
            Some(ErrorCode::InvalidRequest) => "invalid_request",
            Some(ErrorCode::NotPaired) => "not_paired",
            Some(ErrorCode::Unavailable) => "unavailable",
            Some(ErrorCode::NotLinked) => "not_linked",
            Some(ErrorCode::AgentTimeout) => "agent_timeout",
        }
    }
}

impl From<&Outgoing> for RequestOutcome {
    fn from(answer: &Outgoing) -> Self {
        Self(match answer {
            Outgoing::Plain(Ok(_)) => None,
            Outgoing::Plain(Err(error)) | Outgoing::Failed { error, .. } => Some(error.code),
        })
    }
}

/// The requests for one method.
#[derive(Debug)]
pub(crate) struct Tally {
    outcomes: [Counter; RequestOutcome::ALL.len()],
    pub(crate) took: Histogram,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            outcomes: Default::default(),
            took: Histogram::new(QUICK),
        }
    }
}

impl Tally {
    /// A request was answered.
    pub(crate) fn answered(&self, answer: &Outgoing, took: Duration) {
        self.outcomes[RequestOutcome::from(answer).place()].one();
        self.took.observe(took);
    }

    /// How many ended in each way in which any did.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (RequestOutcome, u64)> {
        let all = RequestOutcome::ALL.into_iter();
        all.map(|outcome| (outcome, self.outcomes[outcome.place()].get()))
            .filter(|(_, count)| *count > 0)
    }
}

/// Why somebody was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// The page that opened the connection belongs to another site.
    Origin,
    /// What came first was no `connect` that can be read.
    FirstFrame,
    /// Nothing came in time.
    Late,
    /// The secret is wrong, or missing.
    Unauthorized,
    /// The device has to be approved first.
    NotPaired,
    /// It cannot be decided at the moment.
    Unavailable,
}

impl Turned {
    pub(crate) const ALL: [Self; 6] = [
        Self::Origin,
        Self::FirstFrame,
        Self::Late,
        Self::Unauthorized,
        Self::NotPaired,
        Self::Unavailable,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::FirstFrame => "first_frame",
            Self::Late => "late",
            Self::Unauthorized => "unauthorized",
            Self::NotPaired => "not_paired",
            Self::Unavailable => "unavailable",
        }
    }
}

impl From<ErrorCode> for Turned {
    fn from(code: ErrorCode) -> Self {
        match code {
            // What can be read and is refused all the same is refused for what it shows of itself.
            ErrorCode::InvalidRequest => Self::Unauthorized,
            ErrorCode::NotPaired => Self::NotPaired,
            ErrorCode::Unavailable | ErrorCode::NotLinked | ErrorCode::AgentTimeout => {
                Self::Unavailable
            }
        }
    }
}

/// What went to clients without being asked for. Each connection holds it.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Sockets that were opened.
    pub(crate) opened: Counter,
    /// Events that were written or queued, one for each client.
    pub(crate) events: Counter,
    /// Events that a slow client has lost because the next one says it too.
    pub(crate) skipped: Counter,
    /// Clients that were closed because they did not read.
    pub(crate) slow_readers: Counter,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunEnd {
    /// It was done.
    Ok,
    /// The model, or the way to it, has failed.
    ModelError,
    /// It was not done.
    Error,
    /// Somebody stopped it.
    Aborted,
}

impl RunEnd {
    pub(crate) const ALL: [Self; 4] = [Self::Ok, Self::ModelError, Self::Error, Self::Aborted];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ModelError => "model_error",
            Self::Error => "error",
            Self::Aborted => "aborted",
        }
    }
}

/// Runs of agents.
#[derive(Debug)]
pub(crate) struct RunTally {
    ends: [Counter; RunEnd::ALL.len()],
    pub(crate) took: Histogram,
    pub(crate) input: Counter,
    pub(crate) output: Counter,
    pub(crate) cache_read: Counter,
    pub(crate) cache_write: Counter,
}

impl Default for RunTally {
    fn default() -> Self {
        Self {
            ends: Default::default(),
            took: Histogram::new(SLOW),
            input: Counter::default(),
            output: Counter::default(),
            cache_read: Counter::default(),
            cache_write: Counter::default(),
        }
    }
}

impl RunTally {
    /// A run is over; `took` is known when it had begun.
    pub(crate) fn ended(&self, how: RunEnd, took: Option<Duration>) {
        self.ends[how as usize].one();
        if let Some(took) = took {
            self.took.observe(took);
        }
    }

    pub(crate) fn ends(&self, how: RunEnd) -> u64 {
        self.ends[how as usize].get()
    }
}

/// Commits of the store.
#[derive(Debug)]
pub(crate) struct CommitTally {
    pub(crate) failed: Counter,
    /// Writes that shared them.
    pub(crate) writes: Counter,
    pub(crate) took: Histogram,
}

impl Default for CommitTally {
    fn default() -> Self {
        Self {
            failed: Counter::default(),
            writes: Counter::default(),
            took: Histogram::new(QUICK),
        }
    }
}

/// Occurrences of jobs, by how they ended.
#[derive(Debug, Default)]
pub(crate) struct JobTally {
    pub(crate) ok: Counter,
    pub(crate) error: Counter,
    pub(crate) skipped: Counter,
}

/// Everything that is counted outside of the parts that keep their own.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    turned: [Counter; Turned::ALL.len()],
    /// Answers over HTTP, by the first digit of their status.
    http: [Counter; 6],
    pub(crate) runs: RunTally,
    pub(crate) jobs: JobTally,
}

impl Metrics {
    /// Somebody was not let in.
    pub(crate) fn turned_away(&self, why: Turned) {
        self.turned[why as usize].one();
    }

    pub(crate) fn turned(&self, why: Turned) -> u64 {
        self.turned[why as usize].get()
    }

    /// A request over HTTP was answered.
    pub(crate) fn answered(&self, status: http::StatusCode) {
        if let Some(class) = self.http.get(usize::from(status.as_u16() / 100)) {
            class.one();
        }
    }

    pub(crate) fn http(&self) -> impl Iterator<Item = (usize, u64)> {
        self.http.iter().map(Counter::get).enumerate().skip(1)
    }
}

/// The tally of a method, shared with whoever waits for its answer.
pub(crate) type SharedTally = Arc<Tally>;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Histogram, QUICK, RunEnd, SLOW, Turned};

    #[test]
    fn what_takes_as_long_as_a_bound_is_below_it_and_nothing_is_too_long() {
        let histogram = Histogram::new(QUICK);
        for took in [
            Duration::ZERO,
            Duration::from_micros(500),
            Duration::from_micros(501),
            Duration::from_secs(10),
            Duration::from_secs(1_000),
        ] {
            histogram.observe(took);
        }
        let up_to: Vec<u64> = histogram.up_to().map(|(_, count)| count).collect();
        assert_eq!(up_to, [2, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!(histogram.count(), 5);
        assert!((histogram.sum_seconds() - 1_010.001).abs() < 0.001);
    }

    #[test]
    fn bounds_grow() {
        for bounds in [QUICK, SLOW] {
            assert!(bounds.is_sorted() && bounds.len() < super::PLACES);
        }
    }

    #[test]
    fn every_kind_has_a_place_of_its_own() {
        for (place, why) in Turned::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place);
        }
        for (place, how) in RunEnd::ALL.into_iter().enumerate() {
            assert_eq!(how as usize, place);
        }
        for (place, outcome) in super::RequestOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.place(), place);
        }
    }
}
