//! `nodes run`: runs a program on a node and exits as it does.
//!
//! Whether the program may run is the node's decision alone: it is asked to run it, and only when it says that a person must
//! approve first, one is asked, for exactly this program, its arguments, its folder and its variables.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use openclaw_client::CallError;
use openclaw_shared::log::printable;
use openclaw_shared::protocol::method::nodes::{ExecApprovalRequest, ExecApprovalResolve};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::answer::{Answer as _, given};
use super::super::args::{RpcFlags, millis};
use super::super::context::Context;
use super::super::failure::{Failure, Kind};
use super::super::interrupt::interrupted;
use super::super::rpc::{ask, patiently};
use super::super::span::short;
use super::invoke::{LONGEST, NodeFlag, Session, WAY, within_reach};

/// The longest that a program may take: the node must have time to say that it took too long.
const LONGEST_PROGRAM: Duration = LONGEST.saturating_sub(WAY);
/// How long a person may take to decide.
const APPROVAL: Duration = Duration::from_secs(120);
/// What shells say of a program that took too long.
const TIMED_OUT: u8 = 124;
/// How long it may take to say that nobody waits any more.
const FAREWELL: Duration = Duration::from_secs(2);

/// `nodes run`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exits as the program does; with 124 when it took longer than --timeout, at most and by default just under 10 minutes; with 130 when interrupted.\n\
                  When the node asks for approval, this waits for it: see openclaw approvals pending."
)]
pub(crate) struct RunArgs {
    /// The node
    #[arg(long, value_name = "NODE")]
    node: String,
    /// Run it in this folder
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// Set a variable for it; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Run it under the rules of this agent
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// End it after so many milliseconds; the same as --timeout
    #[arg(long, value_name = "MS", value_parser = millis, hide = true)]
    command_timeout: Option<Duration>,
    /// The program and its arguments, after --
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        Some(_) | None => Err(format!("Invalid --env {text:?} (use NAME=VALUE)")),
    }
}

pub(super) async fn perform(
    context: &Context,
    flags: &RpcFlags,
    arguments: RunArgs,
) -> Result<ExitCode, Failure> {
    let limit = arguments
        .command_timeout
        .or(flags.timeout)
        .unwrap_or(LONGEST);
    let limit = within_reach("--timeout", limit).map_err(|why| Failure::new(Kind::Usage, why))?;
    let asked = Cell::new(None);
    tokio::select! {
        done = carry_out(context, flags, arguments, limit, &asked) => done,
        code = interrupted() => {
            leave(context, flags, asked.take()).await;
            Ok(ExitCode::from(code))
        }
    }
}

/// Does it. The request that people see meanwhile is in `asked`.
async fn carry_out(
    context: &Context,
    flags: &RpcFlags,
    arguments: RunArgs,
    limit: Duration,
    asked: &Cell<Option<String>>,
) -> Result<ExitCode, Failure> {
    let node = NodeFlag::named(&arguments.node);
    let mut session = Session::open(context, flags, "nodes run", &node).await?;
    let work = Work::of(arguments, limit);
    let answer = match run(context, &mut session, &work, None).await? {
        Some(answer) => answer,
        None => {
            let id = Uuid::new_v4().to_string();
            asked.set(Some(id.clone()));
            let approval = approve(context, &mut session, &work, id).await?;
            asked.set(None);
            let answer = run(context, &mut session, &work, Some(&approval)).await?;
            answer.ok_or_else(|| {
                let message = "nodes run failed: the node asks for approval again";
                Failure::new(Kind::Refused, message)
            })?
        }
    };
    report(context, &session, &answer)
}

/// Takes back what people are still asked, so that nobody decides about something that nobody waits for.
async fn leave(context: &Context, flags: &RpcFlags, asked: Option<String>) {
    let message = match asked {
        None => "nodes run was interrupted; the program may go on for a while".to_owned(),
        Some(id) => {
            let params = json!({ "id": id, "decision": "deny" });
            let denied = ask::<ExecApprovalResolve>(context, flags, "nodes run", params);
            match tokio::time::timeout(FAREWELL, denied).await {
                Ok(Ok(_)) => "nodes run was interrupted; nobody is asked any more".to_owned(),
                Ok(Err(_)) | Err(_) => {
                    format!("nodes run was interrupted; people may still be asked about {id}")
                }
            }
        }
    };
    context.out.failure(&Failure::new(Kind::Failed, message));
}

/// What is to be run.
#[derive(Debug)]
struct Work {
    argv: Vec<String>,
    cwd: Option<String>,
    env: BTreeMap<String, String>,
    agent: Option<String>,
    limit: Duration,
}

impl Work {
    fn of(arguments: RunArgs, limit: Duration) -> Self {
        Self {
            argv: arguments.command,
            cwd: arguments.cwd,
            env: arguments.env.into_iter().collect(),
            agent: arguments.agent,
            limit: limit.min(LONGEST_PROGRAM),
        }
    }

    fn env(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.env).filter(|env| !env.is_empty())
    }

    /// As a person would type it.
    fn shown(&self) -> String {
        let words = self.argv.iter().map(|word| quoted(word));
        words.collect::<Vec<_>>().join(" ")
    }

    fn to_params(&self, approval: Option<&Approval>) -> Value {
        given(json!({
            "command": self.argv,
            "cwd": self.cwd,
            "env": self.env(),
            "timeoutMs": u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX),
            "agentId": self.agent,
            "runId": approval.map(|approval| &approval.id),
            "approved": approval.map(|_| true),
            "approvalDecision": approval.map(|approval| &approval.decision),
        }))
    }
}

/// A word as a shell would take it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What a person said.
#[derive(Debug)]
struct Approval {
    id: String,
    decision: String,
}

fn refused(context: &Context, session: &Session<'_>) -> Failure {
    let node = printable(&session.node.shown);
    Failure::new(
        Kind::Refused,
        format!("nodes run failed: {node} runs nothing for others (security=deny)"),
    )
    .hint(format!(
        "See its rules: {}",
        context.command(&format!("approvals get --node {}", quoted(&node)))
    ))
}

/// Asks the node to run it; nothing when the node wants a person's approval first.
async fn run(
    context: &Context,
    session: &mut Session<'_>,
    work: &Work,
    approval: Option<&Approval>,
) -> Result<Option<Value>, Failure> {
    let waiting = format!("Running on {}…", printable(&session.node.shown));
    let running = session.try_answer("system.run", work.to_params(approval), work.limit + WAY);
    match patiently(context, &waiting, running).await {
        Ok(mut answer) => Ok(Some(answer["payload"].take())),
        Err(CallError::Refused(refusal))
            if approval.is_none() && refusal.message.contains("approval required") =>
        {
            Ok(None)
        }
        Err(CallError::Refused(refusal)) if refusal.message.contains("security=deny") => {
            Err(refused(context, session))
        }
        Err(error) => Err(session.rpc.failure(error)),
    }
}

/// Asks people, and waits as long as they may take.
async fn approve(
    context: &Context,
    session: &mut Session<'_>,
    work: &Work,
    id: String,
) -> Result<Approval, Failure> {
    let params = given(json!({
        "id": id,
        "command": work.shown(),
        "argv": work.argv,
        "cwd": work.cwd,
        "env": work.env(),
        "host": "node",
        "nodeId": session.node.id,
        "agentId": work.agent,
        "timeoutMs": u64::try_from(APPROVAL.as_millis()).unwrap_or(u64::MAX),
    }));
    let approving = context.command(&format!("approvals approve {id}"));
    context.out.note(format!(
        "Waiting up to {} for approval of: {}",
        short(APPROVAL),
        printable(&work.shown())
    ));
    context.out.note(format!("Approve it: {approving}"));
    let answer = session
        .rpc
        .call_for::<ExecApprovalRequest>(APPROVAL + WAY, params)
        .await?;
    match answer.text("decision").as_str() {
        decision @ ("allow-once" | "allow-always") => Ok(Approval {
            id: answer.some_text("id").unwrap_or(id),
            decision: decision.to_owned(),
        }),
        "deny" => {
            let message = "nodes run failed: the approval was denied";
            Err(Failure::new(Kind::Refused, message))
        }
        _ => {
            let limit = short(APPROVAL);
            let message = format!("nodes run failed: nobody approved it within {limit}");
            Err(Failure::new(Kind::Timeout, message))
        }
    }
}

/// Shows what the program wrote, and ends as it did.
fn report(context: &Context, session: &Session<'_>, answer: &Value) -> Result<ExitCode, Failure> {
    let out = &context.out;
    let code = answer["exitCode"].as_i64();
    let timed_out = answer.is_on("timedOut");
    if out.is_json() {
        out.document(answer);
    } else {
        out.write(&answer.text("stdout"));
        out.write_error(&answer.text("stderr"));
        if timed_out {
            out.note("The program took too long and was ended.");
        }
    }
    match (code, timed_out) {
        (_, true) => Ok(ExitCode::from(TIMED_OUT)),
        // What does not fit into a code is still a failure.
        (Some(code), false) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        (None, false) if out.is_json() => Ok(ExitCode::FAILURE),
        (None, false) => {
            let why = answer.some_text("error");
            let why = why.unwrap_or_else(|| "it was ended by a signal".to_owned());
            let node = printable(&session.node.shown);
            let message = format!("nodes run failed on {node}: {}", printable(&why));
            Err(Failure::new(Kind::Failed, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(argv: &[&str]) -> Work {
        Work {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            cwd: None,
            env: BTreeMap::new(),
            agent: None,
            limit: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_person_sees_each_word_of_what_would_run() {
        assert_eq!(
            work(&["echo", "a b", "it's", ""]).shown(),
            r"echo 'a b' 'it'\''s' ''"
        );
    }

    #[test]
    fn the_node_has_time_to_say_that_a_program_took_too_long() {
        let arguments = RunArgs {
            node: String::new(),
            cwd: None,
            env: Vec::new(),
            agent: None,
            command_timeout: None,
            command: vec!["ls".to_owned()],
        };
        let work = Work::of(arguments, LONGEST);
        assert_eq!(work.to_params(None)["timeoutMs"], 595_000);
        assert_eq!(work.limit + WAY, LONGEST);
    }

    #[test]
    fn what_was_not_said_is_not_sent() {
        assert_eq!(
            work(&["ls"]).to_params(None),
            json!({"command": ["ls"], "timeoutMs": 1000})
        );
    }

    #[test]
    fn a_variable_has_a_name() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("=b").is_err() && variable("A").is_err());
    }
}
