//! What an agent is to remember is written down before its conversation is made shorter.
//!
//! The agent is asked to do that in a turn of its own, with its own tools, which nobody sees and which leaves nothing in the transcript.
//! It is a courtesy: the conversation is made shorter however it goes.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, ready};
use openclaw_agent::model::{Model, ToolChoice};
use openclaw_agent::tool::Toolbox;
use openclaw_agent::turn::{self, Journal, JournalError, Turn, TurnEvent, said};
use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::{Message, Thinking, Usage};
use tokio::time::timeout;

use crate::settings::runs::MemoryFlush;

/// How long the agent may take.
const LIMIT: Duration = Duration::from_secs(120);
/// The tools that something can be written down with.
const WRITERS: [&str; 3] = ["write", "edit", "exec"];

/// How an agent writes down what it is to remember.
pub(super) struct Flush<'a> {
    settings: &'a MemoryFlush,
    toolbox: &'a Toolbox,
    system: String,
}

impl<'a> Flush<'a> {
    /// None for an agent that cannot write.
    pub(super) fn of(
        settings: Option<&'a MemoryFlush>,
        toolbox: &'a Toolbox,
        system: &str,
    ) -> Option<Self> {
        let settings = settings?;
        let can_write = toolbox.names().any(|name| WRITERS.contains(&name));
        can_write.then(|| Self {
            settings,
            toolbox,
            system: format!("{system}\n\n{}", settings.system),
        })
    }

    /// How much room it takes.
    pub(super) const fn room(&self) -> u64 {
        self.settings.soft_threshold
    }

    /// Asks the agent, and says what that took.
    pub(super) async fn write(&self, model: &dyn Model, messages: &[Message]) -> Usage {
        // What is asked of the agent at the moment stays in the conversation, and is answered later.
        let open = messages.iter().rev().take_while(|it| is_asked(it)).count();
        let history = &messages[..messages.len() - open];
        let turn = Turn {
            model,
            toolbox: self.toolbox,
            client_tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            system: self.system.clone(),
            history: history.to_vec(),
            prompts: vec![said(
                self.settings.prompt(&WallTime::now().local_date()),
                [],
            )],
            thinking: Thinking::Off,
            max_tokens: None,
            cache_key: None,
            compactor: None,
        };
        let why = match timeout(LIMIT, turn::run(turn, &Unseen)).await {
            Ok(Ok(finished)) => match finished.error {
                None => return finished.usage,
                Some(error) => error.message,
            },
            Ok(Err(error)) => error.0,
            Err(_late) => "it took too long".to_owned(),
        };
        tracing::warn!(target: "runs", error = why, "an agent has not written down what it is to remember");
        Usage::default()
    }
}

const fn is_asked(message: &Message) -> bool {
    matches!(message, Message::User(_))
}

/// Keeps nothing, and tells nobody.
struct Unseen;

impl Journal for Unseen {
    fn keep(&self, _message: Message) -> LocalBoxFuture<'_, Result<(), JournalError>> {
        ready(Ok(())).boxed_local()
    }

    fn leaves(&self) -> LocalBoxFuture<'_, Result<(), JournalError>> {
        ready(Ok(())).boxed_local()
    }

    fn tell(&self, _event: TurnEvent<'_>) {}
}
