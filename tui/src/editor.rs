//! What is being typed: a text of one or several lines, with a cursor, and what was sent before.         (pure)

use std::ops::Range;

use openclaw_client::harmless;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::wrap::{width, wrap};

/// The longest text, in bytes: what the gateway takes in one frame, with room for the rest of it.
pub(crate) const LONGEST: usize = 256 * 1024;
/// How many sent texts are remembered.
const REMEMBERED: usize = 100;

/// How the cursor moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Left,
    Right,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
}

/// The text, and where the cursor is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Editor {
    text: String,
    /// In bytes, between two graphemes.
    cursor: usize,
    sent: Vec<String>,
    /// Which of the sent texts is shown, counted from the newest, and what was typed before.
    recalled: Option<(usize, String)>,
}

/// The text as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) lines: Vec<String>,
    /// Row and column of the cursor.
    pub(crate) cursor: (usize, usize),
}

impl Editor {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Inserts what was typed or pasted. What has no place in a message is left out. Says whether there was room.
    pub(crate) fn insert(&mut self, text: &str) -> bool {
        let text = harmless(text);
        if self.text.len() + text.len() > LONGEST {
            return false;
        }
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        true
    }

    /// Takes the text out to send it.
    pub(crate) fn take(&mut self) -> String {
        let text = std::mem::take(&mut self.text);
        self.cursor = 0;
        self.recalled = None;
        if !text.trim().is_empty() && self.sent.last() != Some(&text) {
            self.sent.push(text.clone());
            if self.sent.len() > REMEMBERED {
                self.sent.remove(0);
            }
        }
        text
    }

    pub(crate) fn clear(&mut self) {
        self.replace(String::new());
        self.recalled = None;
    }

    fn replace(&mut self, text: String) {
        self.cursor = text.len();
        self.text = text;
    }

    /// Where the cursor would be after a move.
    fn after(&self, step: Move) -> usize {
        let (before, behind) = self.text.split_at(self.cursor);
        let is_word = |word: &(usize, &str)| !word.1.trim().is_empty();
        match step {
            Move::Left => before
                .grapheme_indices(true)
                .next_back()
                .map_or(0, |(at, _)| at),
            Move::Right => behind
                .graphemes(true)
                .next()
                .map_or(self.cursor, |grapheme| self.cursor + grapheme.len()),
            Move::WordLeft => before
                .split_word_bound_indices()
                .rfind(is_word)
                .map_or(0, |(at, _)| at),
            Move::WordRight => behind
                .split_word_bound_indices()
                .find(is_word)
                .map_or(self.text.len(), |(at, word)| self.cursor + at + word.len()),
            Move::LineStart => before.rfind('\n').map_or(0, |at| at + 1),
            Move::LineEnd => behind
                .find('\n')
                .map_or(self.text.len(), |at| self.cursor + at),
        }
    }

    pub(crate) fn go(&mut self, step: Move) {
        self.cursor = self.after(step);
    }

    /// Removes everything up to where a move would lead.
    pub(crate) fn remove(&mut self, step: Move) {
        let to = self.after(step);
        let range: Range<usize> = to.min(self.cursor)..to.max(self.cursor);
        self.cursor = range.start;
        self.text.replace_range(range, "");
    }

    /// Goes a line up, or from the first line to what was sent before.
    pub(crate) fn up(&mut self) {
        let start = self.after(Move::LineStart);
        if start == 0 {
            return self.recall(1);
        }
        let above = self.text[..start - 1].rfind('\n').map_or(0, |at| at + 1);
        self.cursor = at_column(&self.text, above, width(&self.text[start..self.cursor]));
    }

    /// Goes a line down, or from the last line to what was sent later.
    pub(crate) fn down(&mut self) {
        let end = self.after(Move::LineEnd);
        if end == self.text.len() {
            return self.recall(-1);
        }
        let column = width(&self.text[self.after(Move::LineStart)..self.cursor]);
        self.cursor = at_column(&self.text, end + 1, column);
    }

    fn recall(&mut self, step: isize) {
        let now = self.recalled.as_ref().map_or(0, |(number, _)| *number);
        let Some(wanted) = now
            .checked_add_signed(step)
            .filter(|wanted| *wanted <= self.sent.len())
        else {
            return;
        };
        if wanted == now {
            return;
        }
        let typed = match self.recalled.take() {
            Some((_, typed)) => typed,
            None => self.text.clone(),
        };
        if wanted == 0 {
            return self.replace(typed);
        }
        let text = self.sent[self.sent.len() - wanted].clone();
        self.replace(text);
        self.recalled = Some((wanted, typed));
    }

    /// The text in lines of a width, and where the cursor stands among them.
    pub(crate) fn shown(&self, columns: usize) -> Shown {
        let before = wrap(&self.text[..self.cursor], columns);
        let whole = wrap(&self.text, columns);
        let row = before.len() - 1;
        let column = width(&before[row]);
        // A word that goes on behind the cursor may have moved to the next line as a whole.
        let is_same = whole
            .get(row)
            .is_some_and(|line| line.starts_with(&*before[row]));
        if is_same && column < columns.max(2) {
            return Shown {
                lines: whole,
                cursor: (row, column),
            };
        }
        // Then the cursor is where the text behind it begins.
        let mut lines = before;
        let rest = wrap(
            &self.text[self.cursor..],
            columns.max(2) - column.min(columns.max(2) - 2),
        );
        let mut cursor = (row, column);
        let mut rest = rest.into_iter();
        if column >= columns.max(2) {
            lines.push(String::new());
            cursor = (row + 1, 0);
        }
        if let (Some(last), Some(first)) = (lines.last_mut(), rest.next()) {
            last.push_str(&first);
        }
        lines.extend(rest);
        Shown { lines, cursor }
    }
}

/// The place in the line that begins at `start` which is so many columns in, or its end.
fn at_column(text: &str, start: usize, column: usize) -> usize {
    let mut at = start;
    let mut seen = 0;
    for grapheme in text[start..].graphemes(true) {
        if grapheme == "\n" || seen >= column {
            break;
        }
        seen += width(grapheme);
        at += grapheme.len();
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Editor {
        let mut editor = Editor::default();
        assert!(editor.insert(text));
        editor
    }

    /// The text with a bar where the cursor is.
    fn state(editor: &Editor) -> String {
        let (before, behind) = editor.text.split_at(editor.cursor);
        format!("{before}|{behind}")
    }

    #[test]
    fn the_cursor_moves_by_what_people_see_as_letters_and_words() {
        let mut editor = typed("ae\u{301} 👍🏽 word");
        for (step, after) in [
            (Move::WordLeft, "ae\u{301} 👍🏽 |word"),
            (Move::Left, "ae\u{301} 👍🏽| word"),
            (Move::Left, "ae\u{301} |👍🏽 word"),
            (Move::Left, "ae\u{301}| 👍🏽 word"),
            (Move::Left, "a|e\u{301} 👍🏽 word"),
            (Move::WordRight, "ae\u{301}| 👍🏽 word"),
            (Move::LineEnd, "ae\u{301} 👍🏽 word|"),
            (Move::LineStart, "|ae\u{301} 👍🏽 word"),
            (Move::Left, "|ae\u{301} 👍🏽 word"),
            (Move::Right, "a|e\u{301} 👍🏽 word"),
        ] {
            editor.go(step);
            assert_eq!(state(&editor), after, "{step:?}");
        }
        editor.remove(Move::Right);
        assert_eq!(state(&editor), "a| 👍🏽 word");
        editor.remove(Move::LineEnd);
        assert_eq!(state(&editor), "a|");
        editor.remove(Move::Left);
        editor.remove(Move::Left);
        assert_eq!(state(&editor), "|");
    }

    #[test]
    fn up_and_down_go_through_lines_and_then_through_what_was_sent() {
        let mut editor = typed("first");
        editor.take();
        editor.insert("second\nlong");
        editor.take();
        editor.insert("draft");
        editor.up();
        assert_eq!(state(&editor), "second\nlong|");
        editor.up();
        assert_eq!(state(&editor), "seco|nd\nlong");
        editor.up();
        assert_eq!(state(&editor), "first|");
        editor.up();
        assert_eq!(state(&editor), "first|");
        editor.down();
        editor.down();
        assert_eq!(state(&editor), "draft|");
    }

    #[test]
    fn what_is_pasted_cannot_command_the_terminal_and_has_a_bound() {
        let mut editor = typed("a\r\nb\x1b[2J\tc");
        assert_eq!(editor.text(), "a\nb\\u{1b}[2J    c");
        assert!(!editor.insert(&"x".repeat(LONGEST)));
        assert_eq!(editor.text(), "a\nb\\u{1b}[2J    c");
    }

    #[test]
    fn the_cursor_is_shown_where_the_next_letter_will_be() {
        for (text, back, columns, lines, cursor) in [
            ("", 0, 5, vec![""], (0, 0)),
            ("abc", 0, 5, vec!["abc"], (0, 3)),
            ("abcde", 0, 5, vec!["abcde", ""], (1, 0)),
            ("ab\ncd", 0, 5, vec!["ab", "cd"], (1, 2)),
            ("日本", 1, 5, vec!["日本"], (0, 2)),
        ] {
            let mut editor = typed(text);
            (0..back).for_each(|_| editor.go(Move::Left));
            assert_eq!(
                editor.shown(columns),
                Shown {
                    lines: lines.into_iter().map(str::to_owned).collect(),
                    cursor
                },
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_cursor_is_always_within_what_is_shown() {
        let text = "one twothree 日本語 four\nfive  six seveneightnine👍";
        for columns in 2..20 {
            let mut editor = typed(text);
            while editor.cursor > 0 {
                let shown = editor.shown(columns);
                let (row, column) = shown.cursor;
                assert!(
                    row < shown.lines.len() && column < columns,
                    "{columns}: {shown:?}"
                );
                editor.go(Move::Left);
            }
        }
    }
}
