//! Messages to the gateway instead of the agent: answered at once, beside what is under way in the session.
//!
//! A command is journaled like a run, so that it is done once. One that asks for more than an answer (another conversation with a
//! message, a shorter conversation) becomes a run of its own.

use std::sync::Arc;

use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::{AssistantMessage, Message, Part, StopReason, UserMessage};
use serde_json::json;

use super::commands::{self, Command, Place, Then};
use super::feed::Feed;
use super::journal;
use super::request::{Outcome, RunRequest, RunStatus};
use super::telling::{self, Telling};
use super::{Entered, Which, clear, line_up, stop, write_down};
use crate::connection::Caller;
use crate::context::Context;
use crate::methods::MethodError;
use crate::services::sessions::{self, Conversation, Register};
use crate::services::transcripts;

/// What a command is closed with that nobody has carried out to its end.
pub(super) const NOT_CARRIED_OUT: &str =
    "the gateway ended before the command was carried out; send it again";

/// Carries a command out.
///
/// # Errors
/// When it was not taken in; then nothing was done.
pub(crate) async fn command(
    context: &Arc<Context>,
    caller: &Arc<Caller>,
    request: RunRequest,
    command: Command,
) -> Result<Entered, MethodError> {
    let (entered, number) = write_down(context, &request, None).await?;
    let Some(number) = number else {
        return Ok(entered);
    };
    let done = carry_out(context, caller, number, request.clone(), command).await;
    if done.is_err() {
        // It is in the journal, so its turn comes, and then it is closed as not carried out.
        line_up(context, number, &request).await;
    }
    done.map(|()| entered)
}

async fn carry_out(
    context: &Arc<Context>,
    caller: &Arc<Caller>,
    number: i64,
    mut request: RunRequest,
    command: Command,
) -> Result<(), MethodError> {
    let place = Place {
        context,
        caller,
        session: &request.session,
        agent: &request.work.agent,
    };
    let reply = commands::answer(&place, command).await;
    match reply.then {
        Then::Nothing => close(context, &request, reply.text).await?,
        Then::Stop => {
            let key = request.session.as_str();
            stop(context, Which::Messages(key), "stop").await?;
            close(context, &request, reply.text).await?;
        }
        Then::Reset { message } => {
            reset(context, &request).await?;
            match message {
                Some(message) => {
                    request.work.message = message;
                    go_on(context, number, &request).await?;
                }
                None => close(context, &request, reply.text).await?,
            }
        }
        Then::Compact { wish } => {
            request.work.compacts = Some(wish.unwrap_or_default());
            go_on(context, number, &request).await?;
        }
        Then::Say(message) => {
            request.work.message = message;
            go_on(context, number, &request).await?;
        }
    }
    Ok(())
}

async fn go_on(
    context: &Arc<Context>,
    number: i64,
    request: &RunRequest,
) -> Result<(), MethodError> {
    let changed = request.clone();
    context
        .store
        .write(move |tx| Ok::<_, MethodError>(journal::change(tx, &changed)?))
        .await?;
    line_up(context, number, request).await;
    Ok(())
}

async fn reset(context: &Arc<Context>, request: &RunRequest) -> Result<(), MethodError> {
    if !clear(context, request.session.as_str(), "reset").await? {
        return Err(sessions::still_active(&request.asked_as));
    }
    let register = Register::new(context.settings());
    let key = request.session.to_string();
    context
        .store
        .write(move |tx| register.reset(tx, WallTime::now(), &key))
        .await?;
    Ok(())
}

/// The answer is kept and shown, and the command is over.
async fn close(
    context: &Arc<Context>,
    request: &RunRequest,
    text: String,
) -> Result<(), MethodError> {
    let now = WallTime::now();
    let register = Register::new(context.settings());
    let (key, run) = (request.session.clone(), request.run_id.clone());
    let asked = Message::User(UserMessage {
        content: vec![Part::text(request.work.message.clone())],
        timestamp: now.as_millis(),
    });
    let answered = Message::Assistant(AssistantMessage {
        content: vec![Part::text(text.clone())],
        stop_reason: StopReason::Injected,
        timestamp: now.as_millis(),
        ..AssistantMessage::default()
    });
    let mut outcome = Outcome::ended(RunStatus::Ok, None, now.as_millis());
    outcome.started_at = Some(now.as_millis());
    outcome.stop = StopReason::Injected;
    outcome.texts = vec![text.clone()];
    let kept = outcome.clone();
    context
        .store
        .write(move |tx| {
            let entry = register.begin(tx, now, &key, Conversation::Present)?;
            transcripts::append(tx, &entry.session_id, &asked)?;
            transcripts::append(tx, &entry.session_id, &answered)?;
            journal::end(tx, &run, &kept)?;
            Ok::<_, MethodError>(())
        })
        .await?;
    let mut message = telling::message(text);
    message.stop_reason = Some(StopReason::Injected.as_str().to_owned());
    message.usage = Some(json!({"input": 0, "output": 0, "totalTokens": 0}));
    let feed = Arc::new(Feed::default());
    Telling::new(context.clone(), &request.run_id, &request.asked_as, feed).answers(Some(message));
    context.runs.ended.notify_waiters();
    Ok(())
}
