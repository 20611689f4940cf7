//! Text of models, tools and other people made harmless for a terminal.                               (pure)

use openclaw_shared::log::printable;

/// How many marks may stand on one letter. More than that is a tower, which terminals and people are slow to read.
const MARKS: usize = 4;
/// What a tab becomes: what a tab is worth depends on where it stands, which text that is wrapped does not know.
const TAB: &str = "    ";

/// The same text in lines, none of which can command a terminal: control characters and direction overrides are shown as
/// escapes, and what has no width (joiners, marks of direction) is left out.
#[must_use]
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\n' => out.push('\n'),
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' => out.push('\n'),
            '\t' => out.push_str(TAB),
            '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => {}
            '\u{e0000}'..='\u{e0fff}' => {}
            '\u{0300}'..='\u{036f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}' => {
                marks += 1;
                if marks <= MARKS {
                    out.push(character);
                }
                continue;
            }
            other if other.is_control() || is_override(other) => {
                out.push_str(&printable(other.encode_utf8(&mut [0; 4])));
            }
            other => out.push(other),
        }
        marks = 0;
    }
    out
}

const fn is_override(character: char) -> bool {
    matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn rule_99_what_a_model_says_cannot_command_a_terminal() {
        for (said, shown) in [
            ("plain – text ✓\nsecond", "plain – text ✓\nsecond"),
            ("a\r\nb\rc\td", "a\nb\nc    d"),
            ("\x1b]0;title\x07x", "\\u{1b}]0;title\\u{7}x"),
            ("\x1b[2J\u{9b}31m", "\\u{1b}[2J\\u{9b}31m"),
            ("abc\u{202e}fed", "abc\\u{202e}fed"),
            ("a\u{200b}b\u{feff}c\u{e0041}", "abc"),
            ("e\u{301}", "e\u{301}"),
            (
                "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}f",
                "e\u{301}\u{301}\u{301}\u{301}f",
            ),
            ("\u{0}\u{8}\u{7f}", "\\u{0}\\u{8}\\u{7f}"),
        ] {
            assert_eq!(harmless(said), shown);
        }
    }
}
