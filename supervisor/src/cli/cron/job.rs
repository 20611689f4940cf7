//! A job as a person describes it by options: `cron add` and `cron edit`.                               (pure)

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::cron::SessionTarget;
use serde_json::{Value, json};

use super::super::answer::given;
use super::super::args::span as read_span;
use super::super::failure::{Failure, Kind};
use super::super::span;

/// When it is due, what it does, and how; all of it optional.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "The job")]
pub(super) struct JobOptions {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Let this agent do it
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Leave a note in the main session, or run in a session of its own [default: by what it does]
    #[arg(long, value_enum, value_name = "SESSION")]
    session: Option<Session>,
    /// When the agent is told [default: next-heartbeat]
    #[arg(long, value_enum, value_name = "WHEN")]
    wake: Option<Wake>,
    /// Once at this time (2026-11-22T07:00 or with a zone), or after this span (20m)
    #[arg(long, value_name = "TIME", group = "when")]
    at: Option<String>,
    /// Again and again, at this distance, for example 1h
    #[arg(long, value_name = "SPAN", value_parser = read_span, group = "when")]
    every: Option<Duration>,
    /// By the calendar, as in a crontab: "0 7 * * 1-5"
    #[arg(long, value_name = "FIELDS", group = "when")]
    cron: Option<String>,
    /// The time zone of --cron, for example Europe/Vienna
    #[arg(long, value_name = "ZONE", requires = "cron")]
    tz: Option<String>,
    /// Leave this note for the main session
    #[arg(long, value_name = "TEXT", group = "what")]
    system_event: Option<String>,
    /// Ask the agent this
    #[arg(long, value_name = "TEXT", group = "what")]
    message: Option<String>,
    /// How much the agent thinks: off, minimal, low, medium or high
    #[arg(long, value_name = "LEVEL", conflicts_with = "system_event")]
    thinking: Option<String>,
    /// The model the agent uses
    #[arg(long, value_name = "MODEL", conflicts_with = "system_event")]
    model: Option<String>,
    /// Give the agent so many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "system_event", value_parser = clap::value_parser!(u64).range(1..))]
    timeout_seconds: Option<u64>,
    /// Deliver the answer
    #[arg(long, conflicts_with = "system_event")]
    deliver: bool,
    /// Deliver it on this channel; last is the one used last
    #[arg(long, value_name = "CHANNEL", conflicts_with = "system_event")]
    channel: Option<String>,
    /// Deliver it to this address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "system_event")]
    to: Option<String>,
    /// Do not count a delivery that fails as a failure
    #[arg(long, conflicts_with = "system_event")]
    best_effort_deliver: bool,
    /// Remove it after it went well once
    #[arg(long)]
    delete_after_run: bool,
    /// Begin the note about a run of its own session with this
    #[arg(long, value_name = "TEXT")]
    post_prefix: Option<String>,
    /// Tell the main session a summary of such a run, or all of it
    #[arg(long, value_enum, value_name = "MODE")]
    post_mode: Option<Post>,
    /// Tell it at most so many characters
    #[arg(long, value_name = "CHARACTERS")]
    post_max_chars: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Session {
    Main,
    Isolated,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wake {
    Now,
    NextHeartbeat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Post {
    Summary,
    Full,
}

/// `cron add`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AddArgs {
    /// Its name
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Add it switched off
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    job: JobOptions,
}

/// `cron edit`.
#[derive(Debug, Clone, Args)]
pub(crate) struct EditArgs {
    /// The job
    #[arg(value_name = "JOB")]
    id: String,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Switch it on
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Switch it off
    #[arg(long)]
    disable: bool,
    /// Let the default agent do it
    #[arg(long, conflicts_with = "agent")]
    clear_agent: bool,
    /// Keep it after it went well once
    #[arg(long, conflicts_with = "delete_after_run")]
    keep_after_run: bool,
    /// Do not deliver the answer
    #[arg(long, conflicts_with = "deliver")]
    no_deliver: bool,
    /// Count a delivery that fails as a failure
    #[arg(long, conflicts_with = "best_effort_deliver")]
    no_best_effort_deliver: bool,
    #[command(flatten)]
    job: JobOptions,
}

impl AddArgs {
    /// The whole job.
    ///
    /// # Errors
    /// When it is never due, or does nothing.
    pub(super) fn job(&self, now: WallTime) -> Result<Value, Failure> {
        let usage = |message: &str| Failure::new(Kind::Usage, message);
        let schedule = self
            .job
            .schedule(now)?
            .ok_or_else(|| usage("error: a job needs one of '--at', '--every' and '--cron'"))?;
        let payload = self
            .job
            .payload(None, None)
            .filter(|_| self.job.says_what());
        let payload =
            payload.ok_or_else(|| usage("error: a job needs '--system-event' or '--message'"))?;
        let session = match (self.job.session, &self.job.message) {
            (Some(session), _) => session,
            (None, Some(_)) => Session::Isolated,
            (None, None) => Session::Main,
        };
        Ok(given(json!({
            "name": self.name,
            "description": self.job.description,
            "agentId": self.job.agent,
            "enabled": !self.disabled,
            "deleteAfterRun": self.job.delete_after_run.then_some(true),
            "schedule": schedule,
            "sessionTarget": session.on_the_wire(),
            "wakeMode": self.job.wake.unwrap_or(Wake::NextHeartbeat).on_the_wire(),
            "payload": payload,
            "isolation": self.job.isolation(),
        })))
    }
}

impl EditArgs {
    /// Which job.
    pub(super) fn job(&self) -> &str {
        &self.id
    }

    /// What changes.
    ///
    /// # Errors
    /// When nothing does.
    pub(super) fn patch(&self, now: WallTime) -> Result<Value, Failure> {
        let job = &self.job;
        let deliver = self.no_deliver.then_some(false);
        let best_effort = self.no_best_effort_deliver.then_some(false);
        let mut patch = given(json!({
            "name": self.name,
            "description": job.description,
            "agentId": job.agent,
            "enabled": (self.enable || self.disable).then_some(self.enable),
            "deleteAfterRun": (job.delete_after_run || self.keep_after_run).then_some(job.delete_after_run),
            "schedule": job.schedule(now)?,
            "sessionTarget": job.session.map(Session::on_the_wire),
            "wakeMode": job.wake.map(Wake::on_the_wire),
            "payload": job.payload(deliver, best_effort),
            "isolation": job.isolation(),
        }));
        if self.clear_agent {
            patch["agentId"] = Value::Null;
        }
        match patch == json!({}) {
            true => Err(Failure::new(
                Kind::Usage,
                "error: nothing to change was named",
            )),
            false => Ok(patch),
        }
    }
}

impl Session {
    const fn on_the_wire(self) -> &'static str {
        match self {
            Self::Main => SessionTarget::Main.as_str(),
            Self::Isolated => SessionTarget::Isolated.as_str(),
        }
    }
}

impl Wake {
    const fn on_the_wire(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::NextHeartbeat => "next-heartbeat",
        }
    }
}

impl JobOptions {
    const fn says_what(&self) -> bool {
        self.system_event.is_some() || self.message.is_some()
    }

    fn schedule(&self, now: WallTime) -> Result<Option<Value>, Failure> {
        if let Some(at) = &self.at {
            let at = read_time(at, now).map_err(|why| Failure::new(Kind::Usage, why))?;
            return Ok(Some(json!({ "kind": "at", "atMs": at })));
        }
        let every = self.every.map(|every| {
            let millis = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
            json!({ "kind": "every", "everyMs": millis })
        });
        let cron = self.cron.as_ref();
        let cron = cron.map(|expr| given(json!({ "kind": "cron", "expr": expr, "tz": self.tz })));
        Ok(every.or(cron))
    }

    fn payload(&self, deliver: Option<bool>, best_effort: Option<bool>) -> Option<Value> {
        if let Some(text) = &self.system_event {
            return Some(json!({ "kind": "systemEvent", "text": text }));
        }
        let turn = given(json!({
            "message": self.message,
            "model": self.model,
            "thinking": self.thinking,
            "timeoutSeconds": self.timeout_seconds,
            "deliver": self.deliver.then_some(true).or(deliver),
            "channel": self.channel,
            "to": self.to,
            "bestEffortDeliver": self.best_effort_deliver.then_some(true).or(best_effort),
        }));
        let Value::Object(mut turn) = turn else {
            return None;
        };
        if turn.is_empty() {
            return None;
        }
        turn.shift_insert(0, "kind".to_owned(), "agentTurn".into());
        Some(Value::Object(turn))
    }

    fn isolation(&self) -> Option<Value> {
        let mode = self.post_mode.map(|mode| match mode {
            Post::Summary => "summary",
            Post::Full => "full",
        });
        let isolation = given(json!({
            "postToMainPrefix": self.post_prefix,
            "postToMainMode": mode,
            "postToMainMaxChars": self.post_max_chars,
        }));
        (isolation != json!({})).then_some(isolation)
    }
}

/// Reads a time, or a span from now with or without a plus sign. A time without a zone is this machine's.
fn read_time(text: &str, now: WallTime) -> Result<u64, String> {
    let text = text.trim();
    if let Ok(millis) = text.parse::<u64>() {
        return Ok(millis);
    }
    if let Ok(span) = span::parse(text.trim_start_matches('+')) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        return Ok(now.as_millis().saturating_add(millis));
    }
    let exact = text.parse::<Timestamp>().ok();
    let local = || {
        let civil: DateTime = text.parse().ok()?;
        let zoned = civil.to_zoned(TimeZone::system()).ok()?;
        Some(zoned.timestamp())
    };
    let timestamp = exact.or_else(local);
    timestamp
        .and_then(|timestamp| u64::try_from(timestamp.as_millisecond()).ok())
        .ok_or_else(|| {
            format!("Invalid --at {text:?} (use for example \"20m\" or \"2026-11-22T07:00\")")
        })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    enum Line {
        Add(AddArgs),
        Edit(EditArgs),
    }

    const NOW: WallTime = WallTime::from_millis(1_000_000);

    fn check(line: &[&str]) -> Result<Value, String> {
        let words = ["cron"].iter().chain(line);
        let matches = Line::command()
            .try_get_matches_from(words)
            .map_err(|error| error.kind().to_string())?;
        let line = Line::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        let job = match line {
            Line::Add(add) => add.job(NOW),
            Line::Edit(edit) => edit.patch(NOW),
        };
        job.map_err(|failure| failure.message)
    }

    #[test]
    fn a_job_says_when_and_what() {
        assert_eq!(
            check(&[
                "add",
                "--name",
                "n",
                "--at",
                "+20m",
                "--system-event",
                "wake up"
            ]),
            Ok(
                json!({"name": "n", "enabled": true, "schedule": {"kind": "at", "atMs": 2_200_000},
                "sessionTarget": "main", "wakeMode": "next-heartbeat", "payload": {"kind": "systemEvent", "text": "wake up"}})
            )
        );
        assert_eq!(
            check(&[
                "add",
                "--name",
                "n",
                "--cron",
                "0 7 * * *",
                "--tz",
                "Europe/Vienna",
                "--message",
                "news?",
                "--deliver",
                "--to",
                "+43",
                "--disabled",
                "--post-mode",
                "full",
            ]),
            Ok(
                json!({"name": "n", "enabled": false, "schedule": {"kind": "cron", "expr": "0 7 * * *", "tz": "Europe/Vienna"},
                "sessionTarget": "isolated", "wakeMode": "next-heartbeat",
                "payload": {"kind": "agentTurn", "message": "news?", "deliver": true, "to": "+43"},
                "isolation": {"postToMainMode": "full"}})
            )
        );
        let never = check(&["add", "--name", "n", "--message", "x"]);
        assert!(never.unwrap_err().contains("'--at'"));
        let nothing = check(&["add", "--name", "n", "--every", "1h", "--model", "m"]);
        assert!(nothing.unwrap_err().contains("'--message'"));
        assert!(
            check(&[
                "add",
                "--name",
                "n",
                "--every",
                "1h",
                "--at",
                "1m",
                "--message",
                "x"
            ])
            .is_err()
        );
    }

    #[test]
    fn a_change_says_only_what_changes() {
        assert_eq!(
            check(&["edit", "j", "--every", "1h30m"]),
            Ok(json!({"schedule": {"kind": "every", "everyMs": 5_400_000}}))
        );
        assert_eq!(
            check(&["edit", "j", "--disable", "--clear-agent", "--no-deliver"]),
            Ok(
                json!({"enabled": false, "agentId": null, "payload": {"kind": "agentTurn", "deliver": false}})
            )
        );
        assert!(check(&["edit", "j"]).is_err());
    }

    #[test]
    fn a_time_is_read_as_people_write_it() {
        assert_eq!(read_time("20m", NOW), Ok(2_200_000));
        assert_eq!(read_time("+1s", NOW), Ok(1_001_000));
        assert_eq!(
            read_time("2026-11-22T07:12:07Z", NOW),
            Ok(1_795_331_527_000)
        );
        assert_eq!(
            read_time("2026-11-22T08:12:07+01:00", NOW),
            Ok(1_795_331_527_000)
        );
        assert!(read_time("2026-11-22T07:12", NOW).is_ok());
        for wrong in ["", "tomorrow", "2026-13-01T00:00", "1969-01-01T00:00:00Z"] {
            assert!(read_time(wrong, NOW).is_err(), "{wrong}");
        }
    }
}
