//! `web_fetch`: a page of the public web, as text.
//!
//! Invariant: a connection goes to an address that was checked ([`address`]). A name is resolved once for each hop, all of its addresses
//! are checked, and only those are connected to, so that a name that means something else the next moment gains nothing. Redirects
//! are followed here, each as a new request. Nothing goes through a proxy, which would resolve by itself.

mod address;
mod page;
pub mod raw;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use openclaw_shared::clock::{Moment, WallTime};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Client, Response, Url, redirect};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::arguments::Arguments;
use super::{failed, spec};
use crate::model::ToolSpec;
use crate::tool::{Call, Tool, ToolError, ToolOutput};
use page::Mode;

const NAME: &str = "web_fetch";
/// The longest address.
const LONGEST_URL: usize = 8 * 1024;
/// So much of a page is read, in bytes.
const MOST_READ: usize = 2 * 1024 * 1024;
/// How long a connection may take to come about.
const CONNECTING: Duration = Duration::from_secs(10);
/// How much of an error page is told, in characters.
const MOST_OF_ERROR: usize = 1_000;

/// How pages are fetched.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// How much of a page is shown, in characters.
    pub max_chars: usize,
    /// How long all of it may take.
    pub limit: Duration,
    /// So many redirects are followed.
    pub max_redirects: usize,
    /// What it calls itself.
    pub user_agent: Option<String>,
    /// Hosts that may be in the private network: `name` or `name:port`.
    pub allow_hosts: BTreeSet<String>,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            max_chars: 50_000,
            limit: Duration::from_secs(30),
            max_redirects: 3,
            user_agent: None,
            allow_hosts: BTreeSet::new(),
        }
    }
}

/// The tool.
pub(super) struct WebFetch {
    spec: ToolSpec,
    settings: WebSettings,
    lookup: Arc<Lookup>,
    /// Made for the first page: it takes reading all certificates of the system, and most turns fetch nothing.
    clients: OnceLock<Result<Clients, String>>,
}

struct Clients {
    /// Connects to checked addresses only.
    public: Client,
    /// Connects wherever the owner lets it.
    allowed: Client,
}

impl WebFetch {
    pub(super) fn new(settings: WebSettings) -> Self {
        Self::resolving(settings, Arc::new(by_the_system))
    }

    fn resolving(settings: WebSettings, lookup: Arc<Lookup>) -> Self {
        let spec = spec(
            NAME,
            "Fetch and extract readable content from a URL (HTML → markdown/text). Use for lightweight page access without browser \
             automation.",
            &["url"],
            json!({
                "url": { "type": "string", "description": "HTTP or HTTPS URL to fetch." },
                "extractMode": { "type": "string", "enum": ["markdown", "text"], "default": "markdown",
                    "description": "Extraction mode (\"markdown\" or \"text\")." },
                "maxChars": { "type": "number", "description": "Maximum characters to return (truncates when exceeded)." },
            }),
        );
        Self {
            spec,
            settings,
            lookup,
            clients: OnceLock::new(),
        }
    }

    fn clients(&self) -> Result<&Clients, String> {
        let made = self.clients.get_or_init(|| {
            clients(&self.settings, self.lookup.clone()).map_err(|error| error.to_string())
        });
        made.as_ref().map_err(Clone::clone)
    }
}

fn clients(settings: &WebSettings, lookup: Arc<Lookup>) -> reqwest::Result<Clients> {
    crate::model::provider::use_ring();
    let agent = concat!(
        "Mozilla/5.0 (compatible; openclaw/",
        env!("CARGO_PKG_VERSION"),
        ")"
    );
    let builder = || {
        Client::builder()
            .user_agent(settings.user_agent.as_deref().unwrap_or(agent))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECTING)
            // A connection that is kept would outlive the check of its address.
            .pool_max_idle_per_host(0)
    };
    Ok(Clients {
        public: builder().dns_resolver(Arc::new(Checked(lookup))).build()?,
        allowed: builder().build()?,
    })
}

/// What says which addresses a name has.
type Lookup = dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync;

fn by_the_system(name: String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
    async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }.boxed()
}

/// Resolves names, and refuses those that lead into a private network.
struct Checked(Arc<Lookup>);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0(name.as_str().to_owned());
        async move {
            let found = found.await?;
            if found.iter().all(|address| address::is_public(address.ip())) {
                Ok(Box::new(found.into_iter()) as Addrs)
            } else {
                Err(Box::new(Blocked("resolves to a private/internal IP address")) as _)
            }
        }
        .boxed()
    }
}

/// Why an address is not connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Blocked: {0}")]
struct Blocked(&'static str);

impl Tool for WebFetch {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<ToolOutput, ToolError>> {
        async move {
            let arguments = Arguments::new(NAME, &call.arguments);
            let url = arguments.required(&["url"])?;
            let mode = match arguments.text(&["extractMode"]) {
                Some("text") => Mode::Text,
                Some(_) | None => Mode::Markdown,
            };
            let most = arguments.integer("maxChars")?.filter(|most| *most > 0);
            let most = most.unwrap_or(usize::MAX).min(self.settings.max_chars);
            let began = Moment::now();
            let fetched = timeout(self.settings.limit, self.fetch(url, mode, most)).await;
            Ok(match fetched {
                Ok(Ok(mut page)) => {
                    let took = Moment::now().since(began).as_millis();
                    page["tookMs"] = u64::try_from(took).unwrap_or(u64::MAX).into();
                    ToolOutput::json(page)
                }
                Ok(Err(error)) => failed(NAME, error),
                Err(_late) => {
                    let limit = self.settings.limit.as_secs();
                    failed(
                        NAME,
                        format!("the page did not come within {limit} seconds"),
                    )
                }
            })
        }
        .boxed_local()
    }

    fn summary(&self, arguments: &Map<String, Value>) -> Option<String> {
        let arguments = Arguments::new(NAME, arguments);
        arguments.text(&["url"]).map(str::to_owned)
    }
}

impl WebFetch {
    /// Goes to an address, and on to where it leads.
    async fn reach(&self, asked: &str) -> Result<(Url, Response), String> {
        let clients = self.clients()?;
        let mut url = read(asked.trim())?;
        let mut redirects = 0;
        loop {
            let client = if self.is_allowed(&url) {
                &clients.allowed
            } else {
                check(&url).map_err(|blocked| blocked.to_string())?;
                &clients.public
            };
            let request = client
                .get(url.clone())
                .header(
                    ACCEPT,
                    "text/html, application/xhtml+xml, text/plain, application/json, */*;q=0.5",
                )
                .header(ACCEPT_LANGUAGE, "en-US,en;q=0.9");
            let response = request.send().await.map_err(|error| because(&error))?;
            let Some(next) = next(&url, &response)? else {
                return Ok((url, response));
            };
            redirects += 1;
            if redirects > self.settings.max_redirects {
                return Err(format!(
                    "Too many redirects (limit: {})",
                    self.settings.max_redirects
                ));
            }
            url = next;
        }
    }

    async fn fetch(&self, asked: &str, mode: Mode, most: usize) -> Result<Value, String> {
        let (url, mut response) = self.reach(asked).await?;
        let status = response.status();
        let kind = kind(response.headers());
        let (body, was_cut) = body(&mut response).await?;
        let made = tokio::task::spawn_blocking(move || {
            page::made(&kind, &body, mode).map(|page| (page, kind))
        });
        let (page, kind) = made.await.map_err(|error| error.to_string())??;
        if !status.is_success() {
            let said: String = page.text.chars().take(MOST_OF_ERROR).collect();
            return Err(format!("Web fetch failed ({}): {said}", status.as_u16()));
        }
        let text: String = page.text.chars().take(most).collect();
        let is_cut = was_cut || text.len() < page.text.len();
        Ok(json!({
            "url": asked,
            "finalUrl": url.as_str(),
            "status": status.as_u16(),
            "contentType": kind,
            "title": page.title,
            "extractMode": mode.as_str(),
            "extractor": page.extractor,
            "truncated": is_cut,
            "length": text.chars().count(),
            "fetchedAt": WallTime::now().to_rfc3339(),
            "text": text,
        }))
    }

    /// Whether the owner lets this host be in the private network.
    fn is_allowed(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        let port = url.port_or_known_default().unwrap_or_default();
        let allowed = &self.settings.allow_hosts;
        let is_listed = |name: &str| {
            allowed
                .iter()
                .any(|listed| listed.eq_ignore_ascii_case(name))
        };
        is_listed(host) || is_listed(&format!("{host}:{port}"))
    }
}

/// Reads an address, in whatever spelling.
fn read(text: &str) -> Result<Url, String> {
    let invalid = || "Invalid URL: must be http or https".to_owned();
    if text.len() > LONGEST_URL {
        return Err("Invalid URL: it is too long".to_owned());
    }
    let url = Url::parse(text).map_err(|_| invalid())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("Invalid URL: no user name or password can be in it".to_owned());
    }
    Ok(url)
}

/// Checks what can be told without resolving a name.
fn check(url: &Url) -> Result<(), Blocked> {
    let host = url.host_str().unwrap_or_default();
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    match plain.parse::<IpAddr>() {
        Ok(address) if address::is_public(address) => Ok(()),
        Ok(_) => Err(Blocked("private/internal IP address")),
        Err(_) if address::is_private_name(host) => Err(Blocked("private/internal host name")),
        Err(_) => Ok(()),
    }
}

/// Where this answer leads, if it is a redirect.
fn next(url: &Url, response: &Response) -> Result<Option<Url>, String> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let location = location.ok_or("Redirect without a location")?;
    let next = url.join(location).map_err(|_| "Redirect to no address")?;
    read(next.as_str()).map(Some)
}

fn kind(headers: &HeaderMap) -> String {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or("application/octet-stream");
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// As much of the page as is read, and whether there was more.
async fn body(response: &mut Response) -> Result<(Vec<u8>, bool), String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| because(&error))? {
        let room = MOST_READ - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            return Ok((body, true));
        }
    }
    Ok((body, false))
}

/// What went wrong, in the words of whoever knows it best.
fn because(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match cause.downcast_ref::<Blocked>() {
        Some(blocked) => blocked.to_string(),
        None => format!("Web fetch failed: {cause}"),
    }
}

#[cfg(test)]
mod tests;
