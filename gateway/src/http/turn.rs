//! A run that a client of `/v1/…` waits for.
//!
//! Invariant: nobody works for a client that has gone. Whoever drops a [`Turn`] before its end stops the run, and with it the
//! connection to the provider and the processes of tools. What takes a run in is a task that outlives the client, so that one
//! that leaves in between leaves no run behind either.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use openclaw_shared::protocol::error::ErrorCode;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::api::Failure;
use crate::context::Context;
use crate::methods::MethodError;
use crate::runs::{self, Follower, Outcome, RunRequest, RunStatus, Step, Which};

/// Why a run was stopped whose client has gone; clients that follow the run read it.
const GONE: &str = "disconnect";

/// How often it is looked whether a run was done by another process: what a life that is replaced has not begun is its successor's.
const GLANCE: Duration = Duration::from_millis(500);

/// A run, from the moment it is taken in to its end.
pub(super) struct Turn {
    context: Arc<Context>,
    run_id: String,
    follower: Option<Follower>,
    has_said: bool,
    /// Told when there is nothing more to wait for, and why the run is to be stopped, if it is. Whoever drops this unused has gone
    /// too early.
    over: Option<oneshot::Sender<Option<&'static str>>>,
}

/// What comes next of a run.
#[derive(Debug)]
pub(super) enum Next {
    /// More of the text.
    Text(String),
    /// It is over.
    Over(Box<Outcome>),
}

/// Takes a run in.
///
/// # Errors
/// When it was not taken in.
pub(super) async fn begin(context: &Arc<Context>, request: RunRequest) -> Result<Turn, Failure> {
    let begun = taken_in(context.clone(), request);
    // Nobody answers when the task has panicked, or the process ends.
    begun
        .await
        .unwrap_or_else(|_| Err(Failure::failed("internal error")))
}

/// The task that takes a run in lives as long as its client waits, and stops the run of one that waits no more.
fn taken_in(
    context: Arc<Context>,
    request: RunRequest,
) -> oneshot::Receiver<Result<Turn, Failure>> {
    let (tell, told) = oneshot::channel();
    spawn_local(async move {
        let run_id = match runs::enter(&context, request).await {
            Ok(entered) => entered.run_id,
            Err(error) => {
                // Whoever has gone needs no answer.
                let _ = tell.send(Err(refused(error)));
                return;
            }
        };
        let (over, gone) = oneshot::channel();
        let turn = Turn {
            follower: runs::follow(&context, &run_id),
            run_id: run_id.clone(),
            has_said: false,
            over: Some(over),
            context: context.clone(),
        };
        // Whoever has gone drops it.
        let _ = tell.send(Ok(turn));
        if gone.await.is_err() {
            let stopped = runs::stop(&context, Which::Run(&run_id), GONE).await;
            if let Err(error) = stopped {
                // It is closed as soon as that can be kept.
                let error = error.into_shape().message;
                tracing::warn!(target: "runs", run = run_id, error, "a run that waits cannot be closed");
            }
        }
    });
    told
}

fn refused(error: MethodError) -> Failure {
    let shape = error.into_shape();
    match shape.code {
        ErrorCode::InvalidRequest | ErrorCode::NotPaired | ErrorCode::NotLinked => {
            Failure::invalid(shape.message)
        }
        ErrorCode::Unavailable | ErrorCode::AgentTimeout => {
            Failure::failed(shape.message).with_status(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

impl Turn {
    /// What comes next. May be dropped and called again.
    ///
    /// # Errors
    /// When nobody can say how the run ends, or this life ends before it does.
    pub(super) async fn next(&mut self) -> Result<Next, Failure> {
        let mut leaving = self.context.last_words.subscribe();
        tokio::select! {
            biased;
            next = self.step() => return next,
            // The sender lives as long as the context.
            _ = leaving.wait_for(|is_so| *is_so) => {}
        }
        self.leave(Some(runs::SHUTDOWN));
        let message = "the gateway was stopped or replaced before the answer was complete";
        Err(Failure::failed(message)
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
            .with_code("gateway_left")
            .and_final())
    }

    async fn step(&mut self) -> Result<Next, Failure> {
        loop {
            let step = match &mut self.follower {
                Some(follower) => timeout(GLANCE, follower.next()).await.ok().flatten(),
                None => None,
            };
            match step {
                Some(Step::Text(text)) => {
                    self.has_said = true;
                    return Ok(Next::Text(text));
                }
                // What has been sent cannot be taken back: what another model says follows it.
                Some(Step::Anew) if self.has_said => return Ok(Next::Text("\n\n".to_owned())),
                // Calls stand in the outcome, too.
                Some(Step::Anew | Step::ClientCall(_)) => {}
                Some(Step::Ended(outcome)) => return Ok(self.ended(outcome)),
                None => {
                    let patience = match self.follower {
                        Some(_) => Duration::ZERO,
                        None => GLANCE,
                    };
                    let elsewhere = runs::outcome(&self.context, &self.run_id, Some(patience));
                    if let Some(outcome) = elsewhere.await.map_err(refused)? {
                        return Ok(self.ended(Box::new(outcome)));
                    }
                }
            }
        }
    }

    fn ended(&mut self, outcome: Box<Outcome>) -> Next {
        self.leave(None);
        Next::Over(outcome)
    }

    /// Nothing more is waited for; the run is stopped if there is a reason.
    fn leave(&mut self, why: Option<&'static str>) {
        if let Some(over) = self.over.take() {
            // The task that listens lives as long as this.
            let _ = over.send(why);
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When nobody can say how the run ends.
    pub(super) async fn end(mut self) -> Result<Outcome, Failure> {
        loop {
            match self.next().await? {
                Next::Text(_) => {}
                Next::Over(outcome) => return Ok(*outcome),
            }
        }
    }
}

/// Why an outcome is no answer; none when it is one.
pub(super) fn failure(outcome: &Outcome) -> Option<Failure> {
    let failure = match (
        outcome.aborted.as_deref(),
        &outcome.error,
        &outcome.model_error,
    ) {
        (Some("timeout"), _, _) => Failure::failed("the agent did not answer in time")
            .with_status(StatusCode::GATEWAY_TIMEOUT)
            .with_code("timeout"),
        (Some(why), _, _) => {
            Failure::failed(format!("the run was stopped: {why}")).with_code("aborted")
        }
        (None, Some(error), _) => Failure::failed(error.clone()),
        (None, None, Some(error)) => Failure::failed(error.clone()).with_code("model_error"),
        (None, None, None) => match outcome.status {
            RunStatus::Ok => return None,
            RunStatus::Error => Failure::failed("the run failed"),
        },
    };
    Some(failure.and_final())
}
