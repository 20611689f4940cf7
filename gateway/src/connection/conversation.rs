//! The loop of an admitted client: read what there is, dispatch it, write once.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Wake, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use openclaw_shared::clock::Moment;
use openclaw_shared::protocol::frame::Request;
use openclaw_shared::protocol::method::Method as _;
use openclaw_shared::protocol::method::config::{ConfigApply, ConfigPatch, ConfigSet};
use openclaw_shared::trace::Trace;
use tokio::time::{Sleep, sleep};

use super::chronicle::Chronicle;
use super::link::{Leave, Link};
use super::misfit::{self, Misfit};
use super::refusals::Refusals;
use super::socket::{Ended, Incoming, Socket};
use super::{Caller, Outgoing, Rest, close_for, queue_answer};
use crate::context::Context;
use crate::limits::{FRAMES_PER_TURN, REQUESTS_IN_FLIGHT, REVOKED_GRACE};
use crate::methods::{Answering, Called, Reply};
use crate::metrics::SharedTally;

/// The reason that a client reads which is refused whatever it asks.
const NOTHING_BUT_REFUSALS: &str = "too many refused requests";

/// A request that could not be answered at once.
struct Pending {
    id: String,
    method: String,
    begun: Moment,
    trace: Trace,
    /// Where it counts; none when it has been counted.
    tally: Option<SharedTally>,
    answering: Answering,
}

impl Pending {
    /// Whether what it changes is in a file before it is answered, and counts or is taken back by then: whoever asked for it
    /// must be able to tell which, however long that takes.
    fn changes_config(&self) -> bool {
        [ConfigSet::NAME, ConfigPatch::NAME, ConfigApply::NAME].contains(&&*self.method)
    }
}

impl Future for Pending {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Wake<'_>) -> Poll<Done> {
        let Self {
            trace, answering, ..
        } = &mut *self;
        let polled = trace.within(|| answering.as_mut().poll(cx));
        polled.map(|reply| Done {
            id: std::mem::take(&mut self.id),
            method: std::mem::take(&mut self.method),
            reply,
            took: Moment::now().since(self.begun),
            trace: self.trace,
            tally: self.tally.take(),
        })
    }
}

/// What became of a request.
struct Done {
    id: String,
    method: String,
    reply: Reply,
    took: Duration,
    trace: Trace,
    tally: Option<SharedTally>,
}

/// What is known of the rest of the conversation.
enum Course {
    /// Everything was done that could be done; something will wake the task.
    Waits,
    /// There is more to do at once.
    GoesOn,
    /// What is queued is the last word.
    Closes,
    /// The peer is gone.
    IsOver,
}

/// How far the reading of one turn came.
#[derive(PartialEq, Eq)]
enum Reading {
    /// Nothing more has arrived.
    Dry,
    /// The turn is over, there may be more.
    TurnOver,
    /// The client must take answers first.
    Paused,
    /// Nothing more will be read.
    Ended,
}

/// One admitted client.
pub(super) struct Conversation<'a> {
    context: Arc<Context>,
    link: Arc<Link>,
    caller: Arc<Caller>,
    socket: &'a mut Socket,
    /// What its requests belong to: one trace for all of them, or one for each.
    trace: Trace,
    pending: FuturesUnordered<Pending>,
    chronicle: Chronicle,
    has_read_the_last: bool,
    refusals: Refusals,
    /// When the request before was answered, if that was in this turn: the next one begins then. A look at the clock takes as long
    /// as a good part of a small answer.
    answered_at: Option<Moment>,
    /// How long what it has asked may still take; from the moment it is revoked.
    grace: Option<Pin<Box<Sleep>>>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        context: Arc<Context>,
        link: Arc<Link>,
        caller: Arc<Caller>,
        socket: &'a mut Socket,
    ) -> Self {
        Self {
            chronicle: Chronicle::new(link.id, context.logging().ws_log),
            context,
            link,
            caller,
            socket,
            trace: Trace::Unnamed,
            pending: FuturesUnordered::new(),
            has_read_the_last: false,
            refusals: Refusals::default(),
            answered_at: None,
            grace: None,
        }
    }

    /// What is asked for belongs to this trace.
    pub(super) fn within(mut self, trace: Trace) -> Self {
        self.trace = trace;
        self
    }

    /// Runs until one side leaves.
    pub(super) fn run(mut self) -> impl Future<Output = Rest> {
        poll_fn(move |cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &mut Wake<'_>) -> Poll<Rest> {
        self.link.register(cx.waker());
        loop {
            match self.turn(cx) {
                Course::Waits => return Poll::Pending,
                Course::GoesOn => {}
                Course::Closes => return Poll::Ready(Rest::Words),
                Course::IsOver => return Poll::Ready(Rest::Nothing),
            }
        }
    }

    fn turn(&mut self, cx: &mut Wake<'_>) -> Course {
        if let Some(writer) = self.link.state().unpark() {
            self.socket.return_writer(writer);
        }
        if self.link.is_cut() {
            return Course::IsOver;
        }
        self.collect(cx);
        let leaving = self.link.leaving();
        // What has arrived when this life ends is answered; what is sent later goes to the successor.
        let reading = if self.has_read_the_last {
            Reading::Dry
        } else {
            self.read(cx)
        };
        self.has_read_the_last = leaving.is_some();
        if reading == Reading::Ended && self.link.state().outbound.is_empty() {
            return Course::IsOver;
        }
        if let Some(leaving) = leaving
            && self.is_done_for(leaving, cx)
        {
            let (code, reason) = leaving.close();
            self.link.state().outbound.close(code, reason);
        }
        self.write(cx, reading)
    }

    /// Whether everything is answered that is waited for before a client goes.
    fn is_done_for(&mut self, leaving: Leave, cx: &mut Wake<'_>) -> bool {
        if self.pending.is_empty() {
            return true;
        }
        match leaving {
            Leave::Restart => false,
            Leave::Revoked(_) => {
                let grace = self
                    .grace
                    .get_or_insert_with(|| Box::pin(sleep(REVOKED_GRACE)));
                let is_over = grace.is_elapsed() || grace.as_mut().poll(cx).is_ready();
                is_over && !self.pending.iter().any(Pending::changes_config)
            }
        }
    }

    fn write(&mut self, cx: &mut Wake<'_>, reading: Reading) -> Course {
        let mut guard = self.link.state();
        let state = &mut *guard;
        let mut drained = false;
        let written = self
            .socket
            .poll_write(cx, &mut state.outbound, &mut drained);
        state.drained |= drained;
        if state.outbound.is_sealed() && written != Poll::Ready(Err(Ended::Gone)) {
            return Course::Closes;
        }
        match (written, reading) {
            (Poll::Ready(Err(_)), _) | (Poll::Ready(Ok(())), Reading::Ended) => Course::IsOver,
            (Poll::Pending, Reading::Ended) => Course::Closes,
            (Poll::Ready(Ok(())), Reading::Dry) => {
                // Until something wakes the task, events can be written without it.
                if let Some(writer) = self.socket.lend_writer() {
                    state.park(writer);
                }
                Course::Waits
            }
            (Poll::Pending, Reading::Dry) => Course::Waits,
            (_, Reading::Paused) => {
                let may_go_on =
                    state.outbound.may_read() && self.pending.len() < REQUESTS_IN_FLIGHT;
                if may_go_on {
                    Course::GoesOn
                } else {
                    Course::Waits
                }
            }
            (_, Reading::TurnOver) => {
                // The others get their turn first.
                cx.waker().wake_by_ref();
                Course::Waits
            }
        }
    }

    /// Queues the answers that have become ready.
    fn collect(&mut self, cx: &mut Wake<'_>) {
        if self.pending.is_empty() {
            return;
        }
        while let Poll::Ready(Some(mut done)) = self.pending.poll_next_unpin(cx) {
            let Reply { answer, then } = done.reply;
            if let Some(tally) = done.tally {
                tally.answered(&answer, done.took);
            }
            done.trace.within(|| {
                self.chronicle
                    .answered(&done.method, &answer, Some(done.took));
                self.answer(&done.id, &answer);
            });
            if let Some(answering) = then {
                self.pending.push(Pending {
                    id: done.id,
                    method: done.method,
                    begun: Moment::now(),
                    trace: done.trace,
                    tally: None,
                    answering,
                });
            }
        }
    }

    fn read(&mut self, cx: &mut Wake<'_>) -> Reading {
        // Since the last turn others have had theirs.
        self.answered_at = None;
        for _ in 0..FRAMES_PER_TURN {
            let mid_frame = {
                let state = self.link.state();
                if state.is_revoked() {
                    return Reading::Dry;
                }
                if !state.outbound.may_read() || self.pending.len() >= REQUESTS_IN_FLIGHT {
                    return Reading::Paused;
                }
                state.outbound.is_mid_frame()
            };
            let incoming = match self.socket.poll_read(cx, mid_frame) {
                Poll::Pending => return Reading::Dry,
                Poll::Ready(Ok(incoming)) => incoming,
                Poll::Ready(Err(Ended::Gone)) => return Reading::Ended,
                Poll::Ready(Err(ended)) => {
                    close_for(&self.link, ended);
                    return Reading::Ended;
                }
            };
            self.link.state().heard = true;
            match incoming {
                Incoming::Text(text) => self.take(&text, cx),
                Incoming::Binary(bytes) => {
                    if let Ok(text) = str::from_utf8(&bytes) {
                        self.take(text, cx);
                    }
                }
                Incoming::Control => {}
            }
        }
        Reading::TurnOver
    }

    /// Handles one frame.
    fn take(&mut self, text: &str, cx: &mut Wake<'_>) {
        if let Some(request) = Request::parse(text) {
            return self.call(&request, cx);
        }
        match misfit::judge(text, &self.context.validators().request) {
            // As for every client of the protocol: what is no JSON is not answered.
            Misfit::Nothing => {}
            Misfit::Invalid { id, error } => self.answer(&id, &Err(Box::new(error)).into()),
            Misfit::Valid(text) => {
                if let Some(request) = Request::parse(&text) {
                    self.call(&request, cx);
                }
            }
        }
    }

    fn call(&mut self, request: &Request<'_>, cx: &mut Wake<'_>) {
        let begun = self.answered_at.take().unwrap_or_else(Moment::now);
        let mut trace = self.trace;
        let left = trace.within(|| self.begin(request, begun, cx));
        // The answer, or the next one, comes later.
        if let Some((answering, tally)) = left {
            self.pending.push(Pending {
                id: request.id.get().to_owned(),
                method: request.method.to_string(),
                begun,
                trace,
                tally,
                answering,
            });
        }
    }

    /// Begins with a request, which most are answered by. What is left to do, and where it counts then.
    fn begin(
        &mut self,
        request: &Request<'_>,
        begun: Moment,
        cx: &mut Wake<'_>,
    ) -> Option<(Answering, Option<SharedTally>)> {
        let id = request.id.get();
        self.chronicle.read(id, &request.method);
        let routes = self.context.routes();
        let (tally, called) = routes.call_counted(&self.context, &self.caller, request);
        let Reply { answer, then } = match called {
            Called::Answered(answer) => answer.into(),
            Called::Started(mut answering) => match answering.as_mut().poll(cx) {
                Poll::Ready(reply) => reply,
                Poll::Pending => return Some((answering, Some(tally.clone()))),
            },
        };
        let now = Moment::now();
        tally.answered(&answer, now.since(begun));
        self.answered_at = Some(now);
        self.chronicle.answered(&request.method, &answer, None);
        self.answer(id, &answer);
        then.map(|answering| (answering, None))
    }

    /// Queues an answer. A client that gets nothing but refusals is sent away.
    fn answer(&mut self, id: &str, answer: &Outgoing) {
        queue_answer(&mut self.link.state().outbound, id, answer);
        if answer.is_ok() {
            self.refusals.forget();
        } else if self.refusals.one_more(Moment::now()) {
            tracing::info!(target: "gateway/ws", conn = %self.link.id, client = %self.caller.client.id, "closed a client that is refused whatever it asks");
            self.link.leave(Leave::Revoked(NOTHING_BUT_REFUSALS));
        }
    }
}

#[cfg(test)]
mod tests;
