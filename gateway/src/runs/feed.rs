//! What a run says, for whoever follows it in this process.
//!
//! Invariant: a follower that is slow finds one longer text, never a queue. What is kept for all of them is one answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_agent::model::ToolCall;
use tokio::sync::Notify;

use super::request::Outcome;

/// A step of a run, as a follower sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// More of the text.
    Text(String),
    /// What was said so far does not count: another model has taken over.
    Anew,
    /// A tool of the client is to be called.
    ClientCall(ToolCall),
    /// It is over.
    Ended(Box<Outcome>),
}

/// What a run has said so far.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    said: Mutex<Said>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Said {
    text: String,
    /// Grows when the text begins anew.
    edition: u64,
    outcome: Option<Box<Outcome>>,
}

impl Feed {
    fn said(&self) -> MutexGuard<'_, Said> {
        // Each critical section leaves its value whole, so a poisoned lock is as good as any.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text has become longer.
    pub(crate) fn grows(&self, delta: &str) {
        self.said().text.push_str(delta);
        self.more.notify_waiters();
    }

    /// The text begins anew, and what came before does not count.
    pub(crate) fn anew(&self) {
        let mut said = self.said();
        said.text.clear();
        said.edition += 1;
        drop(said);
        self.more.notify_waiters();
    }

    /// The run is over.
    pub(crate) fn ends(&self, outcome: Outcome) {
        self.said().outcome = Some(Box::new(outcome));
        self.more.notify_waiters();
    }
}

/// Follows a run from its beginning.
#[derive(Debug)]
pub(crate) struct Follower {
    feed: Arc<Feed>,
    taken: usize,
    edition: u64,
    calls: std::vec::IntoIter<ToolCall>,
    ended: Option<Box<Outcome>>,
    is_over: bool,
}

impl Follower {
    pub(crate) fn new(feed: Arc<Feed>) -> Self {
        Self {
            feed,
            taken: 0,
            edition: 0,
            calls: Vec::new().into_iter(),
            ended: None,
            is_over: false,
        }
    }

    /// The next step; none after the end.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        loop {
            let feed = self.feed.clone();
            let more = feed.more.notified();
            tokio::pin!(more);
            // Whatever is said from here on rings.
            more.as_mut().enable();
            if let Some(step) = self.step() {
                return Some(step);
            }
            if self.is_over {
                return None;
            }
            more.await;
        }
    }

    fn step(&mut self) -> Option<Step> {
        if self.is_over {
            return None;
        }
        if let Some(call) = self.calls.next() {
            return Some(Step::ClientCall(call));
        }
        if let Some(outcome) = self.ended.take() {
            self.is_over = true;
            return Some(Step::Ended(outcome));
        }
        let said = self.feed.said();
        if said.edition != self.edition {
            self.edition = said.edition;
            self.taken = 0;
            return Some(Step::Anew);
        }
        let new = said.text.get(self.taken..).unwrap_or_default();
        if !new.is_empty() {
            self.taken = said.text.len();
            return Some(Step::Text(new.to_owned()));
        }
        let outcome = said.outcome.clone()?;
        drop(said);
        let calls: Vec<ToolCall> = outcome
            .client_calls
            .iter()
            .map(|call| ToolCall {
                id: call.id.clone(),
                name: call.name.clone(),
                arguments: call.arguments.clone(),
            })
            .collect();
        self.calls = calls.into_iter();
        self.ended = Some(outcome);
        self.step()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;

    use super::{Feed, Follower, Step};
    use crate::runs::request::{Outcome, RunStatus};

    #[tokio::test]
    async fn a_slow_follower_finds_one_longer_text_and_the_end() {
        let feed = Arc::new(Feed::default());
        let mut follower = Follower::new(feed.clone());
        assert_eq!(follower.next().now_or_never(), None);
        feed.grows("Hel");
        feed.grows("lo");
        assert_eq!(follower.next().await, Some(Step::Text("Hello".into())));
        {
            let waits = follower.next();
            tokio::pin!(waits);
            assert!(waits.as_mut().now_or_never().is_none());
            feed.grows("!");
            assert_eq!(waits.await, Some(Step::Text("!".into())));
        }
        feed.anew();
        feed.grows("Bye");
        assert_eq!(follower.next().await, Some(Step::Anew));
        assert_eq!(follower.next().await, Some(Step::Text("Bye".into())));
        let outcome = Outcome::ended(RunStatus::Ok, None, 7);
        feed.ends(outcome.clone());
        assert_eq!(follower.next().await, Some(Step::Ended(Box::new(outcome))));
        assert_eq!(follower.next().await, None);
        // Whoever comes late hears all of it.
        let mut late = Follower::new(feed);
        assert_eq!(late.next().await, Some(Step::Anew));
        assert_eq!(late.next().await, Some(Step::Text("Bye".into())));
    }
}
