//! Asking a person before a command runs.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use openclaw_shared::exec_approvals::{Ask, Security};

/// Whoever can ask people.
pub trait Consent {
    /// Asks, and waits for what they say. Dropping the future takes the question back.
    fn ask(&self, question: Question) -> LocalBoxFuture<'_, Answer>;
}

/// What people are asked: exactly what would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What the approval is to be known by.
    pub id: String,
    /// The whole command, as people read it.
    pub command: String,
    /// The words that would be executed.
    pub argv: Vec<String>,
    /// The folder it would run in, without links.
    pub cwd: String,
    /// The variables that were asked for.
    pub env: BTreeMap<String, String>,
    /// How much may be executed.
    pub security: Security,
    /// When people are asked.
    pub ask: Ask,
    /// The agent.
    pub agent: String,
    /// The first program of the command, where it is.
    pub resolved_path: Option<String>,
    /// How long they have.
    pub limit: Duration,
}

/// What people say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Yes, this time.
    Once,
    /// Yes, and to its programs from here on.
    Always,
    /// No.
    Denied,
    /// Nothing in time.
    Late,
    /// They cannot be asked, and this is why.
    Unasked(String),
}

/// Nobody can be asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Consent for Nobody {
    fn ask(&self, _: Question) -> LocalBoxFuture<'_, Answer> {
        async { Answer::Unasked("there is nobody to ask".to_owned()) }.boxed_local()
    }
}
