//! The tools that a client does by itself, as `/v1/…` describes them.                      (pure)

use openclaw_agent::model::ToolSpec;
use serde_json::{Value, json};

use super::fields::{Field, Misfit, Object};

/// Tools at most.
const MOST: usize = 128;
/// The longest name of a tool, in bytes.
const LONGEST_NAME: usize = 64;

/// What a client does by itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ClientTools {
    pub(super) tools: Vec<ToolSpec>,
    /// `auto`, `none`, `required` or `=<name>`; none when the client says nothing.
    pub(super) choice: Option<String>,
}

/// Reads `tools` and `tool_choice` of a body. The description of a function stands in `function`, or beside `type`: programs
/// write both.
pub(super) fn read(body: &Object<'_>) -> Result<ClientTools, Misfit> {
    let mut tools = Vec::new();
    if let Some(list) = body.get("tools").or_null() {
        for item in list.items()? {
            let tool = tool(&item)?;
            if tools.iter().any(|known: &ToolSpec| known.name == tool.name) {
                return Err(item.misfit(format!("the tool {:?} is there twice", tool.name)));
            }
            tools.push(tool);
        }
        if tools.len() > MOST {
            return Err(list.misfit(format!("Too big: expected array to have <={MOST} items")));
        }
    }
    let choice = match body.get("tool_choice").or_null() {
        None => None,
        Some(written) => Some(choice(&written, &tools)?),
    };
    Ok(ClientTools { tools, choice })
}

fn tool(item: &Field<'_>) -> Result<ToolSpec, Misfit> {
    let tool = item.object()?;
    let kind = tool.get("type");
    if kind.text()? != "function" {
        return Err(kind.misfit("Invalid input: expected \"function\""));
    }
    let function = match tool.get("function").or_null() {
        Some(nested) => nested.object()?,
        None if tool.has("name") => tool,
        None => return Err(tool.get("function").expected("object")),
    };
    let named = function.get("name");
    let name = named.text()?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(fits) {
        return Err(
            named.misfit("a name of 1 to 64 letters, digits, dashes and underscores is expected")
        );
    }
    let description = match function.get("description").or_null() {
        Some(description) => description.text()?.to_owned(),
        None => String::new(),
    };
    let parameters = match function.get("parameters").or_null() {
        Some(schema) => {
            schema.object()?;
            schema.value().cloned().unwrap_or(Value::Null)
        }
        None => json!({"type": "object", "properties": {}}),
    };
    Ok(ToolSpec {
        name: name.to_owned(),
        description,
        parameters,
    })
}

fn choice(written: &Field<'_>, tools: &[ToolSpec]) -> Result<String, Misfit> {
    if let Some(Value::String(_)) = written.value() {
        let word = written.word(&["auto", "none", "required"])?;
        if word == "required" && tools.is_empty() {
            return Err(written.misfit("tool_choice is \"required\", and no tools were given"));
        }
        return Ok(word.to_owned());
    }
    let object = written.object()?;
    object.get("type").word(&["function"])?;
    let named = match object.get("function").or_null() {
        Some(nested) => nested.object()?.get("name"),
        None => object.get("name"),
    };
    let name = named.text()?;
    if !tools.iter().any(|tool| tool.name == name) {
        return Err(named.misfit("tool_choice names a tool that was not given"));
    }
    Ok(format!("={name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Object, read};

    fn check(body: Value, expected: &str) {
        let shown = match read(&Object::body(body.as_object().unwrap())) {
            Ok(read) => {
                let tools: Vec<String> = read
                    .tools
                    .iter()
                    .map(|tool| format!("{} {:?} {}", tool.name, tool.description, tool.parameters))
                    .collect();
                format!("{} {}", tools.join("; "), read.choice.unwrap_or_default())
            }
            Err(misfit) => misfit.to_string(),
        };
        assert_eq!(shown.trim(), expected, "{body}");
    }

    #[test]
    fn functions_are_read_nested_or_flat() {
        check(json!({}), "");
        check(json!({"tools": null, "tool_choice": "none"}), "none");
        check(
            json!({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "object"}}}], "tool_choice": "required"}),
            "a \"\" {\"type\":\"object\"} required",
        );
        check(
            json!({"tools": [{"type": "function", "name": "b", "description": "d", "strict": true}],
                "tool_choice": {"type": "function", "name": "b"}}),
            "b \"d\" {\"type\":\"object\",\"properties\":{}} =b",
        );
        check(
            json!({"tools": [{"type": "function", "function": {"name": "b"}}], "tool_choice": {"type": "function", "function": {"name": "b"}}}),
            "b \"\" {\"type\":\"object\",\"properties\":{}} =b",
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let tool = |tool: Value| json!({ "tools": [tool] });
        check(
            json!({"tools": {}}),
            "tools: Invalid input: expected array, received object",
        );
        check(
            tool(json!(1)),
            "tools.0: Invalid input: expected object, received number",
        );
        check(
            tool(json!({"type": "web_search"})),
            "tools.0.type: Invalid input: expected \"function\"",
        );
        check(
            tool(json!({"type": "function"})),
            "tools.0.function: Invalid input: expected object, received undefined",
        );
        check(
            tool(json!({"type": "function", "function": {"name": "a b"}})),
            "tools.0.function.name: a name of 1 to 64 letters, digits, dashes and underscores is expected",
        );
        check(
            json!({"tool_choice": "required"}),
            "tool_choice: tool_choice is \"required\", and no tools were given",
        );
        check(
            json!({"tool_choice": "any"}),
            "tool_choice: Invalid option: expected one of \"auto\"|\"none\"|\"required\"",
        );
        check(
            json!({"tool_choice": {"type": "function", "function": {"name": "x"}}}),
            "tool_choice.function.name: tool_choice names a tool that was not given",
        );
    }
}
