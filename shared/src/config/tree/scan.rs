//! The characters of JSON5: blanks and comments, strings, numbers, names.
//!
//! The scanner knows no structure; the parser above it does. It is also what edits use to step over commas
//! and comments around a node.

use serde_json::{Number, Value};

use super::SyntaxError;

/// A position in a text and the rules for reading on from it.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'t> {
    text: &'t str,
    offset: usize,
}

impl<'t> Scanner<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self::at(text, 0)
    }

    /// A scanner that starts at a byte offset, which lies on a character boundary.
    pub(crate) fn at(text: &'t str, offset: usize) -> Self {
        Self { text, offset }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.text[self.offset..].chars().next()
    }

    /// Takes the next character if it is this one.
    pub(crate) fn eat(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.offset += expected.len_utf8();
        }
        found
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> SyntaxError {
        error_at(self.offset, message)
    }

    /// The next character as a person would be told about it.
    pub(crate) fn describe_next(&self) -> String {
        match self.peek() {
            None => "the end of the file".to_owned(),
            Some(c) if c.is_control() => format!("the character U+{:04X}", u32::from(c)),
            Some(c) => format!("\"{c}\""),
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.offset += c.len_utf8();
        Some(c)
    }

    fn rest(&self) -> &'t str {
        &self.text[self.offset..]
    }

    /// Steps over blanks, line ends and comments.
    pub(crate) fn skip_trivia(&mut self) -> Result<(), SyntaxError> {
        while let Some(c) = self.peek() {
            if is_blank(c) || is_line_end(c) {
                self.offset += c.len_utf8();
            } else if self.rest().starts_with("//") {
                self.offset += self.rest().find(is_line_end).unwrap_or(self.rest().len());
            } else if self.rest().starts_with("/*") {
                let Some(length) = self.rest()[2..].find("*/") else {
                    return Err(self.error("this comment is never closed with */"));
                };
                self.offset += 2 + length + 2;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Reads a string in single or double quotes; the scanner stands on the opening quote.
    pub(crate) fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.offset;
        let quote = self.next().expect("the caller saw the quote");
        let mut value = String::new();
        loop {
            let at = self.offset;
            match self.next() {
                None => return Err(error_at(start, "this string is never closed")),
                Some('\n' | '\r') => {
                    return Err(SyntaxError {
                        hint: Some("close it on its line, or end the line with a backslash"),
                        ..error_at(
                            start,
                            "this string is not closed before the end of its line",
                        )
                    });
                }
                Some(c) if c == quote => return Ok(value),
                Some('\\') => value.extend(self.escape(at)?),
                Some(c) => value.push(c),
            }
        }
    }

    /// Reads what follows a backslash in a string; a continued line stands for nothing.
    fn escape(&mut self, start: usize) -> Result<Option<char>, SyntaxError> {
        let c = self
            .next()
            .ok_or_else(|| error_at(start, "a backslash ends the file"))?;
        Ok(Some(match c {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => '\0',
            '0'..='9' => return Err(error_at(start, "octal escapes are not part of JSON5")),
            'x' => char::from_u32(self.hex_digits(2, start)?).expect("two digits are Latin-1"),
            'u' => self.unicode_escape(start)?,
            '\r' => {
                self.eat('\n');
                return Ok(None);
            }
            c if is_line_end(c) => return Ok(None),
            other => other,
        }))
    }

    /// Reads the digits of a `\u` escape, and its second half when it is the first of a pair.
    fn unicode_escape(&mut self, start: usize) -> Result<char, SyntaxError> {
        let first = self.hex_digits(4, start)?;
        if !(0xD800..0xE000).contains(&first) {
            return Ok(char::from_u32(first).expect("only surrogates are not characters"));
        }
        let unpaired = || error_at(start, "this escape is half of a surrogate pair");
        if first >= 0xDC00 || !self.rest().starts_with("\\u") {
            return Err(unpaired());
        }
        self.offset += 2;
        let second = self.hex_digits(4, start)?;
        if !(0xDC00..0xE000).contains(&second) {
            return Err(unpaired());
        }
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        Ok(char::from_u32(code).expect("a pair encodes a character"))
    }

    fn hex_digits(&mut self, count: usize, start: usize) -> Result<u32, SyntaxError> {
        let digits = self
            .rest()
            .get(..count)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.offset += count;
        code.ok_or_else(|| error_at(start, format!("this escape needs {count} hex digits")))
    }

    /// Reads a name, for an unquoted key or a word such as `true`.
    pub(crate) fn identifier(&mut self) -> Result<String, SyntaxError> {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            let start = self.offset;
            let c = if c == '\\' {
                self.offset += 1;
                if !self.eat('u') {
                    return Err(error_at(
                        start,
                        "only \\u escapes may stand in an unquoted key",
                    ));
                }
                self.unicode_escape(start)?
            } else if continues_name(c) {
                self.offset += c.len_utf8();
                c
            } else {
                break;
            };
            if !(if name.is_empty() {
                starts_name(c)
            } else {
                continues_name(c)
            }) {
                return Err(error_at(
                    start,
                    "this character may not stand in an unquoted key",
                ));
            }
            name.push(c);
        }
        Ok(name)
    }

    /// Reads a number; the scanner stands on its sign, its first digit, its dot or its first letter.
    pub(crate) fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.offset;
        let negative = self.peek() == Some('-');
        if !self.eat('-') {
            self.eat('+');
        }
        for (word, reason) in [
            ("Infinity", "Infinity is not a usable setting"),
            ("NaN", "NaN is not a usable setting"),
        ] {
            if self.rest().starts_with(word) {
                return Err(SyntaxError {
                    hint: Some("write a finite number"),
                    ..error_at(start, reason)
                });
            }
        }
        let length = self
            .rest()
            .char_indices()
            .find(|(at, c)| {
                let exponent_sign = matches!(c, '+' | '-')
                    && !self.rest().starts_with("0x")
                    && !self.rest().starts_with("0X")
                    && self.rest()[..*at].ends_with(['e', 'E']);
                !(*c == '.' || continues_name(*c) || exponent_sign)
            })
            .map_or(self.rest().len(), |(at, _)| at);
        let digits = &self.rest()[..length];
        self.offset += length;
        let number = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
            hexadecimal(hex, negative)
        } else {
            decimal(digits, negative)
        };
        number
            .map(Value::Number)
            .map_err(|message| error_at(start, message))
    }
}

fn error_at(offset: usize, message: impl Into<String>) -> SyntaxError {
    SyntaxError {
        offset,
        message: message.into(),
        hint: None,
    }
}

fn hexadecimal(digits: &str, negative: bool) -> Result<Number, &'static str> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("this is not a hexadecimal number");
    }
    let magnitude = u64::from_str_radix(digits, 16).map_err(|_| "this number is too large")?;
    signed(magnitude, negative).ok_or("this number is too large")
}

fn decimal(digits: &str, negative: bool) -> Result<Number, &'static str> {
    const MALFORMED: &str = "this is not a number";
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = |text: &str| text.strip_prefix(['+', '-']).unwrap_or(text).to_owned();
    let has_digits = !whole.is_empty() || fraction.is_some_and(|digits| !digits.is_empty());
    if !has_digits
        || !all_digits(whole)
        || !fraction.is_none_or(all_digits)
        || !exponent.is_none_or(|e| !unsigned(e).is_empty() && all_digits(&unsigned(e)))
    {
        return Err(MALFORMED);
    }
    if whole.len() > 1 && whole.starts_with('0') {
        return Err("a number may not start with a zero");
    }
    if fraction.is_none()
        && exponent.is_none()
        && let Some(number) = whole
            .parse()
            .ok()
            .and_then(|magnitude| signed(magnitude, negative))
    {
        return Ok(number);
    }
    // Rust reads neither a leading nor a trailing dot in every form, so both sides get a digit.
    let text = format!(
        "{}{}.{}e{}",
        if negative { "-" } else { "" },
        if whole.is_empty() { "0" } else { whole },
        fraction.filter(|digits| !digits.is_empty()).unwrap_or("0"),
        exponent.unwrap_or("0")
    );
    let float: f64 = text.parse().map_err(|_| MALFORMED)?;
    Number::from_f64(float).ok_or("this number is too large")
}

fn signed(magnitude: u64, negative: bool) -> Option<Number> {
    if negative {
        0i64.checked_sub_unsigned(magnitude).map(Number::from)
    } else {
        Some(magnitude.into())
    }
}

/// Whether a key can be written without quotes.
pub(crate) fn is_identifier(text: &str) -> bool {
    text.starts_with(starts_name) && text.chars().all(continues_name)
}

pub(super) fn starts_name(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '$' | '_')
}

fn continues_name(c: char) -> bool {
    starts_name(c) || c.is_alphanumeric() || matches!(c, '\u{200c}' | '\u{200d}')
}

fn is_blank(c: char) -> bool {
    (c.is_whitespace() && !is_line_end(c)) && c != '\u{85}' || c == '\u{feff}'
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}
