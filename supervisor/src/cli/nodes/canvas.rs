//! `nodes canvas`: what a node's canvas shows.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use openclaw_shared::exit::Exit;
use serde_json::{Value, json};

use super::super::answer::{Answer as _, given};
use super::super::args::RpcFlags;
use super::super::context::Context;
use super::super::failure::{Failure, Kind};
use super::camera::{quality, show};
use super::invoke::{NodeFlag, Session};
use super::media::save;

mod jsonl;

const LIMIT: Duration = Duration::from_secs(20);

/// `nodes canvas`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CanvasCommand {
    /// Show the canvas
    Present(PresentArgs),
    /// Hide the canvas
    Hide(NodeFlag),
    /// Show another page on the canvas
    Navigate(NavigateArgs),
    /// Evaluate JavaScript in the page, and print the result
    Eval(EvalArgs),
    /// Take a picture of the canvas, and print where it is
    Snapshot(SnapshotArgs),
    /// Show an interface made of A2UI messages
    #[command(subcommand, name = "a2ui")]
    A2ui(A2uiCommand),
}

/// `nodes canvas present`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PresentArgs {
    #[command(flatten)]
    node: NodeFlag,
    /// The page: a URL, or a path on the canvas host
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// The left edge, in pixels
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    x: Option<f64>,
    /// The top edge, in pixels
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    y: Option<f64>,
    /// The width, in pixels
    #[arg(long, value_name = "PIXELS")]
    width: Option<f64>,
    /// The height, in pixels
    #[arg(long, value_name = "PIXELS")]
    height: Option<f64>,
}

/// `nodes canvas navigate`.
#[derive(Debug, Clone, Args)]
pub(crate) struct NavigateArgs {
    #[command(flatten)]
    node: NodeFlag,
    /// The page: a URL, or a path on the canvas host
    #[arg(value_name = "URL")]
    url: String,
}

/// `nodes canvas eval`.
#[derive(Debug, Clone, Args)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    node: NodeFlag,
    /// The code
    #[arg(value_name = "CODE", required_unless_present = "js")]
    code: Option<String>,
    /// The same as CODE
    #[arg(long, value_name = "CODE", conflicts_with = "code")]
    js: Option<String>,
}

/// `nodes canvas snapshot`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    node: NodeFlag,
    /// The kind of picture
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "jpg")]
    format: Format,
    /// Scale it down to this width
    #[arg(long, value_name = "PIXELS")]
    max_width: Option<u32>,
    /// How good the picture is, from 0 to 1
    #[arg(long, value_name = "QUALITY", value_parser = quality)]
    quality: Option<f64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Png,
    #[value(alias = "jpeg")]
    Jpg,
}

/// `nodes canvas a2ui`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum A2uiCommand {
    /// Send A2UI messages to a node's canvas
    Push(PushArgs),
    /// Remove every surface from a node's canvas
    Reset(NodeFlag),
}

/// `nodes canvas a2ui push`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PushArgs {
    #[command(flatten)]
    node: NodeFlag,
    /// Send the messages in this file, one JSON object a line
    #[arg(long, value_name = "FILE", required_unless_present = "text")]
    jsonl: Option<PathBuf>,
    /// Show this text
    #[arg(long, value_name = "TEXT", conflicts_with = "jsonl")]
    text: Option<String>,
}

pub(super) async fn perform(
    context: &Context,
    flags: &RpcFlags,
    command: CanvasCommand,
) -> Result<Exit, Failure> {
    match command {
        CanvasCommand::Present(arguments) => {
            let params = given(json!({
                "url": arguments.target,
                "placement": placement(&arguments),
            }));
            plain(context, flags, "present", &arguments.node, params).await
        }
        CanvasCommand::Hide(node) => plain(context, flags, "hide", &node, None).await,
        CanvasCommand::Navigate(arguments) => {
            let params = json!({ "url": arguments.url });
            plain(context, flags, "navigate", &arguments.node, params).await
        }
        CanvasCommand::Eval(arguments) => eval(context, flags, arguments).await,
        CanvasCommand::Snapshot(arguments) => snapshot(context, flags, arguments).await,
        CanvasCommand::A2ui(A2uiCommand::Push(arguments)) => push(context, flags, arguments).await,
        CanvasCommand::A2ui(A2uiCommand::Reset(node)) => {
            plain(context, flags, "a2ui reset", &node, None).await
        }
    }
}

fn placement(arguments: &PresentArgs) -> Option<Value> {
    let placement = given(json!({
        "x": arguments.x,
        "y": arguments.y,
        "width": arguments.width,
        "height": arguments.height,
    }));
    (placement != json!({})).then_some(placement)
}

/// A command whose answer says nothing.
async fn plain(
    context: &Context,
    flags: &RpcFlags,
    verb: &str,
    node: &NodeFlag,
    params: impl Into<Option<Value>>,
) -> Result<Exit, Failure> {
    let command = format!("nodes canvas {verb}");
    let mut session = Session::open(context, flags, &command, node).await?;
    let wire = format!("canvas.{}", verb.replace(' ', "."));
    let payload = session.invoke(&wire, params, LIMIT).await?;
    context
        .out
        .answer(&payload, || vec![format!("canvas {verb} ok")]);
    Ok(Exit::Ok)
}

async fn eval(context: &Context, flags: &RpcFlags, arguments: EvalArgs) -> Result<Exit, Failure> {
    let command = "nodes canvas eval";
    let mut session = Session::open(context, flags, command, &arguments.node).await?;
    let code = arguments.code.or(arguments.js).unwrap_or_default();
    let params = json!({ "javaScript": code });
    let payload = session.invoke("canvas.eval", params, LIMIT).await?;
    context.out.answer(&payload, || {
        let result = payload.some_text("result");
        vec![result.unwrap_or_else(|| "canvas eval ok".to_owned())]
    });
    Ok(Exit::Ok)
}

async fn snapshot(
    context: &Context,
    flags: &RpcFlags,
    arguments: SnapshotArgs,
) -> Result<Exit, Failure> {
    let command = "nodes canvas snapshot";
    let mut session = Session::open(context, flags, command, &arguments.node).await?;
    let format = match arguments.format {
        Format::Png => "png",
        Format::Jpg => "jpeg",
    };
    let params = given(json!({
        "format": format,
        "maxWidth": arguments.max_width,
        "quality": arguments.quality,
    }));
    let payload = session.invoke("canvas.snapshot", params, LIMIT).await?;
    let saved = save(
        context,
        &payload,
        "canvas.snapshot",
        "canvas-snapshot",
        None,
    )?;
    show(context, "file", &[saved]);
    Ok(Exit::Ok)
}

async fn push(context: &Context, flags: &RpcFlags, arguments: PushArgs) -> Result<Exit, Failure> {
    let text = match (&arguments.jsonl, &arguments.text) {
        (Some(path), _) => std::fs::read_to_string(path).map_err(|error| {
            let path = path.display();
            Failure::new(
                Kind::Failed,
                format!("The file {path} cannot be read: {error}"),
            )
        })?,
        (None, text) => jsonl::of_text(text.as_deref().unwrap_or_default()),
    };
    let messages = jsonl::check(&text).map_err(|mistakes| {
        let failure = Failure::new(Kind::Usage, "The A2UI messages cannot be sent.");
        mistakes.into_iter().fold(failure, Failure::hint)
    })?;
    let command = "nodes canvas a2ui push";
    let mut session = Session::open(context, flags, command, &arguments.node).await?;
    let params = json!({ "jsonl": text });
    let payload = session
        .invoke("canvas.a2ui.pushJSONL", params, LIMIT)
        .await?;
    context.out.answer(&payload, || {
        vec![format!("canvas a2ui push ok (v0.8, {messages} messages)")]
    });
    Ok(Exit::Ok)
}
