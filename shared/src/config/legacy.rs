//! Keys that older versions used, and where their content belongs.

use serde_json::Value;

use super::issue::Finding;
use super::path::KeyPath;

/// An old key, as steps, and what to do with it.
struct Moved {
    from: &'static [&'static str],
    advice: &'static str,
}

const MOVED: &[Moved] = &[
    Moved {
        from: &["telegram"],
        advice: "move it to channels.telegram",
    },
    Moved {
        from: &["whatsapp"],
        advice: "move it to channels.whatsapp",
    },
    Moved {
        from: &["discord"],
        advice: "move it to channels.discord",
    },
    Moved {
        from: &["slack"],
        advice: "move it to channels.slack",
    },
    Moved {
        from: &["signal"],
        advice: "move it to channels.signal",
    },
    Moved {
        from: &["imessage"],
        advice: "move it to channels.imessage",
    },
    Moved {
        from: &["msteams"],
        advice: "move it to channels.msteams",
    },
    Moved {
        from: &["agent"],
        advice: "move it to agents.defaults",
    },
    Moved {
        from: &["routing"],
        advice: "move it to agents.list, bindings and messages.groupChat",
    },
    Moved {
        from: &["identity"],
        advice: "move it to agents.list[].identity",
    },
    Moved {
        from: &["gateway", "token"],
        advice: "move it to gateway.auth.token",
    },
    Moved {
        from: &["browser", "controlUrl"],
        advice: "use browser.controlPort; the address is always loopback",
    },
];

/// What is said of every old key.
pub(crate) const MESSAGE: &str =
    "this key belongs to an older version; it is kept, but has no effect";

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
