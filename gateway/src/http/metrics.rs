//! `/metrics`: what this process counts, as Prometheus reads it.
//!
//! It tells how much is done and by how many, and so is for those who know the secret of the instance. `gateway.metrics.openOnLoopback`
//! lets whoever asks from this machine, without a proxy in between, do without it; a page of another site never reads it.

use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use openclaw_shared::serve::Peer;
use openclaw_shared::serve::origin::{Scheme, refuse_cross_site};
use warp::reply::Response as Reply;

use super::api::{Asked, Failure};
use super::{bearer, client};
use crate::metrics::gather;
use crate::metrics::page::CONTENT_TYPE;

/// Answers `/metrics`.
pub(super) async fn answer(asked: Asked) -> Reply {
    match admit(&asked).await {
        Ok(()) => {
            let mut reply = Reply::new(gather::page(&asked.context).into());
            let headers = reply.headers_mut();
            let fixed = [
                (header::CONTENT_TYPE, CONTENT_TYPE),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            for (name, value) in fixed {
                headers.insert(name, HeaderValue::from_static(value));
            }
            reply
        }
        Err(failure) => failure.reply(),
    }
}

async fn admit(asked: &Asked) -> Result<(), Failure> {
    let settings = asked.context.settings();
    if !settings.metrics.enabled {
        return Err(Failure::switched_off("/metrics", "gateway.metrics.enabled"));
    }
    if asked.method != Method::HEAD {
        asked.only(&Method::GET)?;
    }
    let is_of_another_site = refuse_cross_site(
        &asked.method,
        &asked.headers,
        Scheme::Http,
        &asked.host,
        &settings.allowed_origins,
    )
    .is_err();
    if is_of_another_site {
        let message = "forbidden for other sites";
        return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    if settings.metrics.open_on_loopback && is_of_this_machine(asked) {
        return Ok(());
    }
    bearer::admit(asked).await
}

fn is_of_this_machine(asked: &Asked) -> bool {
    let peer = match asked.peer {
        Peer::Tcp(address) => Some(address.ip()),
        Peer::Local => None,
    };
    let settings = asked.context.settings();
    client::resolve(peer, &asked.headers, &asked.host, &settings.trusted_proxies).is_local
}
