//! Questions to the supervisor that wait for their answers.
//!
//! Invariant: every question has one end, by its answer, by its deadline, or because nobody waits any more; and only so many
//! wait at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::Outcome;

/// A change is answered when it is in force, which may take several successors, one after the other, each with its own time to
/// become ready.
const DEADLINE: Duration = Duration::from_secs(120);
/// Questions that may wait; each holds a place in the supervisor too.
const MAX_WAITING: usize = 32;

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Too many questions wait already; this one was not asked.
    #[error("too many changes of the configuration wait for their end")]
    TooMany,
    /// No answer came in time, or will come.
    #[error("the supervisor did not confirm the change; config.get tells whether it counts")]
    NoAnswer,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    answers: BTreeMap<u64, oneshot::Sender<Outcome>>,
}

/// The questions of this life; another life's answers find none of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Asks(Arc<Mutex<Waiting>>);

impl Asks {
    /// A new question.
    pub(super) fn ask(&self) -> Result<Asked, Unanswered> {
        self.with(|waiting| {
            if waiting.answers.len() >= MAX_WAITING {
                return Err(Unanswered::TooMany);
            }
            let (answer, answered) = oneshot::channel();
            waiting.last += 1;
            waiting.answers.insert(waiting.last, answer);
            Ok(Asked {
                number: waiting.last,
                answered: Some(answered),
                asks: self.clone(),
            })
        })
    }

    /// Hands an answer to whoever waits for it.
    pub(super) fn answered(&self, number: u64, outcome: Outcome) {
        if let Some(answer) = self.with(|waiting| waiting.answers.remove(&number)) {
            // Whoever asked may have left in this moment.
            let _ = answer.send(outcome);
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Waiting) -> T) -> T {
        // Every critical section leaves the table whole.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A question that was asked. Dropped, it is forgotten.
#[derive(Debug)]
pub(super) struct Asked {
    number: u64,
    answered: Option<oneshot::Receiver<Outcome>>,
    asks: Asks,
}

impl Asked {
    /// Tells it apart from the others.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Waits for the answer.
    pub(super) async fn answer(mut self) -> Result<Outcome, Unanswered> {
        let Some(answered) = self.answered.take() else {
            return Err(Unanswered::NoAnswer);
        };
        match timeout(DEADLINE, answered).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) | Err(_) => Err(Unanswered::NoAnswer),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.asks
            .with(|waiting| waiting.answers.remove(&self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::{Asks, DEADLINE, MAX_WAITING, Outcome, Unanswered};

    fn live() -> Outcome {
        Outcome::Live { keys: Vec::new() }
    }

    #[tokio::test]
    async fn an_answer_finds_its_question_and_no_other() {
        let asks = Asks::default();
        let (first, second) = (asks.ask().unwrap(), asks.ask().unwrap());
        let pending = Outcome::Pending { keys: Vec::new() };
        asks.answered(second.number(), pending.clone());
        asks.answered(first.number() + 99, live());
        asks.answered(first.number(), live());
        assert_eq!(first.answer().await, Ok(live()));
        assert_eq!(second.answer().await, Ok(pending));
    }

    #[tokio::test(start_paused = true)]
    async fn questions_are_few_and_end_by_themselves() {
        let asks = Asks::default();
        let asked: Vec<_> = (0..MAX_WAITING).map(|_| asks.ask().unwrap()).collect();
        assert_eq!(asks.ask().map(|_| ()), Err(Unanswered::TooMany));
        drop(asked);
        let asked = asks.ask().unwrap();
        let before = tokio::time::Instant::now();
        assert_eq!(asked.answer().await, Err(Unanswered::NoAnswer));
        assert_eq!(before.elapsed(), DEADLINE);
        assert_eq!(asks.with(|waiting| waiting.answers.len()), 0);
    }
}
