//! `/v1/models`: the agents, as programs that look for models see them.

use http::{Method, StatusCode};
use serde::Serialize;
use warp::reply::Response as Reply;

use super::api::{Asked, Failure, json};
use super::bearer;
use super::target::MODEL;
use crate::settings::Settings;

/// When models were made, for programs that insist on a time: the beginning of this interface.
const CREATED: u64 = 1_767_225_600;

#[derive(Debug, Serialize)]
struct Models {
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Debug, Serialize)]
struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

/// Answers `/v1/models`, and `/v1/models/<id>` when there is an id.
pub(super) async fn answer(asked: Asked, id: Option<String>) -> Reply {
    match find(&asked, id).await {
        Ok(reply) => reply,
        Err(failure) => failure.reply(),
    }
}

async fn find(asked: &Asked, id: Option<String>) -> Result<Reply, Failure> {
    let settings = asked.context.settings();
    if settings.http.completions.is_none() && settings.http.responses.is_none() {
        return Err(Failure::switched_off(
            "/v1/models",
            "gateway.http.endpoints.chatCompletions.enabled or gateway.http.endpoints.responses.enabled",
        ));
    }
    asked.only(&Method::GET)?;
    bearer::admit(asked).await?;
    let mut models = list(&settings);
    let Some(id) = id else {
        let models = Models {
            object: "list",
            data: models,
        };
        return Ok(json(StatusCode::OK, &models));
    };
    let id = percent_encoding::percent_decode_str(&id).decode_utf8_lossy();
    let found = models.iter().position(|model| model.id == id);
    match found {
        Some(at) => Ok(json(StatusCode::OK, &models.swap_remove(at))),
        None => {
            let message = format!("The model `{}` does not exist", super::fields::shown(&id));
            Err(Failure::invalid(message)
                .with_status(StatusCode::NOT_FOUND)
                .with_code("model_not_found"))
        }
    }
}

fn list(settings: &Settings) -> Vec<Model> {
    let agents = settings.agents.iter();
    let names = agents.map(|agent| format!("{MODEL}:{}", agent.id));
    let model = |id| Model {
        id,
        object: "model",
        created: CREATED,
        owned_by: "openclaw",
    };
    std::iter::once(MODEL.to_owned())
        .chain(names)
        .map(model)
        .collect()
}
