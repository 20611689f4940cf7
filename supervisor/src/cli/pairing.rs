//! Deciding on requests to be paired, which devices and nodes share: the request is found by its id, and the answer says what it
//! was about.

use clap::Args;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::Method;
use serde_json::{Value, json};

use super::answer::Answer as _;
use super::args::RpcFlags;
use super::context::Context;
use super::failure::Failure;
use super::request::{Waiting, choose};
use super::rpc::Rpc;

/// A request, named by its id.
#[derive(Debug, Clone, Args)]
pub(crate) struct RequestName {
    /// The request, or the beginning of its id
    #[arg(value_name = "REQUEST")]
    pub(crate) request: Option<String>,
}

/// What a command decides, and how it speaks of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deciding {
    /// The command as a person types it.
    pub(crate) command: &'static str,
    /// What is said when it is done.
    pub(crate) done: &'static str,
    /// What a request is about.
    pub(crate) about: fn(&Value) -> Waiting,
}

/// Decides by the method `D` on one of the requests that the method `L` lists.
///
/// # Errors
/// When it is not clear which request is meant, or the gateway refuses.
pub(crate) async fn decide<L: Method, D: Method>(
    context: &Context,
    flags: &RpcFlags,
    request: RequestName,
    deciding: Deciding,
) -> Result<Exit, Failure> {
    let Deciding {
        command,
        done,
        about,
    } = deciding;
    let mut rpc = Rpc::for_command(context, flags, command).await?;
    let list = rpc.call::<L>(json!({})).await?;
    let waiting: Vec<Waiting> = list.items("pending").iter().map(about).collect();
    let chosen = choose(&waiting, request.request.as_deref(), |id| {
        context.command(&format!("{command} {id}"))
    })?;
    let answer = rpc.call::<D>(json!({ "requestId": chosen.id })).await?;
    context
        .out
        .answer(&answer, || vec![format!("{done} {}.", chosen.about)]);
    Ok(Exit::Ok)
}
