//! What a supervisor hands over to its successor in the same process: one explicit document, in words that do not change with the
//! code, and the descriptors that it names by their numbers.
//!
//! Another version reads what this one has written as long as it knows the format and speaks a version of the control channel that the
//! children speak, too; what is added to the format has a default. What is not known is refused before anything has changed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::PathBuf;

use openclaw_shared::config::Source;
use openclaw_shared::control::{
    ChildName, CliRequest, ConfigState, Generation, Spoken, ToSupervisor,
};
use openclaw_shared::recovery::Rung;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::image::FileId;
use crate::supervise::child::kept::{Kept, KeptTimer};

/// The format that this version writes.
pub(crate) const FORMAT: u32 = 1;
/// The oldest format that it reads.
const OLDEST_FORMAT: u32 = 1;

/// Everything that outlives the code of a supervisor.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    pub(crate) format: u32,
    /// The version of the contract that the children speak.
    pub(crate) control: u32,
    /// The oldest version of it that they speak as well; absent when they speak that one alone.
    #[serde(default)]
    pub(crate) oldest_control: Option<u32>,
    /// The version of the supervisor that wrote this.
    pub(crate) version: String,
    #[serde(flatten)]
    pub(crate) started_with: StartedWith,
    /// The path of the program, as it was started.
    pub(crate) program: PathBuf,
    /// The state folder, which tells whose document this is.
    pub(crate) state_dir: PathBuf,
    /// How long the instance has been up, in milliseconds.
    pub(crate) uptime_ms: u64,
    /// The secrets that the command line gave: the files that they came from may be gone.
    #[serde(default)]
    pub(crate) token: Option<String>,
    #[serde(default)]
    pub(crate) password: Option<String>,
    /// Whether the instance had a terminal when it was started.
    #[serde(default)]
    pub(crate) has_terminal: bool,
    pub(crate) config: KeptConfig,
    pub(crate) children: BTreeMap<ChildName, Kept>,
    pub(crate) timers: Vec<DueTimer>,
    pub(crate) lives: Vec<KeptLife>,
    pub(crate) listeners: KeptListeners,
    pub(crate) claims: KeptClaims,
    /// Connections that were stopped before they were done.
    #[serde(default)]
    pub(crate) held: Vec<KeptPeer>,
    /// What children have said that nobody has heard yet, in order.
    #[serde(default)]
    pub(crate) said: Vec<Said>,
    /// What is remembered of failures, memory and the watched instance. A successor that cannot read it begins afresh.
    #[serde(default)]
    pub(crate) record: Value,
    pub(crate) upgrade: Cause,
}

/// It may hold secrets, so that only who wrote it is shown.
impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Document")
            .field("format", &self.format)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What a program was started with. Its successor is started with the same, and so is the program itself when it is executed again.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartedWith {
    pub(crate) arguments: Vec<Vec<u8>>,
    pub(crate) variables: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The configuration in force, and how it relates to the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptConfig {
    pub(crate) source: Source,
    pub(crate) in_force: u64,
    pub(crate) last_revision: u64,
    pub(crate) state: ConfigState,
    #[serde(default)]
    pub(crate) error: Option<String>,
    #[serde(default)]
    pub(crate) rung: Rung,
    #[serde(default)]
    pub(crate) put_back: Option<String>,
}

/// A timer of a child that has not run out.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DueTimer {
    pub(crate) child: ChildName,
    pub(crate) timer: KeptTimer,
    pub(crate) in_ms: u64,
}

/// A process.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptLife {
    pub(crate) child: ChildName,
    pub(crate) generation: Generation,
    pub(crate) pid: u32,
    /// The file that it runs from.
    #[serde(default)]
    pub(crate) program: Option<FileId>,
    #[serde(default)]
    pub(crate) is_reaped: bool,
    #[serde(default)]
    pub(crate) is_heard: bool,
    #[serde(default)]
    pub(crate) end: Option<String>,
    #[serde(default)]
    pub(crate) last_words: Option<String>,
    #[serde(default)]
    pub(crate) channel: Option<KeptStream>,
}

/// A connection in the middle of its talk.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptStream {
    pub(crate) descriptor: RawFd,
    /// Read, and no whole message yet.
    #[serde(default)]
    pub(crate) unread: Vec<u8>,
    /// To be written.
    #[serde(default)]
    pub(crate) unsent: Vec<u8>,
}

/// Somebody at a local socket.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptPeer {
    /// At the control socket of this child; at that of the command line when absent.
    #[serde(default)]
    pub(crate) child: Option<ChildName>,
    pub(crate) stream: KeptStream,
    /// What was asked and is not answered. It is asked again.
    #[serde(default)]
    pub(crate) request: Option<CliRequest>,
    /// The process that has said hello, and was not looked at yet.
    #[serde(default)]
    pub(crate) greeted: Option<Greeted>,
}

/// A hello.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Greeted {
    pub(crate) generation: Generation,
    pub(crate) pid: Option<u32>,
}

/// What a child said, or that it says nothing any more.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Said {
    pub(crate) child: ChildName,
    pub(crate) generation: Generation,
    #[serde(default)]
    pub(crate) message: Option<ToSupervisor>,
}

/// Every socket that is listened on.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptListeners {
    pub(crate) public: Vec<(SocketAddr, RawFd)>,
    pub(crate) local: BTreeMap<ChildName, RawFd>,
    pub(crate) control: BTreeMap<ChildName, RawFd>,
    pub(crate) command_line: RawFd,
}

/// The locks.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptClaims {
    pub(crate) state: RawFd,
    pub(crate) others: Vec<RawFd>,
}

/// Why the successor takes over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cause {
    /// The version that ran before.
    pub(crate) from: String,
    /// The version that takes over, as its own examination said.
    pub(crate) to: String,
}

/// Why a document cannot be gone on with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Unreadable {
    #[error("the state of the running supervisor cannot be read: {0}")]
    Malformed(String),
    #[error(
        "the state of the running supervisor has the format {0}, and this version reads {OLDEST_FORMAT} to {FORMAT}"
    )]
    Format(u32),
    #[error(
        "the running processes speak {0} of the control channel, and this one speaks {ours}",
        ours = Spoken::OURS
    )]
    Control(Spoken),
}

impl Document {
    /// Reads a document, its versions first, because whatever follows is read by what they say.
    ///
    /// # Errors
    /// When this version cannot go on with it.
    pub(crate) fn read(text: &[u8]) -> Result<Self, Unreadable> {
        let malformed = |error: serde_json::Error| Unreadable::Malformed(error.to_string());
        let value: Value = serde_json::from_slice(text).map_err(malformed)?;
        let version = |key: &str| {
            let version = value.get(key).and_then(Value::as_u64)?;
            u32::try_from(version).ok()
        };
        let format = version("format").unwrap_or(0);
        if !(OLDEST_FORMAT..=FORMAT).contains(&format) {
            return Err(Unreadable::Format(format));
        }
        let spoken = Spoken::told(version("control").unwrap_or(0), version("oldestControl"));
        if Spoken::OURS.common(spoken).is_none() {
            return Err(Unreadable::Control(spoken));
        }
        serde_json::from_value(value).map_err(malformed)
    }

    /// The numbers of all descriptors that it names.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        let listeners = &self.listeners;
        let public = listeners.public.iter().map(|(_, descriptor)| *descriptor);
        let lives = self.lives.iter().filter_map(|life| life.channel.as_ref());
        let peers = self.held.iter().map(|peer| &peer.stream);
        public
            .chain(listeners.local.values().copied())
            .chain(listeners.control.values().copied())
            .chain([listeners.command_line, self.claims.state])
            .chain(self.claims.others.iter().copied())
            .chain(lives.chain(peers).map(|stream| stream.descriptor))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::control::{CONTROL_VERSION, Spoken};
    use serde_json::json;

    use super::{Document, FORMAT, Unreadable};

    fn check(text: &serde_json::Value, expected: &Unreadable) {
        let read = Document::read(text.to_string().as_bytes());
        assert_eq!(&read.unwrap_err(), expected);
    }

    #[test]
    fn what_another_version_wrote_is_refused_by_its_number() {
        check(
            &json!({"format": FORMAT + 1, "control": CONTROL_VERSION}),
            &Unreadable::Format(FORMAT + 1),
        );
        check(
            &json!({"format": FORMAT, "control": CONTROL_VERSION + 1}),
            &Unreadable::Control(Spoken::told(CONTROL_VERSION + 1, None)),
        );
        let much_later = (CONTROL_VERSION + 2, CONTROL_VERSION + 1);
        check(
            &json!({"format": FORMAT, "control": much_later.0, "oldestControl": much_later.1}),
            &Unreadable::Control(Spoken::told(much_later.0, Some(much_later.1))),
        );
        check(&json!([]), &Unreadable::Format(0));
        let read = Document::read(b"{").unwrap_err();
        assert!(matches!(read, Unreadable::Malformed(_)), "{read}");
        // Children of the next release still speak this version: it is read on.
        let next = json!({"format": FORMAT, "control": CONTROL_VERSION + 1, "oldestControl": CONTROL_VERSION});
        let read = Document::read(next.to_string().as_bytes()).unwrap_err();
        assert!(read.to_string().contains("missing field"), "{read}");
        let lacking = json!({"format": FORMAT, "control": CONTROL_VERSION}).to_string();
        let read = Document::read(lacking.as_bytes()).unwrap_err();
        assert!(read.to_string().contains("missing field"), "{read}");
    }
}
