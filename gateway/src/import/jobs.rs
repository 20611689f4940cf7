//! Jobs and how their runs went: `cron/`.

use std::collections::BTreeSet;

use openclaw_shared::clock::local_zone;
use openclaw_shared::protocol::params::cron::{CronJob, CronRunEntry};
use rusqlite::{Connection, params};
use serde_json::Value;

use super::ledger::{self, Thing};
use super::{Became, Import, MOST_NAMES, Refused};
use crate::services::beneath::Folder;
use crate::services::cron::{self, course};
use crate::store::StoreError;

const JOB: &str = "job";

pub(super) fn import(import: &mut Import<'_>, from: &Folder) -> Result<(), StoreError> {
    let Some(folder) = from.folder("cron") else {
        return Ok(());
    };
    const INDEX: &str = "cron/jobs.json";
    let file = import.json(&folder, "jobs.json", INDEX);
    match file.as_ref().map(|file| file.get("jobs")) {
        Some(Some(Value::Array(jobs))) => {
            for written in jobs {
                job(import, INDEX, written)?;
            }
        }
        Some(_) => import.note(INDEX, "it has no list of jobs"),
        None => {}
    }
    let Some(folder) = folder.folder("runs") else {
        return Ok(());
    };
    for name in folder.names(MOST_NAMES) {
        let Some(id) = name.strip_suffix(".jsonl").filter(|id| cron::is_job_id(id)) else {
            continue;
        };
        let shown = format!("cron/runs/{name}");
        if let Some(text) = import.listed(&folder, &name, &shown) {
            runs(import, &shown, id, &text)?;
        }
    }
    Ok(())
}

fn job(import: &mut Import<'_>, index: &str, written: &Value) -> Result<(), StoreError> {
    let text = written.to_string();
    let id = written.get("id").and_then(Value::as_str).unwrap_or("");
    let thing = Thing {
        kind: JOB,
        name: id,
        file: index,
        text: &text,
    };
    let now = import.now;
    import.thing(
        &thing,
        |report| &mut report.jobs,
        |tx| {
            let mut job = read(written)?;
            let was_here = ledger::remembers(tx, JOB, &job.id)?;
            if job.enabled {
                course::plan(&mut job, now, &local_zone());
            }
            match cron::find(tx, &job.id)? {
                None if was_here => Ok(Became::NewerHere),
                None => {
                    cron::insert(tx, &job)?;
                    Ok(Became::Added)
                }
                // It runs here, which changes it too.
                Some(here) if here.updated_at_ms >= job.updated_at_ms => Ok(Became::NewerHere),
                Some(_) => {
                    cron::update(tx, &job)?;
                    Ok(Became::Updated)
                }
            }
        },
    )
}

fn read(written: &Value) -> Result<CronJob, Refused> {
    let mut written = written.clone();
    if let Some(object) = written.as_object_mut() {
        // Where it is left out, the other version never runs the job.
        object.entry("enabled").or_insert(Value::Bool(false));
        object
            .entry("state")
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    let name = written.get("name").and_then(Value::as_str);
    let named = name.unwrap_or("without a name").to_owned();
    let mut job: CronJob = serde_json::from_value(written)
        .map_err(|error| Refused::Because(format!("the job {named} cannot be read: {error}")))?;
    if !cron::is_job_id(&job.id) {
        return Err(Refused::Because(format!(
            "the job {named} has an id that none can have"
        )));
    }
    // What runs there does not run here.
    job.state.running_at_ms = None;
    Ok(job)
}

fn runs(import: &mut Import<'_>, file: &str, id: &str, text: &str) -> Result<(), StoreError> {
    let thing = Thing {
        kind: "runs",
        name: id,
        file,
        text,
    };
    let (mut added, mut torn) = (0, false);
    let told = (&mut added, &mut torn);
    import.thing(
        &thing,
        |report| &mut report.histories,
        move |tx| {
            let (added, torn) = told;
            let entries = read_runs(id, text, torn).map_err(Refused::Because)?;
            if cron::find(tx, id)?.is_none() {
                // The history of a job that is no more is nobody's.
                return Ok(Became::Unchanged);
            }
            *added = add(tx, id, &entries)?;
            Ok(if *added > 0 {
                Became::Added
            } else {
                Became::Unchanged
            })
        },
    )?;
    import.report.runs += added;
    if torn {
        import.note(file, "its last line is not complete and is left out");
    }
    Ok(())
}

fn read_runs(id: &str, text: &str, torn: &mut bool) -> Result<Vec<CronRunEntry>, String> {
    let mut entries = Vec::new();
    let last = text.lines().count();
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<CronRunEntry>(line) {
            Ok(entry) if entry.job_id == id => entries.push(entry),
            Ok(_) => return Err(format!("line {number} is of another job")),
            Err(_) if number == last && !text.ends_with('\n') => *torn = true,
            Err(error) => return Err(format!("line {number} is no run: {error}")),
        }
    }
    Ok(entries)
}

fn add(tx: &Connection, id: &str, entries: &[CronRunEntry]) -> Result<u64, Refused> {
    let here: BTreeSet<u64> = cron::runs(tx, id, u64::MAX)?
        .iter()
        .map(|entry| entry.ts)
        .collect();
    let mut added = 0;
    for entry in entries.iter().filter(|entry| !here.contains(&entry.ts)) {
        tx.prepare_cached("INSERT INTO cron_runs (job_id, entry) VALUES (?1, ?2)")?
            .execute(params![id, written(entry)])?;
        added += 1;
    }
    Ok(added)
}

fn written(entry: &CronRunEntry) -> String {
    serde_json::to_string(entry).expect("a run is JSON")
}
