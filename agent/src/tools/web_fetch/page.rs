//! What is worth reading of what a server sent.                                                   (pure)

use serde_json::Value;

mod html;

/// As what a page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Markdown,
    Text,
}

impl Mode {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::Text => "text",
        }
    }
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) title: Option<String>,
    pub(super) text: String,
    pub(super) extractor: &'static str,
}

/// Makes text of what came, by its media type.
pub(super) fn made(kind: &str, body: &[u8], mode: Mode) -> Result<Page, String> {
    let plain = |extractor: &'static str| Page {
        title: None,
        text: String::from_utf8_lossy(body).into_owned(),
        extractor,
    };
    match kind {
        "text/html" | "application/xhtml+xml" => Ok(readable(body, mode)),
        "application/json" => Ok(match serde_json::from_slice::<Value>(body) {
            Ok(value) => Page {
                text: format!("{value:#}"),
                ..plain("json")
            },
            Err(_) => plain("raw"),
        }),
        _ if kind.starts_with("text/")
            || kind.ends_with("+json")
            || kind.ends_with("xml")
            || kind == "application/javascript" =>
        {
            Ok(plain("raw"))
        }
        _ if body.is_empty() => Ok(plain("raw")),
        _ => Err(format!("{kind} is no text, and is not shown")),
    }
}

fn readable(body: &[u8], mode: Mode) -> Page {
    let read = html::read(body, mode);
    Page {
        title: read.title,
        text: read.text,
        extractor: "html5ever",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_kinds_are_shown_as_they_are_or_not_at_all() {
        let json = made("application/json", br#"{"a":1}"#, Mode::Text).unwrap();
        assert_eq!((&*json.text, json.extractor), ("{\n  \"a\": 1\n}", "json"));
        assert_eq!(
            made("text/plain", b"x", Mode::Text).unwrap().extractor,
            "raw"
        );
        assert!(made("image/png", b"x", Mode::Text).is_err());
    }
}
