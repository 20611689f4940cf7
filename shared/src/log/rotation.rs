//! How log files are named, when one is full, and which are deleted. Pure: it looks at listings, not at the disk.

use std::path::{Path, PathBuf};

use super::settings::LogSettings;

/// How the files of a log are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Naming {
    /// `openclaw-2026-11-22.log`, full ones `openclaw-2026-11-22.1.log`, `.2.log`, … in the order they were written.
    Daily { dir: PathBuf },
    /// `stem.ext`, full ones `stem.1.ext`, `stem.2.ext`, …
    Fixed {
        dir: PathBuf,
        stem: String,
        extension: String,
    },
}

/// One of our files, as a listing shows it. Ordering is by age, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece {
    /// The local date, `2026-11-22`: of the name, or of the last change when the name has none.
    pub(super) date: String,
    /// The number of a full file; the one being written sorts last.
    pub(super) index: Index,
    pub(super) name: String,
    pub(super) bytes: u64,
}

/// Where in its day (or series) a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Index {
    /// A full file, renamed; counted from 1.
    Full(u32),
    /// The file being written.
    Live,
}

impl Naming {
    pub(super) fn of(settings: &LogSettings) -> Self {
        let Some(file) = &settings.file else {
            return Self::Daily {
                dir: settings.dir.clone(),
            };
        };
        let part = |part: Option<&std::ffi::OsStr>| {
            part.map(|part| part.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        Self::Fixed {
            dir: file.parent().map(Path::to_path_buf).unwrap_or_default(),
            stem: part(file.file_stem()),
            extension: part(file.extension()),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        match self {
            Self::Daily { dir } | Self::Fixed { dir, .. } => dir,
        }
    }

    /// The file that is written on `date`.
    pub(super) fn live_path(&self, date: &str) -> PathBuf {
        self.dir().join(self.name(date, Index::Live))
    }

    /// Where a full file is moved to.
    pub(super) fn full_path(&self, date: &str, number: u32) -> PathBuf {
        self.dir().join(self.name(date, Index::Full(number)))
    }

    fn name(&self, date: &str, index: Index) -> String {
        let (stem, extension) = match self {
            Self::Daily { .. } => (format!("openclaw-{date}"), "log"),
            Self::Fixed {
                stem, extension, ..
            } => (stem.clone(), extension.as_str()),
        };
        let number = match index {
            Index::Full(number) => format!(".{number}"),
            Index::Live => String::new(),
        };
        let dot = if extension.is_empty() { "" } else { "." };
        format!("{stem}{number}{dot}{extension}")
    }

    /// Recognises a file of ours by its name; `changed` is the local date of its last change. Anything else in the
    /// folder belongs to somebody else and is left alone.
    pub(super) fn parse(&self, name: &str, changed: &str, bytes: u64) -> Option<Piece> {
        let (date, number) = match self {
            Self::Daily { .. } => {
                let rest = name.strip_prefix("openclaw-")?.strip_suffix(".log")?;
                let (date, number) = rest
                    .split_once('.')
                    .map_or((rest, None), |(d, n)| (d, Some(n)));
                if !is_date(date) {
                    return None;
                }
                (date, number)
            }
            Self::Fixed {
                stem, extension, ..
            } => {
                let mut rest = name.strip_prefix(stem.as_str())?;
                if !extension.is_empty() {
                    rest = rest.strip_suffix(extension.as_str())?.strip_suffix('.')?;
                }
                if rest.is_empty() {
                    (changed, None)
                } else {
                    (changed, Some(rest.strip_prefix('.')?))
                }
            }
        };
        let index = match number {
            None => Index::Live,
            Some(number) => Index::Full(number.parse().ok().filter(|number| *number > 0)?),
        };
        let piece = Piece {
            date: date.to_owned(),
            index,
            name: name.to_owned(),
            bytes,
        };
        // Only the exact spelling counts: `.01.log` is not a file that we wrote.
        (self.name(date, index) == name).then_some(piece)
    }
}

/// What has to happen before a line can be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Step {
    /// Nothing: the open file is the one on disk and has room.
    Append,
    /// The path names another file than the open one, or none.
    Open,
    /// The file is full.
    Rotate,
}

/// Decides from the identity of the open file, and identity and size of the one on disk, if any.
pub(super) fn step<I: PartialEq>(
    open: Option<I>,
    on_disk: Option<(I, u64)>,
    line: u64,
    max_bytes: u64,
) -> Step {
    let Some((identity, bytes)) = on_disk else {
        return Step::Open;
    };
    // An empty file takes any line, or a line larger than the limit could never be written.
    if bytes > 0 && bytes.saturating_add(line) > max_bytes {
        Step::Rotate
    } else if open == Some(identity) {
        Step::Append
    } else {
        Step::Open
    }
}

/// The number for the next full file of `date`, after all that exist.
pub(super) fn next_number(naming: &Naming, pieces: &[Piece], date: &str) -> u32 {
    let same_series = |piece: &&Piece| match naming {
        Naming::Daily { .. } => piece.date == date,
        Naming::Fixed { .. } => true,
    };
    let highest = pieces
        .iter()
        .filter(same_series)
        .filter_map(|piece| match piece.index {
            Index::Full(number) => Some(number),
            Index::Live => None,
        });
    highest.max().unwrap_or(0).saturating_add(1)
}

/// The files to delete: those of `cut_off` and before, then the oldest until the rest fits into `max_total_bytes`.
/// The file being written (`live_name`) always stays.
#[must_use]
pub(super) fn expired(
    mut pieces: Vec<Piece>,
    live_name: &str,
    cut_off: &str,
    max_total_bytes: u64,
) -> Vec<Piece> {
    pieces.sort();
    let mut total: u64 = pieces.iter().map(|piece| piece.bytes).sum();
    pieces.retain(|piece| {
        let goes =
            piece.name != live_name && (piece.date.as_str() <= cut_off || total > max_total_bytes);
        if goes {
            total -= piece.bytes;
        }
        goes
    });
    pieces
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daily() -> Naming {
        Naming::Daily {
            dir: PathBuf::from("/logs"),
        }
    }

    fn fixed(file: &str) -> Naming {
        let mut settings = LogSettings::in_dir(PathBuf::from("/logs"));
        settings.file = Some(PathBuf::from(file));
        Naming::of(&settings)
    }

    fn piece(naming: &Naming, name: &str, bytes: u64) -> Piece {
        naming.parse(name, "2026-11-22", bytes).unwrap()
    }

    #[test]
    fn only_our_own_names_are_recognised() {
        let naming = daily();
        for ours in [
            "openclaw-2026-11-22.log",
            "openclaw-2026-11-22.1.log",
            "openclaw-2026-11-22.12.log",
        ] {
            assert!(naming.parse(ours, "", 0).is_some(), "{ours}");
        }
        for foreign in [
            "openclaw.log",
            "openclaw-2026-11-22.log.gz",
            "openclaw-2026-11-2.log",
            "openclaw-2026-11-22.01.log",
            "openclaw-2026-11-22.0.log",
            "openclaw-2026-11-22.x.log",
            "xopenclaw-2026-11-22.log",
            ".rotate.lock",
        ] {
            assert!(naming.parse(foreign, "", 0).is_none(), "{foreign}");
        }
    }

    #[test]
    fn a_fixed_file_has_its_own_series() {
        let naming = fixed("/var/log/claw/gateway.log");
        assert_eq!(
            naming.live_path("2026-11-22"),
            Path::new("/var/log/claw/gateway.log")
        );
        assert_eq!(
            naming.full_path("2026-11-22", 3),
            Path::new("/var/log/claw/gateway.3.log")
        );
        assert!(naming.parse("gateway.3.log", "2026-11-22", 0).is_some());
        assert!(naming.parse("gateway-extra.log", "2026-11-22", 0).is_none());
        let bare = fixed("/tmp/claw");
        assert_eq!(bare.full_path("", 1), Path::new("/tmp/claw.1"));
        assert!(bare.parse("claw.1", "2026-11-22", 0).is_some());
        assert!(bare.parse("clawback", "2026-11-22", 0).is_none());
    }

    #[test]
    fn what_has_to_happen_before_a_line_is_written() {
        assert_eq!(step(None::<u8>, None, 10, 100), Step::Open);
        assert_eq!(step(Some(1), None, 10, 100), Step::Open);
        assert_eq!(step(Some(1), Some((1, 90)), 10, 100), Step::Append);
        assert_eq!(step(Some(1), Some((1, 91)), 10, 100), Step::Rotate);
        assert_eq!(step(Some(1), Some((2, 0)), 10, 100), Step::Open);
        assert_eq!(step(Some(1), Some((1, 0)), 1000, 100), Step::Append);
    }

    #[test]
    fn full_files_are_numbered_in_the_order_they_were_written() {
        let naming = daily();
        let pieces = [
            piece(&naming, "openclaw-2026-11-22.log", 1),
            piece(&naming, "openclaw-2026-11-22.9.log", 1),
            piece(&naming, "openclaw-2026-11-22.10.log", 1),
            piece(&naming, "openclaw-2026-11-21.40.log", 1),
        ];
        assert_eq!(next_number(&naming, &pieces, "2026-11-22"), 11);
        assert_eq!(next_number(&naming, &pieces, "2026-11-23"), 1);
        let mut sorted = pieces.to_vec();
        sorted.sort();
        let names: Vec<_> = sorted.iter().map(|piece| piece.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "openclaw-2026-11-21.40.log",
                "openclaw-2026-11-22.9.log",
                "openclaw-2026-11-22.10.log",
                "openclaw-2026-11-22.log"
            ]
        );
    }

    #[test]
    fn old_files_go_and_then_the_oldest_until_the_rest_fits() {
        let naming = daily();
        let pieces = vec![
            piece(&naming, "openclaw-2026-11-22.log", 60),
            piece(&naming, "openclaw-2026-11-22.1.log", 30),
            piece(&naming, "openclaw-2026-11-21.log", 30),
            piece(&naming, "openclaw-2026-11-15.log", 1),
        ];
        let gone = |max| {
            expired(pieces.clone(), "openclaw-2026-11-22.log", "2026-11-15", max)
                .into_iter()
                .map(|piece| piece.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(gone(1000), ["openclaw-2026-11-15.log"]);
        assert_eq!(
            gone(90),
            ["openclaw-2026-11-15.log", "openclaw-2026-11-21.log"]
        );
        // The file being written stays, however large it is.
        assert_eq!(gone(0).len(), 3);
    }
}
