//! From files and environment to a typed configuration, or to every reason why not.
//!
//! read → JSON5 → `$include` → `env` block → `${VAR}` → types and rules. Each stage reports all it finds, each
//! mistake once, with the file and line where it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Config;
use super::include::{Includer, Located, Placed};
use super::issue::{Finding, Issue, IssueLevel, LoadError};
use super::source::{self, MAX_BYTES, ReadError, Source, SourceFile};
use super::substitute::Variables;
use super::tree::position;
use crate::digest;

/// How many issues are listed; the rest is counted. A wrong file can have as many as it has lines.
const MAX_ISSUES: usize = 100;

/// A configuration that may be used.
#[derive(Clone, PartialEq)]
pub struct Loaded {
    /// The typed configuration.
    pub config: Config,
    /// The plain configuration: includes merged, variables replaced, unknown keys kept, no defaults added.
    pub effective: Value,
    /// The same before variables were replaced.
    pub raw: Value,
    /// The texts it was made from.
    pub source: Source,
    /// What is odd about it.
    pub warnings: Vec<Issue>,
    /// Whether there is a main file.
    pub exists: bool,
}

/// Plain values hold secrets, so that only what is safe is shown.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("source", &self.source)
            .field("exists", &self.exists)
            .field("config", &self.config)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

/// Loads the configuration from a file and its includes. A main file that does not exist is an empty
/// configuration.
pub fn load(path: &Path, env: &BTreeMap<String, String>) -> Result<Loaded, LoadError> {
    match source::read(path) {
        Ok(text) => assemble(path, Some(text), &mut source::read, env),
        Err(ReadError::Missing) => assemble(path, None, &mut source::read, env),
        Err(error) => Err(refused(path, &error)),
    }
}

/// Loads a configuration from the texts it was once made from, without touching the files.
pub fn load_from_source(
    source: &Source,
    env: &BTreeMap<String, String>,
) -> Result<Loaded, LoadError> {
    let mut read = |path: &Path| {
        let file = source.files.iter().find(|file| file.path == path);
        file.map(|file| file.text.clone()).ok_or(ReadError::Missing)
    };
    assemble(
        &source.main,
        source.main_text().map(str::to_owned),
        &mut read,
        env,
    )
}

/// Loads the configuration that would result if the main file had this text; includes are read from disk.
pub fn load_candidate(
    path: &Path,
    text: &str,
    env: &BTreeMap<String, String>,
) -> Result<Loaded, LoadError> {
    if text.len() as u64 > MAX_BYTES {
        return Err(refused(path, &ReadError::TooLarge));
    }
    assemble(path, Some(text.to_owned()), &mut source::read, env)
}

/// The text of the main file, if it exists.
///
/// # Errors
/// When it is there and cannot be read, is too large, or is no text.
pub fn read_text(path: &Path) -> Result<Option<String>, LoadError> {
    match source::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(ReadError::Missing) => Ok(None),
        Err(error) => Err(refused(path, &error)),
    }
}

fn refused(path: &Path, error: &ReadError) -> LoadError {
    let finding = Finding::error(super::path::KeyPath::root(), error.to_string());
    let (line, column) = match error {
        ReadError::NotText { line, column } => (Some(*line), Some(*column)),
        ReadError::Missing
        | ReadError::NotAFile
        | ReadError::TooLarge
        | ReadError::Utf16
        | ReadError::Unreadable(_) => (None, None),
    };
    LoadError {
        issues: vec![Issue {
            file: Some(path.to_owned()),
            line,
            column,
            hint: error.hint().map(str::to_owned),
            ..finding.without_place()
        }],
        readable: None,
    }
}

fn assemble(
    main: &Path,
    text: Option<String>,
    read: &mut dyn FnMut(&Path) -> Result<String, ReadError>,
    env: &BTreeMap<String, String>,
) -> Result<Loaded, LoadError> {
    let Some(text) = text else {
        return Ok(absent(main));
    };
    let hash = digest::hex(text.as_bytes());
    let mut includer = Includer::new(read);
    let root = includer.expand_main(main.to_owned(), text);
    let (files, mut found) = includer.finish();
    let complete = !found
        .iter()
        .any(|placed| placed.finding.level == IssueLevel::Error);
    let Some(mut root) = root else {
        return Err(LoadError {
            issues: issues(found, &files),
            readable: None,
        });
    };

    let raw = root.to_value();
    let unresolved = Variables::new(env, &raw).substitute(&mut root);
    let effective = root.to_value();
    let (config, findings) = Config::check(&effective, Some(&raw));
    // A value without its variable, or a block without its include, is wrong in ways that have their reason
    // there; naming the consequences as well would bury it.
    let causes: BTreeSet<_> = unresolved
        .iter()
        .map(|placed| placed.finding.path.clone())
        .collect();
    found.extend(unresolved);
    if complete {
        let consequences = findings
            .into_iter()
            .filter(|finding| !causes.contains(&finding.path));
        found.extend(consequences.map(|finding| placed(finding, &root)));
    }

    let failed = found
        .iter()
        .any(|placed| placed.finding.level == IssueLevel::Error);
    let issues = issues(found, &files);
    if failed {
        return Err(LoadError {
            issues,
            readable: Some(Box::new(config)),
        });
    }
    let source = Source {
        main: main.to_owned(),
        files,
        hash,
    };
    Ok(Loaded {
        config,
        effective,
        raw,
        source,
        warnings: issues,
        exists: true,
    })
}

fn absent(main: &Path) -> Loaded {
    let empty = Value::Object(Map::new());
    Loaded {
        config: Config::default(),
        effective: empty.clone(),
        raw: empty,
        source: Source {
            main: main.to_owned(),
            files: Vec::new(),
            hash: digest::hex(b""),
        },
        warnings: Vec::new(),
        exists: false,
    }
}

fn placed(finding: Finding, root: &Located) -> Placed {
    // A warning is about the key itself, an error about what stands behind it.
    let place = root.place_of(&finding.path, finding.level == IssueLevel::Warning);
    Placed {
        finding,
        place: Some(place),
    }
}

/// Turns findings into issues in the order of the files, errors before warnings where there are too many.
fn issues(mut found: Vec<Placed>, files: &[SourceFile]) -> Vec<Issue> {
    let left_out = found.len().saturating_sub(MAX_ISSUES);
    found.sort_by_key(|placed| (placed.finding.level, placed.place));
    found.truncate(MAX_ISSUES);
    found.sort_by_key(|placed| (placed.place, placed.finding.level));
    let mut issues: Vec<Issue> = found
        .into_iter()
        .map(|placed| issue(placed, files))
        .collect();
    if left_out > 0 {
        let path = files.first().map(|file| file.path.clone());
        issues.push(count(
            left_out,
            path,
            issues.last().map_or(IssueLevel::Error, |issue| issue.level),
        ));
    }
    issues
}

fn count(left_out: usize, file: Option<PathBuf>, level: IssueLevel) -> Issue {
    let finding = Finding::error(super::path::KeyPath::root(), format!("and {left_out} more"));
    Issue {
        file,
        level,
        ..finding.without_place()
    }
}

fn issue(placed: Placed, files: &[SourceFile]) -> Issue {
    let issue = placed.finding.without_place();
    let Some(place) = placed.place else {
        return issue;
    };
    let file = &files[place.file];
    let (line, column) = position(&file.text, place.offset);
    Issue {
        file: Some(file.path.clone()),
        line: Some(line),
        column: Some(column),
        ..issue
    }
}

#[cfg(test)]
mod tests;
