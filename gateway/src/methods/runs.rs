//! Runs of agents, and messages to them.

use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::protocol::error::{ErrorCode, ErrorShape};
use openclaw_shared::protocol::method::chat::{Agent, AgentWait, ChatAbort, ChatSend};
use openclaw_shared::protocol::params::agent_runs::{
    AcceptedStatus, AgentAccepted, AgentFinished, AgentOutcome, AgentParams, AgentReply,
    AgentResult, AgentResultPart, AgentWaitParams, AgentWaitReply, AgentWaitStatus,
};
use openclaw_shared::protocol::params::chat::{
    ChatAbortParams, ChatAbortReply, ChatRun, ChatSendParams, ChatSendReply, ChatSendStatus,
};
use openclaw_shared::protocol::params::sessions::SendPolicy;
use openclaw_shared::transcript::Thinking;
use serde_json::json;

use super::{MethodError, Routes};
use crate::connection::{Caller, Outgoing};
use crate::context::Context;
use crate::prepared::Prepared;
use crate::runs::commands::Hints;
use crate::runs::{
    self, Outcome, RunKind, RunRequest, RunStatus, Standing, Which, Work, attachments, commands,
};
use crate::services::channels;
use crate::services::session_key::{SessionKey, agent_id};
use crate::services::sessions::{self, Dial, Register};

/// How long `agent.wait` waits when nobody says.
const PATIENCE: Duration = Duration::from_secs(30);
/// What stops runs when it is all that a message says.
const STOP_WORDS: [&str; 6] = ["stop", "esc", "abort", "wait", "exit", "interrupt"];

pub(super) fn register(routes: Routes) -> Routes {
    routes
        .on_twice(Agent, agent)
        .on(AgentWait, wait)
        .on_errand_of(ChatSend, send)
        .on_errand_of(ChatAbort, abort)
}

fn invalid(message: impl std::fmt::Display) -> MethodError {
    MethodError::invalid(format!("invalid agent params: {message}"))
}

/// Text that has something in it.
fn words(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// How much is to be thought, as people write it.
fn thinking(text: Option<&String>) -> Result<Option<Thinking>, MethodError> {
    let Some(text) = words(text) else {
        return Ok(None);
    };
    Thinking::from_text(&text.to_lowercase())
        .map(Some)
        .ok_or_else(|| {
            MethodError::invalid("invalid thinking (use off|minimal|low|medium|high|xhigh)")
        })
}

/// Whether people see what tools do.
fn verbose(word: Option<&String>) -> Result<Option<String>, MethodError> {
    let Some(word) = words(word) else {
        return Ok(None);
    };
    match Dial::Verbose.word(word) {
        Some(word) => Ok(Some(word.to_owned())),
        None => Err(MethodError::invalid("invalid verbose (use on|off|full)")),
    }
}

/// Whether the owner has forbidden to send in a session.
fn check_policy(context: &Context, key: &SessionKey) -> Result<(), MethodError> {
    let entry = context
        .store
        .read(|reader| Ok(sessions::find(reader, key.as_str())))??;
    match entry.and_then(|entry| entry.send_policy) {
        Some(SendPolicy::Deny) => Err(MethodError::invalid("send blocked by session policy")),
        Some(SendPolicy::Allow) | None => Ok(()),
    }
}

/// Whether a name for a session is another one's.
fn check_label(
    context: &Context,
    key: &SessionKey,
    label: Option<&str>,
) -> Result<(), MethodError> {
    let Some(label) = label else { return Ok(()) };
    let holder = context
        .store
        .read(|reader| Ok(sessions::by_label(reader, label)))??;
    match holder {
        Some(holder) if holder != key.as_str() => Err(MethodError::invalid(format!(
            "label already in use: {label}"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// The session that `agent` means, and how it was named. None when nothing says which.
fn session_of(
    context: &Context,
    params: &AgentParams,
) -> Result<Option<(SessionKey, String)>, MethodError> {
    let settings = context.settings();
    let register = Register::new(settings.clone());
    let named = match params.agent_id.as_deref().map(str::trim) {
        None => None,
        Some(text) => {
            let id = agent_id(text).filter(|id| settings.agents.iter().any(|it| it.id == *id));
            Some(id.ok_or_else(|| invalid(format!("unknown agent id \"{text}\"")))?)
        }
    };
    if let Some(key) = words(params.session_key.as_ref()) {
        let canonical = register.key(key)?;
        let of_key = canonical.agent().unwrap_or(settings.default_agent());
        if let Some(named) = &named
            && named != of_key
        {
            return Err(invalid(format!(
                "agent \"{named}\" does not match session key agent \"{of_key}\""
            )));
        }
        return Ok(Some((canonical, key.to_owned())));
    }
    if let Some(id) = words(params.session_id.as_ref()) {
        let found = context
            .store
            .read(|reader| Ok(sessions::by_id(reader, id)))??;
        let key = match found {
            Some(key) => SessionKey::of_canonical(&key),
            // A conversation that whoever asks has named, and comes back to by that name.
            None => {
                let agent = named.as_deref().unwrap_or(settings.default_agent());
                register.key(&format!("agent:{agent}:explicit:{id}"))?
            }
        };
        let shown = key.to_string();
        return Ok(Some((key, shown)));
    }
    let agent = match (named, words(params.to.as_ref())) {
        (Some(agent), _) => agent,
        // Whoever writes to the agent without a channel is its person.
        (None, Some(_)) => settings.default_agent().to_owned(),
        (None, None) => return Ok(None),
    };
    let key = register.key(&format!("agent:{agent}:{}", settings.naming().main_key))?;
    let shown = key.to_string();
    Ok(Some((key, shown)))
}

async fn agent(
    context: Arc<Context>,
    _caller: Arc<Caller>,
    params: AgentParams,
) -> Result<(AgentReply, impl Future<Output = Outgoing>), MethodError> {
    let settings = context.settings();
    for channel in [&params.channel, &params.reply_channel]
        .into_iter()
        .flatten()
    {
        if !channels::is_known(channel) {
            return Err(invalid(format!("unknown channel: {channel}")));
        }
    }
    let found = session_of(&context, &params)?;
    let images = attachments::images(params.attachments.as_deref().unwrap_or_default())?;
    let is_homeless = found.is_none();
    let (session, asked_as) = match found {
        Some(found) => found,
        None => {
            let key = Register::new(settings.clone()).key("unknown")?;
            (key, "unknown".to_owned())
        }
    };
    if !is_homeless {
        check_policy(&context, &session)?;
        check_label(&context, &session, params.label.as_deref())?;
    }
    let run_id = params.idempotency_key.to_string();
    let kind = match params.lane.as_deref() {
        Some("subagent") => RunKind::Subagent,
        Some(_) | None => RunKind::Agent,
    };
    let request = RunRequest {
        run_id: run_id.clone(),
        kind,
        asked_as,
        work: Work {
            agent: (session.agent().unwrap_or(settings.default_agent())).to_owned(),
            message: params.message.to_string(),
            images,
            extra_system: params.extra_system_prompt,
            thinking: thinking(params.thinking.as_ref())?,
            verbose: verbose(params.verbose.as_ref())?,
            timeout_ms: (params.timeout)
                .map(|seconds| seconds.get_unsigned().saturating_mul(1000))
                .filter(|timeout| *timeout > 0),
            label: params.label.map(|label| label.to_string()),
            spawned_by: params.spawned_by,
            ..Work::default()
        },
        session,
    };
    let is_delivered = params.deliver == Some(true);
    let accepted_at = if is_homeless {
        openclaw_shared::clock::WallTime::now().as_millis()
    } else {
        runs::enter(&context, request).await?.accepted_at
    };
    let first = AgentReply::Accepted(AgentAccepted {
        run_id: run_id.clone(),
        status: AcceptedStatus::Accepted,
        accepted_at,
    });
    let then = async move {
        if is_homeless {
            let why = "Error: Pass --to <E.164>, --session-id, or --agent to choose a session";
            return failure(&run_id, why, ErrorCode::Unavailable);
        }
        match runs::outcome(&context, &run_id, None).await {
            Ok(Some(outcome)) => finished(&run_id, outcome, is_delivered),
            Ok(None) => failure(
                &run_id,
                "the run is not known any more",
                ErrorCode::Unavailable,
            ),
            Err(error) => failure(&run_id, &error.into_shape().message, ErrorCode::Unavailable),
        }
    };
    Ok((first, then))
}

fn failure(run_id: &str, why: &str, code: ErrorCode) -> Outgoing {
    let payload = AgentFinished {
        run_id: run_id.to_owned(),
        status: AgentOutcome::Error,
        summary: why.to_owned(),
        result: None,
    };
    Outgoing::Failed {
        payload: Prepared::new(&payload).json().clone(),
        error: Box::new(ErrorShape::new(code, why)),
    }
}

/// The second answer of `agent`.
fn finished(run_id: &str, outcome: Outcome, is_delivered: bool) -> Outgoing {
    if outcome.status == RunStatus::Error {
        let code = match outcome.aborted.as_deref() {
            Some(runs::TIMEOUT) => ErrorCode::AgentTimeout,
            Some(_) | None => ErrorCode::Unavailable,
        };
        let why = outcome.error.as_deref().unwrap_or("the run failed");
        return failure(run_id, why, code);
    }
    let usage = outcome.usage;
    let mut meta = json!({
        "durationMs": outcome.ended_at.saturating_sub(outcome.started_at.unwrap_or(outcome.ended_at)),
        "agentMeta": {
            "sessionId": outcome.session_id,
            "provider": outcome.provider,
            "model": outcome.model,
            "usage": {
                "input": usage.input,
                "output": usage.output,
                "cacheRead": usage.cache_read,
                "cacheWrite": usage.cache_write,
                "total": usage.total_tokens,
            },
        },
        "aborted": outcome.aborted.is_some(),
        "systemPromptReport": outcome.prompt_report,
    });
    if is_delivered {
        meta["delivery"] = json!({
            "status": "skipped",
            "reason": "no channel is connected; the answer is in the session",
        });
    }
    let payload = AgentFinished {
        run_id: run_id.to_owned(),
        status: AgentOutcome::Ok,
        summary: match outcome.aborted {
            Some(_) => "aborted".to_owned(),
            None => "completed".to_owned(),
        },
        result: Some(AgentResult {
            payloads: outcome
                .texts
                .into_iter()
                .map(|text| AgentResultPart {
                    text: Some(text),
                    media_url: None,
                })
                .collect(),
            meta,
        }),
    };
    Outgoing::Plain(Ok(Prepared::new(&payload).json().clone()))
}

async fn wait(
    context: &Context,
    _caller: &Caller,
    params: AgentWaitParams,
) -> Result<AgentWaitReply, MethodError> {
    let patience = params
        .timeout_ms
        .map_or(PATIENCE, |wait| Duration::from_millis(wait.get_unsigned()));
    let run_id = params.run_id.trim().to_owned();
    let outcome = runs::outcome(context, &run_id, Some(patience)).await?;
    Ok(match outcome {
        None => AgentWaitReply {
            run_id,
            status: AgentWaitStatus::Timeout,
            started_at: None,
            ended_at: None,
            error: None,
        },
        Some(outcome) => AgentWaitReply {
            run_id,
            status: match outcome.status {
                RunStatus::Ok => AgentWaitStatus::Ok,
                RunStatus::Error => AgentWaitStatus::Error,
            },
            started_at: outcome.started_at,
            ended_at: Some(outcome.ended_at),
            error: outcome.error,
        },
    })
}

fn is_stop(message: &str) -> bool {
    let message = message.trim().to_lowercase();
    message == "/stop" || STOP_WORDS.contains(&message.as_str())
}

async fn send(
    context: &Arc<Context>,
    caller: &Arc<Caller>,
    params: ChatSendParams,
) -> Result<ChatSendReply, MethodError> {
    let settings = context.settings();
    let key = Register::new(settings.clone()).key(&params.session_key)?;
    let images = attachments::images(params.attachments.as_deref().unwrap_or_default())?;
    if params.message.trim().is_empty() && images.is_empty() {
        return Err(MethodError::invalid("message or attachment required"));
    }
    if is_stop(&params.message) {
        let run_ids = runs::stop(context, Which::Messages(key.as_str()), "stop").await?;
        return Ok(ChatSendReply::Stopped(ChatAbortReply {
            ok: true,
            aborted: !run_ids.is_empty(),
            run_ids,
        }));
    }
    check_policy(context, &key)?;
    let run_id = params.idempotency_key.to_string();
    let timeout_ms = params.timeout_ms.map(|it| it.get_unsigned());
    let command = match images.is_empty() {
        true => commands::parse(&params.message),
        false => None,
    };
    let hints = match commands::hints(&params.message) {
        Some(hints) if command.is_none() => hints,
        Some(_) | None => Hints {
            message: params.message,
            ..Hints::default()
        },
    };
    let request = RunRequest {
        run_id: run_id.clone(),
        kind: RunKind::Chat,
        asked_as: params.session_key.to_string(),
        work: Work {
            agent: (key.agent().unwrap_or(settings.default_agent())).to_owned(),
            message: hints.message,
            images,
            thinking: hints.thinking.or(thinking(params.thinking.as_ref())?),
            model: hints.model,
            verbose: hints.verbose,
            queue: hints.queue,
            timeout_ms: timeout_ms.filter(|timeout| *timeout > 0),
            ..Work::default()
        },
        session: key,
    };
    let entered = match command {
        Some(command) => runs::command(context, caller, request, command).await?,
        None => runs::say(context, request).await?,
    };
    Ok(ChatSendReply::Run(ChatRun {
        run_id,
        status: match entered.standing {
            Standing::New => ChatSendStatus::Started,
            Standing::UnderWay => ChatSendStatus::InFlight,
            Standing::Done(_) => ChatSendStatus::Ok,
        },
    }))
}

async fn abort(
    context: &Arc<Context>,
    _caller: &Arc<Caller>,
    params: ChatAbortParams,
) -> Result<ChatAbortReply, MethodError> {
    let key = Register::new(context.settings()).key(&params.session_key)?;
    let run_ids = match &params.run_id {
        None => runs::stop(context, Which::Messages(key.as_str()), "rpc").await?,
        Some(run) => match runs::find(context, run) {
            // A run of `agent` is stopped by whoever can name it: the command line, when it is interrupted.
            Some(seen) if !matches!(seen.kind, RunKind::Chat | RunKind::Agent) => Vec::new(),
            Some(seen) if seen.asked_as != *params.session_key => {
                return Err(MethodError::invalid("runId does not match sessionKey"));
            }
            Some(_) => runs::stop(context, Which::Run(run), "rpc").await?,
            None => Vec::new(),
        },
    };
    Ok(ChatAbortReply {
        ok: true,
        aborted: !run_ids.is_empty(),
        run_ids,
    })
}
