//! The tokens that gateways have issued to a device.
//!
//! A token is worth something only together with the device's key, so losing this file costs one more use of the shared
//! secret and nothing else. It still is written for its owner alone, and one that cannot be read is not overwritten.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::WallTime;
use crate::config::write::replace_private;
use crate::protocol::scope::Role;
use crate::secret::Secret;

const VERSION: u32 = 1;

/// What a gateway has issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceToken {
    /// The token.
    pub token: Secret<String>,
    /// The scopes it stands for.
    pub scopes: Vec<String>,
}

impl DeviceToken {
    /// The token that a gateway issues in the `auth` of its hello, if it does.
    #[must_use]
    pub fn issued(auth: &Value) -> Option<Self> {
        let scopes = auth["scopes"].as_array().into_iter().flatten();
        Some(Self {
            token: Secret::new(auth["deviceToken"].as_str()?.to_owned()),
            scopes: scopes
                .filter_map(|scope| scope.as_str().map(str::to_owned))
                .collect(),
        })
    }
}

/// The store of one device, which is `<identity>-auth.json` beside the identity's file.
#[derive(Debug, Clone)]
pub struct DeviceTokens {
    path: PathBuf,
    device_id: String,
}

/// Why the store was of no use. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It is there and cannot be read.
    #[error("read the device tokens {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("use the device tokens {}: {reason}; delete the file to get new tokens", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be written.
    #[error("write the device tokens {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokensFile {
    version: u32,
    device_id: String,
    #[serde(default)]
    tokens: BTreeMap<String, Entry>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    token: String,
    role: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    updated_at_ms: u64,
    /// Whose it is. Files of other clients do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
}

impl DeviceTokens {
    /// The store of the device whose identity is in `identity`.
    #[must_use]
    pub fn beside(identity: &Path, device_id: &str) -> Self {
        let mut name = identity.file_stem().unwrap_or_default().to_owned();
        name.push("-auth.json");
        Self {
            path: identity.with_file_name(name),
            device_id: device_id.to_owned(),
        }
    }

    /// What the gateway at `gateway` has issued for `role`. A token of another gateway or of another device is none.
    ///
    /// # Errors
    /// When the file is there and cannot be used.
    pub fn get(&self, gateway: &str, role: Role) -> Result<Option<DeviceToken>, TokensError> {
        self.find(role, |own| own == Some(gateway))
    }

    /// The same, or what a client that does not write down whose tokens are has kept. For a gateway that is known to be the owner's:
    /// any other could use such a token against the one that has issued it.
    ///
    /// # Errors
    /// When the file is there and cannot be used.
    pub fn get_or_unnamed(
        &self,
        gateway: &str,
        role: Role,
    ) -> Result<Option<DeviceToken>, TokensError> {
        self.find(role, |own| own.is_none_or(|own| own == gateway))
    }

    fn find(
        &self,
        role: Role,
        is_meant: impl FnOnce(Option<&str>) -> bool,
    ) -> Result<Option<DeviceToken>, TokensError> {
        let entry = self.read()?.tokens.remove(role.as_str());
        Ok(entry
            .filter(|entry| is_meant(entry.gateway.as_deref()))
            .map(|entry| DeviceToken {
                token: Secret::new(entry.token),
                scopes: entry.scopes,
            }))
    }

    /// Keeps what a gateway has issued, in place of what was kept for the role; writes only when it changed.
    ///
    /// # Errors
    /// When the file cannot be used or written.
    pub fn keep(
        &self,
        gateway: &str,
        role: Role,
        issued: &DeviceToken,
        now: WallTime,
    ) -> Result<(), TokensError> {
        let mut file = self.read()?;
        let same = file.tokens.get(role.as_str()).is_some_and(|entry| {
            entry.token == *issued.token.expose()
                && entry.scopes == issued.scopes
                && entry.gateway.as_deref() == Some(gateway)
        });
        if same {
            return Ok(());
        }
        file.tokens.insert(
            role.as_str().to_owned(),
            Entry {
                token: issued.token.expose().clone(),
                role: role.as_str().to_owned(),
                scopes: issued.scopes.clone(),
                updated_at_ms: now.as_millis(),
                gateway: Some(gateway.to_owned()),
            },
        );
        self.write(&file)
    }

    /// Forgets what was kept for the role.
    ///
    /// # Errors
    /// When the file cannot be used or written.
    pub fn forget(&self, role: Role) -> Result<(), TokensError> {
        let mut file = self.read()?;
        if file.tokens.remove(role.as_str()).is_none() {
            return Ok(());
        }
        self.write(&file)
    }

    fn read(&self) -> Result<TokensFile, TokensError> {
        let none = || TokensFile {
            version: VERSION,
            device_id: self.device_id.clone(),
            tokens: BTreeMap::new(),
        };
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(none()),
            Err(source) => {
                return Err(TokensError::Unreadable {
                    path: self.path.clone(),
                    source,
                });
            }
        };
        let broken = |reason: String| TokensError::Broken {
            path: self.path.clone(),
            reason,
        };
        let file: TokensFile = serde_json::from_str(&text).map_err(|error| {
            broken(format!(
                "it is not the JSON of device tokens (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        if file.version != VERSION {
            return Err(broken(format!(
                "it is of version {}, and only {VERSION} is known",
                file.version
            )));
        }
        // The identity was replaced: its tokens are of no use to anybody.
        Ok(if file.device_id == self.device_id {
            file
        } else {
            none()
        })
    }

    fn write(&self, file: &TokensFile) -> Result<(), TokensError> {
        let unwritable = |source| TokensError::Unwritable {
            path: self.path.clone(),
            source,
        };
        let text = serde_json::to_string_pretty(file)
            .map_err(io::Error::other)
            .map_err(unwritable)?;
        replace_private(&self.path, (text + "\n").as_bytes()).map_err(unwritable)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    const HERE: &str = "ws://127.0.0.1:18789";
    const NOW: WallTime = WallTime::from_millis(7);

    fn issued(token: &str) -> DeviceToken {
        DeviceToken {
            token: Secret::new(token.to_owned()),
            scopes: Vec::new(),
        }
    }

    fn store(state: &TempDir, device: &str) -> DeviceTokens {
        DeviceTokens::beside(&state.path().join("identity/device.json"), device)
    }

    #[test]
    fn a_token_is_kept_for_its_role_device_and_gateway() {
        let state = TempDir::new().unwrap();
        let tokens = store(&state, "d1");
        assert_eq!(tokens.get(HERE, Role::Node).unwrap(), None);
        tokens.keep(HERE, Role::Node, &issued("t1"), NOW).unwrap();
        assert_eq!(tokens.get(HERE, Role::Node).unwrap(), Some(issued("t1")));
        assert_eq!(tokens.get(HERE, Role::Operator).unwrap(), None);
        assert_eq!(tokens.get("ws://other:1", Role::Node).unwrap(), None);
        assert_eq!(store(&state, "d2").get(HERE, Role::Node).unwrap(), None);
        tokens.forget(Role::Node).unwrap();
        assert_eq!(tokens.get(HERE, Role::Node).unwrap(), None);
        let path = state.path().join("identity/device-auth.json");
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn a_token_of_the_existing_client_goes_to_a_gateway_of_the_owner_only() {
        let state = TempDir::new().unwrap();
        let path = state.path().join("identity/device-auth.json");
        replace_private(
            &path,
            br#"{"version":1,"deviceId":"d1","tokens":{"node":{"token":"t","role":"node","scopes":["a"],"updatedAtMs":1}}}"#,
        )
        .unwrap();
        let tokens = store(&state, "d1");
        assert_eq!(tokens.get("ws://elsewhere:1", Role::Node).unwrap(), None);
        let found = tokens.get_or_unnamed(HERE, Role::Node).unwrap().unwrap();
        assert_eq!(
            (&**found.token.expose(), found.scopes),
            ("t", vec!["a".to_owned()])
        );
    }

    #[test]
    fn a_broken_file_is_left_alone() {
        let state = TempDir::new().unwrap();
        let path = state.path().join("identity/device-auth.json");
        replace_private(&path, b"{").unwrap();
        let tokens = store(&state, "d1");
        assert!(tokens.get(HERE, Role::Node).is_err());
        assert!(tokens.keep(HERE, Role::Node, &issued("t"), NOW).is_err());
        assert!(tokens.forget(Role::Node).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"{");
    }
}
