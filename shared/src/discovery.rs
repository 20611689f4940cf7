//! How gateways are found in the local network, as far as the command line and the gateway's program must agree.
//!
//! The program announces itself and searches for others, because only it links what speaks multicast DNS. Invariant: what was
//! received is shown to people, and decides nothing: no address, no fingerprint and no secret is ever taken from it.

use serde::{Deserialize, Serialize};

/// The argument that makes the gateway's program ([`crate::import::PROGRAM`]) search. The order comes by its standard input, the
/// report leaves by its standard output.
pub const ARGUMENT: &str = "--discover";

/// The type of the service under which gateways announce themselves.
pub const SERVICE: &str = "_openclaw-gw._tcp";

/// The domain of the local network.
pub const DOMAIN: &str = "local.";

/// How to search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoverOrder {
    /// For how long, in milliseconds.
    pub timeout_ms: u64,
    /// Only on this machine.
    pub only_here: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DiscoverReport {
    /// The gateways, by name.
    pub beacons: Vec<Beacon>,
    /// Why nothing could be searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A gateway, as it announces itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Beacon {
    /// Its name.
    pub instance_name: String,
    /// The domain that it was found in.
    pub domain: String,
    /// The name of its machine.
    pub host: String,
    /// The port it is reached at.
    pub port: u16,
    /// The addresses of its machine, those of this machine last.
    pub addresses: Vec<String>,
    /// `gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// The base port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_port: Option<u16>,
    /// The canvas host's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canvas_port: Option<u16>,
    /// Where its machine is reached by SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_port: Option<u16>,
    /// The name of its machine in the tailnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tailnet_dns: Option<String>,
    /// Whether it is reached by TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gateway_tls: bool,
    /// What it says of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_tls_sha256: Option<String>,
    /// Where its command line lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cli_path: Option<String>,
    /// The address that a client could use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ws_url: Option<String>,
}
