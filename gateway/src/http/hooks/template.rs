//! Texts with places that a request fills in: `{{messages[0].from}}`.                     (pure)
//!
//! A place names a value of the body (`a.b[0].c`, or the same after `payload.`), a header, a member of the query, `path` or
//! `now`. What is not there is empty; a value that is no text is written as JSON. What is filled in is not looked at again.

use http::HeaderMap;
use openclaw_shared::clock::WallTime;
use serde_json::Value;

/// What places are filled from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) payload: &'a Value,
    pub(super) headers: &'a HeaderMap,
    /// Names and values of the query, decoded.
    pub(super) query: &'a [(String, String)],
    /// The path below the path of hooks.
    pub(super) path: &'a str,
    pub(super) now: WallTime,
}

/// Fills in a template.
pub(super) fn render(template: &str, source: Source<'_>) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((place, behind)) = after.split_once("}}") else {
            break;
        };
        text.push_str(before);
        text.push_str(&fill(place.trim(), source));
        rest = behind;
    }
    text.push_str(rest);
    text
}

fn fill(place: &str, source: Source<'_>) -> String {
    match place {
        "path" => return source.path.to_owned(),
        "now" => return source.now.to_rfc3339(),
        _ => {}
    }
    if let Some(name) = place.strip_prefix("headers.") {
        let value = source.headers.get(name.trim());
        let value = value.and_then(|value| value.to_str().ok());
        return value.unwrap_or_default().to_owned();
    }
    if let Some(name) = place.strip_prefix("query.") {
        let mut pairs = source.query.iter();
        let found = pairs.find(|(known, _)| known == name.trim());
        return found.map(|(_, value)| value.clone()).unwrap_or_default();
    }
    let place = place.strip_prefix("payload.").unwrap_or(place);
    match find(source.payload, place) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

/// The value at `a.b[0].c`.
pub(super) fn find<'v>(value: &'v Value, place: &str) -> Option<&'v Value> {
    let mut at = value;
    for part in place.split('.') {
        let (name, indices) = match part.find('[') {
            Some(bracket) => part.split_at(bracket),
            None => (part, ""),
        };
        if !name.is_empty() {
            at = match (at, name.parse::<usize>()) {
                (Value::Array(items), Ok(index)) => items.get(index)?,
                (object, _) => object.get(name)?,
            };
        } else if indices.is_empty() {
            return None;
        }
        for index in indices.split_terminator(']') {
            at = at.get(index.strip_prefix('[')?.trim().parse::<usize>().ok()?)?;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use openclaw_shared::clock::WallTime;
    use serde_json::json;

    use super::{Source, render};

    #[test]
    fn places_are_filled_from_the_request() {
        let payload = json!({
            "messages": [{"from": "Ada", "tags": [[1, 2]]}], "n": 3, "nothing": null, "o": {"x": "{{path}}"}, "path": "own",
        });
        let mut headers = HeaderMap::new();
        headers.insert("x-event", "push".parse().unwrap());
        let query = [("q".to_owned(), "a b".to_owned())];
        let source = Source {
            payload: &payload,
            headers: &headers,
            query: &query,
            path: "gmail",
            now: WallTime::from_millis(0),
        };
        for (template, text) in [
            ("", ""),
            ("plain { }", "plain { }"),
            ("From: {{messages[0].from}}!", "From: Ada!"),
            (
                "{{ payload.messages[0].from }}{{messages.0.from}}",
                "AdaAda",
            ),
            ("{{messages[0].tags[0][1]}} {{n}}", "2 3"),
            (
                "[{{nothing}}{{no.such}}{{messages[9].x}}{{}}{{.}}{{[}}{{messages[x]}}]",
                "[]",
            ),
            ("{{messages[0].tags}}", "[[1,2]]"),
            (
                "{{headers.X-Event}} {{headers.none}}{{query.q}}",
                "push a b",
            ),
            ("{{path}} {{payload.path}}", "gmail own"),
            ("{{o.x}}", "{{path}}"),
            ("open {{n", "open {{n"),
            ("{{now}}", "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(render(template, source), text, "{template}");
        }
    }
}
