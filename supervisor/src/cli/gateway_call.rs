//! `openclaw gateway call`: calls one method of the gateway, whatever it is.

use clap::Args;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method;
use serde_json::Value;

use super::args::RpcFlags;
use super::context::Context;
use super::failure::{Failure, Kind};
use super::rpc::Rpc;

const PREFIX: &str = "Gateway call failed: Error: ";

/// `gateway call <method>`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallArgs {
    /// The method, for example status
    #[arg(value_parser = AnyMethod, hide_possible_values = true)]
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
    let mut rpc = Rpc::open(context, &arguments.rpc, PREFIX).await?;
    let answer = rpc
        .call_by_name(&arguments.method, &params, arguments.expect_final)
        .await?;
    if !context.out.is_json() {
        context
            .out
            .line(format!("Gateway call: {}", arguments.method));
    }
    context.out.document(&answer);
    Ok(Exit::Ok)
}

/// Any name, because the gateway may be of another version; shells complete those of this one.
#[derive(Debug, Clone, Copy)]
struct AnyMethod;

impl TypedValueParser for AnyMethod {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(
            method::all().map(|method| PossibleValue::new(method.name)),
        ))
    }
}
