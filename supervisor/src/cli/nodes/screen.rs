//! `nodes screen`: records what a node shows.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use openclaw_shared::exit::Exit;
use serde_json::json;

use super::super::args::{RpcFlags, span};
use super::super::context::Context;
use super::super::failure::Failure;
use super::camera::show;
use super::invoke::{NodeFlag, Session};
use super::media::{must_be_new, save};

/// How long a recording takes to reach us, beyond its own length.
const TRANSFER: Duration = Duration::from_secs(110);

/// `nodes screen`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ScreenCommand {
    /// Record a clip, and print where it is
    Record(RecordArgs),
}

/// `nodes screen record`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    node: NodeFlag,
    /// Which screen; 0 is the first
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    screen: u32,
    /// How long
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "10s")]
    duration: Duration,
    /// How many pictures a second
    #[arg(long, value_name = "FPS", default_value_t = 10)]
    fps: u32,
    /// Record no sound
    #[arg(long)]
    no_audio: bool,
    /// Write it to this file [default: a temporary one]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn perform(
    context: &Context,
    flags: &RpcFlags,
    command: ScreenCommand,
) -> Result<Exit, Failure> {
    let ScreenCommand::Record(arguments) = command;
    let place = arguments.out.as_deref();
    must_be_new(place)?;
    let command = "nodes screen record";
    let mut session = Session::open(context, flags, command, &arguments.node).await?;
    let params = json!({
        "durationMs": u64::try_from(arguments.duration.as_millis()).unwrap_or(u64::MAX),
        "screenIndex": arguments.screen,
        "fps": arguments.fps,
        "format": "mp4",
        "includeAudio": !arguments.no_audio,
    });
    let limit = arguments.duration + TRANSFER;
    let payload = session.invoke("screen.record", params, limit).await?;
    let saved = save(context, &payload, "screen.record", "screen-record", place)?;
    show(context, "file", &[saved]);
    Ok(Exit::Ok)
}
