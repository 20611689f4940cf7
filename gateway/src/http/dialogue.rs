//! One answer of an agent to a program, by `/v1/chat/completions` or `/v1/responses`: what is the same whichever form it has.
//!
//! Invariant: a stream that has begun ends with `[DONE]`, behind either the whole answer or an error that says why there is no
//! more, unless its client has gone.

use http::{Method, StatusCode};
use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::Usage;
use serde_json::{Map, Value};
use tokio::task::spawn_local;
use tokio::time::timeout;
use warp::reply::Response as Reply;

use super::api::{Asked, Failure};
use super::question::Question;
use super::sse::{self, Events, Gone};
use super::target::{self, NoTarget, Said};
use super::turn::{self, Next, Turn};
use super::{bearer, body};
use crate::runs::Outcome;
use crate::settings::http::Endpoint;

/// What stands where an agent has said nothing.
const NOTHING: &str = "No response from OpenClaw.";

/// An interface of this kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interface {
    pub(super) path: &'static str,
    /// The key of the configuration that switches it on.
    pub(super) key: &'static str,
    /// What the sessions of its requests begin with.
    pub(super) prefix: &'static str,
}

/// What every form of one answer says.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) id: String,
    /// In seconds since the epoch.
    pub(super) created: u64,
    /// As the client wrote it.
    pub(super) model: String,
}

/// How an interface writes an answer: whole, or as the text of events.                     (pure)
pub(super) trait Form: 'static {
    /// The id of the answer, and of the run.
    fn id(&self) -> &str;
    /// The whole answer.
    fn whole(&self, text: &str, outcome: &Outcome) -> Reply;
    /// What stands in its place.
    fn refusal(&self, failure: &Failure, usage: Usage) -> Reply;
    /// The events before the first word.
    fn opening(&self) -> String;
    /// The event with more of the text.
    fn more(&self, text: &str) -> String;
    /// The events after the last word of a text.
    fn closing(&self, text: &str, outcome: &Outcome) -> String;
    /// The event in the place of all further ones. Programs that read it raise the error.
    fn broken(&self, failure: &Failure, usage: Usage) -> String;
}

impl Head {
    /// The head of the answer that has this id.
    pub(super) fn new(id: String, question: &Question) -> Self {
        Self {
            id,
            created: WallTime::now().as_millis() / 1000,
            model: question.model.clone(),
        }
    }
}

/// Lets a program in that may ask, and reads what it has sent.
///
/// # Errors
/// When it may not, or its body is not taken.
pub(super) async fn read(
    asked: &mut Asked,
    interface: Interface,
    endpoint: Option<Endpoint>,
) -> Result<Map<String, Value>, Failure> {
    let endpoint = endpoint.ok_or_else(|| Failure::switched_off(interface.path, interface.key))?;
    asked.only(&Method::POST)?;
    bearer::admit(asked).await?;
    let bytes = body::bytes(&asked.headers, &mut asked.body, endpoint.body_bytes).await?;
    Ok(body::object(&bytes)?)
}

/// Has a question answered.
///
/// # Errors
/// When it is for nobody, or no run was taken in for it.
pub(super) async fn answer(
    asked: &Asked,
    interface: Interface,
    question: Question,
    form: impl Form,
) -> Result<Reply, Failure> {
    let settings = asked.context.settings();
    let said = Said {
        headers: &asked.headers,
        model: &question.model,
        user: question.user.as_deref(),
        prefix: interface.prefix,
    };
    let target = target::find(said, &settings.agents, settings.naming()).map_err(no_target)?;
    let is_streamed = question.is_streamed;
    let run = question.run(form.id().to_owned(), target);
    let turn = turn::begin(&asked.context, run).await?;
    if is_streamed {
        let (events, reply) = sse::open();
        produce(turn, events, form);
        return Ok(reply);
    }
    let outcome = turn.end().await?;
    Ok(match turn::failure(&outcome) {
        None => form.whole(&whole(&outcome), &outcome),
        Some(failure) => form.refusal(&failure, outcome.usage),
    })
}

/// The failure of a request that is for nobody.
fn no_target(error: NoTarget) -> Failure {
    let failure = Failure::invalid(error.to_string());
    match error {
        NoTarget::Model(_) => failure
            .with_status(StatusCode::NOT_FOUND)
            .with_code("model_not_found"),
        NoTarget::Agent(_) | NoTarget::Session(_) | NoTarget::Mismatch(..) => failure,
    }
}

/// All that an agent has said. Nothing is enough beside calls that the client is to make.
fn whole(outcome: &Outcome) -> String {
    let text = outcome.texts.join("\n\n");
    if text.is_empty() && outcome.client_calls.is_empty() {
        NOTHING.to_owned()
    } else {
        text
    }
}

/// Produces the events of an answer, in a task of its own that ends with the client.
fn produce(turn: Turn, events: Events, form: impl Form) {
    spawn_local(async move {
        let produced = tell(turn, &events, &form);
        tokio::select! {
            // Whatever is left of the run is stopped with it.
            () = events.gone() => {}
            // Either the client has everything, or it has gone.
            _ = produced => {}
        }
    });
}

async fn tell(mut turn: Turn, events: &Events, form: &impl Form) -> Result<(), Gone> {
    events.send(form.opening()).await?;
    let mut text = String::new();
    let ended = loop {
        let Ok(next) = timeout(sse::SILENCE, turn.next()).await else {
            events.comment().await?;
            continue;
        };
        match next {
            Ok(Next::Text(more)) => {
                events.send(form.more(&more)).await?;
                text.push_str(&more);
            }
            Ok(Next::Over(outcome)) => {
                break match turn::failure(&outcome) {
                    None => Ok(outcome),
                    Some(failure) => Err((failure, outcome.usage)),
                };
            }
            Err(failure) => break Err((failure, Usage::default())),
        }
    };
    match ended {
        Ok(outcome) => {
            if text.is_empty() {
                // Some answers are there all at once, those of commands for example.
                text = whole(&outcome);
                if !text.is_empty() {
                    events.send(form.more(&text)).await?;
                }
            }
            events.send(form.closing(&text, &outcome)).await?;
        }
        Err((failure, usage)) => events.send(form.broken(&failure, usage)).await?,
    }
    events.done().await
}
