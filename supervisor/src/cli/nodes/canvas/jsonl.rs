//! A2UI messages, version 0.8: one JSON object a line, with exactly one of four keys.                   (pure)

use serde_json::{Value, json};

const ACTIONS: [&str; 4] = [
    "beginRendering",
    "surfaceUpdate",
    "dataModelUpdate",
    "deleteSurface",
];
/// What version 0.9 begins with.
const LATER: &str = "createSurface";

/// Counts the messages.
///
/// # Errors
/// With every mistake and its line.
pub(super) fn check(text: &str) -> Result<usize, Vec<String>> {
    let mut mistakes = Vec::new();
    let mut messages = 0;
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match mistake(line) {
            Some(mistake) => mistakes.push(format!("  line {}: {mistake}", number + 1)),
            None => messages += 1,
        }
    }
    match (mistakes.is_empty(), messages) {
        (true, 0) => Err(vec!["  there are no messages".to_owned()]),
        (true, messages) => Ok(messages),
        (false, _) => Err(mistakes),
    }
}

fn mistake(line: &str) -> Option<String> {
    let message: Value = match serde_json::from_str(line) {
        Ok(message) => message,
        Err(error) => return Some(format!("not JSON: {error}")),
    };
    let Some(message) = message.as_object() else {
        return Some("not a JSON object".to_owned());
    };
    if message.contains_key(LATER) {
        return Some(format!("{LATER} is of A2UI v0.9; v0.8 is understood"));
    }
    let known = ACTIONS
        .iter()
        .filter(|action| message.contains_key(**action));
    match (known.count(), message.len()) {
        (1, 1) => None,
        _ => Some(format!("needs exactly one of {}", ACTIONS.join(", "))),
    }
}

/// Messages that show a text.
pub(super) fn of_text(text: &str) -> String {
    let update = json!({"surfaceUpdate": {"surfaceId": "main", "components": [
        {"id": "root", "component": {"Column": {"children": {"explicitList": ["text"]}}}},
        {"id": "text", "component": {"Text": {"text": {"literalString": text}, "usageHint": "body"}}},
    ]}});
    let begin = json!({"beginRendering": {"surfaceId": "main", "root": "root"}});
    format!("{update}\n{begin}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_messages() {
        assert_eq!(check(&of_text("a \"b\"\nc")), Ok(2));
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let text = "{\"beginRendering\":{}}\n\n{\n[]\n{}\n{\"createSurface\":{}}\n{\"beginRendering\":{},\"deleteSurface\":{}}\n";
        let mistakes = check(text).unwrap_err();
        let lines: Vec<&str> = mistakes.iter().map(|line| &line[..8]).collect();
        assert_eq!(
            lines,
            ["  line 3", "  line 4", "  line 5", "  line 6", "  line 7"]
        );
        assert!(check("\n").is_err());
    }
}
