//! Keys that older versions used, and where their content belongs.

use serde_json::Value;

use super::issue::Finding;
use super::path::KeyPath;

/// An old key, as steps, and what to do with it.
struct Moved {
    from: &'static [&'static str],
    /// Where it can be moved as it is, as a dotted path.
    to: Option<&'static str>,
    advice: &'static str,
}

const MOVED: &[Moved] = &[
    Moved {
        from: &["telegram"],
        to: Some("channels.telegram"),
        advice: "move it to channels.telegram",
    },
    Moved {
        from: &["whatsapp"],
        to: Some("channels.whatsapp"),
        advice: "move it to channels.whatsapp",
    },
    Moved {
        from: &["discord"],
        to: Some("channels.discord"),
        advice: "move it to channels.discord",
    },
    Moved {
        from: &["slack"],
        to: Some("channels.slack"),
        advice: "move it to channels.slack",
    },
    Moved {
        from: &["signal"],
        to: Some("channels.signal"),
        advice: "move it to channels.signal",
    },
    Moved {
        from: &["imessage"],
        to: Some("channels.imessage"),
        advice: "move it to channels.imessage",
    },
    Moved {
        from: &["msteams"],
        to: Some("channels.msteams"),
        advice: "move it to channels.msteams",
    },
    Moved {
        from: &["agent"],
        to: None,
        advice: "move it to agents.defaults",
    },
    Moved {
        from: &["routing"],
        to: None,
        advice: "move it to agents.list, bindings and messages.groupChat",
    },
    Moved {
        from: &["identity"],
        to: None,
        advice: "move it to agents.list[].identity",
    },
    Moved {
        from: &["gateway", "token"],
        to: Some("gateway.auth.token"),
        advice: "move it to gateway.auth.token",
    },
    Moved {
        from: &["browser", "controlUrl"],
        to: None,
        advice: "use browser.controlPort; the address is always loopback",
    },
];

/// What is said of every old key.
pub(crate) const MESSAGE: &str =
    "this key belongs to an older version; it is kept, but has no effect";

/// Where what stands behind an old key belongs, if it can be moved there as it is.
#[must_use]
pub fn legacy_target(key: &KeyPath) -> Option<KeyPath> {
    MOVED
        .iter()
        .find(|moved| KeyPath::of_keys(moved.from.iter().copied()) == *key)
        .and_then(|moved| moved.to)
        .map(|to| KeyPath::of_keys(to.split('.')))
}

/// Replaces "not known" by "moved" for every old key in a configuration.
pub(crate) fn explain(config: &Value, findings: &mut Vec<Finding>) {
    for moved in MOVED {
        let path = KeyPath::of_keys(moved.from.iter().copied());
        if path.find(config).is_some() {
            findings.retain(|finding| finding.path != path);
            findings.push(Finding::warning(path, MESSAGE).hint(moved.advice));
        }
    }
}
