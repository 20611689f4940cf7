//! `read`: a file's text, or a picture.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_shared::transcript::Part;
use serde_json::json;

use super::{FileTool, Place, Work};
use crate::picture;
use crate::tool::{ToolError, ToolOutput};
use crate::tools::arguments::Arguments;
use crate::tools::spec;

const NAME: &str = "read";
/// So many lines are shown at once.
const MOST_LINES: usize = 2_000;
/// And so many bytes.
const MOST_BYTES: usize = 50 * 1024;
/// Lines are counted in files up to this size.
const LARGEST: u64 = 32 * 1024 * 1024;
/// The largest picture, in bytes: what providers take.
const LARGEST_PICTURE: usize = 5 * 1024 * 1024;

/// The tool.
pub(super) fn tool(place: &Rc<Place>) -> FileTool {
    let spec = spec(
        NAME,
        "Read the contents of a file. Supports text files and images (jpg, png, gif, webp). Images are sent as attachments. For \
         text files, output is truncated to 2000 lines or 50KB (whichever is hit first). Use offset/limit for large files. When \
         you need the full file, continue with offset until complete.",
        &["path"],
        json!({
            "path": { "description": "Path to the file to read (relative or absolute)", "type": "string" },
            "offset": { "description": "Line number to start reading from (1-indexed)", "type": "number" },
            "limit": { "description": "Maximum number of lines to read", "type": "number" },
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
    let (offset, limit) = (arguments.integer("offset")?, arguments.integer("limit")?);
    Ok(Box::new(move |place| {
        let bytes = place.read(&path, LARGEST)?;
        match picture::kind(&bytes) {
            Some(kind) => pictured(kind, &bytes),
            None => lines(&String::from_utf8_lossy(&bytes), offset, limit),
        }
    }))
}

fn pictured(kind: &str, bytes: &[u8]) -> Result<ToolOutput, String> {
    if bytes.len() > LARGEST_PICTURE {
        return Err(format!(
            "the image has {} bytes, and no more than {LARGEST_PICTURE} are sent",
            bytes.len()
        ));
    }
    Ok(ToolOutput {
        content: vec![
            Part::text(format!("Read image file [{kind}]")),
            Part::Image {
                data: STANDARD.encode(bytes),
                mime_type: kind.to_owned(),
            },
        ],
        ..ToolOutput::default()
    })
}

/// The lines from `offset` on, counted from one, as many as are asked for and shown at once.
fn lines(text: &str, offset: Option<usize>, limit: Option<usize>) -> Result<ToolOutput, String> {
    let all: Vec<&str> = text.split('\n').collect();
    let total = all.len();
    let first = offset.unwrap_or(1).max(1);
    if first > total {
        return Err(format!(
            "Offset {first} is beyond end of file ({total} lines total)"
        ));
    }
    let asked = &all[first - 1..];
    let asked = &asked[..limit.unwrap_or(usize::MAX).min(asked.len())];
    let mut size = 0;
    let fits = |line: &&&str| {
        size += line.len() + 1;
        size <= MOST_BYTES + 1
    };
    let shown = asked.iter().take(MOST_LINES).take_while(fits).count();
    if shown == 0 && !asked.is_empty() {
        return Err(format!(
            "Line {first} has {} bytes, more than are shown at once; use exec to see a part of it",
            asked[0].len()
        ));
    }
    let mut text = asked[..shown].join("\n");
    let last = first - 1 + shown;
    let next = last + 1;
    if shown < asked.len() {
        let by = if shown == MOST_LINES {
            "lines"
        } else {
            "bytes"
        };
        let why = if shown == MOST_LINES {
            ""
        } else {
            " (50.0KB limit)"
        };
        text.push_str(&format!(
            "\n\n[Showing lines {first}-{last} of {total}{why}. Use offset={next} to continue.]"
        ));
        let details = json!({ "truncation": {
            "truncated": true, "truncatedBy": by, "totalLines": total, "outputLines": shown,
        } });
        return Ok(ToolOutput {
            details,
            ..ToolOutput::text(text)
        });
    }
    if last < total {
        let more = total - last;
        text.push_str(&format!(
            "\n\n[{more} more lines in file. Use offset={next} to continue.]"
        ));
    }
    Ok(ToolOutput::text(text))
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::text_of;

    use super::*;

    fn shown(text: &str, offset: Option<usize>, limit: Option<usize>) -> String {
        match lines(text, offset, limit) {
            Ok(output) => text_of(&output.content),
            Err(error) => error,
        }
    }

    #[test]
    fn lines_are_shown_as_models_know_it() {
        let text = "one\ntwo\nthree\n";
        assert_eq!(shown(text, None, None), text);
        assert_eq!(
            shown(text, Some(2), Some(1)),
            "two\n\n[2 more lines in file. Use offset=3 to continue.]"
        );
        assert_eq!(
            shown(text, Some(9), None),
            "Offset 9 is beyond end of file (4 lines total)"
        );
        assert_eq!(shown("", None, None), "");
        let many: Vec<String> = (1..=5_000).map(|line| format!("line {line}")).collect();
        let many = many.join("\n");
        let page = shown(&many, None, None);
        assert!(
            page.ends_with(
                "line 2000\n\n[Showing lines 1-2000 of 5000. Use offset=2001 to continue.]"
            ),
            "{page}"
        );
        assert!(shown(&many, Some(4_999), None).ends_with("line 4999\nline 5000"));
        let wide = format!("{0}\n{0}\nx", "a".repeat(40_000));
        assert!(
            shown(&wide, None, None).ends_with(
                "\n\n[Showing lines 1-1 of 3 (50.0KB limit). Use offset=2 to continue.]"
            )
        );
        assert!(shown(&"a".repeat(60_000), None, None).starts_with("Line 1 has 60000 bytes"));
    }

    #[test]
    fn pictures_that_are_too_large_are_not_shown() {
        assert!(pictured("image/png", &vec![0; LARGEST_PICTURE + 1]).is_err());
    }
}
