//! The whole log that is kept on this machine, searched for what is wanted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::PathBuf;

use openclaw_shared::clock::WallTime;

use super::filter::Filter;
use super::line::Line;

/// The files of a log, the oldest first, and how far the last of them is read.
#[derive(Debug)]
pub(super) struct History {
    pub(super) files: Vec<PathBuf>,
    /// Where the reader of the newest file goes on.
    pub(super) until: u64,
}

impl History {
    /// The newest lines that are wanted, the oldest of them first. A file that cannot be read is left out.
    pub(super) fn search(&self, filter: &Filter, limit: usize) -> Vec<String> {
        let mut found = VecDeque::new();
        for (place, path) in self.files.iter().enumerate() {
            let bytes = match place + 1 == self.files.len() {
                true => self.until,
                false => u64::MAX,
            };
            // What was in it before it could not be read any more counts.
            let _ = read(path, bytes, filter, limit, &mut found);
        }
        found.into()
    }
}

fn read(
    path: &PathBuf,
    bytes: u64,
    filter: &Filter,
    limit: usize,
    found: &mut VecDeque<String>,
) -> io::Result<()> {
    let file = File::open(path)?;
    if let (Some(since), Ok(changed)) = (filter.since(), file.metadata()?.modified())
        && WallTime::from(changed) < since
    {
        return Ok(());
    }
    for line in BufReader::new(file.take(bytes)).split(b'\n') {
        let line = line?;
        let raw = String::from_utf8_lossy(&line);
        if raw.is_empty() || !filter.may_take(&raw) || !filter.takes(&Line::parse(&raw)) {
            continue;
        }
        if found.len() == limit {
            found.pop_front();
        }
        found.push_back(raw.into_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_all_files_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let history = History {
            files: vec![
                file("1", "one\ntwo\n"),
                folder.path().join("gone"),
                file("2", "three\nfour\nfive\n"),
            ],
            until: "three\nfour\n".len() as u64,
        };
        let all = Filter::default();
        assert_eq!(history.search(&all, 10), ["one", "two", "three", "four"]);
        assert_eq!(history.search(&all, 3), ["two", "three", "four"]);
    }
}
