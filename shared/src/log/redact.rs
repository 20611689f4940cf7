//! Finds secrets in text and in fields, and hides them. Pure.
//!
//! A false alarm costs a word of a log line, a miss costs a credential: the patterns lean towards hiding. Nothing of a
//! secret is kept, not even its first letters, since logs are copied to places where nobody thinks of them as secrets.

use std::borrow::Cow;
use std::ops::Range;

use crate::secret::names_a_secret;

/// What stands in the place of a secret.
pub(super) const HIDDEN: &str = "***";

/// Beginnings of well-known keys; what follows must be long enough to be one.
const KEY_PREFIXES: [&str; 19] = [
    "sk-",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxa-",
    "xoxp-",
    "xoxr-",
    "xoxs-",
    "xapp-",
    "AIza",
    "AKIA",
    "gsk_",
    "hf_",
    "npm_",
    "pplx-",
];
/// Returns `text` with every secret in it replaced by `***`.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    redact_with(text, HIDDEN)
}

/// Returns `text` with every secret in it replaced by what stands for it.
#[must_use]
pub fn redact_with<'t>(text: &'t str, hidden: &str) -> Cow<'t, str> {
    let secrets = find(text);
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut written = 0;
    for secret in secrets {
        out.push_str(&text[written..secret.start]);
        out.push_str(hidden);
        written = secret.end;
    }
    out.push_str(&text[written..]);
    Cow::Owned(out)
}

/// The secrets in `text`, in order and without overlap.
fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if let Some(secret) = private_key(rest).or_else(|| user_info(rest)) {
            at = push(&mut found, at, secret);
            continue;
        }
        let word = leading(rest, is_word);
        if word.is_empty() {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let secret = known_key(word)
            .or_else(|| scheme(rest, word))
            .or_else(|| bot_token(rest, word))
            .or_else(|| assignment(rest, word));
        at = match secret {
            Some(secret) => push(&mut found, at, secret),
            None => at + word.len(),
        };
    }
    found
}

fn push(found: &mut Vec<Range<usize>>, at: usize, secret: Range<usize>) -> usize {
    let end = at + secret.end;
    found.push(at + secret.start..end);
    end
}

/// `-----BEGIN … PRIVATE KEY-----` up to its end mark, or the end of the text when that was cut off.
fn private_key(rest: &str) -> Option<Range<usize>> {
    let header = rest.strip_prefix("-----BEGIN ")?;
    let header_end = header.find("-----")?;
    if !header[..header_end].ends_with("PRIVATE KEY") {
        return None;
    }
    let body = "-----BEGIN ".len() + header_end + 5;
    let end = rest[body..]
        .find("-----END")
        .map_or(rest.len(), |mark| body + mark);
    Some(body..end)
}

/// The user part of `://user:password@host`.
fn user_info(rest: &str) -> Option<Range<usize>> {
    let authority = leading(rest.strip_prefix("://")?, |c| {
        !c.is_whitespace() && !matches!(c, '/' | '?' | '#' | '"' | '\'')
    });
    let user_info = &authority[..authority.rfind('@')?];
    let start = user_info.find(':').map_or(0, |colon| colon + 1);
    (start < user_info.len()).then_some(3 + start..3 + user_info.len())
}

fn known_key(word: &str) -> Option<Range<usize>> {
    let is_key = KEY_PREFIXES
        .iter()
        .any(|prefix| word.strip_prefix(prefix).is_some_and(|key| key.len() >= 8));
    let is_jwt = word.starts_with("eyJ") && word.len() > 20 && word.matches('.').count() >= 2;
    (is_key || is_jwt).then_some(0..word.len())
}

/// `Bearer <token>` and `Basic <credentials>`.
fn scheme(rest: &str, word: &str) -> Option<Range<usize>> {
    let basic = word.eq_ignore_ascii_case("basic");
    if !basic && !word.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let after = &rest[word.len()..];
    let start = word.len() + leading(after, |c| c == ' ').len();
    let token = leading(&rest[start..], is_token);
    // "basic settings" is prose.
    let likely = if basic {
        token.bytes().any(|b| b.is_ascii_digit() || b == b'=')
    } else {
        true
    };
    (start > word.len() && token.len() >= 6 && likely).then_some(start..start + token.len())
}

/// A bot token such as `123456789:AA…`.
fn bot_token(rest: &str, word: &str) -> Option<Range<usize>> {
    if word.len() < 6 || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let key = leading(rest[word.len()..].strip_prefix(':')?, is_word);
    (key.len() >= 20).then_some(0..word.len() + 1 + key.len())
}

/// `name=value`, `name: value`, `"name": "value"` and `--name value`, where the name says that it is a secret.
fn assignment(rest: &str, word: &str) -> Option<Range<usize>> {
    if !names_a_secret(word) {
        return None;
    }
    let after_name = &rest[word.len()..];
    let unquoted = after_name.trim_start_matches(['\\', '"', '\'', ']']);
    let unspaced = unquoted.trim_start_matches(' ');
    let value = match unspaced.strip_prefix(['=', ':']) {
        Some(value) => value.trim_start_matches([' ', '>', '=']),
        None if word.starts_with("--") && after_name.starts_with(' ') => {
            let value = after_name.trim_start_matches(' ');
            (!value.starts_with('-')).then_some(value)?
        }
        None => return None,
    };
    let opened = value.trim_start_matches('\\');
    let start = |inner: &str| rest.len() - inner.len();
    let range = match opened.chars().next()? {
        quote @ ('"' | '\'') => {
            let inner = &opened[1..];
            let end = inner.find(quote).unwrap_or(inner.len());
            start(inner)..start(inner) + inner[..end].trim_end_matches('\\').len()
        }
        _ => {
            let mut end = leading(value, is_bare_value).len();
            let first = &value[..end];
            // "authorization: Bearer abc" holds its secret in the second word.
            if first.eq_ignore_ascii_case("bearer") || first.eq_ignore_ascii_case("basic") {
                end += leading(&value[end..], |c| c == ' ').len();
                end += leading(&value[end..], is_bare_value).len();
            }
            start(value)..start(value) + end
        }
    };
    // A reference to an environment variable is not the secret, and helps whoever looks for it.
    let is_reference = rest[range.clone()].starts_with("${");
    (!range.is_empty() && !is_reference).then_some(range)
}

fn leading(text: &str, wanted: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !wanted(c)).unwrap_or(text.len())]
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

const fn is_token(c: char) -> bool {
    is_word(c) || matches!(c, '~' | '+' | '/' | '=')
}

const fn is_bare_value(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, ',' | ';' | '&' | ')' | ']' | '}' | '"' | '\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(redact(text), expected, "of {text:?}");
        assert_eq!(
            redact(expected),
            expected,
            "redacting twice changes nothing"
        );
    }

    #[test]
    fn rule_100_secrets_in_text_are_hidden() {
        check("Authorization: Bearer abc.def-123", "Authorization: ***");
        check("sent Bearer abcdef123456 to x", "sent Bearer *** to x");
        check("basic dXNlcjpwYXNzMQ==", "basic ***");
        check("key sk-ant-REDACTED, next", "key ***, next");
        check("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "***");
        check("OPENAI_API_KEY=abc FOO=bar", "OPENAI_API_KEY=*** FOO=bar");
        check("MY_KEY=abc", "MY_KEY=***");
        check(
            "OPENCLAW_GATEWAY_TOKEN=\"a b c\" x",
            "OPENCLAW_GATEWAY_TOKEN=\"***\" x",
        );
        check(r#"{"token":"t0p","port":1}"#, r#"{"token":"***","port":1}"#);
        check(
            r#"{\"password\":\"t0p\",\"a\":1}"#,
            r#"{\"password\":\"***\",\"a\":1}"#,
        );
        check("gateway.auth.token: 'x y'", "gateway.auth.token: '***'");
        check("run --token t0p --port 1", "run --token *** --port 1");
        check("run --token=t0p --port 1", "run --token=*** --port 1");
        check("http://h:1/?token=abc&x=1", "http://h:1/?token=***&x=1");
        check("postgres://me:pw@db/x", "postgres://me:***@db/x");
        check("https://t0ken@host/x", "https://***@host/x");
        check(
            "bot 123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc",
            "bot ***",
        );
        check(
            "a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b",
            "a -----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY----- b",
        );
        check("eyJhbGciOi.eyJzdWIiOiIxMjM0.SflKxwRJSM", "***");
        check("cookie: a=b; c", "cookie: ***; c");
        check("é password=ü, é", "é password=***, é");
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in [
            "unauthorized: gateway token mismatch",
            "inputTokens=12 maxTokens: 100",
            "auth=token mode=token",
            "basic settings, bearer of news",
            "task-list desk-3 12:34:56 18789:x",
            "ws://127.0.0.1:18789/__openclaw__/ws",
            "token=${OPENCLAW_TOKEN}",
            "tokenSource: env, passwordConfigured=true, credentials_file=/a",
            "session key agent:main:main",
            "",
        ] {
            check(text, text);
        }
    }
}
