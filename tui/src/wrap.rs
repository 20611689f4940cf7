//! Text cut into lines of a terminal's width.                                                          (pure)

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// How many columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    // A letter with its marks, and an emoji with its colour, is as wide as the terminal draws it: the widest of its parts.
    text.graphemes(true)
        .map(|grapheme| grapheme.width().min(2))
        .sum()
}

/// Cuts a text into lines that are at most so many columns wide: between words where there are any, else within them. Line ends
/// of the text stay. There is at least one line.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    text.split('\n')
        .flat_map(|line| wrap_line(line, columns))
        .collect()
}

fn wrap_line(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut room = columns;
    for word in text.split_word_bounds() {
        let wide = width(word);
        if wide <= room {
            line.push_str(word);
            room -= wide;
            continue;
        }
        let is_blank = word.trim().is_empty();
        if !line.is_empty() && wide <= columns {
            lines.push(std::mem::take(&mut line));
            room = columns;
            // The blank between two lines is the end of the first.
            if !is_blank {
                line.push_str(word);
                room -= wide;
            }
            continue;
        }
        for grapheme in word.graphemes(true) {
            let wide = width(grapheme);
            if wide > room {
                lines.push(std::mem::take(&mut line));
                room = columns;
            }
            line.push_str(grapheme);
            room -= wide.min(room);
        }
    }
    lines.push(line);
    lines
}

/// A text that fits so many columns; what does not ends in `…`.
pub(crate) fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut room = columns.saturating_sub(1);
    for grapheme in text.graphemes(true) {
        let wide = width(grapheme);
        if wide > room {
            break;
        }
        short.push_str(grapheme);
        room -= wide;
    }
    if columns > 0 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, columns: usize, lines: &[&str]) {
        assert_eq!(wrap(text, columns), lines, "{text:?} in {columns}");
        for line in wrap(text, columns) {
            assert!(
                width(&line) <= columns.max(2),
                "{line:?} is wider than {columns}"
            );
        }
    }

    #[test]
    fn lines_break_between_words() {
        check("", 5, &[""]);
        check("one two three", 8, &["one two ", "three"]);
        check("one two", 7, &["one two"]);
        check("one two", 3, &["one", "two"]);
        check("a\n\nb", 5, &["a", "", "b"]);
        check("abcdefgh ij", 3, &["abc", "def", "gh ", "ij"]);
        check("  indented", 12, &["  indented"]);
    }

    #[test]
    fn wide_letters_take_two_columns() {
        check("日本語日本語", 5, &["日本", "語日", "本語"]);
        check(
            "e\u{301}e\u{301}e\u{301}",
            2,
            &["e\u{301}e\u{301}", "e\u{301}"],
        );
        check("👍👍", 3, &["👍", "👍"]);
        check("a👍", 1, &["a", "👍"]);
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abcd", 3), "ab…");
        assert_eq!(shorten("日本語", 4), "日…");
        assert_eq!(shorten("abc", 0), "");
    }
}
