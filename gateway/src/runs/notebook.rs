//! The journal of one turn: each message goes to the transcript, and what happens is told.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use openclaw_agent::compact::{self, Limits};
use openclaw_agent::model::{Model, ModelError, ModelErrorKind};
use openclaw_agent::turn::{Cause, Compactor, Journal, JournalError, TurnEvent, said};
use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::{Message, Usage};

use super::execute::{Heard, worded};
use super::flush::Flush;
use super::journal;
use super::lanes::Overheard;
use super::telling::Telling;
use crate::context::Context;
use crate::services::system_events;
use crate::services::transcripts::{self, Compaction};
use crate::store::StoreError;

/// Where a turn leaves what happens.
pub(crate) struct Notebook<'a> {
    pub(crate) context: &'a Arc<Context>,
    pub(crate) telling: &'a Telling,
    /// The session, by its key.
    pub(crate) session: &'a str,
    /// Its transcript.
    pub(crate) session_id: String,
    /// Runs whose messages are answered with it.
    pub(crate) with: &'a RefCell<Vec<Heard>>,
    /// Runs of which something leaves this machine with the next message that is kept.
    pub(crate) leaving: RefCell<Vec<String>>,
    /// The run whose notes the agent is told with the next message that is kept.
    pub(crate) notes: RefCell<Option<String>>,
    /// Entries of the transcript, in the order of the messages that the model reads; none for what stands in for others.
    pub(crate) entries: RefCell<Vec<Option<String>>>,
    pub(crate) model: Rc<dyn Model>,
    /// The provider that is asked first, and the name of the model there.
    pub(crate) first: (String, String),
    pub(crate) limits: Limits,
    /// How large the tools are that the model is shown, in tokens.
    pub(crate) tools: u64,
    /// How the agent writes down what it is to remember before a part is left out.
    pub(crate) flush: Option<Flush<'a>>,
    /// What the notes are to mind that stand for what is left out.
    pub(crate) wish: Option<String>,
}

impl Journal for Notebook<'_> {
    fn keep(&self, mut message: Message) -> LocalBoxFuture<'_, Result<(), JournalError>> {
        if let Message::Assistant(message) = &mut message
            && message.model.is_empty()
        {
            // Nobody has begun to answer, so that it is told who was asked.
            (message.provider, message.model) = self.first.clone();
        }
        let session_id = self.session_id.clone();
        let (leaving, notes) = (self.leaving.take(), self.notes.take());
        async move {
            let kept = self
                .context
                .store
                .write(move |tx| {
                    for run in &leaving {
                        journal::leaves(tx, run)?;
                    }
                    if let Some(run) = &notes {
                        system_events::told(tx, run)?;
                    }
                    transcripts::append(tx, &session_id, &message)
                })
                .await;
            let entry = kept.map_err(|error: StoreError| JournalError(error.to_string()))?;
            self.entries.borrow_mut().push(Some(entry));
            Ok(())
        }
        .boxed_local()
    }

    fn leaves(&self) -> LocalBoxFuture<'_, Result<(), JournalError>> {
        let leaving = self.leaving.take();
        async move {
            let written: Result<(), StoreError> = self
                .context
                .store
                .write(move |tx| leaving.iter().try_for_each(|run| journal::leaves(tx, run)))
                .await;
            written.map_err(|error| JournalError(error.to_string()))
        }
        .boxed_local()
    }

    fn tell(&self, event: TurnEvent<'_>) {
        self.telling.step(&event);
    }

    fn overheard(&self) -> Vec<Message> {
        let heard = self.context.runs.overhear(self.session);
        let mut messages = Vec::new();
        for Overheard { run, waits_on } in heard {
            let found = self
                .context
                .store
                .read(|reader| Ok(journal::find(reader, &run)));
            match found {
                Ok(Ok(Some(stored))) => {
                    let work = stored.request.work;
                    messages.push(said(worded(&work, &run), work.images));
                    if waits_on {
                        // It is answered by itself as well, so this is not its end.
                        continue;
                    }
                    self.leaving.borrow_mut().push(run.clone());
                    self.with.borrow_mut().push(Heard {
                        run,
                        asked_as: stored.request.asked_as,
                    });
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) | Err(error) => {
                    tracing::error!(target: "runs", run, %error, "a message that waits cannot be read");
                }
            }
        }
        messages
    }
}

impl Compactor for Notebook<'_> {
    fn is_needed(&self, system: &str, messages: &[Message]) -> bool {
        compact::is_needed(self.limits, system, self.tools, messages)
    }

    fn compact<'a>(
        &'a self,
        cause: Cause,
        messages: &'a [Message],
    ) -> LocalBoxFuture<'a, Result<(Vec<Message>, Usage), ModelError>> {
        async move {
            let mut usage = Usage::default();
            // A conversation that the provider has refused has no room for another question.
            if let Some(flush) = &self.flush
                && cause == Cause::Near
                && compact::plan(self.limits, messages).is_some()
            {
                usage = flush.write(&*self.model, messages).await;
            }
            let shortened =
                compact::shorten(&*self.model, self.limits, messages, self.wish.as_deref());
            let shortened = shortened.await?;
            let Some(shortened) = shortened else {
                return Err(too_long("the conversation cannot be made shorter"));
            };
            let entry = self
                .entries
                .borrow()
                .get(shortened.first_kept)
                .cloned()
                .flatten();
            let Some(entry) = entry else {
                return Err(too_long("the conversation has no place to be cut at"));
            };
            let compaction = Compaction {
                summary: shortened.summary.clone(),
                first_kept_entry_id: entry,
                tokens_before: shortened.tokens_before,
            };
            let session_id = self.session_id.clone();
            self.context
                .store
                .write(move |tx| {
                    transcripts::compact(tx, &session_id, WallTime::now(), &compaction)
                })
                .await
                .map_err(|error: StoreError| too_long(&error.to_string()))?;
            let mut entries = self.entries.borrow_mut();
            entries.drain(..shortened.first_kept);
            entries.insert(0, None);
            usage = usage.plus(shortened.usage);
            Ok((shortened.apply(messages), usage))
        }
        .boxed_local()
    }
}

fn too_long(message: &str) -> ModelError {
    ModelError {
        kind: ModelErrorKind::ContextFull,
        message: message.to_owned(),
    }
}
