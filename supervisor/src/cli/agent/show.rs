//! A run as a person follows it: the answer while it grows, the tools it uses, and what is left to say at its end.

use openclaw_client::harmless;
use openclaw_shared::log::printable;
use serde_json::Value;

use super::super::answer::Answer as _;
use super::super::output::Output;

/// How much of a tool's arguments is shown.
const ARGUMENTS: usize = 120;

/// What has been shown.
#[derive(Debug)]
pub(super) struct Shown {
    /// Whether the answer is shown while it grows.
    is_live: bool,
    /// Whether tools are shown.
    with_tools: bool,
    /// The message that is growing, as it was printed.
    printed: String,
}

impl Shown {
    pub(super) const fn new(is_live: bool, with_tools: bool) -> Self {
        Self {
            is_live,
            with_tools,
            printed: String::new(),
        }
    }

    /// Shows a step of the run, an `agent` event.
    pub(super) fn step(&mut self, out: &Output, step: &Value) {
        let data = &step["data"];
        match step.text("stream").as_str() {
            "assistant" if self.is_live => {
                let text = harmless(&data.text("text"));
                out.write(&self.growth(&text));
                self.printed = text;
            }
            "tool" if self.with_tools && data["phase"] == "start" => {
                self.end_line(out);
                let arguments: String = data["args"].to_string().chars().take(ARGUMENTS).collect();
                out.note(printable(&format!("[{}] {arguments}", data.text("name"))));
            }
            _ => {}
        }
    }

    /// What is to be printed so that this text stands there.
    fn growth(&self, text: &str) -> String {
        match text.strip_prefix(&self.printed) {
            Some(more) => more.to_owned(),
            // Another message, after the tools that the last one called.
            None => format!("\n\n{text}"),
        }
    }

    /// Ends a line that was begun.
    pub(super) fn end_line(&mut self, out: &Output) {
        if !self.printed.is_empty() {
            out.line("");
            self.printed.clear();
        }
    }

    /// Shows the answer, as far as it is not there yet.
    pub(super) fn finish(&mut self, out: &Output, answer: &Value) {
        let (texts, media) = parts(answer);
        let is_there = texts
            .last()
            .is_some_and(|last| last.trim_end() == self.printed.trim_end());
        self.end_line(out);
        if !is_there {
            texts.iter().for_each(|text| out.line(text));
        }
        media
            .iter()
            .for_each(|url| out.line(format!("MEDIA:{url}")));
        if texts.is_empty() && media.is_empty() {
            match answer
                .some_text("summary")
                .filter(|summary| summary != "completed")
            {
                Some(summary) => out.line(harmless(&summary)),
                None => out.line("No reply from agent."),
            }
        }
    }
}

/// The texts and the media of an answer.
fn parts(answer: &Value) -> (Vec<String>, Vec<String>) {
    let payloads = answer["result"].items("payloads");
    let texts = payloads.iter().filter_map(|part| part.some_text("text"));
    let media = payloads.iter().flat_map(|part| {
        let several = part.texts("mediaUrls");
        match several.is_empty() {
            true => part.some_text("mediaUrl").into_iter().collect(),
            false => several,
        }
    });
    (
        texts.map(|text| harmless(&text)).collect(),
        media.map(|url| printable(&url)).collect(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_that_grows_is_printed_once() {
        let mut shown = Shown::new(true, false);
        let mut printed = String::new();
        for text in ["Hel", "Hello", "Hello\x1b[2J", "Hello\x1b[2J", "Next"] {
            let text = harmless(text);
            printed.push_str(&shown.growth(&text));
            shown.printed = text;
        }
        assert_eq!(printed, "Hello\\u{1b}[2J\n\nNext");
    }

    #[test]
    fn an_answer_has_texts_and_media() {
        let answer = json!({"result": {"payloads": [
            {"text": "a", "mediaUrl": null}, {"text": "", "mediaUrl": "/x.png"}, {"text": "b\u{7}", "mediaUrls": ["1", "2"]},
        ]}});
        let (texts, media) = parts(&answer);
        assert_eq!(texts, ["a", "b\\u{7}"]);
        assert_eq!(media, ["/x.png", "1", "2"]);
    }
}
