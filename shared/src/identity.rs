//! Who a client of a gateway is: a key pair of its own, kept in a file, and what it signs with it.
//!
//! Each role has its own file in the `identity` folder of the state folder ([`StatePaths::identity`]), so that what is approved
//! for the node host of a machine is not thereby approved for its command line. A file that cannot be read as an identity is
//! reported and never replaced: the gateways that know the key would turn the device away.
//!
//! Invariant: the private key leaves this module only into its file. It is in no `Debug` output and no error.
//!
//! [`StatePaths::identity`]: crate::paths::StatePaths::identity

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use ed25519_dalek::pkcs8::{DecodePublicKey as _, KeypairBytes};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::clock::WallTime;
use crate::config::write::create_private;
use crate::digest;
use crate::protocol::connect::{ConnectParams, DeviceProof};
use crate::protocol::scope::Role;
use crate::protocol::strict::{Int, NonEmpty};

pub mod signed_text;
mod tokens;

pub use tokens::{DeviceToken, DeviceTokens, TokensError};

/// The form of the file that is written and read.
const VERSION: u32 = 1;

/// The key pair of one client.
#[derive(Clone)]
pub struct DeviceIdentity {
    id: String,
    key: SigningKey,
}

impl fmt::Debug for DeviceIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DeviceIdentity")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why there is no identity. A file that exists is as it was.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file is there and cannot be read.
    #[error("read the device identity {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there and holds no identity.
    #[error(
        "use the device identity {}: {reason}; restore it from a backup, or move it away to become a new device that must be paired again",
        path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A first identity cannot be written.
    #[error("write the device identity {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The file, in the shape that other clients of the protocol keep.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityFile {
    version: u32,
    device_id: String,
    public_key_pem: String,
    private_key_pem: String,
    created_at_ms: u64,
}

impl DeviceIdentity {
    /// The identity in the file; a new one is made and kept there when there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, holds no identity, or cannot be created.
    pub fn load_or_create(path: &Path, now: WallTime) -> Result<Self, IdentityError> {
        if let Some(identity) = Self::load(path)? {
            return Ok(identity);
        }
        let unwritable = |source| IdentityError::Unwritable {
            path: path.to_owned(),
            source,
        };
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(io::Error::other)
            .map_err(unwritable)?;
        let identity = Self::from_seed(&seed);
        let text = identity
            .to_file(now)
            .map_err(io::Error::other)
            .map_err(unwritable)?;
        match create_private(path, text.as_bytes()) {
            Ok(()) => Ok(identity),
            // Another process was first; its identity is the one.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::load(path)?.ok_or_else(|| unwritable(error))
            }
            Err(error) => Err(unwritable(error)),
        }
    }

    /// The identity in the file, if there is a file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no identity.
    pub fn load(path: &Path) -> Result<Option<Self>, IdentityError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(IdentityError::Unreadable {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        Self::from_file(&text)
            .map(Some)
            .map_err(|reason| IdentityError::Broken {
                path: path.to_owned(),
                reason,
            })
    }

    /// The identity of a known secret, for tests and vectors.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::of(SigningKey::from_bytes(seed))
    }

    fn of(key: SigningKey) -> Self {
        Self {
            id: digest::hex(key.verifying_key().as_bytes()),
            key,
        }
    }

    /// Lowercase hexadecimal SHA-256 of the raw public key.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.id
    }

    /// The raw public key in base64url, as `connect` carries it.
    #[must_use]
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes())
    }

    /// Signs a `connect` for the connection whose challenge carried `nonce`. Everything else that is signed is taken from
    /// `params`, which must be complete but for the proof.
    #[must_use]
    pub fn prove(&self, params: &ConnectParams, nonce: &NonEmpty, now: WallTime) -> DeviceProof {
        let role = params.role.as_deref().and_then(Role::from_text);
        let signed_at = Int::new(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
            .expect("the time since the epoch is not negative");
        let text = signed_text::v2(
            params,
            &self.id,
            signed_at.get(),
            role.unwrap_or(Role::Operator),
            nonce,
        );
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let filled = |text: String| NonEmpty::new(text).expect("an encoded key has characters");
        DeviceProof {
            id: filled(self.id.clone()),
            public_key: filled(self.public_key()),
            signature: filled(URL_SAFE_NO_PAD.encode(signature)),
            signed_at,
            nonce: Some(nonce.clone()),
        }
    }

    fn to_file(&self, now: WallTime) -> Result<String, String> {
        // Without the public half, because OpenSSL refuses the form that carries both.
        let keypair = KeypairBytes {
            secret_key: self.key.to_bytes(),
            public_key: None,
        };
        let private = keypair
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| error.to_string())?;
        let public = self
            .key
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .map_err(|error| error.to_string())?;
        let file = IdentityFile {
            version: VERSION,
            device_id: self.id.clone(),
            public_key_pem: public,
            private_key_pem: private.to_string(),
            created_at_ms: now.as_millis(),
        };
        serde_json::to_string_pretty(&file)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string())
    }

    fn from_file(text: &str) -> Result<Self, String> {
        // The place and kind of a mistake, never the text around it: that may be the key.
        let file: IdentityFile = serde_json::from_str(text).map_err(|error| {
            format!(
                "it is not the JSON of an identity (line {}, column {})",
                error.line(),
                error.column()
            )
        })?;
        if file.version != VERSION {
            return Err(format!(
                "it is of version {}, and only {VERSION} is known",
                file.version
            ));
        }
        let key = SigningKey::from_pkcs8_pem(&file.private_key_pem)
            .map_err(|_| "privateKeyPem is no Ed25519 key in PKCS#8".to_owned())?;
        let public = VerifyingKey::from_public_key_pem(&file.public_key_pem)
            .map_err(|_| "publicKeyPem is no Ed25519 key".to_owned())?;
        if public != key.verifying_key() {
            return Err("publicKeyPem is not the public half of privateKeyPem".to_owned());
        }
        let identity = Self::of(key);
        if identity.id != file.device_id {
            return Err("deviceId is not the hash of the public key".to_owned());
        }
        Ok(identity)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;

    // Computed with the shipped client for the key whose seed is the bytes 00 to 1f.
    const ID: &str = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";
    const KEY: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
    const SIGNATURE: &str =
        "tzT6kXYFeU-tWBYA5_LQP2nyy5Y_S_0AUfoXeANOzfyBjmA4v_sYuK5OLXskvPPpDncsK8hCIuffyWTtl_6iCg";
    const NOW: WallTime = WallTime::from_millis(1_700_000_000_000);

    fn known() -> DeviceIdentity {
        DeviceIdentity::from_seed(&std::array::from_fn(|at| u8::try_from(at).unwrap()))
    }

    fn connect() -> ConnectParams {
        serde_json::from_value(json!({
            "minProtocol": 3, "maxProtocol": 3,
            "client": {"id": "cli", "version": "dev", "platform": "linux", "mode": "cli"},
            "role": "operator",
            "scopes": ["operator.admin", "operator.approvals", "operator.pairing"],
            "auth": {"token": "secret"},
        }))
        .unwrap()
    }

    #[test]
    fn a_connect_is_signed_as_the_stock_client_signs_it() {
        let identity = known();
        assert_eq!((identity.device_id(), &*identity.public_key()), (ID, KEY));
        let nonce = NonEmpty::new("n-1").unwrap();
        let proof = identity.prove(&connect(), &nonce, NOW);
        assert_eq!((&*proof.id, &*proof.public_key), (ID, KEY));
        assert_eq!(&*proof.signature, SIGNATURE);
        assert_eq!(proof.nonce.as_deref(), Some("n-1"));
    }

    #[test]
    fn the_first_use_makes_a_private_file_and_the_next_reads_it() {
        let state = TempDir::new().unwrap();
        let path = state.path().join("identity/node.json");
        let first = DeviceIdentity::load_or_create(&path, NOW).unwrap();
        let again = DeviceIdentity::load_or_create(&path, NOW).unwrap();
        assert_eq!(first.device_id(), again.device_id());
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            file.as_object().unwrap().keys().collect::<Vec<_>>(),
            [
                "version",
                "deviceId",
                "publicKeyPem",
                "privateKeyPem",
                "createdAtMs"
            ]
        );
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(!format!("{first:?}").contains("key"));
    }

    #[test]
    fn a_file_of_the_existing_client_is_read() {
        // Written by Node's crypto module for the same seed.
        let text = json!({
            "version": 1,
            "deviceId": ID,
            "publicKeyPem": "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n-----END PUBLIC KEY-----\n",
            "privateKeyPem": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n",
            "createdAtMs": 1,
        });
        let read = DeviceIdentity::from_file(&text.to_string()).unwrap();
        assert_eq!(read.device_id(), ID);
        let written: Value = serde_json::from_str(&read.to_file(NOW).unwrap()).unwrap();
        for pem in ["publicKeyPem", "privateKeyPem"] {
            assert_eq!(written[pem], text[pem]);
        }
    }

    #[test]
    fn a_broken_file_is_named_and_left_alone() {
        let state = TempDir::new().unwrap();
        let path = state.path().join("node.json");
        let good: Value = serde_json::from_str(&known().to_file(NOW).unwrap()).unwrap();
        let mut cases = vec![("{".to_owned(), "JSON"), (String::new(), "JSON")];
        for (key, value, says) in [
            ("version", json!(2), "version 2"),
            ("deviceId", json!("00"), "deviceId"),
            ("privateKeyPem", json!("x"), "privateKeyPem"),
            ("publicKeyPem", json!("x"), "publicKeyPem"),
        ] {
            let mut broken = good.clone();
            broken[key] = value;
            cases.push((broken.to_string(), says));
        }
        for (text, says) in cases {
            fs::write(&path, &text).unwrap();
            let error = DeviceIdentity::load_or_create(&path, NOW).unwrap_err();
            assert!(error.to_string().contains(says), "{error} of {text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
