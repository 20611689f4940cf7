//! `exec`: a shell command, if the owner's rules or a person let it run.
//!
//! A command that takes long goes on in the background, where [`super::process`] finds it again; one that is waited for ends with
//! whoever waits.
//!
//! Invariant: what a person approves is what runs. The question shows the whole command, and the very words, folder and variables of
//! the question are what is executed.

mod consent;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use openclaw_exec::admission::{self, Admitted, Denied, Wanted};
use openclaw_exec::approvals::Approvals;
use openclaw_exec::environment::{Effect, HostEnvironment};
use openclaw_exec::keeper::Keeper;
use openclaw_exec::policy::decide::{self, Denial};
use openclaw_exec::policy::programs::{Disk, Site};
use openclaw_exec::policy::resolve::{resolve_within, stricter_ask, stricter_security};
use openclaw_exec::process::{Output, Task};
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::exec_approvals::{Ask, Security};
use openclaw_shared::transcript::Part;
use serde_json::{Map, Value, json};
use tokio::time::sleep_until;

use super::arguments::Arguments;
use super::process::Processes;
use super::{failed, spec};
use crate::model::ToolSpec;
use crate::tool::{Call, Tool, ToolError, ToolOutput};
pub use consent::{Answer, Consent, Nobody, Question};
pub(super) use session::Session;

const NAME: &str = "exec";
/// How long people have to say whether a command may run.
const PATIENCE: Duration = Duration::from_secs(120);
/// How much of the output those who watch are sent, in bytes.
const MOST_WATCHED: usize = 8_000;
/// How often they are sent it at most.
const WATCHED_EVERY: Duration = Duration::from_millis(250);

/// How an agent runs commands.
#[derive(Clone)]
pub struct ExecSettings {
    /// The agent.
    pub agent: String,
    /// The program that keepers of commands are.
    pub keeper: Keeper,
    /// The variables and the search path of commands.
    pub host: HostEnvironment,
    /// The owner's file.
    pub approvals: Approvals,
    /// How much may be executed, as the configuration says.
    pub security: Security,
    /// When a person is asked, as the configuration says.
    pub ask: Ask,
    /// How long a command may take that says nothing else.
    pub limit: Duration,
    /// After how long a command goes on in the background.
    pub background_after: Duration,
    /// Whether commands may go on in the background: whoever may not use `process` would not find them again.
    pub may_background: bool,
    /// Finds the programs of skills, which run without an entry where the owner's file says so. Reads files.
    pub skill_programs: SkillPrograms,
    /// Where commands go on.
    pub processes: Processes,
    /// Who is told when a command in the background has ended.
    pub on_exit: Option<OnExit>,
}

/// Finds the programs of skills.
pub type SkillPrograms = Arc<dyn Fn() -> BTreeSet<String> + Send + Sync>;

/// Who is told of a command in the background that has ended.
pub type OnExit = Rc<dyn Fn(&Exited)>;

/// A command in the background that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exited {
    /// What `process` knows it by.
    pub session: String,
    /// Its first words.
    pub name: String,
    /// How it ended: `code 0`, `signal SIGKILL`.
    pub how: String,
    /// The last of what it wrote.
    pub tail: String,
}

/// The tool.
pub(super) struct Exec {
    spec: ToolSpec,
    workspace: PathBuf,
    settings: ExecSettings,
    consent: Rc<dyn Consent>,
}

impl Exec {
    pub(super) fn new(
        workspace: PathBuf,
        settings: ExecSettings,
        consent: Rc<dyn Consent>,
    ) -> Self {
        let spec = spec(
            NAME,
            "Execute shell commands with background continuation. Use yieldMs/background to continue later via process tool.",
            &["command"],
            json!({
                "command": { "description": "Shell command to execute", "type": "string" },
                "workdir": { "description": "Working directory (defaults to cwd)", "type": "string" },
                "env": { "type": "object", "additionalProperties": { "type": "string" } },
                "yieldMs": { "description": "Milliseconds to wait before backgrounding (default 10000)", "type": "number" },
                "background": { "description": "Run in background immediately", "type": "boolean" },
                "timeout": { "description": "Timeout in seconds (optional, kills process on expiry)", "type": "number" },
                "host": { "description": "Exec host (sandbox|gateway|node).", "type": "string" },
                "security": { "description": "Exec security mode (deny|allowlist|full).", "type": "string" },
                "ask": { "description": "Exec ask mode (off|on-miss|always).", "type": "string" },
            }),
        );
        Self {
            spec,
            workspace,
            settings,
            consent,
        }
    }
}

impl Tool for Exec {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<ToolOutput, ToolError>> {
        async move {
            let request = match Request::read(&call.arguments, &self.settings) {
                Ok(request) => request,
                Err(error) => return Ok(failed(NAME, error)),
            };
            match self.perform(request, call.progress).await {
                Ok(output) => Ok(output),
                Err(error) => Ok(failed(NAME, error)),
            }
        }
        .boxed_local()
    }

    fn summary(&self, arguments: &Map<String, Value>) -> Option<String> {
        let arguments = Arguments::new(NAME, arguments);
        arguments.text(&["command"]).map(str::to_owned)
    }
}

/// A call, read.
struct Request {
    command: String,
    workdir: Option<String>,
    env: BTreeMap<String, String>,
    effect: Effect,
    limit: Duration,
    /// After how long it goes on in the background, if it may.
    background_after: Option<Duration>,
    security: Security,
    ask: Ask,
}

impl Request {
    fn read(arguments: &Map<String, Value>, settings: &ExecSettings) -> Result<Self, ToolError> {
        let arguments = Arguments::new(NAME, arguments);
        let command = arguments.text(&["command"]).unwrap_or_default();
        if command.trim().is_empty() {
            return Err(ToolError("Provide a command to start.".to_owned()));
        }
        if command.contains('\0') {
            return Err(ToolError("a command has no NUL".to_owned()));
        }
        match arguments.text(&["host"]) {
            None | Some("" | "gateway" | "sandbox") => {}
            Some(other) => {
                return Err(ToolError(format!(
                    "exec host not allowed (requested {other}; commands run on the gateway, and on nodes by the tool nodes)."
                )));
            }
        }
        // A call may ask for stricter rules than the owner's, never for looser ones.
        let mut security = settings.security;
        if let Some(word) = arguments
            .text(&["security"])
            .filter(|word| !word.is_empty())
        {
            let asked = serde_json::from_value(word.into());
            let asked = asked
                .map_err(|_| arguments.wrong("security", "must be deny, allowlist or full"))?;
            security = stricter_security(security, asked);
        }
        let mut ask = settings.ask;
        if let Some(word) = arguments.text(&["ask"]).filter(|word| !word.is_empty()) {
            let asked = serde_json::from_value(word.into());
            let asked =
                asked.map_err(|_| arguments.wrong("ask", "must be off, on-miss or always"))?;
            ask = stricter_ask(ask, asked);
        }
        let env = arguments.texts("env")?;
        let effect = settings
            .host
            .effect(&env)
            .map_err(|why| ToolError(why.to_string()))?;
        let limit = match arguments.number("timeout")? {
            Some(seconds) if seconds > 0.0 => Duration::try_from_secs_f64(seconds)
                .map_or(settings.limit, |asked| asked.min(LONGEST)),
            Some(_) | None => settings.limit,
        };
        let yield_ms = arguments.integer("yieldMs")?;
        let background_after = if arguments.flag("background") {
            Duration::ZERO
        } else {
            yield_ms.map_or(settings.background_after, |millis| {
                Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
            })
        };
        Ok(Self {
            command: command.to_owned(),
            workdir: arguments.text(&["workdir"]).map(str::to_owned),
            env,
            effect,
            limit,
            background_after: settings.may_background.then_some(background_after),
            security,
            ask,
        })
    }
}

/// How long a command may take that asks for more than is usual.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A command that is to be judged, as it will run.
#[derive(Clone)]
struct Exactly {
    argv: Vec<String>,
    cwd: PathBuf,
    env: BTreeMap<String, String>,
    effect: Effect,
    command: String,
    security: Security,
    ask: Ask,
}

impl Exec {
    async fn perform(
        &self,
        request: Request,
        progress: &dyn Fn(ToolOutput),
    ) -> Result<ToolOutput, ToolError> {
        let (cwd, warning) = self.folder(request.workdir.as_deref())?;
        let exactly = Exactly {
            argv: ["/bin/sh", "-c", &request.command]
                .map(str::to_owned)
                .into(),
            cwd: cwd.clone(),
            env: request.env.clone(),
            effect: request.effect,
            command: request.command.clone(),
            security: request.security,
            ask: request.ask,
        };
        let admitted = self.admit(exactly, progress).await?;
        let session = Rc::new(Session::new(
            self.settings.agent.clone(),
            request.command,
            cwd.display().to_string(),
        ));
        let task = Task {
            program: admitted.program,
            argv: admitted.argv,
            cwd,
            variables: self.settings.host.with(&request.env),
            limit: Some(request.limit),
            input: None,
            output: Output::Together,
        };
        let keeper = self.settings.keeper.clone();
        let mut running = Rc::clone(&session)
            .run(keeper, task, self.settings.may_background)
            .map_err(|error| ToolError(format!("no pipe for the input: {error}")))?;
        let mut shown = Shown::default();
        let mut yields_at = request.background_after.map(|after| Moment::now() + after);
        loop {
            let again_at = shown.again_at();
            tokio::select! {
                biased;
                () = &mut running => {
                    shown.at_least_once(&session, progress);
                    return Ok(self.finished(&session, request.limit, &warning));
                }
                () = until(yields_at) => {
                    let is_over = tokio::select! {
                        biased;
                        () = &mut running => true,
                        () = session.started() => false,
                    };
                    if is_over {
                        return Ok(self.finished(&session, request.limit, &warning));
                    }
                    let on_exit = self.settings.on_exit.clone();
                    match self.settings.processes.adopt(&session, running, on_exit) {
                        Ok(()) => return Ok(going_on(&session, &warning)),
                        // Where there is no room the command is waited for.
                        Err(back) => {
                            running = back;
                            yields_at = None;
                        }
                    }
                }
                () = session.changed(), if again_at.is_none() => shown.change(&session, progress),
                () = until(again_at), if again_at.is_some() => shown.show(&session, progress),
            }
        }
    }

    /// The folder it runs in, without links, so that what was shown cannot become another.
    fn folder(&self, asked: Option<&str>) -> Result<(PathBuf, String), ToolError> {
        let own = || {
            let real = std::fs::canonicalize(&self.workspace);
            real.map_err(|error| {
                let folder = self.workspace.display();
                ToolError(format!("the workspace {folder} cannot be used: {error}"))
            })
        };
        let Some(asked) = asked.filter(|asked| !asked.trim().is_empty()) else {
            return Ok((own()?, String::new()));
        };
        match std::fs::canonicalize(self.workspace.join(asked)) {
            Ok(real) if real.is_dir() => Ok((real, String::new())),
            Ok(_) | Err(_) => {
                let own = own()?;
                let warning = format!(
                    "Warning: workdir \"{asked}\" is unavailable; using \"{}\".\n\n",
                    own.display()
                );
                Ok((own, warning))
            }
        }
    }

    /// Asks the rules, and a person where these say so.
    async fn admit(
        &self,
        exactly: Exactly,
        progress: &dyn Fn(ToolOutput),
    ) -> Result<Admitted, ToolError> {
        let refused = |denied: Denied| {
            ToolError(match denied.denial {
                Denial::Disabled => "exec denied: host=gateway security=deny".to_owned(),
                Denial::AllowlistMiss => "exec denied: allowlist-miss".to_owned(),
                Denial::ApprovalRequired => "exec denied: approval-required".to_owned(),
            })
        };
        match self.judge(&exactly, decide::Consent::None).await? {
            Ok(admitted) => return Ok(admitted),
            Err(denied) if denied.denial != Denial::ApprovalRequired => {
                return Err(refused(denied));
            }
            Err(_) => {}
        }
        let question = self.question(&exactly);
        progress(pending(&question));
        let consent = match self.consent.ask(question).await {
            Answer::Once => decide::Consent::Once,
            Answer::Always => decide::Consent::Always,
            Answer::Denied => return Err(ToolError("exec denied: user-denied".to_owned())),
            Answer::Late => return Err(ToolError("exec denied: approval-timeout".to_owned())),
            Answer::Unasked(why) => {
                return Err(ToolError(format!("exec denied: approval-required ({why})")));
            }
        };
        self.judge(&exactly, consent).await?.map_err(refused)
    }

    async fn judge(
        &self,
        exactly: &Exactly,
        consent: decide::Consent,
    ) -> Result<Result<Admitted, Denied>, ToolError> {
        let exactly = exactly.clone();
        let host = self.settings.host.clone();
        let approvals = self.settings.approvals.clone();
        let agent = self.settings.agent.clone();
        let find_programs = Arc::clone(&self.settings.skill_programs);
        let judged = tokio::task::spawn_blocking(move || {
            let file = approvals.file().map_err(|error| {
                ToolError(format!(
                    "exec denied: what may run is not known: cannot {error}"
                ))
            })?;
            let agent = Some(agent.as_str());
            let rules = resolve_within(&file, agent, exactly.security, exactly.ask);
            let skills = if rules.auto_allow_skills {
                find_programs()
            } else {
                BTreeSet::new()
            };
            let wanted = Wanted {
                argv: &exactly.argv,
                cwd: &exactly.cwd,
                env: &exactly.env,
                effect: exactly.effect,
                shown: &exactly.command,
                agent,
            };
            Ok(admission::admit(
                &wanted, &rules, &skills, consent, &host, &approvals,
            ))
        });
        judged
            .await
            .map_err(|error| ToolError(format!("exec has failed: {error}")))?
    }

    fn question(&self, exactly: &Exactly) -> Question {
        let host = &self.settings.host;
        Question {
            id: uuid::Uuid::new_v4().to_string(),
            command: exactly.command.clone(),
            argv: exactly.argv.clone(),
            cwd: exactly.cwd.display().to_string(),
            env: exactly.env.clone(),
            security: exactly.security,
            ask: exactly.ask,
            agent: self.settings.agent.clone(),
            resolved_path: first_program(&exactly.command, &exactly.cwd, host),
            limit: PATIENCE,
        }
    }

    fn finished(&self, session: &Session, limit: Duration, warning: &str) -> ToolOutput {
        let end = session.end();
        let output = session.output();
        let output = output.trim_end();
        let mut details = json!({
            "status": end.status(),
            "exitCode": end.exit_code,
            "durationMs": end.millis,
            "aggregated": output,
            "cwd": session.cwd,
        });
        if let Some(members) = details.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        if end.is_success() {
            let shown = if output.is_empty() {
                "(no output)"
            } else {
                output
            };
            return ToolOutput {
                content: vec![Part::text(format!("{warning}{shown}"))],
                details,
                is_error: false,
            };
        }
        let why = if end.timed_out {
            format!("Command timed out after {} seconds", limit.as_secs_f64())
        } else if let Some(error) = &end.error {
            error.clone()
        } else {
            match (end.exit_code, &end.signal) {
                (Some(code), _) => format!("Command exited with code {code}"),
                (None, Some(signal)) => format!("Command aborted by signal {signal}"),
                (None, None) => "Command was ended".to_owned(),
            }
        };
        let between = if output.is_empty() { "" } else { "\n\n" };
        details["error"] = why.as_str().into();
        ToolOutput {
            content: vec![Part::text(format!("{warning}{output}{between}{why}"))],
            details,
            is_error: true,
        }
    }
}

/// The program that a person is shown besides the command: the first one.
fn first_program(command: &str, cwd: &Path, host: &HostEnvironment) -> Option<String> {
    let site = Site {
        files: &Disk,
        cwd,
        path: &host.path,
        home: host.home.as_deref(),
    };
    let located = site.locate(command.split_whitespace().next()?)?;
    located.real.to_str().map(str::to_owned)
}

fn pending(question: &Question) -> ToolOutput {
    let slug = question.id.get(..8).unwrap_or(&question.id);
    let limit = u64::try_from(question.limit.as_millis()).unwrap_or(u64::MAX);
    ToolOutput {
        content: vec![Part::text(format!(
            "Approval required (id {slug}). The command runs when it is approved."
        ))],
        details: json!({
            "status": "approval-pending",
            "approvalId": question.id,
            "approvalSlug": slug,
            "expiresAtMs": WallTime::now().as_millis().saturating_add(limit),
            "host": "gateway",
            "command": question.command,
            "cwd": question.cwd,
        }),
        is_error: false,
    }
}

fn going_on(session: &Session, warning: &str) -> ToolOutput {
    let id = &session.id;
    let pid = session.pid();
    let number = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
    ToolOutput {
        content: vec![Part::text(format!(
            "{warning}Command still running (session {id}, pid {number}). Use process (list/poll/log/write/kill/clear/remove) for \
             follow-up."
        ))],
        details: json!({
            "status": "running",
            "sessionId": id,
            "pid": pid,
            "startedAt": session.started_at.as_millis(),
            "cwd": session.cwd,
            "tail": session.tail(),
        }),
        is_error: false,
    }
}

async fn until(moment: Option<Moment>) {
    match moment {
        Some(moment) => sleep_until(moment.into_std().into()).await,
        None => std::future::pending().await,
    }
}

/// What those who watch have seen.
#[derive(Default)]
struct Shown {
    last: Option<Moment>,
    is_due: bool,
}

impl Shown {
    /// When they are shown more, if there is more.
    fn again_at(&self) -> Option<Moment> {
        let last = self.last.filter(|_| self.is_due)?;
        Some(last + WATCHED_EVERY)
    }

    fn change(&mut self, session: &Session, progress: &dyn Fn(ToolOutput)) {
        let is_early = |last| Moment::now().since(last) < WATCHED_EVERY;
        if self.last.is_some_and(is_early) {
            self.is_due = true;
        } else {
            self.show(session, progress);
        }
    }

    /// Whoever watches sees the output before the result, also of a command that was quick.
    fn at_least_once(&mut self, session: &Session, progress: &dyn Fn(ToolOutput)) {
        if self.last.is_none() {
            self.show(session, progress);
        }
    }

    fn show(&mut self, session: &Session, progress: &dyn Fn(ToolOutput)) {
        self.last = Some(Moment::now());
        self.is_due = false;
        let text = session.last_of_output(MOST_WATCHED);
        if text.is_empty() {
            return;
        }
        progress(ToolOutput {
            content: vec![Part::text(text)],
            details: json!({ "status": "running", "pid": session.pid() }),
            is_error: false,
        });
    }
}

#[cfg(test)]
mod tests;
