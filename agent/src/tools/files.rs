//! `read`, `write` and `edit`: files, the agent's own and those it may see.

mod edit;
mod place;
mod read;
mod write;

pub(super) use place::Place;

use std::rc::Rc;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value};

use super::arguments::Arguments;
use crate::model::ToolSpec;
use crate::tool::{Call, Tool, ToolError, ToolOutput};

/// The names under which models give a path.
const PATH: [&str; 2] = ["path", "file_path"];

/// What is to be done where nobody waits for the disk; what it fails with is for the model.
type Work = Box<dyn FnOnce(&Place) -> Result<ToolOutput, String> + Send>;

/// A tool that does something with one file.
struct FileTool {
    name: &'static str,
    spec: ToolSpec,
    place: Rc<Place>,
    /// Reads a call; the path was read before.
    read: fn(&Arguments<'_>, String) -> Result<Work, ToolError>,
}

/// The tools for files.
pub(super) fn tools(place: &Rc<Place>) -> Vec<Rc<dyn Tool>> {
    [read::tool(place), edit::tool(place), write::tool(place)]
        .map(|tool| Rc::new(tool) as Rc<dyn Tool>)
        .into()
}

impl Tool for FileTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<ToolOutput, ToolError>> {
        async move {
            let arguments = Arguments::new(self.name, &call.arguments);
            let path = arguments.required(&PATH)?.to_owned();
            let work = (self.read)(&arguments, path)?;
            let place = Place::clone(&self.place);
            match tokio::task::spawn_blocking(move || work(&place)).await {
                Ok(Ok(output)) => Ok(output),
                Ok(Err(error)) => Ok(super::failed(self.name, error)),
                Err(error) => Err(ToolError(format!("{} has failed: {error}", self.name))),
            }
        }
        .boxed_local()
    }

    fn summary(&self, arguments: &Map<String, Value>) -> Option<String> {
        let arguments = Arguments::new(self.name, arguments);
        arguments.text(&PATH).map(str::to_owned)
    }
}
