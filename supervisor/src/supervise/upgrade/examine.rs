//! The question to a new binary whether it can take over, asked before anything has changed; and its answer.
//!
//! The new binary is run as a child, with the command line of the running one and a hidden option, and reads the state from its standard
//! input. What does not know the option ends with an error, and is refused.

use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use openclaw_shared::config::load_from_source;
use openclaw_shared::control::ChildName;
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::VERSION;
use openclaw_shared::secret::Secret;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::timeout;

use super::document::Document;
use super::handed::anonymous_file;
use crate::settings::{Flags, Refusal, Settings, resolve};
use crate::supervise::spawn::{self, OWN_VARIABLES};
use crate::supervise::start::{RunOptions, read_token};

/// The hidden option.
pub(crate) const OPTION: &str = "--examine-handed-over";
/// How long a binary may take to say what it can do; it only reads.
const LIMIT: Duration = Duration::from_secs(60);
/// How much of what it complains about is told.
const LONGEST_REASON: usize = 600;

/// What a new binary answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// Its version.
    pub(crate) version: String,
}

/// Asks the binary at this path, and gives back its version.
///
/// # Errors
/// Why it cannot take over.
pub(super) async fn ask(program: &Path, document: &[u8]) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("it cannot be asked: {error}");
    let mut state = anonymous_file().map_err(failed)?;
    state.write_all(document).map_err(failed)?;
    state.rewind().map_err(failed)?;
    let mut command = Command::new(program);
    for variable in OWN_VARIABLES {
        command.env_remove(variable);
    }
    let asked = command
        .args(std::env::args_os().skip(1))
        .arg(OPTION)
        .stdin(state)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .output();
    let answered = timeout(LIMIT, asked)
        .await
        .map_err(|_| format!("it did not answer within {} s", LIMIT.as_secs()))?
        .map_err(|error| format!("it cannot be executed: {error}"))?;
    if !answered.status.success() {
        let said = String::from_utf8_lossy(&answered.stderr);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let said: String = said
            .trim_end_matches('.')
            .chars()
            .take(LONGEST_REASON)
            .collect();
        let ended = answered.status;
        return Err(match said.is_empty() {
            true => format!("it ended with {ended} when it was asked whether it can take over"),
            false => said,
        });
    }
    let answer: Answer = serde_json::from_slice(&answered.stdout)
        .map_err(|_| "it did not say whether it can take over".to_owned())?;
    Ok(answer.version)
}

/// The answer of this binary: whether it could go on with this state and with its configuration.
///
/// # Errors
/// Why not.
pub(crate) fn answer(options: &RunOptions, document: &[u8]) -> Result<Answer, Refusal> {
    let refused = |why: String| Refusal::new(Exit::Failure, why);
    let document = Document::read(document).map_err(|error| refused(error.to_string()))?;
    settings(options, &document)?;
    let program = std::env::current_exe().map_err(|error| refused(error.to_string()))?;
    let folder = program.parent().unwrap_or(&program);
    for child in ChildName::ALL {
        let program = spawn::program(folder, child);
        if !program.is_file() {
            return Err(refused(format!("{} is missing", program.display())));
        }
    }
    Ok(Answer {
        version: VERSION.to_owned(),
    })
}

/// What the command line says, with the secrets that it gave to the program before: the files that they came from may be gone.
pub(super) fn flags(options: &RunOptions, document: &Document) -> Flags {
    Flags {
        token: document.token.clone().map(Secret::new),
        password: document.password.clone().map(Secret::new),
        ..options.flags.clone()
    }
}

/// The configuration in force, as this binary understands it.
pub(super) fn settings(options: &RunOptions, document: &Document) -> Result<Settings, Refusal> {
    let identity = &options.identity;
    if document.state_dir != identity.state_dir {
        return Err(Refusal::new(
            Exit::Failure,
            "the handed-over state is that of another instance",
        ));
    }
    let loaded = load_from_source(&document.config.source, options.environment.variables())
        .map_err(|error| {
            Refusal::new(
                Exit::ConfigInvalid,
                format!("the running configuration is not valid for it: {error}"),
            )
        })?;
    let settings = resolve(
        identity,
        loaded,
        &flags(options, document),
        &options.environment,
        read_token(&identity.state_dir),
    )?;
    settings.check_safe()?;
    Ok(settings)
}
