//! What people see of a message: without what was put around it for the model, and in short.  (pure)

/// What a header in front of a person's text begins with when it names the channel it came by.
const CHANNELS: &[&str] = &[
    "WebChat",
    "WhatsApp",
    "Telegram",
    "Signal",
    "Slack",
    "Discord",
    "Google Chat",
    "iMessage",
    "Teams",
    "Matrix",
    "Zalo",
    "Zalo Personal",
    "BlueBubbles",
];
const MESSAGE_ID: &str = "[message_id:";
/// What begins each line that tells an agent what has happened meanwhile.
const NOTE: &str = "System: ";

/// What a person has said in a message: without the notes that were told with it, and as [`cleaned`].
pub(crate) fn said(text: &str) -> String {
    cleaned(without_notes(text))
}

/// A text without the lines before it that tell an agent what has happened meanwhile.
fn without_notes(text: &str) -> &str {
    let is_first = |line: &str| {
        let stamp = line
            .strip_prefix(NOTE)
            .and_then(|rest| rest.strip_prefix('['));
        stamp.is_some_and(has_day)
    };
    if !text.lines().next().is_some_and(is_first) {
        return text;
    }
    let mut left = text;
    while left.starts_with(NOTE) {
        left = left.split_once('\n').map_or("", |(_, rest)| rest);
    }
    left.trim_start_matches('\n')
}

/// Whether it begins with `2026-11-22T`.
fn has_day(text: &str) -> bool {
    let bytes = text.as_bytes().iter().take(11);
    let fits = bytes
        .zip(b"dddd-dd-ddT")
        .filter(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        });
    fits.count() == 11
}

/// A person's text without the header that says when and by which channel it came, and without the lines that name it.
pub(crate) fn cleaned(text: &str) -> String {
    let text = without_header(text);
    if !text.contains(MESSAGE_ID) {
        return text.to_owned();
    }
    let lines = text.lines().filter(|line| !is_message_id(line));
    lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn is_message_id(line: &str) -> bool {
    let line = line.trim();
    line.starts_with(MESSAGE_ID) && line.ends_with(']')
}

fn without_header(text: &str) -> &str {
    let Some((header, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) else {
        return text;
    };
    let names_channel = CHANNELS.iter().any(|channel| {
        header
            .strip_prefix(channel)
            .is_some_and(|rest| rest.starts_with(' '))
    });
    if names_channel || has_stamp(header) {
        rest.trim_start()
    } else {
        text
    }
}

/// Whether there is `2026-11-22T07:12Z` or `2026-11-22 07:12` in it.
fn has_stamp(header: &str) -> bool {
    const STAMP: &[u8] = b"dddd-dd-dd?dd:dd";
    let fits = |window: &[u8]| {
        window.iter().zip(STAMP).all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            b'?' => matches!(byte, b'T' | b' '),
            other => byte == other,
        })
    };
    let bytes = header.as_bytes();
    (0..bytes.len()).any(|start| {
        let Some(window) = bytes.get(start..start + STAMP.len()) else {
            return false;
        };
        let is_utc = bytes.get(start + STAMP.len()) == Some(&b'Z');
        fits(window) && (window[10] == b' ' || is_utc)
    })
}

/// A text on one line, at most so many characters of it; a word is cut only when it is most of the text.
pub(crate) fn in_short(text: &str, longest: usize) -> String {
    let mut short = String::new();
    // Where the last whole word ends that leaves room for the mark.
    let (mut length, mut fits) = (0, 0);
    for word in text.split_whitespace() {
        let gap = (length > 0).then_some(' ');
        for letter in gap.into_iter().chain(word.chars()) {
            if length == longest {
                if fits * 2 < short.len() {
                    // The mark is one of the characters.
                    short.pop();
                    fits = short.trim_end().len();
                }
                short.truncate(fits);
                short.push('…');
                return short;
            }
            short.push(letter);
            length += 1;
        }
        if length < longest {
            fits = short.len();
        }
    }
    short
}

/// At most so many characters of a text, as clients that show previews know it.
pub(crate) fn cut(text: &str, longest: usize) -> String {
    let text = text.trim();
    if text.chars().nth(longest).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(longest.saturating_sub(3)).collect();
    format!("{}...", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{cleaned, cut, in_short, said};

    #[test]
    fn what_was_told_with_a_message_is_nothing_a_person_has_said() {
        for (text, expected) in [
            ("hi", "hi"),
            (
                "System: [2026-11-22T07:12:00Z] the tea is ready\n\nhi\n[message_id: r]",
                "hi",
            ),
            (
                "System: [2026-11-22T07:12:00Z] one\nSystem: more\nSystem: [2026-11-22T07:13:00Z] two\n\n[WebChat 2026-11-22 07:12] hi",
                "hi",
            ),
            ("System: [2026-11-22T07:12:00Z] alone", ""),
            // People may say such a thing themselves.
            ("System: reboot", "System: reboot"),
            ("System: [ü] reboot", "System: [ü] reboot"),
            (
                "hi\nSystem: [2026-11-22T07:12:00Z] x",
                "hi\nSystem: [2026-11-22T07:12:00Z] x",
            ),
        ] {
            assert_eq!(said(text), expected, "{text:?}");
        }
    }

    #[test]
    fn headers_and_lines_that_people_did_not_write_are_taken_off() {
        for (text, expected) in [
            ("hi", "hi"),
            ("[WebChat 2026-11-22 07:12] hi", "hi"),
            ("[Telegram Bob id:5 +2m] hi", "hi"),
            ("[Sun 2026-11-22T07:12Z] hi", "hi"),
            ("[Sun 2026-11-22 07:12 UTC] hi", "hi"),
            ("[2026-11-22T07:12+01:00] hi", "[2026-11-22T07:12+01:00] hi"),
            ("[note] hi", "[note] hi"),
            ("[WebChatter] hi", "[WebChatter] hi"),
            (
                "[unfinished 2026-11-22 07:12",
                "[unfinished 2026-11-22 07:12",
            ),
            ("hi\n[message_id: run-1]", "hi"),
            ("a\n  [message_id: run-1]\nb", "a\nb"),
            ("say [message_id: x] twice", "say [message_id: x] twice"),
            ("", ""),
            ("[2026-11-22 07:1ü] x", "[2026-11-22 07:1ü] x"),
        ] {
            assert_eq!(cleaned(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_in_short_is_one_line() {
        for (text, longest, expected) in [
            ("one  two\nthree", 60, "one two three"),
            ("one two", 7, "one two"),
            ("one two", 6, "one…"),
            ("one two", 4, "one…"),
            ("one two", 3, "on…"),
            ("a muchlongerword", 8, "a muchl…"),
            ("üüüü", 3, "üü…"),
            ("", 3, ""),
        ] {
            assert_eq!(in_short(text, longest), expected, "{text:?} {longest}");
        }
    }

    #[test]
    fn a_text_that_is_cut_says_so() {
        for (text, longest, expected) in [
            ("Hello from the mock model.", 20, "Hello from the mo..."),
            ("Hello", 5, "Hello"),
            (" Hello ", 5, "Hello"),
        ] {
            assert_eq!(cut(text, longest), expected);
        }
    }
}
