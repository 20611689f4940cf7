//! One model made of several: the one that is wanted, and those that stand in for it.
//!
//! A candidate that cannot answer at the moment is asked again after a while, as often as its provider's own limits make sense of;
//! then the next one is asked. That happens only as long as nothing of the answer was said; afterwards an error is an error, unless
//! the policy lets another one take over, which begins anew ([`ModelEvent::Began`]).
//!
//! The decisions are in [`plan`], whose key stays out of use after a failure in [`Cooldowns`]; this file waits and asks.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, LocalBoxStream, StreamExt as _};
use openclaw_shared::clock::WallTime;
use tokio::sync::Notify;

use super::{Model, ModelError, ModelEvent, ModelRequest};

mod cooldown;
mod plan;

pub use cooldown::{Cooldowns, Rest, RestRules};
pub use plan::Policy;
use plan::{Next, Plan};

/// One that may answer.
#[derive(Clone)]
pub struct Candidate {
    /// It.
    pub model: Rc<dyn Model>,
    /// `provider/model`, for people.
    pub name: String,
    /// Whose key it is asked with, so that a key that is refused or used up is left alone for a while.
    pub key: String,
    /// How long that is.
    pub rest: RestRules,
}

/// Cooldowns that runs share.
#[derive(Debug, Clone, Default)]
pub struct SharedCooldowns(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cooldowns: Mutex<Cooldowns>,
    bell: Notify,
}

impl SharedCooldowns {
    /// Looks at them, or changes them.
    pub fn with<T>(&self, work: impl FnOnce(&mut Cooldowns) -> T) -> T {
        // Each change leaves them whole, so a poisoned lock is as good as any.
        let cooldowns = self.0.cooldowns.lock();
        work(&mut cooldowns.unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when a run has changed something since this was asked last.
    pub async fn changed(&self) {
        self.0.bell.notified().await;
    }

    fn change(&self, work: impl FnOnce(&mut Cooldowns)) {
        self.with(work);
        self.0.bell.notify_one();
    }
}

/// One model made of several.
pub struct Failover {
    candidates: Vec<Candidate>,
    policy: Policy,
    cooldowns: SharedCooldowns,
    jitter: fn() -> f64,
}

impl Failover {
    /// These candidates, the wanted one first. `jitter` gives numbers from 0 to 1.
    #[must_use]
    pub const fn new(
        candidates: Vec<Candidate>,
        policy: Policy,
        cooldowns: SharedCooldowns,
        jitter: fn() -> f64,
    ) -> Self {
        Self {
            candidates,
            policy,
            cooldowns,
            jitter,
        }
    }

    fn plan(&self) -> Plan {
        let now = WallTime::now();
        let candidates = self.candidates.iter();
        self.cooldowns.with(|cooldowns| {
            let resting = candidates.map(|candidate| cooldowns.until(now, &candidate.key));
            Plan::new(self.policy, resting)
        })
    }
}

impl Model for Failover {
    fn ask(&self, request: ModelRequest) -> LocalBoxStream<'_, Result<ModelEvent, ModelError>> {
        let asking = Asking {
            failover: self,
            request,
            plan: self.plan(),
            state: State::Next,
            failures: Vec::new(),
        };
        stream::unfold(asking, |mut asking| async move {
            let event = asking.next().await?;
            Some((event, asking))
        })
        .boxed_local()
    }
}

struct Asking<'a> {
    failover: &'a Failover,
    request: ModelRequest,
    plan: Plan,
    state: State<'a>,
    /// What went wrong with whom, in order.
    failures: Vec<(usize, ModelError)>,
}

enum State<'a> {
    /// The plan knows whom to ask.
    Next,
    Answering {
        candidate: usize,
        stream: LocalBoxStream<'a, Result<ModelEvent, ModelError>>,
        has_spoken: bool,
    },
    Over,
}

impl Asking<'_> {
    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        loop {
            match &mut self.state {
                State::Over => return None,
                State::Next => match self.plan.next() {
                    Next::Ask(candidate) => self.ask(candidate),
                    Next::Wait(wait, candidate) => {
                        tokio::time::sleep(wait).await;
                        self.ask(candidate);
                    }
                    Next::GiveUp => {
                        self.state = State::Over;
                        return Some(Err(self.verdict()));
                    }
                },
                State::Answering {
                    candidate,
                    stream,
                    has_spoken,
                } => {
                    let candidate = *candidate;
                    match stream.next().await {
                        Some(Ok(event)) => {
                            match &event {
                                ModelEvent::Text(_) | ModelEvent::ToolCall(_) => *has_spoken = true,
                                ModelEvent::Done(_) => {
                                    self.state = State::Over;
                                    self.worked(candidate);
                                }
                                ModelEvent::Began(_)
                                | ModelEvent::Thinking(_)
                                | ModelEvent::ThinkingSignature(_) => {}
                            }
                            return Some(Ok(event));
                        }
                        Some(Err(error)) => {
                            let has_spoken = *has_spoken;
                            self.failed(candidate, error, has_spoken);
                        }
                        // Every model ends with `Done` or an error; one that does not has nothing more to say.
                        None => self.state = State::Over,
                    }
                }
            }
        }
    }

    fn ask(&mut self, candidate: usize) {
        let model = &self.failover.candidates[candidate].model;
        self.state = State::Answering {
            candidate,
            stream: model.ask(self.request.clone()),
            has_spoken: false,
        };
    }

    fn worked(&self, candidate: usize) {
        let key = &self.failover.candidates[candidate].key;
        let cooldowns = &self.failover.cooldowns;
        cooldowns.change(|cooldowns| cooldowns.worked(key));
    }

    fn failed(&mut self, candidate: usize, error: ModelError, has_spoken: bool) {
        let Candidate {
            name, key, rest, ..
        } = &self.failover.candidates[candidate];
        tracing::warn!(target: "models", model = %name, kind = ?error.kind, %error, "a model did not answer");
        self.failover
            .cooldowns
            .change(|cooldowns| cooldowns.failed(WallTime::now(), rest, key, error.kind));
        self.plan
            .failed(candidate, error.kind, has_spoken, (self.failover.jitter)());
        self.failures.push((candidate, error));
        self.state = State::Next;
    }

    /// What people read when nobody has answered.
    fn verdict(&mut self) -> ModelError {
        let Some((last, mut verdict)) = self.failures.pop() else {
            return ModelError {
                kind: super::ModelErrorKind::Unknown,
                message: "no model is configured".to_owned(),
            };
        };
        // The last word of each one counts.
        let mut told: Vec<(usize, String)> = vec![(last, verdict.message.clone())];
        while let Some((candidate, error)) = self.failures.pop() {
            if !told.iter().any(|(known, _)| *known == candidate) {
                told.push((candidate, error.message));
            }
        }
        if told.len() > 1 {
            let names = &self.failover.candidates;
            let lines = told.iter().rev();
            let lines: Vec<String> = lines
                .map(|(candidate, text)| format!("{}: {text}", names[*candidate].name))
                .collect();
            verdict.message = format!("no model has answered: {}", lines.join(" | "));
        }
        verdict
    }
}

#[cfg(test)]
mod tests;
