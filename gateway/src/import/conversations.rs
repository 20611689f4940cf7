//! Sessions and what was said in them: `agents/<agent>/sessions/`.

use std::collections::BTreeMap;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::sessions::SessionEntry;
use openclaw_shared::transcript::Message;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::ledger::{self, Thing};
use super::lines::{self, Lines};
use super::{Became, Import, MOST_NAMES, Refused};
use crate::services::beneath::Folder;
use crate::services::session_key::{Naming, SessionKey, configured_agent_id};
use crate::services::{sessions, transcripts};
use crate::store::StoreError;

/// What the other version keeps in an entry for itself: where its file lies, and what it can prepare again.
const ITS_OWN: [&str; 3] = ["sessionFile", "skillsSnapshot", "systemPromptReport"];
/// What a conversation is called in the ledger.
const TRANSCRIPT: &str = "transcript";

/// The sessions of an agent.
#[derive(Debug, Default)]
struct Agent {
    sessions: Vec<Session>,
    /// The conversation that a file holds, where its name alone does not say so.
    files: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Session {
    key: SessionKey,
    /// As the other version wrote it.
    text: String,
    entry: SessionEntry,
}

pub(super) fn import(import: &mut Import<'_>, from: &Folder) -> Result<(), StoreError> {
    let Some(agents) = from.folder("agents") else {
        return Ok(());
    };
    for name in agents.names(MOST_NAMES) {
        let Some(folder) = agents
            .folder(&name)
            .and_then(|agent| agent.folder("sessions"))
        else {
            continue;
        };
        let below = format!("agents/{name}/sessions");
        let Some(id) = configured_agent_id(&name) else {
            import.note(&below, "its agent has no name that can be used");
            continue;
        };
        agent(import, &folder, &id, &below)?;
    }
    Ok(())
}

fn agent(
    import: &mut Import<'_>,
    folder: &Folder,
    agent: &str,
    below: &str,
) -> Result<(), StoreError> {
    let index = format!("{below}/sessions.json");
    let known = match import.json(folder, "sessions.json", &index) {
        Some(Value::Object(entries)) => read(import, agent, &index, entries),
        Some(_) => {
            import.note(&index, "it is no JSON object");
            Agent::default()
        }
        None => Agent::default(),
    };
    let current: BTreeMap<&str, &SessionKey> = known
        .sessions
        .iter()
        .map(|session| (session.entry.session_id.as_str(), &session.key))
        .collect();
    for name in folder.names(MOST_NAMES) {
        let Some(stem) = name.strip_suffix(".jsonl") else {
            continue;
        };
        let shown = format!("{below}/{name}");
        let Some(text) = import.listed(folder, &name, &shown) else {
            import.report.transcripts.skipped += 1;
            continue;
        };
        let id = known.files.get(&name).map_or(stem, String::as_str);
        let key = current.get(id).copied();
        transcript(import, &shown, id, key, &text)?;
    }
    for session in &known.sessions {
        self::session(import, agent, &index, session)?;
    }
    Ok(())
}

fn read(
    import: &mut Import<'_>,
    agent: &str,
    index: &str,
    entries: serde_json::Map<String, Value>,
) -> Agent {
    let naming = Naming {
        default_agent: agent,
        main_key: "main",
        is_global: false,
    };
    let mut found: BTreeMap<SessionKey, Session> = BTreeMap::new();
    let mut files = BTreeMap::new();
    for (name, mut entry) in entries {
        let text = entry.to_string();
        let file = entry.get("sessionFile").and_then(Value::as_str);
        let file = file
            .and_then(|path| path.rsplit('/').next())
            .map(str::to_owned);
        if let Some(object) = entry.as_object_mut() {
            object.retain(|field, _| !ITS_OWN.contains(&field.as_str()));
        }
        let key = SessionKey::parse(&name, naming).map_err(|error| error.to_string());
        let parsed = serde_json::from_value::<SessionEntry>(entry)
            .map_err(|error| error.to_string())
            .and_then(|entry| Ok((key?, entry)));
        let (key, entry) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                import.report.sessions.skipped += 1;
                import.note(index, format!("the session {name} cannot be read: {error}"));
                continue;
            }
        };
        if let Some(file) = file {
            files.insert(file, entry.session_id.clone());
        }
        // The same session may stand under an alias, too; the newer one is the one.
        let session = Session { key, text, entry };
        match found.get(&session.key) {
            Some(other) if other.entry.updated_at >= session.entry.updated_at => {}
            Some(_) | None => {
                found.insert(session.key.clone(), session);
            }
        }
    }
    Agent {
        sessions: found.into_values().collect(),
        files,
    }
}

fn transcript(
    import: &mut Import<'_>,
    file: &str,
    id: &str,
    key: Option<&SessionKey>,
    text: &str,
) -> Result<(), StoreError> {
    let thing = Thing {
        kind: TRANSCRIPT,
        name: id,
        file,
        text,
    };
    let now = import.now;
    let (mut notes, mut added) = (Vec::new(), 0);
    let counted = (&mut notes, &mut added);
    import.thing(
        &thing,
        |report| &mut report.transcripts,
        move |tx| {
            let lines = lines::read(text).map_err(Refused::Because)?;
            let (notes, added) = counted;
            notes.clone_from(&lines.notes);
            let (became, entries) = copy(tx, now, id, key, &lines)?;
            *added = entries;
            Ok(became)
        },
    )?;
    for note in notes {
        import.note(file, note);
    }
    import.report.entries += added;
    Ok(())
}

/// Adds what is not here yet, if what is here is how it began.
fn copy(
    tx: &Connection,
    now: WallTime,
    id: &str,
    key: Option<&SessionKey>,
    lines: &Lines,
) -> Result<(Became, u64), Refused> {
    let here: Vec<String> = tx
        .prepare_cached("SELECT id FROM transcript_entries WHERE session_id = ?1 ORDER BY number")?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let there: Vec<&str> = lines
        .entries
        .iter()
        .map(|entry| entry.id.as_str())
        .collect();
    let is_beginning = there.len() >= here.len() && here.iter().zip(&there).all(|(a, b)| a == b);
    let was_here = ledger::remembers(tx, TRANSCRIPT, id)?;
    let is_here = tx
        .prepare_cached("SELECT 1 FROM transcripts WHERE session_id = ?1")?
        .exists([id])?;
    // What was taken over and is not here any more was deleted here.
    let is_gone = was_here && !is_here;
    if !is_beginning || is_gone {
        return Ok((Became::NewerHere, 0));
    }
    let begun = lines.begun.or(lines.entries.first().map(|entry| entry.at));
    let shown_key = key.map_or("", SessionKey::as_str);
    transcripts::begin(tx, id, shown_key, begun.unwrap_or(now))?;
    let mut added = 0;
    for entry in lines.entries.iter().skip(here.len()) {
        tx.prepare_cached(
            "INSERT INTO transcript_entries (session_id, id, at_ms, kind, role, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            id,
            entry.id,
            i64::try_from(entry.at.as_millis()).unwrap_or(i64::MAX),
            entry.kind,
            entry.role,
            entry.body
        ])?;
        if let Some(message) = &entry.message {
            transcripts::show(tx, id, message)?;
            if let Message::Assistant(said) = message {
                let body: Value = serde_json::from_str(&entry.body).unwrap_or_default();
                let is_without_cost = body.pointer("/usage/cost").is_none();
                transcripts::usage::count(tx, entry.at, &said.usage, is_without_cost)?;
            }
        }
        added += 1;
    }
    if key.is_none() && !was_here {
        // Its session went on to another one before.
        transcripts::archive(tx, id, now, transcripts::LEFT_FOR)?;
    }
    let became = match (here.is_empty(), added) {
        (true, _) => Became::Added,
        (false, 0) => Became::Unchanged,
        (false, _) => Became::Updated,
    };
    Ok((became, added))
}

fn session(
    import: &mut Import<'_>,
    agent: &str,
    index: &str,
    session: &Session,
) -> Result<(), StoreError> {
    let thing = Thing {
        kind: "session",
        name: session.key.as_str(),
        file: index,
        text: &session.text,
    };
    let now = import.now;
    let mut lost_label = None;
    let lost = &mut lost_label;
    import.thing(
        &thing,
        |report| &mut report.sessions,
        move |tx| {
            let key = session.key.as_str();
            let mut entry = session.entry.clone();
            let here = sessions::find(tx, key)?;
            let was_here = ledger::remembers(tx, "session", key)?;
            let became = match &here {
                None if was_here => return Ok(Became::NewerHere),
                None => Became::Added,
                Some(here) if here.updated_at >= entry.updated_at => return Ok(Became::NewerHere),
                Some(_) => Became::Updated,
            };
            if let Some(here) = here.filter(|here| here.session_id != entry.session_id) {
                transcripts::archive(tx, &here.session_id, now, transcripts::LEFT_FOR)?;
            }
            let holder: Option<String> = tx
                .prepare_cached("SELECT key FROM sessions WHERE label = ?1 AND key <> ?2")?
                .query_row(params![entry.label, key], |row| row.get(0))
                .optional()?;
            if holder.is_some() {
                *lost = entry.label.take();
            }
            sessions::write(tx, &session.key, agent, &entry)?;
            tx.prepare_cached(
                "UPDATE transcripts SET session_key = ?2, expires_ms = NULL WHERE session_id = ?1",
            )?
            .execute([&entry.session_id, key])?;
            Ok(became)
        },
    )?;
    if let Some(label) = lost_label {
        import.note(
            index,
            format!(
                "the session {} has lost its label: another one here is called {label}",
                session.key
            ),
        );
    }
    Ok(())
}
