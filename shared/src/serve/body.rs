//! Reading the body of a request within a budget of bytes and time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;
use thiserror::Error;
use tokio::time::timeout;

/// Why a body could not be read; each has its own HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// More bytes than allowed, declared or sent: 413.
    #[error("read a body that large")]
    TooLarge,
    /// The client did not finish in time: 408.
    #[error("wait any longer for the body")]
    TooSlow,
    /// The body ended early or its framing was broken: 400.
    #[error("read the body to its end")]
    Broken,
}

/// Reads a whole body of at most `max_bytes`, within `budget` in total.
///
/// # Errors
/// When a limit is passed or the body is broken; nothing of it is kept then.
pub async fn read<B>(body: B, max_bytes: usize, budget: Duration) -> Result<Bytes, BodyError>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(BodyError::TooLarge);
    }
    match timeout(budget, Limited::new(body, max_bytes).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
        Err(_elapsed) => Err(BodyError::TooSlow),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_no_further() {
        let budget = Duration::from_secs(5);
        let fits = read(Full::new(Bytes::from_static(b"1234")), 4, budget).await;
        assert_eq!(fits, Ok(Bytes::from_static(b"1234")));
        let large = read(Full::new(Bytes::from_static(b"12345")), 4, budget).await;
        assert_eq!(large, Err(BodyError::TooLarge));
    }
}
