//! Answers that come in pieces, as events of a stream that a client reads.
//!
//! Invariant: what waits for a slow client is bounded, and whoever produces waits with it. A client that has gone is noticed by
//! whoever produces next.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use serde::Serialize;
use tokio::sync::mpsc;
use warp::Reply as _;
use warp::reply::Response as Reply;

/// Events that wait for a client.
const WAITING: usize = 16;

/// After so much silence a comment is sent, so that nothing on the way takes the connection for a dead one.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// The client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

/// The producer's end of a stream.
#[derive(Debug)]
pub(super) struct Events(mpsc::Sender<Bytes>);

/// Opens a stream.
pub(super) fn open() -> (Events, Reply) {
    let (events, mut waiting) = mpsc::channel(WAITING);
    let body = stream::poll_fn(move |cx| {
        let next = waiting.poll_recv(cx);
        next.map(|piece| piece.map(Ok::<Bytes, Infallible>))
    });
    let mut reply = warp::reply::stream(body).into_response();
    let headers = reply.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // Proxies that would collect an answer before they pass it on.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    (Events(events), reply)
}

impl Events {
    /// Events as [`data`] and [`event`] write them.
    pub(super) async fn send(&self, text: String) -> Result<(), Gone> {
        self.0.send(text.into()).await.map_err(|_| Gone)
    }

    /// The event that says that there are no more.
    pub(super) async fn done(&self) -> Result<(), Gone> {
        self.send("data: [DONE]\n\n".to_owned()).await
    }

    /// Something that clients pass over.
    pub(super) async fn comment(&self) -> Result<(), Gone> {
        self.send(": still at work\n\n".to_owned()).await
    }

    /// Waits until the client has gone.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }
}

/// An event without a name.
pub(super) fn data(value: &impl Serialize) -> String {
    format!("data: {}\n\n", text(value))
}

/// An event with a name.
pub(super) fn event(name: &str, value: &impl Serialize) -> String {
    format!("event: {name}\ndata: {}\n\n", text(value))
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("an event has string keys")
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;
    use serde_json::json;

    use super::{Gone, WAITING, data, event, open};

    #[tokio::test]
    async fn events_are_written_as_they_are_read() {
        let (events, reply) = open();
        let written = async {
            let named = event("x", &json!("line\nbreak"));
            events.send(data(&json!({"a": 1}))).await.unwrap();
            events.send(named).await.unwrap();
            events.comment().await.unwrap();
            events.done().await.unwrap();
            drop(events);
        };
        let (read, ()) = tokio::join!(reply.into_body().collect(), written);
        assert_eq!(
            read.unwrap().to_bytes(),
            "data: {\"a\":1}\n\nevent: x\ndata: \"line\\nbreak\"\n\n: still at work\n\ndata: [DONE]\n\n"
        );
    }

    #[tokio::test]
    async fn whoever_produces_waits_for_the_client_and_notices_that_it_has_gone() {
        let (events, reply) = open();
        for _ in 0..WAITING {
            assert_eq!(events.comment().now_or_never(), Some(Ok(())));
        }
        assert_eq!(events.comment().now_or_never(), None);
        drop(reply);
        assert_eq!(events.comment().await, Err(Gone));
        events.gone().await;
    }
}
