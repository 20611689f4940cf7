//! The text of a PDF that a stranger has sent: `openclaw-gateway --read-pdf`, which the gateway starts for each of them.
//!
//! A PDF is a program of its author's: it can ask for more memory, time and stack than there is, and what reads it was not written for that. So it is
//! read in a process of its own, without variables, with limits that the process sets itself before it reads the first byte; whatever
//! becomes of it, the gateway only hears that there is no text.
//!
//! The order is a line of JSON and the PDF behind it, by standard input; the report leaves by standard output.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::ExitCode;

use nix::sys::resource::{Resource, setrlimit};
use openclaw_shared::exit::Exit;
use serde::{Deserialize, Serialize};

mod reader;
mod text;

pub(crate) use reader::Reader;

/// The argument that makes this program do that.
const ARGUMENT: &str = "--read-pdf";
/// The longest first line of an order, in bytes.
const LONGEST_LINE: u64 = 1024;
/// The largest PDF that is read, in bytes, whatever the configuration says.
const LARGEST: u64 = 64 * 1024 * 1024;
/// The address space of the process, in bytes. The program itself is a tenth of it.
const MEMORY: u64 = 512 * 1024 * 1024;
/// The processor time, in seconds.
const SECONDS: u64 = 10;
/// Descriptors: the three that everybody has, and a few for the runtime.
const DESCRIPTORS: u64 = 16;

/// How much is wanted of a PDF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The first so many pages.
    pub(crate) pages: u64,
    /// The first so many characters.
    pub(crate) chars: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The text of the first pages.
    Text {
        text: String,
        /// How many pages were looked at.
        looked_at: u64,
        /// How many there are.
        pages: u64,
    },
    /// It opens with a password only.
    Encrypted,
    /// It is none, or a broken one.
    Unreadable,
}

/// Whether this process was started for that.
pub(crate) fn is_wanted() -> bool {
    std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == ARGUMENT)
}

/// Reads the order, does it, and writes the report.
pub(crate) fn run() -> ExitCode {
    if limit_self().is_err() {
        return Exit::Failure.into();
    }
    let Some((order, pdf)) = order() else {
        return Exit::Failure.into();
    };
    let report = text::read(&pdf, order);
    let line = serde_json::to_string(&report).expect("a report is JSON");
    match writeln!(io::stdout().lock(), "{line}") {
        Ok(()) => Exit::Ok.into(),
        Err(_) => Exit::Failure.into(),
    }
}

/// Limits this process to what a decent PDF needs.
fn limit_self() -> nix::Result<()> {
    for (resource, most) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_CPU, SECONDS),
        (Resource::RLIMIT_NOFILE, DESCRIPTORS),
    ] {
        setrlimit(resource, most, most)?;
    }
    // Elsewhere the system does not know this limit.
    #[cfg(target_os = "linux")]
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY)?;
    Ok(())
}

fn order() -> Option<(Order, Vec<u8>)> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut line = String::new();
    input
        .by_ref()
        .take(LONGEST_LINE)
        .read_line(&mut line)
        .ok()?;
    let order = serde_json::from_str(&line).ok()?;
    let mut pdf = Vec::new();
    input.take(LARGEST).read_to_end(&mut pdf).ok()?;
    Some((order, pdf))
}
