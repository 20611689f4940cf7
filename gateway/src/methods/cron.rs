//! What is to happen at set times.

use openclaw_shared::clock::{WallTime, local_zone};
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::method::cron::{
    CronAdd, CronList, CronRemove, CronRun, CronRuns, CronStatus, CronUpdate,
};
use openclaw_shared::protocol::params::cron::{
    CronAction, CronAddParams, CronJob, CronListParams, CronListReply, CronRemoveParams,
    CronRemoveReply, CronRunMode, CronRunParams, CronRunReply, CronRunsParams, CronRunsReply,
    CronStatusParams, CronStatusReply, CronUpdateParams,
};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::cron as clockwork;
use crate::services::cron;
use crate::services::cron::agenda::{self, Which};
use crate::services::cron::normalise;

/// How many runs are told when nobody says.
const RUNS: u64 = 200;

pub(super) fn register(routes: Routes) -> Routes {
    routes
        .on(CronList, list)
        .on(CronStatus, status)
        .on_errand(CronAdd, add)
        .prepared(CronAdd, normalise::add)
        .on_errand(CronUpdate, update)
        .prepared(CronUpdate, normalise::update)
        .on_errand(CronRemove, remove)
        .on_errand_then(CronRun, run, ran)
        .on(CronRuns, runs)
}

/// Everybody is told what became of a job, and whoever waits for times looks again.
fn tell(context: &Context, job_id: &str, action: CronAction, next: Option<u64>) {
    clockwork::tell_of(context, job_id, action, next);
    context.cron.jobs_changed();
}

async fn list(
    context: &Context,
    _caller: &Caller,
    params: CronListParams,
) -> Result<CronListReply, MethodError> {
    let with_disabled = params.include_disabled == Some(true);
    let jobs = context
        .store
        .read(|reader| Ok(cron::list(reader, with_disabled)))??;
    Ok(CronListReply { jobs })
}

async fn status(
    context: &Context,
    _caller: &Caller,
    _params: CronStatusParams,
) -> Result<CronStatusReply, MethodError> {
    let identity = &context.instance.identity;
    let enabled = context.settings().cron.is_enabled;
    let next = context.store.read(agenda::next_wake)?;
    Ok(CronStatusReply {
        enabled,
        store_path: identity.display(&StatePaths(&identity.state_dir).store()),
        jobs: context.store.read(cron::count)?,
        next_wake_at_ms: next.filter(|_| enabled),
    })
}

async fn add(
    context: &Context,
    _caller: &Caller,
    params: CronAddParams,
) -> Result<CronJob, MethodError> {
    let job = cron::job(WallTime::now(), &local_zone(), params)?;
    let job = context
        .store
        .write(move |tx| {
            cron::insert(tx, &job)?;
            Ok::<_, MethodError>(job)
        })
        .await?;
    let next = job.state.next_run_at_ms;
    tell(context, &job.id, CronAction::Added, next);
    Ok(job)
}

async fn update(
    context: &Context,
    _caller: &Caller,
    params: CronUpdateParams,
) -> Result<CronJob, MethodError> {
    let CronUpdateParams { id, patch } = params;
    let id = id.trim().to_owned();
    let unknown = MethodError::unavailable(format!("Error: unknown cron job id: {id}"));
    if !cron::is_job_id(&id) {
        return Err(unknown);
    }
    let job = context
        .store
        .write(move |tx| {
            let job = cron::find(tx, &id)?.ok_or(unknown)?;
            let job = cron::changed(WallTime::now(), &local_zone(), job, patch)?;
            cron::update(tx, &job)?;
            Ok::<_, MethodError>(job)
        })
        .await?;
    let next = job.state.next_run_at_ms;
    tell(context, &job.id, CronAction::Updated, next);
    Ok(job)
}

async fn remove(
    context: &Context,
    _caller: &Caller,
    params: CronRemoveParams,
) -> Result<CronRemoveReply, MethodError> {
    let id = params.id.trim().to_owned();
    let removed = cron::is_job_id(&id) && {
        let id = id.clone();
        context.store.write(move |tx| cron::remove(tx, &id)).await?
    };
    if removed {
        tell(context, &id, CronAction::Removed, None);
    }
    Ok(CronRemoveReply { ok: true, removed })
}

/// A run that is under way, or none when it is over; or why there is none.
type Begun = Result<Option<String>, &'static str>;

async fn run(
    context: &Context,
    _caller: &Caller,
    params: CronRunParams,
) -> Result<Begun, MethodError> {
    let id = params.id.trim();
    if !cron::is_job_id(id) {
        return Err(MethodError::unavailable(format!(
            "Error: unknown cron job id: {id}"
        )));
    }
    let which = match params.mode {
        Some(CronRunMode::Force) => Which::Asked,
        Some(CronRunMode::Due) | None => Which::Due,
    };
    clockwork::run_now(context, id, which).await
}

/// The run goes on when its caller leaves.
async fn ran(context: &Context, begun: Begun) -> Result<CronRunReply, MethodError> {
    let reason = match begun {
        Ok(run) => {
            if let Some(run) = run {
                clockwork::over(context, &run).await?;
            }
            None
        }
        Err(reason) => Some(reason.to_owned()),
    };
    Ok(CronRunReply {
        ok: true,
        ran: reason.is_none(),
        reason,
    })
}

async fn runs(
    context: &Context,
    _caller: &Caller,
    params: CronRunsParams,
) -> Result<CronRunsReply, MethodError> {
    let id = params.id.trim();
    if !cron::is_job_id(id) {
        return Ok(CronRunsReply {
            entries: Vec::new(),
        });
    }
    let limit = params.limit.map_or(RUNS, |limit| limit.get_unsigned());
    let entries = context
        .store
        .read(|reader| Ok(cron::runs(reader, id, limit)))??;
    Ok(CronRunsReply { entries })
}
