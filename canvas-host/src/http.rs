//! The routes, one line each.
//!
//! The same on the TCP listeners and on the local socket by which the gateway mounts them; only
//! the policy differs with which its own port must protect itself from the pages.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use openclaw_shared::serve::Peer;
use openclaw_shared::serve::host::Host;
use tokio::sync::watch;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::answer;
use crate::files::{Asked, Files};
use crate::live_reload::{Knock, LiveReload};
use crate::settings::Settings;

/// The user's files.
pub(crate) const CANVAS: &str = "/__openclaw__/canvas";
/// The A2UI renderer.
pub(crate) const A2UI: &str = "/__openclaw__/a2ui";
/// The live-reload socket.
pub(crate) const LIVE_RELOAD: &str = "/__openclaw__/ws";

/// A page that an agent wrote must not act as the owner of the origin it is shown under. On the
/// base port that origin is the gateway's own.
const SANDBOX: &str = "sandbox allow-scripts";

/// What the routes serve from.
#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    pub(crate) files: Arc<Files>,
    pub(crate) live: LiveReload,
    pub(crate) settings: watch::Receiver<Settings>,
}

/// Every route, with its answer to everything else.
pub(crate) fn routes(
    canvas: Canvas,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let with_canvas = warp::any().map(move || canvas.clone());
    let files = below(CANVAS)
        .and(request())
        .and(with_canvas.clone())
        .then(files);
    let a2ui = below(A2UI).and(warp::method()).map(a2ui);
    let reload = below(LIVE_RELOAD)
        .and(request())
        .and(with_canvas)
        .and_then(reload);
    files
        .or(a2ui)
        .unify()
        .or(reload)
        .unify()
        .recover(elsewhere)
        .unify()
}

/// The headers and extensions of a request.
#[derive(Debug)]
struct Request {
    method: Method,
    path: FullPath,
    query: Option<String>,
    headers: HeaderMap,
    host: Host,
    peer: Peer,
    upgrade: Option<OnUpgrade>,
}

fn request() -> impl Filter<Extract = (Request,), Error = Rejection> + Copy {
    let query = warp::query::raw()
        .map(Some)
        .or(warp::any().map(|| None))
        .unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::get())
        .and(warp::ext::get())
        .and(warp::ext::optional())
        .map(
            |method, path, query, headers, host, peer, upgrade| Request {
                method,
                path,
                query,
                headers,
                host,
                peer,
                upgrade,
            },
        )
}

/// What follows a mount: nothing, or a path that begins with a slash.
fn below(mount: &'static str) -> impl Filter<Extract = (String,), Error = Rejection> + Copy {
    warp::path::full().and_then(move |path: FullPath| {
        let rest = path.as_str().strip_prefix(mount);
        let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with('/'));
        std::future::ready(rest.map(str::to_owned).ok_or_else(warp::reject::not_found))
    })
}

async fn files(below: String, request: Request, canvas: Canvas) -> Response {
    let asked = Asked {
        method: request.method,
        path: request.path.as_str().to_owned(),
        below,
        query: request.query,
        headers: request.headers,
        with_script: canvas.settings.borrow().live_reload,
    };
    let mut response = canvas.files.answer(asked).await;
    if request.peer.is_local_socket() {
        let policy = HeaderValue::from_static(SANDBOX);
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The renderer is not part of this build.
fn a2ui(_below: String, method: Method) -> Response {
    if method == Method::GET || method == Method::HEAD {
        answer::text(StatusCode::SERVICE_UNAVAILABLE, "A2UI assets not found")
    } else {
        answer::read_only()
    }
}

async fn reload(below: String, request: Request, canvas: Canvas) -> Result<Response, Rejection> {
    if !below.is_empty() || !canvas.settings.borrow().live_reload {
        return Err(warp::reject::not_found());
    }
    if request.method != Method::GET && request.method != Method::HEAD {
        return Ok(answer::read_only());
    }
    let Request {
        headers,
        host,
        peer,
        upgrade,
        ..
    } = request;
    Ok(canvas.live.admit(Knock {
        headers,
        host,
        peer,
        upgrade,
    }))
}

async fn elsewhere(_rejection: Rejection) -> Result<Response, Infallible> {
    Ok(answer::text(StatusCode::NOT_FOUND, "Not Found"))
}
