//! `POST /v1/chat/completions`: an agent, as programs that speak to a model see it.

use http::{Method, StatusCode};
use openclaw_shared::clock::WallTime;
use tokio::task::spawn_local;
use tokio::time::timeout;
use uuid::Uuid;
use warp::reply::Response as Reply;

use super::api::{Asked, Failure, json};
use super::sse::{self, Events, Gone};
use super::target::{self, NoTarget, Said, Target};
use super::turn::{self, Next, Turn};
use super::{bearer, body};
use crate::runs::{RunKind, RunRequest, Work};

mod reply;
mod request;

use reply::{Head, Pieces};
use request::Request;

/// What stands where an agent has said nothing.
pub(super) const NOTHING: &str = "No response from OpenClaw.";

/// Answers.
pub(super) async fn answer(asked: Asked) -> Reply {
    match converse(asked).await {
        Ok(reply) => reply,
        Err(failure) => failure.reply(),
    }
}

async fn converse(asked: Asked) -> Result<Reply, Failure> {
    let settings = asked.context.settings();
    let Some(endpoint) = settings.http.completions else {
        return Err(Failure::switched_off(
            "/v1/chat/completions",
            "gateway.http.endpoints.chatCompletions.enabled",
        ));
    };
    asked.only(&Method::POST)?;
    bearer::admit(&asked).await?;
    let bytes = body::bytes(&asked.headers, asked.body, endpoint.body_bytes).await?;
    let read = request::read(&body::object(&bytes)?, &settings.http.media);
    let request = read.map_err(|refused| Failure::invalid(refused.to_string()))?;
    drop(bytes);
    let said = Said {
        headers: &asked.headers,
        model: &request.model,
        user: request.user.as_deref(),
        prefix: "openai",
    };
    let target = target::find(said, &settings.agents, settings.naming()).map_err(no_target)?;
    let head = Head {
        id: format!("chatcmpl_{}", Uuid::new_v4()),
        created: WallTime::now().as_millis() / 1000,
        model: request.model.clone(),
    };
    let (is_streamed, with_usage) = (request.is_streamed, request.with_usage);
    let turn = turn::begin(&asked.context, run(head.id.clone(), target, request)).await?;
    if is_streamed {
        let (events, reply) = sse::open();
        produce(turn, events, head, with_usage);
        return Ok(reply);
    }
    let outcome = turn.end().await?;
    if let Some(failure) = turn::failure(&outcome) {
        return Err(failure);
    }
    let mut text = outcome.texts.join("\n\n");
    if text.is_empty() && outcome.client_calls.is_empty() {
        NOTHING.clone_into(&mut text);
    }
    Ok(json(StatusCode::OK, &head.completion(&text, &outcome)))
}

/// The failure of a request that is for nobody.
pub(super) fn no_target(error: NoTarget) -> Failure {
    let failure = Failure::invalid(error.to_string());
    match error {
        NoTarget::Model(_) => failure
            .with_status(StatusCode::NOT_FOUND)
            .with_code("model_not_found"),
        NoTarget::Agent(_) | NoTarget::Session(_) | NoTarget::Mismatch(..) => failure,
    }
}

fn run(run_id: String, target: Target, request: Request) -> RunRequest {
    let Request {
        prompt,
        tools,
        max_tokens,
        thinking,
        ..
    } = request;
    RunRequest {
        run_id,
        kind: RunKind::Http,
        session: target.session,
        asked_as: target.asked_as,
        work: Work {
            agent: target.agent,
            message: prompt.message,
            images: prompt.images,
            extra_system: prompt.system,
            history: prompt.history,
            thinking,
            max_tokens,
            client_tools: tools.tools.into_iter().map(Into::into).collect(),
            tool_choice: tools.choice,
            ..Work::default()
        },
    }
}

/// Produces the pieces of an answer, in a task of its own that ends with the client.
fn produce(turn: Turn, events: Events, head: Head, with_usage: bool) {
    spawn_local(async move {
        let produced = pieces(turn, &events, head.pieces(with_usage));
        tokio::select! {
            // Whatever is left of the run is stopped with it.
            () = events.gone() => {}
            // Either the client has everything, or it has gone.
            _ = produced => {}
        }
    });
}

async fn pieces(mut turn: Turn, events: &Events, pieces: Pieces<'_>) -> Result<(), Gone> {
    events.data(&pieces.begin()).await?;
    let mut has_text = false;
    let outcome = loop {
        let Ok(next) = timeout(sse::SILENCE, turn.next()).await else {
            events.comment().await?;
            continue;
        };
        match next {
            Ok(Next::Text(text)) => {
                has_text = true;
                events.data(&pieces.text(&text)).await?;
            }
            Ok(Next::Over(outcome)) => break outcome,
            Err(failure) => return broken(events, &failure).await,
        }
    };
    if let Some(failure) = turn::failure(&outcome) {
        return broken(events, &failure).await;
    }
    if !has_text {
        // Some answers are there all at once, those of commands for example.
        let text = outcome.texts.join("\n\n");
        let text = match text.as_str() {
            "" if outcome.client_calls.is_empty() => NOTHING,
            text => text,
        };
        if !text.is_empty() {
            events.data(&pieces.text(text)).await?;
        }
    }
    if let Some(calls) = pieces.calls(&outcome) {
        events.data(&calls).await?;
    }
    events.data(&pieces.end(&outcome)).await?;
    if let Some(usage) = pieces.usage(&outcome) {
        events.data(&usage).await?;
    }
    events.done().await
}

/// Says in the midst of an answer that there is no more: programs that read it raise the error.
async fn broken(events: &Events, failure: &Failure) -> Result<(), Gone> {
    events.data(&failure.body()).await?;
    events.done().await
}
