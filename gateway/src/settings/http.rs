//! Which interfaces for programs are there, and within which limits.

use std::sync::Arc;

use openclaw_shared::config::Config;
use openclaw_shared::secret::Secret;

use crate::http::hooks::mapping::Mappings;
use crate::http::media;

/// The largest body of `/v1/chat/completions`, in bytes, when nothing else is configured.
const COMPLETIONS_BYTES: usize = 1024 * 1024;
/// The same of `/v1/responses`, which takes files.
const RESPONSES_BYTES: usize = 20 * 1024 * 1024;
/// No configuration allows more than this, because a body is held in memory.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// The interfaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct HttpSettings {
    /// `/v1/chat/completions`, if it is there.
    pub(crate) completions: Option<Endpoint>,
    /// `/v1/responses`, if it is there.
    pub(crate) responses: Option<Endpoint>,
    /// What is taken of pictures and files.
    pub(crate) media: Arc<media::Limits>,
    /// Hooks, if they are there.
    pub(crate) hooks: Option<Arc<Hooks>>,
    /// Tools with much power that can be called over HTTP all the same.
    pub(crate) tools: Vec<String>,
    /// The path of hooks, whether they are there or not.
    pub(crate) hooks_path: String,
}

/// An interface that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The largest body, in bytes.
    pub(crate) body_bytes: usize,
}

/// Hooks.
#[derive(Debug, Clone)]
pub(crate) struct Hooks {
    /// What a request must carry.
    pub(crate) token: Secret<String>,
    /// The largest body, in bytes.
    pub(crate) body_bytes: usize,
    /// Whether a request may name any session.
    pub(crate) any_session: bool,
    /// Hooks of one's own.
    pub(crate) mappings: Mappings,
}

impl HttpSettings {
    pub(super) fn of(config: &Config) -> Self {
        let endpoints = &config.gateway.http.endpoints;
        let completions = &endpoints.chat_completions;
        let responses = &endpoints.responses;
        let endpoint = |enabled: bool, configured: Option<u64>, default| {
            enabled.then(|| Endpoint {
                body_bytes: configured.map_or(default, bytes),
            })
        };
        Self {
            completions: endpoint(
                completions.enabled,
                completions.max_body_bytes,
                COMPLETIONS_BYTES,
            ),
            responses: endpoint(responses.enabled, responses.max_body_bytes, RESPONSES_BYTES),
            media: Arc::new(media::Limits::of(&responses.files, &responses.images)),
            hooks: hooks(config),
            tools: config.gateway.tools.allow.clone(),
            hooks_path: format!("/{}", config.hooks.path.trim().trim_matches('/')),
        }
    }
}

fn hooks(config: &Config) -> Option<Arc<Hooks>> {
    let hooks = &config.hooks;
    // The supervisor takes no configuration that has hooks without a token; without one nobody could be told from anybody.
    let token = hooks.token.as_ref()?.expose().trim().to_owned();
    (hooks.enabled && !token.is_empty()).then(|| {
        Arc::new(Hooks {
            token: Secret::new(token),
            body_bytes: bytes(hooks.max_body_bytes),
            any_session: hooks.allow_request_session_key,
            mappings: Mappings::of(hooks),
        })
    })
}

fn bytes(configured: u64) -> usize {
    usize::try_from(configured)
        .unwrap_or(usize::MAX)
        .min(MOST_BYTES)
}

#[cfg(test)]
mod tests {
    use openclaw_shared::config::Config;
    use serde_json::{Value, json};

    use super::{Endpoint, HttpSettings};

    fn of(config: Value) -> HttpSettings {
        HttpSettings::of(&Config::from_effective(&config).unwrap())
    }

    #[test]
    fn nothing_is_there_unless_it_is_switched_on() {
        let plain = of(json!({}));
        assert!(plain.completions.is_none() && plain.responses.is_none() && plain.hooks.is_none());
        assert_eq!(plain.hooks_path, "/hooks");
        let on = of(json!({
            "gateway": {"http": {"endpoints": {"chatCompletions": {"enabled": true}, "responses": {"enabled": true, "maxBodyBytes": 5}}}},
            "hooks": {"enabled": true, "token": " t ", "path": "in/"},
        }));
        assert_eq!(
            on.completions,
            Some(Endpoint {
                body_bytes: 1024 * 1024
            })
        );
        assert_eq!(on.responses, Some(Endpoint { body_bytes: 5 }));
        assert_eq!(on.hooks_path, "/in");
        let hooks = on.hooks.unwrap();
        assert_eq!(
            (hooks.token.expose().as_str(), hooks.body_bytes),
            ("t", 262_144)
        );
    }
}
