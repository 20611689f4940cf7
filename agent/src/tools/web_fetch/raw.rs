//! What lies at an address, as it is, for whoever reads it by themselves. It is reached as pages are, by the same rules.

use tokio::time::timeout;

use super::{WebFetch, WebSettings, because, kind};

/// Something that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Its type, without parameters.
    pub kind: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Fetches something of at most so many bytes.
///
/// # Errors
/// Says why it cannot be had.
pub async fn fetch(url: &str, settings: WebSettings, most: usize) -> Result<Raw, String> {
    let limit = settings.limit;
    let too_large = || format!("too large: more than {most} bytes");
    let fetched = async {
        let (_, mut response) = WebFetch::new(settings).reach(url).await?;
        if !response.status().is_success() {
            return Err(format!("HTTP {}", response.status().as_u16()));
        }
        let kind = kind(response.headers());
        if response
            .content_length()
            .is_some_and(|length| length > most as u64)
        {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| because(&error))? {
            if piece.len() > most - bytes.len() {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Raw { kind, bytes })
    };
    timeout(limit, fetched)
        .await
        .unwrap_or_else(|_late| Err("it did not come in time".to_owned()))
}
