//! The text that a device signs to prove its key in `connect`.                           (pure)
//!
//! Written once, because whoever signs and whoever verifies must agree on every byte of it. Clients of this version sign
//! [`v2`]; newer ones sign [`v3`], which also binds what the device says it is.

use crate::protocol::connect::{ClientInfo, ConnectParams};
use crate::protocol::scope::Role;

/// The form with the nonce: who, as what, with which rights and token, when, on which connection.
#[must_use]
pub fn v2(
    params: &ConnectParams,
    device_id: &str,
    signed_at: i64,
    role: Role,
    nonce: &str,
) -> String {
    format!("v2{}", common(params, device_id, signed_at, role, nonce))
}

/// The newer form, with the platform and the family of the device at its end.
#[must_use]
pub fn v3(
    params: &ConnectParams,
    device_id: &str,
    signed_at: i64,
    role: Role,
    nonce: &str,
) -> String {
    let plain = |text: &str| text.trim().to_ascii_lowercase();
    let platform = plain(&params.client.platform);
    let family = params.client.device_family.as_deref().map(plain);
    format!(
        "v3{}|{platform}|{}",
        common(params, device_id, signed_at, role, nonce),
        family.unwrap_or_default()
    )
}

fn common(
    params: &ConnectParams,
    device_id: &str,
    signed_at: i64,
    role: Role,
    nonce: &str,
) -> String {
    let ClientInfo { id, mode, .. } = &params.client;
    // As they were sent: a client that sent none signed an empty list, whatever it is given by default.
    let scopes: Vec<&str> = params
        .scopes
        .iter()
        .flatten()
        .map(|scope| &**scope)
        .collect();
    let token = params.auth.as_ref().and_then(|auth| auth.token.as_deref());
    format!(
        "|{device_id}|{id}|{mode}|{role}|{}|{signed_at}|{}|{nonce}",
        scopes.join(","),
        token.unwrap_or_default()
    )
}
