//! Models of providers: whoever speaks one of the four protocols of [`Api`], through the crate `genai`.
//!
//! The crate builds requests and takes answers apart; what makes an answer trustworthy is here. An answer counts as whole only
//! when the provider says that it is; a stream that just ends is an error. Nothing waits longer than the endpoint allows, no
//! redirect is followed, no proxy is used that nobody configured, and no key shows in an error, a log line or a debug dump.
//!
//! The request leaves when the stream is polled first. Dropping the stream closes the connection.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, LocalBoxStream, StreamExt as _};
use genai::adapter::AdapterKind;
use openclaw_shared::secret::Secret;
use openclaw_shared::transcript::{Cost, Usage};

use super::{Model, ModelError, ModelErrorKind, ModelEvent, ModelRequest};

mod asking;
mod failing;
mod hearing;
mod http;
mod measure;

pub use failing::Scrub;
pub use hearing::UNREADABLE_ARGUMENTS;
pub(crate) use http::use_ring;
pub use http::{Http, HttpError, Proxy};

/// How long a provider may be silent, or take from one frame to the next, when nothing else is configured.
pub const IDLE_LIMIT: Duration = Duration::from_secs(120);

/// A protocol that providers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// `POST /chat/completions`, which most servers speak.
    OpenaiCompletions,
    /// `POST /responses`.
    OpenaiResponses,
    /// `POST /v1/messages`.
    AnthropicMessages,
    /// `POST /models/<model>:streamGenerateContent`.
    GoogleGenerativeAi,
}

impl Api {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::OpenaiCompletions,
        Self::OpenaiResponses,
        Self::AnthropicMessages,
        Self::GoogleGenerativeAi,
    ];

    /// Its name in configurations and transcripts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiCompletions => "openai-completions",
            Self::OpenaiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
            Self::GoogleGenerativeAi => "google-generative-ai",
        }
    }

    const fn adapter(self) -> AdapterKind {
        match self {
            Self::OpenaiCompletions => AdapterKind::OpenAI,
            Self::OpenaiResponses => AdapterKind::OpenAIResp,
            Self::AnthropicMessages => AdapterKind::Anthropic,
            Self::GoogleGenerativeAi => AdapterKind::Gemini,
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A protocol that nobody here speaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the API \"{0}\" is not supported")]
pub struct UnknownApi(pub String);

impl FromStr for Api {
    type Err = UnknownApi;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|api| api.as_str() == name);
        found.ok_or_else(|| UnknownApi(name.to_owned()))
    }
}

/// Where a provider answers, and who asks.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The provider, as the configuration names it.
    pub provider: String,
    /// The protocol it speaks.
    pub api: Api,
    /// What the paths of the protocol are put behind.
    pub base_url: String,
    /// What it is asked with; a local server needs none.
    pub key: Option<Secret<String>>,
    /// Whether the key goes into `Authorization`, where the protocol has a header of its own for it.
    pub bearer: bool,
    /// What else is sent along.
    pub headers: Vec<(String, Secret<String>)>,
    /// How long it may be silent.
    pub idle_limit: Duration,
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// Its name, as the provider knows it.
    pub id: String,
    /// Whether it can think before it answers.
    pub reasoning: bool,
    /// Whether it can see pictures.
    pub sees: bool,
    /// How much it may write, in tokens; the provider's own limit when absent.
    pub max_tokens: Option<u32>,
    /// What it costs.
    pub prices: Prices,
    /// How it differs from other models of its protocol.
    pub compat: Compat,
}

/// Dollars for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Prices {
    /// Read.
    pub input: f64,
    /// Written.
    pub output: f64,
    /// Read from the provider's cache.
    pub cache_read: f64,
    /// Written to it.
    pub cache_write: f64,
}

impl Prices {
    /// What was used costs this.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Cost {
        #[expect(
            clippy::cast_precision_loss,
            reason = "no answer has so many tokens that it matters"
        )]
        let of = |tokens: u64, price: f64| tokens as f64 * price / 1_000_000.0;
        let mut cost = Cost {
            input: of(usage.input, self.input),
            output: of(usage.output, self.output),
            cache_read: of(usage.cache_read, self.cache_read),
            cache_write: of(usage.cache_write, self.cache_write),
            total: 0.0,
        };
        cost.total = cost.input + cost.output + cost.cache_read + cost.cache_write;
        cost
    }
}

/// How a model differs from others of its protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compat {
    /// It can think, and cannot be told how much.
    pub no_reasoning_effort: bool,
    /// What the field is called that limits the answer.
    pub max_tokens_field: Option<String>,
}

/// A model of a provider.
#[derive(Debug, Clone)]
pub struct Hosted {
    http: Arc<Http>,
    endpoint: Arc<Endpoint>,
    facts: Arc<ModelFacts>,
}

impl Hosted {
    /// This model, asked through these connections.
    #[must_use]
    pub const fn new(http: Arc<Http>, endpoint: Arc<Endpoint>, facts: Arc<ModelFacts>) -> Self {
        Self {
            http,
            endpoint,
            facts,
        }
    }
}

impl Model for Hosted {
    fn ask(&self, request: ModelRequest) -> LocalBoxStream<'_, Result<ModelEvent, ModelError>> {
        let answer = hearing::Answer::new(self, request);
        stream::unfold(answer, |mut answer| async move {
            let event = answer.next().await?;
            Some((event, answer))
        })
        .boxed_local()
    }
}

/// An error in few words.
fn error(kind: ModelErrorKind, message: impl Into<String>) -> ModelError {
    ModelError {
        kind,
        message: message.into(),
    }
}
