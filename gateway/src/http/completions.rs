//! `POST /v1/chat/completions`: an agent, as programs that speak to a model see it.

use uuid::Uuid;
use warp::reply::Response as Reply;

use super::api::{Asked, Failure};
use super::dialogue::{self, Head, Interface};
use super::pdfs::Pdfs;

mod reply;
mod request;

use reply::Completions;

const INTERFACE: Interface = Interface {
    path: "/v1/chat/completions",
    key: "gateway.http.endpoints.chatCompletions.enabled",
    prefix: "openai",
};

/// Answers.
pub(super) async fn answer(asked: Asked) -> Reply {
    let answered = converse(asked).await;
    answered.unwrap_or_else(|failure| failure.reply())
}

async fn converse(mut asked: Asked) -> Result<Reply, Failure> {
    let settings = asked.context.settings();
    let body = dialogue::read(&mut asked, INTERFACE, settings.http.completions).await?;
    let limits = &settings.http.media;
    let mut pdfs = Pdfs::default();
    let mut request = request::read(&body, limits, &mut pdfs)?;
    if !pdfs.is_empty() {
        let mut pdfs = pdfs.read(&asked.context.pdfs, limits.pdf).await?;
        request = request::read(&body, limits, &mut pdfs)?;
    }
    drop(body);
    let id = format!("chatcmpl_{}", Uuid::new_v4());
    let form = Completions {
        head: Head::new(id, &request.question),
        with_usage: request.with_usage,
    };
    dialogue::answer(&asked, INTERFACE, request.question, form).await
}
