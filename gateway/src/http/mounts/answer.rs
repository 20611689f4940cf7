//! What a client hears: the canvas host's answer as it comes, or a short text of the gateway's own.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::{Connection, headers};

/// The body of a relayed answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Passes an answer on as it comes.
pub(super) fn relay(
    response: Response<Incoming>,
    slot: OwnedSemaphorePermit,
    connection: Connection,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    headers::answer(parts.status, &mut parts.headers);
    let body = Relayed {
        body,
        _slot: slot,
        _connection: connection,
    };
    Response::from_parts(parts, body.boxed_unsync())
}

struct Relayed {
    body: Incoming,
    _slot: OwnedSemaphorePermit,
    _connection: Connection,
}

impl hyper::body::Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Tells a page that its socket is open.
pub(super) fn switching(answer: &HeaderMap) -> Response<Body> {
    let mut response = refusal(StatusCode::SWITCHING_PROTOCOLS, "");
    *response.headers_mut() = HeaderMap::new();
    for name in [
        header::CONNECTION,
        header::UPGRADE,
        header::SEC_WEBSOCKET_ACCEPT,
    ] {
        if let Some(value) = answer.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// Says that the canvas host is away, and when to ask again.
pub(super) fn unavailable(text: &'static str) -> Response<Body> {
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, text);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

/// A short text of the gateway's own.
pub(super) fn refusal(status: StatusCode, text: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
