//! Which agent a request to `/v1/…` is for, and in which session.                         (pure)

use http::HeaderMap;
use uuid::Uuid;

use crate::services::session_key::{KeyError, Naming, SessionKey, agent_id};
use crate::settings::Agent;

/// What stands for the agent in the name of a model.
const PREFIXES: [&str; 3] = ["openclaw:", "openclaw/", "agent:"];
/// The name that stands for the default agent.
pub(super) const MODEL: &str = "openclaw";
/// How much of a client's name for its user may stand in a key, in characters.
const LONGEST_USER: usize = 200;

/// Who answers, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) agent: String,
    pub(super) session: SessionKey,
    /// The key as the client wrote it, or as it was made.
    pub(super) asked_as: String,
    /// Whether the session is of this request alone.
    pub(super) is_fresh: bool,
}

/// Why there is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoTarget {
    /// The model stands for an agent that is not there.
    #[error("The model `{0}` does not exist: there is no such agent")]
    Model(String),
    /// A header names an agent that is not there.
    #[error("unknown agent id \"{0}\"")]
    Agent(String),
    /// A header names what is no key.
    #[error("x-openclaw-session-key: {0}")]
    Session(KeyError),
    /// A header names the session of another agent than the one that is asked.
    #[error("agent \"{0}\" does not match session key agent \"{1}\"")]
    Mismatch(String, String),
}

/// What a request says about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) model: &'a str,
    pub(super) user: Option<&'a str>,
    /// What sessions of this interface begin with: `openai`, `openresponses`.
    pub(super) prefix: &'a str,
}

/// Finds the target.
pub(super) fn find(
    said: Said<'_>,
    agents: &[Agent],
    naming: Naming<'_>,
) -> Result<Target, NoTarget> {
    let known = |id: &str| agents.iter().any(|agent| agent.id == id);
    let named = match header(said.headers, &["x-openclaw-agent-id", "x-openclaw-agent"]) {
        Some(written) => {
            let id = agent_id(written).filter(|id| known(id));
            Some(id.ok_or_else(|| NoTarget::Agent(super::fields::shown(written)))?)
        }
        None => match of_model(said.model) {
            Some(written) => {
                let id = agent_id(written).filter(|id| known(id));
                Some(id.ok_or_else(|| NoTarget::Model(super::fields::shown(said.model)))?)
            }
            None => None,
        },
    };
    if let Some(written) = header(said.headers, &["x-openclaw-session-key"]) {
        let within = Naming {
            default_agent: named.as_deref().unwrap_or(naming.default_agent),
            ..naming
        };
        let session = SessionKey::parse(written, within).map_err(NoTarget::Session)?;
        let owner = session.agent().unwrap_or(within.default_agent).to_owned();
        return match named {
            Some(named) if named != owner && session.agent().is_some() => {
                Err(NoTarget::Mismatch(named, owner))
            }
            _ if !known(&owner) => Err(NoTarget::Agent(super::fields::shown(&owner))),
            named => Ok(Target {
                agent: named.unwrap_or(owner),
                session,
                asked_as: written.to_owned(),
                is_fresh: false,
            }),
        };
    }
    let agent = named.unwrap_or_else(|| naming.default_agent.to_owned());
    let user = said.user.map(str::trim).filter(|user| !user.is_empty());
    let key = match user {
        Some(user) => format!("agent:{agent}:{}-user:{}", said.prefix, harmless(user)),
        None => format!("agent:{agent}:{}:{}", said.prefix, Uuid::new_v4()),
    };
    let session = SessionKey::parse(&key, naming).map_err(NoTarget::Session)?;
    Ok(Target {
        agent,
        session,
        asked_as: key,
        is_fresh: user.is_none(),
    })
}

/// The agent in the name of a model; none when it names none.
fn of_model(model: &str) -> Option<&str> {
    let model = model.trim();
    let named = PREFIXES.iter().find_map(|prefix| {
        let found = model.get(..prefix.len())?;
        found
            .eq_ignore_ascii_case(prefix)
            .then(|| &model[prefix.len()..])
    });
    // The name that later versions of clients have for the default agent.
    named.filter(|id| *id != "default")
}

fn header<'h>(headers: &'h HeaderMap, names: &[&str]) -> Option<&'h str> {
    names
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok())
        .map(str::trim)
        .find(|value| !value.is_empty())
}

/// A name that can stand in a key, and that no other user gets: what no key has is replaced, and a digest tells such names apart.
fn harmless(user: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || " _-.:@+#=~%,!*".contains(letter);
    let is_harmless =
        user.chars().all(fits) && !user.contains("..") && user.chars().count() <= LONGEST_USER;
    if is_harmless {
        return user.to_owned();
    }
    let kept: String = user
        .chars()
        .take(LONGEST_USER / 2)
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .collect();
    format!(
        "{kept}~{}",
        &openclaw_shared::digest::hex(user.as_bytes())[..16]
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{Said, find};
    use crate::services::session_key::Naming;
    use crate::settings::Agent;

    fn check(headers: &[(&'static str, &str)], model: &str, user: Option<&str>, expected: &str) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let agent = |id: &str, is_default| Agent {
            id: id.into(),
            is_default,
        };
        let agents = [agent("main", true), agent("ops", false)];
        let naming = Naming {
            default_agent: "main",
            main_key: "main",
            is_global: false,
        };
        let said = Said {
            headers: &map,
            model,
            user,
            prefix: "openai",
        };
        let found = match find(said, &agents, naming) {
            Ok(target) if target.is_fresh => {
                let (head, uuid) = target.session.as_str().rsplit_once(':').unwrap();
                assert_eq!(uuid.len(), 36);
                format!("{} {head}", target.agent)
            }
            Ok(target) => format!("{} {} as {}", target.agent, target.session, target.asked_as),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_agent_comes_from_a_header_or_the_model() {
        check(&[], "openclaw", None, "main agent:main:openai");
        check(&[], "gpt-4o", None, "main agent:main:openai");
        check(&[], "openclaw/default", None, "main agent:main:openai");
        for model in ["openclaw:ops", "openclaw/ops", "agent:ops", "OpenClaw:OPS"] {
            check(&[], model, None, "ops agent:ops:openai");
        }
        check(
            &[("x-openclaw-agent-id", "ops")],
            "openclaw:main",
            None,
            "ops agent:ops:openai",
        );
        check(
            &[("x-openclaw-agent", "Ops")],
            "openclaw",
            None,
            "ops agent:ops:openai",
        );
        check(
            &[],
            "openclaw:zzz",
            None,
            "The model `openclaw:zzz` does not exist: there is no such agent",
        );
        check(
            &[("x-openclaw-agent-id", "../x")],
            "openclaw",
            None,
            "unknown agent id \"../x\"",
        );
    }

    #[test]
    fn the_session_comes_from_a_header_or_the_user_or_is_new() {
        check(
            &[],
            "openclaw",
            Some("ada"),
            "main agent:main:openai-user:ada as agent:main:openai-user:ada",
        );
        check(&[], "openclaw", Some(" "), "main agent:main:openai");
        let odd = format!("____~{}", &openclaw_shared::digest::hex(b"../x")[..16]);
        let odd = odd.replacen("____", "___x", 1);
        check(
            &[],
            "openclaw",
            Some("../x"),
            &format!("main agent:main:openai-user:{odd} as agent:main:openai-user:{odd}"),
        );
        let key = |key| [("x-openclaw-session-key", key)];
        check(
            &key("main"),
            "openclaw",
            Some("ada"),
            "main agent:main:main as main",
        );
        check(&key("x"), "openclaw:ops", None, "ops agent:ops:x as x");
        check(
            &key("agent:ops:x"),
            "openclaw",
            None,
            "ops agent:ops:x as agent:ops:x",
        );
        check(
            &key("agent:ops:x"),
            "openclaw:main",
            None,
            "agent \"main\" does not match session key agent \"ops\"",
        );
        check(
            &key("agent:zzz:x"),
            "openclaw",
            None,
            "unknown agent id \"zzz\"",
        );
        check(
            &key("../x"),
            "openclaw",
            None,
            "x-openclaw-session-key: invalid session key",
        );
    }
}
