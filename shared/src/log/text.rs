//! Makes text of unknown origin fit for one line of a log: bounded, without control characters. Pure.

use std::fmt::{self, Write as _};

/// Collects at most a fixed number of bytes of whatever is formatted into it, so that logging a large value
/// never allocates a large string.
#[derive(Debug)]
pub(super) struct Bounded {
    text: String,
    limit: usize,
    omitted: usize,
}

impl Bounded {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            limit,
            omitted: 0,
        }
    }

    pub(super) fn into_parts(self) -> (String, usize) {
        (self.text, self.omitted)
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let room = if self.omitted > 0 {
            0
        } else {
            self.limit - self.text.len()
        };
        let kept = floor_boundary(piece, room);
        self.text.push_str(&piece[..kept]);
        self.omitted += piece.len() - kept;
        Ok(())
    }
}

/// Cuts `text` to `limit` bytes and says how much is missing; `omitted` bytes were lost before.
pub(super) fn cut(text: &mut String, limit: usize, omitted: usize) {
    let kept = floor_boundary(text, limit);
    let missing = text.len() - kept + omitted;
    if missing > 0 {
        text.truncate(kept);
        let _ = write!(text, "… ({missing} more bytes)");
    }
}

/// Writes control characters, line separators and direction overrides as visible escapes, so that text from a
/// client can neither start a new line nor speak to a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if is_unprintable(other) => {
                let _ = write!(out, "{}", other.escape_unicode());
            }
            other => out.push(other),
        }
    }
    out
}

fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn floor_boundary(text: &str, limit: usize) -> usize {
    text.floor_char_boundary(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_99_a_client_cannot_start_a_line_or_command_a_terminal() {
        assert_eq!(
            printable("a\nb\x1b[31mc\u{202e}d\u{9b}"),
            "a\\nb\\u{1b}[31mc\\u{202e}d\\u{9b}"
        );
        assert_eq!(printable("plain – text ✓"), "plain – text ✓");
    }

    #[test]
    fn a_large_value_costs_no_large_string() {
        let mut bounded = Bounded::new(8);
        write!(bounded, "{}", "é".repeat(1000)).unwrap();
        let (text, omitted) = bounded.into_parts();
        assert_eq!(text, "éééé");
        assert_eq!(omitted, 1992);
    }

    #[test]
    fn rule_99_a_cut_value_says_so() {
        let mut text = "é".repeat(10);
        cut(&mut text, 5, 100);
        assert_eq!(text, "éé… (116 more bytes)");
    }
}
