//! Whom to ask next, and when.  (pure)

use std::time::Duration;

use openclaw_shared::backoff::Backoff;
use openclaw_shared::clock::WallTime;

use crate::model::ModelErrorKind;

/// How patient one request is.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How often one candidate is asked again.
    pub retries: u32,
    /// How waiting grows.
    pub backoff: Backoff,
    /// A provider that wants more patience is given up.
    pub longest_wait: Duration,
    /// The same where another candidate could be asked instead.
    pub longest_wait_with_others: Duration,
    /// Whether an answer that broke off after its first words is begun anew. Whoever streams to a client that cannot take words back
    /// must not want that.
    pub takes_over: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            retries: 2,
            backoff: Backoff {
                initial: Duration::from_millis(500),
                max: Duration::from_secs(8),
            },
            longest_wait: Duration::from_secs(30),
            longest_wait_with_others: Duration::from_secs(5),
            takes_over: false,
        }
    }
}

/// What is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// This one, at once.
    Ask(usize),
    /// This one, after a while.
    Wait(Duration, usize),
    /// Nobody.
    GiveUp,
}

/// The course of one request.
#[derive(Debug)]
pub(super) struct Plan {
    policy: Policy,
    /// Who has not been asked yet, the next one last.
    left: Vec<usize>,
    next: Next,
    /// How often the one that is asked has failed.
    failures: u32,
}

impl Plan {
    /// Candidates in the order they are wanted, and until when the key of each rests, if it does.
    pub(super) fn new(policy: Policy, resting: impl Iterator<Item = Option<WallTime>>) -> Self {
        let (mut resting, ready): (Vec<_>, Vec<_>) =
            resting.enumerate().partition(|(_, until)| until.is_some());
        // A key that rests comes after all others, the one that rests shortest first, and is not passed over.
        resting.sort_by_key(|(_, until)| *until);
        let order = ready.into_iter().chain(resting).map(|(index, _)| index);
        let mut left: Vec<usize> = order.collect();
        left.reverse();
        let mut plan = Self {
            policy,
            left,
            next: Next::GiveUp,
            failures: 0,
        };
        plan.go_on();
        plan
    }

    pub(super) const fn next(&self) -> Next {
        self.next
    }

    /// The one that was asked has failed, before it said a word or after.
    pub(super) fn failed(
        &mut self,
        candidate: usize,
        kind: ModelErrorKind,
        has_spoken: bool,
        jitter: f64,
    ) {
        if has_spoken && !self.policy.takes_over {
            self.next = Next::GiveUp;
            return;
        }
        self.failures += 1;
        let wait = match kind {
            // Whoever asked makes the conversation shorter; no other model is to be tried with all of it.
            ModelErrorKind::ContextFull => {
                self.next = Next::GiveUp;
                return;
            }
            ModelErrorKind::Auth
            | ModelErrorKind::Unpaid
            | ModelErrorKind::Refused
            | ModelErrorKind::Unknown
            | ModelErrorKind::TooLarge => None,
            // It was waited for long enough.
            ModelErrorKind::TimedOut if !self.left.is_empty() => None,
            ModelErrorKind::TimedOut
            | ModelErrorKind::Unreachable
            | ModelErrorKind::BrokeOff
            | ModelErrorKind::Malformed
            | ModelErrorKind::Limited(None)
            | ModelErrorKind::Overloaded(None) => {
                Some(self.policy.backoff.delay(self.failures, jitter))
            }
            ModelErrorKind::Limited(Some(wish)) | ModelErrorKind::Overloaded(Some(wish)) => {
                let longest = if self.left.is_empty() {
                    self.policy.longest_wait
                } else {
                    self.policy.longest_wait_with_others
                };
                let own = self.policy.backoff.delay(self.failures, jitter);
                (wish <= longest).then(|| wish.max(own))
            }
        };
        match wait.filter(|_| self.failures <= self.policy.retries) {
            Some(wait) => self.next = Next::Wait(wait, candidate),
            None => self.go_on(),
        }
    }

    fn go_on(&mut self) {
        self.failures = 0;
        self.next = self.left.pop().map_or(Next::GiveUp, Next::Ask);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Plays a course: `kind => what is next`, for candidates of which a digit says how long the key rests, and `-` that it does not.
    fn check(candidates: &str, course: &[(ModelErrorKind, &str)]) {
        let resting = candidates.chars().map(|mark| {
            let rest = mark.to_digit(10)?;
            Some(WallTime::from_millis(rest.into()))
        });
        let mut plan = Plan::new(Policy::default(), resting);
        let mut seen = Vec::new();
        for (kind, _) in course {
            let candidate = match plan.next() {
                Next::Ask(candidate) | Next::Wait(_, candidate) => candidate,
                Next::GiveUp => break,
            };
            plan.failed(candidate, *kind, false, 0.0);
            seen.push((*kind, shown(plan.next())));
        }
        let expected: Vec<_> = course
            .iter()
            .map(|(kind, next)| (*kind, (*next).to_owned()))
            .collect();
        assert_eq!(seen, expected);
    }

    fn shown(next: Next) -> String {
        match next {
            Next::Ask(candidate) => format!("ask {candidate}"),
            Next::Wait(wait, candidate) => format!("{wait:?} {candidate}"),
            Next::GiveUp => "give up".to_owned(),
        }
    }

    use ModelErrorKind as Kind;

    #[test]
    fn what_may_pass_is_asked_again_a_few_times() {
        for kind in [
            Kind::Overloaded(None),
            Kind::Limited(None),
            Kind::Unreachable,
            Kind::BrokeOff,
            Kind::Malformed,
            Kind::TimedOut,
        ] {
            check("-", &[(kind, "500ms 0"), (kind, "1s 0"), (kind, "give up")]);
        }
    }

    #[test]
    fn what_does_not_pass_goes_to_the_next_at_once() {
        for kind in [
            Kind::Auth,
            Kind::Unpaid,
            Kind::Refused,
            Kind::Unknown,
            Kind::TooLarge,
            Kind::TimedOut,
        ] {
            check("--", &[(kind, "ask 1")]);
        }
        check("--", &[(Kind::ContextFull, "give up")]);
    }

    #[test]
    fn a_wish_for_patience_is_granted_up_to_a_bound() {
        let limited = |seconds| Kind::Limited(Some(Duration::from_secs(seconds)));
        check("-", &[(limited(30), "30s 0"), (limited(31), "give up")]);
        check("--", &[(limited(5), "5s 0"), (limited(6), "ask 1")]);
        check("-", &[(limited(0), "500ms 0")]);
    }

    #[test]
    fn a_key_that_rests_is_asked_last_and_not_never() {
        check("1-", &[(Kind::Auth, "ask 0"), (Kind::Auth, "give up")]);
        check("1", &[(Kind::Auth, "give up")]);
        check(
            "3-12",
            &[
                (Kind::Auth, "ask 2"),
                (Kind::Auth, "ask 3"),
                (Kind::Auth, "ask 0"),
            ],
        );
        check("", &[]);
    }

    #[test]
    fn nothing_is_asked_again_once_words_were_said() {
        let mut plan = Plan::new(Policy::default(), [None, None].into_iter());
        plan.failed(0, Kind::BrokeOff, true, 0.0);
        assert_eq!(plan.next(), Next::GiveUp);
        let policy = Policy {
            takes_over: true,
            ..Policy::default()
        };
        let mut plan = Plan::new(policy, [None, None].into_iter());
        plan.failed(0, Kind::BrokeOff, true, 0.0);
        assert_eq!(plan.next(), Next::Wait(Duration::from_millis(500), 0));
    }

    fn kinds() -> impl Strategy<Value = ModelErrorKind> {
        let wish = proptest::option::of((0..100_u64).prop_map(Duration::from_secs));
        prop_oneof![
            Just(Kind::Auth),
            Just(Kind::Unpaid),
            wish.clone().prop_map(Kind::Limited),
            wish.prop_map(Kind::Overloaded),
            Just(Kind::Unreachable),
            Just(Kind::TimedOut),
            Just(Kind::BrokeOff),
            Just(Kind::Malformed),
            Just(Kind::TooLarge),
            Just(Kind::ContextFull),
            Just(Kind::Refused),
            Just(Kind::Unknown),
        ]
    }

    proptest! {
        #[test]
        fn a_request_ends_whatever_fails(
            resting in proptest::collection::vec(proptest::option::of(0..9_u64), 0..5),
            course in proptest::collection::vec(kinds(), 40),
        ) {
            let candidates = resting.len();
            let resting = resting.into_iter().map(|until| until.map(WallTime::from_millis));
            let mut plan = Plan::new(Policy::default(), resting);
            let mut asked = vec![0; candidates];
            let mut waited = Duration::ZERO;
            for kind in course {
                let candidate = match plan.next() {
                    Next::Ask(candidate) => candidate,
                    Next::Wait(wait, candidate) => {
                        waited += wait;
                        candidate
                    }
                    Next::GiveUp => break,
                };
                asked[candidate] += 1;
                plan.failed(candidate, kind, false, 0.5);
            }
            prop_assert_eq!(plan.next(), Next::GiveUp);
            prop_assert!(asked.iter().all(|times| *times <= 3));
            prop_assert!(waited <= Duration::from_secs(60) * 5);
        }
    }
}
