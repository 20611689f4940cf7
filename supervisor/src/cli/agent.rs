//! `openclaw agent`: one turn of an agent, from the message to the answer.
//!
//! The run belongs to the gateway. A connection that ends meanwhile is opened again and the same run asked for, by its key; Ctrl-C
//! stops it.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, Args};
use openclaw_client::{As, CallError, Client, Frame, Refusal, Response};
use openclaw_shared::clock::Moment;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::Method as _;
use openclaw_shared::protocol::method::chat::{Agent, AgentWait, ChatAbort};
use serde_json::{Value, json};
use tokio::time::{timeout, timeout_at};
use uuid::Uuid;

use super::answer::{Answer as _, given};
use super::args::RpcFlags;
use super::call_failure::IntoFailure as _;
use super::context::Context;
use super::failure::{Failure, Kind};
use super::interrupt::interrupted;
use super::output::Output;
use super::target::{Target, find_target};

mod show;

use show::Shown;

const PREFIX: &str = "agent failed: Error: ";
/// How long a run may take when nothing else is said.
const DEFAULT_LIMIT: Duration = Duration::from_secs(600);
/// What the way to the answer may take beyond the run.
const WAY: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a gateway that is gone is left alone before it is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// How long it may take to stop the run.
const FAREWELL: Duration = Duration::from_secs(3);

/// `agent`.
#[derive(Debug, Args)]
#[command(
    mut_arg("timeout", in_seconds),
    mut_arg("verbose", on_or_off),
    after_help = "Say which conversation it is for: --agent, --session, --session-id or --to.\n\
                  Exits with 0 when the agent has answered, with 1 when it has not, with 130 when interrupted."
)]
pub(crate) struct AgentArgs {
    /// What to say
    #[arg(short, long, value_name = "TEXT")]
    message: String,
    /// The agent; without a session, its main one
    #[arg(long, value_name = "AGENT", help_heading = "The conversation")]
    agent: Option<String>,
    /// The session of this key
    #[arg(
        long,
        alias = "session-key",
        value_name = "KEY",
        help_heading = "The conversation"
    )]
    session: Option<String>,
    /// The session of this id
    #[arg(
        long,
        value_name = "ID",
        help_heading = "The conversation",
        conflicts_with = "session"
    )]
    session_id: Option<String>,
    /// The session with this address
    #[arg(short, long, value_name = "ADDRESS", help_heading = "The conversation")]
    to: Option<String>,
    /// How much the model thinks
    #[arg(long, value_name = "LEVEL", value_parser = ["off", "minimal", "low", "medium", "high", "xhigh"])]
    thinking: Option<String>,
    /// Begin the conversation with these instructions
    #[arg(long, value_name = "TEXT")]
    extra_system_prompt: Option<String>,
    /// Send the answer to the session's channel too
    #[arg(long, help_heading = "Delivery")]
    deliver: bool,
    /// The channel that --to is an address of
    #[arg(long, value_name = "CHANNEL", help_heading = "Delivery")]
    channel: Option<String>,
    /// Send the answer to this address instead
    #[arg(long, value_name = "ADDRESS", help_heading = "Delivery")]
    reply_to: Option<String>,
    /// Send the answer on this channel instead
    #[arg(long, value_name = "CHANNEL", help_heading = "Delivery")]
    reply_channel: Option<String>,
    /// Send the answer from this account instead
    #[arg(long, value_name = "ACCOUNT", help_heading = "Delivery")]
    reply_account: Option<String>,
    /// Run without a gateway
    #[arg(long, hide = true)]
    local: bool,
    #[command(flatten)]
    rpc: RpcFlags,
}

/// Makes `--timeout` a number of seconds, as those who know the command write it.
fn in_seconds(timeout: Arg) -> Arg {
    timeout
        .value_name("SECONDS")
        .value_parser(seconds)
        .help("Give the agent so many seconds [default: as configured, or 600]")
        .long_help(None::<&str>)
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err(format!("Invalid number of seconds: {text}")),
    }
}

/// Lets `--verbose` be said with `on` or `off`, too.
fn on_or_off(verbose: Arg) -> Arg {
    verbose
        .action(ArgAction::Set)
        .num_args(0..=1)
        .value_name("on|off")
        .default_value("off")
        .default_missing_value("on")
        .hide_default_value(true)
        .value_parser(|text: &str| match text {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(format!(
                "Invalid --verbose {text:?} (use \"on\" or \"off\")"
            )),
        })
        .help("Show which tools are used, and more about the connection")
        .long_help(None::<&str>)
}

impl AgentArgs {
    /// The parameters of the run.
    fn params(&self, run: &str) -> Result<Value, Failure> {
        if self.local {
            return Err(Failure::new(
                Kind::Unsupported,
                "Agents run in the gateway only; --local is not available.",
            ));
        }
        let named = [&self.agent, &self.session, &self.session_id, &self.to];
        if named.iter().all(|name| name.is_none()) {
            return Err(Failure::new(
                Kind::Usage,
                "Error: Pass --to <E.164>, --session-id, --session, or --agent to choose a session",
            )
            .hint("The main conversation of the default agent: --session main."));
        }
        Ok(given(json!({
            "message": self.message,
            "agentId": self.agent,
            "sessionKey": self.session,
            "sessionId": self.session_id,
            "to": self.to,
            "thinking": self.thinking,
            "verbose": self.rpc.verbose.then_some("on"),
            "extraSystemPrompt": self.extra_system_prompt,
            "deliver": self.deliver.then_some(true),
            "channel": self.channel,
            "replyTo": self.reply_to,
            "replyChannel": self.reply_channel,
            "replyAccountId": self.reply_account,
            "timeout": self.rpc.timeout.map(|limit| limit.as_secs()),
            "idempotencyKey": run,
        })))
    }

    /// The session as far as the line names it, for stopping a run that nothing has been heard of.
    fn session_key(&self) -> Option<String> {
        let main = self
            .agent
            .as_ref()
            .map(|agent| format!("agent:{agent}:main"));
        self.session
            .clone()
            .or(main.filter(|_| self.session_id.is_none() && self.to.is_none()))
    }
}

pub(crate) async fn perform(context: &Context, arguments: AgentArgs) -> Result<ExitCode, Failure> {
    let run = Uuid::new_v4().to_string();
    let params = arguments.params(&run)?;
    let configured = context.config().agents.defaults.timeout_seconds;
    let limit = arguments
        .rpc
        .timeout
        .unwrap_or_else(|| configured.map_or(DEFAULT_LIMIT, Duration::from_secs));
    let limit = limit.saturating_add(WAY);
    let target = find_target(context, &arguments.rpc, false).await?;
    let client = Client::connect(&target.gateway, As::Cli, CONNECT).await;
    let client = client.map_err(|error| error.into_failure(PREFIX, &target, context))?;
    if arguments.rpc.verbose && !context.out.is_json() {
        context.out.note(format!(
            "Connected to {} ({}).",
            target.gateway.url,
            target.source.describe()
        ));
    }
    let mut turn = Turn {
        out: &context.out,
        target: &target,
        client: Some(client),
        deadline: Moment::now() + limit,
        limit,
        session_key: arguments.session_key(),
        shown: Shown::new(
            Output::is_terminal() && !context.out.is_json(),
            arguments.rpc.verbose,
        ),
        is_accepted: false,
        is_repeated: false,
        run,
        params,
    };
    let answer = tokio::select! {
        answer = turn.take() => answer.map_err(|error| error.into_failure(PREFIX, &target, context)),
        code = interrupted() => {
            let stopping = turn.stop();
            let stopped = tokio::select! {
                stopped = stopping => stopped,
                _ = interrupted() => false,
            };
            turn.shown.end_line(&context.out);
            let message = match stopped {
                true => "agent was interrupted; the run was stopped",
                false => "agent was interrupted; the run may go on",
            };
            context.out.failure(&Failure::new(Kind::Failed, message));
            return Ok(ExitCode::from(code));
        }
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            turn.shown.end_line(&context.out);
            return Err(failure);
        }
    };
    if context.out.is_json() {
        context.out.document(&answer);
    } else {
        turn.shown.finish(&context.out, &answer);
    }
    let was_stopped = answer["result"]["meta"].is_on("aborted");
    if was_stopped && !context.out.is_json() {
        context.out.note("The run was stopped.");
    }
    let went_well = answer["status"] == "ok" && !was_stopped;
    Ok(if went_well {
        Exit::Ok.into()
    } else {
        Exit::Failure.into()
    })
}

/// A run that is under way.
struct Turn<'a> {
    out: &'a Output,
    target: &'a Target,
    client: Option<Client>,
    deadline: Moment,
    limit: Duration,
    run: String,
    params: Value,
    /// The session as the gateway's events name it.
    session_key: Option<String>,
    shown: Shown,
    is_accepted: bool,
    /// Whether it is asked for on another connection than the first.
    is_repeated: bool,
}

impl Turn<'_> {
    /// Has the run done, whatever becomes of connections.
    async fn take(&mut self) -> Result<Value, CallError> {
        loop {
            match self.attempt().await {
                Err(error) if error.may_pass() && Moment::now() + PAUSE < self.deadline => {
                    if !self.is_repeated && !self.out.is_json() {
                        self.shown.end_line(self.out);
                        self.out.note(format!("{error}; connecting again…"));
                    }
                    self.client = None;
                    self.is_repeated = true;
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Asks for the run on one connection. One that was accepted before is waited for, and then asked for its answer.
    async fn attempt(&mut self) -> Result<Value, CallError> {
        if self.client.is_none() {
            let left = self.deadline.since(Moment::now()).min(CONNECT);
            self.client = Some(Client::connect(&self.target.gateway, As::Cli, left).await?);
        }
        let mut asked = self.send(Agent::NAME, &self.params.clone()).await?;
        let mut waiting = None;
        loop {
            match self.receive().await? {
                Frame::Response(response) if response.id == asked => {
                    let payload = granted(response)?;
                    if payload["status"] != "accepted" {
                        return Ok(payload);
                    }
                    self.is_accepted = true;
                    if self.is_repeated && waiting.is_none() {
                        let left = self.deadline.since(Moment::now());
                        let params = json!({ "runId": self.run, "timeoutMs": u64::try_from(left.as_millis()).unwrap_or(u64::MAX) });
                        waiting = Some(self.send(AgentWait::NAME, &params).await?);
                    }
                }
                Frame::Response(response) if waiting.as_ref() == Some(&response.id) => {
                    if granted(response)?["status"] != "timeout" {
                        asked = self.send(Agent::NAME, &self.params.clone()).await?;
                    }
                }
                Frame::Event(event)
                    if event.event == "agent" && event.payload["runId"] == *self.run =>
                {
                    if let Some(key) = event.payload.some_text("sessionKey") {
                        self.session_key = Some(key);
                    }
                    self.shown.step(self.out, &event.payload);
                }
                Frame::Response(_) | Frame::Event(_) => {}
            }
        }
    }

    async fn send(&mut self, method: &str, params: &Value) -> Result<String, CallError> {
        let deadline = self.deadline.into_std().into();
        let client = self.client.as_mut().ok_or(CallError::Timeout(self.limit))?;
        let sent = timeout_at(deadline, client.send(method, params)).await;
        sent.map_err(|_| CallError::Timeout(self.limit))?
    }

    async fn receive(&mut self) -> Result<Frame, CallError> {
        let deadline = self.deadline.into_std().into();
        let client = self.client.as_mut().ok_or(CallError::Timeout(self.limit))?;
        let received = timeout_at(deadline, client.receive()).await;
        received.map_err(|_| CallError::Timeout(self.limit))?
    }

    /// Stops the run, and says whether it was stopped.
    async fn stop(&mut self) -> bool {
        let Some(key) = self.session_key.clone() else {
            return false;
        };
        let params = json!({ "sessionKey": key, "runId": self.run });
        let stopping = async {
            if self.client.is_none() {
                self.client = Client::connect(&self.target.gateway, As::Cli, FAREWELL)
                    .await
                    .ok();
            }
            let client = self.client.as_mut()?;
            client.allow(FAREWELL);
            client.call(ChatAbort::NAME, &params, false).await.ok()
        };
        let answer = timeout(FAREWELL, stopping).await;
        answer
            .ok()
            .flatten()
            .is_some_and(|answer| answer.is_on("aborted"))
    }
}

fn granted(response: Response) -> Result<Value, CallError> {
    if response.ok {
        return Ok(response.payload.unwrap_or_default());
    }
    let refusal = response
        .error
        .unwrap_or_else(|| Refusal::saying("the gateway gave no reason"));
    Err(CallError::Refused(Box::new(refusal)))
}
