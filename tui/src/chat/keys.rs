//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use openclaw_shared::clock::Moment;

use super::{Chat, Effect, RUNS};
use crate::editor::Move;

impl Chat {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the keys are crossterm's; those that mean nothing here are ignored"
    )]
    pub(super) fn key(&mut self, now: Moment, key: KeyEvent) -> Vec<Effect> {
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        let is_ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let is_alt = key.modifiers.contains(KeyModifiers::ALT);
        let was_leaving = std::mem::take(&mut self.is_leaving);
        if is_ctrl && key.code == KeyCode::Char('c') {
            return self.interrupt(was_leaving);
        }
        if self.picker.is_some() {
            return self.key_for_picker(key);
        }
        match key.code {
            KeyCode::Char('d') if is_ctrl && self.editor.is_empty() => return vec![Effect::Quit],
            KeyCode::Char('d') if is_ctrl => self.editor.remove(Move::Right),
            KeyCode::Char('p') if is_ctrl => return self.pick_session(),
            KeyCode::Char('l') if is_ctrl => return vec![Effect::Redraw],
            KeyCode::Char('j') if is_ctrl => self.type_in("\n"),
            KeyCode::Char('a') if is_ctrl => self.editor.go(Move::LineStart),
            KeyCode::Char('e') if is_ctrl => self.editor.go(Move::LineEnd),
            KeyCode::Char('b') if is_alt => self.editor.go(Move::WordLeft),
            KeyCode::Char('f') if is_alt => self.editor.go(Move::WordRight),
            KeyCode::Char('u') if is_ctrl => self.editor.remove(Move::LineStart),
            KeyCode::Char('k') if is_ctrl => self.editor.remove(Move::LineEnd),
            KeyCode::Char('w') if is_ctrl => self.editor.remove(Move::WordLeft),
            KeyCode::Char(_) if is_ctrl || is_alt => {}
            KeyCode::Char(letter) => self.type_in(letter.encode_utf8(&mut [0; 4])),
            KeyCode::Enter if is_alt || key.modifiers.contains(KeyModifiers::SHIFT) => {
                self.type_in("\n")
            }
            KeyCode::Enter => return self.enter(now),
            KeyCode::Esc if self.is_busy() => return self.abort(),
            KeyCode::Esc => self.below = 0,
            KeyCode::Tab => self.type_in("    "),
            KeyCode::Backspace if is_alt || is_ctrl => self.editor.remove(Move::WordLeft),
            KeyCode::Backspace => self.editor.remove(Move::Left),
            KeyCode::Delete => self.editor.remove(Move::Right),
            KeyCode::Left if is_ctrl || is_alt => self.editor.go(Move::WordLeft),
            KeyCode::Right if is_ctrl || is_alt => self.editor.go(Move::WordRight),
            KeyCode::Left => self.editor.go(Move::Left),
            KeyCode::Right => self.editor.go(Move::Right),
            KeyCode::Home if is_ctrl => self.below = usize::MAX,
            KeyCode::End if is_ctrl => self.below = 0,
            KeyCode::Home => self.editor.go(Move::LineStart),
            KeyCode::End => self.editor.go(Move::LineEnd),
            KeyCode::Up if is_ctrl => self.scroll(1),
            KeyCode::Down if is_ctrl => self.scroll(-1),
            KeyCode::Up => self.editor.up(),
            KeyCode::Down => self.editor.down(),
            KeyCode::PageUp => self.scroll(self.page()),
            KeyCode::PageDown => self.scroll(-self.page()),
            _ => {}
        }
        Vec::new()
    }

    /// Ctrl-C clears what was typed; said twice, it ends the chat.
    fn interrupt(&mut self, was_leaving: bool) -> Vec<Effect> {
        if was_leaving {
            return vec![Effect::Quit];
        }
        self.picker = None;
        self.editor.clear();
        self.is_leaving = true;
        Vec::new()
    }

    fn key_for_picker(&mut self, key: KeyEvent) -> Vec<Effect> {
        let Some(picker) = &mut self.picker else {
            return Vec::new();
        };
        if key.code == KeyCode::Esc {
            self.picker = None;
        } else if key.code != KeyCode::Enter {
            picker.key(key.code);
        } else if let Some(session) = picker.chosen().map(str::to_owned) {
            return self.open(session);
        }
        Vec::new()
    }

    pub(super) fn paste(&mut self, text: &str) {
        self.is_leaving = false;
        self.type_in(text);
    }

    fn type_in(&mut self, text: &str) {
        if !self.editor.insert(text) {
            self.refuse("That is longer than the gateway takes.");
        }
    }

    fn enter(&mut self, now: Moment) -> Vec<Effect> {
        if self.editor.text().trim().is_empty() {
            return Vec::new();
        }
        if let Some(effects) = self.command() {
            return effects;
        }
        // Before the gateway has said what sessions are called, and when too much waits for it, what was typed stays there.
        if self.session.is_empty() || self.runs.len() >= RUNS {
            return self.refuse("Not connected; what you typed stays here.");
        }
        let text = self.editor.take();
        self.send(now, text.trim())
    }

    fn page(&self) -> isize {
        let (_, fitting) = self.seen;
        isize::try_from(fitting.saturating_sub(1).max(1)).unwrap_or(1)
    }

    fn scroll(&mut self, lines: isize) {
        let (count, fitting) = self.seen;
        let below = self.below.saturating_add_signed(lines);
        self.below = below.min(count.saturating_sub(fitting));
    }
}
