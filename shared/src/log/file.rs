//! The file all processes append to: opens, rotates, prunes, and counts what it cannot write.
//!
//! Each line is one `write` on a descriptor opened for appending, so lines of several processes do not mix. Whoever finds
//! the file full renames it under a lock; the others notice by its identity before their next line.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;

use super::rotation::{Index, Naming, Piece, Step, expired, next_number, step};
use super::settings::LogSettings;
use crate::clock::WallTime;

const LOCK_NAME: &str = ".rotate.lock";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Device and inode: which file a path or a descriptor means.
type Identity = (u64, u64);

#[derive(Debug)]
struct Open {
    file: File,
    identity: Identity,
    path: PathBuf,
}

/// The shared log file, as this process sees it.
#[derive(Debug)]
pub(super) struct LogFile {
    naming: Naming,
    max_file_bytes: u64,
    max_total_bytes: u64,
    keep_days: u32,
    open: Option<Open>,
    /// A write stopped half way; the next line begins on its own line.
    torn: bool,
    loss: Option<Loss>,
}

/// Records that could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) records: u64,
    pub(super) reason: String,
}

/// What became of a line.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Written {
    /// It is in the file.
    Yes,
    /// It is in the file, the first after a time in which records were lost.
    Recovered(Loss),
    /// It is lost, and so may the following be.
    FirstLost(String),
    /// It is lost, like those before.
    Lost,
}

impl LogFile {
    pub(super) fn new(settings: &LogSettings) -> Self {
        Self {
            naming: Naming::of(settings),
            max_file_bytes: settings.max_file_bytes,
            max_total_bytes: settings.max_total_bytes,
            keep_days: settings.keep_days,
            open: None,
            torn: false,
            loss: None,
        }
    }

    pub(super) fn reconfigure(&mut self, settings: &LogSettings) {
        let loss = self.loss.take();
        let kept = (Naming::of(settings) == self.naming)
            .then(|| self.open.take())
            .flatten();
        *self = Self {
            open: kept,
            loss,
            torn: self.torn,
            ..Self::new(settings)
        };
    }

    pub(super) fn path(&self, now: WallTime) -> PathBuf {
        self.naming.live_path(&now.local_date())
    }

    /// Appends one line, which ends in a line feed.
    pub(super) fn write(&mut self, now: WallTime, line: &[u8]) -> Written {
        match self.append(now, line) {
            Ok(()) => self.loss.take().map_or(Written::Yes, Written::Recovered),
            Err(error) => {
                let reason = error.to_string();
                match &mut self.loss {
                    Some(loss) => {
                        loss.records += 1;
                        Written::Lost
                    }
                    none => {
                        *none = Some(Loss {
                            records: 1,
                            reason: reason.clone(),
                        });
                        Written::FirstLost(reason)
                    }
                }
            }
        }
    }

    fn append(&mut self, now: WallTime, line: &[u8]) -> io::Result<()> {
        let date = now.local_date();
        let path = self.naming.live_path(&date);
        let on_disk = std::fs::symlink_metadata(&path).ok();
        let on_disk = on_disk.map(|found| ((found.dev(), found.ino()), found.len()));
        let open = self
            .open
            .as_ref()
            .filter(|open| open.path == path)
            .map(|open| open.identity);
        match step(open, on_disk, line.len() as u64, self.max_file_bytes) {
            Step::Append => {}
            Step::Open => self.reopen(now, path)?,
            Step::Rotate => {
                // A rotation that cannot be done costs a file that is too large, not the record.
                let _ = self.rotate(&date, &path, line.len() as u64);
                self.reopen(now, path)?;
            }
        }
        let Some(open) = &mut self.open else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let torn_line;
        let bytes = if self.torn {
            torn_line = [b"\n", line].concat();
            torn_line.as_slice()
        } else {
            line
        };
        let written = open.file.write(bytes)?;
        self.torn = written < bytes.len();
        if self.torn {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        } else {
            Ok(())
        }
    }

    fn reopen(&mut self, now: WallTime, path: PathBuf) -> io::Result<()> {
        let new_day = self.open.as_ref().is_none_or(|open| open.path != path);
        self.open = None;
        let file = open_private(&path).or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(self.naming.dir())?;
            open_private(&path)
        })?;
        let metadata = file.metadata()?;
        self.torn = self.torn && !new_day;
        self.open = Some(Open {
            file,
            identity: (metadata.dev(), metadata.ino()),
            path,
        });
        if new_day {
            self.prune(now);
        }
        Ok(())
    }

    /// Moves the full file out of the way, unless another process does so at this moment or has just done so.
    fn rotate(&mut self, date: &str, path: &Path, line: u64) -> io::Result<()> {
        let lock = open_private(&self.naming.dir().join(LOCK_NAME))?;
        // Not waited for: a stopped process that holds the lock must not stop this one.
        if lock.try_lock().is_err() {
            return Ok(());
        }
        let bytes = std::fs::symlink_metadata(path)?.len();
        if step(
            None::<Identity>,
            Some(((0, 0), bytes)),
            line,
            self.max_file_bytes,
        ) != Step::Rotate
        {
            return Ok(());
        }
        let pieces = list(&self.naming)?;
        std::fs::rename(
            path,
            self.naming
                .full_path(date, next_number(&self.naming, &pieces, date)),
        )?;
        // The new, empty file exists before the lock is free, so nobody can take the old name for a full file.
        self.open = None;
        open_private(path)?;
        Ok(())
    }

    /// Deletes what is too old or too much.
    pub(super) fn prune(&self, now: WallTime) {
        let Ok(pieces) = list(&self.naming) else {
            return;
        };
        let kept = u64::try_from((DAY * self.keep_days).as_millis()).unwrap_or(u64::MAX);
        let cut_off = WallTime::from_millis(now.as_millis().saturating_sub(kept)).local_date();
        let live = self.naming.live_path(&now.local_date());
        let live_name = live.file_name().unwrap_or_default().to_string_lossy();
        for piece in expired(pieces, &live_name, &cut_off, self.max_total_bytes) {
            // Another process may have been faster, and a file that cannot be deleted is tried again tomorrow.
            let _ = std::fs::remove_file(self.naming.dir().join(piece.name));
        }
    }
}

/// Opens for appending; the file is private from the moment it exists, a link is not followed, and a pipe that nobody
/// reads does not make us wait.
fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)
}

fn list(naming: &Naming) -> io::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for entry in std::fs::read_dir(naming.dir())? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let changed = metadata
            .modified()
            .map_or_else(|_| WallTime::now(), WallTime::from);
        let name = entry.file_name();
        if let (true, Some(name)) = (metadata.is_file(), name.to_str()) {
            pieces.extend(naming.parse(name, &changed.local_date(), metadata.len()));
        }
    }
    Ok(pieces)
}

/// The file of `today`, or the newest one there is.
pub(super) fn newest(naming: &Naming, today: &str) -> Option<PathBuf> {
    let live = naming.live_path(today);
    if live.is_file() {
        return Some(live);
    }
    let mut pieces = list(naming).ok()?;
    pieces.retain(|piece| piece.index == Index::Live);
    pieces
        .into_iter()
        .max()
        .map(|piece| naming.dir().join(piece.name))
}

/// Every file of ours, the oldest first.
pub(super) fn all(naming: &Naming) -> Vec<PathBuf> {
    let mut pieces = list(naming).unwrap_or_default();
    pieces.sort();
    let paths = pieces.into_iter().map(|it| naming.dir().join(it.name));
    paths.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOON: WallTime = WallTime::from_millis(1_795_348_800_000);

    fn settings(dir: &Path) -> LogSettings {
        LogSettings::in_dir(dir.join("logs"))
    }

    fn names(dir: &Path) -> BTreeSet<String> {
        std::fs::read_dir(dir.join("logs"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != LOCK_NAME)
            .collect()
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn rule_101_the_file_is_private_from_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(&settings(dir.path()));
        assert_eq!(file.write(NOON, b"a\n"), Written::Yes);
        assert_eq!(mode(&dir.path().join("logs")), 0o700);
        assert_eq!(mode(&file.path(NOON)), 0o600);
    }

    #[test]
    fn rule_122_a_full_file_is_renamed_and_the_others_follow() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path());
        settings.max_file_bytes = 10;
        let (mut one, mut other) = (LogFile::new(&settings), LogFile::new(&settings));
        assert_eq!(one.write(NOON, b"aaaa\n"), Written::Yes);
        assert_eq!(other.write(NOON, b"bbbb\n"), Written::Yes);
        assert_eq!(one.write(NOON, b"cccc\n"), Written::Yes);
        assert_eq!(other.write(NOON, b"dddd\n"), Written::Yes);
        assert_eq!(other.write(NOON, b"eeee\n"), Written::Yes);
        let read = |number: u32| {
            std::fs::read_to_string(one.naming.full_path(&NOON.local_date(), number)).unwrap()
        };
        assert_eq!(read(1), "aaaa\nbbbb\n");
        assert_eq!(read(2), "cccc\ndddd\n");
        assert_eq!(std::fs::read_to_string(one.path(NOON)).unwrap(), "eeee\n");
        assert_eq!(names(dir.path()).len(), 3);
    }

    #[test]
    fn a_new_day_is_a_new_file_and_old_days_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(&settings(dir.path()));
        let day = |n: u64| WallTime::from_millis(NOON.as_millis() + n * 86_400_000);
        for n in 0..10 {
            assert_eq!(file.write(day(n), b"a\n"), Written::Yes);
        }
        std::fs::write(dir.path().join("logs/notes.log"), "mine").unwrap();
        assert_eq!(file.write(day(10), b"a\n"), Written::Yes);
        let names = names(dir.path());
        assert_eq!(
            names.len(),
            8,
            "seven days and the file of somebody else: {names:?}"
        );
        assert!(names.contains("notes.log"));
    }

    #[test]
    fn rule_122_the_total_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path());
        settings.max_total_bytes = 4;
        let mut file = LogFile::new(&settings);
        let day = |n: u64| WallTime::from_millis(NOON.as_millis() + n * 86_400_000);
        for n in 0..4 {
            assert_eq!(file.write(day(n), b"abc\n"), Written::Yes);
        }
        assert_eq!(
            names(dir.path()).len(),
            2,
            "the last day and the one being written"
        );
    }

    #[test]
    fn rule_122_an_unwritable_place_loses_records_and_says_so_once_it_recovers() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("logs"), "in the way").unwrap();
        let mut file = LogFile::new(&settings(dir.path()));
        assert!(matches!(file.write(NOON, b"a\n"), Written::FirstLost(_)));
        assert_eq!(file.write(NOON, b"b\n"), Written::Lost);
        std::fs::remove_file(dir.path().join("logs")).unwrap();
        assert!(matches!(
            file.write(NOON, b"c\n"),
            Written::Recovered(Loss { records: 2, .. })
        ));
        assert_eq!(file.write(NOON, b"d\n"), Written::Yes);
        assert_eq!(std::fs::read_to_string(file.path(NOON)).unwrap(), "c\nd\n");
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(&settings(dir.path()));
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        std::fs::write(dir.path().join("target"), "").unwrap();
        std::os::unix::fs::symlink(dir.path().join("target"), file.path(NOON)).unwrap();
        assert!(matches!(file.write(NOON, b"a\n"), Written::FirstLost(_)));
        assert_eq!(
            std::fs::read_to_string(dir.path().join("target")).unwrap(),
            ""
        );
    }

    #[test]
    fn a_deleted_file_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(&settings(dir.path()));
        assert_eq!(file.write(NOON, b"a\n"), Written::Yes);
        std::fs::remove_dir_all(dir.path().join("logs")).unwrap();
        assert_eq!(file.write(NOON, b"b\n"), Written::Yes);
        assert_eq!(std::fs::read_to_string(file.path(NOON)).unwrap(), "b\n");
    }

    #[test]
    fn writers_side_by_side_lose_and_mix_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path());
        settings.max_file_bytes = 2_000;
        let writers = ["a", "b", "c", "d"];
        std::thread::scope(|scope| {
            for writer in writers {
                let mut file = LogFile::new(&settings);
                scope.spawn(move || {
                    for n in 0..200 {
                        let line = format!("{writer} {n} {}\n", writer.repeat(20));
                        assert_eq!(file.write(NOON, line.as_bytes()), Written::Yes);
                    }
                });
            }
        });
        let mut lines = BTreeSet::new();
        for name in names(dir.path()) {
            let text = std::fs::read_to_string(dir.path().join("logs").join(name)).unwrap();
            lines.extend(text.lines().map(str::to_owned));
        }
        assert_eq!(lines.len(), writers.len() * 200);
        for line in lines {
            let writer = &line[..1];
            assert!(line.ends_with(&writer.repeat(20)), "{line}");
        }
    }
}
