//! Browser control: the service through which agents drive Chromium.
//!
//! This release tells which profiles there are and which browser they would use; the DevTools
//! protocol, and with it everything that drives a page, comes in a later one and is answered with 501
//! until then.
//!
//! Its life: read the configuration → build the routes on the inherited sockets → ready → activate →
//! follow the configuration → drain.

use std::process::ExitCode;
use std::sync::Arc;

use hyper_util::service::TowerToHyperService;
use openclaw_shared::child::{self, Assignment, Fatal, Order};
use openclaw_shared::control::ChildName;
use openclaw_shared::serve::host::HostPolicy;
use openclaw_shared::serve::{Guarded, Limits, Server};
use openclaw_shared::trace::Trace;
use tokio::sync::watch;
use tracing::{info, warn};

mod auth;
mod cdp;
mod cdp_ports;
mod executable;
mod http;
mod look;
mod profile;
mod report;
mod routes;
mod service;
#[cfg(test)]
mod tests;

use crate::service::{Ground, Service};

/// Few callers have business here: the gateway, a command line, a script.
const MAX_CONNECTIONS: usize = 64;

fn main() -> ExitCode {
    if look::is_wanted() {
        return look::run();
    }
    child::run(ChildName::BrowserControl, serve)
}

async fn serve(mut assignment: Assignment) -> Result<(), Fatal> {
    let launch = &assignment.launch;
    let ground = Ground::of(&launch.instance);
    let service = Service::new(&ground, &launch.config, launch.credentials.clone())?;
    let (current, follow) = watch::channel(Arc::new(service));
    let unusable = |error| Fatal::new(format!("an inherited listener is unusable: {error}"));
    let server = Server::new(
        assignment.listeners.tcp().map_err(unusable)?,
        assignment.listeners.local().map_err(unusable)?,
        // Loopback names only: there is no configuration by which this port would get another.
        Guarded::new(
            HostPolicy::default(),
            http::foreign,
            TowerToHyperService::new(warp::service(http::routes(follow))),
        ),
        Limits {
            max_connections: MAX_CONNECTIONS,
            ..Limits::default()
        },
    );
    assignment.control.ready().await;

    let drain = loop {
        match assignment.orders.recv().await {
            Some(Order::Activate) => {
                server.activate();
                let profiles = current.borrow().profile_count();
                info!(target: "browser/service", profiles, "browser control serves");
                assignment.control.activated().await;
            }
            Some(Order::Reload(reloaded)) => {
                let outcome = Service::new(&ground, &reloaded.config, reloaded.credentials);
                let error = match outcome {
                    Ok(service) => {
                        current.send_replace(Arc::new(service));
                        None
                    }
                    Err(fatal) => Some(fatal.message),
                };
                let is_applied = error.is_none();
                Trace::from(reloaded.trace).within(
                    || info!(target: "browser/service", is_applied, "browser control took a configuration"),
                );
                assignment.control.reloaded(error).await;
            }
            Some(Order::Fleet(_)) => {}
            Some(Order::Drain(drain)) => break drain,
            // The supervisor is gone; `child::run` ends the process.
            None => return Ok(()),
        }
    };
    let drained = server.drain(drain.budget).await;
    if drained.cut > 0 {
        warn!(target: "browser/service", cut = drained.cut, "the drain budget was over before all was answered");
    }
    assignment.control.drained().await;
    Ok(())
}
