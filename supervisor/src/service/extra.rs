//! Other services that look like gateways: of the Node implementation, of earlier names of the product, of other profiles by
//! other hands. Found by reading unit files; nothing is asked of the service manager.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use openclaw_shared::instance::Identity;
use serde::Serialize;

/// A unit file is short; a longer one is not a gateway's.
const UNIT_BYTES: u64 = 64 * 1024;
/// How a service manager's files look.
struct Kind {
    platform: &'static str,
    ending: &'static str,
    detail: &'static str,
}

const UNIT: Kind = Kind {
    platform: "linux",
    ending: ".service",
    detail: "unit",
};
const AGENT: Kind = Kind {
    platform: "darwin",
    ending: ".plist",
    detail: "plist",
};
const SYSTEM_FOLDERS: [(&str, &Kind); 5] = [
    ("/etc/systemd/system", &UNIT),
    ("/usr/lib/systemd/system", &UNIT),
    ("/lib/systemd/system", &UNIT),
    ("/Library/LaunchAgents", &AGENT),
    ("/Library/LaunchDaemons", &AGENT),
];

/// A service that may be a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExtraService {
    pub(crate) platform: &'static str,
    pub(crate) label: String,
    pub(crate) detail: String,
    pub(crate) scope: &'static str,
    pub(crate) marker: &'static str,
    pub(crate) legacy: bool,
}

/// Looks for them among the user's units, and with `deep` among the system's too.
pub(crate) fn extra(identity: &Identity, deep: bool) -> Vec<ExtraService> {
    let mut found = look(&identity.home.join(".config/systemd/user"), &UNIT, "user");
    found.extend(look(
        &identity.home.join("Library/LaunchAgents"),
        &AGENT,
        "user",
    ));
    if deep {
        for (folder, kind) in SYSTEM_FOLDERS {
            found.extend(look(Path::new(folder), kind, "system"));
        }
    }
    found.sort_by(|one, other| (one.scope, &one.label).cmp(&(other.scope, &other.label)));
    found.dedup_by(|one, other| one.label == other.label && one.scope == other.scope);
    found
}

fn look(folder: &Path, kind: &Kind, scope: &'static str) -> Vec<ExtraService> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let label = entry.file_name().into_string().ok()?;
            if !label.ends_with(kind.ending) || !entry.path().is_file() {
                return None;
            }
            let mut text = String::new();
            File::open(entry.path())
                .ok()?
                .take(UNIT_BYTES)
                .read_to_string(&mut text)
                .ok()?;
            let marker = marker(&label, &text)?;
            Some(ExtraService {
                platform: kind.platform,
                detail: format!("{}: {}", kind.detail, entry.path().display()),
                legacy: marker != "openclaw",
                // launchd knows it by the name without the ending.
                label: match kind.platform {
                    "darwin" => label.trim_end_matches(kind.ending).to_owned(),
                    _ => label,
                },
                scope,
                marker,
            })
        })
        .collect()
}

/// The name by which a unit gives itself away, unless it is one of ours.
fn marker(label: &str, text: &str) -> Option<&'static str> {
    let ours = label.starts_with("openclaw-gateway")
        || label.starts_with("bot.molt.")
        || (text.contains("OPENCLAW_SERVICE_MARKER") && text.contains("OPENCLAW_SERVICE_KIND"));
    if ours {
        return None;
    }
    let text = text.to_lowercase();
    ["openclaw", "clawdbot", "moltbot"]
        .into_iter()
        .find(|name| text.contains(name) || label.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_told_from_our_own() {
        let exec = "ExecStart=/usr/bin/openclaw gateway";
        assert_eq!(marker("openclaw-gateway-rescue.service", exec), None);
        assert_eq!(
            marker(
                "x.service",
                "OPENCLAW_SERVICE_MARKER=openclaw\nOPENCLAW_SERVICE_KIND=gateway"
            ),
            None
        );
        assert_eq!(marker("my-claw.service", exec), Some("openclaw"));
        assert_eq!(
            marker("old.service", "ExecStart=Clawdbot"),
            Some("clawdbot")
        );
        assert_eq!(marker("cron.service", "ExecStart=/usr/sbin/cron"), None);
    }

    #[test]
    fn a_folder_that_does_not_exist_holds_none() {
        assert_eq!(look(Path::new("/nowhere"), &UNIT, "user"), []);
    }

    #[test]
    fn agents_are_found_by_their_labels() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("com.clawdbot.gateway.plist", "<string>clawdbot</string>");
        write("bot.molt.gateway.plist", "<string>openclaw</string>");
        write("com.other.plist", "<string>other</string>");
        let found = look(folder.path(), &AGENT, "user");
        let labels: Vec<_> = found.iter().map(|service| service.label.as_str()).collect();
        assert_eq!(labels, ["com.clawdbot.gateway"]);
        assert_eq!((found[0].platform, found[0].legacy), ("darwin", true));
    }
}
