//! The canvas host's routes on the base port.
//!
//! A request below one of the mounts is asked again of the canvas host, by its local socket, and its
//! answer passed on as it comes. The gateway adds what concerns its own origin: pages are sandboxed,
//! and nothing that a browser or a client attached as a credential goes further than here.
//!
//! While the canvas host is being started its socket exists and requests wait in it; the client
//! notices nothing. When it stays away the answer is 503, never a page of somebody else's.
//!
//! The caller judges `Host` first; `Origin` is judged by the canvas host.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use openclaw_shared::{ipc, serve};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_buf, split};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// What belongs to the canvas host.
const MOUNTS: [&str; 3] = [
    "/__openclaw__/canvas",
    "/__openclaw__/a2ui",
    "/__openclaw__/ws",
];

/// How long the canvas host may take to begin an answer, a restart of it included.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait after a canvas host that died while it was answering.
const RETRY: Duration = Duration::from_millis(50);
/// Answers under way at the same time.
const MAX_ANSWERS: usize = 128;
/// Live pages at the same time; the canvas host has its own bound.
const MAX_SOCKETS: u16 = 256;
/// Live reload says six bytes at a time.
const PUMP_BUFFER: usize = 512;

/// An agent's page must not act as the owner of the gateway's origin.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox allow-scripts");

/// What the canvas host needs to know of a request. Credentials are not among it.
const PASSED_ON: [HeaderName; 12] = [
    header::HOST,
    header::ORIGIN,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::RANGE,
    header::IF_RANGE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::USER_AGENT,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
];

/// Headers that concern one connection only, and therefore end here.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The body of a relayed answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// The mounts, and what is under way through them.
#[derive(Debug, Clone)]
pub(crate) struct Mounts {
    socket: Arc<PathBuf>,
    answers: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
    closing: Arc<watch::Sender<bool>>,
}

impl Mounts {
    /// Relays to the canvas host behind this local socket.
    pub(crate) fn new(socket: PathBuf) -> Self {
        let (closing, _) = watch::channel(false);
        Self {
            socket: Arc::new(socket),
            answers: Arc::new(Semaphore::new(MAX_ANSWERS)),
            sockets: Arc::new(Semaphore::new(MAX_SOCKETS.into())),
            closing: Arc::new(closing),
        }
    }

    /// Whether a path is the canvas host's to answer.
    pub(crate) fn is_mounted(path: &str) -> bool {
        MOUNTS.iter().any(|mount| {
            let rest = path.strip_prefix(mount);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Answers a request to one of the mounts. A request body is not looked at.
    pub(crate) async fn handle<B>(&self, mut request: Request<B>) -> Response<Body> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let wants_socket = request.headers().contains_key(header::UPGRADE);
        let slots = if wants_socket {
            &self.sockets
        } else {
            &self.answers
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            return unavailable("canvas host busy");
        };
        let client = wants_socket.then(|| hyper::upgrade::on(&mut request));
        let Ok(asked) = timeout(PATIENCE, self.ask(&request)).await else {
            warn!(target: "gateway/canvas", "the canvas host does not answer");
            return unavailable("canvas host unavailable");
        };
        let Asked {
            mut response,
            connection,
        } = asked;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let host = hyper::upgrade::on(&mut response);
            return match client {
                Some(client) => {
                    // Owned by its slot: `close` ends it and waits for it.
                    tokio::spawn(pump(
                        client,
                        host,
                        self.closing.subscribe(),
                        slot,
                        connection,
                    ));
                    switching(response.headers())
                }
                None => refusal(StatusCode::BAD_GATEWAY, "canvas host confused"),
            };
        }
        relay(response, slot, connection)
    }

    /// Ends the live pages' sockets, which makes the pages look for the successor, and waits until
    /// they are gone.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        // Every pump holds a slot until it has ended. The semaphore itself is never closed.
        let _ = self.sockets.acquire_many(MAX_SOCKETS.into()).await;
    }

    /// Asks until there is an answer. Asking twice is safe, because nothing but GET and HEAD is asked;
    /// it is needed when a canvas host dies with the question in hand.
    async fn ask<B>(&self, request: &Request<B>) -> Asked {
        loop {
            match self.ask_once(request).await {
                Ok(asked) => return asked,
                Err(error) => {
                    debug!(target: "gateway/canvas", %error, "the canvas host is asked again");
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn ask_once<B>(&self, request: &Request<B>) -> io::Result<Asked> {
        let stream = ipc::connect(&self.socket).await?;
        ipc::check_peer(&stream)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let connection = tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                debug!(target: "gateway/canvas", %error, "a connection to the canvas host broke");
            }
        });
        let connection = Connection(connection.abort_handle());
        let response = sender
            .send_request(question(request))
            .await
            .map_err(io::Error::other)?;
        Ok(Asked {
            response,
            connection,
        })
    }
}

/// An answer that has begun.
struct Asked {
    response: Response<Incoming>,
    connection: Connection,
}

/// The task that drives a connection to the canvas host; it ends with whoever needs it.
#[derive(Debug)]
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn question<B>(request: &Request<B>) -> Request<Empty<Bytes>> {
    let mut question = Request::new(Empty::new());
    *question.method_mut() = request.method().clone();
    // The target in the form a server expects, whatever form the client chose.
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    *question.uri_mut() = target.parse().unwrap_or_default();
    for name in &PASSED_ON {
        for value in request.headers().get_all(name) {
            question.headers_mut().append(name, value.clone());
        }
    }
    if request.headers().contains_key(header::UPGRADE) {
        for name in [header::UPGRADE, header::CONNECTION] {
            for value in request.headers().get_all(&name) {
                question.headers_mut().append(&name, value.clone());
            }
        }
    }
    question
}

/// Passes an answer on as it comes.
fn relay(
    response: Response<Incoming>,
    slot: OwnedSemaphorePermit,
    connection: Connection,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    for name in &HOP_BY_HOP {
        parts.headers.remove(name);
    }
    // 426 is the one answer whose meaning is in a header of the connection.
    if parts.status == StatusCode::UPGRADE_REQUIRED {
        parts
            .headers
            .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    parts
        .headers
        .insert(header::CONTENT_SECURITY_POLICY, SANDBOX);
    let body = Relayed {
        body,
        _slot: slot,
        _connection: connection,
    };
    Response::from_parts(parts, body.boxed_unsync())
}

struct Relayed {
    body: Incoming,
    _slot: OwnedSemaphorePermit,
    _connection: Connection,
}

impl hyper::body::Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn switching(answer: &HeaderMap) -> Response<Body> {
    let mut response = refusal(StatusCode::SWITCHING_PROTOCOLS, "");
    *response.headers_mut() = HeaderMap::new();
    for name in [
        header::CONNECTION,
        header::UPGRADE,
        header::SEC_WEBSOCKET_ACCEPT,
    ] {
        if let Some(value) = answer.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// Carries bytes between a page and the canvas host until either is done or the gateway leaves.
async fn pump(
    client: OnUpgrade,
    host: OnUpgrade,
    mut closing: watch::Receiver<bool>,
    _slot: OwnedSemaphorePermit,
    _connection: Connection,
) {
    let carried = async {
        let host = TokioIo::new(host.await.map_err(io::Error::other)?);
        let client = serve::upgrade(client).await.map_err(io::Error::other)?;
        let (from_host, mut to_host) = split(host);
        let (from_page, mut to_page) = split(client.stream);
        let mut from_host = BufReader::with_capacity(PUMP_BUFFER, from_host);
        let mut from_page = BufReader::with_capacity(PUMP_BUFFER, from_page);
        to_host.write_all(&client.read_ahead).await?;
        tokio::select! {
            // A page that has closed its side is gone; a half-closed WebSocket has no meaning. The local
            // socket cannot pass the end on by itself, so the whole of it is closed by leaving here.
            gone = copy_buf(&mut from_page, &mut to_host) => gone.map(|_bytes| ()),
            left = copy_buf(&mut from_host, &mut to_page) => {
                left?;
                to_page.shutdown().await?;
                farewell(from_page).await
            }
        }
    };
    tokio::select! {
        outcome = carried => {
            if let Err(error) = outcome {
                debug!(target: "gateway/canvas", %error, "a live page is gone");
            }
        }
        // An error means that the mounts themselves are gone.
        _ = closing.wait_for(|closing| *closing) => {}
    }
}

/// Reads what a page still sends after the last word, so that its kernel does not throw that word away,
/// for as long as a page needs to hang up and no longer.
async fn farewell(mut from_page: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut scrap = [0; PUMP_BUFFER];
    let hung_up = async {
        while from_page.read(&mut scrap).await? > 0 {}
        io::Result::Ok(())
    };
    timeout(PATIENCE, hung_up).await.unwrap_or(Ok(()))
}

fn unavailable(text: &'static str) -> Response<Body> {
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, text);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::service::service_fn;
    use openclaw_shared::serve::{Limits, Server};
    use tokio::net::{TcpListener, TcpStream, UnixListener};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    async fn within<F: Future>(future: F) -> F::Output {
        timeout(DEADLINE, future)
            .await
            .expect("it should have happened long ago")
    }

    /// A canvas host that tells what it was asked, and echoes on its socket.
    fn canvas_host(listener: UnixListener) -> Server {
        let service = service_fn(|mut request: Request<Incoming>| async move {
            let pending = hyper::upgrade::on(&mut request);
            let mut response = Response::new(Full::new(Bytes::from(format!("{request:?}"))));
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            if request.uri().path().ends_with("/ws") {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(
                    header::SEC_WEBSOCKET_ACCEPT,
                    HeaderValue::from_static("yes"),
                );
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                *response.body_mut() = Full::default();
                tokio::spawn(async move {
                    let mut page = serve::upgrade(pending).await.unwrap();
                    let mut five = [0; 5];
                    page.stream.read_exact(&mut five).await.unwrap();
                    page.stream.write_all(&five).await.unwrap();
                    let _ = page.stream.read_u8().await;
                });
            }
            Ok::<_, Infallible>(response)
        });
        let server = Server::new(
            Vec::new(),
            Some(listener),
            Arc::new(service),
            Limits::default(),
        );
        server.activate();
        server
    }

    struct Gateway {
        home: tempfile::TempDir,
        address: std::net::SocketAddr,
        mounts: Mounts,
        _server: Server,
    }

    impl Gateway {
        async fn start() -> Self {
            let home = tempfile::tempdir().unwrap();
            let mounts = Mounts::new(home.path().join("canvas"));
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = tcp.local_addr().unwrap();
            let handler = mounts.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let mounts = handler.clone();
                async move { Ok::<_, Infallible>(mounts.handle(request).await) }
            });
            let server = Server::new(vec![tcp], None, Arc::new(service), Limits::default());
            server.activate();
            Self {
                home,
                address,
                mounts,
                _server: server,
            }
        }

        fn listen(&self) -> UnixListener {
            UnixListener::bind(self.home.path().join("canvas")).unwrap()
        }

        async fn ask(&self, request: &str) -> String {
            let mut stream = within(TcpStream::connect(self.address)).await.unwrap();
            let wire = format!("{request}\nConnection: close\n\n").replace('\n', "\r\n");
            within(stream.write_all(wire.as_bytes())).await.unwrap();
            let mut answer = String::new();
            within(stream.read_to_string(&mut answer)).await.unwrap();
            answer
        }
    }

    #[test]
    fn the_mounts_are_whole_names() {
        for path in [
            "/__openclaw__/canvas",
            "/__openclaw__/canvas/a",
            "/__openclaw__/ws",
        ] {
            assert!(Mounts::is_mounted(path), "{path}");
        }
        for path in [
            "/",
            "/__openclaw__",
            "/__openclaw__/canvasX",
            "/x/__openclaw__/canvas",
        ] {
            assert!(!Mounts::is_mounted(path), "{path}");
        }
    }

    #[tokio::test]
    async fn an_answer_comes_through_sandboxed_and_credentials_do_not() {
        let gateway = Gateway::start().await;
        let _host = canvas_host(gateway.listen());
        let answer = gateway
            .ask(
                "GET /__openclaw__/canvas/../a%2fb?q=1 HTTP/1.1\nHost: localhost:1\n\
                 Range: bytes=0-1\nAuthorization: Bearer SECRET\nCookie: SECRET\nX-Other: SECRET",
            )
            .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(
            answer.contains("content-security-policy: sandbox allow-scripts"),
            "{answer}"
        );
        assert!(
            answer.contains("/__openclaw__/canvas/../a%2fb?q=1"),
            "{answer}"
        );
        assert!(
            answer.contains("localhost:1") && answer.contains("bytes=0-1"),
            "{answer}"
        );
        assert!(!answer.contains("SECRET"), "{answer}");
        assert!(
            !answer.to_lowercase().contains("connection: upgrade"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn a_host_that_comes_late_is_waited_for() {
        let gateway = Gateway::start().await;
        let listener = gateway.listen();
        let asking = gateway.ask("GET /__openclaw__/canvas/ HTTP/1.1\nHost: a");
        let starting = async {
            // Somebody is waiting at the socket before anybody serves it.
            let (first, _) = within(listener.accept()).await.unwrap();
            drop(first);
            canvas_host(listener)
        };
        let (answer, _host) = tokio::join!(asking, starting);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn a_host_that_stays_away_is_said_to_be_away() {
        let gateway = Gateway::start().await;
        let answer = gateway
            .ask("GET /__openclaw__/canvas/ HTTP/1.1\nHost: a")
            .await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("retry-after: 2"), "{answer}");
    }

    #[tokio::test]
    async fn only_reading_goes_through() {
        let gateway = Gateway::start().await;
        let answer = gateway
            .ask("POST /__openclaw__/canvas/ HTTP/1.1\nHost: a")
            .await;
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD"));
    }

    #[tokio::test]
    async fn a_socket_goes_through_in_both_directions_and_ends_with_the_gateway() {
        let gateway = Gateway::start().await;
        let _host = canvas_host(gateway.listen());
        let mut page = within(TcpStream::connect(gateway.address)).await.unwrap();
        let request = "GET /__openclaw__/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\n\r\nahead";
        within(page.write_all(request.as_bytes())).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ahead") {
            assert_ne!(
                within(page.read_buf(&mut answer)).await.unwrap(),
                0,
                "{answer:?}"
            );
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"));
        within(gateway.mounts.close()).await;
        assert_eq!(within(page.read_buf(&mut answer)).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_page_that_hangs_up_gives_its_slot_back_at_once() {
        let gateway = Gateway::start().await;
        let _host = canvas_host(gateway.listen());
        let mut page = within(TcpStream::connect(gateway.address)).await.unwrap();
        let request = "GET /__openclaw__/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\n\r\nahead";
        within(page.write_all(request.as_bytes())).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ahead") {
            assert_ne!(
                within(page.read_buf(&mut answer)).await.unwrap(),
                0,
                "{answer:?}"
            );
        }
        drop(page);
        let every_slot = gateway.mounts.sockets.acquire_many(MAX_SOCKETS.into());
        assert!(within(every_slot).await.is_ok());
    }
}
