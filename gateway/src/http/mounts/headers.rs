//! What of a request reaches the canvas host, and what of its answer reaches the client.                          (pure)

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::Empty;
use openclaw_shared::trace::{self, TRACEPARENT};

/// An agent's page must not act as the owner of the gateway's origin.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox allow-scripts");

/// What the canvas host needs to know of a request. Credentials are not among it.
const PASSED_ON: [HeaderName; 12] = [
    header::HOST,
    header::ORIGIN,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::RANGE,
    header::IF_RANGE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::USER_AGENT,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
];

/// Headers that concern one connection only, and therefore end here.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The request as the canvas host is asked it.
pub(super) fn question<B>(request: &Request<B>) -> Request<Empty<Bytes>> {
    let mut question = Request::new(Empty::new());
    *question.method_mut() = request.method().clone();
    // The target in the form a server expects, whatever form the client chose.
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    *question.uri_mut() = target.parse().unwrap_or_default();
    for name in &PASSED_ON {
        for value in request.headers().get_all(name) {
            question.headers_mut().append(name, value.clone());
        }
    }
    if let Some(trace) = trace::current() {
        question
            .headers_mut()
            .insert(TRACEPARENT, trace.traceparent());
    }
    if request.headers().contains_key(header::UPGRADE) {
        for name in [header::UPGRADE, header::CONNECTION] {
            for value in request.headers().get_all(&name) {
                question.headers_mut().append(&name, value.clone());
            }
        }
    }
    question
}

/// Makes the headers of an answer those of the gateway's own.
pub(super) fn answer(status: StatusCode, headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    // 426 is the one answer whose meaning is in a header of the connection.
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, SANDBOX);
}
