//! `openclaw sessions export`: a conversation as a file of lines, in the shape that other versions write and read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::sessions::SessionsExport;
use serde_json::{Value, json};

use crate::cli::answer::{Answer as _, given};
use crate::cli::args::RpcFlags;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Kind};
use crate::cli::rpc::Rpc;

/// What is exported, and to where.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    /// The session [default: main]
    #[arg(value_name = "SESSION", conflicts_with_all = ["session", "id"])]
    key: Option<String>,
    /// The session, by an option
    #[arg(long, value_name = "SESSION", conflicts_with = "id")]
    session: Option<String>,
    /// The conversation, also one that no session has any more
    #[arg(long, value_name = "SESSION-ID")]
    id: Option<String>,
    /// Write to this file, which must not exist, instead of to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) async fn perform(
    context: &Context,
    rpc: &RpcFlags,
    arguments: &ExportArgs,
) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, rpc, "sessions export").await?;
    let mut copy = match &arguments.out {
        Some(path) => Some(Copy::begin(path).map_err(|error| cannot_write(path, &error))?),
        None => None,
    };
    let key = arguments.key.as_deref().or(arguments.session.as_deref());
    let named = match (key, &arguments.id) {
        (None, Some(_)) => None,
        (key, _) => Some(key.unwrap_or("main")),
    };
    let (mut after, mut entries, mut session_id) = (None, 0_usize, String::new());
    loop {
        // From the second page on it is the conversation that counts, whatever becomes of the session meanwhile.
        let params = if session_id.is_empty() {
            json!({"key": named, "sessionId": arguments.id})
        } else {
            json!({"sessionId": session_id, "after": after})
        };
        let page = rpc.call::<SessionsExport>(given(params)).await?;
        for entry in page.items("entries") {
            entries += 1;
            match &mut copy {
                Some(copy) => copy
                    .line(entry)
                    .map_err(|error| cannot_write(&copy.path, &error))?,
                None => context.out.json_line(entry),
            }
        }
        session_id = page.text("sessionId");
        after = page["next"].as_u64();
        if after.is_none() || context.out.is_gone() {
            break;
        }
    }
    if let Some(copy) = copy {
        let path = copy.path.clone();
        copy.finish().map_err(|error| cannot_write(&path, &error))?;
        let answer = json!({"ok": true, "sessionId": session_id, "lines": entries, "path": path});
        context.out.answer(&answer, || {
            vec![format!(
                "Wrote {entries} lines of {session_id} to {}.",
                path.display()
            )]
        });
    }
    Ok(Exit::Ok)
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Kind::Failed,
        format!("sessions export failed: {}: {error}", path.display()),
    )
}

/// A file that appears under its name when it is complete.
#[derive(Debug)]
struct Copy {
    path: PathBuf,
    part: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Copy {
    fn begin(path: &Path) -> io::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        // What was said is nobody else's business.
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)?;
        Ok(Self {
            path: path.to_owned(),
            part,
            file: Some(BufWriter::new(file)),
        })
    }

    fn line(&mut self, value: &Value) -> io::Result<()> {
        match &mut self.file {
            Some(file) => writeln!(file, "{value}"),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            file.into_inner()
                .map_err(io::IntoInnerError::into_error)?
                .sync_all()?;
        }
        // Unlike a rename, a link does not take the place of what has come there meanwhile.
        fs::hard_link(&self.part, &self.path)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // It is gone, or has its other name.
        let _ = fs::remove_file(&self.part);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::Copy;

    #[test]
    fn a_copy_appears_when_it_is_whole_and_takes_nobodys_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let mut copy = Copy::begin(&path).unwrap();
        copy.line(&json!({"a": 1})).unwrap();
        drop(copy);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut copy = Copy::begin(&path).unwrap();
        copy.line(&json!({"a": 1})).unwrap();
        copy.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(Copy::begin(&path).is_err());
    }
}
