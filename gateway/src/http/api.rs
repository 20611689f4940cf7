//! What the interfaces for programs have in common: `/v1/…`, `/tools/invoke`, hooks.

use std::sync::Arc;

use bytes::Buf;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use openclaw_shared::serve::Peer;
use openclaw_shared::serve::host::Host;
use serde::Serialize;
use warp::filters::path::FullPath;
use warp::reply::Response as Reply;
use warp::{Filter, Rejection};

use super::bearer::Penalties;
use super::body::{self, Incoming};
use super::fields::Misfit;
use super::question::Refused;
use crate::context::Context;

/// What programs that ask again by themselves look at before they do.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A request. Nobody has looked at who asks, and nothing of its body has been read.
pub(super) struct Asked {
    pub(super) context: Arc<Context>,
    pub(super) penalties: Arc<Penalties>,
    pub(super) peer: Peer,
    pub(super) host: Host,
    pub(super) method: Method,
    /// As it was written.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
}

/// Takes a request as a whole.
pub(super) fn asked(
    context: Arc<Context>,
    penalties: Arc<Penalties>,
) -> impl Filter<Extract = (Asked,), Error = Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::ext::get::<Peer>()
        .and(warp::ext::get::<Host>())
        .and(warp::method())
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .map(
            move |peer, host, method, path: FullPath, query, headers, body| Asked {
                context: context.clone(),
                penalties: penalties.clone(),
                peer,
                host,
                method,
                path: path.as_str().to_owned(),
                query,
                headers,
                body: incoming(body),
            },
        )
}

fn incoming(
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>> + Send + Sync + 'static,
) -> Incoming {
    Box::pin(chunks.map(|chunk| chunk.map(|mut chunk| chunk.copy_to_bytes(chunk.remaining()))))
}

impl Asked {
    /// The only method that is answered here is this one.
    pub(super) fn only(&self, method: &Method) -> Result<(), Failure> {
        if self.method == *method {
            Ok(())
        } else {
            Err(Failure::method(method))
        }
    }
}

/// Why a request is not answered as it wishes, in the form that programs of this kind read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    status: StatusCode,
    error: Error,
    allow: Option<HeaderValue>,
    /// Whether asking again by itself would do harm: it was done, or begun.
    is_final: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Error {
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
    error: &'a Error,
}

impl Failure {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            error: Error {
                message: message.into(),
                kind,
                code: None,
            },
            allow: None,
            is_final: false,
        }
    }

    /// The request is refused for what it says.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// Nobody knows who asks.
    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized")
    }

    /// It was tried, and did not work.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "api_error", message)
    }

    fn method(only: &Method) -> Self {
        let mut failure = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid_request_error",
            "Method Not Allowed",
        );
        failure.allow = HeaderValue::from_str(only.as_str()).ok();
        failure
    }

    /// The path is there when a key of the configuration says so.
    pub(super) fn switched_off(what: &str, key: &str) -> Self {
        let message = format!("{what} is switched off; set {key} to true in the configuration");
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) const fn with_code(mut self, code: &'static str) -> Self {
        self.error.code = Some(code);
        self
    }

    /// It was done, or begun.
    pub(super) const fn and_final(mut self) -> Self {
        self.is_final = true;
        self
    }

    pub(super) fn message(&self) -> &str {
        &self.error.message
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) const fn body(&self) -> ErrorBody<'_> {
        ErrorBody { error: &self.error }
    }

    /// The answer.
    pub(super) fn reply(&self) -> Reply {
        let mut reply = json(self.status, &self.body());
        let headers = reply.headers_mut();
        if let Some(allow) = &self.allow {
            headers.insert(header::ALLOW, allow.clone());
        }
        if self.is_final {
            do_not_retry(headers);
        }
        reply
    }
}

impl From<body::Refused> for Failure {
    fn from(refused: body::Refused) -> Self {
        Self::invalid(refused.text()).with_status(refused.status())
    }
}

impl From<Misfit> for Failure {
    fn from(misfit: Misfit) -> Self {
        Self::invalid(misfit.to_string())
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::invalid(refused.to_string())
    }
}

/// Tells programs that would ask again by themselves not to.
pub(super) fn do_not_retry(headers: &mut HeaderMap) {
    headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
}

/// JSON as an answer.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let text = serde_json::to_vec(value).expect("an answer has string keys");
    let mut reply = Reply::new(text.into());
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
