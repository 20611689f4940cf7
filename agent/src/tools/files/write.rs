//! `write`: a file as a whole.

use std::rc::Rc;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value, json};

use super::{PATH, Place, aside};
use crate::model::ToolSpec;
use crate::tool::{Call, Tool, ToolError, ToolOutput};
use crate::tools::arguments::Arguments;
use crate::tools::spec;

const NAME: &str = "write";

/// The tool.
pub(in crate::tools) struct Write {
    spec: ToolSpec,
    place: Rc<Place>,
}

impl Write {
    pub(in crate::tools) fn new(place: Rc<Place>) -> Self {
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
        Self { spec, place }
    }
}

impl Tool for Write {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<ToolOutput, ToolError>> {
        async move {
            let arguments = Arguments::new(NAME, &call.arguments);
            let path = arguments.required(&PATH)?.to_owned();
            let content = arguments.required(&["content"])?.to_owned();
            aside(NAME, &self.place, move |place| {
                place.write(&path, content.as_bytes())?;
                let size = content.len();
                Ok(ToolOutput::text(format!(
                    "Successfully wrote {size} bytes to {path}"
                )))
            })
            .await
        }
        .boxed_local()
    }

    fn summary(&self, arguments: &Map<String, Value>) -> Option<String> {
        let arguments = Arguments::new(NAME, arguments);
        arguments.text(&PATH).map(str::to_owned)
    }
}
