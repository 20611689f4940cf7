//! `nodes notify`: shows a notification on a node.

use std::time::Duration;

use clap::{Args, ValueEnum};
use openclaw_shared::exit::Exit;
use serde::Serialize;
use serde_json::json;

use super::super::answer::given;
use super::super::args::RpcFlags;
use super::super::context::Context;
use super::super::failure::{Failure, Kind};
use super::invoke::{NodeFlag, Session};

const LIMIT: Duration = Duration::from_secs(15);

/// `nodes notify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct NotifyArgs {
    #[command(flatten)]
    node: NodeFlag,
    /// Its title
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Its text
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// The sound it makes
    #[arg(long, value_name = "NAME")]
    sound: Option<String>,
    /// How urgent it is
    #[arg(long, value_enum, value_name = "PRIORITY")]
    priority: Option<Priority>,
    /// Where it is shown
    #[arg(long, value_enum, value_name = "WHERE", default_value = "system")]
    delivery: Delivery,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
#[value(rename_all = "camelCase")]
enum Priority {
    Passive,
    Active,
    TimeSensitive,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
enum Delivery {
    System,
    Overlay,
    Auto,
}

pub(super) async fn perform(
    context: &Context,
    flags: &RpcFlags,
    arguments: NotifyArgs,
) -> Result<Exit, Failure> {
    if arguments.title.is_none() && arguments.body.is_none() {
        let message = "error: a notification needs '--title' or '--body'";
        return Err(Failure::new(Kind::Usage, message));
    }
    let mut session = Session::open(context, flags, "nodes notify", &arguments.node).await?;
    let params = given(json!({
        "title": arguments.title.unwrap_or_default(),
        "body": arguments.body.unwrap_or_default(),
        "sound": arguments.sound,
        "priority": arguments.priority,
        "delivery": arguments.delivery,
    }));
    let payload = session.invoke("system.notify", params, LIMIT).await?;
    context
        .out
        .answer(&payload, || vec!["notify ok".to_owned()]);
    Ok(Exit::Ok)
}
