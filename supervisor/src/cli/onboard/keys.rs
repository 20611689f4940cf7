//! Keys of model providers, kept where agents look for them: in `auth-profiles.json`, which other versions read too.

use std::io;
use std::path::{Path, PathBuf};

use openclaw_shared::config::Config;
use openclaw_shared::config::write::replace_private;
use openclaw_shared::ipc::private_folder;
use openclaw_shared::secret::Secret;
use serde_json::{Map, Value, json};

/// Why a key is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// What is there is not what it should be, and may be of worth to somebody.
    #[error("{} is not a JSON object", .0.display())]
    Misshapen(PathBuf),
    /// It cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Unusable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Keeps a key for every agent there is.
///
/// # Errors
/// When a file cannot be used; those before it have the key.
pub(super) fn keep(
    config: &Config,
    state_dir: &Path,
    provider: &str,
    key: &Secret<String>,
) -> Result<(), KeyError> {
    let listed = config.agents.list.iter();
    let mut agents: Vec<String> = listed.map(|agent| agent.id.trim().to_lowercase()).collect();
    if agents.is_empty() {
        agents.push("main".to_owned());
    }
    for agent in agents {
        let folder = state_dir.join("agents").join(agent).join("agent");
        let path = folder.join("auth-profiles.json");
        let unusable = |source| KeyError::Unusable {
            path: path.clone(),
            source,
        };
        let before = match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unusable(error)),
        };
        let text = with_key(before.as_deref(), provider, key)
            .ok_or_else(|| KeyError::Misshapen(path.clone()))?;
        private_folder(&folder)
            .and_then(|()| replace_private(&path, text.as_bytes()))
            .map_err(unusable)?;
    }
    Ok(())
}

/// The file with this key in it; nothing when what is there cannot be added to.
fn with_key(before: Option<&[u8]>, provider: &str, key: &Secret<String>) -> Option<String> {
    let mut file: Map<String, Value> = match before {
        Some(bytes) => serde_json::from_slice(bytes).ok()?,
        None => Map::from_iter([("version".to_owned(), json!(1))]),
    };
    let profiles = file.entry("profiles").or_insert_with(|| json!({}));
    profiles.as_object_mut()?.insert(
        format!("{provider}:default"),
        json!({ "type": "api_key", "provider": provider, "key": key.expose() }),
    );
    let text = serde_json::to_string_pretty(&file).ok()?;
    Some(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_added_to_what_is_there() {
        let key = Secret::new("k".to_owned());
        let first = with_key(None, "openai", &key).unwrap();
        let other = br#"{"version":1,"profiles":{"x:y":{"key":"old"}},"usageStats":{}}"#;
        let second: Value =
            serde_json::from_str(&with_key(Some(other), "openai", &key).unwrap()).unwrap();
        let first: Value = serde_json::from_str(&first).unwrap();
        assert_eq!(
            first["profiles"]["openai:default"],
            json!({"type": "api_key", "provider": "openai", "key": "k"})
        );
        assert_eq!(second["profiles"]["x:y"]["key"], "old");
        assert!(second["usageStats"].is_object());
        assert_eq!(with_key(Some(b"[]"), "openai", &key), None);
        assert_eq!(with_key(Some(b"{\"profiles\":1}"), "openai", &key), None);
    }
}
