//! What a provider is to say, and how it is to fail.  (pure)

use std::time::Duration;

use serde_json::{Value, json};

/// What a request gets.
#[derive(Debug, Clone)]
pub enum Script {
    /// An answer, or a part of one.
    Answer(Answer),
    /// A status and a body, at once.
    Status {
        /// The status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// The connection is closed without an answer.
    Close,
    /// Nothing at all; the connection stays open.
    Silence,
    /// The beginning of an answer, and then the same piece of its body again and again, until the client leaves.
    Pour {
        /// The status.
        status: u16,
        /// What comes first.
        opening: String,
        /// The piece.
        piece: String,
        /// How long it takes from one to the next.
        interval: Duration,
    },
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What is thought first.
    pub thought: String,
    /// The text, one word a chunk.
    pub words: Vec<String>,
    /// The tools that are called, with their arguments. A request that brings their results gets the text alone.
    pub calls: Vec<(String, Value)>,
    /// How long it takes from one chunk to the next.
    pub interval: Duration,
    /// After how many chunks it waits until [`ModelServer::go_on`].
    pub held_after: Option<usize>,
    /// How it ends.
    pub end: End,
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As the protocol says.
    Whole,
    /// As the protocol says, because nothing more may be written.
    Length,
    /// As the protocol says, but without its last frame.
    NoLastFrame,
    /// Nothing more comes; the connection stays open.
    Stall,
    /// The connection is closed in the middle.
    BreakOff,
    /// The body ends as if it were whole; the protocol's end is missing.
    NoEnd,
    /// A chunk that is no JSON, and then the rest.
    Malformed,
    /// An error of the provider in the place of the rest.
    Failure,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            thought: String::new(),
            words: Vec::new(),
            calls: Vec::new(),
            interval: Duration::ZERO,
            held_after: None,
            end: End::Whole,
        }
    }
}

impl Answer {
    /// A text in words.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self {
            words: text.split_inclusive(' ').map(str::to_owned).collect(),
            ..Self::default()
        }
    }

    /// So many words.
    #[must_use]
    pub fn tokens(count: usize) -> Self {
        Self {
            words: (0..count).map(|index| format!("w{index} ")).collect(),
            ..Self::default()
        }
    }

    /// It ends like this.
    #[must_use]
    pub const fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// After so many chunks it waits until [`ModelServer::go_on`].
    #[must_use]
    pub const fn held_after(mut self, chunks: usize) -> Self {
        self.held_after = Some(chunks);
        self
    }

    /// So much time passes from one chunk to the next.
    #[must_use]
    pub const fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }
}

impl Script {
    /// A whole answer.
    #[must_use]
    pub fn say(text: &str) -> Self {
        Self::Answer(Answer::text(text))
    }

    /// So many words, in this rhythm.
    #[must_use]
    pub fn tokens(count: usize, interval: Duration) -> Self {
        Self::Answer(Answer::tokens(count).every(interval))
    }

    /// Calls a tool, and says the text when its result comes.
    #[must_use]
    pub fn call(name: &str, arguments: Value, then: &str) -> Self {
        Self::Answer(Answer {
            calls: vec![(name.to_owned(), arguments)],
            ..Answer::text(then)
        })
    }

    /// An error with OpenAI's body, which the others understand too.
    #[must_use]
    pub fn status(status: u16, message: &str) -> Self {
        Self::Status {
            status,
            headers: Vec::new(),
            body: json!({"error": {"message": message, "type": "stand_in"}}).to_string(),
        }
    }

    /// This, and then the same piece again every so many milliseconds.
    #[must_use]
    pub fn pour(opening: &str, piece: &str, millis: u64) -> Self {
        Self::Pour {
            status: 200,
            opening: opening.to_owned(),
            piece: piece.to_owned(),
            interval: Duration::from_millis(millis),
        }
    }

    /// Too many requests; come again after so many seconds.
    #[must_use]
    pub fn limited(retry_after: &str) -> Self {
        Self::Status {
            status: 429,
            headers: vec![("retry-after".to_owned(), retry_after.to_owned())],
            body: json!({"error": {"message": "slow down", "type": "rate_limit_error"}})
                .to_string(),
        }
    }

    /// The script that a model is named after: `tokens-200`, `tokens-200-every-5`, `stall`, `break-off`, `no-end`,
    /// `malformed`, `failure`, `close`, `silence`, `limited`, `long-line`, `endless-line`, `trickle`, `context-full`, `status-500`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let some = |end| Some(Self::Answer(Answer::tokens(3).ending(end)));
        match name {
            "stall" => some(End::Stall),
            "break-off" => some(End::BreakOff),
            "no-end" => some(End::NoEnd),
            "malformed" => some(End::Malformed),
            "failure" => some(End::Failure),
            "close" => Some(Self::Close),
            "silence" => Some(Self::Silence),
            "limited" => Some(Self::limited("1")),
            "long-line" => Some(Self::say(&"x".repeat(1 << 20))),
            "endless-line" => Some(Self::pour("data: {\"x\": \"", &"x".repeat(512), 1)),
            "trickle" => Some(Self::pour("data: ", " ", 20)),
            "context-full" => Some(Self::status(
                400,
                "This model's maximum context length is 10 tokens (context_length_exceeded)",
            )),
            _ => {
                if let Some(status) = name.strip_prefix("status-") {
                    return Some(Self::status(status.parse().ok()?, "as asked for"));
                }
                let (count, interval) = match name.strip_prefix("tokens-")?.split_once("-every-") {
                    Some((count, millis)) => (count, millis.parse().ok()?),
                    None => (name.strip_prefix("tokens-")?, 0),
                };
                let interval = Duration::from_millis(interval);
                Some(Self::tokens(count.parse().ok()?, interval))
            }
        }
    }
}
