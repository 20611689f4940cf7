//! What kind of picture some bytes are.  (pure)
//!
//! Names of files and what senders say are not believed: providers look at the bytes too, and refuse a conversation in which they differ.

/// What kind of picture it is, by its own first bytes.
#[must_use]
pub fn kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn pictures_are_told_by_how_they_begin() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF0000WEBPVP8", Some("image/webp")),
            (b"RIFF0000WAVE", None),
            (b"text", None),
            (b"", None),
        ] {
            assert_eq!(kind(bytes), expected);
        }
    }
}
