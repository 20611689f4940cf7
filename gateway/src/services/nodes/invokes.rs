//! What nodes were asked and have not answered.                                           (pure)
//!
//! Each request belongs to the one connection it is sent on: nobody else's answer counts, and it ends with that connection, with
//! its deadline, or with this life of the gateway. A caller that leaves takes nothing with it: for a while, whoever asks again under
//! the same key finds the answer. When nobody has come back, or it is too late, the node is told that it may stop.
//!
//! Invariant: what is to be settled is queued here for the one who looks after it ([`Work`]), and never in the hands of a connection,
//! which may end at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

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
/// Requests all nodes together may have before them, those included whose answer is being kept.
const MOST: usize = 1_024;
/// How long a node goes on for a caller that has left and may come back under its key: longer than a connection takes that was
/// lost for a moment.
const COMES_BACK: Duration = Duration::from_secs(30);
/// How much of a node's error is passed on, in characters.
const LONGEST_MESSAGE: usize = 4_096;
/// How much of the kind of it, in characters.
const LONGEST_CODE: usize = 128;

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

impl Settle {
    /// Whether somebody waits.
    fn is_awaited(&self) -> bool {
        match self {
            Self::Keyed(ticket) => ticket.is_awaited(),
            Self::Once(tell) => !tell.is_closed(),
        }
    }

    /// How long somebody may take to come back.
    const fn patience(&self) -> Duration {
        match self {
            Self::Keyed(_) => COMES_BACK,
            Self::Once(_) => Duration::ZERO,
        }
    }
}

/// A request that has ended, and whose end is to be told.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) settle: Settle,
    pub(crate) node: Arc<str>,
    pub(crate) command: String,
    pub(crate) outcome: Outcome,
    /// Dropped when everybody was told; the node that answered waits for that.
    pub(crate) told: Option<oneshot::Sender<()>>,
}

/// A request before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    pub(crate) id: String,
    pub(crate) node: Arc<str>,
    pub(crate) link: LinkId,
    pub(crate) command: String,
    pub(crate) timeout: Duration,
    pub(crate) deadline: Moment,
}

/// A request whose node may stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cancelled {
    pub(crate) id: String,
    pub(crate) node: Arc<str>,
    pub(crate) link: LinkId,
}

#[derive(Debug)]
struct Pending {
    reservation: Reservation,
    /// None until it is sent.
    settle: Option<Settle>,
    /// Until when somebody may come back, while nobody waits.
    alone_until: Option<Moment>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// To be kept and told; each is to be reported as [`Invokes::settled`].
    pub(crate) over: Vec<Over>,
    /// Nodes to be told that they may stop.
    pub(crate) cancelled: Vec<Cancelled>,
    /// Connections of nodes that may leave.
    pub(crate) released: Vec<LinkId>,
}

/// All requests.
#[derive(Debug, Default)]
pub(crate) struct Invokes {
    pending: BTreeMap<String, Pending>,
    over: Vec<Over>,
    cancelled: Vec<Cancelled>,
    /// How many have ended and are being kept and told.
    settling: usize,
    /// This life ends: nothing new is taken.
    is_closed: bool,
    /// Nodes are not waited for any more.
    gave_up: bool,
    /// Connections that stay until their nodes have answered.
    staying: BTreeSet<LinkId>,
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

fn abandoned(command: &str) -> ErrorShape {
    ErrorShape::unavailable(format!("nobody waited for {command}, and it was cancelled"))
        .with_details(json!({ "code": "CANCELLED" }))
}

/// The node said no.
pub(crate) fn refused(error: Option<NodeError>) -> ErrorShape {
    let cut = |text: String, longest: usize| text.chars().take(longest).collect::<String>();
    let NodeError { code, message } = error.unwrap_or_default();
    let error = NodeError {
        code: code.map(|code| cut(code, LONGEST_CODE)),
        message: message.map(|message| cut(message, LONGEST_MESSAGE)),
    };
    let message = error.message.clone();
    ErrorShape::unavailable(message.unwrap_or_else(|| "node invoke failed".to_owned()))
        .with_details(json!({ "nodeError": error }))
}

impl Invokes {
    /// How many have no answer yet.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

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
        let in_all = self.pending.len() + self.over.len() + self.settling;
        if in_all >= MOST || of_node >= MOST_PER_NODE {
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
                alone_until: None,
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

    /// Whether the request is to be sent now. When its connection has ended meanwhile, there is nothing to be sent, and its end is
    /// to be told.
    #[must_use = "a request that is over is not sent"]
    pub(crate) fn send(&mut self, now: Moment, reservation: &Reservation, settle: Settle) -> bool {
        if let Some(pending) = self.pending.get_mut(&reservation.id) {
            pending.settle = Some(settle);
            return true;
        }
        let command = &reservation.command;
        let why = if self.gave_up {
            leaving(command)
        } else if now >= reservation.deadline {
            timed_out()
        } else {
            disconnected(command)
        };
        self.over.push(Over {
            settle,
            node: reservation.node.clone(),
            command: command.clone(),
            outcome: Err(Box::new(why)),
            told: None,
        });
        false
    }

    /// A node answers. Nothing, when nobody waits for this answer from this connection; else what ends when everybody was told.
    pub(crate) fn answer(
        &mut self,
        id: &str,
        node: &str,
        link: LinkId,
        outcome: Outcome,
    ) -> Option<oneshot::Receiver<()>> {
        let pending = self.pending.get(id)?;
        let is_asked = &*pending.reservation.node == node && pending.reservation.link == link;
        if !is_asked || pending.settle.is_none() {
            return None;
        }
        let (told, telling) = oneshot::channel();
        let over = self.pending.remove(id)?.end(outcome)?;
        self.over.push(Over {
            told: Some(told),
            ..over
        });
        Some(telling)
    }

    /// A connection has ended.
    pub(crate) fn disconnect(&mut self, link: LinkId) {
        self.end(|pending| pending.reservation.link == link, disconnected);
        self.cancelled.retain(|cancelled| cancelled.link != link);
    }

    /// Time has passed, or somebody who waited has left.
    pub(crate) fn expire(&mut self, now: Moment) {
        for pending in self.pending.values_mut() {
            pending.look_who_waits(now);
        }
        self.cancel(
            |pending| pending.reservation.deadline <= now,
            |_| timed_out(),
        );
        let is_alone = |pending: &Pending| pending.alone_until.is_some_and(|until| until <= now);
        self.cancel(is_alone, abandoned);
    }

    /// This life ends: nothing new is taken. The connections that stay until their nodes have answered.
    #[must_use = "whoever must answer may not be sent away"]
    pub(crate) fn close(&mut self) -> BTreeSet<LinkId> {
        self.is_closed = true;
        self.staying = self.busy().collect();
        self.staying.clone()
    }

    /// Nodes are not waited for any more. They go on: what they are at may be of use though nobody here hears of its end.
    pub(crate) fn give_up(&mut self) {
        self.gave_up = true;
        self.end(|_| true, leaving);
    }

    /// Nodes are not waited for any more and may stop, because no other life comes after this one.
    pub(crate) fn stop(&mut self) {
        self.gave_up = true;
        self.cancel(|_| true, leaving);
    }

    fn busy(&self) -> impl Iterator<Item = LinkId> {
        let pending = self.pending.values();
        pending.map(|pending| pending.reservation.link)
    }

    /// Ends what is meant and was sent, and has its nodes told.
    fn cancel(&mut self, is_meant: impl Fn(&Pending) -> bool, why: impl Fn(&str) -> ErrorShape) {
        let was_sent = |pending: &&Pending| pending.settle.is_some() && is_meant(pending);
        let cancelled = self.pending.values().filter(was_sent).map(|pending| {
            let Reservation { id, node, link, .. } = &pending.reservation;
            Cancelled {
                id: id.clone(),
                node: node.clone(),
                link: *link,
            }
        });
        self.cancelled.extend(cancelled);
        self.end(is_meant, why);
    }

    fn end(&mut self, is_meant: impl Fn(&Pending) -> bool, why: impl Fn(&str) -> ErrorShape) {
        let over = self.pending.extract_if(.., |_, pending| is_meant(pending));
        self.over.extend(over.filter_map(|(_, pending)| {
            let why = why(&pending.reservation.command);
            pending.end(Err(Box::new(why)))
        }));
    }

    /// What is to be done since this was asked last.
    pub(crate) fn take_work(&mut self) -> Work {
        self.settling += self.over.len();
        let busy: BTreeSet<LinkId> = self.busy().collect();
        Work {
            over: std::mem::take(&mut self.over),
            cancelled: self.take_cancelled(),
            released: self
                .staying
                .extract_if(.., |link| !busy.contains(link))
                .collect(),
        }
    }

    /// The nodes to be told that they may stop.
    pub(crate) fn take_cancelled(&mut self) -> Vec<Cancelled> {
        std::mem::take(&mut self.cancelled)
    }

    /// One that had ended is kept and told.
    pub(crate) const fn settled(&mut self) {
        self.settling -= 1;
    }

    /// Whether nobody waits for a node, and everything is kept and told.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.over.is_empty() && self.settling == 0
    }

    /// When the next request is too late, or was alone for too long.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.pending
            .values()
            .flat_map(|pending| [Some(pending.reservation.deadline), pending.alone_until])
            .flatten()
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
            told: None,
        })
    }

    fn look_who_waits(&mut self, now: Moment) {
        let Some(settle) = &self.settle else { return };
        if settle.is_awaited() {
            self.alone_until = None;
        } else {
            let until = now + settle.patience();
            self.alone_until.get_or_insert(until);
        }
    }
}

#[cfg(test)]
mod tests;
