//! The headless node: what `openclaw node run` becomes.
//!
//! Its life: read the launch document from standard input → log → take the lock of the node → identity → connect and serve, again
//! and again → stop on a signal, killing what still runs. Each command runs under a small process of the same program, its keeper.

mod commands;
mod consent;
mod host;
mod node_file;
mod recent;
mod report;
mod skills;
mod stop;

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::ExitCode;
use std::sync::Arc;

use nix::fcntl::{Flock, FlockArg};
use openclaw_exec::environment::HostEnvironment;
use openclaw_exec::keeper::{self, Keeper};
use openclaw_exec::orphans;
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::identity::{DeviceIdentity, DeviceTokens};
use openclaw_shared::instance::Environment;
use openclaw_shared::ipc::private_folder;
use openclaw_shared::log::{self, Source};
use openclaw_shared::node_host::{LARGEST, NodeLaunch};
use openclaw_shared::paths::StatePaths;

use crate::commands::Services;
use crate::host::Host;
use crate::report::{Report, State};
use crate::stop::Stop;

fn main() -> ExitCode {
    if let Some(code) = keeper::live_if_meant() {
        return code;
    }
    match launch().and_then(live) {
        Ok(()) => Exit::Ok.into(),
        Err((exit, message)) => {
            report::failure(&message);
            exit.into()
        }
    }
}

type Failed = (Exit, String);

fn failed(message: impl Into<String>) -> Failed {
    (Exit::Failure, message.into())
}

fn launch() -> Result<NodeLaunch, Failed> {
    let stdin = io::stdin();
    let stranger = || failed("This is OpenClaw's node host; `openclaw node run` starts it.");
    if stdin.is_terminal() {
        return Err(stranger());
    }
    let mut text = String::new();
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX);
    stdin
        .lock()
        .take(most)
        .read_to_string(&mut text)
        .map_err(|_| stranger())?;
    serde_json::from_str(&text).map_err(|_| stranger())
}

fn live(launch: NodeLaunch) -> Result<(), Failed> {
    let source = Source {
        process: "node-host".to_owned(),
        generation: None,
    };
    let _log = log::start(&launch.log, source);
    let state = StatePaths(&launch.state_dir);
    let _lock = lock(&launch)?;
    orphans::adopt().map_err(|error| failed(format!("Cannot adopt orphans: {error}.")))?;
    let path = state.node_identity();
    let identity = DeviceIdentity::load_or_create(&path, WallTime::now())
        .map_err(|error| failed(format!("Cannot {error}.")))?;
    let tokens = DeviceTokens::beside(&path, identity.device_id());
    let node = node_file::keep(
        &state.node_file(),
        launch.node_id.clone(),
        launch.display_name.clone(),
        &launch.url,
    )
    .map_err(failed)?;
    let environment = HostEnvironment::of(&Environment::from_process(), launch.home.clone());
    let report = Report { json: launch.json };
    report.say(&State::Path {
        path: environment.path_text(),
    });
    let services = Arc::new(Services::new(environment, state, Keeper::of_this_program()));
    let host = Host {
        node,
        identity,
        tokens,
        services,
        report,
        launch,
        was_admitted: Cell::new(false),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("No runtime: {error}.")))?;
    runtime.block_on(async {
        let mut stop = Stop::listen().map_err(|error| failed(format!("No signals: {error}.")))?;
        host.run(&mut stop).await;
        Ok(())
    })?;
    // What waits for a disk that does not answer keeps nobody from leaving.
    runtime.shutdown_background();
    // Keepers end what is theirs when this process goes; what has lost its keeper is left to nobody else.
    orphans::end_strays(None);
    Ok(())
}

/// One node host a state folder: two would have one identity, and the gateway would drop each for the other.
fn lock(launch: &NodeLaunch) -> Result<Flock<File>, Failed> {
    let path = StatePaths(&launch.state_dir).node_lock();
    let unusable = |error: io::Error| failed(format!("Cannot lock {}: {error}.", path.display()));
    private_folder(&launch.state_dir).map_err(unusable)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(unusable)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        if error == nix::errno::Errno::EWOULDBLOCK {
            let folder = launch.state_dir.display();
            (
                Exit::AlreadyRunning,
                format!(
                    "Another node host runs on {folder}. Stop it first, or use another profile."
                ),
            )
        } else {
            unusable(error.into())
        }
    })
}
