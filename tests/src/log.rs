//! The log files of an instance, as records.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::eventually::eventually;

/// The log of one instance.
#[derive(Debug, Clone)]
pub struct Log {
    folder: PathBuf,
}

impl Log {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Everything that was written, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return String::new();
        };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        files.sort();
        files
            .iter()
            .map(|file| fs::read_to_string(file).unwrap_or_default())
            .collect()
    }

    /// Every record.
    ///
    /// # Panics
    /// When a line is none.
    #[must_use]
    pub fn records(&self) -> Vec<Value> {
        let text = self.text();
        // The last line may be on its way.
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        complete
            .lines()
            .map(|line| {
                serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("not a record ({error}): {line}"))
            })
            .collect()
    }

    /// The records with this text.
    #[must_use]
    pub fn with_text(&self, text: &str) -> Vec<Value> {
        self.records()
            .into_iter()
            .filter(|record| message(record) == text)
            .collect()
    }

    /// Waits for a record with this text.
    pub async fn said(&self, text: &str) -> Value {
        eventually(&format!("the log says {text:?}"), async || {
            self.with_text(text).pop().ok_or("no such record yet")
        })
        .await
    }
}

/// The text of a record, without its fields.
#[must_use]
pub fn message(record: &Value) -> &str {
    record["2"]
        .as_str()
        .or_else(|| record["1"].as_str())
        .unwrap_or_default()
}
