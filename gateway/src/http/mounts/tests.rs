//! Requests through the mounts, on real sockets.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use openclaw_shared::serve::{self, Limits, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::*;

const DEADLINE: Duration = Duration::from_secs(60);

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

    /// A page whose socket is open: what was sent ahead has come back behind the answer.
    async fn live_page(&self) -> (TcpStream, Vec<u8>) {
        let mut page = within(TcpStream::connect(self.address)).await.unwrap();
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
        (page, answer)
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
async fn rule_91_an_answer_comes_through_sandboxed_and_credentials_do_not() {
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
async fn rule_93_only_reading_goes_through() {
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
    let (mut page, mut answer) = gateway.live_page().await;
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    within(gateway.mounts.close()).await;
    assert_eq!(within(page.read_buf(&mut answer)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_page_that_hangs_up_gives_its_slot_back_at_once() {
    let gateway = Gateway::start().await;
    let _host = canvas_host(gateway.listen());
    let (page, _answer) = gateway.live_page().await;
    drop(page);
    let every_slot = gateway.mounts.sockets.acquire_many(MAX_SOCKETS.into());
    assert!(within(every_slot).await.is_ok());
}
