//! The bytes a configuration was made from, and the rules for reading them.
//!
//! A [`Source`] is all that last-known-good keeps: the texts as they were written, with their `${VAR}`
//! references, and never a resolved secret.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use serde::{Deserialize, Serialize};

use super::tree::position;

/// How much text a configuration may consist of, the main file and its includes together.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The files a configuration was made from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The main file, whether it exists or not.
    pub main: PathBuf,
    /// Every file that was read, the main file first; empty when the main file does not exist.
    pub files: Vec<SourceFile>,
    /// The SHA-256 of the main file's bytes in hex, of no bytes when it does not exist.
    pub hash: String,
}

/// One file and its text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceFile {
    /// The path it was read from.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl Source {
    /// The text of the main file, if it exists.
    pub fn main_text(&self) -> Option<&str> {
        self.files
            .iter()
            .find(|file| file.path == self.main)
            .map(|file| file.text.as_str())
    }

    /// The files a change of which changes the configuration: the main file and every include.
    pub fn watched(&self) -> impl Iterator<Item = &Path> {
        let includes = self
            .files
            .iter()
            .map(|file| file.path.as_path())
            .filter(|path| *path != self.main);
        std::iter::once(self.main.as_path()).chain(includes)
    }
}

/// Texts may hold secrets in clear, so that only paths are shown.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.files.iter().map(|file| &file.path).collect();
        f.debug_struct("Source")
            .field("main", &self.main)
            .field("files", &paths)
            .field("hash", &self.hash)
            .finish()
    }
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Why a file gives no text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the file does not exist")]
    Missing,
    #[error("this is not a regular file")]
    NotAFile,
    #[error("the file is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the file is not UTF-8 text")]
    NotText {
        /// Where it stops being so.
        line: u32,
        column: u32,
    },
    #[error("the file is UTF-16 text and has to be UTF-8")]
    Utf16,
    #[error("the file cannot be read: {0}")]
    Unreadable(io::Error),
}

/// Reads a file of at most [`MAX_BYTES`].
pub(crate) fn read(path: &Path) -> Result<String, ReadError> {
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            ReadError::Missing
        } else {
            ReadError::Unreadable(error)
        }
    };
    // Opening a named pipe would wait for a writer for ever.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(ReadError::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| not_text(&error))
}

fn not_text(error: &FromUtf8Error) -> ReadError {
    let bytes = error.as_bytes();
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return ReadError::Utf16;
    }
    let end = error.utf8_error().valid_up_to();
    let before = String::from_utf8_lossy(&bytes[..end]);
    let (line, column) = position(&before, end);
    ReadError::NotText { line, column }
}

impl ReadError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotText { .. } | Self::Utf16 => Some("save it as UTF-8"),
            Self::NotAFile => Some("put a file in its place"),
            Self::TooLarge => Some("a configuration is some kilobytes; is this another file?"),
            Self::Unreadable(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Some("let the user that runs the gateway read it")
            }
            Self::Unreadable(_) | Self::Missing => None,
        }
    }
}
