//! What a body of `/v1/chat/completions` asks for.                                         (pure)
//!
//! Members that change nothing here are ignored: programs of many makes send many. What is used must fit.

use openclaw_shared::transcript::Part;
use serde_json::{Map, Value};

use crate::http::client_tools;
use crate::http::conversation::Conversation;
use crate::http::fields::{Field, Misfit, Object};
use crate::http::media::{self, Limits};
use crate::http::pdfs::Pdfs;
use crate::http::question::{self, Question, Refused};
use crate::http::target::MODEL;

/// What is asked, and in which form it is to be answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) question: Question,
    /// Whether a stream ends with what it took.
    pub(super) with_usage: bool,
}

/// What pictures and files are read with.
struct Media<'a> {
    limits: &'a Limits,
    pdfs: &'a mut Pdfs,
}

/// Reads a body.
pub(super) fn read(
    body: &Map<String, Value>,
    limits: &Limits,
    pdfs: &mut Pdfs,
) -> Result<Request, Refused> {
    let mut media = Media { limits, pdfs };
    let body = Object::body(body);
    let text = |key: &str| {
        body.get(key)
            .or_null()
            .map(|field| field.text().map(str::to_owned))
    };
    let flag = |key: &str| {
        body.get(key)
            .or_null()
            .map_or(Ok(false), |field| field.flag())
    };
    let model = text("model").transpose()?;
    let model = model.filter(|model| !model.trim().is_empty());
    let is_streamed = flag("stream")?;
    let with_usage = match body.get("stream_options").or_null() {
        None => false,
        Some(options) => match options.object()?.get("include_usage").or_null() {
            None => false,
            Some(include) => include.flag()?,
        },
    };
    if let Some(choices) = body.get("n").or_null()
        && choices.count()? > 1
    {
        return Err(choices
            .misfit("only one choice is made for a request")
            .into());
    }
    let max_tokens = match body.get("max_completion_tokens").or_null() {
        Some(most) => Some(most),
        None => body.get("max_tokens").or_null(),
    };
    let max_tokens = question::most_tokens(max_tokens)?;
    let tools = client_tools::read(&body)?;
    let mut conversation = Conversation::default();
    if let Some(messages) = body.get("messages").or_null() {
        for message in messages.items()? {
            say(&message, &mut media, &mut conversation)?;
        }
    }
    let silence = |_| Refused::Silence("messages");
    let question = Question {
        model: model.unwrap_or_else(|| MODEL.to_owned()),
        user: text("user").transpose()?,
        prompt: conversation.into_prompt().map_err(silence)?,
        tools,
        max_tokens,
        thinking: question::thinking(&body.get("reasoning_effort")),
        is_streamed,
    };
    Ok(Request {
        question,
        with_usage,
    })
}

fn say(field: &Field<'_>, media: &mut Media<'_>, into: &mut Conversation) -> Result<(), Misfit> {
    const ROLES: &[&str] = &[
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "function",
    ];
    let message = field.object()?;
    let role = message.get("role").word(ROLES)?;
    let mut content = Vec::new();
    if let Some(written) = message.get("content").or_null() {
        parts(&written, media, into, &mut content)?;
    }
    match role {
        "system" | "developer" => {
            let text = openclaw_shared::transcript::text_of(&content);
            if !text.trim().is_empty() {
                into.system.push(text);
            }
        }
        "user" => into.user(content),
        "assistant" => {
            if let Some(calls) = message.get("tool_calls").or_null() {
                for call in calls.items()? {
                    content.push(tool_call(&call)?);
                }
            }
            into.assistant(content);
        }
        _ => {
            let name = message.get("name").or_null();
            let name = name.map(|name| name.text()).transpose()?;
            let id = match message.get("tool_call_id").or_null() {
                Some(id) => id.text()?,
                None => name.unwrap_or_default(),
            };
            into.tool(id, name, content);
        }
    }
    Ok(())
}

fn tool_call(field: &Field<'_>) -> Result<Part, Misfit> {
    let call = field.object()?;
    let id = call.get("id").text()?;
    let function = call.get("function").object()?;
    let name = function.get("name").text()?;
    let written = function.get("arguments");
    Ok(Part::ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments(&written)?,
    })
}

/// The arguments of a call, which some write as they are.
fn arguments(written: &Field<'_>) -> Result<Map<String, Value>, Misfit> {
    match written.value() {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object.clone()),
        Some(_) => question::arguments(written),
    }
}

fn parts(
    written: &Field<'_>,
    with: &mut Media<'_>,
    into: &mut Conversation,
    content: &mut Vec<Part>,
) -> Result<(), Misfit> {
    if let Some(Value::String(text)) = written.value() {
        content.push(Part::text(text));
        return Ok(());
    }
    for item in written.items()? {
        let part = item.object()?;
        let kind = part.get("type");
        match kind.text()? {
            "text" | "input_text" | "output_text" => {
                content.push(Part::text(part.get("text").text()?));
            }
            "refusal" => content.push(Part::text(part.get("refusal").text()?)),
            "image_url" | "input_image" => {
                let image = part.get("image_url");
                let url = match image.value() {
                    Some(Value::String(_)) => image,
                    _ => image.object()?.get("url"),
                };
                let attached = media::data_url(url.text()?);
                let image = attached.and_then(|attached| with.limits.image(&attached));
                content.push(image.map_err(|refused| url.misfit(refused.to_string()))?);
            }
            "file" | "input_file" => {
                let file = match part.get("file").or_null() {
                    Some(nested) => nested.object()?,
                    None => part,
                };
                let name = file.get("filename").or_null();
                let name = name.map(|name| name.text()).transpose()?;
                let data = file.get("file_data");
                let text = media::file_data(data.text()?, name);
                let text = text.and_then(|attached| with.limits.file(&attached, with.pdfs));
                let text = text.map_err(|refused| data.misfit(refused.to_string()))?;
                into.system.push(media::file_text(name, &text));
            }
            _ => return Err(kind.misfit("this kind of content is not taken")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::{Message, Part, Thinking};
    use serde_json::{Value, json};

    use super::{Limits, Pdfs, Request, read};

    fn request(body: Value) -> Result<Request, String> {
        read(
            body.as_object().unwrap(),
            &Limits::default(),
            &mut Pdfs::default(),
        )
        .map_err(|error| error.to_string())
    }

    #[test]
    fn a_plain_question_is_read() {
        let asked = request(json!({
            "model": "openclaw", "temperature": 0.3, "logit_bias": {"1": 2}, "seed": 5,
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "developer", "content": [{"type": "text", "text": "and kind"}]},
                {"role": "user", "content": "hi", "name": "ada"},
            ],
        }));
        let asked = asked.unwrap();
        let question = asked.question;
        assert_eq!(
            question.prompt.system.as_deref(),
            Some("be brief\n\nand kind")
        );
        assert_eq!(question.prompt.message, "hi");
        assert!(question.prompt.history.is_empty() && !question.is_streamed && !asked.with_usage);
        let asked = request(json!({
            "messages": [{"role": "user", "content": "hi"}], "stream": true, "stream_options": {"include_usage": true},
            "user": "u", "max_tokens": 5, "max_completion_tokens": 7, "reasoning_effort": "high", "n": 1,
        }));
        let asked = asked.unwrap();
        let question = asked.question;
        assert!(question.is_streamed && asked.with_usage);
        assert_eq!(
            (question.model.as_str(), question.user.as_deref()),
            ("openclaw", Some("u"))
        );
        assert_eq!(
            (question.max_tokens, question.thinking),
            (Some(7), Some(Thinking::High))
        );
    }

    #[test]
    fn calls_their_results_and_pictures_are_read() {
        let asked = request(json!({"messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "what is this"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K", "detail": "low"}},
                {"type": "file", "file": {"filename": "a.md", "file_data": "data:text/markdown;base64,SGk="}}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ]}));
        let prompt = asked.unwrap().question.prompt;
        assert_eq!(
            prompt.system.as_deref(),
            Some("<file name=\"a.md\">\nHi\n</file>")
        );
        let [
            Message::User(user),
            Message::Assistant(call),
            Message::ToolResult(result),
        ] = prompt.history.as_slice()
        else {
            panic!("{:?}", prompt.history)
        };
        assert!(matches!(
            user.content.as_slice(),
            [Part::Text { .. }, Part::Image { .. }]
        ));
        assert!(
            matches!(call.content.as_slice(), [Part::ToolCall { arguments, .. }] if arguments["at"] == 1)
        );
        assert_eq!(
            (result.tool_name.as_str(), prompt.message.as_str()),
            ("look", "")
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
        for (body, text) in [
            (json!({}), "Missing user message in `messages`."),
            (
                json!({"messages": [{"role": "assistant", "content": "x"}]}),
                "Missing user message in `messages`.",
            ),
            (user(json!("")), "Missing user message in `messages`."),
            (
                json!({"messages": "x"}),
                "messages: Invalid input: expected array, received string",
            ),
            (
                json!({"messages": [1]}),
                "messages.0: Invalid input: expected object, received number",
            ),
            (
                json!({"model": 5}),
                "model: Invalid input: expected string, received number",
            ),
            (
                json!({"stream": "yes"}),
                "stream: Invalid input: expected boolean, received string",
            ),
            (json!({"n": 2}), "n: only one choice is made for a request"),
            (
                json!({"max_tokens": 0}),
                "max_tokens: Too small: expected number to be >0",
            ),
            (
                user(json!([{"type": "input_audio"}])),
                "messages.0.content.0.type: this kind of content is not taken",
            ),
            (
                user(json!([{"type": "image_url", "image_url": "http://localhost/x.png"}])),
                "messages.0.content.0.image_url: URLs are not fetched here; send the data itself as a data: URL",
            ),
            (
                user(
                    json!([{"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}}]),
                ),
                "messages.0.content.0.image_url.url: Unsupported image type: image/tiff; taken are image/jpeg, image/png, image/gif, image/webp",
            ),
            (
                json!({"messages": [{"role": "wizard", "content": "x"}]}),
                "messages.0.role: Invalid option: expected one of \"system\"|\"developer\"|\"user\"|\"assistant\"|\"tool\"|\"function\"",
            ),
            (
                json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "x", "arguments": "[1"}}]}]}),
                "messages.0.tool_calls.0.function.arguments: Invalid input: expected the JSON of an object",
            ),
        ] {
            assert_eq!(request(body.clone()), Err(text.to_owned()), "{body}");
        }
    }
}
