//! `openclaw cron`: work that is done at its time.

use clap::{Args, Subcommand};
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::cron::{
    CronAdd, CronList, CronRemove, CronRun, CronRuns, CronStatus, CronUpdate,
};
use serde_json::{Value, json};

use super::answer::Answer as _;
use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::failure::Failure;
use super::named::{self, Named};
use super::rpc::{Rpc, ask, patiently};

mod job;
mod view;

/// How long a run may take before the command gives up waiting for its end.
const RUN_LIMIT: std::time::Duration = std::time::Duration::from_secs(600);

/// `cron`.
#[derive(Debug, Args)]
#[command(
    mut_args = everywhere,
    after_help = "A job is named by its id, the beginning of its id (6 characters or more), or its name."
)]
pub(crate) struct CronArgs {
    /// Accepted for scripts: a command always waits for the last answer
    #[arg(long, hide = true)]
    expect_final: bool,
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: CronCommand,
}

#[derive(Debug, Subcommand)]
enum CronCommand {
    /// Show whether jobs are run, and how many there are
    Status,
    /// Show the jobs
    List {
        /// Those that are switched off too
        #[arg(long)]
        all: bool,
    },
    /// Add a job
    #[command(alias = "create")]
    Add(Box<job::AddArgs>),
    /// Change a job
    Edit(Box<job::EditArgs>),
    /// Remove a job
    #[command(alias = "remove")]
    Rm(JobName),
    /// Switch a job on
    Enable(JobName),
    /// Switch a job off
    Disable(JobName),
    /// Run a job, and wait for its end
    Run {
        #[command(flatten)]
        job: JobName,
        /// Also when it is not due
        #[arg(long)]
        force: bool,
    },
    /// Show how the runs of a job went
    Runs {
        #[command(flatten)]
        job: JobName,
        /// Show at most so many
        #[arg(long, value_name = "RUNS", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=5000))]
        limit: u64,
    },
}

/// A job, named as an argument or by `--id`.
#[derive(Debug, Clone, Args)]
struct JobName {
    /// The job
    #[arg(value_name = "JOB", required_unless_present = "id")]
    job: Option<String>,
    /// The same as JOB
    #[arg(long, value_name = "JOB", conflicts_with = "job")]
    id: Option<String>,
}

impl JobName {
    fn text(&self) -> &str {
        let named = self.job.as_deref().or(self.id.as_deref());
        named.unwrap_or_default()
    }
}

pub(crate) async fn perform(context: &Context, arguments: CronArgs) -> Result<Exit, Failure> {
    let rpc = &arguments.rpc;
    match arguments.command {
        CronCommand::Status => status(context, rpc).await,
        CronCommand::List { all } => list(context, rpc, all).await,
        CronCommand::Add(arguments) => add(context, rpc, *arguments).await,
        CronCommand::Edit(arguments) => {
            let patch = arguments.patch(WallTime::now())?;
            let job = arguments.job();
            update(context, rpc, "cron edit", job, patch, "is changed").await
        }
        CronCommand::Rm(job) => remove(context, rpc, job.text()).await,
        CronCommand::Enable(job) => {
            let patch = json!({ "enabled": true });
            update(
                context,
                rpc,
                "cron enable",
                job.text(),
                patch,
                "is switched on",
            )
            .await
        }
        CronCommand::Disable(job) => {
            let patch = json!({ "enabled": false });
            update(
                context,
                rpc,
                "cron disable",
                job.text(),
                patch,
                "is switched off",
            )
            .await
        }
        CronCommand::Run { job, force } => run(context, rpc, job.text(), force).await,
        CronCommand::Runs { job, limit } => runs(context, rpc, job.text(), limit).await,
    }
}

async fn status(context: &Context, rpc: &RpcFlags) -> Result<Exit, Failure> {
    let answer = ask::<CronStatus>(context, rpc, "cron status", json!({})).await?;
    context
        .out
        .answer(&answer, || view::status(&answer, WallTime::now()));
    Ok(Exit::Ok)
}

async fn list(context: &Context, rpc: &RpcFlags, all: bool) -> Result<Exit, Failure> {
    let params = json!({ "includeDisabled": all });
    let answer = ask::<CronList>(context, rpc, "cron list", params).await?;
    context
        .out
        .answer(&answer, || view::jobs(&answer, WallTime::now()));
    Ok(Exit::Ok)
}

async fn add(context: &Context, rpc: &RpcFlags, arguments: job::AddArgs) -> Result<Exit, Failure> {
    let job = arguments.job(WallTime::now())?;
    let answer = ask::<CronAdd>(context, rpc, "cron add", job).await?;
    context.out.answer(&answer, || {
        let next = answer["state"].time("nextRunAtMs");
        let next = next.map_or_else(
            || "It has no next time.".to_owned(),
            |then| format!("Next: {}.", then.to_rfc3339()),
        );
        vec![format!(
            "Added {} ({}). {next}",
            answer.text("name"),
            answer.text("id")
        )]
    });
    Ok(Exit::Ok)
}

/// Finds the job that is meant.
async fn find(rpc: &mut Rpc<'_>, wanted: &str) -> Result<Named, Failure> {
    let list = rpc
        .call::<CronList>(json!({ "includeDisabled": true }))
        .await?;
    let jobs: Vec<Named> = list.items("jobs").iter().map(named).collect();
    named::find("job", &jobs, wanted).cloned()
}

fn named(job: &Value) -> Named {
    Named {
        id: job.text("id"),
        name: job.text("name"),
        remote_ip: String::new(),
    }
}

async fn update(
    context: &Context,
    flags: &RpcFlags,
    command: &str,
    job: &str,
    patch: Value,
    done: &str,
) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, flags, command).await?;
    let job = find(&mut rpc, job).await?;
    let params = json!({ "id": job.id, "patch": patch });
    let answer = rpc.call::<CronUpdate>(params).await?;
    context
        .out
        .answer(&answer, || vec![format!("{} {done}.", answer.text("name"))]);
    Ok(Exit::Ok)
}

async fn remove(context: &Context, flags: &RpcFlags, job: &str) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, flags, "cron rm").await?;
    let job = find(&mut rpc, job).await?;
    let answer = rpc.call::<CronRemove>(json!({ "id": job.id })).await?;
    let removed = answer.is_on("removed");
    context.out.answer(&answer, || {
        vec![match removed {
            true => format!("Removed {}.", job.shown()),
            false => format!("{} was gone already.", job.shown()),
        }]
    });
    Ok(Exit::Ok)
}

async fn run(context: &Context, flags: &RpcFlags, job: &str, force: bool) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, flags, "cron run").await?;
    let job = find(&mut rpc, job).await?;
    let mode = if force { "force" } else { "due" };
    let params = json!({ "id": job.id, "mode": mode });
    let limit = flags.timeout.unwrap_or(RUN_LIMIT);
    let running = rpc.call_for::<CronRun>(limit, params);
    let answer = patiently(context, "Waiting for the run to end…", running).await?;
    context.out.answer(&answer, || {
        vec![
            match (answer.is_on("ran"), answer.text("reason").as_str()) {
                (true, _) => format!("{} ran.", job.shown()),
                (false, "not-due") => format!("{} is not due; --force runs it now.", job.shown()),
                (false, reason) => format!("{} did not run: {reason}", job.shown()),
            },
        ]
    });
    Ok(Exit::Ok)
}

async fn runs(context: &Context, flags: &RpcFlags, job: &str, limit: u64) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, flags, "cron runs").await?;
    let job = find(&mut rpc, job).await?;
    let answer = rpc
        .call::<CronRuns>(json!({ "id": job.id, "limit": limit }))
        .await?;
    context
        .out
        .answer(&answer, || view::runs(&answer, WallTime::now()));
    Ok(Exit::Ok)
}
