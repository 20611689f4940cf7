//! What went wrong, told from what the provider or the connection said.  (pure)

use std::time::Duration;

use genai::webc::StreamTimeout;
use httpdate::parse_http_date;
use openclaw_shared::clock::WallTime;
use openclaw_shared::log;
use openclaw_shared::secret::{PLACEHOLDER, Secret};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::{Endpoint, ModelError, ModelErrorKind, error};

/// More of a provider's text nobody reads.
const LONGEST_TEXT: usize = 1_000;
/// A shorter secret would be found in the middle of words.
const SHORTEST_SECRET: usize = 6;

/// What providers say when a conversation is too long for a model, in lower case.
const CONTEXT_FULL: [&str; 12] = [
    "context_length_exceeded",
    "maximum context length",
    "context length exceeded",
    "prompt is too long",
    "input is too long",
    "context window",
    "exceeds the context",
    "exceed context",
    "available context size",
    "exceed_context_size",
    "input token count",
    "too many input tokens",
];

/// What they say when nothing is paid for any longer, in lower case.
const UNPAID: [&str; 7] = [
    "insufficient_quota",
    "insufficient credits",
    "insufficient balance",
    "credit balance",
    "exceeded your current quota",
    "payment required",
    "billing_hard_limit",
];

/// Takes secrets out of what providers say, because some repeat the key that they refuse.
#[derive(Debug, Clone, Default)]
pub struct Scrub(Vec<Secret<String>>);

impl Scrub {
    /// Whatever is asked there, and with whatever.
    #[must_use]
    pub fn new(endpoint: &Endpoint) -> Self {
        let headers = endpoint.headers.iter().map(|(_, value)| value);
        let secrets = endpoint.key.iter().chain(headers);
        Self(
            secrets
                .filter(|secret| secret.expose().len() >= SHORTEST_SECRET)
                .cloned()
                .collect(),
        )
    }

    /// The text for people: one line, not too long, without secrets.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let mut cleaned = text.to_owned();
        for secret in &self.0 {
            cleaned = cleaned.replace(secret.expose().as_str(), PLACEHOLDER);
        }
        let cleaned = log::redact(&cleaned);
        let line = cleaned.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(LONGEST_TEXT) {
            Some((cut, _)) => format!("{}…", &line[..cut]),
            None => line,
        }
    }
}

/// What an error of the crate means.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is left of the crate's errors means the same to us, whatever is added to it"
)]
pub(super) fn of(
    failure: genai::Error,
    provider: &str,
    scrub: &Scrub,
    now: WallTime,
) -> ModelError {
    use genai::Error as Failure;
    match failure {
        Failure::HttpError {
            status,
            body,
            headers,
            ..
        } => of_status(status.as_u16(), &headers, &body, scrub, now),
        Failure::WebModelCall { webc_error, .. } | Failure::WebAdapterCall { webc_error, .. } => {
            match webc_error {
                genai::webc::Error::Reqwest(failure) => of_connection(failure, provider),
                other => unreadable(&scrub.clean(&other.to_string())),
            }
        }
        Failure::WebStream { error: cause, .. } => of_stream(cause, provider, scrub, now),
        Failure::ChatResponse { body, .. } => of_event(&body, scrub),
        Failure::StreamParse { serde_error, .. } => of_parse(&serde_error, scrub),
        Failure::JsonValueExt(cause) => unreadable(&scrub.clean(&cause.to_string())),
        Failure::SerdeJson(cause) => of_parse(&cause, scrub),
        // Whatever else there is comes from building the request.
        other => error(
            ModelErrorKind::Refused,
            format!("cannot ask {provider}: {}", scrub.clean(&other.to_string())),
        ),
    }
}

fn of_stream(cause: genai::BoxError, provider: &str, scrub: &Scrub, now: WallTime) -> ModelError {
    let cause = match cause.downcast::<genai::Error>() {
        Ok(failure) => return of(*failure, provider, scrub, now),
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<reqwest::Error>() {
        Ok(failure) => return of_connection(*failure, provider),
        Err(cause) => cause,
    };
    match cause.downcast::<StreamTimeout>() {
        Ok(_) => silent(provider),
        Err(cause) => unreadable(&scrub.clean(&cause.to_string())),
    }
}

/// The provider has said nothing for as long as it may.
pub(super) fn silent(provider: &str) -> ModelError {
    error(
        ModelErrorKind::TimedOut,
        format!("{provider} has not answered in time"),
    )
}

/// The answer ended before its end.
pub(super) fn broke_off(provider: &str) -> ModelError {
    error(
        ModelErrorKind::BrokeOff,
        format!("the answer of {provider} broke off"),
    )
}

/// What came is not what the protocol says.
pub(super) fn unreadable(what: &str) -> ModelError {
    error(
        ModelErrorKind::Malformed,
        format!("the answer cannot be read: {what}"),
    )
}

/// A provider's own error can come in the place of what was expected; then it is the better text.
fn of_parse(cause: &serde_json::Error, scrub: &Scrub) -> ModelError {
    let text = scrub.clean(&cause.to_string());
    if cause.is_data() {
        error(ModelErrorKind::Overloaded(None), text)
    } else {
        unreadable(&text)
    }
}

fn of_connection(failure: reqwest::Error, provider: &str) -> ModelError {
    // The address may hold a secret.
    let failure = failure.without_url();
    let mut cause: &dyn std::error::Error = &failure;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let cause = log::printable(&cause.to_string());
    if failure.is_timeout() && !failure.is_connect() {
        silent(provider)
    } else if failure.is_connect() {
        error(
            ModelErrorKind::Unreachable,
            format!("cannot reach {provider}: {cause}"),
        )
    } else if failure.is_builder() {
        error(
            ModelErrorKind::Refused,
            format!("cannot ask {provider}: {cause}"),
        )
    } else {
        error(
            ModelErrorKind::BrokeOff,
            format!("the connection to {provider} broke off: {cause}"),
        )
    }
}

/// What an answer with a status other than success means.
pub(super) fn of_status(
    status: u16,
    headers: &HeaderMap,
    body: &str,
    scrub: &Scrub,
    now: WallTime,
) -> ModelError {
    let said = text_of(body);
    let text = match said {
        Some(text) => format!("HTTP {status}: {}", scrub.clean(&text)),
        None => format!("HTTP {status}"),
    };
    let later = retry_after(headers, now);
    let kind = match status {
        _ if matches!(status, 400 | 413 | 422 | 500) && tells_of_full_context(body) => {
            ModelErrorKind::ContextFull
        }
        // No money left is not a matter of minutes, whatever the status says.
        402 => ModelErrorKind::Unpaid,
        _ if matches!(status, 400 | 403 | 429) && tells_of_money(body) => ModelErrorKind::Unpaid,
        401 | 403 => ModelErrorKind::Auth,
        404 if body.to_ascii_lowercase().contains("model") => ModelErrorKind::Unknown,
        408 => ModelErrorKind::TimedOut,
        429 => ModelErrorKind::Limited(later),
        500..=599 => ModelErrorKind::Overloaded(later),
        _ => ModelErrorKind::Refused,
    };
    error(kind, text)
}

/// What an error in the middle of a stream means.
fn of_event(body: &Value, scrub: &Scrub) -> ModelError {
    let written = body.to_string();
    let said = text_of(&written).unwrap_or_else(|| written.clone());
    let inner = body.get("error").unwrap_or(body);
    let word = |key: &str| inner.get(key).and_then(Value::as_str).unwrap_or_default();
    let what = format!("{} {}", word("type"), word("code")).to_ascii_lowercase();
    let status = ["code", "status", "status_code"]
        .iter()
        .find_map(|key| inner.get(key).and_then(Value::as_u64));
    let has = |part: &str| what.contains(part);
    let kind = if tells_of_full_context(&said) || has("context_length") {
        ModelErrorKind::ContextFull
    } else if status == Some(402) || has("billing") || tells_of_money(&written) {
        ModelErrorKind::Unpaid
    } else if has("rate_limit") || has("resource_exhausted") || status == Some(429) {
        ModelErrorKind::Limited(None)
    } else if has("authentication") || has("permission") || has("api_key") {
        ModelErrorKind::Auth
    } else if has("invalid_request") || has("not_found") {
        ModelErrorKind::Refused
    } else {
        ModelErrorKind::Overloaded(None)
    };
    error(kind, scrub.clean(&said))
}

/// The provider's own words in a body, wherever it puts them.
fn text_of(body: &str) -> Option<String> {
    let body = body.trim();
    // A page for browsers says nothing that the status does not.
    if body.is_empty() || body.starts_with('<') {
        return None;
    }
    let Ok(json) = serde_json::from_str::<Value>(body) else {
        return Some(body.to_owned());
    };
    let json = json.get(0).unwrap_or(&json);
    let found = ["/error/message", "/message", "/error", "/detail"]
        .iter()
        .find_map(|path| json.pointer(path).and_then(Value::as_str));
    Some(found.map_or_else(|| json.to_string(), str::to_owned))
}

fn tells_of_full_context(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    CONTEXT_FULL.iter().any(|words| text.contains(words))
}

fn tells_of_money(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    UNPAID.iter().any(|words| text.contains(words))
}

/// When to come again, as seconds, milliseconds or a date.
fn retry_after(headers: &HeaderMap, now: WallTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(millis) = text("retry-after-ms").and_then(|text| text.trim().parse().ok()) {
        return Some(Duration::from_millis(millis));
    }
    let text = text(RETRY_AFTER.as_str())?.trim();
    if let Some(seconds) = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = WallTime::from(parse_http_date(text).ok()?);
    Some(date.since(now))
}

#[cfg(test)]
mod tests {
    use super::super::Api;
    use super::*;

    const NOW: WallTime = WallTime::from_millis(784_111_777_000);

    fn scrub() -> Scrub {
        Scrub::new(&Endpoint {
            provider: "p".to_owned(),
            api: Api::OpenaiCompletions,
            base_url: String::new(),
            key: Some(Secret::new("my-own-key-1234".to_owned())),
            bearer: false,
            headers: vec![("x-a".to_owned(), Secret::new("header-secret".to_owned()))],
            idle_limit: Duration::ZERO,
        })
    }

    fn check(status: u16, body: &str, kind: ModelErrorKind, message: &str) {
        let seen = of_status(status, &HeaderMap::new(), body, &scrub(), NOW);
        assert_eq!((seen.kind, seen.message.as_str()), (kind, message));
    }

    #[test]
    fn a_status_has_a_kind_and_the_providers_own_words() {
        use ModelErrorKind as Kind;
        check(
            400,
            r#"{"error": {"message": "bad \n tool", "type": "invalid_request_error"}}"#,
            Kind::Refused,
            "HTTP 400: bad tool",
        );
        check(
            400,
            r#"{"error": {"message": "This model's maximum context length is 8192 tokens."}}"#,
            Kind::ContextFull,
            "HTTP 400: This model's maximum context length is 8192 tokens.",
        );
        check(402, "", Kind::Unpaid, "HTTP 402");
        check(
            400,
            r#"{"type": "error", "error": {"message": "Your credit balance is too low"}}"#,
            Kind::Unpaid,
            "HTTP 400: Your credit balance is too low",
        );
        check(
            429,
            r#"{"error": {"message": "no quota", "code": "insufficient_quota"}}"#,
            Kind::Unpaid,
            "HTTP 429: no quota",
        );
        check(401, r#"{"error": "no"}"#, Kind::Auth, "HTTP 401: no");
        check(403, "<html>x</html>", Kind::Auth, "HTTP 403");
        check(
            404,
            r#"{"error": {"message": "model \"x\" not found"}}"#,
            Kind::Unknown,
            "HTTP 404: model \"x\" not found",
        );
        check(404, "nothing here", Kind::Refused, "HTTP 404: nothing here");
        check(429, "", Kind::Limited(None), "HTTP 429");
        check(
            503,
            r#"[{"error": {"code": 503, "message": "busy"}}]"#,
            Kind::Overloaded(None),
            "HTTP 503: busy",
        );
        check(302, "", Kind::Refused, "HTTP 302");
    }

    #[test]
    fn a_provider_that_repeats_secrets_is_not_repeated() {
        check(
            401,
            r#"{"error": {"message": "Incorrect key my-own-key-1234, sent with header-secret"}}"#,
            ModelErrorKind::Auth,
            "HTTP 401: Incorrect key ***, sent with ***",
        );
    }

    #[test]
    fn when_to_come_again_is_read_in_all_its_forms() {
        for (name, value, expected) in [
            ("retry-after", "7", Some(7_000)),
            ("retry-after", "0.5", Some(500)),
            ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT", Some(30_000)),
            ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("retry-after", "soon", None),
            ("retry-after", "-3", None),
            ("retry-after-ms", "1500", Some(1_500)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let seen = of_status(429, &headers, "", &scrub(), NOW).kind;
            let expected = ModelErrorKind::Limited(expected.map(Duration::from_millis));
            assert_eq!(seen, expected, "{name}: {value}");
        }
    }

    #[test]
    fn an_error_in_the_middle_of_a_stream_has_a_kind_too() {
        for (body, kind) in [
            (
                r#"{"type": "error", "error": {"type": "overloaded_error", "message": "m"}}"#,
                ModelErrorKind::Overloaded(None),
            ),
            (
                r#"{"message": "m", "type": "rate_limit_error"}"#,
                ModelErrorKind::Limited(None),
            ),
            (
                r#"{"message": "m", "code": "insufficient_quota"}"#,
                ModelErrorKind::Unpaid,
            ),
            (
                r#"{"message": "m", "code": 429}"#,
                ModelErrorKind::Limited(None),
            ),
            (
                r#"{"error": {"message": "m", "type": "authentication_error"}}"#,
                ModelErrorKind::Auth,
            ),
            (
                r#"{"message": "m", "code": "context_length_exceeded"}"#,
                ModelErrorKind::ContextFull,
            ),
            (r#"{"message": "m"}"#, ModelErrorKind::Overloaded(None)),
        ] {
            let seen = of_event(&serde_json::from_str(body).unwrap(), &scrub());
            assert_eq!((seen.kind, seen.message.as_str()), (kind, "m"), "{body}");
        }
    }
}
