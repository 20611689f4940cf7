//! From documents to one tree: `$include` resolved, duplicates dropped, the origin of every value kept.
//!
//! Several files merge into one configuration, yet a person who made a mistake needs the file, line and
//! column where they made it. So values are merged together with their places and become plain last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::issue::Finding;
use super::path::{KeyPath, Step};
use super::source::{MAX_BYTES, ReadError, SourceFile};
use super::tree::{self, Kind, MAX_DEPTH, Member, Node};

/// The key that stands for the content of other files.
pub(crate) const INCLUDE: &str = "$include";

/// How many files may include each other in a chain, the main file not counted.
const MAX_CHAIN: usize = 10;

/// How many times a file may be included altogether. Files that include others several times each would
/// otherwise multiply to any amount of work.
const MAX_INCLUSIONS: usize = 256;

/// A byte in one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: usize,
    pub(crate) offset: usize,
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(crate) place: Place,
    pub(crate) kind: LocatedKind,
}

/// What a located value holds.
#[derive(Debug, Clone)]
pub(crate) enum LocatedKind {
    Scalar(Value),
    Array(Vec<Located>),
    /// Members in the order they were first written, without duplicates.
    Object(Vec<Entry>),
}

/// A member of an object and where its key was written.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Located,
}

/// A finding whose place is known.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) finding: Finding,
    pub(crate) place: Option<Place>,
}

impl Located {
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            LocatedKind::Scalar(value) => value.clone(),
            LocatedKind::Array(elements) => elements.iter().map(Self::to_value).collect(),
            LocatedKind::Object(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()))
                    .collect(),
            ),
        }
    }

    /// Where the value at a path was written, or else the nearest value around it. The place of a member is
    /// its key when `key` is asked for.
    pub(crate) fn place_of(&self, path: &KeyPath, key: bool) -> Place {
        let mut here = self;
        let mut place = self.place;
        for step in path.steps() {
            match (&here.kind, step) {
                (LocatedKind::Object(entries), Step::Key(name)) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *name) else {
                        break;
                    };
                    here = &entry.value;
                    place = if key { entry.key_place } else { here.place };
                }
                (LocatedKind::Array(elements), Step::Index(index)) => {
                    let Some(element) = elements.get(*index) else {
                        break;
                    };
                    here = element;
                    place = here.place;
                }
                _ => break,
            }
        }
        place
    }
}

/// Reads the files of a configuration and merges them.
pub(crate) struct Includer<'r> {
    read: &'r mut dyn FnMut(&Path) -> Result<String, ReadError>,
    files: Vec<SourceFile>,
    bytes: u64,
    inclusions: usize,
    /// The files that are being expanded, each included by the one before it.
    chain: Vec<usize>,
    path: KeyPath,
    found: Vec<Placed>,
}

impl<'r> Includer<'r> {
    pub(crate) fn new(read: &'r mut dyn FnMut(&Path) -> Result<String, ReadError>) -> Self {
        Self {
            read,
            files: Vec::new(),
            bytes: 0,
            inclusions: 0,
            chain: Vec::new(),
            path: KeyPath::root(),
            found: Vec::new(),
        }
    }

    /// Expands the main file, whose text the caller has.
    pub(crate) fn expand_main(&mut self, path: PathBuf, text: String) -> Option<Located> {
        self.bytes += text.len() as u64;
        self.files.push(SourceFile { path, text });
        self.expand_file(0)
    }

    /// The files that were read and what was found wrong with them.
    pub(crate) fn finish(self) -> (Vec<SourceFile>, Vec<Placed>) {
        (self.files, self.found)
    }

    fn report(&mut self, place: Place, finding: Finding) {
        self.found.push(Placed {
            finding,
            place: Some(place),
        });
    }

    fn expand_file(&mut self, file: usize) -> Option<Located> {
        match tree::parse(&self.files[file].text) {
            Ok(document) => {
                self.chain.push(file);
                let located = self.expand(&document.root, file);
                self.chain.pop();
                Some(located)
            }
            Err(error) => {
                let finding = Finding {
                    hint: error.hint.map(str::to_owned),
                    ..Finding::error(KeyPath::root(), error.message)
                };
                self.report(
                    Place {
                        file,
                        offset: error.offset,
                    },
                    finding,
                );
                None
            }
        }
    }

    fn expand(&mut self, node: &Node, file: usize) -> Located {
        let place = Place {
            file,
            offset: node.span.start,
        };
        if self.path.steps().len() > MAX_DEPTH {
            let message = format!("included files nest deeper than {MAX_DEPTH}");
            self.report(place, Finding::error(self.path.clone(), message));
            return Located {
                place,
                kind: LocatedKind::Scalar(Value::Null),
            };
        }
        let kind = match &node.kind {
            Kind::Scalar(value) => LocatedKind::Scalar(value.clone()),
            Kind::Array(elements) => LocatedKind::Array(
                elements
                    .iter()
                    .enumerate()
                    .map(|(index, element)| self.below(Step::Index(index), element, file))
                    .collect(),
            ),
            Kind::Object(members) => return self.expand_object(members, place),
        };
        Located { place, kind }
    }

    fn below(&mut self, step: Step, node: &Node, file: usize) -> Located {
        self.path.push(step);
        let located = self.expand(node, file);
        self.path.pop();
        located
    }

    fn expand_object(&mut self, members: &[Member], place: Place) -> Located {
        let file = place.file;
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            if last.insert(&member.key, index).is_some() {
                let place = Place {
                    file,
                    offset: member.key_span.start,
                };
                let path = self.path.key(&member.key);
                self.report(
                    place,
                    Finding::warning(path, "this key stands here twice; the last one counts"),
                );
            }
        }
        let mut included = None;
        let mut entries = Vec::new();
        for (index, member) in members.iter().enumerate() {
            if last.get(member.key.as_str()) != Some(&index) {
                continue;
            }
            if member.key == INCLUDE {
                included = Some(&member.value);
                continue;
            }
            entries.push(Entry {
                key: member.key.clone(),
                key_place: Place {
                    file,
                    offset: member.key_span.start,
                },
                value: self.below(Step::Key(member.key.clone()), &member.value, file),
            });
        }
        let siblings = Located {
            place,
            kind: LocatedKind::Object(entries),
        };
        match included {
            None => siblings,
            Some(node) => self.with_includes(node, siblings),
        }
    }

    /// Merges the files that an `$include` names, and its siblings over them.
    fn with_includes(&mut self, node: &Node, siblings: Located) -> Located {
        let place = Place {
            file: siblings.place.file,
            offset: node.span.start,
        };
        let items: Vec<&Node> = match &node.kind {
            Kind::Array(elements) => elements.iter().collect(),
            Kind::Scalar(_) | Kind::Object(_) => vec![node],
        };
        let mut merged: Option<Located> = None;
        for item in items {
            let place = Place {
                file: place.file,
                offset: item.span.start,
            };
            let included = match &item.kind {
                Kind::Scalar(Value::String(name)) => self.include(name, place),
                Kind::Scalar(_) | Kind::Array(_) | Kind::Object(_) => {
                    let path = self.path.key(INCLUDE);
                    self.report(
                        place,
                        Finding::error(path, "expected a file name or an array of file names"),
                    );
                    None
                }
            };
            merged = match (merged, included) {
                (Some(base), Some(over)) => Some(merge(base, over)),
                (base, over) => over.or(base),
            };
        }
        let LocatedKind::Object(entries) = &siblings.kind else {
            return siblings;
        };
        match merged {
            None => siblings,
            Some(base) if entries.is_empty() => base,
            Some(base) if matches!(base.kind, LocatedKind::Object(_)) => merge(base, siblings),
            Some(_) => {
                let message =
                    "the included file holds no object, so that no keys can stand beside it";
                self.report(place, Finding::error(self.path.key(INCLUDE), message));
                siblings
            }
        }
    }

    fn include(&mut self, name: &str, place: Place) -> Option<Located> {
        let path = match self.files[place.file].path.parent() {
            Some(folder) => normal(&folder.join(name)),
            None => PathBuf::from(name),
        };
        match self.open(&path) {
            Ok(file) => self.expand_file(file),
            Err(reason) => {
                let message = format!("cannot include {}: {reason}", path.display());
                self.report(place, Finding::error(self.path.key(INCLUDE), message));
                None
            }
        }
    }

    /// The number of an included file, read on its first inclusion.
    fn open(&mut self, path: &Path) -> Result<usize, String> {
        self.inclusions += 1;
        if self.inclusions > MAX_INCLUSIONS {
            return Err(format!(
                "files are included more than {MAX_INCLUSIONS} times"
            ));
        }
        if self
            .chain
            .iter()
            .any(|file| normal(&self.files[*file].path) == path)
        {
            return Err("it includes itself, directly or through other files".to_owned());
        }
        if self.chain.len() > MAX_CHAIN {
            return Err(format!(
                "files include each other more than {MAX_CHAIN} deep"
            ));
        }
        if let Some(known) = self.files.iter().position(|file| file.path == path) {
            return Ok(known);
        }
        let text = (self.read)(path).map_err(|error| error.to_string())?;
        self.bytes += text.len() as u64;
        if self.bytes > MAX_BYTES {
            return Err(format!(
                "the files together are larger than {MAX_BYTES} bytes"
            ));
        }
        self.files.push(SourceFile {
            path: path.to_owned(),
            text,
        });
        Ok(self.files.len() - 1)
    }
}

/// Objects merge deep, arrays are joined, everything else is replaced.
fn merge(base: Located, over: Located) -> Located {
    let kind = match (base.kind, over.kind) {
        (LocatedKind::Object(mut entries), LocatedKind::Object(others)) => {
            let mut positions: BTreeMap<String, usize> = entries
                .iter()
                .enumerate()
                .map(|(at, entry)| (entry.key.clone(), at))
                .collect();
            for other in others {
                if let Some(at) = positions.get(&other.key) {
                    let entry = &mut entries[*at];
                    let nothing = Located {
                        place: entry.key_place,
                        kind: LocatedKind::Scalar(Value::Null),
                    };
                    let value = std::mem::replace(&mut entry.value, nothing);
                    entry.value = merge(value, other.value);
                    entry.key_place = other.key_place;
                } else {
                    positions.insert(other.key.clone(), entries.len());
                    entries.push(other);
                }
            }
            LocatedKind::Object(entries)
        }
        (LocatedKind::Array(mut elements), LocatedKind::Array(others)) => {
            elements.extend(others);
            LocatedKind::Array(elements)
        }
        (_, kind) => kind,
    };
    Located {
        place: over.place,
        kind,
    }
}

/// A path without `.` and `..`, told from its text alone.
fn normal(path: &Path) -> PathBuf {
    use std::path::Component;
    path.components()
        .fold(PathBuf::new(), |mut normal, component| {
            match component {
                Component::CurDir => {}
                Component::ParentDir
                    if matches!(normal.components().next_back(), Some(Component::Normal(_))) =>
                {
                    normal.pop();
                }
                Component::ParentDir if normal.has_root() => {}
                Component::Prefix(_)
                | Component::RootDir
                | Component::ParentDir
                | Component::Normal(_) => {
                    normal.push(component);
                }
            }
            normal
        })
}
