//! Runs a tool of the system with a deadline. A service manager whose bus hangs must not hang the command line.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::port_owner::Watched;

/// The most that is read of what a tool prints.
const OUTPUT_BYTES: u64 = 64 * 1024;

/// What a tool said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs `program`, which must be an absolute path: what `PATH` says is not trusted.
pub(super) fn run(program: &Path, arguments: &[&str], limit: Duration) -> Result<Said, String> {
    let failed = |error: std::io::Error| format!("{} cannot be run: {error}", program.display());
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let in_time = Watched::new(child.id())
        .map_err(failed)?
        .is_none_or(|process| process.wait(limit));
    if !in_time {
        // The wait below ends either way, since a killed process is gone.
        let _ = child.kill();
    }
    let status = child.wait().map_err(failed)?;
    if !in_time {
        return Err(format!(
            "{} did not answer within {} ms",
            program.display(),
            limit.as_millis()
        ));
    }
    let read = |pipe: Option<&mut dyn std::io::Read>| {
        let mut text = Vec::new();
        if let Some(pipe) = pipe {
            pipe.take(OUTPUT_BYTES)
                .read_to_end(&mut text)
                .map_err(failed)?;
        }
        Ok::<_, String>(String::from_utf8_lossy(&text).into_owned())
    };
    let stdout = read(child.stdout.as_mut().map(|pipe| pipe as _))?;
    let stderr = read(child.stderr.as_mut().map(|pipe| pipe as _))?;
    Ok(Said {
        status,
        stdout,
        stderr,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_hangs_is_given_up() {
        let error = run(Path::new("/bin/sleep"), &["60"], Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("did not answer within 50 ms"), "{error}");
    }

    #[test]
    fn what_a_tool_says_is_read() {
        let said = run(
            Path::new("/bin/sh"),
            &["-c", "echo a; echo b >&2; exit 3"],
            Duration::from_secs(5),
        )
        .unwrap();
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("a\n", "b\n"));
        assert_eq!(said.status.code(), Some(3));
    }

    #[test]
    fn a_missing_tool_is_a_sentence() {
        let error = run(Path::new("/nowhere/tool"), &[], Duration::from_secs(1)).unwrap_err();
        assert!(error.starts_with("/nowhere/tool cannot be run"), "{error}");
    }
}
