//! The text of a page, written down tag by tag.                                                  (pure)
//!
//! There is no tree: a page that nests its tags a hundred thousand deep costs no more than one that does not. What a page shows
//! besides its text is left out: scripts, styles, forms' parts, pictures without a description.

use std::cell::RefCell;
use std::time::Duration;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use openclaw_shared::clock::Moment;

use super::Mode;

/// How long a page may take to be read. One that is made to take longer is cut.
const LIMIT: Duration = Duration::from_secs(2);
/// So much is read before the time is looked at, in bytes.
const PIECE: usize = 4 * 1024;
/// The longest title, in characters.
const LONGEST_TITLE: usize = 300;
/// The longest address of a link that is shown, in bytes.
const LONGEST_LINK: usize = 2 * 1024;

/// What a page says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) title: Option<String>,
    pub(super) text: String,
}

/// Reads a page.
pub(super) fn read(page: &[u8], mode: Mode) -> Read {
    let tokenizer = Tokenizer::new(
        Sink(RefCell::new(Writer::new(mode))),
        TokenizerOpts::default(),
    );
    let text = String::from_utf8_lossy(page);
    let (mut rest, queue) = (&*text, BufferQueue::default());
    let deadline = Moment::now() + LIMIT;
    while !rest.is_empty() && Moment::now() < deadline {
        let (piece, next) = rest.split_at(rest.floor_char_boundary(PIECE.max(4)));
        rest = next;
        queue.push_back(StrTendril::from(piece));
        // Nothing here stops at scripts, so that all of it is read.
        let _ = tokenizer.feed(&queue);
    }
    tokenizer.end();
    tokenizer.sink.0.into_inner().finish()
}

struct Sink(RefCell<Writer>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let mut writer = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) => match tag.kind {
                TagKind::StartTag => return writer.begin(&tag),
                TagKind::EndTag => writer.end(&tag.name),
            },
            Token::CharacterTokens(text) => writer.text(&text),
            Token::DoctypeToken(_)
            | Token::CommentToken(_)
            | Token::NullCharacterToken
            | Token::EOFToken
            | Token::ParseError(_) => {}
        }
        TokenSinkResult::Continue
    }
}

/// What is written down so far.
struct Writer {
    mode: Mode,
    out: String,
    title: Option<String>,
    is_in_title: bool,
    /// The tag whose content is not shown, if one is open.
    hidden: Option<String>,
    is_preformatted: bool,
    /// So many line ends come before the next text.
    owed: usize,
    /// Whether a blank comes before the next text.
    owes_blank: bool,
    /// What stands before the next text: marks of headings and items.
    before: String,
    /// Where the open link leads, and where its text begins.
    link: Option<(String, usize)>,
}

impl Writer {
    const fn new(mode: Mode) -> Self {
        Self {
            mode,
            out: String::new(),
            title: None,
            is_in_title: false,
            hidden: None,
            is_preformatted: false,
            owed: 0,
            owes_blank: false,
            before: String::new(),
            link: None,
        }
    }

    fn begin(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name = &*tag.name;
        let raw = match name {
            "script" => Some(RawKind::ScriptData),
            "style" | "iframe" | "noembed" | "noframes" | "xmp" => Some(RawKind::Rawtext),
            "textarea" | "title" => Some(RawKind::Rcdata),
            "plaintext" => return TokenSinkResult::Plaintext,
            _ => None,
        };
        if name == "title" {
            self.is_in_title = self.title.is_none() && self.hidden.is_none();
        }
        if self.hidden.is_none() && is_hidden(name) {
            self.hidden = Some(name.to_owned());
        }
        if self.hidden.is_none() {
            self.shown(name, tag);
        }
        match raw {
            Some(kind) => TokenSinkResult::RawData(kind),
            None => TokenSinkResult::Continue,
        }
    }

    fn shown(&mut self, name: &str, tag: &Tag) {
        self.part(name);
        let is_markdown = self.mode == Mode::Markdown;
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" if is_markdown => {
                let level = name[1..].parse().unwrap_or(1);
                self.before = format!("{} ", "#".repeat(level));
            }
            "li" => self.before = "- ".to_owned(),
            "blockquote" if is_markdown => self.before = "> ".to_owned(),
            "pre" => {
                if is_markdown {
                    self.mark("```");
                    self.owed = 1;
                }
                self.is_preformatted = true;
            }
            "code" if is_markdown && !self.is_preformatted => self.mark("`"),
            "td" | "th" if !self.out.ends_with('\n') && self.owed == 0 => {
                self.owes_blank = false;
                self.out.push_str(" | ");
            }
            "a" if is_markdown && self.link.is_none() => {
                let leads = attribute(tag, "href").filter(|to| is_link(to));
                if let Some(to) = leads {
                    self.mark("[");
                    self.link = Some((to, self.out.len()));
                }
            }
            "img" => {
                let says = attribute(tag, "alt").unwrap_or_default();
                self.text(&says);
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        if name == "title" {
            self.is_in_title = false;
        }
        if let Some(hidden) = &self.hidden {
            if hidden == name {
                self.hidden = None;
            }
            return;
        }
        match name {
            "pre" => {
                self.is_preformatted = false;
                if self.mode == Mode::Markdown {
                    self.owed = 1;
                    self.mark("```");
                }
            }
            "code" if self.mode == Mode::Markdown && !self.is_preformatted => self.out.push('`'),
            "a" => {
                if let Some((to, from)) = self.link.take() {
                    if self.out.len() == from {
                        self.out.truncate(from - 1);
                    } else {
                        self.out.push_str("](");
                        self.out.push_str(&to);
                        self.out.push(')');
                    }
                }
            }
            _ => {}
        }
        self.part(name);
    }

    /// Begins a new line, or a new paragraph, where this tag does.
    fn part(&mut self, name: &str) {
        let lines = match name {
            "br" | "li" | "tr" | "dt" | "dd" | "div" | "option" | "legend" | "caption" => 1,
            "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "dl" | "table"
            | "pre" | "blockquote" | "section" | "article" | "header" | "footer" | "main"
            | "nav" | "aside" | "form" | "fieldset" | "figure" | "hr" | "details" | "address"
            | "title" => 2,
            _ => return,
        };
        self.owed = self.owed.max(lines);
        self.owes_blank = false;
        if name != "li" && name != "blockquote" {
            self.before.clear();
        }
    }

    fn text(&mut self, text: &str) {
        if self.is_in_title {
            let title = self.title.get_or_insert_default();
            title.push_str(text);
            return;
        }
        if self.hidden.is_some() {
            return;
        }
        if self.is_preformatted {
            self.settle();
            self.out.push_str(text);
            return;
        }
        let begins_blank = text.starts_with(char::is_whitespace);
        self.owes_blank |= begins_blank;
        for (at, word) in text.split_whitespace().enumerate() {
            self.owes_blank |= at > 0;
            self.settle();
            self.out.push_str(word);
        }
        self.owes_blank |= text.ends_with(char::is_whitespace);
    }

    fn mark(&mut self, mark: &str) {
        self.settle();
        self.out.push_str(mark);
    }

    /// Writes what is owed before the next text.
    fn settle(&mut self) {
        if self.out.is_empty() {
            self.owed = 0;
            self.owes_blank = false;
        }
        if self.owed > 0 {
            self.out.extend(std::iter::repeat_n('\n', self.owed));
        } else if self.owes_blank {
            self.out.push(' ');
        }
        self.owed = 0;
        self.owes_blank = false;
        self.out.push_str(&std::mem::take(&mut self.before));
    }

    fn finish(self) -> Read {
        let title = self.title.unwrap_or_default();
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        let title: String = title.chars().take(LONGEST_TITLE).collect();
        Read {
            title: (!title.is_empty()).then_some(title),
            text: self.out.trim().to_owned(),
        }
    }
}

/// Whether nobody reads what is in it.
fn is_hidden(name: &str) -> bool {
    matches!(
        name,
        "script"
            | "style"
            | "iframe"
            | "noembed"
            | "noframes"
            | "template"
            | "svg"
            | "math"
            | "object"
            | "select"
            | "textarea"
            | "button"
            | "canvas"
            | "audio"
            | "video"
    )
}

fn attribute(tag: &Tag, name: &str) -> Option<String> {
    let found = tag
        .attrs
        .iter()
        .find(|attribute| &*attribute.name.local == name);
    found.map(|attribute| attribute.value.to_string())
}

/// Whether a link leads somewhere that can be fetched.
fn is_link(to: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"()<>".contains(&byte);
    let lower = to.trim_start().to_ascii_lowercase();
    !to.is_empty()
        && to.len() <= LONGEST_LINK
        && to.bytes().all(is_plain)
        && !["#", "javascript:", "data:", "mailto:", "tel:"]
            .iter()
            .any(|scheme| lower.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<!doctype html><html><head><TITLE lang=en>A &amp; <b>B</TITLE><style>p{}</style></head><body>\
        <!-- </b> not shown --><script>if (a < b) '</p>'; evil()</script><h1>Head</h1>\n<p>See <a href='/x'>there</a> and \
        <b>this</b> &copy;.</p><ul>\n<li>one<li> two</ul><pre>a\n  b</pre><a href='#x'>here</a> <code>c</code>\
        <table><tr><td>1<td>2</table><textarea><p>form</textarea><img alt=' pic '>end";

    #[test]
    fn a_page_becomes_text() {
        let read = read(PAGE.as_bytes(), Mode::Markdown);
        assert_eq!(read.title.as_deref(), Some("A & <b>B"));
        assert_eq!(
            read.text,
            "# Head\n\nSee [there](/x) and this ©.\n\n- one\n- two\n\n```\na\n  b\n```\n\nhere `c`\n\n1 | 2\n\npic end"
        );
    }

    #[test]
    fn or_plain_text() {
        let text = read(PAGE.as_bytes(), Mode::Text).text;
        assert!(
            text.starts_with("Head\n\nSee there and this ©.\n\n- one"),
            "{text}"
        );
        for (page, says) in [
            ("", ""),
            ("plain", "plain"),
            ("<p>a<p>b", "a\n\nb"),
            ("a <b>b</b>c", "a bc"),
            ("<a href=x></a>z", "z"),
            ("&lt;b&gt;", "<b>"),
            ("<style>x", ""),
        ] {
            assert_eq!(read(page.as_bytes(), Mode::Markdown).text, says, "{page}");
        }
    }

    #[test]
    fn rule_54_no_page_costs_more_than_its_length() {
        let began = Moment::now();
        let names: Vec<String> = (0..100_000).map(|at| format!("x{at}")).collect();
        for page in [
            "<div>".repeat(300_000),
            "<b>".repeat(300_000),
            "<ul><li>".repeat(100_000),
            "<table><tr><td>".repeat(100_000),
            "<a href=x>".repeat(100_000),
            format!("<a {}>", names.join(" ")),
            "&amp".repeat(300_000),
            "<!--".repeat(300_000),
            "<p><b a=1>".repeat(100_000),
        ] {
            let read = read(page.as_bytes(), Mode::Markdown);
            assert!(read.text.len() < 2 * page.len());
        }
        assert!(Moment::now().since(began) < Duration::from_secs(60));
    }
}
