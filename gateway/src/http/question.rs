//! What a program asks by `/v1/…`, in whichever form it has written it.                    (pure)

use openclaw_shared::transcript::Thinking;
use serde_json::{Map, Value};

use super::client_tools::ClientTools;
use super::conversation::Prompt;
use super::fields::{Field, Misfit};
use super::target::Target;
use crate::runs::{RunKind, RunRequest, Work};

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Question {
    /// The name of the model, which stands for an agent.
    pub(super) model: String,
    /// The client's name for whom it asks.
    pub(super) user: Option<String>,
    pub(super) prompt: Prompt,
    pub(super) tools: ClientTools,
    pub(super) max_tokens: Option<u32>,
    pub(super) thinking: Option<Thinking>,
    pub(super) is_streamed: bool,
}

/// Why a body is refused; the text is for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0}")]
    Misfit(#[from] Misfit),
    /// Neither a person nor a tool has said anything; names where they would have.
    #[error("Missing user message in `{0}`.")]
    Silence(&'static str),
}

impl Question {
    /// The run that answers it.
    pub(super) fn run(self, run_id: String, target: Target) -> RunRequest {
        RunRequest {
            run_id,
            kind: RunKind::Http,
            session: target.session,
            asked_as: target.asked_as,
            work: Work {
                agent: target.agent,
                message: self.prompt.message,
                images: self.prompt.images,
                extra_system: self.prompt.system,
                history: self.prompt.history,
                thinking: self.thinking,
                max_tokens: self.max_tokens,
                client_tools: self.tools.tools.into_iter().map(Into::into).collect(),
                tool_choice: self.tools.choice,
                ..Work::default()
            },
        }
    }
}

/// How many tokens an answer may have.
pub(super) fn most_tokens(field: Option<Field<'_>>) -> Result<Option<u32>, Misfit> {
    let most = field.map(|most| most.count()).transpose()?;
    Ok(most.map(|most| u32::try_from(most).unwrap_or(u32::MAX)))
}

/// How much a model is to think, in the words of these interfaces; a word that nobody knows changes nothing.
pub(super) fn thinking(effort: &Field<'_>) -> Option<Thinking> {
    match effort.value().and_then(Value::as_str)? {
        "none" => Some(Thinking::Off),
        "minimal" => Some(Thinking::Minimal),
        "low" => Some(Thinking::Low),
        "medium" => Some(Thinking::Medium),
        "high" => Some(Thinking::High),
        "xhigh" => Some(Thinking::Xhigh),
        _ => None,
    }
}

/// The arguments of a call that a client has written down: the JSON of an object in a text.
pub(super) fn arguments(written: &Field<'_>) -> Result<Map<String, Value>, Misfit> {
    match written.text()?.trim() {
        "" => Ok(Map::new()),
        text => serde_json::from_str(text)
            .map_err(|_| written.misfit("Invalid input: expected the JSON of an object")),
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::Thinking;
    use serde_json::json;

    use super::{arguments, most_tokens, thinking};
    use crate::http::fields::Object;

    #[test]
    fn numbers_words_and_arguments_are_read() {
        let body = json!({"most": 5_000_000_000_u64, "effort": "high", "other": "huge", "empty": " ", "written": "{\"a\":1}", "list": "[]"});
        let body = Object::body(body.as_object().unwrap());
        assert_eq!(most_tokens(Some(body.get("most"))), Ok(Some(u32::MAX)));
        assert_eq!(most_tokens(None), Ok(None));
        assert_eq!(thinking(&body.get("effort")), Some(Thinking::High));
        assert_eq!(thinking(&body.get("other")), None);
        assert_eq!(arguments(&body.get("empty")).unwrap().len(), 0);
        assert_eq!(arguments(&body.get("written")).unwrap()["a"], 1);
        assert!(arguments(&body.get("list")).is_err());
    }
}
