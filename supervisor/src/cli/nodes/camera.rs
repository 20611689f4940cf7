//! `nodes camera`: pictures and clips from a node's cameras.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use openclaw_shared::exit::Exit;
use serde_json::{Value, json};

use super::super::answer::{Answer as _, given};
use super::super::args::{RpcFlags, span};
use super::super::context::Context;
use super::super::failure::{Failure, Kind};
use super::super::table::Table;
use super::invoke::{NodeFlag, Session};
use super::media::{Saved, save};

const LIMIT: Duration = Duration::from_secs(20);
/// How long a clip takes to reach us, beyond its own length.
const TRANSFER: Duration = Duration::from_secs(60);
const LONGEST_CLIP: Duration = Duration::from_secs(60);

/// `nodes camera`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CameraCommand {
    /// Show the cameras of a node
    List(NodeFlag),
    /// Take pictures, and print where they are
    Snap(SnapArgs),
    /// Record a clip, and print where it is
    Clip(ClipArgs),
}

/// `nodes camera snap`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SnapArgs {
    #[command(flatten)]
    node: NodeFlag,
    /// Which camera
    #[arg(long, value_enum, value_name = "FACING", default_value = "both")]
    facing: Facing,
    /// This camera, by its id from nodes camera list; not with both
    #[arg(long, value_name = "ID")]
    device_id: Option<String>,
    /// Scale it down to this width
    #[arg(long, value_name = "PIXELS")]
    max_width: Option<u32>,
    /// How good the picture is, from 0 to 1
    #[arg(long, value_name = "QUALITY", value_parser = quality)]
    quality: Option<f64>,
    /// Wait so many milliseconds before
    #[arg(long, value_name = "MS")]
    delay_ms: Option<u64>,
}

/// `nodes camera clip`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClipArgs {
    #[command(flatten)]
    node: NodeFlag,
    /// Which camera
    #[arg(long, value_enum, value_name = "FACING", default_value = "front")]
    facing: OneFacing,
    /// This camera, by its id from nodes camera list
    #[arg(long, value_name = "ID")]
    device_id: Option<String>,
    /// How long, at most 60s
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "3s")]
    duration: Duration,
    /// Record no sound
    #[arg(long)]
    no_audio: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Facing {
    Front,
    Back,
    Both,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OneFacing {
    Front,
    Back,
}

impl Facing {
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Front => &["front"],
            Self::Back => &["back"],
            Self::Both => &["front", "back"],
        }
    }
}

/// Reads a share of the best quality.
pub(super) fn quality(text: &str) -> Result<f64, String> {
    let quality: Option<f64> = text.trim().parse().ok();
    quality
        .filter(|quality| (0.0..=1.0).contains(quality))
        .ok_or_else(|| "Invalid --quality (use a number from 0 to 1)".to_owned())
}

pub(super) async fn perform(
    context: &Context,
    flags: &RpcFlags,
    command: CameraCommand,
) -> Result<Exit, Failure> {
    match command {
        CameraCommand::List(node) => list(context, flags, &node).await,
        CameraCommand::Snap(arguments) => snap(context, flags, arguments).await,
        CameraCommand::Clip(arguments) => clip(context, flags, arguments).await,
    }
}

async fn list(context: &Context, flags: &RpcFlags, node: &NodeFlag) -> Result<Exit, Failure> {
    let mut session = Session::open(context, flags, "nodes camera list", node).await?;
    let payload = session.invoke("camera.list", json!({}), LIMIT).await?;
    context.out.answer(&payload, || {
        let devices = payload.items("devices");
        if devices.is_empty() {
            return vec!["No cameras.".to_owned()];
        }
        let mut table = Table::new(["Name", "ID", "Position", "Type"]);
        for device in devices {
            table.row(["name", "id", "position", "deviceType"].map(|key| device.text(key)));
        }
        table.lines()
    });
    Ok(Exit::Ok)
}

async fn snap(context: &Context, flags: &RpcFlags, arguments: SnapArgs) -> Result<Exit, Failure> {
    if arguments.device_id.is_some() && arguments.facing == Facing::Both {
        let message = "error: '--device-id' names one camera; add --facing front or --facing back";
        return Err(Failure::new(Kind::Usage, message));
    }
    let command = "nodes camera snap";
    let mut session = Session::open(context, flags, command, &arguments.node).await?;
    let mut saved = Vec::new();
    for facing in arguments.facing.names() {
        let params = given(json!({
            "facing": facing,
            "maxWidth": arguments.max_width,
            "quality": arguments.quality,
            "format": "jpg",
            "delayMs": arguments.delay_ms,
            "deviceId": arguments.device_id,
        }));
        let payload = session.invoke("camera.snap", params, LIMIT).await?;
        let label = format!("camera-snap-{facing}");
        saved.push(save(context, &payload, "camera.snap", &label, None)?);
    }
    show(context, "files", &saved);
    Ok(Exit::Ok)
}

async fn clip(context: &Context, flags: &RpcFlags, arguments: ClipArgs) -> Result<Exit, Failure> {
    if arguments.duration > LONGEST_CLIP {
        let message = "error: a clip is at most 60 seconds long";
        return Err(Failure::new(Kind::Usage, message));
    }
    let command = "nodes camera clip";
    let mut session = Session::open(context, flags, command, &arguments.node).await?;
    let facing = match arguments.facing {
        OneFacing::Front => "front",
        OneFacing::Back => "back",
    };
    let params = given(json!({
        "facing": facing,
        "durationMs": u64::try_from(arguments.duration.as_millis()).unwrap_or(u64::MAX),
        "includeAudio": !arguments.no_audio,
        "format": "mp4",
        "deviceId": arguments.device_id,
    }));
    let limit = arguments.duration + TRANSFER;
    let payload = session.invoke("camera.clip", params, limit).await?;
    let label = format!("camera-clip-{facing}");
    let saved = save(context, &payload, "camera.clip", &label, None)?;
    show(context, "file", &[saved]);
    Ok(Exit::Ok)
}

/// Names what was written.
pub(super) fn show(context: &Context, key: &str, saved: &[Saved]) {
    let files: Vec<Value> = saved.iter().map(Saved::to_json).collect();
    let document = match (key, &files[..]) {
        ("file", [only]) => json!({ "file": only }),
        _ => json!({ "files": files }),
    };
    context
        .out
        .answer(&document, || saved.iter().map(Saved::line).collect());
}
