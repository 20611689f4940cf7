//! The routes on real sockets, as programs, pages and other children ask them.

use std::time::Duration;

use openclaw_shared::credentials::{AuthMode, Credentials};
use openclaw_shared::instance::{Environment, Identity, Instance, Profile, Wishes};
use openclaw_shared::ports::PortWishes;
use openclaw_shared::secret::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

use super::*;

const DEADLINE: Duration = Duration::from_secs(60);

struct Host {
    home: tempfile::TempDir,
    address: std::net::SocketAddr,
    current: watch::Sender<Arc<Service>>,
    ground: Ground,
    _server: Server,
}

fn service(ground: &Ground, browser: Value) -> Service {
    let token = Some(Secret::new("TOKEN".to_owned()));
    let credentials = Credentials {
        mode: AuthMode::Token,
        token,
        password: None,
    };
    Service::new(ground, &json!({ "browser": browser }), Some(credentials)).unwrap()
}

impl Host {
    async fn start(browser: Value) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().to_str().unwrap();
        let environment = Environment::from_pairs([("HOME", folder)], home.path());
        let profile = Profile::parse("").unwrap();
        let identity = Identity::resolve(profile, &environment, &|_| false).unwrap();
        let ports = PortWishes {
            flag: Some(21_001),
            ..PortWishes::default()
        };
        let wishes = Wishes {
            ports,
            ..Wishes::default()
        };
        let instance = Instance::resolve(identity, wishes, &environment, &|_| false).unwrap();
        let ground = Ground::of(&instance);
        let (current, follow) = watch::channel(Arc::new(service(&ground, browser)));
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let local = UnixListener::bind(home.path().join("local")).unwrap();
        let routes = TowerToHyperService::new(warp::service(http::routes(follow)));
        let guarded = Guarded::new(HostPolicy::default(), http::foreign, routes);
        let server = Server::new(vec![tcp], Some(local), guarded, Limits::default());
        server.activate();
        Self {
            home,
            address,
            current,
            ground,
            _server: server,
        }
    }

    async fn ask(&self, request: &str) -> (u16, Value) {
        ask(
            within(TcpStream::connect(self.address)).await.unwrap(),
            request,
        )
        .await
    }

    async fn ask_locally(&self, request: &str) -> (u16, Value) {
        let path = self.home.path().join("local");
        ask(within(UnixStream::connect(path)).await.unwrap(), request).await
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(DEADLINE, future)
        .await
        .expect("it should have happened long ago")
}

/// Every answer must be JSON.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> (u16, Value) {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let host = if head.contains("Host:") {
        ""
    } else {
        "Host: localhost\r\n"
    };
    let head = head.replace('\n', "\r\n");
    let wire = format!("{head}\r\n{host}Connection: close\r\n\r\n{body}");
    within(stream.write_all(wire.as_bytes())).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("content-type: application/json"),
        "{request}: {answer}"
    );
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

const KEY: &str = "\nAuthorization: Bearer TOKEN";

#[tokio::test]
async fn status_and_profiles_have_the_shapes_that_clients_know() {
    let host = Host::start(json!({"executablePath": "/no/such", "headless": true})).await;
    let (status, body) = host
        .ask(&format!("GET /?profile=openclaw HTTP/1.1{KEY}"))
        .await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({
            "enabled": true, "profile": "openclaw", "running": false, "cdpReady": false,
            "cdpHttp": false, "pid": null, "cdpPort": 21_012, "cdpUrl": "http://127.0.0.1:21012",
            "chosenBrowser": null, "detectedBrowser": null, "detectedExecutablePath": null,
            "detectError": "Error: browser.executablePath not found: /no/such",
            "userDataDir": null, "color": "#FF4500", "headless": true, "noSandbox": false,
            "executablePath": "/no/such", "attachOnly": false,
        })
    );
    let (status, body) = host.ask(&format!("GET /profiles HTTP/1.1{KEY}")).await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({"profiles": [
            {"name": "openclaw", "cdpPort": 21_012, "cdpUrl": "http://127.0.0.1:21012",
             "color": "#FF4500", "running": false, "tabCount": 0, "isDefault": false,
             "isRemote": false},
            {"name": "chrome", "cdpPort": 21_004, "cdpUrl": "http://127.0.0.1:21004",
             "color": "#00AA00", "running": false, "tabCount": 0, "isDefault": true,
             "isRemote": false},
        ]})
    );
}

#[track_caller]
fn expect(answer: &(u16, Value), status: u16, error: &str) {
    assert_eq!(*answer, (status, json!({ "error": error })));
}

#[tokio::test]
async fn rule_73_every_other_request_is_answered_honestly() {
    let host = Host::start(json!({})).await;
    let ask = async |line: &str| host.ask(&format!("{line} HTTP/1.1{KEY}")).await;
    let unknown = "Error: Profile \"x\" not found. Available profiles: openclaw, chrome";
    expect(&ask("GET /?profile=x").await, 404, unknown);
    expect(&ask("GET /nope").await, 404, "Not Found");
    expect(&ask("POST /profiles").await, 405, "Method Not Allowed");
    expect(
        &ask("POST /act").await,
        501,
        "POST /act comes in a later release",
    );
    expect(&ask("GET /%zz").await, 404, "Not Found");
    let large = format!("POST /act HTTP/1.1{KEY}\nContent-Length: 2000000\n\n");
    expect(&host.ask(&large).await, 413, "request body too large");
    let chunk = "x".repeat(1024 * 1024);
    let chunked = format!("100000\r\n{chunk}\r\n1\r\nx\r\n0\r\n\r\n");
    let endless = format!("POST /act HTTP/1.1{KEY}\nTransfer-Encoding: chunked\n\n{chunked}");
    expect(&host.ask(&endless).await, 413, "request body too large");
}

#[tokio::test]
async fn rule_94_without_the_secret_nobody_gets_in_and_loopback_is_no_secret() {
    let host = Host::start(json!({})).await;
    for header in [
        "",
        "\nAuthorization: Bearer nope",
        "\nAuthorization: Basic TOKEN",
        "\nCookie: token=TOKEN",
    ] {
        for line in ["GET /", "GET /tabs", "POST /act", "GET /nope"] {
            let answer = host.ask(&format!("{line} HTTP/1.1{header}")).await;
            expect(&answer, 401, "Unauthorized");
        }
    }
    expect(
        &host.ask("GET /?token=TOKEN HTTP/1.1").await,
        401,
        "Unauthorized",
    );
}

#[tokio::test]
async fn rule_94_other_sites_are_refused_before_anything_else() {
    let host = Host::start(json!({})).await;
    let ask = async |headers: &str| {
        host.ask(&format!("POST /stop HTTP/1.1{KEY}\n{headers}"))
            .await
    };
    expect(
        &ask("Origin: https://evil.example").await,
        403,
        "forbidden origin",
    );
    expect(&ask("Origin: null").await, 403, "forbidden origin");
    expect(
        &ask("Sec-Fetch-Site: cross-site").await,
        403,
        "forbidden for other sites",
    );
    expect(
        &ask("Referer: http://evil.example/").await,
        403,
        "forbidden for other sites",
    );
    expect(&ask("Content-Type: text/plain").await, 415, "expected JSON");
    expect(
        &ask("Host: attacker.example:21003").await,
        403,
        "foreign Host header",
    );
    assert_eq!(ask("Content-Type: application/json").await.0, 501);
}

#[tokio::test]
async fn another_child_needs_no_secret() {
    let host = Host::start(json!({})).await;
    assert_eq!(host.ask_locally("GET / HTTP/1.1").await.0, 200);
}

#[tokio::test]
async fn a_reload_is_in_force_for_the_next_request() {
    let host = Host::start(json!({})).await;
    host.current
        .send_replace(Arc::new(service(&host.ground, json!({"color": "#123456"}))));
    let (_, body) = host
        .ask(&format!("GET /?profile=openclaw HTTP/1.1{KEY}"))
        .await;
    assert_eq!(body["color"], "#123456");
}
