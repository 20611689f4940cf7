//! A small HTTP client that sends exactly what a test says.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::raw::Raw;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Gets a path by a loopback name.
pub async fn get(port: u16, path: &str) -> Answer {
    get_with(port, path, &[("Host", &format!("127.0.0.1:{port}"))]).await
}

/// Gets a path with these headers and no others.
pub async fn get_with(port: u16, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(port, "GET", path, headers).await
}

/// Asks with any method and these headers and no others.
///
/// # Panics
/// When there is no answer.
pub async fn ask(port: u16, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let answer = exchange(port, request.as_bytes()).await;
    answer.unwrap_or_else(|got| panic!("no answer to {method} {path}: {got:?}"))
}

/// Posts JSON with this secret. The connection is closed behind the answer.
#[must_use]
pub fn post(port: u16, path: &str, secret: &str, headers: &[(&str, &str)], body: &Value) -> String {
    let body = body.to_string();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAuthorization: Bearer {secret}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(&body);
    request
}

/// Sends bytes and reads the answer.
///
/// # Errors
/// What came instead of an answer.
pub async fn exchange(port: u16, request: &[u8]) -> Result<Answer, Vec<u8>> {
    let mut raw = Raw::connect(port).await;
    // A server may answer, and close, before it has read everything.
    let _ = raw.write(request).await;
    let bytes = raw.to_end().await;
    parse(&bytes).ok_or(bytes)
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()?
        .strip_prefix("HTTP/1.1 ")?
        .get(..3)?
        .parse()
        .ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = &bytes[end + 4..];
    let is_chunked = headers
        .get("transfer-encoding")
        .is_some_and(|coding| coding == "chunked");
    let body = if is_chunked {
        join_chunks(rest)?
    } else {
        rest.to_vec()
    };
    Some(Answer {
        status,
        headers,
        body,
    })
}

fn join_chunks(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend(bytes.get(end + 2..end + 2 + length)?);
        bytes = bytes.get(end + 4 + length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn chunks_are_joined() {
        let answer = parse(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
        )
        .unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "abcd"));
    }
}
