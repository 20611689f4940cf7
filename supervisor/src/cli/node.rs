//! `openclaw node`: make this machine a node of a gateway.
//!
//! `run` becomes the node host, which lies beside this program. Everything it needs goes through a pipe, secrets included, so that
//! nothing of it shows in its arguments or its environment.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use openclaw_shared::exit::Exit;
use openclaw_shared::log::Level;
use openclaw_shared::node_host::{LARGEST, NodeLaunch, PROGRAM};
use openclaw_shared::secret::Secret;

use super::args::{RpcFlags, port, secret};
use super::context::Context;
use super::failure::{Failure, Kind};
use super::sibling::{become_it, hand_over, sibling};
use super::target::find_target;

/// Where a gateway listens when nothing else is said.
const DEFAULT_PORT: u16 = 18789;

/// Make this machine a node, which runs commands for a gateway
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    command: NodeCommand,
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Run the node host in the foreground
    Run(RunArgs),
    /// Install the node host as a service
    Install(ServiceArgs),
    /// Remove the node host's service
    Uninstall(ServiceArgs),
    /// Start the node host's service
    Start(ServiceArgs),
    /// Stop the node host's service
    Stop(ServiceArgs),
    /// Restart the node host's service
    Restart(ServiceArgs),
    /// Show how the node host's service is doing
    Status(ServiceArgs),
}

/// What is said to the service is not understood yet, and not refused for that reason.
#[derive(Debug, Args)]
struct ServiceArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

/// How to run the node host; what is not said comes from the environment, the configuration, or the last time.
#[derive(Debug, Args)]
#[command(
    after_help = "What may run here is decided by exec-approvals.json in the state folder. By default nothing runs that is not\nlisted there or approved."
)]
struct RunArgs {
    /// Connect to the gateway on this machine [default: this instance's gateway]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Connect to the gateway on this port [default: this instance's, with --host 18789]
    #[arg(long, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    port: Option<u16>,
    /// Connect with TLS
    #[arg(long)]
    tls: bool,
    /// Trust the certificate with this SHA-256 fingerprint
    #[arg(long, value_name = "SHA256")]
    tls_fingerprint: Option<String>,
    /// Be present under this id, instead of that of the last time
    #[arg(long, value_name = "ID")]
    node_id: Option<String>,
    /// Call this node so, instead of the name of the last time or of the machine
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Present this token; prefer --token-file or OPENCLAW_GATEWAY_TOKEN, which other users cannot see
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    token: Option<Secret<String>>,
    /// Present the token in this file
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Present this password; prefer OPENCLAW_GATEWAY_PASSWORD, which other users cannot see
    #[arg(long, value_name = "PASSWORD", value_parser = secret)]
    password: Option<Secret<String>>,
}

/// Does it. `run` comes back only when the node host could not be started.
///
/// # Errors
/// When nothing can be started.
pub(crate) async fn perform(context: &Context, arguments: NodeArgs) -> Result<Exit, Failure> {
    match arguments.command {
        NodeCommand::Run(run) => become_node(context, run).await,
        NodeCommand::Install(_)
        | NodeCommand::Uninstall(_)
        | NodeCommand::Start(_)
        | NodeCommand::Stop(_)
        | NodeCommand::Restart(_)
        | NodeCommand::Status(_) => Err(Failure::new(
            Kind::Unsupported,
            "The node host cannot be a service in this version; that comes with the installation of services.",
        )
        .hint(format!("Run it in the foreground: {}", context.command("node run")))),
    }
}

async fn become_node(context: &Context, arguments: RunArgs) -> Result<Exit, Failure> {
    if arguments.tls || arguments.tls_fingerprint.is_some() {
        return Err(no_tls());
    }
    let flags = RpcFlags {
        url: arguments.host.as_deref().map(|host| {
            let port = arguments.port.unwrap_or(DEFAULT_PORT);
            format!("ws://{}:{port}", bracketed(host.trim()))
        }),
        port: arguments.port,
        token: arguments.token,
        token_file: arguments.token_file,
        password: arguments.password,
        ..RpcFlags::default()
    };
    let target = find_target(context, &flags, false).await?;
    if target.gateway.url.starts_with("wss:") {
        return Err(no_tls());
    }
    let mut log = context.log_settings();
    // What a person needs to know, the node host says on standard output.
    log.console_level = Level::Silent;
    let launch = NodeLaunch {
        url: target.gateway.url,
        token: target.gateway.token,
        password: target.gateway.password,
        secret_is_given: target.gateway.secret_is_given,
        state_dir: context.identity.state_dir.clone(),
        home: Some(context.identity.home.clone()),
        node_id: arguments.node_id.filter(|id| !id.trim().is_empty()),
        display_name: arguments
            .display_name
            .filter(|name| !name.trim().is_empty()),
        json: context.out.is_json(),
        log,
    };
    Err(replace_this_process(&launch))
}

/// Becomes the node host. What comes back is why not.
fn replace_this_process(launch: &NodeLaunch) -> Failure {
    let document = match hand_over(launch, LARGEST) {
        Ok(document) => document,
        Err(failure) => return failure,
    };
    match sibling(PROGRAM) {
        Ok(mut program) => become_it(program.stdin(document)),
        Err(failure) => failure,
    }
}

/// An IPv6 address in the form that it has in an address with a port.
fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn no_tls() -> Failure {
    Failure::new(
        Kind::Unsupported,
        "TLS to a gateway (wss://) is not available in this build.",
    )
    .hint("Use an SSH tunnel: ssh -N -L 18789:127.0.0.1:18789 <gateway>, then --port 18789.")
}

#[cfg(test)]
mod tests {
    use super::bracketed;

    #[test]
    fn an_ipv6_address_gets_its_brackets() {
        for (host, written) in [
            ("::1", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1", "127.0.0.1"),
            ("box.local", "box.local"),
        ] {
            assert_eq!(bracketed(host), written);
        }
    }
}
