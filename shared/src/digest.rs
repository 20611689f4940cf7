//! SHA-256 in the two forms we use.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The whole digest, in hexadecimal; the hash of a configuration file.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // Writing to a string cannot fail.
            text
        })
}

/// The first eight characters, to tell names apart.
#[must_use]
pub fn short_hex(bytes: &[u8]) -> String {
    let mut text = hex(bytes);
    text.truncate(8);
    text
}
