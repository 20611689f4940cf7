//! What a tool is, wherever it comes from.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use openclaw_shared::transcript::Part;
use serde_json::{Map, Value};

use crate::model::ToolSpec;

/// Something a model may call.
pub trait Tool {
    /// How a model sees it.
    fn spec(&self) -> &ToolSpec;

    /// Does it. Dropping the future ends whatever was begun.
    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<ToolOutput, ToolError>>;

    /// One line for people about a call with these arguments: the command, the path.
    fn summary(&self, arguments: &Map<String, Value>) -> Option<String> {
        let _ = arguments;
        None
    }
}

/// A call, as a tool sees it.
pub struct Call<'a> {
    /// What tells it from others in one conversation.
    pub id: &'a str,
    /// What it is given. It has not been checked against the schema.
    pub arguments: Map<String, Value>,
    /// Tells what there is so far, for people who watch.
    pub progress: &'a dyn Fn(ToolOutput),
}

/// What came out of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolOutput {
    /// For the model.
    pub content: Vec<Part>,
    /// For programs that show it.
    pub details: Value,
    /// Whether it tells of a failure that the tool went through to its end with, such as a command with an exit code.
    pub is_error: bool,
}

impl ToolOutput {
    /// A text and nothing else.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            content: vec![Part::text(text)],
            ..Self::default()
        }
    }

    /// A value, which the model reads as JSON.
    #[must_use]
    pub fn json(value: Value) -> Self {
        Self {
            content: vec![Part::text(format!("{value:#}"))],
            details: value,
            is_error: false,
        }
    }
}

/// Why a tool did nothing, or gave up. The model reads it, and people do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ToolError(pub String);

/// The tools of one turn.
#[derive(Clone, Default)]
pub struct Toolbox {
    tools: Vec<Rc<dyn Tool>>,
}

impl std::fmt::Debug for Toolbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.names()).finish()
    }
}

impl Toolbox {
    /// These tools. Of two that have one name the first counts.
    #[must_use]
    pub fn new(tools: impl IntoIterator<Item = Rc<dyn Tool>>) -> Self {
        let mut box_of: Self = Self::default();
        for tool in tools {
            if box_of.find(&tool.spec().name).is_none() {
                box_of.tools.push(tool);
            }
        }
        box_of
    }

    /// Only those whose name passes.
    #[must_use]
    pub fn only(mut self, passes: impl Fn(&str) -> bool) -> Self {
        self.tools.retain(|tool| passes(&tool.spec().name));
        self
    }

    /// The tool of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Rc<dyn Tool>> {
        self.tools.iter().find(|tool| tool.spec().name == name)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().map(|tool| tool.spec().name.as_str())
    }

    /// How a model sees them.
    #[must_use]
    pub fn specs(&self) -> Vec<ToolSpec> {
        self.tools.iter().map(|tool| tool.spec().clone()).collect()
    }
}
