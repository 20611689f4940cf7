//! What a model is asked, in the terms of the crate `genai`.  (pure)
//!
//! A conversation is mended on the way, because providers refuse what a killed run or another make of model has left: a call
//! that nobody answered gets an answer, an answer without a call is left out, and names of calls fit every provider.

use genai::adapter::AdapterKind;
use genai::chat::{
    Binary, CacheControl, ChatMessage, ChatOptions, ChatRequest, ContentPart, CustomPart,
    MessageContent, ReasoningEffort, Tool, ToolCall, ToolChoice, ToolName, ToolResponse,
};
use genai::resolver::{AuthData, Endpoint as Address};
use genai::{Headers, ModelIden, ServiceTarget};
use openclaw_shared::transcript::{
    AssistantMessage, Message, Part, Thinking, ToolResultMessage, UserMessage,
};
use serde_json::{Map, Value, json};

use super::{Api, Endpoint, ModelFacts, ModelRequest};
use crate::model::ToolChoice as Choice;

/// What begins a signature that stands for thoughts which the provider keeps to itself.
pub(super) const REDACTED: &str = "redacted_thinking:";
/// The longest name of a call that every provider takes.
const LONGEST_CALL_ID: usize = 40;
/// The version of Anthropic's protocol.
const ANTHROPIC_VERSION: &str = "2023-06-01";
/// How many tokens Anthropic's older models are allowed to think, by level; the answer comes on top.
const ANTHROPIC_THOUGHTS: [(Thinking, u32); 3] = [
    (Thinking::Medium, 8_000),
    (Thinking::High, 24_000),
    (Thinking::Xhigh, 24_000),
];
/// Room for the answer after long thoughts.
const ROOM_TO_ANSWER: u32 = 8_000;

/// Where a request goes, and as whom.
pub(super) fn target(endpoint: &Endpoint, facts: &ModelFacts) -> ServiceTarget {
    ServiceTarget {
        endpoint: Address::from_owned(with_slash(&endpoint.base_url)),
        auth: AuthData::RequestOverride {
            url: url(endpoint, &facts.id),
            headers: headers(endpoint),
        },
        model: ModelIden::new(endpoint.api.adapter(), facts.id.as_str()),
    }
}

fn with_slash(base: &str) -> String {
    format!("{}/", base.trim_end_matches('/'))
}

fn url(endpoint: &Endpoint, model: &str) -> String {
    // Some proxies are told apart by what comes after the question mark.
    let (base, query) = match endpoint.base_url.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (endpoint.base_url.as_str(), None),
    };
    let base = base.trim_end_matches('/');
    let (path, own_query) = match endpoint.api {
        Api::OpenaiCompletions => ("/chat/completions".to_owned(), None),
        Api::OpenaiResponses => ("/responses".to_owned(), None),
        Api::AnthropicMessages if base.ends_with("/v1") => ("/messages".to_owned(), None),
        Api::AnthropicMessages => ("/v1/messages".to_owned(), None),
        Api::GoogleGenerativeAi => (
            format!("/models/{model}:streamGenerateContent"),
            Some("alt=sse"),
        ),
    };
    let query: Vec<&str> = query.into_iter().chain(own_query).collect();
    if query.is_empty() {
        format!("{base}{path}")
    } else {
        format!("{base}{path}?{}", query.join("&"))
    }
}

/// The headers of every request to a provider.
pub(super) fn headers(endpoint: &Endpoint) -> Headers {
    let mut headers = vec![("accept".to_owned(), "text/event-stream".to_owned())];
    if endpoint.api == Api::AnthropicMessages {
        headers.push(("anthropic-version".to_owned(), ANTHROPIC_VERSION.to_owned()));
    }
    if let Some(key) = &endpoint.key {
        let key = key.expose().trim();
        headers.push(match endpoint.api {
            Api::AnthropicMessages if !endpoint.bearer => ("x-api-key".to_owned(), key.to_owned()),
            Api::GoogleGenerativeAi if !endpoint.bearer => {
                ("x-goog-api-key".to_owned(), key.to_owned())
            }
            Api::AnthropicMessages
            | Api::GoogleGenerativeAi
            | Api::OpenaiCompletions
            | Api::OpenaiResponses => ("authorization".to_owned(), format!("Bearer {key}")),
        });
    }
    // What is configured comes last, and so replaces what is usual.
    headers.extend(
        endpoint
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.expose().clone())),
    );
    Headers::from(headers)
}

/// How it is to be answered.
pub(super) fn options(
    endpoint: &Endpoint,
    facts: &ModelFacts,
    request: &ModelRequest,
) -> ChatOptions {
    let thinks = facts.reasoning && request.thinking != Thinking::Off;
    let mut extra = Map::new();
    let mut options = ChatOptions::default()
        .with_stream_header_timeout(endpoint.idle_limit)
        .with_stream_read_timeout(endpoint.idle_limit)
        .with_capture_usage(true)
        .with_capture_tool_calls(true)
        .with_capture_reasoning_content(thinks)
        .with_reasoning_effort(effort(endpoint.api, facts, request.thinking));
    if endpoint.api != Api::GoogleGenerativeAi {
        // The crate reads meaning into some names; the provider is to see the one that is configured.
        extra.insert("model".to_owned(), json!(facts.id));
    }
    if !request.tools.is_empty() && request.tool_choice != Choice::Auto {
        options = options.with_tool_choice(choice(&request.tool_choice));
    }
    if let Some(limit) = max_tokens(endpoint.api, facts, request) {
        match &facts.compat.max_tokens_field {
            Some(field) if endpoint.api == Api::OpenaiCompletions => {
                extra.insert(field.clone(), json!(limit));
            }
            Some(_) | None => options = options.with_max_tokens(limit),
        }
    }
    if endpoint.api == Api::AnthropicMessages {
        options = options.with_cache_control(CacheControl::Ephemeral);
    }
    // Other servers of the protocol need not know the field.
    if let (Some(key), true) = (&request.cache_key, endpoint.provider == "openai") {
        options = options.with_prompt_cache_key(key);
    }
    if !extra.is_empty() {
        options = options.with_extra_body(Value::Object(extra));
    }
    options
}

fn choice(choice: &Choice) -> ToolChoice {
    match choice {
        Choice::Auto => ToolChoice::Auto,
        Choice::None => ToolChoice::None,
        Choice::Required => ToolChoice::Required,
        Choice::Named(name) => ToolChoice::tool(name),
    }
}

fn max_tokens(api: Api, facts: &ModelFacts, request: &ModelRequest) -> Option<u32> {
    let limit = match (request.max_tokens, facts.max_tokens) {
        (Some(asked), Some(most)) => Some(asked.min(most)),
        (asked, most) => asked.or(most),
    }?;
    let thoughts = ANTHROPIC_THOUGHTS
        .into_iter()
        .find(|(level, _)| *level == request.thinking)
        .filter(|_| api == Api::AnthropicMessages && facts.reasoning);
    Some(match thoughts {
        // Anthropic refuses a limit that its thoughts alone would reach.
        Some((_, thoughts)) if limit <= thoughts => thoughts + ROOM_TO_ANSWER,
        Some(_) | None => limit,
    })
}

fn effort(api: Api, facts: &ModelFacts, thinking: Thinking) -> ReasoningEffort {
    let level = match thinking {
        _ if !facts.reasoning || facts.compat.no_reasoning_effort => None,
        Thinking::Off => None,
        Thinking::Minimal => Some(ReasoningEffort::Minimal),
        Thinking::Low => Some(ReasoningEffort::Low),
        Thinking::Medium => Some(ReasoningEffort::Medium),
        Thinking::High => Some(ReasoningEffort::High),
        Thinking::Xhigh => Some(ReasoningEffort::XHigh),
    };
    level.unwrap_or(match api {
        // Says nothing on the wire, and keeps the crate from reading a level into the name of the model.
        Api::OpenaiCompletions | Api::OpenaiResponses => ReasoningEffort::Budget(0),
        Api::AnthropicMessages | Api::GoogleGenerativeAi => ReasoningEffort::Zero,
    })
}

/// The conversation and the tools.
pub(super) fn request(endpoint: &Endpoint, facts: &ModelFacts, asked: ModelRequest) -> ChatRequest {
    let tools = asked.tools.into_iter().map(|spec| {
        Tool::new(ToolName::Custom(spec.name))
            .with_description(spec.description)
            .with_schema(spec.parameters)
    });
    let tools: Vec<Tool> = tools.collect();
    let conversation = Conversation { endpoint, facts };
    let mut request = ChatRequest::new(conversation.messages(asked.messages));
    if !asked.system.is_empty() {
        request = request.with_system(asked.system);
    }
    if !tools.is_empty() {
        request = request.with_tools(tools);
    }
    request
}

struct Conversation<'a> {
    endpoint: &'a Endpoint,
    facts: &'a ModelFacts,
}

impl Conversation<'_> {
    fn messages(&self, messages: Vec<Message>) -> Vec<ChatMessage> {
        let mut written: Vec<ChatMessage> = Vec::new();
        // The calls of the last answer that have had no result yet, and what has come of the others.
        let mut open: Vec<(String, String)> = Vec::new();
        let mut results: Vec<ContentPart> = Vec::new();
        let mut pictures: Vec<ContentPart> = Vec::new();
        for message in messages {
            if let Message::ToolResult(result) = message {
                let id = call_id(&result.tool_call_id);
                let Some(position) = open.iter().position(|(call, _)| *call == id) else {
                    continue;
                };
                let (id, name) = open.remove(position);
                let name = Some(result.tool_name.clone())
                    .filter(|name| !name.is_empty())
                    .unwrap_or(name);
                self.result(id, name, result, &mut results, &mut pictures);
                continue;
            }
            close(&mut written, &mut open, &mut results, &mut pictures);
            match message {
                Message::User(user) => written.extend(self.user(user)),
                Message::Assistant(assistant) => {
                    if let Some((message, calls)) = self.assistant(assistant) {
                        written.push(message);
                        open = calls;
                    }
                }
                Message::ToolResult(_) => {}
            }
        }
        close(&mut written, &mut open, &mut results, &mut pictures);
        written
    }

    fn user(&self, message: UserMessage) -> Option<ChatMessage> {
        let parts: Vec<ContentPart> = message
            .content
            .into_iter()
            .filter_map(|part| self.shown(part))
            .collect();
        (!parts.is_empty()).then(|| ChatMessage::user(MessageContent::from_parts(parts)))
    }

    /// A text or a picture, as this model can take it.
    fn shown(&self, part: Part) -> Option<ContentPart> {
        match part {
            Part::Text { text } if text.trim().is_empty() => None,
            Part::Text { text } => Some(ContentPart::Text(text)),
            Part::Image { data, mime_type } if !data.is_empty() && self.facts.sees => Some(
                ContentPart::Binary(Binary::from_base64(mime_type, data, None)),
            ),
            Part::Image { mime_type, .. } => Some(ContentPart::Text(format!(
                "[a picture ({mime_type}) that cannot be shown]"
            ))),
            Part::ToolCall { .. } | Part::Thinking { .. } => None,
        }
    }

    fn assistant(&self, message: AssistantMessage) -> Option<(ChatMessage, Vec<(String, String)>)> {
        // What a model has thought means something to that model only.
        let is_own = message.provider == self.endpoint.provider && message.model == self.facts.id;
        let mut calls = Vec::new();
        let mut parts = Vec::new();
        let has_calls = message
            .content
            .iter()
            .any(|part| matches!(part, Part::ToolCall { .. }));
        for part in message.content {
            match part {
                Part::ToolCall {
                    id,
                    name,
                    arguments,
                } => {
                    let id = call_id(&id);
                    calls.push((id.clone(), name.clone()));
                    parts.push(ContentPart::ToolCall(ToolCall {
                        call_id: id,
                        fn_name: name,
                        fn_arguments: Value::Object(arguments),
                        thought_signatures: None,
                    }));
                }
                Part::Thinking {
                    thinking,
                    thinking_signature,
                } if is_own => parts.extend(self.thought(thinking, thinking_signature, has_calls)),
                Part::Thinking { .. } | Part::Image { .. } => {}
                Part::Text { text } if text.trim().is_empty() => {}
                Part::Text { text } => parts.push(ContentPart::Text(text)),
            }
        }
        let says_something = parts
            .iter()
            .any(|part| part.is_text() || part.is_tool_call());
        says_something.then(|| {
            (
                ChatMessage::assistant(MessageContent::from_parts(parts)),
                calls,
            )
        })
    }

    fn thought(
        &self,
        thinking: String,
        signature: Option<String>,
        has_calls: bool,
    ) -> Vec<ContentPart> {
        let signature = signature.filter(|signature| !signature.is_empty());
        match (self.endpoint.api, signature) {
            (Api::AnthropicMessages, Some(signature)) => match signature.strip_prefix(REDACTED) {
                Some(data) => vec![ContentPart::Custom(CustomPart {
                    model_iden: Some(ModelIden::new(
                        AdapterKind::Anthropic,
                        self.facts.id.as_str(),
                    )),
                    data: json!({"type": "redacted_thinking", "data": data}),
                })],
                None => vec![
                    ContentPart::ThoughtSignature(signature),
                    ContentPart::ReasoningContent(thinking),
                ],
            },
            (Api::OpenaiResponses | Api::GoogleGenerativeAi, Some(signature)) => {
                vec![ContentPart::ThoughtSignature(signature)]
            }
            // Some servers of the protocol want to see thoughts again that ended in a call; OpenAI's own does not know the field.
            (Api::OpenaiCompletions, _)
                if has_calls && self.endpoint.provider != "openai" && !thinking.is_empty() =>
            {
                vec![ContentPart::ReasoningContent(thinking)]
            }
            (
                Api::OpenaiCompletions
                | Api::AnthropicMessages
                | Api::OpenaiResponses
                | Api::GoogleGenerativeAi,
                _,
            ) => Vec::new(),
        }
    }

    fn result(
        &self,
        id: String,
        name: String,
        result: ToolResultMessage,
        results: &mut Vec<ContentPart>,
        pictures: &mut Vec<ContentPart>,
    ) {
        let mut texts = Vec::new();
        for part in result.content {
            match self.shown(part) {
                Some(ContentPart::Text(text)) => texts.push(text),
                // Results are text in every protocol; pictures follow them.
                Some(picture) => pictures.push(picture),
                None => {}
            }
        }
        let text = match texts.join("\n") {
            text if !text.is_empty() => text,
            _ if !pictures.is_empty() => "(the picture that follows)".to_owned(),
            _ => "(no output)".to_owned(),
        };
        results.push(ContentPart::ToolResponse(
            ToolResponse::new(id, text).with_fn_name(name),
        ));
    }
}

/// Everything is answered before somebody else speaks.
fn close(
    written: &mut Vec<ChatMessage>,
    open: &mut Vec<(String, String)>,
    results: &mut Vec<ContentPart>,
    pictures: &mut Vec<ContentPart>,
) {
    for (id, name) in open.drain(..) {
        let text = "(no result: the run was interrupted before the tool had answered)";
        results.push(ContentPart::ToolResponse(
            ToolResponse::new(id, text).with_fn_name(name),
        ));
    }
    if !results.is_empty() {
        let parts = std::mem::take(results);
        written.push(ChatMessage::tool(MessageContent::from_parts(parts)));
    }
    if !pictures.is_empty() {
        let parts = std::mem::take(pictures);
        written.push(ChatMessage::user(MessageContent::from_parts(parts)));
    }
}

/// A name of a call that every provider takes.
fn call_id(id: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || character == '-' || character == '_' {
            character
        } else {
            '_'
        }
    };
    id.chars().map(plain).take(LONGEST_CALL_ID).collect()
}

#[cfg(test)]
mod tests;
