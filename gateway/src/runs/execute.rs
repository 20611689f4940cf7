//! One run, from the moment it may begin to its end.
//!
//! Order: the row says `running` and the session has its conversation; everything is prepared; the row says that something leaves in
//! the commit that keeps the message; the turn runs; the row says `done` in the commit that says what the session has used;
//! everybody is told.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use openclaw_agent::compact::{Limits, tokens_of_tools};
use openclaw_agent::turn::{
    self, Compactor as _, Finished, Journal as _, JournalError, Turn, TurnEvent, said,
};
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::sessions::SessionEntry;
use openclaw_shared::transcript::{AssistantMessage, Message, Part, StopReason, Thinking, Usage};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::aside::NOT_CARRIED_OUT;
use super::commands;
use super::feed::Feed;
use super::journal::{self, Begun, Stored};
use super::lanes::Start;
use super::notebook::Notebook;
use super::prepare::{self, Prepared};
use super::request::{KeptCall, Outcome, RunKind, RunStatus};
use super::telling::Telling;
use crate::context::Context;
use crate::methods::MethodError;
use crate::services::sessions::{Conversation, Register, Used};
use crate::services::transcripts;
use crate::settings::runs::QueueMode;
use crate::store::StoreError;
use crate::toolbox;

/// Between two attempts to read what a run is to do.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Why a run is stopped; none while it is not.
pub(crate) type Stop = watch::Receiver<Option<String>>;

/// What became of an attempt to do a run.
pub(crate) enum Done {
    /// It is over, and these messages were answered with it.
    Over,
    /// Another process has a run under way in its session: it waits again.
    Held(Vec<Stored>),
}

/// A message that is answered with another one.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) run: String,
    /// The session as whoever wrote it has named it.
    pub(crate) asked_as: String,
}

/// A message as the model reads it.
pub(crate) fn worded(message: &str, run: &str) -> String {
    format!("{message}\n[message_id: {run}]")
}

/// Does a run.
pub(crate) async fn run(context: Arc<Context>, start: Start, feed: Arc<Feed>, stop: Stop) -> Done {
    let all: Vec<String> = start.with.iter().chain([&start.run]).cloned().collect();
    // It was acknowledged, so a store that cannot be read at the moment does not end it.
    let stored = loop {
        match load(&context, &all) {
            Ok(stored) => break stored,
            Err(error) => {
                tracing::error!(target: "runs", run = start.run, %error, "a run cannot be read");
                sleep(READ_AGAIN).await;
            }
        }
    };
    let Some(main) = stored.iter().find(|it| it.request.run_id == start.run) else {
        return Done::Over;
    };
    let run = Run {
        telling: Telling::new(
            context.clone(),
            &start.run,
            &main.request.asked_as,
            feed.clone(),
        )
        .quiet(main.request.work.is_quiet),
        context,
        main: main.clone(),
        with: stored
            .iter()
            .filter(|it| it.request.run_id != start.run)
            .cloned()
            .collect(),
        started: WallTime::now(),
    };
    let began = run.begin(&all).await;
    match began {
        Ok((Begun::Yes, Some(entry))) => {
            let (outcome, heard, used) = run.go(&entry, stop).await;
            run.settle(&feed, outcome, heard, used).await;
            Done::Over
        }
        Ok((Begun::Held, _)) => Done::Held(stored),
        Ok((Begun::Yes | Begun::Gone, _)) => Done::Over,
        Err(error) => {
            let outcome = run.failed(error.into_shape().message);
            let heard = run.heard();
            run.settle(&feed, outcome, heard, None).await;
            Done::Over
        }
    }
}

fn load(context: &Context, runs: &[String]) -> Result<Vec<Stored>, StoreError> {
    let mut stored = Vec::new();
    for run in runs {
        stored.extend(
            context
                .store
                .read(|reader| Ok(journal::find(reader, run)))??,
        );
    }
    Ok(stored)
}

struct Run {
    context: Arc<Context>,
    telling: Telling,
    main: Stored,
    with: Vec<Stored>,
    started: WallTime,
}

impl Run {
    /// The messages that are answered with it from the beginning.
    fn heard(&self) -> Vec<Heard> {
        let heard = self.with.iter().map(|stored| Heard {
            run: stored.request.run_id.clone(),
            asked_as: stored.request.asked_as.clone(),
        });
        heard.collect()
    }

    fn all(&self) -> Vec<String> {
        let all = self.with.iter().chain([&self.main]);
        all.map(|stored| stored.request.run_id.clone()).collect()
    }

    async fn begin(&self, all: &[String]) -> Result<(Begun, Option<SessionEntry>), MethodError> {
        let (all, started) = (all.to_vec(), self.started);
        let life = self.context.runs.life().to_owned();
        let register = Register::new(self.context.settings());
        let request = &self.main.request;
        let key = request.session.clone();
        let wanted = match request.kind {
            RunKind::Heartbeat => Conversation::Present,
            RunKind::Cron => Conversation::Another,
            RunKind::Agent | RunKind::Chat | RunKind::Http | RunKind::Hook | RunKind::Subagent => {
                Conversation::IfFresh
            }
        };
        let (label, spawned_by) = (request.work.label.clone(), request.work.spawned_by.clone());
        self.context
            .store
            .write(move |tx| {
                for run in &all {
                    match journal::begin(tx, run, key.as_str(), &life, started)? {
                        Begun::Yes => {}
                        held_or_gone @ (Begun::Held | Begun::Gone) => {
                            return Ok((held_or_gone, None));
                        }
                    }
                }
                let mut entry = register.begin(tx, started, &key, wanted)?;
                if label.is_some() && entry.label != label
                    || spawned_by.is_some() && entry.spawned_by != spawned_by
                {
                    entry.label = label.or(entry.label);
                    entry.spawned_by = spawned_by.or(entry.spawned_by);
                    register.save(tx, &key, &entry)?;
                }
                Ok((Begun::Yes, Some(entry)))
            })
            .await
    }

    /// Does the turn, and says how it went and which messages were answered with it.
    async fn go(
        &self,
        entry: &SessionEntry,
        mut stop: Stop,
    ) -> (Outcome, Vec<Heard>, Option<Used>) {
        self.telling.starts(self.started);
        let work = &self.main.request.work;
        let settings = self.context.settings();
        let limit = work.timeout().unwrap_or(settings.runs.timeout);
        let heard = RefCell::new(self.heard());
        let turn = timeout(limit, self.turn(entry, &heard));
        let stopped = async {
            match stop.wait_for(Option::is_some).await {
                Ok(why) => why.clone().unwrap_or_default(),
                Err(_) => std::future::pending().await,
            }
        };
        let (mut outcome, used) = tokio::select! {
            biased;
            why = stopped => (self.was_stopped(entry, &why).await, None),
            done = turn => match done {
                Ok(Ok((finished, prepared))) => self.finished(finished, &prepared),
                Ok(Err(error)) => (self.failed(error.0), None),
                Err(_late) => (self.was_stopped(entry, TIMEOUT).await, None),
            },
        };
        outcome.session_id.clone_from(&entry.session_id);
        outcome.started_at = Some(self.started.as_millis());
        (outcome, heard.into_inner(), used)
    }

    async fn turn(
        &self,
        entry: &SessionEntry,
        heard: &RefCell<Vec<Heard>>,
    ) -> Result<(Finished, Prepared), JournalError> {
        let request = &self.main.request;
        if request.kind == RunKind::Chat
            && request.work.compacts.is_none()
            && commands::parse(&request.work.message).is_some()
        {
            return Err(JournalError(NOT_CARRIED_OUT.to_owned()));
        }
        let prepared = prepare::prepare(&self.context, &self.main.request, entry)
            .await
            .map_err(JournalError)?;
        let mut prompts: Vec<Message> = Vec::new();
        for stored in self.with.iter().chain([&self.main]) {
            let work = &stored.request.work;
            let text = match stored.request.kind {
                RunKind::Chat => worded(&work.message, &stored.request.run_id),
                RunKind::Agent
                | RunKind::Http
                | RunKind::Hook
                | RunKind::Cron
                | RunKind::Heartbeat
                | RunKind::Subagent => work.message.clone(),
            };
            // Whoever brings the conversation along may only go on with it, after what its own tools have answered.
            let goes_on = text.is_empty() && work.images.is_empty() && !work.history.is_empty();
            if !goes_on {
                prompts.push(said(text, work.images.iter().cloned()));
            }
        }
        let (history, entries) = match request.work.history.is_empty() {
            true => prepare::history(&self.context, &entry.session_id).map_err(journal_error)?,
            false => (request.work.history.clone(), Vec::new()),
        };
        let specs = prepared.toolbox.specs();
        let settings = self.context.settings();
        let verbose = entry
            .verbose_level
            .as_deref()
            .or(settings.runs.verbose.as_deref());
        self.telling.show_tools(verbose == Some("on"));
        let notebook = Notebook {
            context: &self.context,
            telling: &self.telling,
            session: request.session.as_str(),
            session_id: entry.session_id.clone(),
            with: heard,
            leaving: RefCell::new(self.all()),
            listens: matches!(
                settings.runs.queue,
                QueueMode::Steer | QueueMode::SteerBacklog
            ),
            entries: RefCell::new(entries),
            model: prepared.model.clone(),
            limits: Limits::of_window(prepared.window),
            tools: tokens_of_tools(&specs),
            wish: request.work.compacts.clone(),
        };
        if request.work.compacts.is_some() {
            return Ok((shorten(&notebook, &history).await, prepared));
        }
        let thinking = request
            .work
            .thinking
            .or_else(|| {
                let level = entry.thinking_level.as_deref()?;
                Thinking::from_text(level)
            })
            .or(settings.runs.thinking)
            .unwrap_or_default();
        let turn = Turn {
            model: &*prepared.model,
            toolbox: &prepared.toolbox,
            client_tools: request
                .work
                .client_tools
                .iter()
                .cloned()
                .map(Into::into)
                .collect(),
            tool_choice: request.work.choice(),
            system: prepared.system.clone(),
            history,
            prompts,
            thinking,
            max_tokens: request.work.max_tokens,
            cache_key: Some(entry.session_id.clone()),
            compactor: Some(&notebook),
        };
        Ok((turn::run(turn, &notebook).await?, prepared))
    }

    fn finished(&self, finished: Finished, prepared: &Prepared) -> (Outcome, Option<Used>) {
        let used = Used {
            usage: finished.last,
            provider: finished.answering.provider.clone(),
            model: finished.answering.model.clone(),
            context_tokens: Some(prepared.window),
            ..Used::default()
        };
        let outcome = Outcome {
            texts: finished.texts,
            usage: finished.usage,
            provider: finished.answering.provider,
            model: finished.answering.model,
            stop: finished.stop,
            model_error: finished.error.map(|error| error.message),
            client_calls: finished
                .client_calls
                .into_iter()
                .map(KeptCall::from)
                .collect(),
            prompt_report: prepared.report.clone(),
            ..self.ended(RunStatus::Ok, None)
        };
        (outcome, Some(used))
    }

    fn ended(&self, status: RunStatus, error: Option<String>) -> Outcome {
        Outcome::ended(status, error, WallTime::now().as_millis())
    }

    fn failed(&self, error: String) -> Outcome {
        self.ended(RunStatus::Error, Some(error))
    }

    /// Keeps what was said until the run was stopped.
    async fn was_stopped(&self, entry: &SessionEntry, why: &str) -> Outcome {
        let text = self.telling.text();
        let (session_id, kept) = (entry.session_id.clone(), text.clone());
        let why_kept = why.to_owned();
        let written: Result<String, StoreError> = self
            .context
            .store
            .write(move |tx| {
                let message = Message::Assistant(AssistantMessage {
                    content: match kept.is_empty() {
                        true => Vec::new(),
                        false => vec![Part::text(kept)],
                    },
                    stop_reason: StopReason::Aborted,
                    error_message: Some(format!("stopped: {why_kept}")),
                    timestamp: WallTime::now().as_millis(),
                    ..AssistantMessage::default()
                });
                transcripts::append(tx, &session_id, &message)
            })
            .await;
        if let Err(error) = written {
            tracing::error!(target: "runs", run = self.main.request.run_id, %error, "what a stopped run has said cannot be kept");
        }
        let mut outcome = match why {
            TIMEOUT => self.failed("the agent did not answer in time".to_owned()),
            SHUTDOWN => {
                self.failed("the gateway was stopped while the run was under way".to_owned())
            }
            _ => self.ended(RunStatus::Ok, None),
        };
        outcome.aborted = Some(why.to_owned());
        outcome.stop = StopReason::Aborted;
        outcome.texts = Some(text)
            .filter(|text| !text.is_empty())
            .into_iter()
            .collect();
        outcome
    }

    /// Makes the end durable, tells of it, and lets everybody go who waits.
    async fn settle(
        &self,
        feed: &Arc<Feed>,
        outcome: Outcome,
        heard: Vec<Heard>,
        used: Option<Used>,
    ) {
        let request = &self.main.request;
        let register = Register::new(self.context.settings());
        let (key, run, kept) = (
            request.session.clone(),
            request.run_id.clone(),
            outcome.clone(),
        );
        let answered: Vec<String> = heard.iter().map(|it| it.run.clone()).collect();
        let written: Result<(), MethodError> = self
            .context
            .store
            .write(move |tx| {
                journal::end(tx, &run, &kept)?;
                let with = Outcome {
                    answered_with: Some(run),
                    ..kept.clone()
                };
                for run in &answered {
                    journal::end(tx, run, &with)?;
                }
                let used = match used {
                    Some(used) => used,
                    None => Used {
                        was_aborted: kept.aborted.is_some(),
                        ..Used::default()
                    },
                };
                if !kept.session_id.is_empty() {
                    let ended = WallTime::from_millis(kept.ended_at);
                    register.ended(tx, ended, &key, &kept.session_id, &used)?;
                }
                Ok(())
            })
            .await;
        if let Err(error) = written {
            // The next life finds the row and says what it knows.
            tracing::error!(target: "runs", run = request.run_id, error = error.into_shape().message, "the end of a run cannot be kept");
        }
        match (&outcome.aborted, &outcome.error) {
            (Some(why), _) => {
                self.telling
                    .is_stopped(outcome.started_at, outcome.ended_at, why);
            }
            (None, error) => {
                if let Some(error) = &outcome.model_error {
                    self.telling.adds(error);
                } else if request.work.compacts.is_some() {
                    self.telling.adds(outcome.text());
                }
                self.telling
                    .ends(outcome.started_at, outcome.ended_at, error.as_deref());
            }
        }
        for one in heard {
            let feed = Arc::new(Feed::default());
            Telling::new(self.context.clone(), &one.run, &one.asked_as, feed).answers(None);
        }
        toolbox::task_ended(&self.context, request, &outcome).await;
        feed.ends(outcome);
    }
}

/// Makes a conversation shorter because somebody asked for it.
async fn shorten(notebook: &Notebook<'_>, messages: &[Message]) -> Finished {
    notebook.tell(TurnEvent::CompactionStart);
    let made = notebook.compact(messages).await;
    notebook.tell(TurnEvent::CompactionEnd { will_retry: false });
    let (text, usage) = match made {
        Ok((shorter, usage)) => (
            format!(
                "🧹 The conversation was made shorter: {} messages became {}.",
                messages.len(),
                shorter.len()
            ),
            usage,
        ),
        Err(error) => (format!("⚠️ {error}"), Usage::default()),
    };
    Finished {
        texts: vec![text],
        usage,
        last: usage,
        ..Finished::default()
    }
}

/// Why a run was stopped that took too long.
pub(crate) const TIMEOUT: &str = "timeout";

/// Why a run was stopped that was under way when the gateway was.
pub(crate) const SHUTDOWN: &str = "shutdown";

fn journal_error(error: StoreError) -> JournalError {
    JournalError(error.to_string())
}
