//! `models scan`: asks the model servers of this machine what they have.

use std::time::Duration;

use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use openclaw_shared::exit::Exit;
use openclaw_shared::log::printable;
use openclaw_shared::model_providers::Provider;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::super::answer::Answer as _;
use super::super::context::Context;
use super::super::table::Table;
use super::providers;

/// No list of models is longer.
const MAX_BYTES: usize = 4 << 20;
/// Nobody has to wait longer for a server of this machine.
const LONGEST: Duration = Duration::from_secs(5);

pub(super) async fn show(context: &Context, only: Option<&str>, limit: Duration) -> Exit {
    let config = context.config();
    let (providers, _) = providers(context, &config);
    let wanted = |provider: &&Provider| {
        provider.is_local() && only.is_none_or(|only| provider.id.eq_ignore_ascii_case(only))
    };
    let mut rows = Vec::new();
    for provider in providers.iter().filter(wanted) {
        let asked = tokio::time::timeout(limit.min(LONGEST), models(provider)).await;
        let found = asked.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        rows.push(json!({
            "provider": provider.id, "baseUrl": provider.base_url, "reachable": found.is_ok(),
            "models": found.as_ref().ok(), "error": found.as_ref().err(),
        }));
    }
    let found = json!({ "providers": rows });
    context.out.answer(&found, || render(&found));
    Exit::Ok
}

fn render(found: &Value) -> Vec<String> {
    let providers = found.items("providers");
    if providers.is_empty() {
        return vec!["No provider of this machine is configured.".to_owned()];
    }
    let mut table = Table::new(["Model", "Address"]);
    let mut troubles = Vec::new();
    for provider in providers {
        let (name, address) = (provider.text("provider"), provider.text("baseUrl"));
        for model in provider.texts("models") {
            table.row([format!("{name}/{model}"), address.clone()]);
        }
        if !provider.is_on("reachable") {
            let error = printable(&provider.text("error"));
            troubles.push(format!("{name} at {address}: {error}."));
        } else if provider.texts("models").is_empty() {
            troubles.push(format!("{name} at {address}: it has no models."));
        }
    }
    let mut lines = table.lines();
    // A heading without anything below it says nothing.
    if lines.len() == 1 {
        lines.clear();
    }
    lines.extend(troubles);
    lines
}

/// The names of the models that a server has.
async fn models(provider: &Provider) -> Result<Vec<String>, String> {
    let base = provider.base_url.trim_end_matches('/');
    let rest = base
        .strip_prefix("http://")
        .ok_or_else(|| "only http:// is asked".to_owned())?;
    let authority = rest.split('/').next().unwrap_or_default();
    let path = &rest[authority.len()..];
    let address = match authority.rsplit_once(':') {
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => authority.to_owned(),
        Some(_) | None => format!("{authority}:80"),
    };
    let socket = TcpStream::connect(&address)
        .await
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .map_err(|error| error.to_string())?;
    let mut request = Request::get(format!("{path}/models")).header(header::HOST, authority);
    if let Some(key) = provider.keys.first() {
        request = request.header(
            header::AUTHORIZATION,
            format!("Bearer {}", key.value.expose()),
        );
    }
    let request = request
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|_| "its key or its address cannot be sent".to_owned())?;
    let answer = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if status.is_success() {
            Ok(body)
        } else {
            Err(format!("HTTP {}", status.as_u16()))
        }
    };
    // The connection moves while the answer is waited for, and ends with it.
    let body = tokio::select! {
        body = answer => body?,
        Err(error) = connection => return Err(error.to_string()),
    };
    let list: Value =
        serde_json::from_slice(&body).map_err(|_| "its answer is no JSON".to_owned())?;
    Ok(list
        .items("data")
        .iter()
        .map(|model| model.text("id"))
        .collect())
}
