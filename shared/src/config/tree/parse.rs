//! The structure of JSON5: from a text to a tree of nodes with spans.

use serde_json::Value;

use super::scan::{Scanner, starts_name};
use super::{Document, Kind, MAX_DEPTH, Member, Node, Span, SyntaxError};

/// Parses a text as one JSON5 value.
pub(crate) fn parse(text: &str) -> Result<Document, SyntaxError> {
    let mut scanner = Scanner::new(text);
    scanner.skip_trivia()?;
    if scanner.peek().is_none() {
        return Err(SyntaxError {
            hint: Some("an empty configuration is written {}"),
            ..scanner.error("the file holds no value")
        });
    }
    let root = value(&mut scanner, 0)?;
    scanner.skip_trivia()?;
    if scanner.peek().is_some() {
        let found = scanner.describe_next();
        return Err(SyntaxError {
            hint: Some("a file holds one value; is there a bracket too many above?"),
            ..scanner.error(format!("expected the end of the file, found {found}"))
        });
    }
    Ok(Document {
        text: text.to_owned(),
        root,
    })
}

fn value(scanner: &mut Scanner<'_>, depth: usize) -> Result<Node, SyntaxError> {
    let start = scanner.offset();
    let kind = match scanner.peek() {
        Some('{' | '[') if depth >= MAX_DEPTH => {
            return Err(scanner.error(format!("objects and arrays nest deeper than {MAX_DEPTH}")));
        }
        Some('{') => object(scanner, depth + 1)?,
        Some('[') => array(scanner, depth + 1)?,
        Some('"' | '\'') => Kind::Scalar(Value::String(scanner.string()?)),
        Some('0'..='9' | '+' | '-' | '.' | 'I' | 'N') => Kind::Scalar(scanner.number()?),
        Some(c) if starts_name(c) || c == '\\' => {
            let word = scanner.identifier()?;
            Kind::Scalar(match word.as_str() {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => {
                    return Err(SyntaxError {
                        offset: start,
                        message: "expected a value, found a word without quotes".to_owned(),
                        hint: Some("put quotes around text"),
                    });
                }
            })
        }
        next => {
            let found = scanner.describe_next();
            let is_typographic = next.is_some_and(|c| {
                "\u{201c}\u{201d}\u{201e}\u{2018}\u{2019}\u{ab}\u{bb}".contains(c)
            });
            return Err(SyntaxError {
                hint: is_typographic.then_some("use straight quotes"),
                ..scanner.error(format!("expected a value, found {found}"))
            });
        }
    };
    Ok(Node {
        span: Span {
            start,
            end: scanner.offset(),
        },
        kind,
    })
}

fn object(scanner: &mut Scanner<'_>, depth: usize) -> Result<Kind, SyntaxError> {
    let open = scanner.offset();
    scanner.eat('{');
    let mut members = Vec::new();
    loop {
        scanner.skip_trivia()?;
        if scanner.eat('}') {
            return Ok(Kind::Object(members));
        }
        members.push(member(scanner, depth, open)?);
        scanner.skip_trivia()?;
        if !scanner.eat(',') && scanner.peek() != Some('}') {
            return Err(separator_missing(scanner, open, '}'));
        }
    }
}

fn member(scanner: &mut Scanner<'_>, depth: usize, open: usize) -> Result<Member, SyntaxError> {
    let start = scanner.offset();
    let key = match scanner.peek() {
        Some('"' | '\'') => scanner.string()?,
        Some(c) if starts_name(c) || c == '\\' => scanner.identifier()?,
        None => return Err(never_closed(open, '}')),
        Some(_) => {
            let found = scanner.describe_next();
            return Err(scanner.error(format!("expected a key or \"}}\", found {found}")));
        }
    };
    let key_span = Span {
        start,
        end: scanner.offset(),
    };
    scanner.skip_trivia()?;
    if !scanner.eat(':') {
        let found = scanner.describe_next();
        return Err(scanner.error(format!("expected \":\" after the key, found {found}")));
    }
    scanner.skip_trivia()?;
    Ok(Member {
        key,
        key_span,
        value: value(scanner, depth)?,
    })
}

fn array(scanner: &mut Scanner<'_>, depth: usize) -> Result<Kind, SyntaxError> {
    let open = scanner.offset();
    scanner.eat('[');
    let mut elements = Vec::new();
    loop {
        scanner.skip_trivia()?;
        if scanner.eat(']') {
            return Ok(Kind::Array(elements));
        }
        if scanner.peek().is_none() {
            return Err(never_closed(open, ']'));
        }
        elements.push(value(scanner, depth)?);
        scanner.skip_trivia()?;
        if !scanner.eat(',') && scanner.peek() != Some(']') {
            return Err(separator_missing(scanner, open, ']'));
        }
    }
}

fn separator_missing(scanner: &Scanner<'_>, open: usize, close: char) -> SyntaxError {
    if scanner.peek().is_none() {
        return never_closed(open, close);
    }
    let found = scanner.describe_next();
    scanner.error(format!(
        "expected \",\" or \"{close}\" after the value, found {found}"
    ))
}

/// Points at the bracket that was opened: the end of the file tells nobody which one is missing.
fn never_closed(open: usize, close: char) -> SyntaxError {
    let name = if close == '}' { "object" } else { "array" };
    SyntaxError {
        offset: open,
        message: format!("this {name} is never closed with \"{close}\""),
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::position;
    use super::*;

    fn check(text: &str, expected: &str) {
        let outcome = match parse(text) {
            Ok(document) => document.root.to_value().to_string(),
            Err(error) => {
                let (line, column) = position(text, error.offset);
                format!("{line}:{column} {}", error.message)
            }
        };
        assert_eq!(outcome, expected, "document {text:?}");
    }

    #[test]
    fn all_of_json5_is_read() {
        check("{}", "{}");
        check("// a\n{ /* b */ }\n", "{}");
        check("{a:1,'b':2,\"c\":3,}", r#"{"a":1,"b":2,"c":3}"#);
        check(
            "{$a_1: 1, \\u0061b: 2, null: 3, ключ: 4}",
            r#"{"$a_1":1,"ab":2,"null":3,"ключ":4}"#,
        );
        check("[1,2,]", "[1,2]");
        check(
            "[0x1F, -0x10, +1, .5, 5., -1.5e+3, 1e2]",
            "[31,-16,1,0.5,5.0,-1500.0,100.0]",
        );
        check(
            "[18446744073709551615, -9223372036854775808]",
            "[18446744073709551615,-9223372036854775808]",
        );
        check("'it\\'s \"x\"'", r#""it's \"x\"""#);
        check("'a\\\nb\\\r\nc'", r#""abc""#);
        check(
            "'\\x41\\u0042\\ud83d\\ude00\\0\\v'",
            "\"AB😀\\u0000\\u000b\"",
        );
        check("'\\q\\/'", r#""q/""#);
        check("\u{feff}{a:\u{a0}true}", r#"{"a":true}"#);
        check("{a:1,a:2}", r#"{"a":2}"#);
        check("'tab\tinside'", r#""tab\tinside""#);
    }

    #[test]
    fn what_is_not_json5_is_named_with_its_place() {
        check("", "1:1 the file holds no value");
        check("// only\n", "2:1 the file holds no value");
        check("{", "1:1 this object is never closed with \"}\"");
        check("{\n  a: [1,\n", "2:6 this array is never closed with \"]\"");
        check("{\n  a 1}", "2:5 expected \":\" after the key, found \"1\"");
        check(
            "{\n  a: 1\n  b: 2}",
            "3:3 expected \",\" or \"}\" after the value, found \"b\"",
        );
        check("{a:}", "1:4 expected a value, found \"}\"");
        check("{,}", "1:2 expected a key or \"}\", found \",\"");
        check(
            "{a: hello}",
            "1:5 expected a value, found a word without quotes",
        );
        check("{a: Infinity}", "1:5 Infinity is not a usable setting");
        check("[-NaN]", "1:2 NaN is not a usable setting");
        check("[1e999]", "1:2 this number is too large");
        check("[012]", "1:2 a number may not start with a zero");
        check("[1x]", "1:2 this is not a number");
        check("[0x]", "1:2 this is not a hexadecimal number");
        check("[.]", "1:2 this is not a number");
        check("[1e]", "1:2 this is not a number");
        check("'abc", "1:1 this string is never closed");
        check(
            "{a: 'abc\n'}",
            "1:5 this string is not closed before the end of its line",
        );
        check("'\\1'", "1:2 octal escapes are not part of JSON5");
        check("'\\xZZ'", "1:2 this escape needs 2 hex digits");
        check("'\\ud800'", "1:2 this escape is half of a surrogate pair");
        check("/* open", "1:1 this comment is never closed with */");
        check("{} x", "1:4 expected the end of the file, found \"x\"");
        check("{'ü': @}", "1:7 expected a value, found \"@\"");
    }

    #[test]
    fn rule_54_nesting_stops_at_the_limit_instead_of_at_the_stack() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        check(
            &nested(MAX_DEPTH + 1),
            "1:65 objects and arrays nest deeper than 64",
        );
        check(
            &"[".repeat(100_000),
            "1:65 objects and arrays nest deeper than 64",
        );
        check(
            &"{a:".repeat(100_000),
            "1:193 objects and arrays nest deeper than 64",
        );
    }
}
