//! `POST /v1/responses`: an agent, as programs that speak in items see it.

use uuid::Uuid;
use warp::reply::Response as Reply;

use super::api::{Asked, Failure};
use super::dialogue::{self, Head, Interface};
use super::fetch;
use super::pdfs::Pdfs;

mod reply;
mod request;

use reply::Responses;

const INTERFACE: Interface = Interface {
    path: "/v1/responses",
    key: "gateway.http.endpoints.responses.enabled",
    prefix: "openresponses",
};

/// Pictures and files that are fetched for one request.
const MOST_ADDRESSES: usize = 8;

/// Answers.
pub(super) async fn answer(asked: Asked) -> Reply {
    let answered = converse(asked).await;
    answered.unwrap_or_else(|failure| failure.reply())
}

async fn converse(mut asked: Asked) -> Result<Reply, Failure> {
    let settings = asked.context.settings();
    let body = dialogue::read(&mut asked, INTERFACE, settings.http.responses).await?;
    let limits = &settings.http.media;
    let mut fetched = request::Fetched::new();
    let addresses = request::addresses(&body, limits)?;
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
    let mut pdfs = Pdfs::default();
    let mut question = request::read(&body, limits, &fetched, &mut pdfs)?;
    if !pdfs.is_empty() {
        let mut pdfs = pdfs.read(&asked.context.pdfs, limits.pdf).await?;
        question = request::read(&body, limits, &fetched, &mut pdfs)?;
    }
    drop((body, fetched));
    let form = Responses {
        head: Head::new(format!("resp_{}", Uuid::new_v4()), &question),
        message_id: format!("msg_{}", Uuid::new_v4()),
    };
    dialogue::answer(&asked, INTERFACE, question, form).await
}
