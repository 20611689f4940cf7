//! The small answers that every route gives.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::Full;
use openclaw_shared::serve::host::Foreign;
use warp::reply::Response;

/// A header value that we wrote ourselves.
pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A line of text.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    dress(response.headers_mut(), "text/plain; charset=utf-8");
    response
}

/// A page of our own.
pub(crate) fn page(status: StatusCode, html: &'static str) -> Response {
    let mut response = Response::new(html.into());
    *response.status_mut() = status;
    dress(response.headers_mut(), "text/html; charset=utf-8");
    response
}

/// The answer to a method that would change something.
pub(crate) fn read_only() -> Response {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// The answer while there is no room.
pub(crate) fn busy(why: &'static str) -> Response {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// The answer to a request that names somebody else's host.
pub(crate) fn foreign(foreign: Foreign) -> http::Response<Full<Bytes>> {
    let mut response = http::Response::new(Full::new(foreign.text().into()));
    *response.status_mut() = foreign.status();
    dress(response.headers_mut(), "text/plain; charset=utf-8");
    response
}

/// The headers that every answer with a body has.
pub(crate) fn dress(headers: &mut http::HeaderMap, content_type: &str) {
    headers.insert(header::CONTENT_TYPE, value(content_type));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}
