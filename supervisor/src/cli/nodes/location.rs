//! `nodes location`: where a node is.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use openclaw_shared::exit::Exit;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::answer::given;
use super::super::args::{RpcFlags, millis};
use super::super::context::Context;
use super::super::failure::Failure;
use super::super::table::fields;
use super::invoke::{NodeFlag, Session};

const LIMIT: Duration = Duration::from_secs(20);

/// `nodes location`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LocationCommand {
    /// Ask a node for its place, and print it
    Get(GetArgs),
}

/// `nodes location get`.
#[derive(Debug, Clone, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    node: NodeFlag,
    /// Be content with a place that is not older than so many milliseconds
    #[arg(long, value_name = "MS")]
    max_age: Option<u64>,
    /// How exact it must be
    #[arg(long, value_enum, value_name = "ACCURACY")]
    accuracy: Option<Accuracy>,
    /// Give the node so many milliseconds to find out [default: 10000]
    #[arg(long, value_name = "MS", value_parser = millis, allow_negative_numbers = true)]
    location_timeout: Option<Duration>,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Accuracy {
    Coarse,
    Balanced,
    Precise,
}

pub(super) async fn perform(
    context: &Context,
    flags: &RpcFlags,
    command: LocationCommand,
) -> Result<Exit, Failure> {
    let LocationCommand::Get(arguments) = command;
    let mut session = Session::open(context, flags, "nodes location get", &arguments.node).await?;
    let patience = arguments
        .location_timeout
        .unwrap_or(Duration::from_secs(10));
    let params = given(json!({
        "maxAgeMs": arguments.max_age,
        "desiredAccuracy": arguments.accuracy,
        "timeoutMs": u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
    }));
    let payload = session
        .invoke("location.get", params, LIMIT.max(patience))
        .await?;
    context.out.answer(&payload, || render(&payload));
    Ok(Exit::Ok)
}

fn render(place: &Value) -> Vec<String> {
    let number = |key: &str| place[key].as_f64().map(|number| number.to_string());
    fields([
        ("Latitude", number("lat")),
        ("Longitude", number("lon")),
        (
            "Accuracy",
            number("accuracyMeters").map(|meters| format!("{meters} m")),
        ),
        (
            "Altitude",
            number("altitudeMeters").map(|meters| format!("{meters} m")),
        ),
    ])
}
