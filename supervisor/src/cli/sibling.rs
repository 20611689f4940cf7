//! The programs beside this one that a command becomes. Everything that they need goes through a pipe, secrets included, so that
//! nothing of it shows in arguments or the environment.

use std::io::{self, PipeReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use openclaw_shared::instance::{Environment, without_secrets};
use serde::Serialize;

use super::failure::{Failure, Kind};

/// The program of this name in the folder of this one, with the environment that was given to this process: what fills blanks in
/// it for the gateway is not for others.
///
/// # Errors
/// When this program does not know where it lies.
pub(crate) fn sibling(name: &str) -> Result<Command, Failure> {
    let own = std::env::current_exe().map_err(|error| {
        Failure::new(
            Kind::Failed,
            format!("This program cannot be found: {error}"),
        )
    })?;
    let environment = Environment::from_process();
    let mut program = Command::new(own.with_file_name(name));
    program.env_clear().envs(without_secrets(environment.all()));
    Ok(program)
}

/// The reading end of a pipe that holds the whole document.
///
/// # Errors
/// When it does not fit.
pub(crate) fn hand_over(document: &impl Serialize, largest: usize) -> Result<PipeReader, Failure> {
    let written = || -> io::Result<PipeReader> {
        let text = serde_json::to_vec(document)?;
        if text.len() > largest {
            return Err(io::Error::other("it is too long"));
        }
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(&text)?;
        Ok(reader)
    };
    written().map_err(|error| {
        Failure::new(
            Kind::Failed,
            format!("The program cannot be told what to do: {error}"),
        )
    })
}

/// Becomes a program. What comes back is why not.
pub(crate) fn become_it(program: &mut Command) -> Failure {
    let error = program.exec();
    Failure::new(
        Kind::Failed,
        format!(
            "{} cannot be started: {error}",
            program.get_program().display()
        ),
    )
    .hint("Install openclaw as a whole: its programs lie in one folder.")
}
