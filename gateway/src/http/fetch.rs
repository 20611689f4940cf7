//! Pictures and files that a request names by an address. They are fetched as tools of agents fetch pages: from the public
//! internet only, whatever the address says and wherever it leads.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_agent::tools::web_fetch::WebSettings;
use openclaw_agent::tools::web_fetch::raw::fetch;

use super::media::Attached;

/// Within which limits something is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fetching {
    pub(super) bytes: usize,
    pub(super) redirects: usize,
    pub(super) within: Duration,
}

/// Fetches something, or says why not; the text is for the caller.
pub(super) async fn attached(url: &str, limits: Fetching) -> Result<Attached, String> {
    let settings = WebSettings {
        limit: limits.within,
        max_redirects: limits.redirects,
        ..WebSettings::default()
    };
    let raw = fetch(url, settings, limits.bytes).await?;
    Ok(Attached {
        mime: raw.kind,
        data: STANDARD.encode(raw.bytes),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Fetching, attached};

    #[tokio::test]
    async fn rule_60_nothing_private_is_fetched() {
        let limits = Fetching {
            bytes: 10,
            redirects: 0,
            within: Duration::from_secs(5),
        };
        for url in [
            "http://127.0.0.1:1/",
            "http://localhost/x.png",
            "http://[::1]/",
            "http://2130706433/",
            "file:///etc/passwd",
        ] {
            let refused = attached(url, limits).await.unwrap_err();
            assert!(
                refused.contains("Blocked") || refused.contains("Invalid"),
                "{url}: {refused}"
            );
        }
    }
}
