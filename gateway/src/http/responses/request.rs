//! What a body of `/v1/responses` asks for.                                                (pure)
//!
//! The body is held to what this interface knows: a key that it does not know would change what is meant. Within items more is
//! let pass, because programs send back the items that they were given, with what others put into them.

use std::collections::BTreeMap;

use openclaw_shared::transcript::Part;
use serde_json::{Map, Value};

use crate::http::client_tools;
use crate::http::conversation::Conversation;
use crate::http::fields::{Field, Misfit, Object};
use crate::http::media::{self, Attached, Limits};
use crate::http::pdfs::Pdfs;
use crate::http::question::{self, Question, Refused};

const KEYS: &[&str] = &[
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "stream",
    "max_output_tokens",
    "max_tool_calls",
    "user",
    "temperature",
    "top_p",
    "metadata",
    "store",
    "previous_response_id",
    "reasoning",
    "truncation",
];

/// What was fetched, by its address, or why it was not.
pub(super) type Fetched = BTreeMap<String, Result<Attached, String>>;

/// What pictures and files are read with.
struct Reading<'a> {
    limits: &'a Limits,
    /// None while addresses are only collected.
    fetched: Option<&'a Fetched>,
    pdfs: &'a mut Pdfs,
    addresses: Vec<Address>,
    conversation: Conversation,
}

/// Something that must be fetched first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) url: String,
    pub(super) is_image: bool,
}

/// What must be fetched before a body can be read.
///
/// # Errors
/// When the body does not fit anyhow.
pub(super) fn addresses(
    body: &Map<String, Value>,
    limits: &Limits,
) -> Result<Vec<Address>, Refused> {
    let mut pdfs = Pdfs::default();
    let (_, reading) = look(body, limits, None, &mut pdfs)?;
    Ok(reading.addresses)
}

/// Reads a body.
pub(super) fn read(
    body: &Map<String, Value>,
    limits: &Limits,
    fetched: &Fetched,
    pdfs: &mut Pdfs,
) -> Result<Question, Refused> {
    let (plain, reading) = look(body, limits, Some(fetched), pdfs)?;
    let prompt = reading.conversation.into_prompt();
    Ok(Question {
        prompt: prompt.map_err(|_| Refused::Silence("input"))?,
        ..plain
    })
}

fn look<'a>(
    body: &Map<String, Value>,
    limits: &'a Limits,
    fetched: Option<&'a Fetched>,
    pdfs: &'a mut Pdfs,
) -> Result<(Question, Reading<'a>), Misfit> {
    let body = Object::body(body);
    let mut reading = Reading {
        limits,
        fetched,
        pdfs,
        addresses: Vec::new(),
        conversation: Conversation::default(),
    };
    let model = body.get("model").text()?.to_owned();
    let input = body.get("input");
    if let Some(instructions) = body.get("instructions").or_null() {
        reading
            .conversation
            .system
            .push(instructions.text()?.to_owned());
    }
    match input.value() {
        Some(Value::String(text)) => reading.conversation.user(vec![Part::text(text)]),
        Some(Value::Array(_)) => {
            for item in input.items()? {
                reading.item(&item)?;
            }
        }
        _ => return Err(input.misfit("Invalid input")),
    }
    let tools = client_tools::read(&body)?;
    let stream = body.get("stream").or_null();
    let is_streamed = stream.map_or(Ok(false), |stream| stream.flag())?;
    let max_tokens = question::most_tokens(body.get("max_output_tokens").or_null())?;
    if let Some(most) = body.get("max_tool_calls").or_null() {
        most.count()?;
    }
    let user = body.get("user").or_null();
    let user = user.map(|user| user.text()).transpose()?;
    let thinking = match body.get("reasoning").or_null() {
        Some(reasoning) => question::thinking(&reasoning.object()?.get("effort")),
        None => None,
    };
    body.only(KEYS)?;
    let question = Question {
        model,
        user: user.map(str::to_owned),
        tools,
        max_tokens,
        thinking,
        is_streamed,
        ..Question::default()
    };
    Ok((question, reading))
}

impl Reading<'_> {
    fn item(&mut self, field: &Field<'_>) -> Result<(), Misfit> {
        const KINDS: &[&str] = &[
            "message",
            "function_call",
            "function_call_output",
            "reasoning",
            "item_reference",
        ];
        let item = field.object()?;
        // A message may go without saying that it is one.
        let kind = match item.get("type").or_null() {
            None if item.has("role") => "message",
            _ => item.get("type").word(KINDS)?,
        };
        match kind {
            "message" => self.message(&item),
            "function_call" => self.call(&item),
            "function_call_output" => self.output(&item),
            // What a model has thought, and what is kept elsewhere, is nothing here.
            _ => Ok(()),
        }
    }

    fn message(&mut self, item: &Object<'_>) -> Result<(), Misfit> {
        let role = item.get("role");
        let role = role.word(&["system", "developer", "user", "assistant"])?;
        let content = self.content(&item.get("content"))?;
        match role {
            "user" => self.conversation.user(content),
            "assistant" => self.conversation.assistant(content),
            _ => {
                let text = openclaw_shared::transcript::text_of(&content);
                if !text.trim().is_empty() {
                    self.conversation.system.push(text);
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, item: &Object<'_>) -> Result<(), Misfit> {
        let id = match item.get("call_id").or_null() {
            Some(id) => id,
            None => item.get("id"),
        };
        let arguments = question::arguments(&item.get("arguments"))?;
        self.conversation.assistant(vec![Part::ToolCall {
            id: id.text()?.to_owned(),
            name: item.get("name").text()?.to_owned(),
            arguments,
        }]);
        Ok(())
    }

    fn output(&mut self, item: &Object<'_>) -> Result<(), Misfit> {
        let id = item.get("call_id").text()?;
        let content = self.content(&item.get("output"))?;
        self.conversation.tool(id, None, content);
        Ok(())
    }

    /// A text, or parts.
    fn content(&mut self, field: &Field<'_>) -> Result<Vec<Part>, Misfit> {
        const KINDS: &[&str] = &[
            "input_text",
            "output_text",
            "input_image",
            "input_file",
            "text",
            "refusal",
        ];
        if let Some(Value::String(text)) = field.value() {
            return Ok(vec![Part::text(text)]);
        }
        let mut content = Vec::new();
        for item in field.items()? {
            let part = item.object()?;
            match part.get("type").word(KINDS)? {
                "input_image" => content.extend(self.image(&part)?),
                "input_file" => self.file(&part)?,
                "refusal" => content.push(Part::text(part.get("refusal").text()?)),
                _ => content.push(Part::text(part.get("text").text()?)),
            }
        }
        Ok(content)
    }

    fn image(&mut self, part: &Object<'_>) -> Result<Option<Part>, Misfit> {
        let (at, attached) = match part.get("source").or_null() {
            Some(source) => {
                let attached = self.source(&source, true)?;
                (source, attached)
            }
            None => {
                let at = match part.get("image_url").or_null() {
                    Some(url) => url,
                    None => return Err(part.get("source").expected("object")),
                };
                let attached = self.url(&at, at.text()?, true)?;
                (at, attached)
            }
        };
        let Some((attached, _)) = attached else {
            return Ok(None);
        };
        let image = self.limits.image(&attached);
        image
            .map(Some)
            .map_err(|refused| at.misfit(refused.to_string()))
    }

    fn file(&mut self, part: &Object<'_>) -> Result<(), Misfit> {
        let named = part.get("filename").or_null();
        let named = named.map(|name| name.text()).transpose()?;
        let (at, attached) = if let Some(source) = part.get("source").or_null() {
            let attached = self.source(&source, false)?;
            (source, attached)
        } else if let Some(url) = part.get("file_url").or_null() {
            let attached = self.url(&url, url.text()?, false)?;
            (url, attached)
        } else {
            let data = part.get("file_data");
            if data.value().is_none() {
                return Err(part.get("source").expected("object"));
            }
            let attached = media::file_data(data.text()?, named);
            let attached = attached.map_err(|refused| data.misfit(refused.to_string()))?;
            (data, Some((attached, None)))
        };
        let Some((attached, name)) = attached else {
            return Ok(());
        };
        let text = self.limits.file(&attached, self.pdfs);
        let text = text.map_err(|refused| at.misfit(refused.to_string()))?;
        let name = name.as_deref().or(named);
        self.conversation.system.push(media::file_text(name, &text));
        Ok(())
    }

    /// What a source holds, and the name it gives; none while it must be fetched.
    fn source(
        &mut self,
        field: &Field<'_>,
        is_image: bool,
    ) -> Result<Option<(Attached, Option<String>)>, Misfit> {
        let source = field.object()?;
        let name = source.get("filename").or_null();
        let name = name.map(|name| name.text()).transpose()?.map(str::to_owned);
        if source.get("type").word(&["url", "base64"])? == "url" {
            let url = source.get("url");
            let attached = self.url(&url, url.text()?, is_image)?;
            return Ok(attached.map(|(attached, from_url)| (attached, name.or(from_url))));
        }
        let attached = Attached {
            mime: source.get("media_type").text()?.to_owned(),
            data: source.get("data").text()?.to_owned(),
        };
        Ok(Some((attached, name)))
    }

    fn url(
        &mut self,
        at: &Field<'_>,
        url: &str,
        is_image: bool,
    ) -> Result<Option<(Attached, Option<String>)>, Misfit> {
        match media::data_url(url) {
            Ok(attached) => return Ok(Some((attached, None))),
            Err(media::Refused::Url) => {}
            Err(refused) => return Err(at.misfit(refused.to_string())),
        }
        let may_fetch = if is_image {
            self.limits.image_urls
        } else {
            self.limits.file_urls
        };
        if !may_fetch {
            return Err(at.misfit(media::Refused::Url.to_string()));
        }
        let Some(fetched) = self.fetched else {
            self.addresses.push(Address {
                url: url.to_owned(),
                is_image,
            });
            return Ok(None);
        };
        match fetched.get(url) {
            Some(Ok(attached)) => {
                let path = url.split(['?', '#']).next().unwrap_or_default();
                let name = path.rsplit('/').next().filter(|name| !name.is_empty());
                Ok(Some((attached.clone(), name.map(str::to_owned))))
            }
            Some(Err(why)) => Err(at.misfit(why.clone())),
            None => Err(at.misfit(media::Refused::Url.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::{Message, Part, Thinking};
    use serde_json::{Value, json};

    use super::{Address, Attached, Fetched, Limits, Pdfs, Question, addresses, read};

    fn request(body: Value) -> Result<Question, String> {
        let body = body.as_object().unwrap();
        let mut pdfs = Pdfs::default();
        read(body, &Limits::default(), &Fetched::new(), &mut pdfs)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_text_or_items_are_read() {
        let plain = request(json!({
            "model": "openclaw", "input": "hi", "instructions": "be brief", "user": "u", "stream": true, "max_output_tokens": 9,
            "max_tool_calls": 3, "temperature": 1, "top_p": 1, "metadata": {}, "store": false, "previous_response_id": "resp_1",
            "reasoning": {"effort": "low"}, "truncation": "auto",
        }));
        let plain = plain.unwrap();
        assert_eq!(
            (
                plain.prompt.message.as_str(),
                plain.prompt.system.as_deref()
            ),
            ("hi", Some("be brief"))
        );
        assert_eq!(
            (plain.max_tokens, plain.is_streamed, plain.user.as_deref()),
            (Some(9), true, Some("u"))
        );
        assert_eq!(plain.thinking, Some(Thinking::Low));
        let items = request(json!({"model": "m", "input": [
            {"type": "message", "role": "developer", "content": "kind"},
            {"role": "user", "content": [{"type": "input_text", "text": "look"},
                {"type": "input_image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"}}]},
            {"type": "reasoning", "summary": []}, {"type": "item_reference", "id": "x"},
            {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
                "content": [{"type": "output_text", "text": "I look", "annotations": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "see", "arguments": "{\"a\":1}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a cat"},
        ]}));
        let prompt = items.unwrap().prompt;
        let [
            Message::User(user),
            Message::Assistant(said),
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
            matches!(said.content.as_slice(), [Part::Text { .. }, Part::ToolCall { id, .. }] if id == "call_1")
        );
        assert_eq!(
            (result.tool_name.as_str(), prompt.message.as_str()),
            ("see", "")
        );
    }

    #[test]
    fn files_stand_before_the_conversation_and_addresses_are_fetched_first() {
        let file = |part: Value| json!({"model": "m", "input": [{"role": "user", "content": [part, {"type": "input_text", "text": "read"}]}]});
        let whole = request(file(json!({"type": "input_file", "source":
            {"type": "base64", "media_type": "text/plain", "data": "SGVsbG8=", "filename": "a.txt"}})));
        assert_eq!(
            whole.unwrap().prompt.system.as_deref(),
            Some("<file name=\"a.txt\">\nHello\n</file>")
        );
        let flat = request(file(
            json!({"type": "input_file", "filename": "b.md", "file_data": "SGVsbG8="}),
        ));
        assert_eq!(
            flat.unwrap().prompt.system.as_deref(),
            Some("<file name=\"b.md\">\nHello\n</file>")
        );
        let url = "https://example.com/c.txt?x";
        let by_address = file(json!({"type": "input_file", "source": {"type": "url", "url": url}}));
        let found = addresses(by_address.as_object().unwrap(), &Limits::default()).unwrap();
        assert_eq!(
            found,
            [Address {
                url: url.into(),
                is_image: false
            }]
        );
        let attached = Attached {
            mime: "text/plain".into(),
            data: "SGVsbG8=".into(),
        };
        let fetched = Fetched::from([(url.to_owned(), Ok(attached))]);
        let request = read(
            by_address.as_object().unwrap(),
            &Limits::default(),
            &fetched,
            &mut Pdfs::default(),
        )
        .unwrap();
        assert_eq!(
            request.prompt.system.as_deref(),
            Some("<file name=\"c.txt\">\nHello\n</file>")
        );
        let failed = Fetched::from([(url.to_owned(), Err("private address".to_owned()))]);
        let refused = read(
            by_address.as_object().unwrap(),
            &Limits::default(),
            &failed,
            &mut Pdfs::default(),
        )
        .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "input.0.content.0.source.url: private address"
        );
    }

    #[test]
    fn the_first_thing_that_does_not_fit_is_named() {
        for (body, text) in [
            (
                json!({}),
                "model: Invalid input: expected string, received undefined",
            ),
            (json!({"model": "m"}), "input: Invalid input"),
            (
                json!({"model": "m", "input": 5, "zzz": 1}),
                "input: Invalid input",
            ),
            (
                json!({"model": "m", "input": "hi", "zzz": 1}),
                ": Unrecognized key: \"zzz\"",
            ),
            (
                json!({"model": "m", "input": "hi", "a": 1, "b": 1}),
                ": Unrecognized keys: \"a\", \"b\"",
            ),
            (
                json!({"model": "m", "input": []}),
                "Missing user message in `input`.",
            ),
            (
                json!({"model": "m", "input": ""}),
                "Missing user message in `input`.",
            ),
            (
                json!({"model": "m", "input": [{"type": "wish"}]}),
                "input.0.type: Invalid option: expected one of \"message\"|\"function_call\"|\"function_call_output\"|\"reasoning\"|\"item_reference\"",
            ),
            (
                json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_file", "source":
                {"type": "base64", "media_type": "application/pdf", "data": ""}}]}]}),
                "input.0.content.0.source: the file is no PDF; send it with the type that it has",
            ),
            (
                json!({"model": "m", "input": "hi", "stream": 1}),
                "stream: Invalid input: expected boolean, received number",
            ),
            (
                json!({"model": "m", "input": "hi", "max_output_tokens": -1}),
                "max_output_tokens: Too small: expected number to be >0",
            ),
        ] {
            assert_eq!(request(body.clone()), Err(text.to_owned()), "{body}");
        }
    }
}
