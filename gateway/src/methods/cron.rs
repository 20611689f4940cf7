//! What is to happen at set times.

use openclaw_shared::clock::WallTime;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::event::Cron;
use openclaw_shared::protocol::method::cron::{
    CronAdd, CronList, CronRemove, CronRuns, CronStatus, CronUpdate,
};
use openclaw_shared::protocol::params::cron::{
    CronAction, CronAddParams, CronEventPayload, CronJob, CronListParams, CronListReply,
    CronRemoveParams, CronRemoveReply, CronRunsParams, CronRunsReply, CronStatusParams,
    CronStatusReply, CronUpdateParams,
};

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::prepared::Prepared;
use crate::services::cron;
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
        .on(CronRuns, runs)
}

fn tell(context: &Context, job_id: String, action: CronAction) {
    let payload = Prepared::new(&CronEventPayload {
        job_id,
        action,
        run_at_ms: None,
        duration_ms: None,
        status: None,
        error: None,
        summary: None,
        next_run_at_ms: None,
    });
    context
        .hub
        .publish::<Cron>(&payload, context.state_version());
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
    Ok(CronStatusReply {
        // Whatever the configuration wishes: nothing runs jobs before there are agent runs.
        enabled: false,
        store_path: identity.display(&StatePaths(&identity.state_dir).store()),
        jobs: context.store.read(cron::count)?,
        next_wake_at_ms: None,
    })
}

async fn add(
    context: &Context,
    _caller: &Caller,
    params: CronAddParams,
) -> Result<CronJob, MethodError> {
    let job = cron::job(WallTime::now(), params)?;
    let job = context
        .store
        .write(move |tx| {
            cron::insert(tx, &job)?;
            Ok::<_, MethodError>(job)
        })
        .await?;
    tell(context, job.id.clone(), CronAction::Added);
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
            let job = cron::changed(WallTime::now(), job, patch)?;
            cron::update(tx, &job)?;
            Ok::<_, MethodError>(job)
        })
        .await?;
    tell(context, job.id.clone(), CronAction::Updated);
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
        tell(context, id, CronAction::Removed);
    }
    Ok(CronRemoveReply { ok: true, removed })
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
