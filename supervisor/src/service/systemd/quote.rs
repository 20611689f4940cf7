//! How words and paths are written in a unit so that systemd reads what was meant, and how they are read back.     (pure)
//!
//! `%` begins a specifier everywhere. In quotes a backslash begins an escape. `$` begins a variable in the arguments of a command
//! only, which the unit switches off by a prefix where it matters.

/// A word, in quotes.
pub(super) fn word(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '%' => out.push_str("%%"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A path that has the rest of its line to itself: no quotes, no escapes, only specifiers.
pub(super) fn path(text: &str) -> String {
    text.replace('%', "%%")
}

/// Reads the words of a line: in quotes of either kind or without, with the escapes that systemd knows and the prefixes of a command.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (end, Some(open)) if end == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            ('\\', _) => {
                let Some(escaped) = characters.next() else {
                    break;
                };
                word.get_or_insert_default().push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    's' => ' ',
                    other => other,
                });
            }
            ('%', _) if characters.peek() == Some(&'%') => {
                characters.next();
                word.get_or_insert_default().push('%');
            }
            (space, None) if space.is_ascii_whitespace() => words.extend(word.take()),
            (other, _) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_character_with_a_meaning_loses_it() {
        assert_eq!(word("/a b"), r#""/a b""#);
        assert_eq!(word(r#"50% "q" \"#), r#""50%% \"q\" \\""#);
        assert_eq!(path("/100% me"), "/100%% me");
    }

    #[test]
    fn what_others_wrote_is_read() {
        assert_eq!(
            words(r#""/usr/bin/node" "/x y/index.js" gateway --port 20011"#),
            [
                "/usr/bin/node",
                "/x y/index.js",
                "gateway",
                "--port",
                "20011"
            ]
        );
        assert_eq!(words("a'b c'd  ''"), ["ab cd", ""]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(texts in proptest::collection::vec("[^\\p{Cc}]{0,20}", 1..5)) {
            let line: Vec<String> = texts.iter().map(|text| word(text)).collect();
            prop_assert_eq!(words(&line.join(" ")), texts);
        }
    }
}
