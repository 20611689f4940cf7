//! What a PDF says.                                                                         (pure)

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pdf_extract::{ConvertToFmt, Document, PlainTextOutput, output_doc_page};

use super::{Order, Report};

/// The text that is kept. When there is enough, whoever writes is told that it fails, and stops.
struct Kept<'a> {
    text: &'a mut String,
    left: &'a mut usize,
}

impl fmt::Write for Kept<'_> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for letter in more.chars() {
            *self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(letter);
        }
        Ok(())
    }
}

impl ConvertToFmt for Kept<'_> {
    type Writer = Self;

    fn convert(self) -> Self {
        self
    }
}

/// Reads the first pages of a PDF. A page that cannot be read leaves the others as they are.
pub(super) fn read(pdf: &[u8], order: Order) -> Report {
    // What reads the format gives up by a panic at things that it did not expect. Each attempt has values of its own.
    let attempt = || -> Result<Report, pdf_extract::Error> {
        let mut document = Document::load_mem(pdf)?;
        // Many are encrypted for their rights only, and open with no password.
        if document.is_encrypted() && document.decrypt("").is_err() {
            return Ok(Report::Encrypted);
        }
        Ok(pages(&document, order))
    };
    match catch_unwind(AssertUnwindSafe(attempt)) {
        Ok(Ok(report)) => report,
        Ok(Err(
            pdf_extract::Error::Decryption(_)
            | pdf_extract::Error::InvalidPassword
            | pdf_extract::Error::UnsupportedSecurityHandler(_),
        )) => Report::Encrypted,
        Ok(Err(_)) | Err(_) => Report::Unreadable,
    }
}

fn pages(document: &Document, order: Order) -> Report {
    let numbers: Vec<u32> = document.get_pages().into_keys().collect();
    let most = usize::try_from(order.pages).unwrap_or(usize::MAX);
    let mut left = order.chars;
    let mut texts = Vec::new();
    let mut is_any_read = false;
    let mut looked_at = 0;
    for number in numbers.iter().take(most) {
        if left == 0 {
            break;
        }
        looked_at += 1;
        let mut text = String::new();
        let kept = Kept {
            text: &mut text,
            left: &mut left,
        };
        let page = || output_doc_page(document, &mut PlainTextOutput::new(kept), *number);
        is_any_read |= catch_unwind(AssertUnwindSafe(page)).is_ok_and(|read| read.is_ok());
        // What was read of a page before it failed was read.
        is_any_read |= !text.trim().is_empty();
        texts.push(tidy(&text));
    }
    if !is_any_read {
        return Report::Unreadable;
    }
    texts.retain(|text| !text.is_empty());
    Report::Text {
        text: texts.join("\n\n"),
        looked_at,
        pages: u64::try_from(numbers.len()).unwrap_or(u64::MAX),
    }
}

/// Without letters that control something, blanks at the ends of lines, and more than one empty line in a row.
fn tidy(text: &str) -> String {
    let mut tidy = String::new();
    let mut is_blank = true;
    for line in text.lines() {
        let line: String = line
            .chars()
            .filter(|letter| !letter.is_control() || *letter == '\t')
            .collect();
        let line = line.trim_end();
        if line.is_empty() && is_blank {
            continue;
        }
        is_blank = line.is_empty();
        tidy.push_str(line);
        tidy.push('\n');
    }
    tidy.truncate(tidy.trim_end().len());
    tidy
}

#[cfg(test)]
mod tests {
    use openclaw_tests::pdf;

    use super::super::{Order, Report};
    use super::read;

    const PLENTY: Order = Order {
        pages: 4,
        chars: 200_000,
    };

    fn found(text: &str, looked_at: u64, pages: u64) -> Report {
        Report::Text {
            text: text.to_owned(),
            looked_at,
            pages,
        }
    }

    #[test]
    fn the_text_of_the_first_pages_is_read() {
        let two = pdf::of_pages(&["Hello PDF", "second (page)"]);
        assert_eq!(
            read(&two, PLENTY),
            found("Hello PDF\n\nsecond (page)", 2, 2)
        );
        let one = Order { pages: 1, ..PLENTY };
        assert_eq!(read(&two, one), found("Hello PDF", 1, 2));
        let short = Order { chars: 5, ..PLENTY };
        let Report::Text { text, .. } = read(&two, short) else {
            panic!("no text")
        };
        assert!("Hello".starts_with(&text), "{text}");
        assert_eq!(read(&pdf::of_pages(&[""]), PLENTY), found("", 1, 1));
    }

    #[test]
    fn what_is_no_pdf_or_is_locked_is_said_to_be_that() {
        for broken in [&b""[..], b"%PDF-1.4", b"GIF89a", &[0; 4096]] {
            assert_eq!(read(broken, PLENTY), Report::Unreadable);
        }
        let whole = pdf::of_pages(&["Hello PDF"]);
        for cut in [whole.len() / 4, whole.len() / 2, whole.len() - 40] {
            let report = read(&whole[..cut], PLENTY);
            assert_ne!(report, Report::Encrypted, "{cut}");
        }
        assert_eq!(read(&pdf::encrypted(), PLENTY), Report::Encrypted);
    }
}
