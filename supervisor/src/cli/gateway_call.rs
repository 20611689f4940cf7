//! `openclaw gateway call`: calls one method of the gateway, whatever it is.

use clap::Args;
use openclaw_shared::exit::Exit;
use serde_json::Value;

use super::args::RpcFlags;
use super::client::{As, Client, find_target};
use super::context::Context;
use super::failure::{Failure, Kind};

const PREFIX: &str = "Gateway call failed: Error: ";

/// `gateway call <method>`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallArgs {
    /// The method, for example status
    method: String,
    /// Its parameters, as a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,
    /// Wait for the end of a run, not only for its acceptance
    #[arg(long)]
    expect_final: bool,
    #[command(flatten)]
    pub(crate) rpc: RpcFlags,
}

pub(crate) async fn perform(context: &Context, arguments: CallArgs) -> Result<Exit, Failure> {
    let params: Value = serde_json::from_str(&arguments.params).map_err(|error| {
        Failure::new(
            Kind::Usage,
            format!("Gateway call failed: --params is not valid JSON: {error}"),
        )
        .hint("Quote it for the shell: --params '{\"key\": \"value\"}'.")
    })?;
    let target = find_target(context, &arguments.rpc, false).await?;
    let calling = async {
        let mut client = Client::connect(&target, As::Cli, arguments.rpc.limit()).await?;
        client
            .call(&arguments.method, &params, arguments.expect_final)
            .await
    };
    let answer = calling
        .await
        .map_err(|error| error.into_failure(PREFIX, &target, context))?;
    if !context.out.is_json() {
        context
            .out
            .line(format!("Gateway call: {}", arguments.method));
    }
    context.out.document(&answer);
    Ok(Exit::Ok)
}
