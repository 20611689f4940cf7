//! One item put into a document's text or taken out of it, with its comma and its line.
//!
//! Everything else stays byte for byte: comments around an item are somebody's words and are never removed.

use super::layout::{
    Layout, indent_of_line, indent_of_own_line, is_blank, line_start, spans_lines,
};
use crate::config::tree::{Document, Kind, Node, Scanner, Span};

/// The spans of the members or elements of a container, keys included.
pub(super) fn items(node: &Node) -> Vec<Span> {
    match &node.kind {
        Kind::Scalar(_) => Vec::new(),
        Kind::Array(elements) => elements.iter().map(|element| element.span).collect(),
        Kind::Object(members) => members
            .iter()
            .map(|member| Span {
                start: member.key_span.start,
                end: member.value.span.end,
            })
            .collect(),
    }
}

/// The text with a span replaced.
pub(super) fn replace(text: &str, span: Span, with: &str) -> String {
    format!("{}{with}{}", &text[..span.start], &text[span.end..])
}

/// The text with an item added at the end of a container. `render` writes the item: without an indent on one line,
/// with one over several.
pub(super) fn append(
    document: &Document,
    container: &Node,
    layout: &Layout,
    render: impl Fn(Option<&str>) -> String,
) -> String {
    match items(container).last() {
        Some(last) => append_after(&document.text, *last, layout, render),
        None => fill(document, container, layout, render),
    }
}

fn append_after(
    text: &str,
    last: Span,
    layout: &Layout,
    render: impl Fn(Option<&str>) -> String,
) -> String {
    let comma = comma_after(text, last.end);
    let Some(indent) = indent_of_own_line(text, last.start) else {
        return match comma {
            Some(comma) => insert(text, comma + 1, &format!(" {},", render(None))),
            None => insert(text, last.end, &format!(", {}", render(None))),
        };
    };
    let item = render(Some(indent));
    // A comment at the end of the line belongs to the item before, so the new line starts behind it.
    let line_end = behind_comments(text, comma.map_or(last.end, |comma| comma + 1));
    let trailing_comma = if comma.is_some() { "," } else { "" };
    let with_item = insert(
        text,
        line_end,
        &format!("{}{indent}{item}{trailing_comma}", layout.newline),
    );
    if comma.is_some() {
        with_item
    } else {
        insert(&with_item, last.end, ",")
    }
}

/// Puts the first item into an empty container, before whatever comments stand in it.
fn fill(
    document: &Document,
    container: &Node,
    layout: &Layout,
    render: impl Fn(Option<&str>) -> String,
) -> String {
    let text = &document.text;
    let inside = Span {
        start: container.span.start + 1,
        end: container.span.end - 1,
    };
    // Within a container on one line, a small one stays on that line.
    let is_root = container.span == document.root.span;
    let inline = !is_root && !spans_lines(text, container) && {
        let line = &text[line_start(text, container.span.start)..container.span.start];
        line.contains(['{', '['])
    };
    let blank = text[inside.start..inside.end].trim().is_empty();
    if inline {
        let item = render(None);
        let padding = if matches!(container.kind, Kind::Object(_)) {
            " "
        } else {
            ""
        };
        let padded = format!("{padding}{item}{padding}");
        return if blank {
            replace(text, inside, &padded)
        } else {
            insert(text, inside.start, &padded)
        };
    }
    let indent = indent_of_line(text, container.span.start);
    let inner = layout.deeper(indent);
    let item = render(Some(&inner));
    let newline = layout.newline;
    if blank {
        replace(
            text,
            inside,
            &format!("{newline}{inner}{item}{newline}{indent}"),
        )
    } else {
        insert(text, inside.start, &format!("{newline}{inner}{item}"))
    }
}

/// The text without one item of a container.
pub(super) fn remove(text: &str, container: &Node, index: usize) -> String {
    let items = items(container);
    let item = items[index];
    let mut cuts = Vec::new();
    let mut cut = item;
    if let Some(comma) = comma_after(text, item.end) {
        if text[item.end..comma].trim().is_empty() {
            cut.end = comma + 1;
        } else {
            cuts.push(Span {
                start: comma,
                end: comma + 1,
            });
        }
    } else if let Some(previous) = index.checked_sub(1).map(|at| items[at])
        && let Some(comma) = comma_after(text, previous.end)
    {
        // What was the last item but one is the last, and plain JSON allows no comma behind it.
        cuts.push(Span {
            start: comma,
            end: comma + 1,
        });
    }
    cuts.push(with_its_line(text, cut));
    cuts.sort_unstable();
    cuts.iter()
        .rev()
        .fold(text.to_owned(), |text, cut| replace(&text, *cut, ""))
}

/// Widens a cut over the line it would leave blank, or else over the blanks it would leave doubled.
fn with_its_line(text: &str, cut: Span) -> Span {
    let after = text[cut.end..]
        .find(|c| !is_blank(c))
        .map_or(text.len(), |at| cut.end + at);
    let before = text[..cut.start].trim_end_matches(is_blank).len();
    let own_line = before == line_start(text, cut.start);
    let rest = &text[after..];
    match rest
        .strip_prefix("\r\n")
        .or_else(|| rest.strip_prefix('\n'))
    {
        Some(next) if own_line => Span {
            start: before,
            end: text.len() - next.len(),
        },
        Some(_) => Span {
            start: before,
            end: after,
        },
        None if own_line => Span {
            start: cut.start,
            end: after,
        },
        None if rest.starts_with(['}', ']']) => Span {
            start: before,
            end: cut.end,
        },
        None => Span {
            start: cut.start,
            end: after,
        },
    }
}

/// Where the comma behind an item stands, comments in between stepped over.
fn comma_after(text: &str, end: usize) -> Option<usize> {
    let mut scanner = Scanner::at(text, end);
    scanner.skip_trivia().ok()?;
    let comma = scanner.offset();
    scanner.eat(',').then_some(comma)
}

/// The offset behind the blanks and comments that follow on the same line. A line end within a comment ends it.
fn behind_comments(text: &str, from: usize) -> usize {
    let mut behind = from;
    loop {
        let rest = text[behind..].trim_start_matches(is_blank);
        let at = text.len() - rest.len();
        if rest.starts_with("//") {
            let length = rest
                .find(['\n', '\r', '\u{2028}', '\u{2029}'])
                .unwrap_or(rest.len());
            return at + length;
        }
        let Some(length) = rest
            .strip_prefix("/*")
            .and_then(|comment| comment.find("*/"))
        else {
            return behind;
        };
        behind = at + "/*".len() + length + "*/".len();
    }
}

fn insert(text: &str, at: usize, inserted: &str) -> String {
    replace(text, Span { start: at, end: at }, inserted)
}
