//! `models` and `auth`: who provides models, and with which credentials.

use std::collections::BTreeMap;

use crate::config::setting::{Block, choice, section};
use crate::secret::Secret;

section! {
    /// Model providers.
    pub struct Models {
        /// Whether the providers below come on top of the built-in ones.
        "mode" => mode: ModelsMode = ModelsMode::Merge;
        /// Providers by name.
        "providers" => providers: BTreeMap<String, ModelProvider> = BTreeMap::new();
        /// How models of Amazon Bedrock are found.
        "bedrockDiscovery" => bedrock_discovery: Option<Block> = None;
        /// After how many seconds without a word from a provider a request is given up.
        "idleTimeoutSeconds" => idle_timeout_seconds: Option<u32> = None;
        /// The proxy to providers, as an address, or "environment" for what the environment says; absent means none.
        "proxy" => proxy: Option<Secret<String>> = None;
    }
}

choice! {
    /// What becomes of the built-in providers.
    pub enum ModelsMode {
        /// They are there too.
        Merge = "merge",
        /// They are not.
        Replace = "replace",
    }
}

section! {
    /// A provider of models.
    pub struct ModelProvider {
        /// The address that the paths of its protocol are put behind.
        "baseUrl" => base_url: Option<String> = None;
        /// The key it is asked with.
        "apiKey" => api_key: Option<Secret<String>> = None;
        /// A file that holds the key.
        "apiKeyFile" => api_key_file: Option<String> = None;
        /// What kind of credential the key is: "api-key", "token", "oauth".
        "auth" => auth: Option<String> = None;
        /// The protocol it speaks: "openai-completions", "openai-responses", "anthropic-messages", "google-generative-ai".
        "api" => api: Option<String> = None;
        /// Headers that every request carries.
        "headers" => headers: BTreeMap<String, Secret<String>> = BTreeMap::new();
        /// Whether the key goes into the header `Authorization`, whatever the protocol says.
        "authHeader" => auth_header: bool = false;
        /// Its models.
        "models" => models: Vec<ModelEntry> = Vec::new();
    }
}

section! {
    /// A model.
    pub struct ModelEntry {
        /// Its name, as the provider knows it; required.
        "id" => id: String = String::new();
        /// Its name for people.
        "name" => name: Option<String> = None;
        /// The protocol, where it differs from the provider's.
        "api" => api: Option<String> = None;
        /// Whether it can think before it answers.
        "reasoning" => reasoning: bool = false;
        /// What it can read: "text", "image".
        "input" => input: Option<Vec<String>> = None;
        /// What it costs.
        "cost" => cost: ModelCost = ModelCost::default();
        /// How much it can read, in tokens.
        "contextWindow" => context_window: Option<f64> = None;
        /// How much it may write, in tokens.
        "maxTokens" => max_tokens: Option<f64> = None;
        /// Headers that its requests carry.
        "headers" => headers: BTreeMap<String, Secret<String>> = BTreeMap::new();
        /// How it differs from others of its protocol.
        "compat" => compat: Option<Block> = None;
    }
}

section! {
    /// Dollars for a million tokens.
    pub struct ModelCost {
        /// Read.
        "input" => input: f64 = 0.0;
        /// Written.
        "output" => output: f64 = 0.0;
        /// Read from the provider's cache.
        "cacheRead" => cache_read: f64 = 0.0;
        /// Written to it.
        "cacheWrite" => cache_write: f64 = 0.0;
    }
}

section! {
    /// Which credentials are used for model providers, and in what order.
    pub struct ModelAuth {
        /// What is known of each set of credentials; the credentials themselves are not in here.
        "profiles" => profiles: BTreeMap<String, AuthProfile> = BTreeMap::new();
        /// Names of profiles by provider, in the order they are tried.
        "order" => order: BTreeMap<String, Vec<String>> = BTreeMap::new();
        /// How long credentials rest after a failure.
        "cooldowns" => cooldowns: AuthCooldowns = AuthCooldowns::default();
    }
}

section! {
    /// How long credentials rest after a failure.
    pub struct AuthCooldowns {
        /// Hours after a provider has said for the first time that nothing is paid for; twice as long after each further time.
        "billingBackoffHours" => billing_backoff_hours: f64 = 5.0;
        /// The same for single providers.
        "billingBackoffHoursByProvider" => billing_backoff_hours_by_provider: BTreeMap<String, f64> = BTreeMap::new();
        /// The longest of these rests, in hours.
        "billingMaxHours" => billing_max_hours: f64 = 24.0;
        /// After so many hours without a failure the next one is a first one.
        "failureWindowHours" => failure_window_hours: f64 = 24.0;
    }
}

section! {
    /// A set of credentials.
    pub struct AuthProfile {
        /// Whose they are.
        "provider" => provider: String = String::new();
        /// What they are: "api_key", "oauth", "token".
        "mode" => mode: Option<String> = None;
        /// The account.
        "email" => email: Option<String> = None;
    }
}
