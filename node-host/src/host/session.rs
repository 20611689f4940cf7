//! One connection to the gateway, from the first byte to the last.
//!
//! Reading and writing go on side by side, so that neither waits for the other; between them is a queue with a bound.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::gateway_address::GatewayAddress;
use openclaw_shared::protocol::frame::{Event, Inbound, OutboundRequest, RequestType, Response};
use openclaw_shared::protocol::params::nodes::{
    NodeEventParams, NodeInvokeRequestPayload, NodeInvokeResultParams, SkillsBinsParams,
    SkillsBinsReply,
};
use openclaw_shared::protocol::strict::NonEmpty;
use serde::{Deserialize as _, Serialize};
use serde_json::value::to_raw_value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tracing::{debug, info, warn};

use super::admission::{self, Admitted, Credential};
use super::work::{Done, Work};
use super::{End, Host};
use crate::commands::{Happened, Refused};
use crate::report::State;
use crate::skills::Skills;
use crate::stop::Stop;

/// From the first packet to the answer to `connect`.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The largest frame we take, as other clients of the protocol do.
const MAX_FRAME: usize = 25 * 1024 * 1024;
/// Frames that wait to be sent. An answer of 512 KiB each is the most that they can come to.
const OUTBOUND: usize = 32;
/// How long a gateway may not read before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// What clients of this protocol close with when the gateway is silent.
const TICK_TIMEOUT: u16 = 4000;

type Sink = SplitSink<WebSocketStream<TcpStream>, Message>;
type Stream = SplitStream<WebSocketStream<TcpStream>>;

/// Connects and serves until one side ends it.
pub(super) async fn run(
    host: &Host,
    work: &mut Work,
    credential: &Credential,
    stop: &mut Stop,
) -> End {
    let deadline = Moment::now() + HANDSHAKE;
    let opened = tokio::select! {
        opened = timeout_at(deadline.into_std().into(), open(host, credential)) => opened,
        () = stop.asked() => return End::Stopped,
        never = work.alone() => match never {},
    };
    let (mut sink, mut stream, admitted) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(end)) => return end,
        Err(_) => return End::Lost("the gateway did not answer in time".to_owned()),
    };
    host.was_admitted.set(true);
    if let Some(issued) = &admitted.issued {
        host.keep_issued(issued);
    }
    info!(target: "node", url = host.launch.url, "connected to the gateway");
    host.report.say(&State::Connected {
        node_id: host.identity.device_id().to_owned(),
        display_name: host.node.display_name.clone(),
        url: host.launch.url.clone(),
    });
    work.join();
    let (queue, frames) = mpsc::channel(OUTBOUND);
    let mut desk = Desk {
        node_id: host.identity.device_id().to_owned(),
        room: admitted.max_payload,
        queue,
        count: 0,
        skills_request: None,
    };
    let (end, code) = tokio::select! {
        ended = serve(&mut desk, work, &host.services.skills, &mut stream, admitted.tick, stop) => ended,
        reason = write(&mut sink, frames) => (End::Lost(reason), CloseCode::Away),
    };
    if matches!(end, End::Stopped) {
        work.end().await;
    } else {
        work.leave();
    }
    let goodbye = Message::Close(Some(CloseFrame {
        code,
        reason: "".into(),
    }));
    // The connection ends either way.
    let _ = timeout(GOODBYE, sink.send(goodbye)).await;
    end
}

async fn open(host: &Host, credential: &Credential) -> Result<(Sink, Stream, Admitted), End> {
    let lost = |reason: String| End::Lost(reason);
    let url = &host.launch.url;
    let address = GatewayAddress::parse(url).map_err(|why| lost(format!("{url}: {why}")))?;
    if address.is_encrypted() {
        return Err(lost("only ws:// addresses can be used".to_owned()));
    }
    let stream = TcpStream::connect((address.host(), address.port()))
        .await
        .map_err(|error| lost(format!("connect {address}: {error}")))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME));
    let (socket, _) = client_async_with_config(url.as_str(), stream, Some(config))
        .await
        .map_err(|error| lost(format!("no gateway answers there: {error}")))?;
    let (mut sink, mut stream) = socket.split();
    let nonce = loop {
        if let Inbound::Event(event) = receive(&mut stream).await?
            && event.event == "connect.challenge"
        {
            let payload = event.payload.unwrap_or_default();
            let nonce = payload["nonce"].as_str().and_then(NonEmpty::new);
            break nonce.ok_or_else(|| lost("the challenge has no nonce".to_owned()))?;
        }
    };
    let params = admission::introduce(
        &host.node,
        &host.services.host.path_text(),
        &host.identity,
        credential,
        &nonce,
        WallTime::now(),
    );
    let frame = request("connect", "connect", &params);
    sink.send(Message::text(frame))
        .await
        .map_err(|error| lost(error.to_string()))?;
    loop {
        match receive(&mut stream).await {
            Ok(Inbound::Res(response)) if response.id == "connect" => {
                let admitted = admission::read(response).map_err(End::Refused)?;
                return Ok((sink, stream, admitted));
            }
            Ok(Inbound::Res(_) | Inbound::Event(_)) => {}
            // The refusal may be lost when the gateway closes fast; the reason of the close says the same.
            Err(End::Lost(reason)) => {
                return Err(match reason.strip_prefix(CLOSED_1008) {
                    Some(text) if !text.is_empty() => {
                        End::Refused(admission::of_text(text.to_owned()))
                    }
                    Some(_) | None => End::Lost(reason),
                });
            }
            Err(end) => return Err(end),
        }
    }
}

/// How the reason of a close for a policy begins.
const CLOSED_1008: &str = "the gateway closed the connection (1008): ";

async fn serve(
    desk: &mut Desk,
    work: &mut Work,
    skills: &Skills,
    stream: &mut Stream,
    tick: Duration,
    stop: &mut Stop,
) -> (End, CloseCode) {
    let silence = tick * 2;
    let mut last_tick = Moment::now();
    loop {
        let silent_at = last_tick + silence;
        let sent = tokio::select! {
            frame = receive(stream) => match frame {
                Ok(Inbound::Event(event)) => match event.event.as_str() {
                    "tick" => {
                        last_tick = Moment::now();
                        Ok(())
                    }
                    "node.invoke.request" => begin(desk, work, event).await,
                    "node.invoke.cancel" => {
                        let payload = event.payload.unwrap_or_default();
                        work.cancel(payload["id"].as_str().unwrap_or_default());
                        Ok(())
                    }
                    _ => Ok(()),
                },
                Ok(Inbound::Res(response)) => {
                    if desk.skills_request.take_if(|id| *id == response.id).is_some() {
                        learn(skills, &response);
                    }
                    note(&response);
                    Ok(())
                }
                Err(end) => return (end, CloseCode::Normal),
            },
            done = work.next() => desk.answer(done).await,
            () = skills.wanted() => desk.ask_for_skills().await,
            () = sleep_until(silent_at.into_std().into()) => {
                return (End::Lost("tick timeout".to_owned()), CloseCode::from(TICK_TIMEOUT));
            }
            () = stop.asked() => return (End::Stopped, CloseCode::Normal),
        };
        if let Err(reason) = sent {
            return (End::Lost(reason), CloseCode::Away);
        }
    }
}

async fn begin(desk: &mut Desk, work: &mut Work, event: Event) -> Result<(), String> {
    let request = event.payload.unwrap_or_default();
    match serde_json::from_value::<NodeInvokeRequestPayload>(request) {
        Ok(request) if request.node_id == desk.node_id => match work.begin(request, desk.room) {
            Some(done) => desk.answer(done).await,
            None => Ok(()),
        },
        Ok(_) => {
            warn!(target: "node", "a request for another node was ignored");
            Ok(())
        }
        Err(error) => {
            warn!(target: "node", %error, "a request was ignored that cannot be read");
            Ok(())
        }
    }
}

/// Takes in the programs of skills. When they are not said, nothing is allowed because of them.
fn learn(skills: &Skills, response: &Response) {
    let payload = response.payload.as_ref();
    if let Some(reply) = payload.and_then(|payload| SkillsBinsReply::deserialize(payload).ok()) {
        skills.learn(reply.bins);
    }
}

/// Nothing else depends on these answers; that one is a failure is worth knowing.
fn note(response: &Response) {
    if let Some(error) = &response.error {
        debug!(target: "node", message = error.message, "the gateway refused what was sent");
    }
}

/// The next frame that is one; what cannot be read is skipped. Cancel-safe.
async fn receive(stream: &mut Stream) -> Result<Inbound, End> {
    loop {
        let text = match stream.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => return Err(closed(frame.as_ref())),
            Some(Ok(
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
            )) => continue,
            Some(Err(error)) => return Err(End::Lost(error.to_string())),
            None => return Err(closed(None)),
        };
        if let Ok(frame) = serde_json::from_str(&text) {
            return Ok(frame);
        }
    }
}

fn closed(frame: Option<&CloseFrame>) -> End {
    match frame {
        Some(frame) if frame.code == CloseCode::Restart => End::Replaced,
        Some(frame) => End::Lost(format!(
            "the gateway closed the connection ({}): {}",
            u16::from(frame.code),
            frame.reason
        )),
        None => End::Lost("the gateway is gone".to_owned()),
    }
}

/// Sends what is queued, and says why it could not go on.
async fn write(sink: &mut Sink, mut frames: mpsc::Receiver<String>) -> String {
    while let Some(frame) = frames.recv().await {
        match timeout(PATIENCE, sink.send(Message::text(frame))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "the gateway does not read".to_owned(),
        }
    }
    // The desk, which has the other end of the queue, goes only when the connection ends.
    std::future::pending().await
}

/// Where answers become frames.
struct Desk {
    node_id: String,
    /// The longest frame that the gateway takes.
    room: usize,
    queue: mpsc::Sender<String>,
    count: u64,
    /// The request for the programs of skills that has no answer yet.
    skills_request: Option<String>,
}

impl Desk {
    async fn answer(&mut self, done: Done) -> Result<(), String> {
        for id in done.ids {
            let Some(id) = NonEmpty::new(id) else {
                continue;
            };
            let frame = self.result(id.clone(), done.answer.as_deref());
            let frame = if frame.len() <= self.room {
                frame
            } else {
                let too_long = Refused::unavailable("the answer is longer than the gateway takes");
                self.result(id, Err(&too_long))
            };
            self.send(frame).await?;
        }
        match done.happened {
            Some(happened) => {
                let frame = self.event(&happened);
                // A frame that is too long would end the connection; the answer has said it all.
                if frame.len() <= self.room {
                    self.send(frame).await?;
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn ask_for_skills(&mut self) -> Result<(), String> {
        let frame = self.request("skills.bins", &SkillsBinsParams {});
        self.skills_request = Some(self.count.to_string());
        self.send(frame).await
    }

    fn result(&mut self, id: NonEmpty, answer: Result<&str, &Refused>) -> String {
        let node_id = NonEmpty::new(&*self.node_id).expect("a digest has characters");
        let params = NodeInvokeResultParams {
            id,
            node_id,
            ok: answer.is_ok(),
            payload: None,
            payload_json: answer.ok().and_then(|text| to_raw_value(text).ok()),
            error: answer.err().map(Refused::to_error),
        };
        self.request("node.invoke.result", &params)
    }

    fn event(&mut self, happened: &Happened) -> String {
        let params = NodeEventParams {
            event: NonEmpty::new(happened.event).expect("events have names"),
            payload: None,
            payload_json: Some(happened.payload.to_string()),
        };
        self.request("node.event", &params)
    }

    fn request(&mut self, method: &str, params: &impl Serialize) -> String {
        self.count += 1;
        request(&self.count.to_string(), method, params)
    }

    async fn send(&self, frame: String) -> Result<(), String> {
        match timeout(PATIENCE, self.queue.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err("the gateway does not read".to_owned()),
        }
    }
}

fn request(id: &str, method: &str, params: &impl Serialize) -> String {
    let request = OutboundRequest {
        kind: RequestType::Req,
        id,
        method,
        params,
    };
    serde_json::to_string(&request).expect("the parameters of this program are JSON")
}
