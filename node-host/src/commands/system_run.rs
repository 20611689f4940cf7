//! `system.run`: executes a command, if the owner of this machine allows it or a person has approved it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openclaw_exec::admission::{self, Admitted, Wanted};
use openclaw_exec::environment::Effect;
use openclaw_exec::policy::decide::Denial;
use openclaw_exec::policy::resolve::{self, resolve};
use openclaw_exec::process::{self, Ended, Output, Task};
use openclaw_shared::exec_approvals::ApprovalsFile;
use openclaw_shared::exec_text;
use openclaw_shared::protocol::strict::Int;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::{info, warn};

use super::{Answer, Happened, Invocation, Refused, Services, answer, aside, lock, read};
use crate::consent::{Approval, Marks};
use crate::skills::Bins;

/// How much of the output goes with `exec.finished`, in characters.
const MOST_TOLD: usize = 20_000;
/// How long a command may take at most. One that never ends would hold its place for ever.
const LONGEST: Duration = Duration::from_secs(600);
/// What a frame needs besides the answer.
const ENVELOPE: usize = 1_024;

/// What it is called with. What a newer gateway sends in addition is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Params {
    command: Vec<String>,
    raw_command: Option<String>,
    cwd: Option<String>,
    env: Option<BTreeMap<String, String>>,
    timeout_ms: Option<Int<0>>,
    needs_screen_recording: Option<bool>,
    agent_id: Option<String>,
    session_key: Option<String>,
    run_id: Option<String>,
    approved: Option<bool>,
    approval_decision: Option<String>,
    approval: Option<Approval>,
}

/// What it answers. A command that fails is an answer, too.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    timed_out: bool,
    success: bool,
    stdout: String,
    stderr: String,
    error: Option<String>,
}

/// Why it was not executed.
enum Denied {
    Policy(Denial),
    ScreenRecording,
}

impl Denied {
    const fn message(&self) -> &'static str {
        match self {
            Self::Policy(denial) => denial.message(),
            Self::ScreenRecording => "PERMISSION_MISSING: screenRecording",
        }
    }

    const fn reason(&self) -> &'static str {
        match self {
            Self::Policy(denial) => denial.reason(),
            Self::ScreenRecording => "permission:screenRecording",
        }
    }
}

pub(super) async fn perform(
    services: &Arc<Services>,
    invocation: &Invocation,
) -> (Answer, Option<Happened>) {
    let params = match read::<Params>(invocation.params.as_deref()).and_then(checked) {
        Ok(params) => params,
        Err(refused) => return (Err(refused), None),
    };
    let effect = match services.host.effect(params.variables()) {
        Ok(effect) => effect,
        Err(why) => {
            let refused = Refused::invalid(format!("INVALID_REQUEST: {why}"));
            return (Err(refused), None);
        }
    };
    let patience_ms = invocation.timeout_ms;
    let (params, admitted) = match rules(services, params).await {
        (params, Ok((file, skills))) => {
            aside(services, move |services| {
                let admitted = admit(services, &params, effect, &file, &skills, patience_ms);
                (params, admitted)
            })
            .await
        }
        (params, Err(denied)) => (params, Err(denied)),
    };
    match admitted {
        Ok(task) => {
            let ended = process::run(&services.keeper, task).await;
            info!(
                target: "node", code = ended.exit_code, timed_out = ended.timed_out,
                began = ended.error.is_none(), "a command has ended"
            );
            let finished = finished(&params, &ended);
            (fitting(&ended, invocation.room), Some(finished))
        }
        Err(denied) => {
            info!(target: "node", reason = denied.reason(), "a command was not executed");
            let mut payload = about(&params);
            payload["reason"] = denied.reason().into();
            let happened = Happened {
                event: "exec.denied",
                payload,
            };
            (Err(Refused::unavailable(denied.message())), Some(happened))
        }
    }
}

fn checked(mut params: Params) -> Result<Params, Refused> {
    if params
        .command
        .first()
        .is_none_or(|program| program.trim().is_empty())
    {
        return Err(Refused::invalid("command required"));
    }
    let has_nul = |text: &String| text.contains('\0');
    let mut variables = params.env.iter().flatten();
    if params.command.iter().chain(&params.cwd).any(has_nul)
        || variables.any(|(name, value)| has_nul(name) || has_nul(value))
    {
        return Err(Refused::invalid("INVALID_REQUEST: a NUL in the command"));
    }
    match &params.raw_command {
        Some(raw) if !exec_text::describes(raw, &params.command) => {
            return Err(Refused::invalid(
                "INVALID_REQUEST: rawCommand does not match command",
            ));
        }
        Some(_) | None => {}
    }
    // The gateway says whose rules hold, as it says what is approved. It is taken at its word, but for names that are none.
    let agent = params.agent_id.take();
    let agent = agent.map(|agent| agent.trim().to_ascii_lowercase());
    params.agent_id = agent.filter(|agent| !agent.is_empty());
    match &params.agent_id {
        Some(agent) if !resolve::is_name(agent) => Err(Refused::invalid(
            "INVALID_REQUEST: agentId is not the name of an agent",
        )),
        Some(_) | None => Ok(params),
    }
}

impl Params {
    fn variables(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.env.as_ref().unwrap_or(&NONE)
    }
}

/// The owner's rules, and the programs of skills if they count.
async fn rules(
    services: &Arc<Services>,
    params: Params,
) -> (Params, Result<(ApprovalsFile, Bins), Denied>) {
    let file = match aside(services, |services| services.approvals.file()).await {
        Ok(file) => file,
        Err(error) => {
            warn!(target: "node", %error, "nothing is executed, because what may be is not known");
            return (params, Err(Denied::Policy(Denial::Disabled)));
        }
    };
    let rules = resolve(&file, params.agent_id.as_deref());
    if rules.has_fallback {
        services.fallback_warning.call_once(|| {
            warn!(
                target: "node",
                "askFallback in the exec approvals has no effect: what nobody approves is not executed"
            );
        });
    }
    let skills = if rules.auto_allow_skills {
        services.skills.bins().await
    } else {
        Bins::default()
    };
    (params, Ok((file, skills)))
}

/// Decides, and says what is to be executed.
fn admit(
    services: &Services,
    params: &Params,
    effect: Effect,
    file: &ApprovalsFile,
    skills: &Bins,
    patience_ms: Option<u64>,
) -> Result<Task, Denied> {
    if params.needs_screen_recording == Some(true) {
        return Err(Denied::ScreenRecording);
    }
    let host = &services.host;
    let asked_cwd = params.cwd.as_deref().filter(|cwd| !cwd.trim().is_empty());
    let cwd = match asked_cwd {
        Some(cwd) => host.working_dir.join(cwd),
        None => host.working_dir.clone(),
    };
    let env = params.variables();
    let agent = params.agent_id.as_deref();
    let consent = lock(&services.spent).consent(
        &Marks {
            approved: params.approved,
            decision: params.approval_decision.as_deref(),
            approval: params.approval.as_ref(),
        },
        &params.command,
        params.cwd.as_deref(),
        env,
    );
    let wanted = Wanted {
        argv: &params.command,
        cwd: &cwd,
        env,
        effect,
        shown: &shown(params),
        agent,
    };
    let rules = resolve(file, agent);
    let admitted = admission::admit(&wanted, &rules, skills, consent, host, &services.approvals);
    let Admitted { program, argv } = admitted.map_err(|denied| {
        if let Some(why) = denied.why {
            info!(target: "node", why, "the allow-list cannot judge a command");
        }
        Denied::Policy(denied.denial)
    })?;
    let own = params
        .timeout_ms
        .map(Int::get_unsigned)
        .filter(|millis| *millis > 0);
    // When the gateway has given up, nobody hears of the end any more.
    let patience = patience_ms.filter(|millis| *millis > 0);
    Ok(Task {
        program,
        argv,
        variables: host.with(env),
        cwd,
        limit: Some(limit(
            own.into_iter()
                .chain(patience)
                .min()
                .map(Duration::from_millis),
        )),
        input: None,
        output: Output::Apart,
    })
}

fn limit(asked: Option<Duration>) -> Duration {
    asked.map_or(LONGEST, |time| time.min(LONGEST))
}

/// The command as people read it.
fn shown(params: &Params) -> String {
    match &params.raw_command {
        Some(raw) => raw.clone(),
        None => params.command.join(" "),
    }
}

fn about(params: &Params) -> serde_json::Value {
    let run = params.run_id.clone();
    let run = run.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut about = json!({ "runId": run, "host": "node", "command": shown(params) });
    if let Some(session) = &params.session_key {
        about["sessionKey"] = session.as_str().into();
    }
    about
}

fn finished(params: &Params, ended: &Ended) -> Happened {
    let reply = Reply::of(ended, process::MOST_OUTPUT);
    let parts = [
        Some(&reply.stdout),
        Some(&reply.stderr),
        reply.error.as_ref(),
    ];
    let parts: Vec<&str> = parts
        .into_iter()
        .flatten()
        .map(|part| part.trim_end())
        .filter(|part| !part.is_empty())
        .collect();
    let output = parts.join("\n");
    let surplus = output.chars().count().saturating_sub(MOST_TOLD);
    let mut payload = about(params);
    if let Some(code) = ended.exit_code {
        payload["exitCode"] = code.into();
    }
    payload["timedOut"] = ended.timed_out.into();
    payload["success"] = reply.success.into();
    payload["output"] = output.chars().skip(surplus).collect::<String>().into();
    Happened {
        event: "exec.finished",
        payload,
    }
}

/// The answer, with less of the output if the gateway would refuse the frame: one that is too long ends the connection.
fn fitting(ended: &Ended, room: usize) -> Answer {
    let mut cap = process::MOST_OUTPUT;
    loop {
        let text = answer(&Reply::of(ended, cap))?;
        // The answer travels as a string inside JSON, which escapes it a second time.
        let length = serde_json::to_string(&text).map_or(usize::MAX, |quoted| quoted.len());
        if length + ENVELOPE <= room || cap == 0 {
            return Ok(text);
        }
        cap /= 2;
    }
}

impl Reply {
    fn of(ended: &Ended, cap: usize) -> Self {
        let stdout = ended.stdout.len().min(cap);
        let stderr = ended.stderr.len().min(cap - stdout);
        let was_cut = ended.truncated || stdout < ended.stdout.len() || stderr < ended.stderr.len();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut reply = Self {
            exit_code: ended.exit_code,
            timed_out: ended.timed_out,
            success: ended.exit_code == Some(0),
            stdout: text(&ended.stdout[..stdout]),
            stderr: text(&ended.stderr[..stderr]),
            error: ended.error.clone(),
        };
        if was_cut {
            let last = if reply.stderr.is_empty() {
                &mut reply.stdout
            } else {
                &mut reply.stderr
            };
            last.push_str("\n... (truncated)");
        }
        reply
    }
}

#[cfg(test)]
mod tests;
