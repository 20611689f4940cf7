//! What is to happen at set times, kept in the store.
//!
//! What a job is and how it is changed is here; when it is due in [`schedule`], how it goes with it in [`course`], what is done
//! in [`agenda`]. Whoever waits for the time and does it is `crate::cron`.

use jiff::tz::TimeZone;
use openclaw_shared::clock::{WallTime, is_time_zone};
use openclaw_shared::protocol::params::cron::{
    CronAddParams, CronJob, CronJobPatch, CronJobState, CronPayload, CronPayloadPatch,
    CronRunEntry, CronSchedule, Note, SessionTarget, Turn,
};
use openclaw_shared::protocol::strict::{NonEmpty, OrNull};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::methods::MethodError;
use crate::services::session_key::agent_id;
use crate::store::StoreError;

pub(crate) mod agenda;
pub(crate) mod course;
pub(crate) mod normalise;
pub(crate) mod schedule;
pub(crate) mod told;

/// The longest id of a job, in bytes.
const LONGEST_ID: usize = 64;
/// The largest number of milliseconds in a schedule: what every program that reads JSON knows exactly.
const FARTHEST: u64 = (1 << 53) - 1;

/// Whether a text may be the id of a job: letters, digits, `_` and `-`.
pub(crate) fn is_job_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= LONGEST_ID
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// A new job of what was asked for.
pub(crate) fn job(
    now: WallTime,
    local: &TimeZone,
    params: CronAddParams,
) -> Result<CronJob, MethodError> {
    let mut job = CronJob {
        id: uuid::Uuid::new_v4().to_string(),
        agent_id: match params.agent_id {
            None | Some(OrNull::Null) => None,
            Some(OrNull::Value(id)) => Some(agent(&id, "cron.add")?),
        },
        name: name(&params.name)?,
        description: description(params.description.as_deref()),
        enabled: params.enabled.unwrap_or(true),
        delete_after_run: params.delete_after_run,
        created_at_ms: now.as_millis(),
        updated_at_ms: now.as_millis(),
        schedule: schedule(params.schedule, "cron.add")?,
        session_target: params.session_target,
        wake_mode: params.wake_mode,
        payload: params.payload,
        isolation: params.isolation,
        state: CronJobState::default(),
    };
    fits(&job)?;
    course::plan(&mut job, now, local);
    Ok(job)
}

/// A job after a change.
pub(crate) fn changed(
    now: WallTime,
    local: &TimeZone,
    job: CronJob,
    patch: CronJobPatch,
) -> Result<CronJob, MethodError> {
    let before = (job.schedule.clone(), job.enabled);
    let mut job = job;
    if let Some(new) = &patch.name {
        job.name = name(new)?;
    }
    match &patch.agent_id {
        None => {}
        Some(OrNull::Null) => job.agent_id = None,
        Some(OrNull::Value(id)) => job.agent_id = Some(agent(id, "cron.update")?),
    }
    if let Some(text) = &patch.description {
        job.description = description(Some(text));
    }
    if let Some(new) = patch.schedule {
        job.schedule = schedule(new, "cron.update")?;
    }
    if let Some(change) = patch.payload {
        job.payload = payload(job.payload, change)?;
    }
    job.enabled = patch.enabled.unwrap_or(job.enabled);
    job.delete_after_run = patch.delete_after_run.or(job.delete_after_run);
    job.session_target = patch.session_target.unwrap_or(job.session_target);
    job.wake_mode = patch.wake_mode.unwrap_or(job.wake_mode);
    job.isolation = patch.isolation.or(job.isolation);
    job.updated_at_ms = now.as_millis().max(job.updated_at_ms);
    fits(&job)?;
    if (&job.schedule, job.enabled) != (&before.0, before.1) {
        job.state.next_run_at_ms = None;
    }
    course::plan(&mut job, now, local);
    Ok(job)
}

fn fits(job: &CronJob) -> Result<(), MethodError> {
    let message = match (job.session_target, &job.payload) {
        (SessionTarget::Main, CronPayload::SystemEvent(_))
        | (SessionTarget::Isolated, CronPayload::AgentTurn(_)) => return Ok(()),
        (SessionTarget::Main, CronPayload::AgentTurn(_)) => {
            r#"Error: main cron jobs require payload.kind="systemEvent""#
        }
        (SessionTarget::Isolated, CronPayload::SystemEvent(_)) => {
            r#"Error: isolated cron jobs require payload.kind="agentTurn""#
        }
    };
    Err(MethodError::unavailable(message))
}

fn name(text: &str) -> Result<String, MethodError> {
    match text.trim() {
        "" => Err(MethodError::unavailable("Error: cron job name is required")),
        name => Ok(name.to_owned()),
    }
}

fn description(text: Option<&str>) -> Option<String> {
    text.map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn agent(text: &str, method: &str) -> Result<String, MethodError> {
    agent_id(text).ok_or_else(|| {
        MethodError::invalid(format!(
            "invalid {method} params: at /agentId: must be an agent id"
        ))
    })
}

/// A schedule that will come to something: its expression can be read, and its time zone is known here.
fn schedule(schedule: CronSchedule, method: &str) -> Result<CronSchedule, MethodError> {
    let refuse = |message: String| {
        Err(MethodError::invalid(format!(
            "invalid {method} params: at /schedule/{message}"
        )))
    };
    let too_far = |field: &str| refuse(format!("{field}: must be <= {FARTHEST}"));
    match &schedule {
        CronSchedule::At { at_ms } if at_ms.get_unsigned() > FARTHEST => return too_far("atMs"),
        CronSchedule::Every { every_ms, .. } if every_ms.get_unsigned() > FARTHEST => {
            return too_far("everyMs");
        }
        CronSchedule::Every {
            anchor_ms: Some(anchor),
            ..
        } if anchor.get_unsigned() > FARTHEST => return too_far("anchorMs"),
        CronSchedule::At { .. } | CronSchedule::Every { .. } => {}
        CronSchedule::Cron { expr, tz } => {
            let fields = expr.split_whitespace().count();
            // A nickname such as @daily is one field.
            if !(expr.starts_with('@') || (5..=6).contains(&fields)) {
                return refuse("expr: must have five or six fields".to_owned());
            }
            if let Err(error) = schedule::expression(expr) {
                return refuse(format!("expr: must be a cron expression ({error})"));
            }
            if let Some(tz) = tz.as_deref().map(str::trim).filter(|tz| !tz.is_empty())
                && !is_time_zone(tz)
            {
                return refuse("tz: must be a time zone that is known here".to_owned());
            }
        }
    }
    Ok(schedule)
}

fn payload(before: CronPayload, change: CronPayloadPatch) -> Result<CronPayload, MethodError> {
    let missing = |kind: &str, field: &str| {
        MethodError::unavailable(format!(
            r#"Error: cron.update payload.kind="{kind}" requires {field}"#
        ))
    };
    match change {
        CronPayloadPatch::SystemEvent(change) => {
            let before = match before {
                CronPayload::SystemEvent(note) => Some(note.text),
                CronPayload::AgentTurn(_) => None,
            };
            let text = change.text.or(before);
            let text = text.ok_or_else(|| missing("systemEvent", "text"))?;
            Ok(CronPayload::SystemEvent(Note { text }))
        }
        CronPayloadPatch::AgentTurn(change) => {
            let before = match before {
                CronPayload::AgentTurn(turn) => Some(turn),
                CronPayload::SystemEvent(_) => None,
            };
            let message: Option<NonEmpty> = change
                .message
                .or_else(|| before.as_ref().map(|turn| turn.message.clone()));
            let message = message.ok_or_else(|| missing("agentTurn", "message"))?;
            let before = before.unwrap_or_else(|| Turn {
                message: message.clone(),
                model: None,
                thinking: None,
                timeout_seconds: None,
                deliver: None,
                channel: None,
                to: None,
                best_effort_deliver: None,
            });
            Ok(CronPayload::AgentTurn(Turn {
                message,
                model: change.model.or(before.model),
                thinking: change.thinking.or(before.thinking),
                timeout_seconds: change.timeout_seconds.or(before.timeout_seconds),
                deliver: change.deliver.or(before.deliver),
                channel: change.channel.or(before.channel),
                to: change.to.or(before.to),
                best_effort_deliver: change.best_effort_deliver.or(before.best_effort_deliver),
            }))
        }
    }
}

/// Keeps a new job.
pub(crate) fn insert(connection: &Connection, job: &CronJob) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO cron_jobs (id, enabled, job) VALUES (?1, ?2, ?3)")?
        .execute(params![job.id, job.enabled, text(job)])?;
    Ok(())
}

/// Keeps a job that was changed.
pub(crate) fn update(connection: &Connection, job: &CronJob) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE cron_jobs SET enabled = ?2, job = ?3 WHERE id = ?1")?
        .execute(params![job.id, job.enabled, text(job)])?;
    Ok(())
}

fn text(job: &CronJob) -> String {
    serde_json::to_string(job).expect("a job is JSON")
}

fn parsed(text: &str) -> Result<CronJob, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Failed(format!("a cron job cannot be read: {error}")))
}

/// A job.
pub(crate) fn find(connection: &Connection, id: &str) -> Result<Option<CronJob>, StoreError> {
    let kept: Option<String> = connection
        .prepare_cached("SELECT job FROM cron_jobs WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    kept.map(|text| parsed(&text)).transpose()
}

/// Removes a job and what is known of its runs. Whether there was one.
pub(crate) fn remove(connection: &Connection, id: &str) -> Result<bool, StoreError> {
    let removed = connection
        .prepare_cached("DELETE FROM cron_jobs WHERE id = ?1")?
        .execute([id])?;
    Ok(removed > 0)
}

/// The jobs, the one that is due first at the front, and those that are not due by themselves at the end.
pub(crate) fn list(
    connection: &Connection,
    with_disabled: bool,
) -> Result<Vec<CronJob>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT job FROM cron_jobs WHERE enabled OR ?1 ORDER BY next_run_ms NULLS LAST, number",
    )?;
    let texts = statement.query_map([with_disabled], |row| row.get::<_, String>(0))?;
    texts.map(|text| parsed(&text?)).collect()
}

/// How many jobs there are.
pub(crate) fn count(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM cron_jobs")?
        .query_row([], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// The newest runs of a job, the oldest of them first.
pub(crate) fn runs(
    connection: &Connection,
    id: &str,
    limit: u64,
) -> Result<Vec<CronRunEntry>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT entry FROM cron_runs WHERE job_id = ?1 ORDER BY number DESC LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let texts = statement.query_map(params![id, limit], |row| row.get::<_, String>(0))?;
    let mut entries = Vec::new();
    for text in texts {
        let entry = serde_json::from_str(&text?)
            .map_err(|error| StoreError::Failed(format!("a run cannot be read: {error}")))?;
        entries.push(entry);
    }
    entries.reverse();
    Ok(entries)
}

#[cfg(test)]
mod tests;
