//! The providers that need no configuration but a key, and their best known models.
//!
//! The list is short on purpose: a model that is not in it can be used all the same, by its name. Prices are dollars for a million
//! tokens, as the providers publish them.

use std::collections::BTreeMap;

use super::{ModelFacts, Provider};
use crate::config::section::ModelCost;

/// Whose models are used where nobody has chosen, in this order.
pub(super) const PREFERRED: [&str; 3] = ["anthropic", "openai", "google"];

struct Built {
    id: &'static str,
    api: &'static str,
    base_url: &'static str,
    needs_key: bool,
    models: &'static [Model],
}

struct Model {
    id: &'static str,
    name: &'static str,
    window: u64,
    most: u32,
    /// Read, written, read from the cache, written to it.
    prices: [f64; 4],
}

const fn model(
    id: &'static str,
    name: &'static str,
    window: u64,
    most: u32,
    prices: [f64; 4],
) -> Model {
    Model {
        id,
        name,
        window,
        most,
        prices,
    }
}

const COMPLETIONS: &str = "openai-completions";

const fn compatible(id: &'static str, base_url: &'static str) -> Built {
    Built {
        id,
        api: COMPLETIONS,
        base_url,
        needs_key: true,
        models: &[],
    }
}

const ALL: &[Built] = &[
    Built {
        id: "anthropic",
        api: "anthropic-messages",
        base_url: "https://api.anthropic.com",
        needs_key: true,
        models: &[
            model(
                "claude-opus-4-5",
                "Claude Opus 4.5",
                200_000,
                64_000,
                [5.0, 25.0, 0.5, 6.25],
            ),
            model(
                "claude-sonnet-4-5",
                "Claude Sonnet 4.5",
                200_000,
                64_000,
                [3.0, 15.0, 0.3, 3.75],
            ),
            model(
                "claude-haiku-4-5",
                "Claude Haiku 4.5",
                200_000,
                64_000,
                [1.0, 5.0, 0.1, 1.25],
            ),
        ],
    },
    Built {
        id: "openai",
        api: "openai-responses",
        base_url: "https://api.openai.com/v1",
        needs_key: true,
        models: &[
            model(
                "gpt-5.2",
                "GPT-5.2",
                400_000,
                128_000,
                [1.75, 14.0, 0.175, 0.0],
            ),
            model(
                "gpt-5.1",
                "GPT-5.1",
                400_000,
                128_000,
                [1.25, 10.0, 0.125, 0.0],
            ),
            model(
                "gpt-5-mini",
                "GPT-5 mini",
                400_000,
                128_000,
                [0.25, 2.0, 0.025, 0.0],
            ),
        ],
    },
    Built {
        id: "google",
        api: "google-generative-ai",
        base_url: "https://generativelanguage.googleapis.com/v1beta",
        needs_key: true,
        models: &[
            model(
                "gemini-3-pro-preview",
                "Gemini 3 Pro Preview",
                1_048_576,
                65_536,
                [2.0, 12.0, 0.2, 0.0],
            ),
            model(
                "gemini-2.5-pro",
                "Gemini 2.5 Pro",
                1_048_576,
                65_536,
                [1.25, 10.0, 0.125, 0.0],
            ),
            model(
                "gemini-2.5-flash",
                "Gemini 2.5 Flash",
                1_048_576,
                65_536,
                [0.3, 2.5, 0.03, 0.0],
            ),
        ],
    },
    Built {
        id: "ollama",
        api: COMPLETIONS,
        base_url: "http://127.0.0.1:11434/v1",
        needs_key: false,
        models: &[],
    },
    compatible("openrouter", "https://openrouter.ai/api/v1"),
    compatible("groq", "https://api.groq.com/openai/v1"),
    compatible("xai", "https://api.x.ai/v1"),
    compatible("mistral", "https://api.mistral.ai/v1"),
    compatible("cerebras", "https://api.cerebras.ai/v1"),
];

/// All of them.
pub(super) fn providers() -> impl Iterator<Item = Provider> {
    ALL.iter().map(|built| Provider {
        api: built.api.to_owned(),
        base_url: built.base_url.to_owned(),
        needs_key: built.needs_key,
        is_configured: false,
        models: built.models.iter().map(facts).collect(),
        ..unknown(built.id)
    })
}

/// A provider of which only the name is known.
pub(super) fn unknown(id: &str) -> Provider {
    Provider {
        id: id.to_owned(),
        api: COMPLETIONS.to_owned(),
        base_url: String::new(),
        auth_header: false,
        headers: BTreeMap::new(),
        keys: Vec::new(),
        expired: Vec::new(),
        needs_key: false,
        is_configured: true,
        models: Vec::new(),
    }
}

fn facts(model: &Model) -> ModelFacts {
    let [input, output, cache_read, cache_write] = model.prices;
    ModelFacts {
        name: model.name.to_owned(),
        // All of them think and see.
        reasoning: true,
        input: vec!["text".to_owned(), "image".to_owned()],
        context_window: model.window,
        max_tokens: Some(model.most),
        cost: ModelCost {
            input,
            output,
            cache_read,
            cache_write,
        },
        is_configured: false,
        ..ModelFacts::unknown(model.id)
    }
}

/// The variables that hold a provider's key by convention, the preferred one first.
pub(super) fn variables(provider: &str) -> Vec<String> {
    let known: &[&str] = match provider {
        "anthropic" => &["ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY"],
        "google" => &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        _ => &[],
    };
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() {
            character.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let usual = format!(
        "{}_API_KEY",
        provider.chars().map(plain).collect::<String>()
    );
    let mut names: Vec<String> = known.iter().map(|&name| name.to_owned()).collect();
    if !names.contains(&usual) {
        names.push(usual);
    }
    names
}
