//! What supervisor and children say to each other, and what the command line asks the supervisor.
//!
//! Every message is one length-framed JSON document (see [`crate::ipc`]). The versions are compared in the hello, before
//! anything else is read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Outcome;
use crate::credentials::Credentials;
use crate::instance::Instance;
use crate::log::LogSettings;
use crate::recovery::{Recovery, Rung, WatchedStatus};
use crate::trace::TraceId;
use crate::upgrade::UpgradeStatus;

mod version;

pub use self::version::{CONTROL_VERSION, OLDEST_CONTROL_VERSION, Spoken};

/// A process under supervision.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ChildName {
    /// The control plane.
    Gateway,
    /// The canvas file server.
    CanvasHost,
    /// The browser control service.
    BrowserControl,
}

impl ChildName {
    /// Every child, in start order.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::CanvasHost, Self::BrowserControl];

    /// The name on the wire, in logs and in socket names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::CanvasHost => "canvas-host",
            Self::BrowserControl => "browser-control",
        }
    }
}

impl fmt::Display for ChildName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The n-th life of a child; whatever happens later carries it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Default,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "g{}", self.0)
    }
}

/// The state of a child as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChildState {
    /// Spawned, not ready yet.
    Starting,
    /// Ready, not yet trusted with traffic.
    Standby,
    /// Serving.
    Active,
    /// Told to leave, finishing what it accepted.
    Draining,
    /// Dead; the next start is waiting for its time.
    Backoff,
    /// Died too often; retried slowly.
    Failed,
    /// Switched off by the configuration.
    Disabled,
    /// Not running because the instance stops.
    Stopped,
}

impl fmt::Display for ChildState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
            Self::Disabled => "disabled",
            Self::Stopped => "stopped",
        })
    }
}

/// The supervisor's view of one child; `health.supervisor.children[]` on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChildStatus {
    /// Which child.
    pub name: ChildName,
    /// Its state.
    pub state: ChildState,
    /// Which of its lives this is; 0 before the first.
    pub generation: Generation,
    /// The process id of the life that serves, or is about to.
    pub pid: Option<u32>,
    /// How often it was started again after it died by itself.
    pub restarts: u32,
    /// Resident memory at the last sample, in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU time used by this life up to the last sample, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Why it died, or why its last replacement was discarded.
    pub last_error: Option<String>,
    /// How far recovery of this child had to go.
    #[serde(default)]
    pub rung: Rung,
    /// How much resident memory it may use, in bytes; absent when it has no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
}

/// How the running configuration relates to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigState {
    /// The file is what runs.
    Ok,
    /// The file was broken at start; the last-known-good configuration runs.
    Degraded,
    /// An edit of the file was refused or rolled back; the one before it runs.
    Rejected,
    /// An edit waits for a restart that the reload mode does not allow by itself.
    Pending,
}

/// The state of the configuration; `health.supervisor.config` on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigStatus {
    /// Whether the file is what runs.
    pub state: ConfigState,
    /// The file, shortened with `~`.
    pub path: String,
    /// SHA-256 of the bytes that run, in hexadecimal; absent when there is no file.
    pub hash: Option<String>,
    /// Why the file is not what runs.
    pub error: Option<String>,
    /// What is odd in it, one sentence each.
    pub warnings: Vec<String>,
}

/// The supervisor's view of everything; `health.supervisor` on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetStatus {
    /// The configuration.
    pub config: ConfigStatus,
    /// The children, in start order.
    pub children: Vec<ChildStatus>,
    /// How far recovery had to go, and by which steps.
    #[serde(default)]
    pub recovery: Recovery,
    /// The instance that this one watches, when it watches one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchedStatus>,
    /// The upgrade that is under way, or how the last one ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStatus>,
    /// Resident memory of the supervisor itself at the last sample, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// Everything a child needs to be, sent after its hello was accepted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Launch {
    /// Which child it is.
    pub child: ChildName,
    /// Which life this is.
    pub generation: Generation,
    /// The instance it belongs to.
    pub instance: Instance,
    /// The sections of the effective configuration that this child may see.
    pub config: Value,
    /// The instance's shared secrets, for the children that authenticate callers.
    pub credentials: Option<Credentials>,
    /// Where and how to log.
    pub logging: LogSettings,
    /// Where the other children serve locally.
    pub local_sockets: BTreeMap<ChildName, PathBuf>,
    /// The supervisor's view at this moment.
    pub fleet: FleetStatus,
}

/// A configuration applied without replacing the child.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reloaded {
    /// As in [`Launch::instance`].
    pub instance: Instance,
    /// As in [`Launch::config`].
    pub config: Value,
    /// As in [`Launch::credentials`].
    pub credentials: Option<Credentials>,
    /// As in [`Launch::logging`].
    pub logging: LogSettings,
    /// What it is applied for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
}

/// The text of a configuration file. It may hold secrets in clear, so that only its length is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigText(pub String);

impl fmt::Debug for ConfigText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ConfigText({} bytes)", self.0.len())
    }
}

/// Why a child is told to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// The instance stops.
    Stop,
    /// A successor has taken over.
    Replaced,
    /// The configuration switches this child off.
    Disabled,
}

/// The order to leave.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Why.
    pub reason: StopReason,
    /// How long finishing may take; after it the process is killed.
    #[serde(with = "millis")]
    pub budget: Duration,
    /// When clients may expect to be served again; absent when the instance stops.
    pub restart_expected_ms: Option<u64>,
    /// The instance's shared secrets by now, for the children that authenticate callers: whoever is late is let in by these, and no
    /// longer by those that the change has replaced for which this life leaves. Absent when nobody can say.
    #[serde(default)]
    pub credentials: Option<Credentials>,
}

/// Supervisor → child.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToChild {
    /// The hello is accepted: build everything, then report ready.
    Launch(Box<Launch>),
    /// Start to serve.
    Activate,
    /// Leave.
    Drain(Drain),
    /// Take a new configuration in place.
    Reload(Box<Reloaded>),
    /// The supervisor's view changed.
    Fleet(Box<FleetStatus>),
    /// Answer with [`ToSupervisor::Alive`], from the loop that serves.
    AreYouAlive {
        /// Comes back in the answer.
        beat: u64,
    },
    /// The answer to [`ToSupervisor::WriteConfig`], before this life is told to leave, if the change replaces it.
    Written {
        /// From the question.
        ask: u64,
        /// What became of the change.
        outcome: Outcome,
    },
}

/// Child → supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToSupervisor {
    /// The first message on a channel.
    Hello {
        /// [`CONTROL_VERSION`] of the child.
        version: u32,
        /// Its [`OLDEST_CONTROL_VERSION`]; absent when it speaks that one version alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        oldest: Option<u32>,
        /// Which child it claims to be.
        child: ChildName,
        /// Which life it was spawned as.
        generation: Generation,
    },
    /// Everything is built; it waits for [`ToChild::Activate`].
    Ready,
    /// It serves.
    Activated,
    /// A reload was applied, or why it could not be.
    Reloaded {
        /// What went wrong.
        error: Option<String>,
    },
    /// The serving loop turns.
    Alive {
        /// From the question.
        beat: u64,
    },
    /// A signal reached the child that was meant for the instance.
    RestartSignal,
    /// Everything it had accepted is finished; it is about to exit.
    Drained,
    /// Write the configuration file, as [`CliRequest::WriteConfig`]; answered with [`ToChild::Written`].
    WriteConfig {
        /// Comes back in the answer.
        ask: u64,
        /// SHA-256 of the text the edit was made on; absent when there was no file.
        base_hash: Option<String>,
        /// The whole new text.
        text: ConfigText,
        /// What it is written for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<TraceId>,
    },
    /// It cannot go on, and why.
    Fatal {
        /// One sentence for the operator.
        message: String,
    },
}

/// Command line → supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum CliRequest {
    /// What runs.
    Status,
    /// Replace the children; answered when it is done.
    Restart {
        /// Only this child; all of them when absent.
        child: Option<ChildName>,
        /// What it is done for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<TraceId>,
    },
    /// Stop the instance; answered when the drain begins, and the socket ends when it is over.
    Stop,
    /// Write the configuration file, if it still is the one with this hash; answered when it is live or put back.
    WriteConfig {
        /// SHA-256 of the text the edit was made on; absent when there was no file.
        base_hash: Option<String>,
        /// The whole new text.
        text: ConfigText,
        /// What it is written for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<TraceId>,
    },
    /// Take the binaries on disk into use; answered with [`CliReply::Upgrade`] when that is over.
    Upgrade {
        /// Only find out whether that is possible.
        check: bool,
    },
}

/// Supervisor → command line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum CliReply {
    /// The answer to [`CliRequest::Status`].
    Status(Box<InstanceStatus>),
    /// Done.
    Done {
        /// One sentence about what was done.
        message: String,
    },
    /// The answer to [`CliRequest::WriteConfig`].
    Written {
        /// What became of the change.
        outcome: Outcome,
    },
    /// Refused or failed; nothing has changed.
    Failed {
        /// One sentence that says why.
        message: String,
    },
    /// The answer to [`CliRequest::Upgrade`].
    Upgrade(UpgradeStatus),
}

/// What a running instance says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// The supervisor's process id.
    pub pid: u32,
    /// The version that runs.
    pub version: String,
    /// How long it has been up, in milliseconds.
    pub uptime_ms: u64,
    /// The instance.
    pub instance: Instance,
    /// The addresses it listens on, `name address`.
    pub listening: Vec<String>,
    /// Children and configuration.
    pub fleet: FleetStatus,
    /// What Tailscale publishes of it, or why not; absent when it is not to publish anything, and does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tailscale: Option<TailscaleStatus>,
}

/// What Tailscale publishes, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TailscaleStatus {
    /// `serve` or `funnel`; `off` when only the error matters.
    pub mode: String,
    /// Where it is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
