//! The parameters of `connect`, the first request on every connection.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::strict::{Int, NonEmpty, object, present_object, strict_options};
use crate::literals;

literals! {
    /// Which program connects; a closed list.
    pub enum ClientId {
        /// The chat page.
        WebchatUi = "webchat-ui",
        /// The Control UI.
        ControlUi = "openclaw-control-ui",
        /// The chat page, by its other name.
        Webchat = "webchat",
        /// The command line.
        Cli = "cli",
        /// Programs that embed a client.
        GatewayClient = "gateway-client",
        /// The macOS app.
        Macos = "openclaw-macos",
        /// The iOS app.
        Ios = "openclaw-ios",
        /// The Android app.
        Android = "openclaw-android",
        /// A headless node.
        NodeHost = "node-host",
        /// Tests.
        Test = "test",
        /// A program that only wants to know who answers.
        Fingerprint = "fingerprint",
        /// The command line's probe.
        Probe = "openclaw-probe",
    }
}

literals! {
    /// How the program uses the connection; a closed list.
    pub enum ClientMode {
        /// A page in a browser.
        Webchat = "webchat",
        /// The command line.
        Cli = "cli",
        /// A user interface.
        Ui = "ui",
        /// A program.
        Backend = "backend",
        /// A device that offers commands.
        Node = "node",
        /// A look at whether the gateway answers.
        Probe = "probe",
        /// Tests.
        Test = "test",
    }
}

/// Who connects, in its own words: nothing in here is verified.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientInfo {
    /// Which program.
    pub id: ClientId,
    /// A name for people.
    pub display_name: Option<NonEmpty>,
    /// Its version.
    pub version: NonEmpty,
    /// The platform it runs on.
    pub platform: NonEmpty,
    /// The family of the device, for example `iPhone`.
    pub device_family: Option<NonEmpty>,
    /// The model of the device.
    pub model_identifier: Option<NonEmpty>,
    /// How it uses the connection.
    pub mode: ClientMode,
    /// What keeps its presence entry one across reconnects.
    pub instance_id: Option<NonEmpty>,
}

/// A device's proof of its key.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceProof {
    /// Lowercase hexadecimal SHA-256 of the raw public key.
    pub id: NonEmpty,
    /// The Ed25519 public key: raw 32 bytes in base64url, or a PEM.
    pub public_key: NonEmpty,
    /// The signature over the connect fields, in base64url.
    pub signature: NonEmpty,
    /// When it was signed, in milliseconds since the epoch.
    pub signed_at: Int<0>,
    /// The nonce of this connection's challenge.
    pub nonce: Option<NonEmpty>,
}

/// What the client presents: the shared secret, or a device's own token.
#[strict_options]
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectAuth {
    /// The gateway's token, or a device's own.
    pub token: Option<String>,
    /// The gateway's password.
    pub password: Option<String>,
}

impl fmt::Debug for ConnectAuth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConnectAuth")
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("password", &self.password.as_ref().map(|_| "***"))
            .finish()
    }
}

/// The parameters of `connect`.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectParams {
    /// The oldest protocol the client speaks.
    pub min_protocol: Int<1>,
    /// The newest protocol the client speaks.
    pub max_protocol: Int<1>,
    /// Who connects.
    #[serde(deserialize_with = "object")]
    pub client: ClientInfo,
    /// Groups of commands a node offers.
    pub caps: Option<Vec<NonEmpty>>,
    /// Commands a node offers.
    pub commands: Option<Vec<NonEmpty>>,
    /// Permissions a node says it has.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "BTreeMap<String, bool>")]
    pub permissions: Option<BTreeMap<String, bool>>,
    /// The search path of a node.
    pub path_env: Option<String>,
    /// `operator` when absent. A string here, so that an unknown role is refused by name.
    pub role: Option<NonEmpty>,
    /// What the client asks to be allowed. Absent means everything for an operator; an empty list means nothing. A device gets
    /// no more than it was approved for.
    pub scopes: Option<Vec<NonEmpty>>,
    /// The device's proof. A node needs one; whoever has one gets a token of its own once the device is approved.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "DeviceProof")]
    pub device: Option<DeviceProof>,
    /// The shared secret, or the token of the device.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "ConnectAuth")]
    pub auth: Option<ConnectAuth>,
    /// Not used.
    pub locale: Option<String>,
    /// Not used.
    pub user_agent: Option<String>,
}
