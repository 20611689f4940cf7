//! `write`: a file as a whole.

use std::rc::Rc;

use serde_json::json;

use super::{FileTool, Place, Work};
use crate::tool::{ToolError, ToolOutput};
use crate::tools::arguments::Arguments;
use crate::tools::spec;

const NAME: &str = "write";

/// The tool.
pub(super) fn tool(place: &Rc<Place>) -> FileTool {
    let spec = spec(
        NAME,
        "Write content to a file. Creates the file if it doesn't exist, overwrites if it does. Automatically creates parent \
         directories.",
        &["path", "content"],
        json!({
            "path": { "description": "Path to the file to write (relative or absolute)", "type": "string" },
            "content": { "description": "Content to write to the file", "type": "string" },
        }),
    );
    FileTool {
        name: NAME,
        spec,
        place: place.clone(),
        read: asked,
    }
}

fn asked(arguments: &Arguments<'_>, path: String) -> Result<Work, ToolError> {
    let content = arguments.required(&["content"])?.to_owned();
    Ok(Box::new(move |place| {
        place.write(&path, content.as_bytes())?;
        let size = content.len();
        Ok(ToolOutput::text(format!(
            "Successfully wrote {size} bytes to {path}"
        )))
    }))
}
