//! What stands between hyper and the handler for every request.
//!
//! It notes when a request begins and when its answer is over, tells the handler who is asking,
//! refuses framing that can be read in two ways, and turns a panic of the handler into a 500 for
//! that request alone. Whatever is done for a request is done within its trace, which the answer names.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::Service;
use tracing::{debug, error};

use super::Peer;
use super::progress::Progress;
use crate::clock::Moment;
use crate::trace::{TRACERESPONSE, Trace, TraceId, following};

/// The service of one connection.
pub(super) struct Answering<S> {
    pub(super) service: S,
    pub(super) peer: Peer,
    pub(super) progress: Arc<Progress>,
}

impl<S, B> Service<Request<Incoming>> for Answering<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    type Response = Response<Answer<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let one_reading = self.progress.begin_request();
        let coding = body_coding(request.headers());
        let under_way = UnderWay(self.progress.clone());
        let progress = self.progress.clone();
        if !one_reading || coding == Coding::Unknown {
            let refusal = refuse(StatusCode::BAD_REQUEST, "Bad Request", under_way);
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        request.extensions_mut().insert(self.peer);
        let mut trace = Trace::of(request.headers());
        // The answer names it, so that it has a name from the beginning.
        let named = trace.id().map(TraceId::traceparent);
        let chronicle = Chronicle::begin(&request);
        let service = self.service.clone();
        Box::pin(following(trace, async move {
            let handled = async move { service.call(request).await };
            let Ok(Ok(response)) = AssertUnwindSafe(handled).catch_unwind().await else {
                // The panic hook has already said where.
                error!(target: "http", "a request handler panicked");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return Ok(refuse(status, "Internal Server Error", under_way));
            };
            if let Some(chronicle) = chronicle {
                chronicle.end(response.status());
            }
            let mut response = response.map(|body| Answer {
                body: Either::Left(body),
                trace,
                _under_way: under_way,
            });
            if let Some(named) = named {
                response.headers_mut().insert(TRACERESPONSE, named);
            }
            let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            // The framing is not followed behind a chunked body, so nothing may come after it.
            if (coding == Coding::Chunked || progress.is_last_answer()) && !is_upgrade {
                close_after(&mut response);
            }
            Ok(response)
        }))
    }
}

/// What the log says about a request, for whoever turned debugging on. Never the query: secrets are put there.
struct Chronicle {
    method: Method,
    path: String,
    begun: Moment,
}

impl Chronicle {
    fn begin<B>(request: &Request<B>) -> Option<Self> {
        tracing::enabled!(target: "http", tracing::Level::DEBUG).then(|| Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            begun: Moment::now(),
        })
    }

    fn end(self, status: StatusCode) {
        let took = Moment::now().since(self.begun);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        debug!(target: "http", method = %self.method, path = self.path, status = status.as_u16(), ms, "request answered");
    }
}

/// How the body of a request is delimited, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    Chunked,
    Unknown,
}

fn body_coding(headers: &HeaderMap) -> Coding {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Coding::Plain,
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
        (Some(_), _) => Coding::Unknown,
    }
}

fn refuse<B>(status: StatusCode, text: &'static str, under_way: UnderWay) -> Response<Answer<B>> {
    let body = Either::Right(Full::new(Bytes::from_static(text.as_bytes())));
    let mut response = Response::new(Answer {
        body,
        trace: Trace::None,
        _under_way: under_way,
    });
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    close_after(&mut response);
    response
}

fn close_after<B>(response: &mut Response<B>) {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// Marks a request as being worked on until it is dropped.
struct UnderWay(Arc<Progress>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.end_answer();
    }
}

/// The body of an answer. hyper drops it when it has taken the last of it.
pub(super) struct Answer<B> {
    body: Either<B, Full<Bytes>>,
    trace: Trace,
    _under_way: UnderWay,
}

impl<B> Body for Answer<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Self { body, trace, .. } = &mut *self;
        trace.within(|| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
