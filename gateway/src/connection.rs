//! One WebSocket client, as a shell: challenge, admit, then read, dispatch and write until one side leaves.
//!
//! What is decided is decided elsewhere: by [`handshake`], [`outbound`], [`care`] and the methods. Invariant: each
//! request is answered once, unless the connection ends before, and the order of answers is that of completion.

use std::collections::BTreeSet;
use std::future::{Future as _, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Wake, Poll};

use bytes::Bytes;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::MAX_PAYLOAD;
use openclaw_shared::protocol::connect::ClientInfo;
use openclaw_shared::protocol::error::ErrorShape;
use openclaw_shared::protocol::event::{Challenge, ChallengePayload, Event as _};
use openclaw_shared::protocol::scope::Rights;
use openclaw_shared::serve::Upgrade;
use openclaw_shared::trace::Trace;
use tokio::time::{sleep, timeout};

use crate::auth::tailnet;
use crate::auth::throttle::Source;
use crate::context::Context;
use crate::errands::Interrupted;
use crate::limits::{BYTES_BEFORE_AUTH, HANDSHAKE_DEADLINE, LAST_WORDS, LINGER, largest_message};
use crate::metrics::Turned;
use crate::prepared::Prepared;
use crate::services::devices::pair::{self, PairError, Settled};
use crate::services::devices::standing::Ask;
use crate::services::devices::{self, keep};
use crate::store::StoreError;

pub(crate) mod care;
mod chronicle;
mod conversation;
#[cfg(fuzzing)]
pub mod fuzzing;
pub(crate) mod handshake;
mod hello;
pub(crate) mod link;
mod misfit;
pub(crate) mod notice;
pub(crate) mod outbound;
mod refusals;
pub(crate) mod socket;
pub(crate) mod validate;

use conversation::Conversation;
use handshake::{Admission, Facts, Refusal, Step, Tailnet, Verdict, close_code};
use link::{Link, LinkId};
use notice::event_head;
use socket::{Ended, Incoming, Socket};

/// What is known of a connection from its upgrade request.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Where it comes from; none for the local socket.
    pub(crate) address: Option<IpAddr>,
    /// Whether it comes from this machine, without a proxy in between.
    pub(crate) is_local: bool,
    /// Who a proxy on this machine says it is; none when nobody says anything, or it does not count.
    pub(crate) tailnet: Option<Result<tailnet::Claim, tailnet::Failure>>,
    /// The trace that what it asks for belongs to, if it has named one.
    pub(crate) trace: Trace,
    /// Its web origin, found to be allowed.
    pub(crate) origin: Option<String>,
    /// Where canvas pages are, as this client can reach them.
    pub(crate) canvas_host_url: Option<String>,
}

/// Who is calling.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Which connection.
    pub(crate) link: LinkId,
    /// What it may do.
    pub(crate) rights: Rights,
    /// Its verified device.
    pub(crate) device: Option<Arc<str>>,
    /// The agent that calls by one of its tools; none for a connection.
    pub(crate) agent: Option<Arc<str>>,
    /// Who it says it is.
    pub(crate) client: ClientInfo,
    /// The key of its presence entry.
    pub(crate) presence_key: Option<String>,
}

/// A connection that the hub knows of, until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    context: Arc<Context>,
    link: Arc<Link>,
}

impl Entered {
    /// Makes a new connection known.
    pub(crate) fn new(context: Arc<Context>, address: Option<IpAddr>) -> Self {
        let link = context.hub.enter(address);
        Self { context, link }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.context.hub.leave(self.link.id);
    }
}

/// Serves one client from its upgrade to its end.
pub(crate) async fn serve(entered: Entered, upgrade: Upgrade, arrival: Arrival) {
    let mut socket = Socket::new(upgrade, MAX_PAYLOAD, BYTES_BEFORE_AUTH);
    if live(&entered.context, &entered.link, &mut socket, &arrival).await == Rest::Words {
        finish(&entered.context, &entered.link, socket).await;
    }
}

/// What is left of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Something is left to say, the close at least.
    Words,
    /// Nobody is left to talk to.
    Nothing,
}

async fn live(
    context: &Arc<Context>,
    link: &Arc<Link>,
    socket: &mut Socket,
    arrival: &Arrival,
) -> Rest {
    let nonce = uuid::Uuid::new_v4().to_string();
    challenge(link, &nonce);
    let judged = {
        let shaking = pin!(shake_hands(context, link, socket, arrival, &nonce));
        timeout(HANDSHAKE_DEADLINE, context.reception.paced(shaking)).await
    };
    match judged {
        Err(_late) => {
            context.metrics.turned_away(Turned::Late);
            link.condemn(close_code::NORMAL, "");
            Rest::Words
        }
        Ok(Handshake::Gone) => Rest::Nothing,
        Ok(Handshake::Refused) => Rest::Words,
        Ok(Handshake::Admitted {
            admission,
            secret_generation,
        }) => {
            socket.lift_allowance(largest_message(admission.rights.role()));
            let caller = hello::welcome(context, link, *admission, secret_generation, arrival);
            let rest = Conversation::new(context.clone(), link.clone(), caller.clone(), socket)
                .within(arrival.trace)
                .run()
                .await;
            context.farewell(&caller);
            rest
        }
    }
}

fn challenge(link: &Link, nonce: &str) {
    let payload = ChallengePayload {
        nonce: nonce.to_owned(),
        ts: WallTime::now().as_millis(),
    };
    let head = event_head(Challenge::NAME, Prepared::new(&payload).json());
    link.state().outbound.answer(&[&head, b"}"], None, &[]);
}

enum Handshake {
    /// Nobody is left to talk to.
    Gone,
    /// What there is to say is queued, the close included.
    Refused,
    Admitted {
        admission: Box<Admission>,
        /// Which shared secrets it was judged by.
        secret_generation: u64,
    },
}

async fn shake_hands(
    context: &Arc<Context>,
    link: &Link,
    socket: &mut Socket,
    arrival: &Arrival,
    nonce: &str,
) -> Handshake {
    let first = match poll_fn(|cx| poll_first_frame(context, link, socket, cx)).await {
        Ok(Some(first)) => first,
        Ok(None) => return Handshake::Refused,
        Err(Ended::Gone) => return Handshake::Gone,
        Err(ended) => {
            close_for(link, ended);
            return Handshake::Refused;
        }
    };
    let text = match &first {
        Incoming::Text(text) => text.as_str(),
        // Bytes that are no text are no JSON either.
        Incoming::Binary(bytes) => str::from_utf8(bytes).unwrap_or_default(),
        Incoming::Control => "",
    };
    let (verdict, secret_generation) = judge(context, arrival, nonce, text).await;
    match verdict {
        Verdict::Admit(admission) => Handshake::Admitted {
            admission,
            secret_generation,
        },
        Verdict::Close { code, reason } => {
            context.metrics.turned_away(Turned::FirstFrame);
            if let Some(left_out) = context.may_log_stranger() {
                tracing::info!(target: "gateway/ws", conn = %link.id, code, reason, left_out, "refused a first frame");
            }
            link.state().outbound.close(code, reason);
            Handshake::Refused
        }
        Verdict::Refuse(refusal) => refuse(context, link, arrival, &refusal).await,
    }
}

/// How often a first frame is judged: once as it is, once more after each of the things a verdict may ask for, and once because
/// the store may have changed under it.
const LOOKS: u32 = 4;

/// Judges a first frame, doing what verdicts ask for in between, each in a place of its own: of a thousand sockets hardly one
/// comes so far, and every one would have room for it. Nothing is awaited between the last look and the return, so what
/// was found is so when the client is let in. The last verdict, and by which secrets it was found.
async fn judge(
    context: &Arc<Context>,
    arrival: &Arrival,
    nonce: &str,
    text: &str,
) -> (Verdict, u64) {
    let mut tailnet = match &arrival.tailnet {
        None => Tailnet::NotClaimed,
        Some(Ok(_)) => Tailnet::Claimed,
        Some(Err(failure)) => Tailnet::Refused(*failure),
    };
    let mut trouble: Option<StoreError> = None;
    let mut looks = 0;
    loop {
        looks += 1;
        let admittance = context.admittance();
        let now = WallTime::now();
        let lookup = |device: &str| match &trouble {
            Some(trouble) => Err(trouble.clone()),
            None => context
                .store
                .read(|reader| keep::device(reader, device))
                .map(|stored| stored.map(|stored| stored.device)),
        };
        let facts = Facts {
            nonce,
            now,
            credentials: admittance.credentials.as_deref(),
            control_ui: admittance.settings.control_ui,
            connect: &context.validators().connect,
            is_local: arrival.is_local,
            address: arrival.address,
            tailnet,
            device: &lookup,
        };
        let generation = admittance.secret_generation;
        match handshake::first_frame(text, &facts) {
            Step::AskTailnet => {
                tailnet = match &arrival.tailnet {
                    Some(Ok(claim)) => match Box::pin(context.tailnet.confirm(claim)).await {
                        Ok(()) => Tailnet::Confirmed,
                        Err(failure) => Tailnet::Refused(failure),
                    },
                    Some(Err(_)) | None => Tailnet::NotClaimed,
                };
            }
            Step::Settle(unsettled) if looks < LOOKS => {
                match Box::pin(settle(context, unsettled.ask.clone(), now)).await {
                    Ok(Settled::Waiting { request }) => {
                        let refusal = Refusal::pairing_required(*unsettled, &request);
                        return (refusal.into(), generation);
                    }
                    Ok(Settled::LookAgain) => {}
                    Err(PairError::Store(error)) => {
                        tracing::warn!(target: "gateway/devices", %error, "a device cannot be paired");
                        trouble = Some(error);
                    }
                    Err(error) => {
                        let refusal = Refusal::unavailable(unsettled.id, error.to_string());
                        return (refusal.into(), generation);
                    }
                }
            }
            Step::Settle(unsettled) => {
                let why = "the device changes faster than it can be looked at";
                let refusal = Refusal::unavailable(unsettled.id, why);
                return (refusal.into(), generation);
            }
            Step::Decided(verdict) => return (verdict, generation),
        }
    }
}

/// Settles what a first frame asks for, and tells of it though the client may be out of time by then.
async fn settle(context: &Arc<Context>, ask: Ask, now: WallTime) -> Result<Settled, PairError> {
    let within = context.clone();
    let errand = async move {
        // Only for a local device room is made without asking anybody.
        let present = match ask.is_local {
            true => within.hub.devices(),
            false => BTreeSet::new(),
        };
        let settled = within
            .store
            .write(move |tx| pair::settle(tx, &ask, &present, now))
            .await;
        settled.map(|done| devices::finish(&within, done))
    };
    let settled = context.errands.run(errand).await;
    settled.unwrap_or_else(|Interrupted| {
        Err(StoreError::Failed("the write was given up".to_owned()).into())
    })
}

async fn refuse(context: &Context, link: &Link, arrival: &Arrival, refusal: &Refusal) -> Handshake {
    context.metrics.turned_away(refusal.error.code.into());
    if refusal.is_guess {
        let place = Source::Place {
            address: arrival.address,
            origin: arrival.origin.clone(),
        };
        let sources = std::iter::once(place).chain(refusal.device.clone().map(Source::Device));
        let delay = context.throttle(|throttle| throttle.wrong_guess(Moment::now(), sources));
        if !delay.is_zero() && wait_unless_cut(link, delay).await == Waited::Cut {
            return Handshake::Gone;
        }
    }
    if let Some(left_out) = context.may_log_stranger() {
        tracing::info!(
            target: "gateway/ws",
            conn = %link.id,
            code = refusal.code,
            reason = %refusal.reason,
            left_out,
            "refused a connect"
        );
    }
    let mut state = link.state();
    let error = serde_json::to_vec(&refusal.error).expect("an error has string keys");
    queue_error(&mut state.outbound, &refusal.id, &error);
    state.outbound.close(refusal.code, &refusal.reason);
    Handshake::Refused
}

#[derive(PartialEq, Eq)]
enum Waited {
    Through,
    Cut,
}

/// Waits while nothing is read or written; a stranger that must make room is not kept for its penalty.
async fn wait_unless_cut(link: &Link, delay: std::time::Duration) -> Waited {
    let mut delay = pin!(sleep(delay));
    poll_fn(|cx| {
        link.register(cx.waker());
        if link.is_cut() {
            return Poll::Ready(Waited::Cut);
        }
        delay.as_mut().poll(cx).map(|()| Waited::Through)
    })
    .await
}

/// The first frame; none when the stranger was dismissed before it came.
fn poll_first_frame(
    context: &Context,
    link: &Link,
    socket: &mut Socket,
    cx: &mut Wake<'_>,
) -> Poll<Result<Option<Incoming>, Ended>> {
    link.register(cx.waker());
    let mid_frame = {
        let mut state = link.state();
        if state.is_cut() {
            return Poll::Ready(Err(Ended::Gone));
        }
        let mut progress = false;
        if let Poll::Ready(Err(ended)) = socket.poll_write(cx, &mut state.outbound, &mut progress) {
            return Poll::Ready(Err(ended));
        }
        if state.outbound.is_sealed() {
            return Poll::Ready(Ok(None));
        }
        state.outbound.is_mid_frame()
    };
    match socket.poll_read(cx, mid_frame) {
        Poll::Ready(Ok(Incoming::Control)) => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => {
            let held = usize::try_from(socket.held()).unwrap_or(usize::MAX);
            if held > 0 {
                context.hub.hold(link, held);
            }
            Poll::Pending
        }
        Poll::Ready(read) => Poll::Ready(read.map(Some)),
    }
}

/// Queues the close that answers an unreadable socket.
fn close_for(link: &Link, ended: Ended) {
    let (code, reason) = match ended {
        Ended::Gone => return,
        Ended::TooLarge => (close_code::TOO_LARGE, ""),
        Ended::Malformed => (close_code::PROTOCOL, ""),
        Ended::NotText => (close_code::NOT_TEXT, ""),
    };
    tracing::debug!(target: "gateway/ws", conn = %link.id, code, "closed a connection for what it sent");
    link.state().outbound.close(code, reason);
}

/// Sends what is queued, close frame included, and reads on until the peer has seen it.
async fn finish(context: &Context, link: &Link, mut socket: Socket) {
    let flushed = timeout(
        LAST_WORDS,
        poll_fn(|cx| {
            let mut progress = false;
            socket.poll_write(cx, &mut link.state().outbound, &mut progress)
        }),
    );
    // A peer that does not take its goodbye in time is left without it.
    if flushed.await.is_ok_and(|written| written.is_ok()) {
        let is_stranger = socket.is_stranger();
        let rest = pin!(socket.finish());
        let lingering = async {
            if is_stranger {
                context.reception.paced(rest).await;
            } else {
                rest.await;
            }
        };
        let _ = timeout(LINGER, lingering).await;
    }
}

/// The answer to a request: its payload, or why there is none.
pub(crate) type Answer = Result<Bytes, Box<ErrorShape>>;

/// An answer as a frame carries it.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    /// A payload, or an error.
    Plain(Answer),
    /// An error, and a payload beside it: how a run ended that failed.
    Failed {
        payload: Bytes,
        error: Box<ErrorShape>,
    },
}

impl Outgoing {
    /// Whether what was asked for was done.
    pub(crate) const fn is_ok(&self) -> bool {
        matches!(self, Self::Plain(Ok(_)))
    }
}

impl From<Answer> for Outgoing {
    fn from(answer: Answer) -> Self {
        Self::Plain(answer)
    }
}

fn queue_answer(outbound: &mut outbound::Outbound, id: &str, answer: &Outgoing) {
    match answer {
        Outgoing::Plain(Ok(payload)) => outbound.answer(
            &[
                br#"{"type":"res","id":"#,
                id.as_bytes(),
                br#","ok":true,"payload":"#,
            ],
            Some(payload),
            &[b"}"],
        ),
        Outgoing::Plain(Err(error)) => {
            let error = serde_json::to_vec(error).expect("an error has string keys");
            queue_error(outbound, id, &error);
        }
        Outgoing::Failed { payload, error } => {
            let error = serde_json::to_vec(error).expect("an error has string keys");
            outbound.answer(
                &[
                    br#"{"type":"res","id":"#,
                    id.as_bytes(),
                    br#","ok":false,"payload":"#,
                ],
                Some(payload),
                &[br#","error":"#, &error, b"}"],
            );
        }
    }
}

fn queue_error(outbound: &mut outbound::Outbound, id: &str, error: &[u8]) {
    outbound.answer(
        &[
            br#"{"type":"res","id":"#,
            id.as_bytes(),
            br#","ok":false,"error":"#,
            error,
            b"}",
        ],
        None,
        &[],
    );
}
