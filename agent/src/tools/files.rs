//! `read`, `write` and `edit`: files, the agent's own and those it may see.

mod edit;
mod place;
mod read;
mod write;

pub(super) use edit::Edit;
pub(super) use place::Place;
pub(super) use read::Read;
pub(super) use write::Write;

use std::rc::Rc;

use crate::tool::{ToolError, ToolOutput};

/// The names under which models give a path.
const PATH: [&str; 2] = ["path", "file_path"];

/// Does what waits for the disk where nobody waits for it.
async fn aside(
    tool: &'static str,
    place: &Rc<Place>,
    work: impl FnOnce(&Place) -> Result<ToolOutput, String> + Send + 'static,
) -> Result<ToolOutput, ToolError> {
    let place = Place::clone(place);
    match tokio::task::spawn_blocking(move || work(&place)).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Ok(super::failed(tool, error)),
        Err(error) => Err(ToolError(format!("{tool} has failed: {error}"))),
    }
}
