//! Who could get in, and who could read what lets them in.                                                 (pure)

use openclaw_shared::instance::Identity;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::secret::Secret;
use serde_json::Value;

use super::super::finding::{Code, Finding, Narrowing, Repair};
use super::super::snapshot::{Entry, Kind, Snapshot, Unit};

/// A secret that people make up needs at least so many characters; the ones that are made here have 64.
const LEAST_SECRET: usize = 16;

pub(super) fn token(snapshot: &Snapshot) -> Vec<Finding> {
    let Ok(start) = &snapshot.start else {
        return Vec::new();
    };
    match start.secret_length {
        _ if snapshot.is_remote => Vec::new(),
        None => {
            let path = StatePaths(&snapshot.identity.state_dir).token();
            let finding = Finding::new(
                Code::TokenMissing,
                "There is no gateway token; one is made at the first start.",
            )
            .at(snapshot.shown(&path))
            .repair(Repair::MakeToken(path));
            vec![finding]
        }
        Some(length) if length < LEAST_SECRET => {
            let finding = Finding::new(
                Code::TokenWeak,
                format!("The shared secret has {length} characters, which is short enough to be guessed."),
            )
            .at("gateway.auth")
            .advice("Take a longer one, or take it out and let the gateway make one.");
            vec![finding]
        }
        Some(_) => Vec::new(),
    }
}

/// Files that hold secrets and can be read by others. Those that merely could be guarded better are told by the state.
pub(super) fn readable_secrets(snapshot: &Snapshot) -> Vec<Finding> {
    // Nobody gets to what lies in a folder that is closed.
    let folder_is_open = snapshot
        .state
        .as_ref()
        .is_none_or(|state| state.mode & 0o011 != 0);
    let inside = snapshot
        .entries
        .iter()
        .filter(|entry| folder_is_open && holds_secrets(snapshot, entry));
    // What the configuration includes may hold as much as the file itself.
    let readable: Vec<&Entry> = inside
        .chain(&snapshot.elsewhere)
        .filter(|entry| entry.kind == Kind::File && entry.is_readable())
        .collect();
    let finding = |entry: &Entry| {
        let what = format!(
            "Other users of this machine can read this file (mode {:04o}), and it may hold secrets.",
            entry.mode
        );
        let found = Finding::new(Code::SecretReadable, what).at(snapshot.shown(&entry.path));
        match entry.uid == snapshot.uid {
            true => found.repair(Repair::Narrow(vec![narrowed(entry)])),
            false => {
                found.advice("It belongs to another user; take it over, or move what it holds.")
            }
        }
    };
    readable.into_iter().map(finding).collect()
}

fn holds_secrets(snapshot: &Snapshot, entry: &Entry) -> bool {
    let name = entry
        .path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let config = snapshot
        .identity
        .config_path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let named = [
        ".env",
        "gateway-token",
        "last-good.json",
        "auth-profiles.json",
        "device.json",
        "device-auth.json",
        "paired.json",
        "node.json",
        "exec-approvals.json",
        "oauth.json",
    ];
    // Backups of the configuration are called after it.
    named.contains(&&*name)
        || (!config.is_empty() && name.starts_with(&*config))
        || name.contains(".sqlite")
        || entry
            .path
            .components()
            .any(|part| part.as_os_str() == "credentials")
}

/// The rights that only the owner has.
pub(super) fn narrowed(entry: &Entry) -> Narrowing {
    Narrowing {
        path: entry.path.clone(),
        mode: entry.mode & 0o700,
    }
}

pub(super) fn secret_in_unit(snapshot: &Snapshot) -> Vec<Finding> {
    let Some(unit) = &snapshot.unit else {
        return Vec::new();
    };
    let start = snapshot.start.as_ref().ok();
    let secret = start.and_then(|start| start.secret.as_ref());
    secret_in(unit, secret, &snapshot.identity)
}

/// Whether a service file holds the secret, by its name or by itself.
pub(super) fn secret_in(
    unit: &Unit,
    secret: Option<&Secret<String>>,
    identity: &Identity,
) -> Vec<Finding> {
    let names = [
        "OPENCLAW_GATEWAY_TOKEN=",
        "OPENCLAW_GATEWAY_PASSWORD=",
        "--token",
        "--password",
    ];
    let named = unit.text.lines().any(|line| {
        let line = line.trim();
        !line.starts_with(['#', ';'])
            && names.iter().any(|name| line.contains(name))
            && !line.contains("--token-file")
    });
    let in_clear = secret.is_some_and(|secret| {
        !secret.expose().is_empty() && unit.text.contains(secret.expose().as_str())
    });
    if !named && !in_clear {
        return Vec::new();
    }
    let finding = Finding::new(
        Code::SecretInUnit,
        "The service file holds the gateway's secret in clear. It is not needed there: the gateway finds it in its configuration.",
    )
    .at(identity.display(&unit.path));
    let install = unit.install.typed(identity);
    vec![match &unit.recommended {
        Some(_) => finding
            .advice(format!("Write it anew: {install}. Then change the secret."))
            .repair(Repair::Reinstall {
                unit: unit.path.clone(),
                by: unit.install.clone(),
            }),
        None => finding.advice("Take it out, then change the secret."),
    }]
}

pub(super) fn exposed(snapshot: &Snapshot) -> Vec<Finding> {
    match &snapshot.start {
        Ok(start) if start.is_exposed && !snapshot.is_remote => {
            let bind = snapshot.config.config.gateway.bind;
            let finding = Finding::new(
                Code::BindExposed,
                format!("The gateway listens to other machines (gateway.bind is \"{bind}\"), and what is said to it is not encrypted."),
            )
            .at("gateway.bind")
            .advice("Use \"loopback\" with Tailscale, an SSH tunnel or a proxy that encrypts, unless every machine in that network is trusted.");
            vec![finding]
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

pub(super) fn safeguards(snapshot: &Snapshot) -> Vec<Finding> {
    let ui = &snapshot.config.config.gateway.control_ui;
    let off = |key: &str, what: &str| {
        Finding::new(Code::SafetyOff, what.to_owned())
            .at(key)
            .advice(format!(
                "Take {key} out as soon as it is not needed any more."
            ))
    };
    let mut found = Vec::new();
    if ui.dangerously_disable_device_auth {
        found.push(off(
            "gateway.controlUi.dangerouslyDisableDeviceAuth",
            "Whoever knows the shared secret is let in without a device that was approved.",
        ));
    }
    if ui.allow_insecure_auth {
        found.push(off(
            "gateway.controlUi.allowInsecureAuth",
            "The web page may sign in without a device key, over a connection that anybody in between can read.",
        ));
    }
    found
}

pub(super) fn channels(snapshot: &Snapshot) -> Vec<Finding> {
    let Some(channels) = snapshot.config.raw["channels"].as_object() else {
        return Vec::new();
    };
    let open = |(name, channel): (&String, &Value)| {
        let is_open = channel["dmPolicy"] == "open" || channel["dm"]["policy"] == "open";
        (is_open && channel["enabled"] != false).then(|| {
            Finding::new(
                Code::ChannelOpen,
                format!("Anybody who finds the bot on {name} can talk to the agent."),
            )
            .at(format!("channels.{name}.dmPolicy"))
            .advice("Use \"pairing\" or \"allowlist\", unless that is what you want.")
        })
    };
    channels.iter().filter_map(open).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::super::super::snapshot::tests::entry;
    use super::super::testing::{codes, found};
    use super::*;
    use crate::service::Reinstall;

    #[test]
    fn a_secret_is_missing_or_short() {
        let length = |length: Option<usize>| {
            move |snapshot: &mut Snapshot| {
                snapshot.start.as_mut().unwrap().secret_length = length;
            }
        };
        assert_eq!(codes(token, length(None)), ["token-missing"]);
        assert_eq!(codes(token, length(Some(6))), ["token-weak"]);
        assert_eq!(codes(token, length(Some(16))), [] as [&str; 0]);
    }

    #[test]
    fn a_file_with_secrets_is_for_its_owner_only() {
        let open = |snapshot: &mut Snapshot| {
            snapshot.state.as_mut().unwrap().mode = 0o755;
            snapshot.entries = vec![
                entry("openclaw.json", Kind::File, 0o644),
                entry("openclaw.json.bak-20260101T000000Z", Kind::File, 0o640),
                entry("credentials/telegram.json", Kind::File, 0o644),
                entry("openclaw.sqlite-wal", Kind::File, 0o600),
                entry("update-check.json", Kind::File, 0o644),
            ];
        };
        let found = found(readable_secrets, open);
        let places: Vec<_> = found
            .iter()
            .filter_map(|found| found.place.as_deref())
            .collect();
        assert_eq!(
            places,
            [
                "~/.openclaw/openclaw.json",
                "~/.openclaw/openclaw.json.bak-20260101T000000Z",
                "~/.openclaw/credentials/telegram.json",
            ]
        );
        assert!(
            matches!(&found[0].repair, Some(Repair::Narrow(to)) if to[0].mode == 0o600),
            "{found:?}"
        );
        // A closed folder guards what lies in it.
        let closed = |snapshot: &mut Snapshot| {
            open(snapshot);
            snapshot.state.as_mut().unwrap().mode = 0o700;
        };
        assert_eq!(codes(readable_secrets, closed), [] as [&str; 0]);
    }

    #[test]
    fn a_file_of_somebody_else_is_not_ours_to_change() {
        let foreign = |snapshot: &mut Snapshot| {
            let mut file = entry("x", Kind::File, 0o644);
            (file.path, file.uid) = (PathBuf::from("/etc/part.json"), 0);
            snapshot.elsewhere = vec![file];
        };
        let found = found(readable_secrets, foreign);
        assert_eq!(
            (found[0].repair.is_none(), found[0].place.as_deref()),
            (true, Some("/etc/part.json"))
        );
    }

    #[test]
    fn a_secret_in_a_unit_is_found_by_its_name_and_by_itself() {
        let with = |text: &'static str| {
            move |snapshot: &mut Snapshot| {
                snapshot.start.as_mut().unwrap().secret =
                    Some(Secret::new("s3cr3t-s3cr3t".to_owned()));
                snapshot.unit = Some(Unit {
                    path: PathBuf::from("/home/me/.config/systemd/user/x.service"),
                    text: text.to_owned(),
                    recommended: Some(String::new()),
                    install: Reinstall::default(),
                    program: None,
                    sockets: None,
                    replaceable: None,
                });
            }
        };
        for bad in [
            "[Service]\nEnvironment=\"OPENCLAW_GATEWAY_TOKEN=x\"\n",
            "ExecStart=/usr/bin/openclaw gateway --token abc",
            "Environment=ANYTHING=s3cr3t-s3cr3t",
        ] {
            let found = found(secret_in_unit, with(bad));
            assert_eq!(found[0].code, Code::SecretInUnit, "{bad}");
            assert!(matches!(found[0].repair, Some(Repair::Reinstall { .. })));
            assert!(!found[0].to_json().to_string().contains("s3cr3t"));
        }
        let fine = "# OPENCLAW_GATEWAY_TOKEN=is not here\nExecStart=/usr/bin/openclaw gateway --token-file /x\n";
        assert_eq!(codes(secret_in_unit, with(fine)), [] as [&str; 0]);
    }

    #[test]
    fn what_is_open_to_others_is_said() {
        let lan = |snapshot: &mut Snapshot| snapshot.start.as_mut().unwrap().is_exposed = true;
        assert_eq!(codes(exposed, lan), ["bind-exposed"]);
        let off = |snapshot: &mut Snapshot| {
            let ui = &mut snapshot.config.config.gateway.control_ui;
            ui.dangerously_disable_device_auth = true;
            ui.allow_insecure_auth = true;
        };
        assert_eq!(codes(safeguards, off), ["safety-off", "safety-off"]);
        let open = |snapshot: &mut Snapshot| {
            snapshot.config.raw = json!({"channels": {
                "telegram": {"dmPolicy": "open"},
                "discord": {"dm": {"policy": "open"}, "enabled": false},
                "whatsapp": {"dmPolicy": "pairing"},
            }});
        };
        assert_eq!(codes(channels, open), ["channel-open"]);
    }
}
