//! Messages that make room for another one, because too many wait in their session.
//!
//! Invariant: such a message ends in the commit that takes the other one in, and the line that stands for it goes with that one. What
//! fails in between leaves it where it was.

use std::sync::Arc;

use openclaw_shared::clock::Moment;
use rusqlite::Connection;

use super::lanes::Waiting;
use super::request::{Outcome, RunRequest};
use super::{estate, journal};
use crate::context::Context;
use crate::settings::queue::DropPolicy;
use crate::store::StoreError;

/// How many letters stand for a message.
const LONGEST_LINE: usize = 160;
/// How many lines a message brings along; of older ones nothing is said but that there were more.
const MOST_LINES: usize = 100;
/// Why a message has ended that nobody has answered.
const QUEUE_FULL: &str = "queue full";
/// What stands for the lines that are too many.
const MORE: &str = "(and others before these)";

/// A message that is to make room. Until it has it goes back to its place when this is dropped.
pub(super) struct Dropped {
    context: Arc<Context>,
    session: String,
    waiting: Option<Waiting>,
    outcome: Outcome,
    policy: DropPolicy,
}

/// What is written of it.
pub(super) struct Leaves {
    run: Option<String>,
    outcome: Outcome,
    policy: DropPolicy,
}

impl Dropped {
    /// The message that has waited longest in a session, kept from beginning.
    pub(super) fn oldest(
        context: &Arc<Context>,
        session: &str,
        policy: DropPolicy,
    ) -> Option<Self> {
        let mut state = context.runs.state();
        let oldest = state.lanes.oldest_message(session)?;
        let waiting = state.lanes.give_up(session, &oldest)?;
        Some(Self {
            context: context.clone(),
            session: session.to_owned(),
            waiting: Some(waiting),
            outcome: estate::not_begun(QUEUE_FULL),
            policy,
        })
    }

    pub(super) fn leaves(&self) -> Leaves {
        Leaves {
            run: self.waiting.as_ref().map(|it| it.run.clone()),
            outcome: self.outcome.clone(),
            policy: self.policy,
        }
    }

    /// It has made room, which is kept: whoever waits for it is told.
    pub(super) fn tell(mut self) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        let known = self.context.runs.state().known.remove(&waiting.run);
        if let Some(known) = known {
            let outcome = self.outcome.clone();
            estate::tell_never_begins(&self.context, &waiting.run, &known, outcome);
        }
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        let mut state = self.context.runs.state();
        // What a life that leaves has not begun is its successor's.
        if !state.is_leaving {
            state.lanes.enter(&self.session, waiting, Moment::now());
        }
        drop(state);
        self.context.runs.bell.notify_one();
    }
}

impl Leaves {
    /// The message that comes instead tells of this one.
    pub(super) fn hand_over(&self, tx: &Connection, to: &mut RunRequest) -> Result<(), StoreError> {
        let found = self.run.as_deref().map(|run| journal::find(tx, run));
        let Some(stored) = found.transpose()?.flatten() else {
            return Ok(());
        };
        let work = stored.request.work;
        let mut lines = work.left_out;
        if self.policy == DropPolicy::Summarize {
            lines.push(line(&work.message));
        }
        to.work.left_out = bounded(lines);
        Ok(())
    }

    pub(super) fn end(&self, tx: &Connection) -> Result<(), StoreError> {
        if let Some(run) = &self.run {
            journal::end(tx, run, &self.outcome)?;
        }
        Ok(())
    }
}

fn bounded(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > MOST_LINES {
        lines.drain(..=lines.len() - MOST_LINES);
        lines.insert(0, MORE.to_owned());
    }
    lines
}

/// A message in one line.
fn line(message: &str) -> String {
    let words = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= LONGEST_LINE {
        return words;
    }
    let shorter: String = words.chars().take(LONGEST_LINE - 1).collect();
    format!("{}…", shorter.trim_end())
}

/// What an agent is told of messages that it does not get.
pub(super) fn told(lines: &[String]) -> Option<String> {
    let bullets: Vec<String> = lines.iter().map(|line| format!("- {line}")).collect();
    (!bullets.is_empty()).then(|| {
        format!(
            "[Earlier messages that were left out because too many waited, in a line each]\n{}",
            bullets.join("\n")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LINE, MORE, MOST_LINES, bounded, line, told};

    #[test]
    fn a_message_is_one_line_that_is_not_too_long() {
        assert_eq!(line("  one\n two\tthree "), "one two three");
        let long = line(&"ä".repeat(1000));
        assert_eq!(long.chars().count(), LONGEST_LINE);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn there_are_not_too_many_lines_and_that_is_said() {
        let lines = |count: usize| (0..count).map(|at| at.to_string()).collect::<Vec<_>>();
        assert_eq!(bounded(lines(MOST_LINES)), lines(MOST_LINES));
        let once = bounded(lines(MOST_LINES + 5));
        assert_eq!((once.len(), once[0].as_str()), (MOST_LINES, MORE));
        assert_eq!(once[1], "6");
        assert_eq!(once.last().unwrap(), "104");
        let mut more = once;
        more.push("new".to_owned());
        let twice = bounded(more);
        assert_eq!((twice.len(), twice[1].as_str()), (MOST_LINES, "7"));
    }

    #[test]
    fn nothing_is_told_of_nothing() {
        assert_eq!(told(&[]), None);
        let told = told(&["a".to_owned(), "b".to_owned()]).unwrap();
        assert!(told.ends_with("\n- a\n- b"), "{told}");
    }
}
