//! Other services that look like gateways: of the Node implementation, of earlier names of the product, of other profiles by
//! other hands. Found by reading unit files; nothing is asked of the service manager.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use openclaw_shared::instance::Identity;
use serde::Serialize;

/// A unit file is short; a longer one is not a gateway's.
const UNIT_BYTES: u64 = 64 * 1024;
const SYSTEM_FOLDERS: [&str; 3] = [
    "/etc/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
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
    let mut found = look(&identity.home.join(".config/systemd/user"), "user");
    if deep {
        for folder in SYSTEM_FOLDERS {
            found.extend(look(Path::new(folder), "system"));
        }
    }
    found.sort_by(|one, other| (one.scope, &one.label).cmp(&(other.scope, &other.label)));
    found.dedup_by(|one, other| one.label == other.label && one.scope == other.scope);
    found
}

fn look(folder: &Path, scope: &'static str) -> Vec<ExtraService> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let label = entry.file_name().into_string().ok()?;
            if !label.ends_with(".service") || !entry.path().is_file() {
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
                platform: "linux",
                detail: format!("unit: {}", entry.path().display()),
                label,
                scope,
                marker,
                legacy: marker != "openclaw",
            })
        })
        .collect()
}

/// The name by which a unit gives itself away, unless it is one of ours.
fn marker(label: &str, text: &str) -> Option<&'static str> {
    let ours = label.starts_with("openclaw-gateway")
        || (text.contains("OPENCLAW_SERVICE_MARKER=openclaw")
            && text.contains("OPENCLAW_SERVICE_KIND=gateway"));
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
        assert_eq!(look(Path::new("/nowhere"), "user"), []);
    }
}
