//! What a node keeps about itself between runs, in `node.json`: its name and the id of its presence entry.

use std::fs;
use std::io;
use std::path::Path;

use openclaw_shared::config::write::replace_private;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeFile {
    version: u32,
    pub(crate) node_id: String,
    pub(crate) display_name: String,
    /// Where the gateway was last, for whoever reads the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The file with what was said this time; it is written when it changed.
///
/// # Errors
/// A sentence, when it cannot be understood or written.
pub(crate) fn keep(
    path: &Path,
    node_id: Option<String>,
    display_name: Option<String>,
    url: &str,
) -> Result<NodeFile, String> {
    let failed = |verb: &str, error: &dyn std::fmt::Display| {
        format!("cannot {verb} the node file {}: {error}", path.display())
    };
    let before: Option<NodeFile> = match fs::read_to_string(path) {
        Ok(text) => Some(serde_json::from_str(&text).map_err(|error| failed("use", &error))?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("read", &error)),
    };
    let mut file = before.clone().unwrap_or_else(|| NodeFile {
        version: VERSION,
        node_id: uuid::Uuid::new_v4().to_string(),
        display_name: host_name(),
        gateway: None,
        others: Map::new(),
    });
    if file.version != VERSION {
        return Err(failed(
            "use",
            &format!("version {} is not known", file.version),
        ));
    }
    file.node_id = node_id.unwrap_or(file.node_id);
    file.display_name = display_name.unwrap_or(file.display_name);
    file.gateway = place(url).or(file.gateway);
    if before.as_ref() != Some(&file) {
        let text = serde_json::to_string_pretty(&file).map_err(|error| failed("write", &error))?;
        replace_private(path, (text + "\n").as_bytes()).map_err(|error| failed("write", &error))?;
    }
    Ok(file)
}

fn place(url: &str) -> Option<Value> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    Some(json!({ "host": host, "port": port, "tls": scheme == "wss" }))
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    match name.to_string_lossy().trim() {
        "" => "node".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_once_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.json");
        let keep = |id: Option<&str>, name: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            keep(&path, owned(id), owned(name), "ws://127.0.0.1:18789").unwrap()
        };
        let first = keep(None, Some("Box"));
        assert_eq!(keep(None, None), first);
        assert_eq!(keep(Some("mine"), None).node_id, "mine");
        assert_eq!(keep(None, None).display_name, "Box");
        let text: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            text["gateway"],
            json!({"host": "127.0.0.1", "port": 18789, "tls": false})
        );
    }
}
