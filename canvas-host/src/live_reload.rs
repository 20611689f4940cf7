//! The sockets by which pages learn that they should reload.
//!
//! The server says one thing, the text `reload`, and listens to nothing. A socket costs a few
//! hundred bytes, their number is bounded, and one whose page is gone is noticed by its silence.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use openclaw_shared::serve::host::Host;
use openclaw_shared::serve::origin::{Asker, Scheme, asker};
use openclaw_shared::serve::{self, Peer, Stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tracing::debug;
use warp::reply::Response;

use crate::answer;

/// Pages open at the same time, over all listeners.
const MAX_SOCKETS: u16 = 256;
/// A page has nothing to say beyond pongs and a goodbye.
const MAX_FRAME: usize = 1024;
/// How often a page is asked whether it is still there; after two questions without any sign it
/// is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long a page may take to accept a frame, or to answer our goodbye.
const PATIENCE: Duration = Duration::from_secs(5);

/// The live-reload hub.
#[derive(Debug, Clone)]
pub(crate) struct LiveReload {
    news: Arc<watch::Sender<News>>,
    slots: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct News {
    /// How often the pages had to reload. A socket that is slow sees only the last of it, which is
    /// all it needs.
    reloads: u64,
    /// How often all sockets had to close.
    closings: u64,
}

/// What a page asks for when it asks for a socket.
#[derive(Debug)]
pub(crate) struct Knock {
    pub(crate) headers: HeaderMap,
    pub(crate) host: Host,
    pub(crate) peer: Peer,
    pub(crate) upgrade: Option<OnUpgrade>,
}

impl LiveReload {
    pub(crate) fn new() -> Self {
        let (news, _) = watch::channel(News::default());
        Self {
            news: Arc::new(news),
            slots: Arc::new(Semaphore::new(MAX_SOCKETS.into())),
        }
    }

    /// Tells every page to reload.
    pub(crate) fn reload(&self) {
        debug!(target: "canvas", "reload");
        self.news.send_modify(|news| news.reloads += 1);
    }

    /// Says goodbye to every page and waits until all are gone.
    pub(crate) async fn close(&self) {
        self.news.send_modify(|news| news.closings += 1);
        // Every socket holds a slot until it is closed. The semaphore itself never is.
        let _ = self.slots.acquire_many(MAX_SOCKETS.into()).await;
    }

    /// Waits until there were more reloads than `seen`, and tells how many.
    #[cfg(test)]
    pub(crate) async fn reloaded_after(&self, seen: u64) -> u64 {
        let mut news = self.news.subscribe();
        let news = news.wait_for(|news| news.reloads > seen).await;
        news.expect("the hub is alive").reloads
    }

    /// Answers a request for a socket.
    pub(crate) fn admit(&self, knock: Knock) -> Response {
        let Some(key) = websocket_key(&knock.headers) else {
            let mut response = answer::text(StatusCode::UPGRADE_REQUIRED, "upgrade required");
            response
                .headers_mut()
                .insert(header::UPGRADE, answer::value("websocket"));
            return response;
        };
        if !may_connect(&knock) {
            return answer::text(StatusCode::FORBIDDEN, "forbidden origin");
        }
        let Some(pending) = knock.upgrade else {
            return answer::text(
                StatusCode::BAD_REQUEST,
                "this connection cannot be upgraded",
            );
        };
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            return answer::busy("too many live pages");
        };
        let news = self.news.subscribe();
        // Owned by its slot: `close` waits for it, and the process does not leave before.
        tokio::spawn(async move {
            match serve::upgrade(pending).await {
                Ok(upgraded) => {
                    let read_ahead = upgraded.read_ahead.to_vec();
                    let config = WebSocketConfig::default()
                        .read_buffer_size(MAX_FRAME)
                        .write_buffer_size(0)
                        .max_write_buffer_size(2 * MAX_FRAME)
                        .max_frame_size(Some(MAX_FRAME))
                        .max_message_size(Some(MAX_FRAME));
                    let socket = WebSocketStream::from_partially_read(
                        upgraded.stream,
                        read_ahead,
                        Role::Server,
                        Some(config),
                    );
                    attend(socket.await, news, slot).await;
                }
                Err(error) => {
                    debug!(target: "canvas", %error, "a page left before its socket opened")
                }
            }
        });
        let accept = derive_accept_key(key.as_bytes());
        let mut response = Response::default();
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, answer::value("Upgrade"));
        headers.insert(header::UPGRADE, answer::value("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, answer::value(&accept));
        response
    }
}

/// The key of a well-formed WebSocket handshake.
fn websocket_key(headers: &HeaderMap) -> Option<&str> {
    let has = |name: header::HeaderName, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|list| {
                list.split(',')
                    .any(|one| one.trim().eq_ignore_ascii_case(token))
            })
    };
    let is_handshake = has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    headers
        .get(header::SEC_WEBSOCKET_KEY)?
        .to_str()
        .ok()
        .filter(|_| is_handshake)
}

/// Our own pages may; so may sandboxed ones, because that is how the gateway serves ours. A word
/// that says only "something has changed" is worth nothing to anybody else.
fn may_connect(knock: &Knock) -> bool {
    let mut origins = knock.headers.get_all(header::ORIGIN).iter();
    let (first, second) = (origins.next(), origins.next());
    let origin = match first.map(|value| value.to_str()) {
        None => None,
        Some(Ok(text)) if second.is_none() => Some(text),
        Some(_) => return false,
    };
    let by = |scheme| match asker(origin, scheme, &knock.host, &[]) {
        Asker::NoPage | Asker::OwnPage | Asker::AllowedPage | Asker::OpaquePage => true,
        Asker::ForeignPage => false,
    };
    // TLS ends in front of the gateway, so what came through it may be either.
    by(Scheme::Http) || (knock.peer.is_local_socket() && by(Scheme::Https))
}

/// Serves one page until it leaves, falls silent, or has to go.
async fn attend(
    mut socket: WebSocketStream<Stream>,
    mut news: watch::Receiver<News>,
    _slot: OwnedSemaphorePermit,
) {
    let mut known = *news.borrow_and_update();
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let mut heard = true;
    loop {
        let message = tokio::select! {
            changed = news.changed() => {
                let latest = *news.borrow_and_update();
                if changed.is_err() || latest.closings != known.closings {
                    break;
                }
                known = latest;
                Message::text("reload")
            }
            _ = ping.tick() => {
                if !std::mem::replace(&mut heard, false) {
                    return;
                }
                Message::Ping(Bytes::new())
            }
            frame = socket.next() => match frame {
                Some(Ok(_)) => {
                    heard = true;
                    continue;
                }
                // Gone, or not speaking WebSocket; tungstenite has sent what is to be said.
                Some(Err(_)) | None => return,
            },
        };
        match timeout(PATIENCE, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
    let goodbye = CloseFrame {
        code: CloseCode::Away,
        reason: "canvas host is leaving".into(),
    };
    // A page that does not answer the goodbye is left alone after a while.
    let _ = timeout(PATIENCE, async {
        if socket.close(Some(goodbye)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    })
    .await;
}
