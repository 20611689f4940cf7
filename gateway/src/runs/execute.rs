//! One run, from the moment it may begin to its end.
//!
//! Order: the row says `running` and the session has its conversation; everything is prepared; the row says that something leaves in
//! the commit that keeps the message; the turn runs; the row says `done` in the commit that says what the session has used;
//! everybody is told.

use std::cell::RefCell;
use std::sync::Arc;

use openclaw_agent::compact::{Limits, tokens_of_tools};
use openclaw_agent::turn::{
    self, Cause, Compactor as _, Finished, Journal as _, JournalError, Turn, TurnEvent, said,
};
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::sessions::SessionEntry;
use openclaw_shared::transcript::{AssistantMessage, Message, Part, StopReason, Thinking, Usage};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::aside::NOT_CARRIED_OUT;
use super::commands;
use super::dropped;
use super::ending::{self, AGAIN, End};
use super::feed::Feed;
use super::flush::Flush;
use super::journal::{self, Begun, Stored};
use super::lanes::Start;
use super::notebook::Notebook;
use super::prepare::{self, Prepared};
use super::request::{KeptCall, Outcome, RunKind, RunStatus, Work};
use super::telling::Telling;
use crate::context::Context;
use crate::methods::MethodError;
use crate::services::sessions::{Conversation, Register, Used};
use crate::services::system_events::{self, Told};
use crate::services::transcripts;
use crate::store::StoreError;

/// How often it is tried to begin a run before it is tried to close it instead.
const ATTEMPTS: u32 = 3;

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
pub(crate) fn worded(work: &Work, run: &str) -> String {
    let said = format!("{}\n[message_id: {run}]", work.message);
    match dropped::told(&work.left_out) {
        Some(left_out) => format!("{left_out}\n\n{said}"),
        None => said,
    }
}

/// Does a run.
pub(crate) async fn run(context: Arc<Context>, start: Start, feed: Arc<Feed>, stop: Stop) -> Done {
    let all: Vec<String> = start.with.iter().chain([&start.run]).cloned().collect();
    // It was acknowledged, so a store that cannot be read at the moment does not end it.
    let stored = loop {
        match load(&context, &all) {
            Ok(stored) => break stored,
            Err(error) => {
                tracing::error!(target: "runs", run = start.run, %error, "a run cannot be read, and waits");
                if context.runs.is_leaving() {
                    return Done::Over;
                }
                sleep(AGAIN).await;
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
    match run.get_going(&all, stop.clone()).await {
        Going::Begun(begun) => {
            let end = run.go(&begun, stop).await;
            ending::settle(&run.context, &run.main.request, &run.telling, &feed, end).await;
            Done::Over
        }
        Going::Stopped(why) => {
            let end = run.never_begun(run.aborted(&why));
            ending::settle(&run.context, &run.main.request, &run.telling, &feed, end).await;
            Done::Over
        }
        Going::Failed(end) => {
            ending::tell(&run.context, &run.main.request, &run.telling, &feed, *end);
            Done::Over
        }
        Going::Held => Done::Held(stored),
        Going::Gone => Done::Over,
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

/// What became of a run that was to begin.
enum Going {
    /// It is under way.
    Begun(Box<HasBegun>),
    /// It was stopped before, for this reason.
    Stopped(String),
    /// It cannot begin, and that is kept.
    Failed(Box<End>),
    /// Another process has a run under way in its session.
    Held,
    /// It is somebody else's, or over.
    Gone,
}

/// What became of one attempt to begin.
enum Attempt {
    Begun(Box<HasBegun>),
    Not(Begun),
}

/// A run whose row says that it is under way.
struct HasBegun {
    /// Its session.
    entry: SessionEntry,
    /// What the agent is told with it.
    notes: Vec<Told>,
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

    /// Begins, as soon as the store lets it. What was acknowledged is neither done nor closed before that can be kept.
    async fn get_going(&self, all: &[String], mut stop: Stop) -> Going {
        let mut attempts = 0;
        loop {
            if let Some(why) = stop.borrow().clone() {
                return Going::Stopped(why);
            }
            let error = match self.begin(all).await {
                Ok(Attempt::Begun(begun)) => return Going::Begun(begun),
                Ok(Attempt::Not(Begun::Held)) => return Going::Held,
                Ok(Attempt::Not(Begun::Yes | Begun::Gone)) => return Going::Gone,
                Err(error) => error.into_shape().message,
            };
            tracing::error!(target: "runs", run = self.main.request.run_id, error, "a run cannot begin, and waits");
            attempts += 1;
            if attempts == 1 {
                self.telling.waits(&error);
            }
            if attempts >= ATTEMPTS {
                let end = self.never_begun(self.failed(error));
                let kept = ending::keep(&self.context, &self.main.request, &end).await;
                if kept.is_ok() {
                    return Going::Failed(Box::new(end));
                }
            }
            if self.context.runs.is_leaving() {
                // The row says that it waits, for whoever comes next.
                return Going::Gone;
            }
            tokio::select! {
                () = sleep(AGAIN) => {}
                // Whoever may stop it lives as long as this.
                _ = stop.wait_for(Option::is_some) => {}
            }
        }
    }

    /// The end of a run of which nothing was done.
    fn never_begun(&self, outcome: Outcome) -> End {
        End {
            outcome,
            heard: self.heard(),
            used: None,
        }
    }

    async fn begin(&self, all: &[String]) -> Result<Attempt, MethodError> {
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
        let run = request.run_id.clone();
        let is_default = key.is_main(self.context.settings().naming());
        let hears_notes = self.hears_notes();
        self.context
            .store
            .write(move |tx| {
                for run in &all {
                    match journal::begin(tx, run, key.as_str(), &life, started)? {
                        Begun::Yes => {}
                        held_or_gone @ (Begun::Held | Begun::Gone) => {
                            return Ok(Attempt::Not(held_or_gone));
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
                let notes = match hears_notes {
                    true => system_events::claim_within(tx, key.as_str(), is_default, &run)?,
                    false => Vec::new(),
                };
                Ok(Attempt::Begun(Box::new(HasBegun { entry, notes })))
            })
            .await
    }

    /// Whether the agent is told with it what waits for its session.
    fn hears_notes(&self) -> bool {
        let Work {
            compacts, history, ..
        } = &self.main.request.work;
        match self.main.request.kind {
            RunKind::Agent | RunKind::Chat => compacts.is_none() && history.is_empty(),
            // A wake-up brings them along, and the others are not what a person or a program says in the session.
            RunKind::Heartbeat
            | RunKind::Http
            | RunKind::Hook
            | RunKind::Cron
            | RunKind::Subagent => false,
        }
    }

    /// Does the turn.
    async fn go(&self, begun: &HasBegun, mut stop: Stop) -> End {
        let entry = &begun.entry;
        self.telling.starts(self.started);
        let work = &self.main.request.work;
        let settings = self.context.settings();
        let limit = work.timeout().unwrap_or(settings.runs.timeout);
        let heard = RefCell::new(self.heard());
        let turn = timeout(limit, self.turn(begun, &heard));
        let stopped = async {
            match stop.wait_for(Option::is_some).await {
                Ok(why) => why.clone().unwrap_or_default(),
                Err(_) => std::future::pending().await,
            }
        };
        let (mut outcome, used) = tokio::select! {
            biased;
            never = self.telling.keep_up() => match never {},
            why = stopped => (self.was_stopped(entry, &why).await, None),
            done = turn => match done {
                Ok(Ok((finished, prepared))) => self.finished(finished, &prepared),
                Ok(Err(error)) => (self.failed(error.0), None),
                Err(_late) => (self.was_stopped(entry, TIMEOUT).await, None),
            },
        };
        outcome.session_id.clone_from(&entry.session_id);
        outcome.started_at = Some(self.started.as_millis());
        End {
            outcome,
            heard: heard.into_inner(),
            used,
        }
    }

    async fn turn(
        &self,
        HasBegun { entry, notes }: &HasBegun,
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
        let mut notes_first = (!notes.is_empty()).then(|| system_events::lines(notes));
        for stored in self.with.iter().chain([&self.main]) {
            let work = &stored.request.work;
            let text = match stored.request.kind {
                RunKind::Chat => worded(work, &stored.request.run_id),
                RunKind::Agent
                | RunKind::Http
                | RunKind::Hook
                | RunKind::Cron
                | RunKind::Heartbeat
                | RunKind::Subagent => work.message.clone(),
            };
            // Whoever brings the conversation along may only go on with it, after what its own tools have answered.
            let text = match notes_first.take() {
                Some(notes) => format!("{notes}\n{text}"),
                None => text,
            };
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
        let verbose = (request.work.verbose.as_deref())
            .or(entry.verbose_level.as_deref())
            .or(settings.runs.verbose.as_deref());
        self.telling.show_tools(verbose == Some("on"));
        let flush = settings.runs.flush.as_ref();
        let flush = Flush::of(flush, &prepared.toolbox, &prepared.system);
        let notebook = Notebook {
            context: &self.context,
            telling: &self.telling,
            session: request.session.as_str(),
            session_id: entry.session_id.clone(),
            with: heard,
            leaving: RefCell::new(self.all()),
            notes: RefCell::new((!notes.is_empty()).then(|| request.run_id.clone())),
            entries: RefCell::new(entries),
            model: prepared.model.clone(),
            first: prepared.first.clone(),
            limits: Limits {
                reserve: settings.runs.reserve + flush.as_ref().map_or(0, Flush::room),
                ..Limits::of_window(prepared.window)
            },
            tools: tokens_of_tools(&specs),
            flush,
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

    fn finished(&self, mut finished: Finished, prepared: &Prepared) -> (Outcome, Option<Used>) {
        let answering = &mut finished.answering;
        if answering.model.is_empty() {
            (answering.provider, answering.model) = prepared.first.clone();
        }
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

    fn aborted(&self, why: &str) -> Outcome {
        let mut outcome = match why {
            TIMEOUT => self.failed("the agent did not answer in time".to_owned()),
            SHUTDOWN => {
                self.failed("the gateway was stopped while the run was under way".to_owned())
            }
            _ => self.ended(RunStatus::Ok, None),
        };
        outcome.aborted = Some(why.to_owned());
        outcome.stop = StopReason::Aborted;
        outcome
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
        let mut outcome = self.aborted(why);
        outcome.texts = Some(text)
            .filter(|text| !text.is_empty())
            .into_iter()
            .collect();
        outcome
    }
}

/// Makes a conversation shorter because somebody asked for it.
async fn shorten(notebook: &Notebook<'_>, messages: &[Message]) -> Finished {
    notebook.tell(TurnEvent::CompactionStart);
    let made = notebook.compact(Cause::Asked, messages).await;
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
