//! A document that is being edited.
//!
//! Each change is one splice of the text, after which the text is parsed again: a span never belongs to a text
//! that is gone.

use serde_json::{Map, Value};

use super::layout::{Layout, indent_of_line, spans_lines};
use super::{EditError, describe, splice};
use crate::config::include::INCLUDE;
use crate::config::path::{KeyPath, Step};
use crate::config::sensitive;
use crate::config::tree::{self, Document, Kind, Node};
use crate::secret::PLACEHOLDER;

/// How many elements are taken out of an array one by one, which keeps the comments between them but reads the text again each
/// time. When more go, the array is written anew.
const MOST_REMOVALS: usize = 256;

/// The text between two splices, and its tree.
pub(super) struct Draft {
    document: Document,
    layout: Layout,
}

impl Draft {
    pub(super) fn new(text: &str) -> Result<Self, EditError> {
        let text = if text.trim().is_empty() { "{}\n" } else { text };
        let document = tree::parse(text).map_err(|error| {
            let (line, column) = tree::position(text, error.offset);
            EditError::Unreadable {
                line,
                column,
                message: error.message,
            }
        })?;
        if !matches!(document.root.kind, Kind::Object(_)) {
            return Err(EditError::RootNotAnObject {
                found: describe(&document.root.to_value()),
            });
        }
        let layout = Layout::of(&document);
        Ok(Self { document, layout })
    }

    pub(super) fn into_text(self) -> String {
        self.document.text
    }

    /// Takes the text after a splice. It is parsed again, so that spans always belong to the text.
    fn replace_text(&mut self, text: String) -> Result<(), EditError> {
        self.document = tree::parse(&text).map_err(|error| {
            // The only splice that can fail is one that nests too deep.
            let (line, column) = tree::position(&text, error.offset);
            EditError::Unreadable {
                line,
                column,
                message: error.message,
            }
        })?;
        Ok(())
    }

    /// Refuses a path through an array that an include supplies elements to as well: an index in the whole array is
    /// not an index in the text.
    pub(super) fn refuse_joined_arrays(
        &self,
        path: &KeyPath,
        effective: Option<&Value>,
    ) -> Result<(), EditError> {
        for depth in 0..path.steps().len() {
            let above = KeyPath::from(path.steps()[..depth].to_vec());
            let Some(Node {
                kind: Kind::Array(elements),
                ..
            }) = find(&self.document.root, &above)
            else {
                continue;
            };
            if is_joined(elements.len(), effective.and_then(|root| above.find(root))) {
                return Err(EditError::Included { path: above });
            }
        }
        Ok(())
    }

    /// Sets a value whose effective value is known or does not exist. `root` is the whole effective configuration.
    pub(super) fn set(
        &mut self,
        path: &KeyPath,
        value: &Value,
        effective: Option<&Value>,
        root: Option<&Value>,
    ) -> Result<(), EditError> {
        if effective == Some(value) {
            return Ok(());
        }
        let here = find(&self.document.root, path);
        // Somebody who was shown a placeholder sends it back without meaning to change anything.
        if is_placeholder(path, value) && (effective.is_some() || here.is_some()) {
            return Ok(());
        }
        let Some(node) = here else {
            return self.set_absent(path, value, effective, root);
        };
        match (&node.kind, value) {
            (Kind::Object(_), Value::Object(new)) => self.set_members(path, new, effective, root),
            (Kind::Array(elements), Value::Array(new)) => {
                let length = elements.len();
                if is_joined(length, effective) {
                    return Err(EditError::Included { path: path.clone() });
                }
                if length.saturating_sub(new.len()) > MOST_REMOVALS {
                    return self.replace_whole(path, value);
                }
                self.set_elements(path, length, new, effective, root)
            }
            _ if node.to_value() == *value => Ok(()),
            _ => self.replace_whole(path, value),
        }
    }

    /// Writes a value of the main file anew, whatever it was.
    fn replace_whole(&mut self, path: &KeyPath, value: &Value) -> Result<(), EditError> {
        refuse_placeholders(path, value)?;
        let node = find(&self.document.root, path).expect("only what is there is written anew");
        let text = &self.document.text;
        let inline = !path.is_root() && !self.container_spans_lines(path);
        let indent = (!inline).then(|| indent_of_line(text, node.span.start));
        let rendered = self.layout.value(value, indent);
        self.replace_text(splice::replace(text, node.span, &rendered))
    }

    /// Sets a value that the main file does not hold. It may come from an include all the same.
    fn set_absent(
        &mut self,
        path: &KeyPath,
        value: &Value,
        effective: Option<&Value>,
        root: Option<&Value>,
    ) -> Result<(), EditError> {
        match (effective, value) {
            (Some(Value::Object(_)), Value::Object(new)) => {
                self.set_members(path, new, effective, root)
            }
            // Arrays of both files would be joined.
            (Some(Value::Array(_)), Value::Array(_)) => {
                Err(EditError::Included { path: path.clone() })
            }
            _ => self.insert(path, value, root),
        }
    }

    fn set_members(
        &mut self,
        path: &KeyPath,
        new: &Map<String, Value>,
        effective: Option<&Value>,
        root: Option<&Value>,
    ) -> Result<(), EditError> {
        let gone: Vec<String> = match find(&self.document.root, path).map(|node| &node.kind) {
            Some(Kind::Object(members)) => members
                .iter()
                .map(|member| &member.key)
                .filter(|key| *key != INCLUDE && !new.contains_key(*key))
                .cloned()
                .collect(),
            Some(Kind::Scalar(_) | Kind::Array(_)) | None => Vec::new(),
        };
        let effective_members = effective.and_then(Value::as_object);
        for key in effective_members.into_iter().flat_map(Map::keys) {
            if !new.contains_key(key) && !gone.contains(key) {
                return Err(EditError::Included {
                    path: path.key(key),
                });
            }
        }
        for key in gone {
            self.remove(&path.key(&key))?;
        }
        let mut added = Map::new();
        for (key, value) in new {
            let below = path.key(key);
            let effective = effective.and_then(|whole| whole.get(key));
            if effective.is_none() && find(&self.document.root, &below).is_none() {
                added.insert(key.clone(), value.clone());
            } else {
                self.set(&below, value, effective, root)?;
            }
        }
        self.insert_members(path, &added, root)
    }

    fn set_elements(
        &mut self,
        path: &KeyPath,
        length: usize,
        new: &[Value],
        effective: Option<&Value>,
        root: Option<&Value>,
    ) -> Result<(), EditError> {
        for index in (new.len()..length).rev() {
            self.remove(&path.index(index))?;
        }
        for (index, value) in new.iter().enumerate() {
            let whole = effective.and_then(|whole| whole.get(index));
            if index < length {
                self.set(&path.index(index), value, whole, root)?;
            } else {
                self.insert(&path.index(index), value, root)?;
            }
        }
        Ok(())
    }

    /// Adds a value where the main file holds none, with the containers that lead to it.
    fn insert(
        &mut self,
        path: &KeyPath,
        value: &Value,
        root: Option<&Value>,
    ) -> Result<(), EditError> {
        let steps = path.steps();
        let depth = (0..steps.len())
            .rev()
            .find(|depth| {
                find(
                    &self.document.root,
                    &KeyPath::from(steps[..*depth].to_vec()),
                )
                .is_some()
            })
            .expect("the root is always found");
        let at = KeyPath::from(steps[..depth].to_vec());
        refuse_placeholders(path, value)?;
        let (step, below) = steps[depth..]
            .split_first()
            .expect("the path itself was not found");
        let value = nested(path, below, value)?;
        // An array that only an include holds would be joined with a new one, not changed.
        for end in depth + 1..steps.len() {
            let ancestor = KeyPath::from(steps[..end].to_vec());
            if root
                .and_then(|root| ancestor.find(root))
                .is_some_and(|whole| !whole.is_object())
            {
                return Err(EditError::Included { path: ancestor });
            }
        }
        let container = find(&self.document.root, &at).expect("it was found just above");
        let refused = |found| EditError::NotAContainer {
            path: path.clone(),
            at: at.clone(),
            found,
        };
        let key = match (&container.kind, step) {
            (Kind::Object(_), Step::Key(key)) => Some(key.clone()),
            (Kind::Object(_), Step::Index(index)) => Some(index.to_string()),
            (Kind::Array(elements), step) => {
                let index = match step {
                    Step::Index(index) => *index,
                    Step::Key(key) => key.parse().map_err(|_| refused("an array"))?,
                };
                if index > elements.len() {
                    return Err(EditError::BeyondEnd {
                        path: path.clone(),
                        length: elements.len(),
                    });
                }
                None
            }
            (Kind::Scalar(scalar), _) => return Err(refused(describe(scalar))),
        };
        let text = splice::append(
            &self.document,
            container,
            &self.layout,
            |indent| match &key {
                Some(key) => self.layout.member(key, &value, indent),
                None => self.layout.value(&value, indent),
            },
        );
        self.replace_text(text)
    }

    /// Adds members to an object of the main file, all of them in one splice, or the object with them.
    fn insert_members(
        &mut self,
        path: &KeyPath,
        added: &Map<String, Value>,
        root: Option<&Value>,
    ) -> Result<(), EditError> {
        for key in added.keys() {
            refuse_placeholders(&path.key(key), &added[key])?;
        }
        if added.is_empty() {
            return Ok(());
        }
        let Some(container) = find(&self.document.root, path) else {
            return self.insert(path, &Value::Object(added.clone()), root);
        };
        let layout = &self.layout;
        let text = splice::append(&self.document, container, layout, |indent| {
            let members = added
                .iter()
                .map(|(key, value)| layout.member(key, value, indent));
            layout.join(members, indent)
        });
        self.replace_text(text)
    }

    /// Removes a value, every duplicate of its key included; tells whether there was one.
    pub(super) fn remove(&mut self, path: &KeyPath) -> Result<bool, EditError> {
        let mut removed = false;
        let (last, parent) = path
            .steps()
            .split_last()
            .expect("only what lies below the root is removed");
        let parent = KeyPath::from(parent.to_vec());
        while let Some((container, index)) =
            find(&self.document.root, &parent).and_then(|node| Some((node, position(node, last)?)))
        {
            let is_array = matches!(container.kind, Kind::Array(_));
            let text = splice::remove(&self.document.text, container, index);
            self.replace_text(text)?;
            removed = true;
            if is_array {
                break;
            }
        }
        Ok(removed)
    }

    pub(super) fn merge(
        &mut self,
        path: &KeyPath,
        patch: &Map<String, Value>,
        effective: Option<&Value>,
        root: Option<&Value>,
    ) -> Result<(), EditError> {
        let mut added = Map::new();
        for (key, value) in patch {
            let path = path.key(key);
            let effective = effective.and_then(|whole| whole.get(key));
            let here = find(&self.document.root, &path);
            match value {
                Value::Null => {
                    if !self.remove(&path)? && effective.is_some() {
                        return Err(EditError::Included { path });
                    }
                }
                _ if here.is_none() && effective.is_none() => {
                    added.insert(key.clone(), without_nulls(value));
                }
                Value::Object(members) => {
                    let is_object = match here {
                        Some(node) => matches!(node.kind, Kind::Object(_)),
                        None => effective.is_some_and(Value::is_object),
                    };
                    if is_object {
                        self.merge(&path, members, effective, root)?;
                    } else {
                        self.set(&path, &without_nulls(value), effective, root)?;
                    }
                }
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    self.set(&path, value, effective, root)?;
                }
            }
        }
        self.insert_members(path, &added, root)
    }

    /// Whether the container that holds a value is written over several lines.
    fn container_spans_lines(&self, path: &KeyPath) -> bool {
        let parent = path
            .steps()
            .split_last()
            .map_or(&[][..], |(_, parent)| parent);
        find(&self.document.root, &KeyPath::from(parent.to_vec()))
            .is_some_and(|node| spans_lines(&self.document.text, node))
    }
}

/// Whether an array of the main file is only a part of the effective one.
fn is_joined(length: usize, effective: Option<&Value>) -> bool {
    effective
        .and_then(Value::as_array)
        .is_some_and(|whole| whole.len() != length)
}

/// Whether a value is what a secret is shown as.
fn is_placeholder(path: &KeyPath, value: &Value) -> bool {
    value == PLACEHOLDER && sensitive::is_secret(path)
}

/// Refuses to write a placeholder where there is no secret that it could stand for.
fn refuse_placeholders(path: &KeyPath, value: &Value) -> Result<(), EditError> {
    match value {
        Value::Object(members) => members
            .iter()
            .try_for_each(|(key, value)| refuse_placeholders(&path.key(key), value)),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| refuse_placeholders(&path.index(index), value)),
        Value::String(_) if is_placeholder(path, value) => {
            Err(EditError::Placeholder { path: path.clone() })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// What a patch makes of nothing: itself, without the members it would remove.
fn without_nulls(patch: &Value) -> Value {
    match patch {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), without_nulls(value)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            patch.clone()
        }
    }
}

/// A value inside the containers that the remaining steps name.
fn nested(path: &KeyPath, below: &[Step], value: &Value) -> Result<Value, EditError> {
    below
        .iter()
        .rev()
        .try_fold(value.clone(), |inner, step| match step {
            Step::Key(key) => Ok(Value::Object(Map::from_iter([(key.clone(), inner)]))),
            Step::Index(0) => Ok(Value::Array(vec![inner])),
            Step::Index(_) => Err(EditError::BeyondEnd {
                path: path.clone(),
                length: 0,
            }),
        })
}

fn find<'n>(root: &'n Node, path: &KeyPath) -> Option<&'n Node> {
    path.steps().iter().try_fold(root, |node, step| {
        let index = position(node, step)?;
        match &node.kind {
            Kind::Object(members) => Some(&members[index].value),
            Kind::Array(elements) => elements.get(index),
            Kind::Scalar(_) => None,
        }
    })
}

/// Which item of a container a step leads to; of duplicate keys the last one, which is the one that counts.
fn position(node: &Node, step: &Step) -> Option<usize> {
    match (&node.kind, step) {
        (Kind::Object(members), Step::Key(key)) => {
            members.iter().rposition(|member| member.key == *key)
        }
        (Kind::Object(members), Step::Index(index)) => {
            let key = index.to_string();
            members.iter().rposition(|member| member.key == key)
        }
        (Kind::Array(elements), Step::Index(index)) => (*index < elements.len()).then_some(*index),
        (Kind::Array(elements), Step::Key(key)) => {
            key.parse().ok().filter(|index| *index < elements.len())
        }
        (Kind::Scalar(_), _) => None,
    }
}
