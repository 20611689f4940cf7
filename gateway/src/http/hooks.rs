//! `/hooks/…`: requests from outside that tell the main session something, or start runs.
//!
//! They have a secret of their own, which opens nothing else. What is acknowledged is written down, once for each delivery
//! ([`delivery`]); the run itself is looked after elsewhere (`crate::hooks`).

use std::sync::Arc;

use http::{Method, StatusCode};
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use openclaw_shared::secret::constant_time_eq;
use openclaw_shared::transcript::Thinking;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;
use warp::reply::Response as Reply;
use warp::{Filter, Rejection};

use super::api::{Asked, json};
use super::{bearer, body, plain};
use crate::context::Context;
use crate::heartbeat;
use crate::runs::Work;
use crate::services::channels::NETWORKS as CHANNELS;
use crate::services::hook_deliveries::{self, Ask as Kept, Delivery, Taken};
use crate::services::session_key::SessionKey;
use crate::services::system_events::{self, Kind, Queued};
use crate::settings::http::Hooks;
use crate::store::StoreError;

mod ask;
mod delivery;
pub(crate) mod mapping;
mod template;
mod untrusted;

use ask::{Agent, Ask, Wake};
use mapping::{Asking, Unmapped};

/// Passes what lies below the path of hooks.
pub(super) fn below(context: Arc<Context>) -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::path::full()
        .and_then(move |path: warp::path::FullPath| {
            let settings = context.settings();
            let is_below = below_of(&settings.http.hooks_path, path.as_str()).is_some();
            std::future::ready(if is_below {
                Ok(())
            } else {
                Err(warp::reject::not_found())
            })
        })
        .untuple_one()
}

/// The path below the path of hooks.
fn below_of<'p>(base: &str, path: &'p str) -> Option<&'p str> {
    let below = path.strip_prefix(base)?;
    if below.is_empty() {
        return Some(below);
    }
    let below = below.strip_prefix('/')?;
    Some(below.strip_suffix('/').unwrap_or(below))
}

/// The name that a path has below the path of hooks; none when it could be written plainly and is not.
fn name_of(below: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let is_disguised = below.split('%').skip(1).any(|escaped| {
        let byte = escaped.get(..2).map(|hex| u8::from_str_radix(hex, 16));
        matches!(byte, Some(Ok(byte)) if is_plain(byte))
    });
    let decoded = percent_decode_str(below).decode_utf8().ok()?;
    (!is_disguised).then(|| decoded.into_owned())
}

/// What the names of hooks' own sessions begin with.
const OF_HOOKS: &str = "hook:";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<WakeMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

const NOTHING: Answer<'static> = Answer {
    ok: true,
    mode: None,
    run_id: None,
    error: None,
};

fn refuse(status: StatusCode, error: &str) -> Reply {
    let answer = Answer {
        ok: false,
        error: Some(error),
        ..NOTHING
    };
    json(status, &answer)
}

/// Answers.
pub(super) async fn answer(mut asked: Asked) -> Reply {
    let settings = asked.context.settings();
    let Some(hooks) = settings.http.hooks.clone() else {
        let why = "hooks are switched off; set hooks.enabled and hooks.token in the configuration";
        return refuse(StatusCode::NOT_FOUND, why);
    };
    let below = below_of(&settings.http.hooks_path, &asked.path).unwrap_or_default();
    let below = name_of(below).unwrap_or_default();
    let query = pairs(&asked.query);
    match presented(&asked) {
        Some(token) if constant_time_eq(token.as_bytes(), hooks.token.expose().as_bytes()) => {}
        wrong => {
            warn_of_address(&asked, &query);
            let failure = bearer::refuse(&asked, wrong.is_some()).await;
            return match failure.status() {
                StatusCode::UNAUTHORIZED => plain(StatusCode::UNAUTHORIZED, "Unauthorized"),
                status => refuse(status, failure.message()),
            };
        }
    }
    if asked.method != Method::POST {
        let mut reply: Reply = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        let allow = http::HeaderValue::from_static("POST");
        reply.headers_mut().insert(http::header::ALLOW, allow);
        return reply;
    }
    if below.is_empty() {
        return plain(StatusCode::NOT_FOUND, "Not Found");
    }
    let read = body::bytes(&asked.headers, &mut asked.body, hooks.body_bytes).await;
    let read = read.and_then(|bytes| Ok((body::object(&bytes)?, bytes)));
    let (said, bytes) = match read {
        Ok(read) => read,
        Err(refused) => return refuse(refused.status(), &refused.text()),
    };
    let delivery = match delivery::of(&below, &asked.headers, &bytes, &said) {
        Ok(delivery) => delivery,
        Err(bad) => return refuse(StatusCode::BAD_REQUEST, &bad.to_string()),
    };
    let decided = decide(&hooks, &below, &said, &asked.headers, &query);
    match decided {
        Ok(Ask::Wake(wake)) => self::wake(&asked.context, wake, delivery).await,
        Ok(Ask::Agent(agent)) => {
            let may_be_any = hooks.any_session || below != "agent";
            start(&asked.context, *agent, may_be_any, delivery).await
        }
        Err(Unmapped::Nothing) => plain(StatusCode::NOT_FOUND, "Not Found"),
        Err(Unmapped::Unusable(why)) => refuse(StatusCode::BAD_REQUEST, &why),
        Err(Unmapped::Module) => refuse(
            StatusCode::NOT_IMPLEMENTED,
            "this hook is mapped by a JavaScript module (transform.module), and modules are not run by this version; \
             use messageTemplate or textTemplate",
        ),
    }
}

fn decide(
    hooks: &Hooks,
    path: &str,
    body: &Map<String, Value>,
    headers: &http::HeaderMap,
    query: &[(String, String)],
) -> Result<Ask, Unmapped> {
    match path {
        "wake" => ask::wake(body).map(Ask::Wake).map_err(Unmapped::Unusable),
        "agent" => ask::agent(body, CHANNELS)
            .map(|agent| Ask::Agent(Box::new(agent)))
            .map_err(Unmapped::Unusable),
        _ => hooks.mappings.decide(Asking {
            path,
            body,
            headers,
            query,
            now: WallTime::now(),
            channels: CHANNELS,
        }),
    }
}

/// What a request shows as the secret of hooks. What stands in the address counts for nothing: proxies and logs see it.
fn presented(asked: &Asked) -> Option<&str> {
    if let Some(token) = bearer::bearer(&asked.headers) {
        return Some(token);
    }
    let mut written = asked.headers.get_all("x-openclaw-token").iter();
    let (token, None) = (written.next()?, written.next()) else {
        return None;
    };
    token.to_str().ok().filter(|token| !token.is_empty())
}

/// Says so to an owner whose programs rely on it.
fn warn_of_address(asked: &Asked, query: &[(String, String)]) {
    let is_there = query.iter().any(|(name, _)| name == "token");
    if is_there && let Some(left_out) = asked.context.may_log_stranger() {
        tracing::warn!(
            target: "gateway/hooks",
            left_out,
            "refused a hook with a token in its address, where it does not count; send it as Authorization: Bearer"
        );
    }
}

/// The members of a query, decoded.
fn pairs(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

/// Why nothing was written.
enum Refused {
    Store(StoreError),
    Queue(Queued),
    Taken(Taken),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Refused {
    fn reply(self) -> Reply {
        match self {
            Self::Queue(Queued::TooLong) => refuse(
                StatusCode::BAD_REQUEST,
                "text must not have more than 20000 characters",
            ),
            Self::Queue(Queued::Blank) => refuse(StatusCode::BAD_REQUEST, "text required"),
            Self::Queue(Queued::Full | Queued::Waits) | Self::Taken(Taken::Full) => {
                refuse(StatusCode::SERVICE_UNAVAILABLE, "too many hooks wait")
            }
            Self::Taken(Taken::Conflict | Taken::New | Taken::Again(_)) => refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                "this delivery was posted before with another body",
            ),
            Self::Store(error) => {
                tracing::warn!(target: "gateway/hooks", %error, "a hook cannot be written down");
                refuse(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the hook cannot be written down",
                )
            }
        }
    }
}

/// Tells the main session; the note and the name of the delivery are written together.
async fn wake(context: &Arc<Context>, wake: Wake, delivery: Delivery) -> Reply {
    let Wake { text, mode } = wake;
    let written = context
        .store
        .write(move |tx| {
            let now = WallTime::now();
            match hook_deliveries::take(tx, now, &delivery, "", None)? {
                Taken::New => {}
                Taken::Again(_) => return Ok(false),
                other @ (Taken::Conflict | Taken::Full) => return Err(Refused::Taken(other)),
            }
            match system_events::enqueue(tx, now, None, Kind::Wake(mode), &text)? {
                Queued::Waits => Ok(true),
                other @ (Queued::Blank | Queued::TooLong | Queued::Full) => {
                    Err(Refused::Queue(other))
                }
            }
        })
        .await;
    match written {
        Ok(is_new) => {
            if is_new && mode == WakeMode::Now {
                let settings = context.settings();
                heartbeat::wake_agent(context, settings.default_agent());
            }
            let answer = Answer {
                mode: Some(mode),
                ..NOTHING
            };
            json(StatusCode::OK, &answer)
        }
        Err(refused) => refused.reply(),
    }
}

/// Starts a run; what it is to do and the name of the delivery are written together.
async fn start(
    context: &Arc<Context>,
    agent: Agent,
    may_be_any: bool,
    delivery: Delivery,
) -> Reply {
    let run = Uuid::new_v4().to_string();
    let ask = match kept(context, agent, may_be_any, &run) {
        Ok(ask) => ask,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let fresh = run.clone();
    let written = context
        .store
        .write(move |tx| {
            let now = WallTime::now();
            match hook_deliveries::take(tx, now, &delivery, &fresh, Some(&ask))? {
                Taken::New => Ok(None),
                Taken::Again(run) => Ok(Some(run)),
                other @ (Taken::Conflict | Taken::Full) => Err(Refused::Taken(other)),
            }
        })
        .await;
    match written {
        Ok(known) => {
            context.hooks_bell.notify_one();
            let run_id = known.unwrap_or(run);
            let answer = Answer {
                run_id: Some(&run_id),
                ..NOTHING
            };
            json(StatusCode::ACCEPTED, &answer)
        }
        Err(refused) => refused.reply(),
    }
}

/// What is to be done, as it is kept. `run` is its secret until it is answered. Unless it may be any, the session is one of hooks:
/// what strangers write is not to be said in a person's conversation.
fn kept(context: &Context, agent: Agent, may_be_any: bool, run: &str) -> Result<Kept, String> {
    let settings = context.settings();
    let asked_as = match agent.session_key {
        Some(written) if !may_be_any && !written.starts_with(OF_HOOKS) => {
            return Err(format!(
                "sessionKey must begin with {OF_HOOKS} unless hooks.allowRequestSessionKey is true"
            ));
        }
        Some(written) => written,
        None => format!("{OF_HOOKS}{}", Uuid::new_v4()),
    };
    let session = SessionKey::parse(&asked_as, settings.naming())
        .map_err(|error| format!("sessionKey: {error}"))?;
    let owner = session.agent().unwrap_or_else(|| settings.default_agent());
    if !settings.agents.iter().any(|agent| agent.id == owner) {
        return Err(format!("unknown agent id \"{owner}\""));
    }
    let message = if agent.is_trusted {
        agent.message
    } else {
        untrusted::wrap(&agent.name, &agent.message, run)
    };
    Ok(Kept {
        name: agent.name,
        mode: agent.mode,
        session: session.as_str().to_owned(),
        asked_as,
        deliver: agent.deliver,
        channel: agent.channel,
        to: agent.to,
        work: Work {
            agent: owner.to_owned(),
            message,
            model: agent.model,
            thinking: agent
                .thinking
                .and_then(|level| Thinking::from_text(&level.to_lowercase())),
            timeout_ms: agent
                .timeout_seconds
                .map(|seconds| seconds.saturating_mul(1_000)),
            ..Work::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{below_of, name_of, pairs};

    #[test]
    fn what_lies_below_the_path_of_hooks_is_told_from_what_lies_beside_it() {
        for (path, below) in [
            ("/hooks", Some("")),
            ("/hooks/", Some("")),
            ("/hooks/a/b/", Some("a/b")),
            ("/hooksx", None),
            ("/x/hooks", None),
            ("/HOOKS/a", None),
            ("/hooks//a", Some("/a")),
        ] {
            assert_eq!(below_of("/hooks", path), below, "{path}");
        }
    }

    #[test]
    fn a_name_is_written_in_one_way() {
        for (written, name) in [
            ("agent", Some("agent")),
            ("f%C3%B6%20x", Some("f\u{f6} x")),
            ("%61gent", None),
            ("a%2fb", None),
            ("%ff", None),
        ] {
            assert_eq!(name_of(written).as_deref(), name, "{written}");
        }
    }

    #[test]
    fn a_query_is_decoded() {
        let read: Vec<String> = pairs("a=1&b=x+y%21&&c&d==")
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(read, ["a=1", "b=x y!", "c=", "d=="]);
    }
}
