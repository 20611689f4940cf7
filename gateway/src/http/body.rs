//! The body of a request, as JSON, within its limits.
//!
//! A refusal must reach the client. Whoever writes its whole body before it reads an answer would see nothing but a broken
//! connection, so some more of a body that is too large is read and thrown away first.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use openclaw_shared::serve::body::{BodyError, read};
use serde_json::{Map, Value};
use tokio::time::timeout;

/// How long any body may take, and how many bytes have a further second each time. Only who may ask gets so far.
const BUDGET: Duration = Duration::from_secs(30);
const BYTES_A_SECOND: usize = 128 * 1024;
/// What is thrown away at most of a body that is too large, in bytes, and how long that may take.
const THROWN_AWAY: usize = 32 * 1024 * 1024;
const THROWN_AWAY_WITHIN: Duration = Duration::from_secs(3);

/// A body on its way.
pub(super) type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>;

/// Why a body is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// It has more bytes than these.
    TooLarge(usize),
    /// It did not come in time.
    TooSlow,
    /// It ended too early.
    Broken,
    /// It is compressed.
    Encoded,
    /// It is no JSON; says where.
    NotJson(String),
    /// It is JSON, and no object.
    NotAnObject,
}

impl Refused {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Broken | Self::NotJson(_) | Self::NotAnObject => StatusCode::BAD_REQUEST,
        }
    }

    /// The text for the caller.
    pub(super) fn text(&self) -> String {
        match self {
            Self::TooLarge(limit) => format!("payload too large: at most {limit} bytes"),
            Self::TooSlow => "the request body did not arrive in time".to_owned(),
            Self::Broken => "the request body ended too early".to_owned(),
            Self::Encoded => "the request body must not be compressed".to_owned(),
            Self::NotJson(what) => format!("SyntaxError: {what}"),
            Self::NotAnObject => "the request body must be a JSON object".to_owned(),
        }
    }
}

/// Reads a body of at most so many bytes. Call it when the client has shown that it may ask.
///
/// # Errors
/// When it is not taken.
pub(super) async fn bytes(
    headers: &HeaderMap,
    body: &mut Incoming,
    limit: usize,
) -> Result<Bytes, Refused> {
    let is_encoded = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_encoded {
        return Err(Refused::Encoded);
    }
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let taken = match declared {
        Some(declared) if declared > limit => Err(BodyError::TooLarge),
        Some(_) | None => {
            let frames = StreamBody::new(body.as_mut().map(|chunk| chunk.map(Frame::data)));
            let more = u64::try_from(limit / BYTES_A_SECOND).unwrap_or(u64::MAX);
            let budget = BUDGET.saturating_add(Duration::from_secs(more));
            read(frames, limit, budget).await
        }
    };
    match taken {
        Ok(bytes) => Ok(bytes),
        Err(BodyError::TooLarge) => {
            // Whoever waits to be told to go on has sent nothing yet.
            if !headers.contains_key(header::EXPECT) {
                throw_away(body).await;
            }
            Err(Refused::TooLarge(limit))
        }
        Err(BodyError::TooSlow) => Err(Refused::TooSlow),
        Err(BodyError::Broken) => Err(Refused::Broken),
    }
}

async fn throw_away(body: &mut Incoming) {
    let reading = async {
        let mut left = THROWN_AWAY;
        while let Some(Ok(chunk)) = body.next().await {
            match left.checked_sub(chunk.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    // Whatever is left costs this client its answer.
    let _ = timeout(THROWN_AWAY_WITHIN, reading).await;
}

/// The object that a body is; nothing is an empty one.
///
/// # Errors
/// When it is none.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Refused> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Refused::NotAnObject),
        Err(error) => Err(Refused::NotJson(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use http::HeaderMap;

    use super::{Refused, bytes, object};

    fn chunks(count: usize) -> super::Incoming {
        let chunks = (0..count).map(|_| Ok(Bytes::from_static(b"1234")));
        Box::pin(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let none = HeaderMap::new();
        assert_eq!(
            bytes(&none, &mut chunks(2), 8).await,
            Ok(Bytes::from_static(b"12341234"))
        );
        assert_eq!(
            bytes(&none, &mut chunks(3), 8).await,
            Err(Refused::TooLarge(8))
        );
        let mut declared = HeaderMap::new();
        declared.insert("content-length", "9".parse().unwrap());
        assert_eq!(
            bytes(&declared, &mut chunks(0), 8).await,
            Err(Refused::TooLarge(8))
        );
        let mut encoded = HeaderMap::new();
        encoded.insert("content-encoding", "gzip".parse().unwrap());
        assert_eq!(
            bytes(&encoded, &mut chunks(1), 8).await,
            Err(Refused::Encoded)
        );
    }

    #[test]
    fn a_body_is_an_object_and_a_mistake_in_it_has_a_place() {
        assert_eq!(object(b" \n"), Ok(serde_json::Map::new()));
        assert_eq!(object(b"[]"), Err(Refused::NotAnObject));
        let wrong = object(b"{\"a\":}").unwrap_err().text();
        assert_eq!(wrong, "SyntaxError: expected value at line 1 column 6");
        let deep = "[".repeat(10_000);
        assert!(matches!(object(deep.as_bytes()), Err(Refused::NotJson(_))));
    }
}
