//! The tools of other servers (`mcp.servers`), for all agents of this gateway.
//!
//! The servers are kept for as long as the configuration names the same ones, so that none is started for each run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use openclaw_agent::mcp::{McpReach, McpServers, McpSettings};
use openclaw_agent::tool::Tool;
use openclaw_exec::environment::HostEnvironment;
use openclaw_exec::keeper::Keeper;
use openclaw_shared::config::section::{Mcp, McpServer};
use openclaw_shared::instance::Environment;

use crate::context::Context;

/// How long a call may take when the configuration does not say.
const LIMIT: Duration = Duration::from_secs(60);

thread_local! {
    /// The servers by the life of the gateway they belong to, with what the configuration said of them. They stay on the one thread that
    /// runs everything, so that they cannot be where everybody shares.
    static SERVERS: RefCell<BTreeMap<String, (Mcp, McpServers)>> = const { RefCell::new(BTreeMap::new()) };
}

/// The tools of all servers that can be reached.
pub(super) async fn tools(context: &Context) -> Vec<Rc<dyn Tool>> {
    match servers(context) {
        Some(servers) => servers.tools().await,
        None => Vec::new(),
    }
}

/// This life ends, and with it its servers.
pub(super) fn end(context: &Context) {
    SERVERS.with_borrow_mut(|all| all.remove(context.runs.life()));
}

fn servers(context: &Context) -> Option<McpServers> {
    let settings = context.settings();
    let named = &settings.tooling.mcp;
    let life = context.runs.life();
    SERVERS.with_borrow_mut(|all| {
        if named.servers.is_empty() {
            all.remove(life);
            return None;
        }
        if let Some((known, servers)) = all.get(life)
            && known == named
        {
            return Some(servers.clone());
        }
        let identity = &context.instance.identity;
        let workspace = settings.catalog.workspace(settings.default_agent(), true);
        let reached = named.servers.iter().filter_map(|(name, server)| {
            let cwd = match &server.cwd {
                Some(cwd) => identity.expand(cwd, &identity.home),
                None => workspace.clone(),
            };
            Some((name.clone(), reach(server, cwd)?))
        });
        let environment = Environment::from_process();
        let host = HostEnvironment::of(&environment, Some(identity.home.clone()));
        let servers = McpServers::new(reached.collect(), &Keeper::of_this_program(), &host);
        all.insert(life.to_owned(), (named.clone(), servers.clone()));
        Some(servers)
    })
}

/// How a server is reached; none when it is not to be used, or nothing says how.
fn reach(server: &McpServer, cwd: std::path::PathBuf) -> Option<McpSettings> {
    let reach = match (&server.url, &server.command) {
        _ if !server.enabled => return None,
        (Some(url), _) => McpReach::Address {
            url: url.clone(),
            headers: server.headers.clone(),
        },
        (None, Some(command)) => McpReach::Program {
            command: command.clone(),
            args: server.args.clone(),
            env: server.env.clone(),
            cwd,
        },
        (None, None) => return None,
    };
    Some(McpSettings {
        reach,
        limit: server.timeout_seconds.map_or(LIMIT, Duration::from_secs),
    })
}
