//! The device that this user's programs are: its key, and the tokens that gateways have issued to it.
//!
//! A program that has no key, or cannot keep one, is a caller like any other: it goes on with the shared secret alone.
//! A look at a gateway ([`As::Probe`]) uses what is there and leaves the files as they are.

use std::path::Path;

use openclaw_shared::clock::WallTime;
use openclaw_shared::identity::{DeviceIdentity, DeviceToken, DeviceTokens};
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::scope::Role;
use openclaw_shared::protocol::strict::NonEmpty;
use openclaw_shared::secret::Secret;
use serde_json::Value;

use crate::As;

/// The device, or why there is none.
#[derive(Debug, Default)]
pub(crate) struct Device {
    known: Option<(DeviceIdentity, DeviceTokens)>,
    may_write: bool,
    /// What did not work, for people who ask for it.
    trouble: Vec<String>,
}

impl Device {
    /// The device whose key is in this file. A command makes a key when there is none.
    pub(crate) fn of(file: Option<&Path>, as_what: As) -> Self {
        let Some(file) = file else {
            return Self::default();
        };
        let loaded = match as_what {
            As::Cli | As::Tui => DeviceIdentity::load_or_create(file, WallTime::now()).map(Some),
            As::Probe => DeviceIdentity::load(file),
        };
        let mut device = Self {
            may_write: as_what != As::Probe,
            ..Self::default()
        };
        match loaded {
            Ok(identity) => {
                device.known = identity.map(|identity| {
                    let tokens = DeviceTokens::beside(file, identity.device_id());
                    (identity, tokens)
                });
            }
            Err(error) => device.trouble.push(format!(
                "This command line has no device identity, because it failed to {error}."
            )),
        }
        device
    }

    /// Whether there is a key to sign with.
    pub(crate) const fn exists(&self) -> bool {
        self.known.is_some()
    }

    /// What did not work.
    pub(crate) fn trouble(&self) -> &[String] {
        &self.trouble
    }

    /// The token that this gateway has issued to us. One of which nobody has written down whose it is goes to a gateway of ours only.
    pub(crate) fn token_for(&mut self, gateway: &str, is_ours: bool) -> Option<Secret<String>> {
        let (_, tokens) = self.known.as_ref()?;
        let found = if is_ours {
            tokens.get_or_unnamed(gateway, Role::Operator)
        } else {
            tokens.get(gateway, Role::Operator)
        };
        match found {
            Ok(found) => found.map(|found| found.token),
            Err(error) => {
                self.trouble
                    .push(format!("No device token is used: failed to {error}."));
                None
            }
        }
    }

    /// Adds the proof of the key to what `connect` says.
    pub(crate) fn sign(&self, params: &mut ConnectParams, nonce: &NonEmpty) {
        if let Some((identity, _)) = &self.known {
            params.device = Some(identity.prove(params, nonce, WallTime::now()));
        }
    }

    /// Keeps the token in the gateway's hello.
    pub(crate) fn keep(&mut self, gateway: &str, hello: &Value) {
        let auth = &hello["auth"];
        let issued = DeviceToken::issued(auth).filter(|_| auth["role"] == Role::Operator.as_str());
        let Some(issued) = issued else { return };
        self.write(|tokens| tokens.keep(gateway, Role::Operator, &issued, WallTime::now()));
    }

    /// Forgets a token that the gateway does not take any more.
    pub(crate) fn forget(&mut self) {
        self.write(|tokens| tokens.forget(Role::Operator));
    }

    fn write(
        &mut self,
        change: impl FnOnce(&DeviceTokens) -> Result<(), openclaw_shared::identity::TokensError>,
    ) {
        let Some((_, tokens)) = self.known.as_ref().filter(|_| self.may_write) else {
            return;
        };
        if let Err(error) = change(tokens) {
            self.trouble.push(format!(
                "The device tokens stay as they were: failed to {error}."
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HERE: &str = "ws://127.0.0.1:18789";

    fn hello(token: &str) -> Value {
        json!({"auth": {"deviceToken": token, "role": "operator", "scopes": ["operator.admin"]}})
    }

    #[test]
    fn a_command_keeps_what_it_is_issued_and_a_look_does_not() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("identity/device.json");
        assert!(!Device::of(Some(&file), As::Probe).exists());
        assert!(!file.exists(), "a look makes no key");

        let mut command = Device::of(Some(&file), As::Cli);
        command.keep(HERE, &hello("t1"));
        let stored = |device: &mut Device| {
            device
                .token_for(HERE, false)
                .map(|token| token.expose().clone())
        };
        assert_eq!(stored(&mut command).as_deref(), Some("t1"));

        let mut look = Device::of(Some(&file), As::Probe);
        look.keep(HERE, &hello("t2"));
        look.forget();
        assert_eq!(stored(&mut look).as_deref(), Some("t1"));

        command.forget();
        assert_eq!(stored(&mut command), None);
        assert!(command.trouble().is_empty());
    }

    #[test]
    fn without_a_place_for_a_key_there_is_no_device_and_a_reason() {
        let state = tempfile::tempdir().unwrap();
        let in_the_way = state.path().join("identity");
        std::fs::write(&in_the_way, "a file").unwrap();
        let device = Device::of(Some(&in_the_way.join("device.json")), As::Cli);
        assert!(!device.exists());
        assert!(
            device.trouble()[0].contains("no device identity"),
            "{device:?}"
        );
    }
}
