//! An upgrade: this process executes the program that lies where it was started from, and every child is replaced by the binaries there.
//!
//! Its steps: look whether anything on disk has changed → ask the new binary whether it can take over ([`examine`]) → wait until no
//! change, restart or stop is under way → stop every connection where it is and hand over ([`leave`], [`handed`]) → go on in the new program
//! ([`arrive`]) → replace the children. Before the hand-over a failure changes nothing; in it the old program goes on.
//!
//! Invariant: whoever asked hears what came of it, from whichever program is there then.

use std::time::Duration;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::control::{ChildName, CliReply};
use openclaw_shared::instance::VERSION;
use openclaw_shared::upgrade::{UpgradeState, UpgradeStatus};
use tokio::sync::oneshot;

use super::channel::Arrival;
use super::notify::{self, Notice};
use super::{Due, Supervisor, spawn};

pub(crate) mod arrive;
pub(crate) mod document;
pub(crate) mod examine;
pub(crate) mod handed;
pub(crate) mod image;
mod leave;

use self::document::Cause;
use self::image::{FileId, Image};

/// How long the end of what is under way is waited for; a change and its roll-back may take a while.
const PATIENCE: Duration = Duration::from_secs(90);

/// Who waits for the end of an upgrade.
#[derive(Debug)]
pub(super) enum Caller {
    /// Somebody who asked for it.
    Upgrade(oneshot::Sender<CliReply>),
    /// Somebody who asked for a restart, and gets it by an upgrade.
    Restart(oneshot::Sender<CliReply>),
}

/// How far an upgrade is.
#[derive(Debug)]
enum Stage {
    /// There is none.
    Idle,
    /// The new binary is asked.
    Examining { file: FileId, only_check: bool },
    /// It can take over as soon as nothing else is under way.
    Waiting { file: FileId, to: String },
    /// The children are replaced.
    Replacing(Cause),
}

/// What a supervisor knows of upgrades.
#[derive(Debug)]
pub(super) struct Upgrade {
    pub(super) image: Image,
    stage: Stage,
    status: Option<UpgradeStatus>,
    callers: Vec<Caller>,
}

impl Upgrade {
    pub(super) const fn new(image: Image) -> Self {
        Self {
            image,
            stage: Stage::Idle,
            status: None,
            callers: Vec::new(),
        }
    }

    /// The upgrade that is under way, or how the last one ended.
    pub(super) const fn status(&self) -> Option<&UpgradeStatus> {
        self.status.as_ref()
    }

    /// Whether a restart has to go by way of an upgrade: another program lies where this one was started, or one is on its way.
    pub(super) fn is_due(&self) -> bool {
        !matches!(self.stage, Stage::Idle) || self.image.successor().is_some()
    }

    fn set(&mut self, state: UpgradeState, to: Option<&str>, from: &str) {
        self.status = Some(UpgradeStatus {
            ts: WallTime::now().as_millis(),
            state,
            from: from.to_owned(),
            to: to.map(str::to_owned),
            reason: None,
        });
    }
}

impl Supervisor {
    /// Somebody asks for an upgrade, or whether there could be one.
    pub(super) fn ask_upgrade(&mut self, caller: Option<Caller>, only_check: bool) {
        if self.fleet.is_stopping() {
            fail(caller, "The instance is stopping.");
            return;
        }
        match &mut self.upgrade.stage {
            Stage::Idle => {}
            Stage::Examining { .. } | Stage::Waiting { .. } | Stage::Replacing(_) if only_check => {
                fail(caller, "An upgrade is under way.");
                return;
            }
            Stage::Examining { only_check, .. } => {
                let was_only_looked_at = std::mem::take(only_check);
                if was_only_looked_at {
                    // Somebody wanted to know whether it could be; now somebody wants it, and both hear how it ends.
                    self.upgrade.set(UpgradeState::Checking, None, VERSION);
                }
                self.upgrade.callers.extend(caller);
                return;
            }
            Stage::Waiting { .. } | Stage::Replacing(_) => {
                self.upgrade.callers.extend(caller);
                return;
            }
        }
        self.upgrade.callers.extend(caller);
        if let Some(file) = self.upgrade.image.successor() {
            self.examine(file, only_check);
        } else if FileId::at(self.upgrade.image.path()).is_none() {
            let path = self.upgrade.image.path().display().to_string();
            self.end_upgrade(UpgradeState::Refused, None, Some(format!("{path} is gone")));
        } else if !self.children_have_successors() {
            self.answer_upgrade(&now(UpgradeState::Unchanged));
        } else if only_check {
            self.answer_upgrade(&now(UpgradeState::Possible));
        } else {
            self.replace_for_upgrade(Cause {
                from: VERSION.to_owned(),
                to: VERSION.to_owned(),
            });
        }
    }

    /// Whether a child runs from another file than its successor would.
    fn children_have_successors(&self) -> bool {
        let programs = self.upgrade.image.folder();
        ChildName::ALL.into_iter().any(|child| {
            let on_disk = FileId::at(&spawn::program(&programs, child));
            let runs = self
                .fleet
                .child(child)
                .listening()
                .and_then(|generation| self.lives.program(child, generation));
            runs.is_some() && runs != on_disk
        })
    }

    /// Asks the new binary whether it can take over; its answer arrives as an event.
    fn examine(&mut self, file: FileId, only_check: bool) {
        self.upgrade.stage = Stage::Examining { file, only_check };
        if !only_check {
            self.upgrade.set(UpgradeState::Checking, None, VERSION);
        }
        tracing::info!(target: "upgrade", program = %self.upgrade.image.path().display(), "the new binary is asked whether it can take over");
        let document = serde_json::to_vec(&self.sketch());
        let program = self.upgrade.image.path().to_path_buf();
        let arrivals = self.arrivals.clone();
        // It ends by itself within its time.
        tokio::spawn(async move {
            let answer = match document {
                Ok(document) => examine::ask(&program, &document).await,
                Err(error) => Err(format!("the state cannot be written: {error}")),
            };
            // The loop that is told may be ending.
            let _ = arrivals.send(Arrival::Examined(answer)).await;
        });
    }

    /// The new binary has answered.
    pub(super) fn examined(&mut self, answer: Result<String, String>) {
        let Stage::Examining { file, only_check } = self.upgrade.stage else {
            return;
        };
        match answer {
            // Whoever only asks changes nothing, also not what is known of the last upgrade.
            Ok(to) if only_check => {
                let mut status = now(UpgradeState::Possible);
                status.to = Some(to);
                self.answer_upgrade(&status);
            }
            Err(why) if only_check => {
                let mut status = now(UpgradeState::Refused);
                (status.to, status.reason) = (None, Some(why));
                self.answer_upgrade(&status);
            }
            Err(why) => self.end_upgrade(UpgradeState::Refused, None, Some(why)),
            Ok(to) => {
                tracing::info!(target: "upgrade", from = VERSION, to = %to, "the new binary can take over");
                self.upgrade.set(UpgradeState::Waiting, Some(&to), VERSION);
                self.upgrade.stage = Stage::Waiting { file, to };
                self.due.retain(|_, due| *due != Due::Upgrade);
                self.arm(PATIENCE, Due::Upgrade);
            }
        }
    }

    /// What is under way has taken too long to end.
    pub(super) fn upgrade_is_late(&mut self) {
        if let Stage::Waiting { to, .. } = &self.upgrade.stage {
            let to = to.clone();
            let seconds = PATIENCE.as_secs();
            let why =
                format!("a change or a restart that is under way did not end within {seconds} s");
            self.end_upgrade(UpgradeState::Refused, Some(to), Some(why));
        }
    }

    /// Whether the moment to hand over has come, and what for.
    pub(super) fn may_leave(&mut self) -> Option<Cause> {
        let Stage::Waiting { file, to } = &self.upgrade.stage else {
            return None;
        };
        if !self.rests() {
            return None;
        }
        let (file, to) = (*file, to.clone());
        match self.upgrade.image.successor() {
            Some(still) if still == file => Some(Cause {
                from: VERSION.to_owned(),
                to,
            }),
            // Another one has come in its place meanwhile.
            Some(other) => {
                self.examine(other, false);
                None
            }
            None => {
                let why = "it is not there any more".to_owned();
                self.end_upgrade(UpgradeState::Refused, Some(to), Some(why));
                None
            }
        }
    }

    /// Whether nothing is under way that could not be handed over.
    fn rests(&self) -> bool {
        self.is_ready
            && self.exit.is_none()
            && self.rolling.is_none()
            && self.rewrites.is_empty()
            && self.waiters.is_empty()
            && self.fleet.keep(Moment::now()).is_some()
    }

    /// Replaces every child; how that ends arrives as an event.
    pub(super) fn replace_for_upgrade(&mut self, cause: Cause) {
        self.upgrade
            .set(UpgradeState::Replacing, Some(&cause.to), &cause.from);
        self.upgrade.stage = Stage::Replacing(cause);
        let (reply, replied) = oneshot::channel();
        let arrivals = self.arrivals.clone();
        tokio::spawn(async move {
            let result = match replied.await {
                Ok(CliReply::Failed { message }) => Err(message),
                Ok(
                    CliReply::Done { .. }
                    | CliReply::Status(_)
                    | CliReply::Written { .. }
                    | CliReply::Upgrade(_),
                ) => Ok(()),
                Err(_) => Err("the instance is stopping".to_owned()),
            };
            // The loop that is told may be ending.
            let _ = arrivals.send(Arrival::Replaced(result)).await;
        });
        self.restart(&ChildName::ALL, Some(reply));
    }

    /// The children were replaced, or one of them could not be.
    pub(super) fn replaced(&mut self, result: Result<(), String>) {
        let Stage::Replacing(cause) = &self.upgrade.stage else {
            return;
        };
        let to = Some(cause.to.clone());
        match result {
            Ok(()) => self.end_upgrade(UpgradeState::Upgraded, to, None),
            Err(why) => {
                let why = why.trim_end_matches('.').to_owned();
                self.end_upgrade(UpgradeState::Incomplete, to, Some(why));
            }
        }
    }

    /// The instance stops; nobody waits for an upgrade any more.
    pub(super) fn abandon_upgrade(&mut self) {
        if !matches!(self.upgrade.stage, Stage::Idle) {
            let why = "the instance is stopping".to_owned();
            self.end_upgrade(UpgradeState::Refused, None, Some(why));
        }
    }

    /// An upgrade has come to its end: tells it to the log, to whoever asked, and from now on to whoever looks.
    pub(super) fn end_upgrade(
        &mut self,
        state: UpgradeState,
        to: Option<String>,
        reason: Option<String>,
    ) {
        let from = match &self.upgrade.stage {
            Stage::Replacing(cause) => cause.from.clone(),
            Stage::Idle | Stage::Examining { .. } | Stage::Waiting { .. } => VERSION.to_owned(),
        };
        let status = UpgradeStatus {
            ts: WallTime::now().as_millis(),
            state,
            from,
            to,
            reason,
        };
        let (from, to, outcome) = (&status.from, &status.to, state.as_str());
        if state.has_failed() {
            tracing::error!(target: "upgrade", outcome, error = status.reason, from, to = to.as_deref(), "upgrade failed");
        } else {
            tracing::info!(target: "upgrade", outcome, from, to = to.as_deref(), "upgraded");
        }
        self.upgrade.status = Some(status.clone());
        self.due.retain(|_, due| *due != Due::Upgrade);
        self.answer_upgrade(&status);
    }

    /// Answers whoever waits, and waits for nothing any more.
    fn answer_upgrade(&mut self, status: &UpgradeStatus) {
        self.upgrade.stage = Stage::Idle;
        for caller in std::mem::take(&mut self.upgrade.callers) {
            let message = status.to_string();
            // Whoever asked may have left.
            let _ = match caller {
                Caller::Upgrade(reply) => reply.send(CliReply::Upgrade(status.clone())),
                Caller::Restart(reply) if status.state.has_failed() => {
                    reply.send(CliReply::Failed { message })
                }
                Caller::Restart(reply) => reply.send(CliReply::Done { message }),
            };
        }
    }

    /// Goes on as before, after a hand-over that did not come about.
    pub(super) fn taken_back(&mut self, to: String, why: String) {
        self.end_upgrade(UpgradeState::TakenBack, Some(to), Some(why));
        notify::tell(Notice::Ready, &self.serving());
    }
}

/// An answer that changes nothing.
fn now(state: UpgradeState) -> UpgradeStatus {
    UpgradeStatus {
        ts: WallTime::now().as_millis(),
        state,
        from: VERSION.to_owned(),
        to: Some(VERSION.to_owned()),
        reason: None,
    }
}

fn fail(caller: Option<Caller>, why: &str) {
    let message = why.to_owned();
    if let Some(Caller::Upgrade(reply) | Caller::Restart(reply)) = caller {
        // Whoever asked may have left.
        let _ = reply.send(CliReply::Failed { message });
    }
}
