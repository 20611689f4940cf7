//! From a request to its JSON.
//!
//! The order is the point of this file: name of the host (before this, in `Guarded`), somebody else's
//! page, credential, route, and only then the body. Nothing of an unauthorised request is looked at
//! beyond its head.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{Full, StreamBody};
use hyper::body::Frame;
use openclaw_shared::serve::Peer;
use openclaw_shared::serve::body::{self, BodyError};
use openclaw_shared::serve::host::{Foreign, Host};
use openclaw_shared::serve::origin::{CrossSite, Scheme, refuse_cross_site};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::auth;
use crate::report::Failure;
use crate::routes::{Route, route};
use crate::service::Service;

/// The largest request body.
const MAX_BODY: usize = 1024 * 1024;
/// How long a body may take in all.
const BODY_BUDGET: Duration = Duration::from_secs(15);
/// A wrong secret is answered late, so that guessing is slow; the right one never waits.
const WRONG_SECRET_DELAY: Duration = Duration::from_millis(250);

/// Where the service in force is found.
pub(crate) type Current = watch::Receiver<Arc<Service>>;

/// The one entrance.
pub(crate) fn routes(
    current: Current,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let query = warp::query::<Vec<(String, String)>>()
        .map(Some)
        .or(warp::any().map(|| None))
        .unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::get())
        .and(warp::ext::get())
        .and(warp::any().map(move || current.borrow().clone()))
        .map(
            |method, path, query, headers, host, peer, service| Request {
                method,
                path,
                query,
                headers,
                host,
                peer,
                service,
            },
        )
        .and(warp::body::stream())
        .then(answer)
        .recover(|_rejection: Rejection| async {
            Ok::<_, Infallible>(failure(StatusCode::BAD_REQUEST, "Bad Request"))
        })
        .unify()
}

struct Request {
    method: Method,
    path: FullPath,
    /// Nothing when it cannot be read.
    query: Option<Vec<(String, String)>>,
    headers: HeaderMap,
    host: Host,
    peer: Peer,
    service: Arc<Service>,
}

async fn answer<B: Buf>(
    request: Request,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Response {
    if let Some(refused) = refusal(&request).await {
        return refused;
    }
    let Some(query) = &request.query else {
        return failure(StatusCode::BAD_REQUEST, "malformed query");
    };
    let profile = query
        .iter()
        .find(|(key, _)| key == "profile")
        .map(|(_, name)| name.trim());
    let profile = profile.filter(|name| !name.is_empty());
    match route(&request.method, request.path.as_str()) {
        Route::Status => match request.service.status(profile).await {
            Ok(status) => json(StatusCode::OK, &status),
            Err(unknown) => failure(StatusCode::NOT_FOUND, &format!("Error: {unknown}")),
        },
        Route::Profiles => json(StatusCode::OK, &request.service.list()),
        Route::Later => match read(&request.headers, body).await {
            Ok(()) => {
                let path = request.path.as_str();
                let text = format!("{} {path} comes in a later release", request.method);
                failure(StatusCode::NOT_IMPLEMENTED, &text)
            }
            Err(error) => unreadable(error),
        },
        Route::OtherMethod(allowed) => {
            let mut response = failure(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(allowed));
            response
        }
        Route::Unknown => failure(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// What somebody else's page, or whoever is without the secret, is answered. Another child of the instance, known by its user,
/// needs no secret.
async fn refusal(request: &Request) -> Option<Response> {
    if request.peer.is_local_socket() {
        return None;
    }
    let Request {
        method,
        headers,
        host,
        ..
    } = request;
    if let Err(reason) = refuse_cross_site(method, headers, Scheme::Http, host, &[]) {
        let (status, text) = match reason {
            CrossSite::Origin => (StatusCode::FORBIDDEN, "forbidden origin"),
            CrossSite::FetchSite | CrossSite::Referer => {
                (StatusCode::FORBIDDEN, "forbidden for other sites")
            }
            CrossSite::Form => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected JSON"),
        };
        return Some(failure(status, text));
    }
    if auth::is_authorised(headers, request.service.credentials()) {
        return None;
    }
    if headers.contains_key(header::AUTHORIZATION) {
        warn!(target: "browser/service", "refused a wrong secret");
        sleep(WRONG_SECRET_DELAY).await;
    }
    let mut response = failure(StatusCode::UNAUTHORIZED, "Unauthorized");
    let challenge = HeaderValue::from_static("Bearer");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    Some(response)
}

/// Reads a body to its end, as far as it is allowed to go; one that announces more is not begun.
async fn read<B: Buf>(
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Result<(), BodyError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(BodyError::TooLarge);
    }
    let frames = body.map_ok(|mut part| Frame::data(part.copy_to_bytes(part.remaining())));
    let body = std::pin::pin!(StreamBody::new(frames));
    body::read(body, MAX_BODY, BODY_BUDGET).await.map(drop)
}

fn unreadable(error: BodyError) -> Response {
    match error {
        BodyError::TooLarge => failure(StatusCode::PAYLOAD_TOO_LARGE, "request body too large"),
        BodyError::TooSlow => failure(StatusCode::REQUEST_TIMEOUT, "request body too slow"),
        BodyError::Broken => failure(StatusCode::BAD_REQUEST, "request body broken"),
    }
}

fn json(status: StatusCode, answer: &impl Serialize) -> Response {
    // Our own types, whose keys are all strings, cannot fail to serialise.
    let text = serde_json::to_vec(answer).unwrap_or_default();
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    dress(response.headers_mut());
    response
}

fn failure(status: StatusCode, error: &str) -> Response {
    json(status, &Failure { error })
}

/// The answer to a request that names somebody else's host.
pub(crate) fn foreign(foreign: Foreign) -> http::Response<Full<Bytes>> {
    let text = serde_json::to_vec(&Failure {
        error: foreign.text(),
    })
    .unwrap_or_default();
    let mut response = http::Response::new(Full::new(text.into()));
    *response.status_mut() = foreign.status();
    dress(response.headers_mut());
    response
}

fn dress(headers: &mut HeaderMap) {
    let fixed = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
