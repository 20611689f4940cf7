//! The canvas folder, on its own port and through the gateway: everything in it that is meant to be seen, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;

use openclaw_shared::control::ChildName;
use openclaw_tests::client::{NotOpened, Received, Socket};
use openclaw_tests::faults::kill;
use openclaw_tests::home::Home;
use openclaw_tests::http::{self, Answer};
use openclaw_tests::instance::Instance;

const CANVAS: &str = "/__openclaw__/canvas";

/// The two ports by which the canvas is reached.
fn doors(instance: &Instance) -> [u16; 2] {
    [instance.home().canvas_port(), instance.home().port()]
}

#[tokio::test]
async fn a_first_visitor_finds_a_page() {
    let instance = Home::new().launch().ready().await;
    for port in doors(&instance) {
        let page = http::get(port, &format!("{CANVAS}/")).await;
        assert_eq!(page.status, 200);
        assert!(
            page.header("content-type").starts_with("text/html"),
            "{page:?}"
        );
        assert!(page.text().contains("<html"), "{page:?}");
        assert!(
            page.text().contains("/__openclaw__/ws"),
            "the live-reload script is in it"
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn files_are_served_as_what_they_are() {
    let instance = Home::new().launch().ready().await;
    let root = instance.home().canvas_root();
    fs::create_dir(root.join("sub")).unwrap();
    for (name, content, kind) in [
        ("a.css", "p{}", "text/css"),
        ("a.js", "1", "javascript"),
        ("a.json", "{}", "application/json"),
        (
            "a.svg",
            "<svg xmlns='http://www.w3.org/2000/svg'/>",
            "image/svg+xml",
        ),
        ("a.png", "png", "image/png"),
        ("a.txt", "text", "text/plain"),
        ("with space.txt", "text", "text/plain"),
        ("sub/index.html", "<p>sub</p>", "text/html"),
    ] {
        fs::write(root.join(name), content).unwrap();
        for port in doors(&instance) {
            let path = format!("{CANVAS}/{}", name.replace(' ', "%20"));
            let answer = http::get(port, &path).await;
            assert_eq!(answer.status, 200, "{name}");
            assert!(
                answer.header("content-type").contains(kind),
                "{name}: {answer:?}"
            );
            assert!(answer.text().contains(content), "{name}: {answer:?}");
            let head = http::ask(port, "HEAD", &path, &[("Host", "localhost")]).await;
            assert_eq!((head.status, head.body.len()), (200, 0), "{name}");
        }
    }
    for port in doors(&instance) {
        let folder = http::get(port, &format!("{CANVAS}/sub/")).await;
        assert!(folder.text().contains("<p>sub</p>"), "{folder:?}");
    }
}

#[tokio::test]
async fn rules_82_88_89_90_nothing_outside_the_folder_can_be_had() {
    let home = Home::new();
    let secret = home.path().join("secret.txt");
    fs::write(&secret, "SECRETCANARY").unwrap();
    let instance = home.launch().ready().await;
    let root = home.canvas_root();
    fs::write(root.join(".hidden"), "SECRETCANARY").unwrap();
    fs::create_dir(root.join(".git")).unwrap();
    fs::write(root.join(".git/config"), "SECRETCANARY").unwrap();
    fs::create_dir(root.join("linked")).unwrap();
    symlink(&secret, root.join("link.txt")).unwrap();
    symlink("../../../secret.txt", root.join("relative.txt")).unwrap();
    symlink(home.path(), root.join("folder")).unwrap();
    symlink(&secret, root.join("linked/index.html")).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let depth = "../".repeat(8);
    let secret_path = secret.to_str().unwrap();
    let paths = [
        "/../../../secret.txt".to_owned(),
        format!("/{depth}{}", &secret_path[1..]),
        "/..%2f..%2f..%2fsecret.txt".to_owned(),
        "/%2e%2e/%2e%2e/%2e%2e/secret.txt".to_owned(),
        "/..%5c..%5c..%5csecret.txt".to_owned(),
        "/..%252f..%252f..%252fsecret.txt".to_owned(),
        "/....//....//....//secret.txt".to_owned(),
        "/..;/..;/..;/secret.txt".to_owned(),
        "/sub/../../../../secret.txt".to_owned(),
        format!("/{secret_path}"),
        format!("//{secret_path}"),
        format!("/%2f{}", secret_path[1..].replace('/', "%2f")),
        "/secret.txt%00.css".to_owned(),
        "/../openclaw.json".to_owned(),
        "/.hidden".to_owned(),
        "/%2ehidden".to_owned(),
        "/.git/config".to_owned(),
        "/link.txt".to_owned(),
        "/relative.txt".to_owned(),
        "/folder/secret.txt".to_owned(),
        "/linked/".to_owned(),
        "/linked/index.html".to_owned(),
        "/fifo".to_owned(),
        "/socket".to_owned(),
        "/none.txt".to_owned(),
    ];
    for port in doors(&instance) {
        for path in &paths {
            for mount in [CANVAS, "/__openclaw__/a2ui", ""] {
                let answer =
                    http::exchange(port, get(port, &format!("{mount}{path}")).as_bytes()).await;
                let answer = answer.unwrap_or_else(|got| panic!("{mount}{path}: {got:?}"));
                let text = answer.text();
                assert!(
                    !text.contains("SECRETCANARY"),
                    "{mount}{path} gave the secret away"
                );
                assert!(
                    !text.contains(home.path().to_str().unwrap()),
                    "{mount}{path}: {text}"
                );
                let is_absent = mount == "/__openclaw__/a2ui" && answer.status == 503;
                assert!(
                    (400..500).contains(&answer.status) || is_absent,
                    "{mount}{path}: {answer:?}"
                );
            }
        }
    }
    drop(socket);
}

fn get(port: u16, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn rule_93_only_reading_is_possible_and_only_by_our_own_names() {
    let instance = Home::new().launch().ready().await;
    for port in doors(&instance) {
        let path = format!("{CANVAS}/");
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let answer = http::ask(
                port,
                method,
                &path,
                &[("Host", "localhost"), ("Content-Length", "0")],
            )
            .await;
            assert_eq!(answer.status, 405, "{method}: {answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
        for host in [
            "attacker.example",
            &format!("attacker.example:{port}"),
            "127.0.0.1.attacker.example",
        ] {
            let answer = http::get_with(port, &path, &[("Host", host)]).await;
            assert!((400..500).contains(&answer.status), "{host}: {answer:?}");
        }
        for host in [
            "localhost",
            &format!("localhost:{port}"),
            "127.0.0.1",
            "[::1]",
            "127.0.0.1:8080",
        ] {
            assert_eq!(
                http::get_with(port, &path, &[("Host", host)]).await.status,
                200,
                "{host}"
            );
        }
    }
}

#[tokio::test]
async fn rule_91_pages_on_the_base_port_are_not_of_the_gateways_origin() {
    let instance = Home::new().launch().ready().await;
    let [canvas, base] = doors(&instance);
    let policy = |page: &Answer| page.header("content-security-policy").to_owned();
    assert_eq!(
        policy(&http::get(base, &format!("{CANVAS}/")).await),
        "sandbox allow-scripts"
    );
    assert_eq!(policy(&http::get(canvas, &format!("{CANVAS}/")).await), "");
}

#[tokio::test]
async fn a_change_is_told_to_open_pages_and_to_nobody_elses() {
    let instance = Home::new().launch().ready().await;
    for port in doors(&instance) {
        let own = format!("http://127.0.0.1:{port}");
        let mut page = Socket::open_with(port, "/__openclaw__/ws", &[("Origin", &own)])
            .await
            .unwrap();
        fs::write(
            instance.home().canvas_root().join("new.txt"),
            port.to_string(),
        )
        .unwrap();
        assert_eq!(page.text().await, "reload");
        for origin in ["https://evil.example", "http://127.0.0.1.evil.example"] {
            let refused = Socket::open_with(port, "/__openclaw__/ws", &[("Origin", origin)]).await;
            assert!(
                matches!(refused, Err(NotOpened::Answered(403))),
                "{origin}: {refused:?}"
            );
        }
    }
    // A sandboxed page has no origin of its own.
    let sandboxed = Socket::open_with(
        instance.home().port(),
        "/__openclaw__/ws",
        &[("Origin", "null")],
    )
    .await;
    assert!(sandboxed.is_ok(), "{sandboxed:?}");
}

#[tokio::test]
async fn a_canvas_host_that_dies_ends_the_pages_sockets_and_the_next_one_takes_them() {
    let instance = Home::new().launch().ready().await;
    for port in doors(&instance) {
        let mut page = Socket::open_with(port, "/__openclaw__/ws", &[])
            .await
            .unwrap();
        kill(instance.pid_of(ChildName::CanvasHost).await).await;
        assert!(!matches!(page.receive().await, Received::Frame(_)));
        // It comes back as the script in the page does.
        Socket::open_with(port, "/__openclaw__/ws", &[])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_canvas_host_that_is_switched_off_is_off_on_both_ports() {
    let home = Home::empty();
    home.configure(&serde_json::json!({ "canvasHost": { "enabled": false } }));
    let instance = home.launch().ready().await;
    assert_eq!(
        http::get(home.port(), &format!("{CANVAS}/")).await.status,
        404
    );
    assert!(std::net::TcpStream::connect(("127.0.0.1", home.canvas_port())).is_err());
    assert_eq!(instance.client().await.hello.get("canvasHostUrl"), None);
    // Switched on while it runs.
    home.configure(&serde_json::json!({}));
    instance
        .until_child(
            ChildName::CanvasHost,
            openclaw_shared::control::ChildState::Active,
        )
        .await;
    openclaw_tests::eventually::eventually("the gateway serves it too", async || {
        let status = http::get(home.port(), &format!("{CANVAS}/")).await.status;
        if status == 200 {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
}
