//! A piece of a log file: as the gateway answers it, or read here by the same rules.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::Value;

/// The answer of `logs.tail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) file: String,
    pub(super) cursor: u64,
    pub(super) size: u64,
    pub(super) lines: Vec<String>,
    pub(super) truncated: bool,
    pub(super) reset: bool,
}

impl Chunk {
    /// Reads what a gateway answered.
    pub(super) fn from_answer(answer: &Value) -> Option<Self> {
        let lines = answer["lines"].as_array()?;
        Some(Self {
            file: answer["file"].as_str()?.to_owned(),
            cursor: answer["cursor"].as_u64()?,
            size: answer["size"].as_u64().unwrap_or_default(),
            lines: lines
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            truncated: answer["truncated"].as_bool().unwrap_or(false),
            reset: answer["reset"].as_bool().unwrap_or(false),
        })
    }
}

/// Reads on from a cursor (a byte of the file), or the end of the file when there is none; `limits` are lines and bytes.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn read(
    path: &Path,
    name: &str,
    cursor: Option<u64>,
    (limit, max_bytes): (u64, u64),
) -> io::Result<Chunk> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    // A cursor beyond the end belongs to another file.
    let known = cursor.filter(|cursor| *cursor <= size);
    let start = start_of(known, size, max_bytes);
    let at_cursor = known == Some(start);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(size - start).read_to_end(&mut bytes)?;
    let (lines, used) = whole_lines(&bytes, start == 0 || at_cursor);
    let skipped = lines
        .len()
        .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Chunk {
        file: name.to_owned(),
        cursor: start + used,
        size,
        truncated: known.is_none() && start > 0,
        lines: lines.into_iter().skip(skipped).collect(),
        reset: cursor.is_some() && !at_cursor,
    })
}

/// Where to begin: at the cursor, unless it fell behind by more than one piece.
const fn start_of(cursor: Option<u64>, size: u64, max_bytes: u64) -> u64 {
    let earliest = size.saturating_sub(max_bytes);
    match cursor {
        Some(cursor) if cursor >= earliest => cursor,
        Some(_) | None => earliest,
    }
}

/// The complete lines of a piece and the bytes they take; a line that is still being written waits for the next look.
fn whole_lines(bytes: &[u8], from_line_start: bool) -> (Vec<String>, u64) {
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
        return (Vec::new(), 0);
    };
    let lines = bytes[..end].split(|byte| *byte == b'\n');
    let lines = lines
        .skip(usize::from(!from_line_start))
        .filter(|line| !line.is_empty())
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    (lines, end as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        content: &str,
        cursor: Option<u64>,
        max_bytes: u64,
        expected: (&[&str], u64, bool, bool),
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let chunk = read(file.path(), "log", cursor, (3, max_bytes)).unwrap();
        let lines: Vec<&str> = chunk.lines.iter().map(String::as_str).collect();
        assert_eq!(
            (lines.as_slice(), chunk.cursor, chunk.truncated, chunk.reset),
            expected
        );
    }

    #[test]
    fn the_file_is_read_by_the_rules_of_the_method() {
        check("a\nb\n", None, 100, (&["a", "b"], 4, false, false));
        check("a\nb\nhalf", None, 100, (&["a", "b"], 4, false, false));
        check(
            "1\n2\n3\n4\n5\n",
            None,
            100,
            (&["3", "4", "5"], 10, false, false),
        );
        // The first line is cut by the limit and therefore dropped.
        check("long line\nb\n", None, 5, (&["b"], 12, true, false));
        check("a\nb\nc\n", Some(2), 100, (&["b", "c"], 6, false, false));
        check("a\nb\n", Some(4), 100, (&[], 4, false, false));
        check("a\n", Some(50), 100, (&["a"], 2, false, true));
        check(
            "aaaa\nbbbb\ncccc\n",
            Some(0),
            7,
            (&["cccc"], 15, false, true),
        );
    }
}
