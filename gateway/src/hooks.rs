//! Runs that hooks have started: they are done, and the main session is told how they went.
//!
//! What is to be done lies in the store when a hook is acknowledged. Whoever comes after a life that has ended finds it there;
//! runs have the names that were given out then, so that none is done twice, and each is told of once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::error::ErrorCode;
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use tokio::time::{sleep, timeout};

use crate::context::Context;
use crate::heartbeat;
use crate::runs::{self, Outcome, RunKind, RunRequest, RunStatus};
use crate::services::hook_deliveries::{self, Ask, Open};
use crate::services::session_key::SessionKey;
use crate::services::system_events::{self, Kind};
use crate::store::{StoreError, lease};

/// How often it is looked for hooks that another life has taken.
const LOOK: Duration = Duration::from_secs(5);
/// How long is waited with what does not work at the moment.
const RETRY: Duration = Duration::from_secs(1);
/// How much of an answer the main session is told, in characters.
const LONGEST: usize = 2_000;

/// Runs for as long as it is polled.
pub(crate) async fn look_after(context: &Arc<Context>) {
    context.store.opened().await;
    let mut known = BTreeSet::new();
    let mut doing = FuturesUnordered::new();
    loop {
        // What a life has not taken up when another one follows it is that one's.
        let open = context.store.read(|reader| {
            Ok(match lease::is_ours(reader)? {
                true => hook_deliveries::open(reader),
                false => Ok(Vec::new()),
            })
        });
        match open {
            Ok(Ok(open)) => {
                for open in open {
                    if known.insert(open.run.clone()) {
                        doing.push(see_through(context, open));
                    }
                }
            }
            Ok(Err(error)) | Err(error) => {
                tracing::warn!(target: "gateway/hooks", %error, "hooks cannot be read");
            }
        }
        tokio::select! {
            Some(run) = doing.next() => { known.remove(&run); }
            // Either way it is time to look.
            _ = timeout(LOOK, context.hooks_bell.notified()) => {}
        }
    }
}

/// Does a run and tells of it. Returns which one it was.
async fn see_through(context: &Arc<Context>, open: Open) -> String {
    let Open { run, ask } = open;
    let report = report(&ask, &done(context, &run, &ask).await);
    let mode = ask.mode;
    loop {
        let (told, text) = (run.clone(), report.clone());
        let closed: Result<bool, StoreError> = context
            .store
            .write(move |tx| {
                // Otherwise a successor tells.
                if !lease::is_ours(tx)? || !hook_deliveries::close(tx, &told)? {
                    return Ok(false);
                }
                if let Some(text) = text {
                    system_events::enqueue(tx, WallTime::now(), None, Kind::News, &text)?;
                }
                Ok(true)
            })
            .await;
        match closed {
            Ok(is_new) => {
                if is_new && report.is_some() && mode == WakeMode::Now {
                    let settings = context.settings();
                    heartbeat::wake_agent(context, settings.default_agent());
                }
                return run;
            }
            Err(error) => {
                tracing::warn!(target: "gateway/hooks", run, %error, "the end of a hook cannot be noted yet");
                sleep(RETRY).await;
            }
        }
    }
}

/// How the run ended, or why it was not done.
async fn done(context: &Arc<Context>, run: &str, ask: &Ask) -> Result<Outcome, String> {
    loop {
        let request = RunRequest {
            run_id: run.to_owned(),
            kind: RunKind::Hook,
            session: SessionKey::of_canonical(&ask.session),
            asked_as: ask.asked_as.clone(),
            work: ask.work.clone(),
        };
        let outcome = match runs::enter(context, request).await {
            Ok(_) => runs::outcome(context, run, None).await,
            Err(error) => Err(error),
        };
        match outcome.map_err(|error| *error.into_shape()) {
            Ok(Some(outcome)) => return Ok(outcome),
            // Nobody gives up waiting, so it is known how it ended.
            Ok(None) => sleep(RETRY).await,
            Err(error) if error.code != ErrorCode::Unavailable => return Err(error.message),
            Err(error) => {
                tracing::warn!(target: "gateway/hooks", run, error = error.message, "a hook's run cannot be done yet");
                sleep(RETRY).await;
            }
        }
    }
}

/// What the main session is told; nothing when there is nothing to tell.
fn report(ask: &Ask, done: &Result<Outcome, String>) -> Option<String> {
    let (text, failure) = match done {
        Err(error) => ("", Some(error.as_str())),
        Ok(outcome) => {
            let failure = match (&outcome.model_error, &outcome.error, outcome.status) {
                (Some(error), _, _) | (None, Some(error), _) => Some(error.as_str()),
                (None, None, RunStatus::Error) => Some("the run failed"),
                (None, None, RunStatus::Ok) => outcome.aborted.as_deref(),
            };
            (outcome.text().trim(), failure)
        }
    };
    let name = &ask.name;
    match failure {
        Some(failure) => Some(format!("Hook {name} (error): {}", shortened(failure))),
        None if text.is_empty() || text == "HEARTBEAT_OK" || text == "NO_REPLY" => None,
        None => Some(format!("Hook {name}: {}", shortened(text))),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
