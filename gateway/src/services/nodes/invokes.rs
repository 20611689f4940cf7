//! What nodes were asked and have not answered.                                           (pure)
//!
//! Each request belongs to the one connection it is sent on: nobody else's answer counts, and it ends with that connection, with
//! its deadline, or with this life of the gateway. A caller that leaves takes nothing with it: whoever asks again under the same
//! key finds the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_shared::clock::Moment;
use openclaw_shared::protocol::error::ErrorShape;
use openclaw_shared::protocol::params::nodes::NodeError;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::connection::link::LinkId;
use crate::services::idempotency::Ticket;

/// Requests one node may have before it.
const MOST_PER_NODE: usize = 64;
/// Requests all nodes together may have before them.
const MOST: usize = 1_024;

/// What a node said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) payload: Option<Arc<RawValue>>,
    /// The same as the text that it came as, if it came as text.
    pub(crate) payload_json: Option<String>,
}

/// How a request ended.
pub(crate) type Outcome = Result<Said, Box<ErrorShape>>;

/// Who is to hear how it ended.
#[derive(Debug)]
pub(crate) enum Settle {
    /// Everybody who asked under a key.
    Keyed(Ticket),
    /// One caller.
    Once(oneshot::Sender<Outcome>),
}

/// A request that has ended, and whose end is to be told.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) settle: Settle,
    pub(crate) node: Arc<str>,
    pub(crate) command: String,
    pub(crate) outcome: Outcome,
}

/// A request before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    pub(crate) id: String,
    pub(crate) node: Arc<str>,
    pub(crate) link: LinkId,
    pub(crate) command: String,
    pub(crate) deadline: Moment,
}

#[derive(Debug)]
struct Pending {
    reservation: Reservation,
    /// None until it is sent.
    settle: Option<Settle>,
}

/// All requests.
#[derive(Debug, Default)]
pub(crate) struct Invokes {
    pending: BTreeMap<String, Pending>,
    over: Vec<Over>,
    is_closed: bool,
}

/// This life ends, and nobody waits for nodes any more.
pub(crate) fn leaving(command: &str) -> ErrorShape {
    ErrorShape::unavailable(format!(
        "the gateway is restarting; the outcome of {command} is unknown"
    ))
    .with_details(json!({ "code": "GATEWAY_RESTARTING" }))
}

/// The connection on which the answer would have come is gone.
pub(crate) fn disconnected(command: &str) -> ErrorShape {
    ErrorShape::unavailable(format!("Error: node disconnected ({command})"))
        .with_details(json!({ "code": "NODE_DISCONNECTED" }))
}

/// The node is not here.
pub(crate) fn not_connected() -> ErrorShape {
    ErrorShape::unavailable("node not connected").with_details(json!({ "code": "NOT_CONNECTED" }))
}

fn timed_out() -> ErrorShape {
    let message = "node invoke timed out";
    ErrorShape::unavailable(message)
        .with_details(json!({ "nodeError": { "code": "TIMEOUT", "message": message } }))
}

/// The node said no.
pub(crate) fn refused(error: Option<NodeError>) -> ErrorShape {
    let error = error.unwrap_or_default();
    let message = error
        .message
        .clone()
        .unwrap_or_else(|| "node invoke failed".to_owned());
    ErrorShape::unavailable(message).with_details(json!({ "nodeError": error }))
}

impl Invokes {
    /// Makes room for a request.
    ///
    /// # Errors
    /// When too many wait, or this life ends.
    pub(crate) fn reserve(&mut self, reservation: Reservation) -> Result<(), ErrorShape> {
        if self.is_closed {
            return Err(leaving(&reservation.command));
        }
        let of_node = self
            .pending
            .values()
            .filter(|pending| pending.reservation.node == reservation.node)
            .count();
        if self.pending.len() >= MOST || of_node >= MOST_PER_NODE {
            return Err(
                ErrorShape::unavailable("too many requests wait for nodes").retryable_after(1_000)
            );
        }
        let id = reservation.id.clone();
        self.pending.insert(
            id,
            Pending {
                reservation,
                settle: None,
            },
        );
        Ok(())
    }

    /// Gives up a request that was not sent.
    pub(crate) fn release(&mut self, id: &str) {
        if self
            .pending
            .get(id)
            .is_some_and(|pending| pending.settle.is_none())
        {
            self.pending.remove(id);
        }
    }

    /// The request is sent now. When its connection has ended meanwhile, there is nothing to be sent.
    #[must_use = "a request that was not taken must be settled"]
    pub(crate) fn send(&mut self, id: &str, settle: Settle) -> Option<Settle> {
        match self.pending.get_mut(id) {
            Some(pending) => {
                pending.settle = Some(settle);
                None
            }
            None => Some(settle),
        }
    }

    /// A node answers. Nothing, when nobody waits for this answer from this connection.
    pub(crate) fn answer(
        &mut self,
        id: &str,
        node: &str,
        link: LinkId,
        outcome: Outcome,
    ) -> Option<Over> {
        let pending = self.pending.get(id)?;
        let is_asked = &*pending.reservation.node == node && pending.reservation.link == link;
        if !is_asked || pending.settle.is_none() {
            return None;
        }
        self.pending
            .remove(id)
            .and_then(|pending| pending.end(outcome))
    }

    /// A connection has ended.
    pub(crate) fn disconnect(&mut self, link: LinkId) {
        self.end(|pending| pending.link == link, disconnected);
    }

    /// Time has passed.
    pub(crate) fn expire(&mut self, now: Moment) {
        self.end(|pending| pending.deadline <= now, |_| timed_out());
    }

    /// This life ends: nobody may wait for a node any more.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.end(|_| true, leaving);
    }

    fn end(&mut self, is_meant: impl Fn(&Reservation) -> bool, why: impl Fn(&str) -> ErrorShape) {
        let over = self
            .pending
            .extract_if(.., |_, pending| is_meant(&pending.reservation));
        self.over.extend(over.filter_map(|(_, pending)| {
            let why = why(&pending.reservation.command);
            pending.end(Err(Box::new(why)))
        }));
    }

    /// What has ended without an answer since this was asked last.
    pub(crate) fn take_over(&mut self) -> Vec<Over> {
        std::mem::take(&mut self.over)
    }

    /// When the next request is too late.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.pending
            .values()
            .map(|pending| pending.reservation.deadline)
            .min()
    }
}

impl Pending {
    fn end(self, outcome: Outcome) -> Option<Over> {
        Some(Over {
            settle: self.settle?,
            node: self.reservation.node,
            command: self.reservation.command,
            outcome,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use openclaw_shared::clock::Moment;
    use tokio::sync::oneshot;

    use super::{Invokes, MOST, MOST_PER_NODE, Outcome, Over, Reservation, Said, Settle};
    use crate::connection::link::LinkId;

    fn reserve(invokes: &mut Invokes, id: &str, node: &str, link: u64, deadline: Moment) -> bool {
        let reservation = Reservation {
            id: id.to_owned(),
            node: Arc::from(node),
            link: LinkId(link),
            command: "system.which".to_owned(),
            deadline,
        };
        invokes.reserve(reservation).is_ok()
    }

    fn sent(
        invokes: &mut Invokes,
        id: &str,
        node: &str,
        link: u64,
        deadline: Moment,
    ) -> oneshot::Receiver<Outcome> {
        assert!(reserve(invokes, id, node, link, deadline));
        let (settle, settled) = oneshot::channel();
        assert!(invokes.send(id, Settle::Once(settle)).is_none());
        settled
    }

    fn ends(over: &[Over]) -> Vec<String> {
        over.iter()
            .map(|over| match &over.outcome {
                Ok(_) => "ok".to_owned(),
                Err(error) => error.message.clone(),
            })
            .collect()
    }

    fn soon() -> Moment {
        Moment::now() + Duration::from_secs(60)
    }

    #[test]
    fn rule_43_only_the_connection_that_was_asked_can_answer() {
        let mut invokes = Invokes::default();
        let _waiting = sent(&mut invokes, "i", "a", 1, soon());
        assert!(
            invokes
                .answer("i", "b", LinkId(2), Ok(Said::default()))
                .is_none()
        );
        assert!(
            invokes
                .answer("i", "a", LinkId(3), Ok(Said::default()))
                .is_none()
        );
        assert!(
            invokes
                .answer("i", "a", LinkId(1), Ok(Said::default()))
                .is_some()
        );
        assert!(
            invokes
                .answer("i", "a", LinkId(1), Ok(Said::default()))
                .is_none()
        );
    }

    #[test]
    fn a_request_ends_with_its_connection_its_deadline_or_this_life() {
        let mut invokes = Invokes::default();
        let now = Moment::now();
        let _first = sent(&mut invokes, "1", "a", 1, soon());
        let _second = sent(&mut invokes, "2", "b", 2, now);
        let _third = sent(&mut invokes, "3", "c", 3, soon());
        assert_eq!(invokes.next_deadline(), Some(now));
        invokes.disconnect(LinkId(1));
        assert_eq!(
            ends(&invokes.take_over()),
            ["Error: node disconnected (system.which)"]
        );
        invokes.expire(now);
        assert_eq!(ends(&invokes.take_over()), ["node invoke timed out"]);
        invokes.close();
        assert_eq!(
            ends(&invokes.take_over()),
            ["the gateway is restarting; the outcome of system.which is unknown"]
        );
        assert!(!reserve(&mut invokes, "4", "a", 1, soon()));
        assert_eq!(invokes.next_deadline(), None);
    }

    #[test]
    fn what_was_not_sent_leaves_nothing() {
        let mut invokes = Invokes::default();
        assert!(reserve(&mut invokes, "1", "a", 1, soon()));
        assert!(
            invokes
                .answer("1", "a", LinkId(1), Ok(Said::default()))
                .is_none()
        );
        invokes.release("1");
        assert_eq!(invokes.next_deadline(), None);
        assert!(reserve(&mut invokes, "2", "a", 1, soon()));
        invokes.disconnect(LinkId(1));
        assert!(invokes.take_over().is_empty());
        let (settle, _settled) = oneshot::channel();
        assert!(invokes.send("2", Settle::Once(settle)).is_some());
        let _waiting = sent(&mut invokes, "3", "a", 1, soon());
        invokes.release("3");
        assert!(invokes.next_deadline().is_some());
    }

    #[test]
    fn what_waits_is_bounded_for_each_node_and_in_all() {
        let mut invokes = Invokes::default();
        for number in 0..MOST_PER_NODE {
            assert!(reserve(&mut invokes, &format!("a{number}"), "a", 1, soon()));
        }
        assert!(!reserve(&mut invokes, "more", "a", 1, soon()));
        for number in MOST_PER_NODE..MOST {
            assert!(reserve(
                &mut invokes,
                &format!("n{number}"),
                &format!("n{number}"),
                1,
                soon()
            ));
        }
        assert!(!reserve(&mut invokes, "more", "other", 1, soon()));
    }
}
