//! The server on real loopback sockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::*;

/// Far above anything that happens on a loaded machine; reached only by a test that fails.
const DEADLINE: Duration = Duration::from_secs(60);

const LIMITS: Limits = Limits {
    max_connections: 8,
    patience: Duration::from_millis(50),
    header_timeout: Duration::from_secs(15),
    idle_timeout: Duration::from_secs(15),
    newcomer: Duration::from_secs(1),
    farewell: Duration::from_millis(50),
    write_timeout: Duration::from_secs(15),
    linger: Duration::from_secs(5),
    max_header_bytes: 32 * 1024,
};

struct Host {
    server: Server,
    address: SocketAddr,
    /// Each permit lets one `/hold` be answered.
    release: Arc<Semaphore>,
}

async fn start(limits: Limits) -> Host {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (server, release) = server(vec![listener], None, limits);
    server.activate();
    Host {
        server,
        address,
        release,
    }
}

fn server(
    tcp: Vec<TcpListener>,
    local: Option<UnixListener>,
    limits: Limits,
) -> (Server, Arc<Semaphore>) {
    let release = Arc::new(Semaphore::new(0));
    let bell = release.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let bell = bell.clone();
        async move { Ok::<_, Infallible>(handle(request, &bell).await) }
    });
    (Server::new(tcp, local, Arc::new(service), limits), release)
}

async fn handle(mut request: Request<Incoming>, bell: &Semaphore) -> Response<Full<Bytes>> {
    let text = match request.uri().path() {
        "/panic" => panic!("a handler that fails"),
        "/hold" => {
            bell.acquire().await.unwrap().forget();
            "held".to_owned()
        }
        "/big" => "x".repeat(16 * 1024 * 1024),
        "/peer" => format!("{:?}", request.extensions().get::<Peer>().unwrap()),
        "/body" => {
            let body = body::read(request.into_body(), 64, DEADLINE).await;
            body.map_or_else(
                |error| error.to_string(),
                |body| format!("{} bytes", body.len()),
            )
        }
        "/upgrade" => {
            let pending = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut upgraded = upgrade(pending).await.unwrap();
                assert!(matches!(upgraded.stream, Stream::Tcp(_)));
                upgraded
                    .stream
                    .write_all(&upgraded.read_ahead)
                    .await
                    .unwrap();
                upgraded.stream.write_all(b"raw").await.unwrap();
            });
            return Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "raw")
                .body(Full::default())
                .unwrap();
        }
        _ => "hello".to_owned(),
    };
    Response::new(Full::new(Bytes::from(text)))
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(DEADLINE, future)
        .await
        .expect("it should have happened long ago")
}

async fn connect(address: SocketAddr) -> TcpStream {
    within(TcpStream::connect(address)).await.unwrap()
}

async fn send(stream: &mut TcpStream, text: &str) {
    within(stream.write_all(text.replace('\n', "\r\n").as_bytes()))
        .await
        .unwrap();
}

/// Reads until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    within(stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Reads until the text has been seen.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(end) {
        let count = within(stream.read_buf(&mut bytes)).await.unwrap();
        assert_ne!(
            count,
            0,
            "closed after {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
    String::from_utf8(bytes).unwrap()
}

async fn connections(server: &Server, count: usize) {
    within(async {
        while server.connections() != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_standby_accepts_nothing_and_refuses_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = connect(listener.local_addr().unwrap()).await;
    send(&mut client, "GET / HTTP/1.1\nHost: a\n\n").await;
    let (server, _) = server(vec![listener], None, LIMITS);
    assert_eq!(server.connections(), 0);
    server.activate();
    assert!(
        until(&mut client, "hello")
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn every_listener_is_served_and_the_handler_knows_its_peer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = [first.local_addr().unwrap(), second.local_addr().unwrap()];
    let local = UnixListener::bind(&path).unwrap();
    let (server, _) = server(vec![first, second], Some(local), LIMITS);
    server.activate();
    for address in addresses {
        let mut client = connect(address).await;
        let own = format!("Tcp({})", client.local_addr().unwrap());
        send(&mut client, "GET /peer HTTP/1.1\nHost: a\n\n").await;
        until(&mut client, &own).await;
    }
    let mut client = UnixStream::connect(&path).await.unwrap();
    client
        .write_all(b"GET /peer HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    within(client.read_to_string(&mut text)).await.unwrap();
    assert!(text.ends_with("Local"), "{text}");
}

#[tokio::test]
async fn a_connection_without_a_request_is_served_during_a_drain() {
    let host = start(LIMITS).await;
    let mut fresh = connect(host.address).await;
    let mut idle = connect(host.address).await;
    send(&mut idle, "GET / HTTP/1.1\nHost: a\n\n").await;
    until(&mut idle, "hello").await;
    connections(&host.server, 2).await;

    let draining = tokio::spawn(host.server.drain(DEADLINE));
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed");
    drop(idle);
    assert!(!draining.is_finished());
    send(&mut fresh, "GET / HTTP/1.1\nHost: a\n\n").await;
    let answer = rest(&mut fresh).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
        "{answer}"
    );
    drop(fresh);
    assert_eq!(within(draining).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn an_idle_connection_that_is_used_again_gets_a_last_answer() {
    let host = start(Limits {
        farewell: DEADLINE,
        ..LIMITS
    })
    .await;
    let mut client = connect(host.address).await;
    for _ in 0..2 {
        send(&mut client, "GET / HTTP/1.1\nHost: a\n\n").await;
        let answer = until(&mut client, "hello").await;
        assert!(
            !answer.to_lowercase().contains("connection: close"),
            "{answer}"
        );
    }
    let draining = tokio::spawn(host.server.drain(DEADLINE));
    // The drain is known to have begun when nobody accepts any more.
    within(async {
        while TcpStream::connect(host.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    send(&mut client, "GET / HTTP/1.1\nHost: a\n\n").await;
    let answer = rest(&mut client).await;
    assert!(
        answer.contains("connection: close") && answer.ends_with("hello"),
        "{answer}"
    );
    drop(client);
    assert_eq!(within(draining).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_request_in_flight_is_answered_during_a_drain() {
    let host = start(LIMITS).await;
    let mut client = connect(host.address).await;
    send(&mut client, "GET /hold HTTP/1.1\nHost: a\n\n").await;
    connections(&host.server, 1).await;
    let draining = tokio::spawn(host.server.drain(DEADLINE));
    host.release.add_permits(1);
    assert!(rest(&mut client).await.ends_with("held"));
    drop(client);
    assert_eq!(within(draining).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_drain_ends_with_its_budget() {
    let host = start(LIMITS).await;
    let mut client = connect(host.address).await;
    send(&mut client, "GET /hold HTTP/1.1\nHost: a\n\n").await;
    connections(&host.server, 1).await;
    let drained = within(host.server.drain(Duration::from_millis(20))).await;
    assert_eq!(drained, Drained { cut: 1 });
}

#[tokio::test]
async fn after_a_drain_the_backlog_belongs_to_the_successor() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let ours = TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
    let (predecessor, _) = server(vec![ours], None, LIMITS);
    predecessor.activate();
    assert_eq!(
        within(predecessor.drain(DEADLINE)).await,
        Drained { cut: 0 }
    );

    let mut client = connect(address).await;
    send(&mut client, "GET / HTTP/1.1\nHost: a\n\n").await;
    let (successor, _) = server(vec![TcpListener::from_std(listener).unwrap()], None, LIMITS);
    successor.activate();
    until(&mut client, "hello").await;
}

#[tokio::test]
async fn rule_74_headers_that_never_end_are_cut_off() {
    let host = start(Limits {
        header_timeout: Duration::from_millis(300),
        ..LIMITS
    })
    .await;
    let mut silent = connect(host.address).await;
    assert_eq!(rest(&mut silent).await, "");
    let mut slow = connect(host.address).await;
    send(&mut slow, "GET / HTTP/1.1\nHost: a\nX: ").await;
    assert_eq!(rest(&mut slow).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let host = start(Limits {
        idle_timeout: Duration::from_millis(50),
        ..LIMITS
    })
    .await;
    let mut client = connect(host.address).await;
    send(&mut client, "GET / HTTP/1.1\nHost: a\n\n").await;
    assert!(rest(&mut client).await.ends_with("hello"));
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let host = start(Limits {
        write_timeout: Duration::from_millis(50),
        ..LIMITS
    })
    .await;
    let mut client = connect(host.address).await;
    send(&mut client, "GET /big HTTP/1.1\nHost: a\n\n").await;
    // It has begun, and nobody reads on.
    within(client.read_u8()).await.unwrap();
    connections(&host.server, 0).await;
}

#[tokio::test]
async fn rule_74_a_flood_of_headers_is_refused() {
    let host = start(LIMITS).await;
    for header in [
        "X-Long: ".to_owned() + &"x".repeat(40_000),
        "X: y\n".repeat(200),
    ] {
        let mut client = connect(host.address).await;
        let request = format!("GET / HTTP/1.1\nHost: a\n{header}\n\n").replace('\n', "\r\n");
        // The server may stop reading before all is written.
        let _ = within(client.write_all(request.as_bytes())).await;
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test]
async fn rule_84_ambiguous_framing_gets_one_refusal() {
    let host = start(LIMITS).await;
    for head in [
        "Content-Length: 4\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nContent-Length: 4",
        "Content-Length: 4\nContent-Length: 5",
        "Content-Length: -1",
        "Content-Length: +4",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\nTransfer-Encoding: chunked",
        "Content-Length : 4",
        "X: a\n folded: b",
    ] {
        let mut client = connect(host.address).await;
        let smuggled = "GET /peer HTTP/1.1\nHost: a\n\n";
        send(
            &mut client,
            &format!("POST / HTTP/1.1\nHost: a\n{head}\n\n0\n\n{smuggled}"),
        )
        .await;
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?}: {answer}");
    }
}

#[tokio::test]
async fn rule_84_nothing_is_read_behind_a_chunked_body() {
    let host = start(LIMITS).await;
    let mut client = connect(host.address).await;
    let chunked = "POST /body HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n";
    send(
        &mut client,
        &format!("{chunked}GET / HTTP/1.1\nHost: a\n\n"),
    )
    .await;
    let answer = rest(&mut client).await;
    assert!(answer.ends_with("3 bytes"), "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let host = start(LIMITS).await;
    let mut client = connect(host.address).await;
    let one = "POST /body HTTP/1.1\nHost: a\nContent-Length: 2\n\nab";
    send(
        &mut client,
        &format!("{one}GET / HTTP/1.1\nHost: a\nConnection: close\n\n"),
    )
    .await;
    let answer = rest(&mut client).await;
    assert!(
        answer.contains("2 bytes") && answer.ends_with("hello"),
        "{answer}"
    );
}

#[tokio::test]
async fn an_early_refusal_of_a_large_body_is_not_lost_in_a_reset() {
    let host = start(LIMITS).await;
    let mut client = connect(host.address).await;
    send(
        &mut client,
        "POST /body HTTP/1.1\nHost: a\nContent-Length: 500000\n\n",
    )
    .await;
    within(client.write_all(&vec![b'x'; 500_000]))
        .await
        .unwrap();
    let answer = rest(&mut client).await;
    assert!(answer.ends_with("read a body that large"), "{answer}");
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    let host = start(LIMITS).await;
    let mut client = connect(host.address).await;
    send(&mut client, "GET /panic HTTP/1.1\nHost: a\n\n").await;
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 500"));
    let mut client = connect(host.address).await;
    send(&mut client, "GET / HTTP/1.1\nHost: a\n\n").await;
    until(&mut client, "hello").await;
}

#[tokio::test]
async fn silent_sockets_at_the_limit_make_room_for_a_client() {
    let host = start(LIMITS).await;
    let mut silent = Vec::new();
    for _ in 0..LIMITS.max_connections * 3 {
        silent.push(connect(host.address).await);
    }
    let mut client = connect(host.address).await;
    send(&mut client, "GET / HTTP/1.1\nHost: a\n\n").await;
    until(&mut client, "hello").await;
    assert_eq!(rest(&mut silent[0]).await, "", "the oldest went first");
}

#[tokio::test]
async fn many_that_come_at_once_all_get_to_say_what_they_want() {
    let host = start(Limits {
        patience: DEADLINE,
        ..LIMITS
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..LIMITS.max_connections * 3 {
        clients.push(connect(host.address).await);
    }
    connections(&host.server, LIMITS.max_connections).await;
    for client in &mut clients {
        send(client, "GET / HTTP/1.1\nHost: a\nConnection: close\n\n").await;
    }
    for client in &mut clients {
        assert!(rest(client).await.ends_with("hello"));
    }
}

#[tokio::test]
async fn busy_connections_at_the_limit_are_waited_for() {
    let host = start(Limits {
        max_connections: 2,
        ..LIMITS
    })
    .await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = connect(host.address).await;
        send(&mut client, "GET /hold HTTP/1.1\nHost: a\n\n").await;
        busy.push(client);
    }
    connections(&host.server, 2).await;
    let mut next = connect(host.address).await;
    send(&mut next, "GET / HTTP/1.1\nHost: a\n\n").await;
    host.release.add_permits(2);
    until(&mut busy[0], "held").await;
    // The connection that has become idle makes room, though it would have been kept.
    until(&mut next, "hello").await;
}

#[tokio::test]
async fn an_upgraded_socket_comes_back_with_what_was_read_ahead() {
    let host = start(LIMITS).await;
    let mut client = connect(host.address).await;
    let head = "GET /upgrade HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: raw\n\n";
    send(&mut client, &format!("{head}ahead,")).await;
    assert!(rest(&mut client).await.ends_with("ahead,raw"));
    connections(&host.server, 0).await;
}
