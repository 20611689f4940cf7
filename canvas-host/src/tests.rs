//! The routes on real sockets, as a browser and as the gateway ask them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

use super::*;
use openclaw_shared::serve::host::HostPolicy;

const DEADLINE: Duration = Duration::from_secs(60);

struct Service {
    home: tempfile::TempDir,
    address: std::net::SocketAddr,
    server: Server,
    live: LiveReload,
    settings: watch::Sender<Settings>,
}

impl Service {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("canvas");
        first_page::prepare(&root).unwrap();
        let (settings, follow) = watch::channel(Settings { live_reload: true });
        let live = LiveReload::new();
        let canvas = Canvas {
            files: Arc::new(Files::new(root)),
            live: live.clone(),
            settings: follow,
        };
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let local = UnixListener::bind(home.path().join("local")).unwrap();
        let routes = TowerToHyperService::new(warp::service(http::routes(canvas)));
        let guarded = Guarded::new(HostPolicy::default(), answer::foreign, routes);
        let server = Server::new(vec![tcp], Some(local), guarded, Limits::default());
        server.activate();
        Self {
            home,
            address,
            server,
            live,
            settings,
        }
    }

    fn root(&self) -> std::path::PathBuf {
        self.home.path().join("canvas")
    }

    async fn ask(&self, request: &str) -> Answer {
        let stream = within(TcpStream::connect(self.address)).await.unwrap();
        ask(stream, &self.with_host(request)).await
    }

    async fn ask_locally(&self, request: &str) -> Answer {
        let path: &Path = &self.home.path().join("local");
        ask(
            within(UnixStream::connect(path)).await.unwrap(),
            &self.with_host(request),
        )
        .await
    }

    fn with_host(&self, request: &str) -> String {
        if request.contains("Host:") {
            return request.to_owned();
        }
        let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
        format!("{line}\nHost: {}\n{headers}", self.address)
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(DEADLINE, future)
        .await
        .expect("it should have happened long ago")
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> Answer {
    let (head, body) = request
        .split_once("\n\n")
        .unwrap_or((request.trim_end(), ""));
    let head = head
        .trim_end()
        .replace('\n', " \r\n")
        .replace(" \r\n", "\r\n");
    let wire = format!("{head}\r\nConnection: close\r\n\r\n{body}");
    within(stream.write_all(wire.as_bytes())).await.unwrap();
    let mut bytes = Vec::new();
    within(stream.read_to_end(&mut bytes)).await.unwrap();
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a whole head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    }
}

fn get(path: &str) -> String {
    format!("GET /__openclaw__/{path} HTTP/1.1")
}

#[tokio::test]
async fn the_first_page_is_served_with_its_script() {
    let service = Service::start().await;
    let page = service.ask(&get("canvas/")).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert_eq!(page.header("content-security-policy"), None);
    assert!(page.text().contains("OpenClaw Canvas") && page.text().contains("/__openclaw__/ws"));

    let head = service.ask("HEAD /__openclaw__/canvas/ HTTP/1.1").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), page.header("content-length"));

    service
        .settings
        .send_replace(Settings { live_reload: false });
    let plain = service.ask(&get("canvas/")).await;
    assert!(!plain.text().contains("/__openclaw__/ws"));
    assert_ne!(plain.header("etag"), page.header("etag"));
}

#[tokio::test]
async fn rule_91_pages_mounted_in_the_gateway_are_sandboxed() {
    let service = Service::start().await;
    for path in ["canvas/", "canvas/absent", "canvas"] {
        let answer = service.ask_locally(&get(path)).await;
        let policy = answer.header("content-security-policy");
        assert_eq!(policy, Some("sandbox allow-scripts"), "{path}");
    }
    let named = "GET /__openclaw__/canvas/ HTTP/1.1\nHost: gw.example.com";
    assert_eq!(service.ask_locally(named).await.status, 200);
}

#[tokio::test]
async fn a_page_and_its_parts_can_be_asked_for_in_every_way() {
    let service = Service::start().await;
    fs::create_dir(service.root().join("sub")).unwrap();
    fs::write(service.root().join("sub/style.css"), "body{}").unwrap();
    fs::write(service.root().join("sub/a b.txt"), "text").unwrap();
    for (path, status) in [
        ("canvas", 308),
        ("canvas/", 200),
        ("canvas/index.html", 200),
        ("canvas/sub", 308),
        ("canvas/sub/", 404),
        ("canvas/sub/style.css", 200),
        ("canvas/sub/style.css?v=1", 200),
        ("canvas/sub/a%20b.txt", 200),
        ("canvas/absent", 404),
        ("canvas/%zz", 400),
        ("canvas/%00", 404),
        ("canvas/.hidden", 404),
        ("canvasX", 404),
        ("a2ui", 503),
        ("a2ui/", 503),
        ("ws", 426),
        ("ws/", 404),
        ("", 404),
    ] {
        let answer = service.ask(&get(path)).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.head);
        let home = service.home.path().to_str().unwrap();
        assert!(
            !answer.text().contains(home),
            "{path} tells where the root is"
        );
    }
    let redirect = service.ask(&get("canvas/sub?q=1")).await;
    assert_eq!(
        redirect.header("location"),
        Some("/__openclaw__/canvas/sub/?q=1")
    );
    let style = service.ask(&get("canvas/sub/style.css")).await;
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
}

#[tokio::test]
async fn rule_82_nothing_outside_the_root_is_served_whatever_the_spelling() {
    let service = Service::start().await;
    fs::write(service.home.path().join("package.json"), "SECRET").unwrap();
    std::os::unix::fs::symlink("../package.json", service.root().join("link")).unwrap();
    nix::unistd::mkfifo(&service.root().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for below in [
        "../package.json",
        "..%2fpackage.json",
        "%2e%2e/package.json",
        "%2e%2e%2fpackage.json",
        "..%5cpackage.json",
        "..%252fpackage.json",
        "....//package.json",
        "..;/package.json",
        "assets/../../package.json",
        "/package.json",
        "%2fetc%2fpasswd",
        "etc/passwd%00.css",
        "link",
        "link/",
        "fifo",
    ] {
        for mount in ["canvas", "a2ui"] {
            let answer = service.ask(&get(&format!("{mount}/{below}"))).await;
            assert!(
                (400..=503).contains(&answer.status),
                "{mount}/{below}: {}",
                answer.head
            );
            assert!(!answer.text().contains("SECRET"), "{mount}/{below}");
        }
    }
}

#[tokio::test]
async fn files_are_streamed_in_parts_and_not_sent_twice() {
    let service = Service::start().await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|step| (step % 251) as u8).collect();
    fs::write(service.root().join("film.mp4"), &bytes).unwrap();
    let whole = service.ask(&get("canvas/film.mp4")).await;
    assert_eq!((whole.status, &whole.body), (200, &bytes));
    assert_eq!(whole.header("content-length"), Some("1000000"));
    let part = service
        .ask(&(get("canvas/film.mp4") + "\nRange: bytes=70000-200000"))
        .await;
    assert_eq!(
        (part.status, &part.body[..]),
        (206, &bytes[70_000..=200_000])
    );
    assert_eq!(
        part.header("content-range"),
        Some("bytes 70000-200000/1000000")
    );
    let beyond = service
        .ask(&(get("canvas/film.mp4") + "\nRange: bytes=1000000-"))
        .await;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, Some("bytes */1000000"))
    );
    let tag = whole.header("etag").unwrap();
    let known = service
        .ask(&(get("canvas/film.mp4") + "\nIf-None-Match: " + tag))
        .await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    fs::write(service.root().join("film.mp4"), &bytes[1..]).unwrap();
    let changed = service
        .ask(&(get("canvas/film.mp4") + "\nIf-None-Match: " + tag))
        .await;
    assert_eq!((changed.status, changed.body.len()), (200, 999_999));
}

#[tokio::test]
async fn rule_93_every_method_but_get_and_head_is_refused() {
    let service = Service::start().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"] {
        for path in ["canvas/index.html", "a2ui/", "ws"] {
            let answer = service
                .ask(&format!("{method} /__openclaw__/{path} HTTP/1.1"))
                .await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        }
    }
}

#[tokio::test]
async fn rule_78_a_foreign_host_sees_nothing() {
    let service = Service::start().await;
    for host in ["attacker.example", "localhost.attacker.example", "0.0.0.0"] {
        let answer = service.ask(&(get("canvas/") + "\nHost: " + host)).await;
        assert_eq!(answer.status, 403, "{host}");
    }
}

#[tokio::test]
async fn a_root_that_went_away_is_said_clearly_and_may_come_back() {
    let service = Service::start().await;
    fs::rename(service.root(), service.home.path().join("away")).unwrap();
    let answer = service.ask(&get("canvas/")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("cannot be opened"));
    fs::rename(service.home.path().join("away"), service.root()).unwrap();
    assert_eq!(service.ask(&get("canvas/")).await.status, 200);
}

const HANDSHAKE: &str = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

async fn open_socket(service: &Service, origin: &str) -> (TcpStream, String) {
    let mut stream = within(TcpStream::connect(service.address)).await.unwrap();
    let request = service.with_host(&(get("ws") + "\n" + HANDSHAKE + origin));
    let wire = request.replace('\n', "\r\n") + "\r\n\r\n";
    within(stream.write_all(wire.as_bytes())).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

async fn frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let head = [
        within(stream.read_u8()).await.unwrap(),
        within(stream.read_u8()).await.unwrap(),
    ];
    let mut payload = vec![0; head[1].into()];
    within(stream.read_exact(&mut payload)).await.unwrap();
    (head[0], payload)
}

#[tokio::test]
async fn a_page_hears_reload_and_a_goodbye() {
    let service = Service::start().await;
    let (mut page, head) = open_socket(&service, "\nOrigin: null").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    service.live.reload();
    assert_eq!(frame(&mut page).await, (0x81, b"reload".to_vec()));

    let drain = Drain {
        reason: openclaw_shared::control::StopReason::Stop,
        budget: DEADLINE,
        restart_expected_ms: None,
        credentials: None,
    };
    let live = service.live.clone();
    let leaving = tokio::spawn(async move { leave(service.server, &live, drain).await });
    let (opcode, payload) = frame(&mut page).await;
    assert_eq!((opcode, &payload[..2]), (0x88, &1001_u16.to_be_bytes()[..]));
    drop(page);
    within(leaving).await.unwrap();
}

#[tokio::test]
async fn rule_92_only_own_and_sandboxed_pages_get_a_socket() {
    let service = Service::start().await;
    let own = format!("\nOrigin: http://{}", service.address);
    for origin in ["", &own, "\nOrigin: null"] {
        let (_, head) = open_socket(&service, origin).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{origin:?}: {head}");
    }
    let twice = format!("{own}{own}");
    for origin in [
        "\nOrigin: https://evil.example",
        "\nOrigin: http://127.0.0.1:1",
        &twice,
    ] {
        let (_, head) = open_socket(&service, origin).await;
        assert!(head.starts_with("HTTP/1.1 403"), "{origin:?}: {head}");
    }
    service
        .settings
        .send_replace(Settings { live_reload: false });
    let (_, head) = open_socket(&service, "").await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
}

#[tokio::test]
async fn rule_75_a_page_that_says_too_much_is_closed() {
    let service = Service::start().await;
    for announced in [
        &[0x81, 0xfe, 0x20, 0x00][..],
        &[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0],
    ] {
        let (mut page, _) = open_socket(&service, "").await;
        within(page.write_all(announced)).await.unwrap();
        within(page.write_all(&[0; 4])).await.unwrap();
        let mut rest = Vec::new();
        // A reset is as good an end as any.
        let _ = within(page.read_to_end(&mut rest)).await;
    }
}
