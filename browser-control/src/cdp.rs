//! Asking a DevTools port whether a browser answers there.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openclaw_shared::serve::body;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a browser on this machine may take; a page of tabs does not make it slower.
const PATIENCE: Duration = Duration::from_millis(300);
/// The answer is a small object; more than this is not a browser's.
const LARGEST: usize = 64 * 1024;

/// What a browser says of itself. Fields we do not need are left out.
#[derive(Debug, Deserialize)]
struct Version {
    #[serde(rename = "webSocketDebuggerUrl")]
    _web_socket_debugger_url: String,
}

/// Whether `GET /json/version` on a port of this machine is answered as a browser does it.
pub(crate) async fn answers(port: u16) -> bool {
    timeout(PATIENCE, ask(port))
        .await
        .is_ok_and(|answer| answer.is_some())
}

async fn ask(port: u16) -> Option<Version> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .ok()?;
    let request = Request::get("/json/version")
        .header(header::HOST, format!("127.0.0.1:{port}"))
        .body(Empty::new())
        .ok()?;
    let asking = async {
        let response = sender.send_request(request).await.ok()?;
        let body = body::read(response.into_body(), LARGEST, PATIENCE)
            .await
            .ok()?;
        serde_json::from_slice(&body).ok()
    };
    // The connection makes progress only while it is polled, and ends with this function.
    tokio::select! {
        version = asking => version,
        Err(_) = connection => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one connection with these bytes.
    async fn pretend(answer: impl Into<String>) -> u16 {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.read(&mut request).await;
        });
        port
    }

    #[tokio::test]
    async fn a_browser_is_told_from_anything_else() {
        let body = "{\"webSocketDebuggerUrl\":\"ws://127.0.0.1/devtools/browser/x\"}";
        let browser = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert!(answers(pretend(browser).await).await);
        let other = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert!(!answers(pretend(other).await).await);
        assert!(!answers(pretend("SSH-2.0-x\r\n").await).await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(
            !answers(listener.local_addr().unwrap().port()).await,
            "silence is no answer"
        );
    }
}
