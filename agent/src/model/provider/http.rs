//! The connections to providers, shared by all models: one pool, no redirects, no proxy that nobody configured.

use std::sync::Once;
use std::time::Duration;

use reqwest::redirect;

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// So many idle connections to one provider are kept for the next request.
const IDLE_PER_HOST: usize = 4;

/// Which proxy requests go through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// None.
    #[default]
    None,
    /// Whatever `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` and the like say.
    Environment,
    /// This one.
    At(openclaw_shared::secret::Secret<String>),
}

/// Why there are no connections.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The address of the proxy cannot be read.
    #[error("use models.proxy: it is no address of a proxy")]
    Proxy,
    /// The system's certificates cannot be used, or the like.
    #[error("prepare connections to model providers: {0}")]
    Client(String),
}

/// The connections to providers.
#[derive(Debug, Clone)]
pub struct Http {
    pub(super) genai: genai::Client,
    plain: reqwest::Client,
}

impl Http {
    /// No connection yet; they come with the requests.
    ///
    /// # Errors
    /// When the proxy makes no sense, or TLS cannot be had.
    pub fn new(proxy: &Proxy) -> Result<Self, HttpError> {
        use_ring();
        let plain = match builder(proxy)?.build() {
            Ok(client) => client,
            // A machine without certificates can still ask servers that need none, such as its own.
            Err(error) => {
                let client = builder(proxy)?.tls_certs_only([]).build();
                let client = client.map_err(|_| failed(error))?;
                tracing::warn!(target: "models", "this machine has no certificates, so only model servers without TLS can be asked");
                client
            }
        };
        let genai = genai::Client::builder()
            .with_reqwest(plain.clone())
            .build()
            .map_err(|error| HttpError::Client(error.to_string()))?;
        Ok(Self { genai, plain })
    }

    /// The same connections, for questions that are not about an answer.
    #[must_use]
    pub const fn plain(&self) -> &reqwest::Client {
        &self.plain
    }
}

fn failed(error: reqwest::Error) -> HttpError {
    HttpError::Client(error.without_url().to_string())
}

fn builder(proxy: &Proxy) -> Result<reqwest::ClientBuilder, HttpError> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("openclaw/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_LIMIT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(30))
        // A key must not travel to wherever an answer points.
        .redirect(redirect::Policy::none())
        // Text that trickles in is held back by whoever compresses it.
        .no_gzip();
    Ok(match proxy {
        Proxy::None => builder.no_proxy(),
        Proxy::Environment => builder,
        Proxy::At(address) => {
            let proxy = reqwest::Proxy::all(address.expose().as_str());
            builder.proxy(proxy.map_err(|_| HttpError::Proxy)?)
        }
    })
}

/// TLS does its cryptography with ring, in the whole process.
pub(crate) fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Whoever has chosen a provider before has made as good a choice.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
