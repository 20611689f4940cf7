//! The list that a session is picked from.

use crossterm::event::KeyCode;
use openclaw_client::harmless;
use serde_json::Value;

/// A session to pick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    key: String,
    /// The key as it is shown.
    pub(crate) shown: String,
    /// What it is about.
    pub(crate) title: String,
}

/// The sessions, what was typed to find one, and which is chosen.
#[derive(Debug, Default)]
pub(crate) struct Picker {
    rows: Option<Vec<Row>>,
    pub(crate) wanted: String,
    chosen: usize,
}

impl Picker {
    /// Whether the sessions are not known yet.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.rows.is_none()
    }

    /// Takes in the answer of `sessions.list`.
    pub(crate) fn fill(&mut self, answer: &Value) {
        let line = |text: &str| harmless(text).replace('\n', " ");
        let rows = answer["sessions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|session| {
                let key = session["key"].as_str()?;
                let titles = ["label", "derivedTitle", "displayName"].iter();
                let title = titles
                    .filter_map(|name| session[*name].as_str())
                    .find(|title| !title.is_empty());
                Some(Row {
                    key: key.to_owned(),
                    shown: line(key),
                    title: line(title.unwrap_or_default()),
                })
            });
        self.rows = Some(rows.collect());
    }

    /// The sessions that fit what was typed, and which of them is chosen.
    pub(crate) fn rows(&self) -> (Vec<&Row>, usize) {
        let wanted = self.wanted.to_lowercase();
        let fits = |row: &&Row| {
            row.key.to_lowercase().contains(&wanted) || row.title.to_lowercase().contains(&wanted)
        };
        let rows: Vec<&Row> = self.rows.iter().flatten().filter(fits).collect();
        let chosen = self.chosen.min(rows.len().saturating_sub(1));
        (rows, chosen)
    }

    /// The key of the session that is chosen.
    pub(crate) fn chosen(&self) -> Option<&str> {
        let (rows, chosen) = self.rows();
        rows.get(chosen).map(|row| row.key.as_str())
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the keys are crossterm's; those that mean nothing here are ignored"
    )]
    pub(crate) fn key(&mut self, code: KeyCode) {
        let (rows, chosen) = self.rows();
        let last = rows.len().saturating_sub(1);
        match code {
            KeyCode::Up => self.chosen = chosen.saturating_sub(1),
            KeyCode::Down => self.chosen = (chosen + 1).min(last),
            KeyCode::Home => self.chosen = 0,
            KeyCode::End => self.chosen = last,
            KeyCode::Char(letter) if !letter.is_control() && self.wanted.len() < 100 => {
                self.wanted.push(letter);
                self.chosen = 0;
            }
            KeyCode::Backspace => {
                self.wanted.pop();
                self.chosen = 0;
            }
            _ => {}
        }
    }
}
