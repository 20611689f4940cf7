//! `POST /v1/responses`: an agent, as programs that speak in items see it.

use http::{Method, StatusCode};
use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::Usage;
use tokio::task::spawn_local;
use tokio::time::timeout;
use uuid::Uuid;
use warp::reply::Response as Reply;

use super::api::{Asked, Failure, do_not_retry, json};
use super::completions::{NOTHING, no_target};
use super::sse::{self, Events, Gone};
use super::target::{self, Said, Target};
use super::turn::{self, Next, Turn};
use super::{bearer, body, fetch};
use crate::runs::{RunKind, RunRequest, Work};

mod reply;
mod request;

use reply::{Event, Head};
use request::Request;

/// Pictures and files that are fetched for one request.
const MOST_ADDRESSES: usize = 8;

/// Answers.
pub(super) async fn answer(asked: Asked) -> Reply {
    match converse(asked).await {
        Ok(reply) => reply,
        Err(failure) => failure.reply(),
    }
}

async fn converse(asked: Asked) -> Result<Reply, Failure> {
    let settings = asked.context.settings();
    let Some(endpoint) = settings.http.responses else {
        return Err(Failure::switched_off(
            "/v1/responses",
            "gateway.http.endpoints.responses.enabled",
        ));
    };
    asked.only(&Method::POST)?;
    bearer::admit(&asked).await?;
    let bytes = body::bytes(&asked.headers, asked.body, endpoint.body_bytes).await?;
    let said = body::object(&bytes)?;
    drop(bytes);
    let limits = &settings.http.media;
    let refused = |refused: request::Refused| Failure::invalid(refused.to_string());
    let mut fetched = request::Fetched::new();
    let addresses = request::addresses(&said, limits).map_err(refused)?;
    if addresses.len() > MOST_ADDRESSES {
        let message =
            format!("at most {MOST_ADDRESSES} pictures and files may be named by an address");
        return Err(Failure::invalid(message));
    }
    for address in addresses {
        if fetched.contains_key(&address.url) {
            continue;
        }
        let found = fetch::attached(&address.url, limits.fetching(address.is_image)).await;
        fetched.insert(address.url, found);
    }
    let request = request::read(&said, limits, &fetched).map_err(refused)?;
    drop((said, fetched));
    let said = Said {
        headers: &asked.headers,
        model: &request.model,
        user: request.user.as_deref(),
        prefix: "openresponses",
    };
    let target = target::find(said, &settings.agents, settings.naming()).map_err(no_target)?;
    let head = Head {
        id: format!("resp_{}", Uuid::new_v4()),
        message_id: format!("msg_{}", Uuid::new_v4()),
        created: WallTime::now().as_millis() / 1000,
        model: request.model.clone(),
    };
    let is_streamed = request.is_streamed;
    let turn = turn::begin(&asked.context, run(head.id.clone(), target, request)).await?;
    if is_streamed {
        let (events, reply) = sse::open();
        produce(turn, events, head);
        return Ok(reply);
    }
    let outcome = turn.end().await?;
    if let Some(failure) = turn::failure(&outcome) {
        let mut reply = json(
            failure.status(),
            &head.failed(failure.message(), outcome.usage),
        );
        do_not_retry(reply.headers_mut());
        return Ok(reply);
    }
    let mut text = outcome.texts.join("\n\n");
    if text.is_empty() && outcome.client_calls.is_empty() {
        NOTHING.clone_into(&mut text);
    }
    Ok(json(StatusCode::OK, &head.whole(&text, &outcome)))
}

fn run(run_id: String, target: Target, request: Request) -> RunRequest {
    let Request {
        prompt,
        tools,
        max_tokens,
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
            max_tokens,
            client_tools: tools.tools.into_iter().map(Into::into).collect(),
            tool_choice: tools.choice,
            ..Work::default()
        },
    }
}

/// Produces the events of an answer, in a task of its own that ends with the client.
fn produce(turn: Turn, events: Events, head: Head) {
    spawn_local(async move {
        let produced = tell(turn, &events, &head);
        tokio::select! {
            // Whatever is left of the run is stopped with it.
            () = events.gone() => {}
            // Either the client has everything, or it has gone.
            _ = produced => {}
        }
    });
}

async fn send(events: &Events, event: &Event<'_>) -> Result<(), Gone> {
    events.event(event.name(), event).await
}

async fn tell(mut turn: Turn, events: &Events, head: &Head) -> Result<(), Gone> {
    for event in head.opening() {
        send(events, &event).await?;
    }
    let mut text = String::new();
    let (outcome, failure) = loop {
        let Ok(next) = timeout(sse::SILENCE, turn.next()).await else {
            events.comment().await?;
            continue;
        };
        match next {
            Ok(Next::Text(delta)) => {
                send(events, &head.delta(&delta)).await?;
                text.push_str(&delta);
            }
            Ok(Next::Over(outcome)) => {
                let failure = turn::failure(&outcome);
                break (Some(outcome), failure);
            }
            Err(failure) => break (None, Some(failure)),
        }
    };
    match (outcome, failure) {
        (Some(outcome), None) => {
            if text.is_empty() {
                // Some answers are there all at once, those of commands for example.
                text = outcome.texts.join("\n\n");
                if text.is_empty() && outcome.client_calls.is_empty() {
                    NOTHING.clone_into(&mut text);
                }
                if !text.is_empty() {
                    send(events, &head.delta(&text)).await?;
                }
            }
            for event in head.closing(&text, &outcome) {
                send(events, &event).await?;
            }
        }
        (outcome, failure) => {
            let usage = outcome.map_or_else(Usage::default, |outcome| outcome.usage);
            let message = failure.as_ref().map_or("internal error", Failure::message);
            send(events, &head.failure(message, usage)).await?;
        }
    }
    events.done().await
}
