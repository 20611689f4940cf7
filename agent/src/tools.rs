//! The tools that need nothing but this machine: files, commands, pages.
//!
//! Names, parameters and results are those that models and clients of the existing product know. A tool that fails says so in its
//! result, with `status: "error"`.
//!
//! Invariant: what a model asks for is refused or done as it was asked. No tool follows a link, a redirect or a variable to where
//! it was not let.

mod arguments;
pub mod exec;
mod files;
pub mod process;
pub mod web_fetch;

use std::path::PathBuf;
use std::rc::Rc;

use openclaw_shared::transcript::Part;
use serde_json::{Value, json};

use crate::model::ToolSpec;
use crate::tool::{Tool, ToolOutput};
use exec::{Consent, ExecSettings};
use web_fetch::WebSettings;

/// What the tools of one agent are told.
#[derive(Clone)]
pub struct ToolSettings {
    /// The folder the agent works in.
    pub workspace: PathBuf,
    /// Which files it may use.
    pub files: FileRules,
    /// How it runs commands.
    pub exec: ExecSettings,
    /// What it may fetch; nothing when absent.
    pub web: Option<WebSettings>,
}

/// Which files an agent may use. Whatever lies in its workspace it may read and write.
#[derive(Debug, Clone, Default)]
pub struct FileRules {
    /// Folders and files that nobody's tools touch, such as those that hold credentials and the rules for tools, but for what is
    /// in the workspace or in `readable`.
    pub protected: Vec<PathBuf>,
    /// What may be read although it is protected, such as the skills.
    pub readable: Vec<PathBuf>,
    /// Whether files outside of the workspace may be written. Whoever must ask before a command runs must not get around that by
    /// writing what others run.
    pub writes_anywhere: bool,
}

/// The tools of an agent.
#[must_use]
pub fn standard(settings: ToolSettings, consent: Rc<dyn Consent>) -> Vec<Rc<dyn Tool>> {
    let place = Rc::new(files::Place::new(
        settings.workspace.clone(),
        settings.files,
    ));
    let (agent, processes) = (settings.exec.agent.clone(), settings.exec.processes.clone());
    let mut tools = files::tools(&place);
    tools.push(Rc::new(exec::Exec::new(
        settings.workspace,
        settings.exec,
        consent,
    )));
    tools.push(Rc::new(process::Process::new(agent, processes)));
    if let Some(web) = settings.web {
        tools.push(Rc::new(web_fetch::WebFetch::new(web)));
    }
    tools
}

/// A tool as models see it.
fn spec(name: &str, description: &str, required: &[&str], properties: Value) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: json!({ "type": "object", "required": required, "properties": properties }),
    }
}

/// What a tool says that could not do what it was asked.
fn failed(tool: &str, error: impl std::fmt::Display) -> ToolOutput {
    let details = json!({ "status": "error", "tool": tool, "error": error.to_string() });
    ToolOutput {
        content: vec![Part::text(format!("{details:#}"))],
        details,
        is_error: true,
    }
}
