//! Whether a device holds the key it claims.                                             (pure)
//!
//! A device block proves an identity and nothing more; what the identity is good for is decided by the record of the device
//! ([`crate::services::devices::standing`]). It is verified in full whenever it is sent, so that an identity that appears in
//! presence or a log is a real one.
//!
//! Decision: a signature without this connection's nonce is refused for local clients too; a captured frame could be
//! replayed otherwise.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, VerifyingKey};
use openclaw_shared::clock::WallTime;
use openclaw_shared::identity::signed_text;
use openclaw_shared::protocol::connect::{ConnectParams, DeviceProof};
use openclaw_shared::protocol::scope::Role;
use sha2::{Digest as _, Sha256};

/// How far the clocks may be apart.
const SKEW: Duration = Duration::from_secs(600);
/// Where the raw key begins in the SPKI form of an Ed25519 key.
const SPKI_PREFIX: usize = 12;

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The public key cannot be read.
    BadKey,
    /// The id is not the key's.
    Mismatch,
    /// The clocks are too far apart; by how many milliseconds the device is ahead.
    Expired(i64),
    /// It is not bound to this connection.
    NoNonce,
    /// It is bound to another connection.
    OtherNonce,
    /// The signature is not the key's over these fields.
    BadSignature,
}

impl Failure {
    /// The text of the error and of the close.
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Self::BadKey => "device public key invalid",
            Self::Mismatch => "device identity mismatch",
            Self::Expired(_) => "device signature expired",
            Self::NoNonce => "device nonce required",
            Self::OtherNonce => "device nonce mismatch",
            Self::BadSignature => "device signature invalid",
        }
    }
}

/// Verifies a proof against the fields of the frame it came in; the raw key in base64url.
///
/// # Errors
/// Says what does not hold, in the order in which clients expect the checks.
pub(crate) fn verify(
    proof: &DeviceProof,
    params: &ConnectParams,
    role: Role,
    nonce: &str,
    now: WallTime,
) -> Result<String, Failure> {
    let key = public_key(&proof.public_key);
    match &key {
        Some(key) if hex(&Sha256::digest(key)) == *proof.id => {}
        Some(_) => return Err(Failure::Mismatch),
        None => return Err(Failure::BadKey),
    }
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let ahead = proof.signed_at.get().saturating_sub(now);
    if u128::from(ahead.unsigned_abs()) > SKEW.as_millis() {
        return Err(Failure::Expired(ahead));
    }
    match proof.nonce.as_deref() {
        None => return Err(Failure::NoNonce),
        Some(signed) if signed != nonce => return Err(Failure::OtherNonce),
        Some(_) => {}
    }
    let key = key
        .and_then(|key| VerifyingKey::from_bytes(&key).ok())
        .ok_or(Failure::BadKey)?;
    let signature = decode(&proof.signature)
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
        .ok_or(Failure::BadSignature)?;
    let holds = [
        signed_text::v2(params, &proof.id, proof.signed_at.get(), role, nonce),
        signed_text::v3(params, &proof.id, proof.signed_at.get(), role, nonce),
    ]
    .iter()
    // Strict, because a key of small order has one signature that fits every text.
    .any(|text| key.verify_strict(text.as_bytes(), &signature).is_ok());
    if holds {
        Ok(URL_SAFE_NO_PAD.encode(key.as_bytes()))
    } else {
        Err(Failure::BadSignature)
    }
}

fn public_key(text: &str) -> Option<[u8; 32]> {
    if text.contains("BEGIN") {
        let body: String = text
            .lines()
            .filter(|line| !line.contains("-----"))
            .collect();
        let der = STANDARD.decode(body.trim()).ok()?;
        return der.get(SPKI_PREFIX..)?.try_into().ok();
    }
    decode(text)?.try_into().ok()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    [&URL_SAFE_NO_PAD, &URL_SAFE, &STANDARD_NO_PAD, &STANDARD]
        .into_iter()
        .find_map(|engine| engine.decode(text).ok())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::protocol::connect::ConnectParams;
    use openclaw_shared::protocol::scope::Role;
    use serde_json::{Value, json};

    use super::{Failure, verify};

    // Computed with the shipped client for the key whose seed is the bytes 00 to 1f.
    const ID: &str = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";
    const KEY: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
    const SIGNATURE: &str =
        "tzT6kXYFeU-tWBYA5_LQP2nyy5Y_S_0AUfoXeANOzfyBjmA4v_sYuK5OLXskvPPpDncsK8hCIuffyWTtl_6iCg";
    const SIGNED_AT: u64 = 1_700_000_000_000;

    fn params() -> Value {
        json!({
            "minProtocol": 3, "maxProtocol": 3,
            "client": {"id": "cli", "version": "dev", "platform": "linux", "mode": "cli"},
            "role": "operator",
            "scopes": ["operator.admin", "operator.approvals", "operator.pairing"],
            "auth": {"token": "secret"},
            "device": {"id": ID, "publicKey": KEY, "signature": SIGNATURE, "signedAt": SIGNED_AT, "nonce": "n-1"},
        })
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Value), nonce: &str, now: u64, verdict: Result<(), Failure>) {
        let mut params = params();
        change(&mut params);
        let params: ConnectParams = serde_json::from_value(params).unwrap();
        let proof = params.device.as_ref().unwrap();
        let now = WallTime::from_millis(now);
        let verified = verify(proof, &params, Role::Operator, nonce, now);
        assert_eq!(verified, verdict.map(|()| KEY.to_owned()));
    }

    #[test]
    fn the_signature_of_a_stock_client_holds() {
        check(|_| {}, "n-1", SIGNED_AT, Ok(()));
        check(|_| {}, "n-1", SIGNED_AT + 600_000, Ok(()));
        check(
            |p| p["client"]["platform"] = "darwin".into(),
            "n-1",
            SIGNED_AT,
            Ok(()),
        );
    }

    #[test]
    fn the_newer_form_binds_the_platform_too() {
        use ed25519_dalek::{Signer as _, SigningKey};
        let seed: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let text = format!(
            "v3|{ID}|cli|cli|operator|operator.admin,operator.approvals,operator.pairing|{SIGNED_AT}|secret|n-1|linux|mac"
        );
        let signature = SigningKey::from_bytes(&seed).sign(text.as_bytes());
        let signature = base64::Engine::encode(
            &base64::engine::general_purpose::URL_SAFE_NO_PAD,
            signature.to_bytes(),
        );
        let newer = |p: &mut Value, platform: &str| {
            p["device"]["signature"] = signature.clone().into();
            p["client"]["platform"] = platform.into();
            p["client"]["deviceFamily"] = "Mac".into();
        };
        check(|p| newer(p, " Linux "), "n-1", SIGNED_AT, Ok(()));
        check(
            |p| newer(p, "darwin"),
            "n-1",
            SIGNED_AT,
            Err(Failure::BadSignature),
        );
    }

    #[test]
    fn rule_23_every_signed_field_counts() {
        let bad = Err(Failure::BadSignature);
        check(
            |p| p["scopes"] = json!(["operator.admin"]),
            "n-1",
            SIGNED_AT,
            bad.clone(),
        );
        check(
            |p| p["auth"]["token"] = "other".into(),
            "n-1",
            SIGNED_AT,
            bad.clone(),
        );
        check(
            |p| p["client"]["mode"] = "probe".into(),
            "n-1",
            SIGNED_AT,
            bad.clone(),
        );
        check(
            |p| p["device"]["signedAt"] = (SIGNED_AT + 1).into(),
            "n-1",
            SIGNED_AT,
            bad.clone(),
        );
        check(
            |p| p["device"]["signature"] = "AA".into(),
            "n-1",
            SIGNED_AT,
            bad.clone(),
        );
        check(
            |p| p["device"]["signature"] = "A".repeat(86).into(),
            "n-1",
            SIGNED_AT,
            bad,
        );
        // The role is the one that is asked for, whatever the frame says.
        let params: ConnectParams = serde_json::from_value(params()).unwrap();
        let (proof, now) = (params.device.as_ref().unwrap(), SIGNED_AT);
        let as_node = verify(
            proof,
            &params,
            Role::Node,
            "n-1",
            WallTime::from_millis(now),
        );
        assert_eq!(as_node, Err(Failure::BadSignature));
    }

    #[test]
    fn rules_18_20_21_22_identity_time_and_connection_are_checked_first() {
        check(
            |p| p["device"]["id"] = "0".repeat(64).into(),
            "n-1",
            SIGNED_AT,
            Err(Failure::Mismatch),
        );
        check(
            |p| p["device"]["publicKey"] = "A6EHv_PO".into(),
            "n-1",
            SIGNED_AT,
            Err(Failure::BadKey),
        );
        check(
            |_| {},
            "n-1",
            SIGNED_AT + 600_001,
            Err(Failure::Expired(-600_001)),
        );
        check(
            |_| {},
            "n-1",
            SIGNED_AT - 600_001,
            Err(Failure::Expired(600_001)),
        );
        check(|_| {}, "n-2", SIGNED_AT, Err(Failure::OtherNonce));
        let without = |p: &mut Value| {
            p["device"].as_object_mut().unwrap().remove("nonce");
        };
        check(without, "n-1", SIGNED_AT, Err(Failure::NoNonce));
    }

    #[test]
    fn rule_19_a_key_of_small_order_is_refused() {
        // The identity point: the signature (identity, 0) fits any text unless verified strictly.
        let mut key = [0u8; 32];
        key[0] = 1;
        let mut signature = [0u8; 64];
        signature[0] = 1;
        let encode = |bytes: &[u8]| {
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes)
        };
        let id = super::hex(&<sha2::Sha256 as sha2::Digest>::digest(key));
        check(
            |p| {
                p["device"]["publicKey"] = encode(&key).into();
                p["device"]["signature"] = encode(&signature).into();
                p["device"]["id"] = id.into();
            },
            "n-1",
            SIGNED_AT,
            Err(Failure::BadSignature),
        );
    }
}
