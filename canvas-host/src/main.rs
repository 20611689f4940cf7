//! The canvas host: serves the pages that agents write, and reloads them when they change.
//!
//! Its life: read the settings → build the routes on the inherited sockets → ready → activate
//! (first page, watch, accept) → follow the configuration → drain.

use std::process::ExitCode;
use std::sync::Arc;

use hyper_util::service::TowerToHyperService;
use openclaw_shared::child::{self, Assignment, Fatal, Order};
use openclaw_shared::control::{ChildName, Drain};
use openclaw_shared::serve::{Guarded, Limits, Server};
use openclaw_shared::trace::Trace;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

mod answer;
mod beneath;
mod conditional;
mod content_type;
mod files;
mod first_page;
mod http;
mod inject;
mod live_reload;
mod root;
mod settings;
#[cfg(test)]
mod tests;
mod watcher;

use crate::files::Files;
use crate::first_page::Prepared;
use crate::http::Canvas;
use crate::live_reload::LiveReload;
use crate::settings::Settings;
use crate::watcher::Watch;

fn main() -> ExitCode {
    child::run(ChildName::CanvasHost, serve)
}

async fn serve(mut assignment: Assignment) -> Result<(), Fatal> {
    let instance = &assignment.launch.instance;
    let root = instance.canvas_root.clone();
    let config = settings::read(&assignment.launch.config)?;
    let (settings, follow) = watch::channel(Settings::of(&config));
    let live = LiveReload::new();
    let canvas = Canvas {
        files: Arc::new(Files::new(root.clone())),
        live: live.clone(),
        settings: follow.clone(),
    };
    let unusable = |error| Fatal::new(format!("an inherited listener is unusable: {error}"));
    let server = Server::new(
        assignment.listeners.tcp().map_err(unusable)?,
        assignment.listeners.local().map_err(unusable)?,
        Guarded::new(
            settings::hosts(instance, &config),
            answer::foreign,
            TowerToHyperService::new(warp::service(http::routes(canvas))),
        ),
        Limits::default(),
    );
    assignment.control.ready().await;

    let start_watch =
        |live_reload: bool| live_reload.then(|| Watch::start(root.clone(), live.clone()));
    let mut watch = None;
    let drain = loop {
        match assignment.orders.recv().await {
            Some(Order::Activate) => {
                prepare(&root).await;
                watch = start_watch(follow.borrow().live_reload);
                server.activate();
                info!(target: "canvas", root = %root.display(), "canvas host serves");
                assignment.control.activated().await;
            }
            Some(Order::Reload(reloaded)) => {
                let outcome = settings::read(&reloaded.config).map(|config| Settings::of(&config));
                if let Ok(new) = &outcome
                    && settings.send_if_modified(|old| std::mem::replace(old, *new) != *new)
                {
                    watch = start_watch(new.live_reload);
                    // Open pages take on, or lose, the script.
                    live.reload();
                }
                let is_applied = outcome.is_ok();
                Trace::from(reloaded.trace).within(
                    || info!(target: "canvas", is_applied, "canvas host took a configuration"),
                );
                assignment
                    .control
                    .reloaded(outcome.err().map(|fatal| fatal.message))
                    .await;
            }
            Some(Order::Fleet(_)) => {}
            Some(Order::Drain(drain)) => break drain,
            // The supervisor is gone; `child::run` ends the process.
            None => return Ok(()),
        }
    };
    drop(watch);
    leave(server, &live, drain).await;
    assignment.control.drained().await;
    Ok(())
}

/// Closes the doors, says goodbye to the pages and answers what was asked, all within the budget.
async fn leave(server: Server, live: &LiveReload, drain: Drain) {
    let goodbyes = tokio::time::timeout(drain.budget, live.close());
    let (drained, goodbyes) = tokio::join!(server.drain(drain.budget), goodbyes);
    if drained.cut > 0 || goodbyes.is_err() {
        warn!(target: "canvas", cut = drained.cut, "the drain budget was over before all was answered");
    }
}

/// Makes the folder what a first visitor expects. That it cannot be written is the owner's choice.
async fn prepare(root: &std::path::Path) {
    let folder = root.to_path_buf();
    match spawn_blocking(move || first_page::prepare(&folder)).await {
        Ok(Ok(Prepared::PageWritten)) => {
            info!(target: "canvas", root = %root.display(), "wrote the first page of the canvas");
        }
        Ok(Ok(Prepared::AsItWas)) => {}
        Ok(Err(error)) => {
            warn!(target: "canvas", root = %root.display(), %error, "cannot write the first page");
        }
        Err(error) => warn!(target: "canvas", %error, "the first page was not written"),
    }
}
