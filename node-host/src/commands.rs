//! What this node can be asked for, and how a request becomes an answer.

use std::sync::{Arc, Mutex, Once, PoisonError};

use openclaw_exec::approvals::Approvals;
use openclaw_exec::environment::HostEnvironment;
use openclaw_exec::keeper::Keeper;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::params::nodes::NodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::consent::Spent;
use crate::skills::Skills;

mod approvals;
mod system_run;
mod system_which;

/// The groups of commands.
pub(crate) const CAPS: [&str; 1] = ["system"];
/// The commands.
pub(crate) const COMMANDS: [&str; 4] = [
    "system.run",
    "system.which",
    "system.execApprovals.get",
    "system.execApprovals.set",
];

/// Everything that commands need, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) host: HostEnvironment,
    approvals: Approvals,
    keeper: Keeper,
    spent: Mutex<Spent>,
    pub(crate) skills: Skills,
    /// Said once, because a rule without an effect stays in the file for long.
    fallback_warning: Once,
}

impl Services {
    pub(crate) fn new(host: HostEnvironment, state: StatePaths<'_>, keeper: Keeper) -> Self {
        Self {
            host,
            approvals: Approvals::at(state.exec_approvals()),
            keeper,
            spent: Mutex::default(),
            skills: Skills::default(),
            fallback_warning: Once::new(),
        }
    }
}

/// A request as the gateway made it.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) command: String,
    /// Its parameters as text.
    pub(crate) params: Option<String>,
    /// How long the gateway waits.
    pub(crate) timeout_ms: Option<u64>,
    /// The longest frame that the gateway takes.
    pub(crate) room: usize,
}

/// What a request is answered with.
pub(crate) type Answer = Result<String, Refused>;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    code: &'static str,
    message: String,
}

impl Refused {
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self {
            code: "UNAVAILABLE",
            message: message.into(),
        }
    }

    /// How many bytes it comes to.
    pub(crate) const fn size(&self) -> usize {
        self.message.len()
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: "INVALID_REQUEST",
            message: message.into(),
        }
    }

    pub(crate) fn to_error(&self) -> NodeError {
        NodeError {
            code: Some(self.code.to_owned()),
            message: Some(self.message.clone()),
        }
    }
}

/// Something that the gateway is told besides the answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Happened {
    pub(crate) event: &'static str,
    pub(crate) payload: Value,
}

/// Carries a request out.
pub(crate) async fn perform(
    services: &Arc<Services>,
    invocation: Invocation,
) -> (Answer, Option<Happened>) {
    let params = invocation.params.clone();
    let answer = match invocation.command.as_str() {
        "system.run" => return system_run::perform(services, &invocation).await,
        "system.which" => {
            aside(services, move |services| {
                system_which::perform(services, params.as_deref())
            })
            .await
        }
        "system.execApprovals.get" => {
            aside(services, |services| {
                approvals::get(services.approvals.path())
            })
            .await
        }
        "system.execApprovals.set" => {
            aside(services, move |services| {
                approvals::set(services.approvals.path(), params.as_deref())
            })
            .await
        }
        _ => Err(Refused::unavailable("command not supported")),
    };
    (answer, None)
}

/// Does what waits for the disk, or looks at paths that somebody else named, where nobody waits for it: the gateway's ticks and the
/// outputs of other commands are read meanwhile.
async fn aside<T: Send + 'static>(
    services: &Arc<Services>,
    work: impl FnOnce(&Services) -> T + Send + 'static,
) -> T {
    let services = Arc::clone(services);
    match tokio::task::spawn_blocking(move || work(&services)).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // It is not begun any more only when this process ends.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Reads parameters; none are an empty object.
fn read<T: DeserializeOwned>(params: Option<&str>) -> Result<T, Refused> {
    let text = params.unwrap_or("{}");
    // Serde would take an array for the struct.
    let is_object = text.trim_ascii_start().starts_with('{');
    let read = serde_json::from_str(text).map_err(|error| error.to_string());
    read.and_then(|params| {
        is_object
            .then_some(params)
            .ok_or("not an object".to_owned())
    })
    .map_err(|error| Refused::invalid(format!("INVALID_REQUEST: invalid params: {error}")))
}

fn answer(reply: &impl Serialize) -> Answer {
    serde_json::to_string(reply).map_err(|error| Refused::unavailable(error.to_string()))
}

/// Locks what no panic can leave half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod testing {
    use std::path::{Path, PathBuf};

    /// The program of this package: the tests of its modules run in another one, two folders below it.
    pub(crate) fn program() -> PathBuf {
        let tests = std::env::current_exe().unwrap();
        let folder = tests.parent().and_then(Path::parent).unwrap();
        folder.join(openclaw_shared::node_host::PROGRAM)
    }
}
