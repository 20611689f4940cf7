use std::collections::BTreeMap;

use openclaw_shared::transcript::text_of;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// A server on the loopback address that answers each path with these words; it ends with the value.
struct Server {
    port: u16,
    _tasks: JoinSet<()>,
}

async fn server(answers: &[(&str, String)]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers: BTreeMap<String, String> = answers
        .iter()
        .map(|(path, answer)| {
            (
                (*path).to_owned(),
                answer.replace("PORT", &port.to_string()),
            )
        })
        .collect();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else {
                    break;
                };
                head.push(byte);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let answer = answers.get(path).cloned().unwrap_or_default();
            // Whoever has read enough does not wait for the rest.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Server {
        port,
        _tasks: tasks,
    }
}

fn ok(kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn moved(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

/// With a resolver for which every name means these addresses.
fn tool(allow_hosts: &[String], means: &'static [&'static str]) -> WebFetch {
    let settings = WebSettings {
        allow_hosts: allow_hosts.iter().cloned().collect(),
        limit: Duration::from_secs(10),
        ..WebSettings::default()
    };
    let lookup = move |_| {
        let addresses = means
            .iter()
            .map(|address| SocketAddr::new(address.parse().unwrap(), 0));
        let addresses: Vec<SocketAddr> = addresses.collect();
        async move { Ok(addresses) }.boxed()
    };
    WebFetch::resolving(settings, Arc::new(lookup))
}

async fn fetch(tool: &WebFetch, arguments: Value) -> ToolOutput {
    let call = Call {
        id: "1",
        arguments: arguments.as_object().unwrap().clone(),
        progress: &|_| {},
    };
    tool.call(call).await.unwrap()
}

async fn refused(tool: &WebFetch, url: &str) -> String {
    let output = fetch(tool, json!({ "url": url })).await;
    assert!(output.is_error, "{url}: {}", text_of(&output.content));
    output.details["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_page_is_fetched_where_it_is_allowed() {
    let html = "<title>T</title><h1>Hi</h1><p>there</p>";
    let server = server(&[
        ("/", ok("text/html; charset=utf-8", html)),
        ("/long", ok("text/plain", &"é".repeat(100))),
        ("/go", moved("/")),
        ("/round", moved("/round")),
        ("/none", "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 4\r\nconnection: close\r\n\r\ngone".to_owned()),
        ("/endless", ok("text/plain", &"x".repeat(MOST_READ + 100_000))),
    ])
    .await;
    let base = format!("http://127.0.0.1:{}", server.port);
    let tool = tool(&[format!("127.0.0.1:{}", server.port)], &[]);
    let page = fetch(&tool, json!({"url": format!("{base}/go")}))
        .await
        .details;
    assert_eq!(page["text"], "# Hi\n\nthere");
    assert_eq!(
        (&page["title"], &page["status"]),
        (&json!("T"), &json!(200))
    );
    assert_eq!(page["finalUrl"], format!("{base}/"));
    assert_eq!(page["contentType"], "text/html");
    let long = json!({"url": format!("{base}/long"), "maxChars": 10});
    let page = fetch(&tool, long).await.details;
    assert_eq!(
        (&page["text"], &page["truncated"]),
        (&json!("é".repeat(10)), &json!(true))
    );
    let page = fetch(&tool, json!({"url": format!("{base}/endless")}))
        .await
        .details;
    assert_eq!(page["length"], 50_000);
    assert_eq!(
        refused(&tool, &format!("{base}/round")).await,
        "Too many redirects (limit: 3)"
    );
    assert_eq!(
        refused(&tool, &format!("{base}/none")).await,
        "Web fetch failed (404): gone"
    );
}

#[tokio::test]
async fn rule_60_private_addresses_are_refused_in_every_spelling() {
    let tool = tool(&[], &["8.8.8.8"]);
    for url in [
        "http://127.0.0.1:1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[fd00::1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.100.100.200/",
        "http://１２７.0.0.1/",
        "http://localhost./",
        "http://a.localhost/",
        "http://metadata.google.internal/",
        "http://router/",
    ] {
        let says = refused(&tool, url).await;
        assert!(says.starts_with("Blocked: "), "{url}: {says}");
    }
    for url in [
        "ftp://example.com/",
        "file:///etc/passwd",
        "x",
        "http:///",
        "http://a:b@example.com/",
    ] {
        let says = refused(&tool, url).await;
        assert!(says.starts_with("Invalid URL"), "{url}: {says}");
    }
}

#[tokio::test]
async fn rule_60_a_name_that_leads_inside_is_refused_before_anything_is_sent() {
    for means in [
        &["127.0.0.1"][..],
        &["8.8.8.8", "10.0.0.1"],
        &["::ffff:192.168.0.1"],
    ] {
        let tool = tool(&[], means);
        let says = refused(&tool, "http://rebind.example:80/").await;
        assert_eq!(says, "Blocked: resolves to a private/internal IP address");
    }
}

#[tokio::test]
async fn rule_60_a_redirect_is_checked_like_the_first_address() {
    let server = server(&[
        ("/port", moved("http://127.0.0.1:1/")),
        ("/file", moved("file:///etc/passwd")),
        ("/name", moved("http://rebind.example/")),
    ])
    .await;
    let base = format!("http://127.0.0.1:{}", server.port);
    let tool = tool(&[format!("127.0.0.1:{}", server.port)], &["127.0.0.1"]);
    for (path, says) in [
        ("/port", "Blocked: private/internal IP address"),
        ("/file", "Invalid URL: must be http or https"),
        (
            "/name",
            "Blocked: resolves to a private/internal IP address",
        ),
    ] {
        assert_eq!(refused(&tool, &format!("{base}{path}")).await, says);
    }
}
