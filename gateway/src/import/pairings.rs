//! Devices with their tokens, nodes without a key, and the words that wake an assistant.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openclaw_shared::clock::WallTime;
use openclaw_shared::digest;
use openclaw_shared::protocol::scope::Role;
use rusqlite::{Connection, OptionalExtension as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ledger::{self, Thing};
use super::{Became, Import, Refused};
use crate::services::beneath::Folder;
use crate::services::devices::keep;
use crate::services::devices::node::{self, NodeFacts};
use crate::services::devices::record::{Device, Sighting, Token};
use crate::services::voicewake;
use crate::store::StoreError;

/// The longest name of a node, in bytes.
const LONGEST_ID: usize = 128;

pub(super) fn import(import: &mut Import<'_>, from: &Folder) -> Result<(), StoreError> {
    const DEVICES: &str = "devices/paired.json";
    const NODES: &str = "nodes/paired.json";
    const WORDS: &str = "settings/voicewake.json";
    for (id, written) in entries(import, from, "devices", DEVICES) {
        device(import, DEVICES, &id, &written)?;
    }
    for (id, written) in entries(import, from, "nodes", NODES) {
        keyless(import, NODES, &id, &written)?;
    }
    let settings = from.folder("settings");
    let written = settings.and_then(|folder| import.json(&folder, "voicewake.json", WORDS));
    match written {
        Some(written) => words(import, WORDS, &written),
        None => Ok(()),
    }
}

fn entries(
    import: &mut Import<'_>,
    from: &Folder,
    folder: &str,
    shown: &str,
) -> Vec<(String, Value)> {
    let folder = from.folder(folder);
    match folder.and_then(|folder| import.json(&folder, "paired.json", shown)) {
        Some(Value::Object(entries)) => entries.into_iter().collect(),
        Some(_) => {
            import.note(shown, "it is no JSON object");
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// A device as the other version keeps it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paired {
    public_key: String,
    display_name: Option<String>,
    platform: Option<String>,
    device_family: Option<String>,
    client_id: Option<String>,
    client_mode: Option<String>,
    role: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    remote_ip: Option<String>,
    #[serde(default)]
    tokens: BTreeMap<String, PairedToken>,
    created_at_ms: u64,
    approved_at_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PairedToken {
    token: String,
    #[serde(default)]
    scopes: Vec<String>,
    created_at_ms: u64,
    rotated_at_ms: Option<u64>,
    revoked_at_ms: Option<u64>,
    last_used_at_ms: Option<u64>,
}

/// A node without a key as the other version keeps it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PairedNode {
    token: String,
    display_name: Option<String>,
    platform: Option<String>,
    device_family: Option<String>,
    remote_ip: Option<String>,
    version: Option<String>,
    core_version: Option<String>,
    ui_version: Option<String>,
    model_identifier: Option<String>,
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    commands: Vec<String>,
    permissions: Option<BTreeMap<String, bool>>,
    last_connected_at_ms: Option<u64>,
    created_at_ms: u64,
    approved_at_ms: u64,
}

fn parsed<T: DeserializeOwned>(what: &str, id: &str, written: &Value) -> Result<T, Refused> {
    // The error is not shown with what it met, which may be a token.
    T::deserialize(written).map_err(|error| {
        let category = error.classify();
        Refused::Because(format!(
            "the {what} {id} cannot be read ({category:?} error)"
        ))
    })
}

fn device(
    import: &mut Import<'_>,
    file: &str,
    id: &str,
    written: &Value,
) -> Result<(), StoreError> {
    let text = written.to_string();
    let thing = Thing {
        kind: "device",
        name: id,
        file,
        text: &text,
    };
    import.thing(
        &thing,
        |report| &mut report.devices,
        |tx| {
            let (device, sighting) = read(id, parsed("device", id, written)?)?;
            keep_device(tx, "device", &device, &sighting)
        },
    )
}

/// What the other version keeps of a device, in our words.
fn read(id: &str, paired: Paired) -> Result<(Device, Sighting), Refused> {
    let key = URL_SAFE_NO_PAD.decode(&paired.public_key).ok();
    // The id is made of the key, and a connection shows the key.
    if key.is_none_or(|key| key.len() != 32 || digest::hex(&key) != id) {
        return Err(Refused::Because(format!("the device {id} has another key")));
    }
    let is_role = |role: &str| {
        [Role::Operator, Role::Node]
            .iter()
            .any(|it| it.as_str() == role)
    };
    let mut approved: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for role in paired.roles.iter().chain(&paired.role) {
        if is_role(role) {
            let of_token = paired.tokens.get(role).map(|token| token.scopes.clone());
            let of_device = || match role == Role::Operator.as_str() {
                true => paired.scopes.clone(),
                false => Vec::new(),
            };
            approved.insert(role.clone(), of_token.unwrap_or_else(of_device));
        }
    }
    let mut last_used_at_ms = BTreeMap::new();
    let mut tokens = BTreeMap::new();
    for (role, token) in paired.tokens {
        if !approved.contains_key(&role) || token.token.trim().is_empty() {
            continue;
        }
        if let Some(at) = token.last_used_at_ms {
            last_used_at_ms.insert(role.clone(), at);
        }
        let token = Token {
            token: token.token,
            scopes: token.scopes,
            created_at_ms: token.created_at_ms,
            rotated_at_ms: token.rotated_at_ms,
            revoked_at_ms: token.revoked_at_ms,
        };
        tokens.insert(role, token);
    }
    let device = Device {
        id: id.to_owned(),
        public_key: Some(paired.public_key),
        name: None,
        platform: paired.platform.clone(),
        device_family: paired.device_family,
        approved,
        tokens,
        created_at_ms: paired.created_at_ms,
        approved_at_ms: paired.approved_at_ms,
    };
    let sighting = Sighting {
        display_name: paired.display_name,
        platform: paired.platform,
        client_id: paired.client_id,
        client_mode: paired.client_mode,
        role: paired.role,
        remote_ip: paired.remote_ip,
        last_used_at_ms,
    };
    Ok((device, sighting))
}

/// Keeps a device, unless its owner has said something about it here since.
fn keep_device(
    tx: &Connection,
    kind: &str,
    device: &Device,
    sighting: &Sighting,
) -> Result<Became, Refused> {
    let was_here = ledger::remembers(tx, kind, &device.id)?;
    let became = match keep::device(tx, &device.id)? {
        // What its owner has taken away does not come back by itself.
        None if was_here => return Ok(Became::NewerHere),
        None => Became::Added,
        Some(here) if last_word(&here.device) >= last_word(device) => {
            return Ok(Became::NewerHere);
        }
        Some(_) => Became::Updated,
    };
    keep::save(tx, device, sighting)?;
    Ok(became)
}

/// When something was last said about a device.
fn last_word(device: &Device) -> u64 {
    let of_tokens = device.tokens.values().flat_map(|token| {
        [
            Some(token.created_at_ms),
            token.rotated_at_ms,
            token.revoked_at_ms,
        ]
    });
    let of_tokens = of_tokens.flatten().max().unwrap_or_default();
    of_tokens.max(device.approved_at_ms)
}

fn keyless(
    import: &mut Import<'_>,
    file: &str,
    id: &str,
    written: &Value,
) -> Result<(), StoreError> {
    let text = written.to_string();
    let thing = Thing {
        kind: "node",
        name: id,
        file,
        text: &text,
    };
    import.thing(
        &thing,
        |report| &mut report.nodes,
        |tx| {
            let node: PairedNode = parsed("node", id, written)?;
            if id.trim().is_empty() || id.len() > LONGEST_ID || node.token.trim().is_empty() {
                return Err(Refused::Because(
                    "a node has no name or no token that can be used".to_owned(),
                ));
            }
            if keep::device(tx, id)?.is_some_and(|here| here.device.public_key.is_some()) {
                // It has shown a key, which counts for more than a token without one.
                return Ok(Became::NewerHere);
            }
            let role = Role::Node.as_str().to_owned();
            let token = Token {
                token: node.token,
                scopes: Vec::new(),
                created_at_ms: node.created_at_ms,
                rotated_at_ms: None,
                revoked_at_ms: None,
            };
            let device = Device {
                id: id.to_owned(),
                public_key: None,
                name: None,
                platform: node.platform.clone(),
                device_family: node.device_family.clone(),
                approved: BTreeMap::from([(role.clone(), Vec::new())]),
                tokens: BTreeMap::from([(role.clone(), token)]),
                created_at_ms: node.created_at_ms,
                approved_at_ms: node.approved_at_ms,
            };
            let sighting = Sighting {
                display_name: node.display_name,
                platform: node.platform,
                role: Some(role),
                remote_ip: node.remote_ip,
                ..Sighting::default()
            };
            let became = keep_device(tx, "node", &device, &sighting)?;
            if became != Became::NewerHere {
                let facts = NodeFacts {
                    caps: node.caps,
                    commands: node.commands,
                    version: node.version,
                    core_version: node.core_version,
                    ui_version: node.ui_version,
                    device_family: node.device_family,
                    model_identifier: node.model_identifier,
                    permissions: node.permissions,
                    last_connected_at_ms: node.last_connected_at_ms,
                    ..NodeFacts::default()
                };
                node::note_node(tx, id, &facts)?;
            }
            Ok(became)
        },
    )
}

fn words(import: &mut Import<'_>, file: &str, written: &Value) -> Result<(), StoreError> {
    let text = written.to_string();
    let thing = Thing {
        kind: "voicewake",
        name: "",
        file,
        text: &text,
    };
    import.thing(
        &thing,
        |report| &mut report.voicewake,
        |tx| {
            let triggers = voicewake::usable(written.get("triggers"))
                .ok_or_else(|| Refused::Because("it has no list of words".to_owned()))?;
            let at = written.get("updatedAtMs").and_then(Value::as_u64);
            let at = at.unwrap_or_default();
            let here: Option<i64> = tx
                .prepare_cached("SELECT updated_at FROM voicewake WHERE id = 1")?
                .query_row([], |row| row.get(0))
                .optional()?;
            let became = match here {
                None => Became::Added,
                Some(here) if here.unsigned_abs() >= at => return Ok(Became::NewerHere),
                Some(_) => Became::Updated,
            };
            voicewake::write(tx, WallTime::from_millis(at), &triggers)?;
            Ok(became)
        },
    )
}
