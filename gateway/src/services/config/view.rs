//! One look at the configuration file: what it says, and whether that still holds.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::config::{
    Issue, IssueLevel, LoadError, Loaded, load_candidate, read_text, shown,
};
use openclaw_shared::digest;
use openclaw_shared::protocol::params::config::{ConfigIssue, ConfigSnapshot};
use serde_json::{Map, Value};

use crate::prepared::Prepared;

/// A file that changed this short a time before it was read may change again without its stamp telling.
const TICK: Duration = Duration::from_millis(50);
/// How long a file that is not valid counts as seen: which files it includes is not known then.
const BROKEN_FOR: Duration = Duration::from_millis(250);

/// What tells one state of a file from another, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }

    fn modified_at(self) -> WallTime {
        let (seconds, nanos) = self.modified;
        let millis = seconds
            .saturating_mul(1_000)
            .saturating_add(nanos / 1_000_000);
        WallTime::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// What the file said when it was read.
pub(super) struct View {
    path: PathBuf,
    text: Option<String>,
    /// The file may be there and not be readable as text.
    exists: bool,
    loaded: Result<Loaded, LoadError>,
    /// What is written, with its references: of the whole configuration if it is valid, else of the main file.
    written: Value,
    hash: String,
    stamps: Vec<(PathBuf, Option<Stamp>)>,
    until: Option<Moment>,
    hidden: OnceLock<Prepared<ConfigSnapshot>>,
    clear: OnceLock<Prepared<ConfigSnapshot>>,
}

/// Texts and values hold secrets.
impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("path", &self.path)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

impl View {
    /// Looks at the file.
    pub(super) fn read(path: &Path, variables: &BTreeMap<String, String>) -> Self {
        // Stamped before it is read: a change in between is then seen as one.
        let main = Stamp::of(path);
        let text = read_text(path);
        let exists = !matches!(text, Ok(None));
        let (text, loaded) = match text {
            Ok(Some(text)) => {
                let loaded = load_candidate(path, &text, variables);
                (Some(text), loaded)
            }
            Ok(None) => (None, load_candidate(path, "{}", variables)),
            Err(error) => (None, Err(error)),
        };
        let mut stamps = vec![(path.to_owned(), main)];
        let mut until = None;
        match &loaded {
            Ok(loaded) => {
                let includes = loaded.source.watched().filter(|file| *file != path);
                stamps.extend(includes.map(|file| (file.to_owned(), Stamp::of(file))));
                let newest = stamps
                    .iter()
                    .filter_map(|(_, stamp)| *stamp)
                    .map(Stamp::modified_at)
                    .max();
                if newest.is_some_and(|newest| WallTime::now().since(newest) < TICK) {
                    until = Some(Moment::now());
                }
            }
            Err(_) => until = Some(Moment::now() + BROKEN_FOR),
        }
        let written = match (&loaded, &text) {
            (Ok(loaded), _) => loaded.raw.clone(),
            (Err(_), Some(text)) => shown::parse(text).unwrap_or_default(),
            (Err(_), None) => Value::Null,
        };
        let hash = digest::hex(text.as_deref().unwrap_or_default().as_bytes());
        Self {
            path: path.to_owned(),
            text,
            exists,
            loaded,
            written,
            hash,
            stamps,
            until,
            hidden: OnceLock::new(),
            clear: OnceLock::new(),
        }
    }

    /// Whether the files are still those that were read.
    pub(super) fn holds(&self) -> bool {
        self.until.is_none_or(|until| Moment::now() < until)
            && self
                .stamps
                .iter()
                .all(|(path, stamp)| Stamp::of(path) == *stamp)
    }

    pub(super) const fn exists(&self) -> bool {
        self.exists
    }

    pub(super) const fn is_valid(&self) -> bool {
        self.loaded.is_ok()
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(super) const fn written(&self) -> &Value {
        &self.written
    }

    pub(super) fn effective(&self) -> Option<&Value> {
        self.loaded.as_ref().ok().map(|loaded| &loaded.effective)
    }

    /// The answer to `config.get`.
    pub(super) fn snapshot(&self, with_secrets: bool) -> Prepared<ConfigSnapshot> {
        let prepared = if with_secrets {
            &self.clear
        } else {
            &self.hidden
        };
        prepared
            .get_or_init(|| Prepared::new(&self.describe(with_secrets)))
            .clone()
    }

    fn describe(&self, with_secrets: bool) -> ConfigSnapshot {
        let hide_text = |text: &str| {
            if with_secrets {
                text.to_owned()
            } else {
                shown::text(text)
            }
        };
        let hide = |value: &Value, is_resolved| {
            if with_secrets {
                value.clone()
            } else {
                shown::value(value, is_resolved)
            }
        };
        let empty = || Value::Object(Map::new());
        let parsed = self.text.as_deref().map(shown::parse);
        let issues: &[Issue] = match &self.loaded {
            Ok(loaded) => &loaded.warnings,
            Err(error) => &error.issues,
        };
        let of = |wanted: &dyn Fn(&&Issue) -> bool| {
            issues
                .iter()
                .filter(wanted)
                .map(ConfigIssue::from)
                .collect()
        };
        let mut errors: Vec<ConfigIssue> = of(&|issue| issue.level == IssueLevel::Error);
        if let Some(Err(error)) = &parsed
            && let Some(first) = errors.first_mut()
        {
            first.message = format!("JSON5 parse failed: SyntaxError: {error}");
        }
        ConfigSnapshot {
            path: self.path.display().to_string(),
            exists: self.exists,
            raw: self.text.as_deref().map(hide_text),
            parsed: match &parsed {
                Some(Ok(parsed)) => hide(parsed, false),
                Some(Err(_)) | None => empty(),
            },
            valid: self.is_valid(),
            config: self
                .effective()
                .map_or_else(empty, |effective| hide(effective, true)),
            hash: self.hash.clone(),
            issues: errors,
            warnings: of(&|issue| issue.level == IssueLevel::Warning && !issue.is_legacy()),
            legacy_issues: of(&|issue| issue.level == IssueLevel::Warning && issue.is_legacy()),
        }
    }
}
