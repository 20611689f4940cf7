//! `openclaw dashboard`: the address of the gateway's web page, with what opens it.
//!
//! The token stands behind `#`, which browsers keep to themselves. It is printed on terminals only, unless it is asked for, and a
//! browser gets it through a private file, because the arguments of a program are seen by every user of the machine.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use openclaw_shared::config::section::GatewayMode;
use openclaw_shared::config::write::replace_private;
use openclaw_shared::exit::Exit;
use openclaw_shared::gateway_address::GatewayAddress;
use openclaw_shared::ipc::private_folder;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use super::args::RpcFlags;
use super::context::Context;
use super::control_client::Asked;
use super::failure::{Failure, Kind};
use super::output::Output;
use super::target::{Target, find_target};

/// How long it may take until one knows that there is no browser.
const OPENING: Duration = Duration::from_secs(5);

/// `dashboard`.
#[derive(Debug, Args)]
pub(crate) struct DashboardArgs {
    /// Only print the address, open no browser
    #[arg(long)]
    no_open: bool,
    /// Print the token too where it is not printed by itself: into a pipe, and with --json
    #[arg(long)]
    show_token: bool,
    #[command(flatten)]
    rpc: RpcFlags,
}

pub(crate) async fn perform(context: &Context, arguments: DashboardArgs) -> Result<Exit, Failure> {
    let target = find_target(context, &arguments.rpc, false).await?;
    let base = base_path(context, &target);
    let plain = page(&target.gateway.url, &base)?;
    let token = target.gateway.token.as_ref();
    let full = token.map(|token| format!("{plain}#token={}", in_fragment(token.expose())));
    let is_shown = arguments.show_token || (Output::is_terminal() && !context.out.is_json());
    let shown = full.as_ref().filter(|_| is_shown).unwrap_or(&plain);
    let wants_browser = !arguments.no_open && !context.out.is_json() && Output::is_terminal();
    let opened = wants_browser
        && open(context, full.as_deref().unwrap_or(&plain))
            .await
            .is_ok();
    let runs = !target.source.is_local() || matches!(context.running().await, Asked::Answered(_));
    let out = &context.out;
    if out.is_json() {
        out.document(&json!({
            "ok": true,
            "url": shown,
            "hasToken": full.is_some(),
            "tokenShown": full.is_some() && is_shown,
            "running": runs,
        }));
        return Ok(Exit::Ok);
    }
    out.line(format!("Dashboard URL: {shown}"));
    if opened {
        out.note("Opened in your browser.");
    } else if wants_browser {
        out.note("No browser was found here; open the address yourself.");
        out.note(format!(
            "From another machine: ssh -N -L {port}:127.0.0.1:{port} <user>@<this machine>, then open it there.",
            port = port_of(&plain)
        ));
    }
    if full.is_some() && !is_shown {
        out.note("The token is not printed here; add --show-token, or paste it into the page.");
    }
    if !runs {
        out.note(format!(
            "The gateway does not run yet: {}",
            context.command("gateway")
        ));
    }
    Ok(Exit::Ok)
}

/// The folder below which the page lies, when the gateway is ours.
fn base_path(context: &Context, target: &Target) -> String {
    let config = context.config();
    match config.gateway.mode {
        Some(GatewayMode::Remote) => String::new(),
        _ if !target.source.is_local() => String::new(),
        Some(GatewayMode::Local) | None => {
            let base = config.gateway.control_ui.base_path.unwrap_or_default();
            base.trim_matches('/').to_owned()
        }
    }
}

/// The address of the page of the gateway at a WebSocket address.
fn page(url: &str, base: &str) -> Result<String, Failure> {
    let wrong = |why| {
        Failure::new(
            Kind::Usage,
            format!("Invalid gateway address {url:?}: {why}"),
        )
    };
    GatewayAddress::parse(url).map_err(wrong)?;
    let (scheme, rest) = match url.strip_prefix("wss://") {
        Some(rest) => ("https", rest),
        None => ("http", url.strip_prefix("ws://").unwrap_or(url)),
    };
    let rest = rest.trim_end_matches('/');
    Ok(match base {
        "" => format!("{scheme}://{rest}/"),
        base => format!("{scheme}://{rest}/{base}/"),
    })
}

fn port_of(page: &str) -> &str {
    let host = page.split("://").nth(1).unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    host.rsplit_once(':').map_or("80", |(_, port)| port)
}

/// A text as it may stand behind `#`.
fn in_fragment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// A text as it may stand in an attribute of a page.
fn in_attribute(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Opens an address in the browser of this session, by way of a page that only this user can read.
async fn open(context: &Context, url: &str) -> std::io::Result<()> {
    let environment = &context.environment;
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else {
        let has_session = environment.first(&["WAYLAND_DISPLAY", "DISPLAY"]).is_some();
        if !has_session {
            return Err(std::io::Error::other("there is no graphical session"));
        }
        "xdg-open"
    };
    let file = hand_over(context, url)?;
    let mut opener = Command::new(opener);
    opener
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut opening = opener.spawn()?;
    match timeout(OPENING, opening.wait()).await {
        Ok(ended) => match ended?.success() {
            true => Ok(()),
            false => Err(std::io::Error::other("it could not be opened")),
        },
        // One that stays is the browser itself.
        Err(_) => Ok(()),
    }
}

fn hand_over(context: &Context, url: &str) -> std::io::Result<PathBuf> {
    let folder: &Path = &context.identity.run_dir(&context.environment);
    private_folder(folder)?;
    let file = folder.join("dashboard.html");
    let mut page = Vec::new();
    writeln!(
        page,
        "<!doctype html><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">\
         <meta http-equiv=\"refresh\" content=\"0;url={}\"><title>OpenClaw</title>",
        in_attribute(url)
    )?;
    replace_private(&file, &page)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lies_where_the_gateway_answers() {
        let check = |url: &str, base: &str| page(url, base).unwrap();
        assert_eq!(check("ws://127.0.0.1:18789", ""), "http://127.0.0.1:18789/");
        assert_eq!(check("wss://gw.example/", "ui"), "https://gw.example/ui/");
        assert_eq!(port_of("http://[::1]:18789/ui/"), "18789");
        assert!(page("http://x", "").is_err());
    }

    #[test]
    fn a_token_stays_one_part_of_the_address() {
        assert_eq!(in_fragment("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(in_fragment("a&b=c\"<é"), "a%26b%3Dc%22%3C%C3%A9");
    }
}
