//! The newest lines of a file that grows, and is replaced by a new one now and then.
//!
//! The cursor is a byte offset and names no file, so a rotation shows as a cursor beyond the end. Invariant: only whole
//! lines are given, and the next cursor is behind the last of them, so that a line is neither cut nor given twice.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use openclaw_shared::protocol::params::logs::LogsTailParams;

const DEFAULT_LIMIT: usize = 500;
const DEFAULT_MAX_BYTES: u64 = 250_000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) cursor: Option<u64>,
    pub(crate) limit: usize,
    pub(crate) max_bytes: u64,
}

impl From<LogsTailParams> for Wanted {
    fn from(params: LogsTailParams) -> Self {
        Self {
            cursor: params.cursor.map(|cursor| cursor.get_unsigned()),
            limit: params
                .limit
                .and_then(|limit| usize::try_from(limit.get()).ok())
                .unwrap_or(DEFAULT_LIMIT),
            max_bytes: params
                .max_bytes
                .map_or(DEFAULT_MAX_BYTES, |bytes| bytes.get_unsigned()),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tail {
    pub(crate) cursor: u64,
    pub(crate) size: u64,
    pub(crate) lines: Vec<String>,
    pub(crate) truncated: bool,
    pub(crate) reset: bool,
}

/// Which part of a file to read, given its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    from: u64,
    /// The first line may be cut and is then dropped.
    mid_line: bool,
    truncated: bool,
    reset: bool,
}

fn plan(size: u64, wanted: Wanted) -> Plan {
    let newest = size.saturating_sub(wanted.max_bytes);
    match wanted.cursor {
        Some(cursor) if cursor > size => Plan {
            from: newest,
            mid_line: newest > 0,
            truncated: newest > 0,
            reset: true,
        },
        Some(cursor) if size - cursor > wanted.max_bytes => Plan {
            from: newest,
            mid_line: true,
            truncated: true,
            reset: true,
        },
        Some(cursor) => Plan {
            from: cursor,
            mid_line: false,
            truncated: false,
            reset: false,
        },
        None => Plan {
            from: newest,
            mid_line: newest > 0,
            truncated: newest > 0,
            reset: false,
        },
    }
}

/// Reads the newest lines of a file; a file that does not exist is an empty one.
pub(crate) fn tail(path: &Path, wanted: Wanted) -> io::Result<Tail> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let reset = wanted.cursor.is_some_and(|cursor| cursor > 0);
            return Ok(Tail {
                reset,
                ..Tail::default()
            });
        }
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let mut plan = plan(size, wanted);
    // One byte earlier tells whether the part begins with a line.
    let from = plan.from.saturating_sub(u64::from(plan.mid_line));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(size - from).read_to_end(&mut bytes)?;
    if plan.mid_line {
        plan.mid_line = bytes.first() != Some(&b'\n');
        bytes.drain(..bytes.len().min(1));
    }
    Ok(cut_into_lines(&bytes, size, plan, wanted))
}

fn cut_into_lines(bytes: &[u8], size: u64, plan: Plan, wanted: Wanted) -> Tail {
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let unfinished = (bytes.len() - whole) as u64;
    let mut lines: Vec<&[u8]> = bytes[..whole]
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    if plan.mid_line && !lines.is_empty() {
        lines.remove(0);
    }
    let surplus = lines.len().saturating_sub(wanted.limit);
    let lines = lines.split_off(surplus);
    Tail {
        // A line that fills everything asked for is skipped, or its reader would never get beyond it.
        cursor: if unfinished < wanted.max_bytes {
            size - unfinished
        } else {
            size
        },
        size,
        lines: lines
            .into_iter()
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect(),
        truncated: plan.truncated || surplus > 0,
        reset: plan.reset,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::{Tail, Wanted, tail};

    fn wanted(cursor: Option<u64>, limit: usize, max_bytes: u64) -> Wanted {
        Wanted {
            cursor,
            limit,
            max_bytes,
        }
    }

    fn read(text: &str, wanted: Wanted) -> Tail {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        tail(file.path(), wanted).unwrap()
    }

    #[track_caller]
    fn check(text: &str, asked: Wanted, lines: &[&str], cursor: u64, flags: (bool, bool)) {
        let seen = read(text, asked);
        assert_eq!(seen.lines, lines);
        assert_eq!((seen.cursor, seen.size), (cursor, text.len() as u64));
        assert_eq!((seen.truncated, seen.reset), flags, "truncated, reset");
    }

    #[test]
    fn the_newest_lines_are_given_and_the_cursor_goes_on_from_them() {
        check(
            "a\nb\nc\n",
            wanted(None, 10, 100),
            &["a", "b", "c"],
            6,
            (false, false),
        );
        check(
            "a\nb\nc\n",
            wanted(None, 2, 100),
            &["b", "c"],
            6,
            (true, false),
        );
        check(
            "a\nb\nc\n",
            wanted(Some(2), 10, 100),
            &["b", "c"],
            6,
            (false, false),
        );
        check(
            "a\nb\nc\n",
            wanted(Some(6), 10, 100),
            &[],
            6,
            (false, false),
        );
        check("", wanted(None, 10, 100), &[], 0, (false, false));
    }

    #[test]
    fn a_part_that_begins_within_a_line_drops_it() {
        check("aaaa\nbb\n", wanted(None, 10, 5), &["bb"], 8, (true, false));
        check("aaaa\nbb\n", wanted(None, 10, 3), &["bb"], 8, (true, false));
    }

    #[test]
    fn a_cursor_of_no_use_is_reset() {
        check(
            "a\nb\n",
            wanted(Some(100), 10, 100),
            &["a", "b"],
            4,
            (false, true),
        );
        check(
            "aaaa\nbb\ncc\n",
            wanted(Some(0), 10, 3),
            &["cc"],
            11,
            (true, true),
        );
        let gone = tail(
            std::path::Path::new("/nonexistent/log"),
            wanted(Some(5), 10, 10),
        )
        .unwrap();
        assert!(gone.reset && gone.lines.is_empty() && gone.cursor == 0);
    }

    #[test]
    fn a_line_that_is_still_being_written_waits() {
        check("a\nb", wanted(None, 10, 100), &["a"], 2, (false, false));
        check("a\nb", wanted(Some(2), 10, 100), &[], 2, (false, false));
        check(
            "a\nb\n",
            wanted(Some(2), 10, 100),
            &["b"],
            4,
            (false, false),
        );
    }

    proptest! {
        #[test]
        fn following_gives_every_line_once(
            lines in prop::collection::vec("[a-z]{1,20}", 1..40),
            cuts in prop::collection::vec(0usize..400, 1..20),
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let mut lengths: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
            lengths.sort_unstable();
            lengths.push(text.len());
            let mut cursor = 0;
            let mut seen = Vec::new();
            for length in lengths {
                let tail = read(&text[..length], wanted(Some(cursor), 5000, 1_000_000));
                prop_assert!(!tail.reset && !tail.truncated);
                cursor = tail.cursor;
                seen.extend(tail.lines);
            }
            prop_assert_eq!(seen, lines);
        }
    }
}
