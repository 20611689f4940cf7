//! Takes over the state of another version: `openclaw-gateway --import`, which `openclaw doctor` starts.
//!
//! The other version's folder is only read, its files by plain names beneath it, without following links and within bounds.
//! Each thing goes into the store whole or not at all. Some of them share a commit; a gateway that serves meanwhile waits for no
//! more than that.
//!
//! Invariant: a thing is taken over once. What it looked like is noted; as long as it looks the same it is left alone, whatever
//! has become of it here. When it has changed, it is taken over again unless what is here is newer.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::exit::Exit;
use openclaw_shared::import::{ARGUMENT, ImportOrder, ImportReport, LARGEST_ORDER, Note, Tally};
use rusqlite::Connection;

use crate::services::beneath::Folder;
use crate::store::{self, StoreError};

mod conversations;
mod jobs;
mod ledger;
mod lines;
mod pairings;

use ledger::Thing;

const MIB: u64 = 1024 * 1024;
/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 64 * MIB;
/// How many names of a folder are looked at.
const MOST_NAMES: usize = 100_000;

/// How many things share a commit, and how long a gateway that serves may wait for it.
const MOST_AT_ONCE: usize = 256;
const LONGEST_BATCH: Duration = Duration::from_millis(200);

/// Whether this process was started for that.
pub(crate) fn is_wanted() -> bool {
    std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == ARGUMENT)
}

/// Reads the order, does it, and writes the report.
pub(crate) fn run() -> ExitCode {
    let report = order().map_or_else(
        |error| ImportReport {
            error: Some(error),
            ..ImportReport::default()
        },
        |order| import(&order, WallTime::now()),
    );
    let exit = match report.error {
        None => Exit::Ok,
        Some(_) => Exit::Failure,
    };
    let text = serde_json::to_string(&report).expect("a report is JSON");
    // Whoever started this has left when nothing can be written, and nobody else is to be told.
    let _ = writeln!(io::stdout().lock(), "{text}");
    exit.into()
}

fn order() -> Result<ImportOrder, String> {
    let mut text = String::new();
    let limit = u64::try_from(LARGEST_ORDER).unwrap_or(u64::MAX);
    let read = io::stdin().lock().take(limit).read_to_string(&mut text);
    read.map_err(|error| format!("the order cannot be read: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("the order is none: {error}"))
}

/// Does an order.
fn import(order: &ImportOrder, now: WallTime) -> ImportReport {
    let mut report = ImportReport {
        dry_run: order.dry_run,
        ..ImportReport::default()
    };
    let Some(from) = Folder::open(&order.from) else {
        report.error = Some(format!(
            "{} is no folder that can be read",
            order.from.display()
        ));
        return report;
    };
    if !is_one(&from) {
        return report;
    }
    let opened = if order.dry_run && !order.store.exists() {
        store::open_in_memory()
    } else {
        store::open_beside(&order.store)
    };
    let done = opened.and_then(|connection| {
        let mut import = Import {
            connection,
            now,
            report: &mut report,
            batch: 0,
            batch_began: None,
        };
        import.everything(&from)
    });
    if let Err(error) = done {
        report.error = Some(error.to_string());
    }
    report
}

/// Whether there is anything to take over. A folder of ours may have the same folders, but not the files.
fn is_one(from: &Folder) -> bool {
    const FILES: [(&str, &str); 4] = [
        ("cron", "jobs.json"),
        ("devices", "paired.json"),
        ("nodes", "paired.json"),
        ("settings", "voicewake.json"),
    ];
    let has = |folder: &Folder, wanted: &dyn Fn(&str) -> bool| {
        folder.names(MOST_NAMES).iter().any(|name| wanted(name))
    };
    let has_file = FILES.iter().any(|(folder, file)| {
        from.folder(folder)
            .is_some_and(|folder| has(&folder, &|name| name == *file))
    });
    has_file
        || from.folder("agents").is_some_and(|agents| {
            agents.names(MOST_NAMES).iter().any(|name| {
                let sessions = agents
                    .folder(name)
                    .and_then(|agent| agent.folder("sessions"));
                sessions.is_some_and(|folder| {
                    has(&folder, &|name| {
                        name == "sessions.json" || name.ends_with(".jsonl")
                    })
                })
            })
        })
}

/// An import under way.
struct Import<'a> {
    connection: Connection,
    now: WallTime,
    report: &'a mut ImportReport,
    /// How many things were done that are not durable yet, and since when.
    batch: usize,
    batch_began: Option<Moment>,
}

/// What became of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    Added,
    Updated,
    Unchanged,
    NewerHere,
    Skipped,
}

impl Import<'_> {
    fn everything(&mut self, from: &Folder) -> Result<(), StoreError> {
        conversations::import(self, from)?;
        jobs::import(self, from)?;
        pairings::import(self, from)?;
        self.commit()
    }

    /// Does what is to be done with one thing, whole or not at all; in a dry run it is taken back. What the work refuses is noted
    /// and leaves no trace.
    fn thing(
        &mut self,
        thing: &Thing<'_>,
        tally: impl Fn(&mut ImportReport) -> &mut Tally,
        work: impl FnOnce(&Connection) -> Result<Became, Refused>,
    ) -> Result<(), StoreError> {
        self.report.found = true;
        let now = self.now;
        if self.batch == 0 {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            self.batch_began = Some(Moment::now());
        }
        self.batch += 1;
        self.connection.execute_batch("SAVEPOINT thing")?;
        let done = if ledger::knows(&self.connection, thing)? {
            Ok(Became::Unchanged)
        } else {
            work(&self.connection)
        };
        let became = match done {
            Ok(became) => {
                if became != Became::Unchanged || !ledger::knows(&self.connection, thing)? {
                    ledger::note(&self.connection, thing, now)?;
                }
                became
            }
            Err(Refused::ByStore(error)) => {
                self.connection
                    .execute_batch("ROLLBACK TO thing; RELEASE thing")?;
                self.commit()?;
                return Err(error);
            }
            Err(Refused::Because(why)) => {
                self.report.notes.push(Note {
                    file: thing.file.to_owned(),
                    text: why,
                });
                Became::Skipped
            }
        };
        let ending = if self.report.dry_run || became == Became::Skipped {
            "ROLLBACK TO thing; RELEASE thing"
        } else {
            "RELEASE thing"
        };
        self.connection.execute_batch(ending)?;
        let is_long = self
            .batch_began
            .is_some_and(|began| Moment::now().since(began) > LONGEST_BATCH);
        if self.batch >= MOST_AT_ONCE || is_long {
            self.commit()?;
        }
        let tally = tally(self.report);
        *match became {
            Became::Added => &mut tally.added,
            Became::Updated => &mut tally.updated,
            Became::Unchanged => &mut tally.unchanged,
            Became::NewerHere => &mut tally.newer_here,
            Became::Skipped => &mut tally.skipped,
        } += 1;
        Ok(())
    }

    /// Makes durable what was done.
    fn commit(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.batch) > 0 {
            self.connection.execute_batch("COMMIT")?;
        }
        Ok(())
    }

    fn note(&mut self, file: &str, text: impl Into<String>) {
        self.report.notes.push(Note {
            file: file.to_owned(),
            text: text.into(),
        });
    }

    /// A file that may be there. What is there and cannot be read is noted.
    fn text(&mut self, folder: &Folder, name: &str, shown: &str) -> Option<String> {
        if folder.names(MOST_NAMES).iter().any(|there| there == name) {
            self.listed(folder, name, shown)
        } else {
            None
        }
    }

    /// A file that is there.
    fn listed(&mut self, folder: &Folder, name: &str, shown: &str) -> Option<String> {
        self.report.found = true;
        match folder.read(name, LARGEST_FILE).map(String::from_utf8) {
            Some(Ok(text)) => Some(text),
            Some(Err(_)) => {
                self.note(shown, "it is not UTF-8");
                None
            }
            None => {
                let why = match folder.size(name) {
                    Some(size) if size > LARGEST_FILE => format!(
                        "it has {} MiB, and no file of more than {} MiB is taken over",
                        size.div_ceil(MIB),
                        LARGEST_FILE / MIB
                    ),
                    Some(_) | None => "it is no file that can be read".to_owned(),
                };
                self.note(shown, why);
                None
            }
        }
    }

    /// A JSON file that may be there.
    fn json(&mut self, folder: &Folder, name: &str, shown: &str) -> Option<serde_json::Value> {
        let text = self.text(folder, name, shown)?;
        match serde_json::from_str(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.note(shown, format!("it is not JSON: {error}"));
                None
            }
        }
    }
}

/// Why one thing is not taken over.
#[derive(Debug)]
enum Refused {
    /// It cannot be, for this reason.
    Because(String),
    /// The store failed, and with it everything that is to come.
    ByStore(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::ByStore(error)
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::ByStore(error.into())
    }
}

#[cfg(test)]
mod tests;
