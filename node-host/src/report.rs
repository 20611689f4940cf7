//! What the person at the terminal, or the program in their place, is told. The only file that prints.

use std::io::{self, Write as _};
use std::time::Duration;

use openclaw_shared::log::printable;
use serde::Serialize;

/// A state worth a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub(crate) enum State {
    /// The search path that commands run on.
    Path {
        path: String,
    },
    Connecting {
        url: String,
    },
    Connected {
        node_id: String,
        display_name: String,
        url: String,
    },
    /// Somebody has to let this node in.
    PairingRequired {
        request_id: Option<String>,
    },
    /// The gateway does not let this node in.
    NotAdmitted {
        message: String,
    },
    Disconnected {
        reason: String,
    },
    /// When the next attempt is made.
    Retrying {
        after_ms: u64,
    },
    /// Something that is not as it should be, and does not keep the node from working.
    Odd {
        message: String,
    },
    Stopped,
}

/// Where states go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    pub(crate) json: bool,
}

impl Report {
    pub(crate) fn say(self, state: &State) {
        let line = if self.json {
            serde_json::to_string(state).unwrap_or_default()
        } else {
            text(state)
        };
        let mut stdout = io::stdout().lock();
        // Whoever does not read any more does not keep the node from working.
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    }
}

/// Says why there is no node host, where nothing else can be said yet.
pub(crate) fn failure(message: &str) {
    // Nobody is left to be told when standard error is gone.
    let _ = writeln!(io::stderr().lock(), "{message}");
}

fn text(state: &State) -> String {
    match state {
        State::Path { path } => format!("node host PATH: {path}"),
        State::Connecting { url } => format!("Connecting to {url}."),
        State::Connected {
            node_id,
            display_name,
            url,
        } => format!(
            "Connected to {url} as {} ({node_id}).",
            printable(display_name)
        ),
        State::PairingRequired {
            request_id: Some(id),
        } => format!(
            "Pairing required. Let this node in, on the gateway: openclaw nodes approve {}",
            printable(id)
        ),
        State::PairingRequired { request_id: None } => {
            "Pairing required. See the requests, on the gateway: openclaw nodes pending".to_owned()
        }
        State::NotAdmitted { message } => format!("Not admitted: {}.", printable(message)),
        State::Disconnected { reason } => format!("Disconnected: {}.", printable(reason)),
        State::Retrying { after_ms } => {
            let seconds = Duration::from_millis(*after_ms).as_secs_f64();
            format!("Trying again in {seconds:.1} s.")
        }
        State::Odd { message } => format!("Warning: {}.", printable(message)),
        State::Stopped => "Stopped.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_the_same_facts_as_a_person() {
        let state = State::PairingRequired {
            request_id: Some("r1".to_owned()),
        };
        assert_eq!(
            text(&state),
            "Pairing required. Let this node in, on the gateway: openclaw nodes approve r1"
        );
        assert_eq!(
            serde_json::to_string(&state).unwrap(),
            r#"{"event":"pairing-required","requestId":"r1"}"#
        );
        let state = State::Retrying { after_ms: 1_250 };
        assert_eq!(text(&state), "Trying again in 1.2 s.");
        assert_eq!(
            serde_json::to_string(&state).unwrap(),
            r#"{"event":"retrying","afterMs":1250}"#
        );
    }
}
