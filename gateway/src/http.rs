//! HTTP on the base port.
//!
//! Every request passes the [`Door`] first: a Host that is not ours goes no further (DNS rebinding), and what belongs to the
//! canvas host is relayed to it. The rest are `warp` filters, one line per route. Nothing here grants anything to a web
//! page of another origin.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::upgrade::OnUpgrade;
use hyper_util::service::TowerToHyperService;
use openclaw_shared::serve::Peer;
use openclaw_shared::serve::host::{Foreign, Host};
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;
use warp::{Filter, Rejection};

use crate::context::Context;

mod api;
mod bearer;
mod body;
pub(crate) mod client;
mod client_tools;
mod completions;
mod conversation;
mod dialogue;
mod fetch;
mod fields;
pub(crate) mod hooks;
pub(crate) mod media;
mod metrics;
mod models;
pub(crate) mod mounts;
mod pdfs;
mod probes;
mod question;
mod responses;
mod sse;
mod status_page;
mod target;
mod tools_invoke;
mod turn;
mod upgrade;

use mounts::Mounts;

/// The routes of this process.
fn routes(context: Arc<Context>) -> BoxedFilter<(Reply,)> {
    let programs = for_programs(&context);
    let context = move || {
        let context = context.clone();
        warp::any().map(move || context.clone())
    };
    let upgrade = upgrade_asked_for()
        .and(warp::get())
        .and(context())
        .and(warp::ext::get::<Peer>())
        .and(warp::ext::get::<Host>())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<OnUpgrade>())
        .map(
            |context: Arc<Context>, peer, host: Host, headers, pending| {
                upgrade::answer(&context, peer, &host, &headers, pending)
            },
        );
    let page = |path: BoxedFilter<()>| {
        path.and(warp::get().or(warp::head()).unify())
            .and(context())
    };
    let health = page(warp::path!("healthz").boxed()).map(|_| probes::live());
    let ready =
        page(warp::path!("readyz").boxed()).map(|context: Arc<Context>| probes::ready(&context));
    let status =
        page(warp::path::end().boxed()).map(|context: Arc<Context>| status_page::page(&context));
    upgrade
        .or(programs)
        .unify()
        .or(health)
        .unify()
        .or(ready)
        .unify()
        .or(status)
        .unify()
        .recover(refused)
        .unify()
        .boxed()
}

/// The interfaces for programs; each says by itself which method it takes, and whether it is there.
fn for_programs(context: &Arc<Context>) -> BoxedFilter<(Reply,)> {
    let asked = api::asked(context.clone(), Arc::default());
    let completions = warp::path!("v1" / "chat" / "completions")
        .and(asked.clone())
        .then(completions::answer);
    let models = warp::path!("v1" / "models")
        .and(asked.clone())
        .then(|asked| models::answer(asked, None));
    let model = warp::path!("v1" / "models" / String)
        .and(asked.clone())
        .then(|id, asked| models::answer(asked, Some(id)));
    let hooks = hooks::below(context.clone())
        .and(asked.clone())
        .then(hooks::answer);
    let responses = warp::path!("v1" / "responses")
        .and(asked.clone())
        .then(responses::answer);
    let tools = warp::path!("tools" / "invoke")
        .and(asked.clone())
        .then(tools_invoke::answer);
    let metrics = warp::path!("metrics")
        .and(asked.clone())
        .then(metrics::answer);
    hooks
        .or(tools)
        .unify()
        .or(completions)
        .unify()
        .or(responses)
        .unify()
        .or(models)
        .unify()
        .or(model)
        .unify()
        .or(metrics)
        .unify()
        .boxed()
}

fn upgrade_asked_for() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::header::headers_cloned()
        .and_then(async |headers: http::HeaderMap| {
            if upgrade::is_asked_for(&headers) {
                Ok(())
            } else {
                Err(warp::reject::not_found())
            }
        })
        .untuple_one()
}

async fn refused(rejection: Rejection) -> Result<Reply, Infallible> {
    if rejection.is_not_found() {
        return Ok(plain(StatusCode::NOT_FOUND, "Not Found"));
    }
    if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        reply
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(reply);
    }
    Ok(plain(StatusCode::BAD_REQUEST, "Bad Request"))
}

/// A short text as an answer.
fn plain<B: From<&'static str>>(status: StatusCode, text: &'static str) -> Response<B> {
    let mut reply = Response::new(B::from(text));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// The whole HTTP service of this process.
pub(crate) fn service(
    context: Arc<Context>,
    mounts: Option<Mounts>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<
        impl Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
    >,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ Unpin
+ 'static {
    let pages = TowerToHyperService::new(warp::service(routes(context.clone())));
    Door {
        context,
        mounts,
        pages,
    }
}

/// What every request passes first.
#[derive(Debug, Clone)]
pub(crate) struct Door<S> {
    context: Arc<Context>,
    mounts: Option<Mounts>,
    pages: S,
}

impl<S, B> Service<Request<Incoming>> for Door<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Either<Either<B, mounts::Body>, Full<Bytes>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let settings = self.context.settings();
        let by_local_socket = request
            .extensions()
            .get::<Peer>()
            .is_some_and(|peer| peer.is_local_socket());
        match settings.hosts.check_request(&request) {
            Ok(host) => {
                request.extensions_mut().insert(host);
            }
            // By the local socket comes our own command line, which has no name for us.
            Err(Foreign::Missing | Foreign::Unknown) if by_local_socket => {
                let ours = Host::parse("localhost").expect("localhost is a host");
                request.extensions_mut().insert(ours);
            }
            Err(foreign) => {
                let reply =
                    plain::<Full<Bytes>>(foreign.status(), foreign.text()).map(Either::Right);
                return Box::pin(std::future::ready(Ok(reply)));
            }
        }
        match &self.mounts {
            Some(mounts) if settings.has_canvas && Mounts::is_mounted(request.uri().path()) => {
                let (mounts, context) = (mounts.clone(), self.context.clone());
                Box::pin(async move {
                    let reply = mounts.handle(request).await;
                    context.metrics.answered(reply.status());
                    Ok(reply.map(|body| Either::Left(Either::Right(body))))
                })
            }
            Some(_) | None => {
                let (answering, context) = (self.pages.call(request), self.context.clone());
                Box::pin(async move {
                    let Ok(reply) = answering.await;
                    context.metrics.answered(reply.status());
                    Ok(reply.map(|body| Either::Left(Either::Left(body))))
                })
            }
        }
    }
}
