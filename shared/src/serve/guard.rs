//! The Host check in front of a service.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::service::Service;

use super::Peer;
use super::host::{Foreign, Host, HostPolicy};

/// How a service words its refusal of a foreign host.
pub type Refusal = fn(Foreign) -> Response<Full<Bytes>>;

/// A service that only sees requests to one of our own names, with the [`Host`] they named as a
/// request extension.
///
/// A request by the local socket comes from another child, which has judged its `Host` by a
/// policy of its own; of that one only the form is checked.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    policy: Arc<HostPolicy>,
    refusal: Refusal,
    service: S,
}

impl<S> Guarded<S> {
    /// Puts the check in front of a service.
    pub fn new(policy: HostPolicy, refusal: Refusal, service: S) -> Self {
        Self {
            policy: Arc::new(policy),
            refusal,
            service,
        }
    }

    fn judge(&self, request: &Request<Incoming>) -> Result<Host, Foreign> {
        let verdict = self.policy.check_request(request);
        let judged_before = request.extensions().get::<Peer>() == Some(&Peer::Local);
        match verdict {
            Err(Foreign::Unknown) if judged_before => {
                let text = request.headers().get(http::header::HOST);
                let host = text.and_then(|text| Host::parse(text.to_str().ok()?));
                host.ok_or(Foreign::Malformed)
            }
            Ok(_) | Err(_) => verdict,
        }
    }
}

impl<S, B> Service<Request<Incoming>> for Guarded<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Either<B, Full<Bytes>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        match self.judge(&request) {
            Ok(host) => {
                request.extensions_mut().insert(host);
                let answer = self.service.call(request);
                Box::pin(async move {
                    let Ok(response) = answer.await;
                    Ok(response.map(Either::Left))
                })
            }
            Err(foreign) => {
                let response = (self.refusal)(foreign).map(Either::Right);
                Box::pin(std::future::ready(Ok(response)))
            }
        }
    }
}
