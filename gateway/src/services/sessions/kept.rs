//! The rows of all sessions, kept as the JSON that clients get.
//!
//! Lists are asked for again and again while runs change a session here and there. The store notes what changes; only that is
//! read anew, and an answer is put together from what is kept.
//!
//! Invariant: an answer is what the store holds at the moment of the request. What is kept is never shown before it has been
//! compared with the store in the same transaction.

use std::cmp::Reverse;
use std::collections::HashSet;

use openclaw_shared::protocol::params::sessions::{SessionRow, SessionsListReply};
use rusqlite::{Connection, Params, Row};
use serde::Serialize;

use super::list::{self, Asked, Known, Shows, Wanted};
use crate::prepared::Prepared;

/// How much is kept at most, in bytes; ten thousand sessions come to six million. Whoever has more waits for the store.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// Between two names that are searched.
const BETWEEN_NAMES: char = '\0';

/// What is kept.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// The last change that is in it; none when nothing is kept.
    seen: Option<i64>,
    /// The newest first.
    rows: Vec<Kept>,
    bytes: usize,
    /// There is more than may be kept.
    is_beyond: bool,
}

/// One session.
#[derive(Debug)]
struct Kept {
    key: Box<str>,
    agent: Box<str>,
    updated_at: i64,
    label: Option<Box<str>>,
    spawned_by: Option<Box<str>>,
    /// What it is called, in lower case.
    names: Box<str>,
    /// The row, its title and its preview, each as it stands in the answer, without the brace that ends the row.
    json: Box<str>,
    title_at: usize,
    preview_at: usize,
}

impl Kept {
    fn place(&self) -> (Reverse<i64>, &str) {
        (Reverse(self.updated_at), &self.key)
    }

    fn bytes(&self) -> usize {
        let texts = [&self.label, &self.spawned_by].into_iter().flatten();
        let texts = texts.chain([&self.key, &self.agent, &self.names, &self.json]);
        size_of::<Self>() + texts.map(|text| text.len()).sum::<usize>()
    }

    fn is_wanted(&self, wanted: &Wanted) -> bool {
        let Wanted {
            session_id: None,
            label,
            agent,
            spawned_by,
            since,
            with_global,
            with_unknown,
        } = wanted
        else {
            debug_assert!(false, "lists are of many conversations");
            return false;
        };
        let is = |wish: &Option<String>, value: Option<&str>| {
            wish.as_deref().is_none_or(|wish| value == Some(wish))
        };
        is(agent, Some(&self.agent))
            && is(label, self.label.as_deref())
            && is(spawned_by, self.spawned_by.as_deref())
            && since.is_none_or(|since| self.updated_at >= i64::try_from(since).unwrap_or(i64::MAX))
            && (*with_global || &*self.key != "global")
            && (*with_unknown || &*self.key != "unknown")
    }

    /// What is shown of it: the row, its title, its preview.
    fn pieces(&self, shows: Shows) -> [&str; 3] {
        let (rest, preview) = self.json.split_at(self.preview_at);
        let (row, title) = rest.split_at(self.title_at);
        let or_nothing = |is_shown: bool, text| if is_shown { text } else { "" };
        [
            row,
            or_nothing(shows.title, title),
            or_nothing(shows.preview, preview),
        ]
    }
}

impl Rows {
    /// Reads what has changed. Whether everything is kept.
    pub(super) fn refresh(&mut self, snapshot: &Connection) -> Result<bool, rusqlite::Error> {
        let (first, last): (Option<i64>, Option<i64>) = snapshot
            .prepare_cached(
                "SELECT (SELECT min(number) FROM session_changes), (SELECT max(number) FROM session_changes)",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let last = last.unwrap_or(0);
        match self.seen {
            _ if self.is_beyond => {}
            Some(seen) if seen == last => {}
            Some(seen) if seen < last && first.is_some_and(|first| first <= seen + 1) => {
                self.read_changed(snapshot, seen)?;
                self.seen = Some(last);
            }
            Some(_) | None => {
                self.read_all(snapshot)?;
                self.seen = Some(last);
            }
        }
        if self.bytes > MOST_BYTES {
            *self = Self {
                is_beyond: true,
                ..Self::default()
            };
        }
        Ok(!self.is_beyond)
    }

    fn read_all(&mut self, snapshot: &Connection) -> Result<(), rusqlite::Error> {
        *self = Self::default();
        let read = Self::read(snapshot, "true", [])?;
        self.take(read);
        Ok(())
    }

    fn read_changed(&mut self, snapshot: &Connection, seen: i64) -> Result<(), rusqlite::Error> {
        let changed: HashSet<String> = snapshot
            .prepare_cached("SELECT key FROM session_changes WHERE number > ?1")?
            .query_map([seen], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let read = Self::read(
            snapshot,
            "session.key IN (SELECT key FROM session_changes WHERE number > ?1)",
            [seen],
        )?;
        self.rows.retain(|row| {
            let is_same = !changed.contains(&*row.key);
            if !is_same {
                self.bytes -= row.bytes();
            }
            is_same
        });
        self.take(read);
        Ok(())
    }

    fn read(
        snapshot: &Connection,
        which: &str,
        values: impl Params,
    ) -> Result<Vec<Kept>, rusqlite::Error> {
        let mut statement = snapshot.prepare_cached(&format!(
            "SELECT session.key, session.agent, session.updated_at, session.label, session.spawned_by, session.entry,
                 conversation.title, conversation.preview
             FROM sessions AS session LEFT JOIN transcripts AS conversation ON conversation.session_id = session.session_id
             WHERE {which}"
        ))?;
        let mut found = statement.query(values)?;
        let (mut read, mut bytes) = (Vec::new(), 0);
        while let Some(row) = found.next()? {
            if let Some(kept) = kept(row)? {
                bytes += kept.bytes();
                read.push(kept);
            }
            // The rest changes nothing: it is too much to be kept.
            if bytes > MOST_BYTES {
                break;
            }
        }
        Ok(read)
    }

    fn take(&mut self, read: Vec<Kept>) {
        self.bytes += read.iter().map(Kept::bytes).sum::<usize>();
        self.rows.extend(read);
        self.rows
            .sort_by(|one, other| one.place().cmp(&other.place()));
    }

    /// The rows that are asked for, the newest first. None when they cannot be told from what is kept.
    pub(super) fn found(&self, asked: &Asked) -> Option<Found<'_>> {
        let search = asked.search.as_deref();
        if search.is_some_and(|text| text.contains(BETWEEN_NAMES)) {
            return None;
        }
        let found = self.rows.iter().filter(|row| {
            row.is_wanted(&asked.wanted) && search.is_none_or(|text| row.names.contains(text))
        });
        let found = found.take(asked.limit).map(|row| row.pieces(asked.shows));
        Some(Found(found.collect()))
    }
}

/// Rows that are asked for, each in its pieces.
pub(super) struct Found<'a>(Vec<[&'a str; 3]>);

impl Found<'_> {
    /// A list that had no rows, with these.
    pub(super) fn within(&self, mut list: SessionsListReply) -> Prepared<SessionsListReply> {
        const END: &str = "[]}";
        const BESIDES: usize = "},".len();
        list.count = self.0.len() as u64;
        let head = written(&list);
        let head = head.strip_suffix(END).expect("the rows come last");
        let pieces = self.0.iter().flatten().map(|piece| piece.len());
        let most = head.len() + END.len() + self.0.len() * BESIDES + pieces.sum::<usize>();
        let mut json = Vec::with_capacity(most);
        json.extend_from_slice(head.as_bytes());
        json.push(b'[');
        for (index, pieces) in self.0.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            for piece in pieces {
                json.extend_from_slice(piece.as_bytes());
            }
            json.push(b'}');
        }
        json.extend_from_slice(b"]}");
        Prepared::of_json(json.into())
    }
}

/// A session as it is kept; none when it cannot be read.
fn kept(row: &Row<'_>) -> Result<Option<Kept>, rusqlite::Error> {
    const EVERYTHING: Shows = Shows {
        title: true,
        preview: true,
    };
    let key: String = row.get(0)?;
    let Some(facts) = list::facts(&key, row.get_ref(5)?.as_str().unwrap_or_default()) else {
        return Ok(None);
    };
    let known = Known {
        title: row.get(6)?,
        preview: row.get(7)?,
    };
    let mut shown = list::shown(key, facts, known, EVERYTHING);
    let title = shown.derived_title.take();
    let preview = shown.last_message_preview.take();
    let mut json = written(&shown);
    json.pop();
    let title_at = json.len();
    add(&mut json, "derivedTitle", title);
    let preview_at = json.len();
    add(&mut json, "lastMessagePreview", preview);
    Ok(Some(Kept {
        agent: row.get(1)?,
        updated_at: row.get(2)?,
        label: row.get(3)?,
        spawned_by: row.get(4)?,
        names: names(&shown).into(),
        key: shown.key.into(),
        json: json.into(),
        title_at,
        preview_at,
    }))
}

fn add(json: &mut String, name: &str, text: Option<String>) {
    if let Some(text) = text {
        json.push_str(&format!(",\"{name}\":{}", written(&text)));
    }
}

fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("wire types have string keys and no failing parts")
}

/// What a session is called, in lower case and each name once.
fn names(row: &SessionRow) -> String {
    let mut names = String::new();
    for name in list::names(row) {
        let name = name.to_lowercase();
        if !names.contains(&name) {
            if !names.is_empty() {
                names.push(BETWEEN_NAMES);
            }
            names.push_str(&name);
        }
    }
    names
}

#[cfg(test)]
mod tests;
