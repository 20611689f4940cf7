//! The circumstances of a run, without which its numbers mean nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::options::Options;
use crate::subject::{Programs, Subject};

#[derive(Debug, Serialize)]
pub(crate) struct Conditions {
    pub(crate) command: String,
    pub(crate) ours: String,
    pub(crate) peer: String,
    pub(crate) machine: String,
    pub(crate) kernel: String,
    pub(crate) load_before: String,
    pub(crate) client: String,
}

impl Conditions {
    pub(crate) fn read(options: &Options) -> Self {
        let programs = options.programs();
        let peer = if options.subjects().contains(&Subject::Peer) {
            peer(&programs)
        } else {
            "left out".into()
        };
        Self {
            command: std::env::args()
                .skip(1)
                .fold("bench".into(), |line, word| line + " " + &word),
            ours: format!("{} at {}", env!("CARGO_PKG_VERSION"), commit()),
            peer,
            machine: machine(),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            load_before: first_line("/proc/loadavg"),
            client: format!(
                "one thread of the bench process, on the same machine; {} clients under faults, who try again after {} ms",
                options.clients,
                options.load("health").retry_after.as_millis()
            ),
        }
    }
}

fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&cpuinfo, "model name").unwrap_or("unknown processor");
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = field(&meminfo, "MemTotal").unwrap_or("unknown");
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{processors} × {model}, memory {memory}")
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        line.strip_prefix(name)?
            .split_once(':')
            .map(|(_, value)| value.trim())
    })
}

fn first_line(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}

fn commit() -> String {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .output();
    let text = output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| output.stdout);
    text.and_then(|text| String::from_utf8(text).ok())
        .map_or_else(|| "an unknown commit".into(), |text| text.trim().to_owned())
}

fn peer(programs: &Programs) -> String {
    let manifest = programs
        .peer
        .join("openclaw/node_modules/openclaw/package.json");
    let version = fs::read(manifest)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .and_then(|manifest| Some(manifest.get("version")?.as_str()?.to_owned()));
    version.map_or_else(
        || "not installed".into(),
        |version| format!("npm openclaw {version}"),
    )
}
