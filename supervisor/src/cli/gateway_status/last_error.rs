//! The last thing that went wrong, from the end of the log file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use openclaw_shared::log::printable;
use serde_json::Value;

/// How far back an error is looked for.
const LOOK_BACK: u64 = 256 * 1024;

/// The text of the last error in a log file.
pub(super) fn of(path: &Path) -> Option<String> {
    last_error(&end_of(path).ok()?)
}

fn end_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOOK_BACK)))?;
    let mut bytes = Vec::new();
    file.take(LOOK_BACK).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn last_error(text: &str) -> Option<String> {
    text.lines().rev().find_map(|line| {
        let record: Value = serde_json::from_str(line).ok()?;
        let level = record["_meta"]["logLevelName"].as_str()?;
        if !matches!(level, "ERROR" | "FATAL") {
            return None;
        }
        let (text, fields) = match record["1"].as_str() {
            Some(text) => (text, None),
            None => (record["2"].as_str()?, record["1"].as_object()),
        };
        let why = fields.and_then(|fields| fields.get("error").or_else(|| fields.get("reason")));
        let why = why
            .and_then(Value::as_str)
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        let time = record["time"].as_str().unwrap_or_default();
        Some(printable(&format!("{time} {text}{why}")))
    })
}

#[cfg(test)]
mod tests {
    use super::last_error;

    #[test]
    fn the_last_error_is_found_behind_later_news() {
        let text = concat!(
            r#"{"1":"first","_meta":{"logLevelName":"ERROR"},"time":"t1"}"#,
            "\n",
            r#"{"1":{"error":"why"},"2":"second","_meta":{"logLevelName":"ERROR"},"time":"t2"}"#,
            "\n",
            r#"{"1":"fine","_meta":{"logLevelName":"INFO"},"time":"t3"}"#,
            "\nhalf a li"
        );
        assert_eq!(last_error(text).as_deref(), Some("t2 second: why"));
        assert_eq!(last_error("nothing here\n"), None);
    }
}
