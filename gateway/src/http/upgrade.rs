//! The upgrade of any path to the control plane.
//!
//! A page of any site can open a WebSocket to a local port, so the Origin is judged here, before anything else is said; the
//! credentials come later, in the `connect` request, and never from what a browser attaches by itself.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use openclaw_shared::serve::host::{Host, HostName};
use openclaw_shared::serve::origin::{Scheme, origin_allowed};
use openclaw_shared::serve::{self, Peer};
use openclaw_shared::trace::Trace;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::reply::Response as Reply;

use super::client;
use crate::auth::tailnet;
use crate::connection::{self, Arrival, Entered};
use crate::context::Context;
use crate::metrics::Turned;

/// Whether the client asks for a WebSocket.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    has_token(headers, header::UPGRADE, "websocket")
        && has_token(headers, header::CONNECTION, "upgrade")
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// Why an upgrade is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Key,
    Version,
    Origin,
    Unavailable,
}

/// Answers an upgrade, and on success leaves the socket to a task of its own.
pub(crate) fn answer(
    context: &Arc<Context>,
    peer: Peer,
    host: &Host,
    headers: &HeaderMap,
    pending: Option<OnUpgrade>,
) -> Reply {
    match accept(context, peer, host, headers, pending) {
        Ok(reply) => reply,
        Err(refused) => {
            if refused == Refused::Origin {
                context.metrics.turned_away(Turned::Origin);
            }
            refuse(refused)
        }
    }
}

fn accept(
    context: &Arc<Context>,
    peer: Peer,
    host: &Host,
    headers: &HeaderMap,
    pending: Option<OnUpgrade>,
) -> Result<Reply, Refused> {
    let key = headers.get("sec-websocket-key").ok_or(Refused::Key)?;
    if !is_key(key.as_bytes()) {
        return Err(Refused::Key);
    }
    let version = headers
        .get("sec-websocket-version")
        .map(HeaderValue::as_bytes);
    if !matches!(version, Some(b"13" | b"8")) {
        return Err(Refused::Version);
    }
    let arrival = arrival(context, peer, host, headers)?;
    let pending = pending.ok_or(Refused::Unavailable)?;
    let mut reply = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::UPGRADE, "websocket")
        .header(header::CONNECTION, "Upgrade")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()));
    if let Some(protocol) = first_protocol(headers) {
        reply = reply.header("sec-websocket-protocol", protocol);
    }
    let reply = reply
        .body(Reply::default().into_body())
        .map_err(|_| Refused::Unavailable)?;
    hand_over(context, pending, arrival);
    Ok(reply)
}

/// The connection lives in a task of its own; it is known to the hub from its first moment and leaves by itself.
fn hand_over(context: &Arc<Context>, pending: OnUpgrade, arrival: Arrival) {
    let entered = Entered::new(context.clone(), arrival.address);
    tokio::task::spawn_local(async move {
        match serve::upgrade(pending).await {
            Ok(upgrade) => connection::serve(entered, upgrade, arrival).await,
            Err(error) => {
                tracing::debug!(target: "gateway/ws", %error, "a client left before its upgrade");
            }
        }
    });
}

/// Where a request comes from, and what it claims to be.
///
/// # Errors
/// When a page of another site has made it.
pub(super) fn arrival(
    context: &Context,
    peer: Peer,
    host: &Host,
    headers: &HeaderMap,
) -> Result<Arrival, Refused> {
    let settings = context.settings();
    let peer = match peer {
        Peer::Tcp(address) => Some(address.ip()),
        Peer::Local => None,
    };
    let client = client::resolve(peer, headers, host, &settings.trusted_proxies);
    // Serve connects over loopback and says so itself; it is the one proxy that need not be listed.
    let is_serve = settings.serves_tailnet
        && peer.is_some_and(|peer| peer.to_canonical().is_loopback())
        && headers.contains_key("x-forwarded-host");
    let is_proxied = client.through_trusted_proxy || is_serve;
    let scheme = scheme(is_proxied, headers);
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = match (origins.next().map(HeaderValue::to_str), origins.next()) {
        (None, _) => None,
        (Some(Ok(origin)), None) => Some(origin),
        (Some(_), _) => return Err(Refused::Origin),
    };
    if !origin_allowed(origin, scheme, host, &settings.allowed_origins) {
        if let Some(left_out) = context.may_log_stranger() {
            tracing::warn!(
                target: "gateway/ws",
                origin = origin.unwrap_or_default(),
                left_out,
                "refused a connection from a foreign web page; allow it with gateway.controlUi.allowedOrigins"
            );
        }
        return Err(Refused::Origin);
    }
    Ok(Arrival {
        address: client.address,
        is_local: client.is_local,
        tailnet: (!client.is_local && context.believes_tailnet())
            .then(|| tailnet::claim(peer, headers))
            .flatten(),
        origin: origin.map(str::to_owned),
        trace: Trace::of(headers),
        canvas_host_url: settings
            .has_canvas
            .then(|| canvas_host_url(is_proxied, scheme, host, context.instance.ports.gateway)),
    })
}

/// HTTPS ends at a proxy; only a trusted one may say so.
fn scheme(is_proxied: bool, headers: &HeaderMap) -> Scheme {
    let forwarded = headers
        .get("x-forwarded-proto")
        .and_then(|value| value.to_str().ok());
    let first = forwarded
        .and_then(|list| list.split(',').next())
        .map(str::trim);
    if is_proxied && first == Some("https") {
        Scheme::Https
    } else {
        Scheme::Http
    }
}

/// Canvas pages are on the base port too, so the client finds them where it found us.
fn canvas_host_url(is_proxied: bool, scheme: Scheme, host: &Host, base_port: u16) -> String {
    let scheme = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    // Without a port in `Host`, a proxy is on the scheme's own port; a client that spoke to us directly left it out.
    let port = host.port().or((!is_proxied).then_some(base_port));
    let name = match host.name() {
        HostName::Address(IpAddr::V6(address)) => format!("[{address}]"),
        HostName::Address(IpAddr::V4(address)) => address.to_string(),
        HostName::Name(name) => name.clone(),
    };
    match port {
        Some(port) => format!("{scheme}://{name}:{port}"),
        None => format!("{scheme}://{name}"),
    }
}

/// Sixteen bytes in base64.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// The first offered subprotocol is echoed, because clients that offer some insist on one.
fn first_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let offered = headers.get("sec-websocket-protocol")?.to_str().ok()?;
    let first = offered.split(',').next()?.trim();
    HeaderValue::from_str(first)
        .ok()
        .filter(|value| !value.is_empty())
}

fn refuse(refused: Refused) -> Reply {
    let (status, text) = match refused {
        Refused::Key => (
            StatusCode::BAD_REQUEST,
            "Missing or invalid Sec-WebSocket-Key header",
        ),
        Refused::Version => (
            StatusCode::BAD_REQUEST,
            "Missing or invalid Sec-WebSocket-Version header",
        ),
        Refused::Origin => (StatusCode::FORBIDDEN, "origin not allowed"),
        Refused::Unavailable => (StatusCode::BAD_REQUEST, "cannot upgrade this connection"),
    };
    let mut reply = Reply::new(text.into());
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if refused == Refused::Version {
        headers.insert("sec-websocket-version", HeaderValue::from_static("13, 8"));
    }
    reply
}
