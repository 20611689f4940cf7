//! The PDFs of a request: which there are, and what was read of them.                       (pure, but for the reading)
//!
//! A request is looked at twice, because a PDF is read elsewhere: first its PDFs are collected, then it is read with their texts.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::api::Failure;
use crate::pdf::{Order, Reader, Report};

/// PDFs in one request.
const MOST: usize = 4;

/// What a PDF is known by.
type Key = [u8; 32];

/// The PDFs of a request.
#[derive(Debug, Default)]
pub(super) struct Pdfs {
    wanted: BTreeMap<Key, Vec<u8>>,
    /// None while they are only collected.
    texts: Option<BTreeMap<Key, Result<String, String>>>,
}

impl Pdfs {
    /// Whether none was collected.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// What a PDF says, or why that is not known. While PDFs are collected it says nothing.
    pub(super) fn text(&mut self, pdf: Vec<u8>) -> Result<String, String> {
        let key = Key::from(Sha256::digest(&pdf));
        match &self.texts {
            Some(texts) => texts.get(&key).cloned().unwrap_or_else(|| {
                // A request is the same when it is looked at again.
                Err("the PDF was not read".to_owned())
            }),
            None => {
                self.wanted.insert(key, pdf);
                Ok(String::new())
            }
        }
    }

    /// Has all that were collected read.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) async fn read(self, reader: &Reader, limits: PdfLimits) -> Result<Self, Failure> {
        if self.wanted.len() > MOST {
            let message = format!(
                "at most {MOST} PDFs are read for one request; send the others in another one"
            );
            return Err(Failure::invalid(message));
        }
        let mut texts = BTreeMap::new();
        for (key, pdf) in self.wanted {
            let read = reader.read(&pdf, limits.order).await;
            let text = read
                .map(|report| limits.told(report))
                .map_err(|none| none.to_string());
            texts.insert(key, text);
        }
        Ok(Self {
            wanted: BTreeMap::new(),
            texts: Some(texts),
        })
    }
}

/// How much of a PDF is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PdfLimits {
    pub(super) order: Order,
    /// With less text than this, a model is told that there may be more to see.
    pub(super) min_chars: usize,
}

impl PdfLimits {
    /// What a model reads: the text, and what it must know about what it does not see.
    fn told(self, report: Report) -> String {
        let Report::Text {
            mut text,
            looked_at,
            pages,
        } = report
        else {
            return String::new();
        };
        let is_little = text.chars().count() < self.min_chars;
        if looked_at < pages {
            text.push_str(&format!("\n\n[pages 1 to {looked_at} of {pages}]"));
        }
        if is_little {
            text.push_str("\n\n[only text is read; what its pages show as pictures is not here]");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{PdfLimits, Pdfs};
    use crate::pdf::{Order, Report};

    const LIMITS: PdfLimits = PdfLimits {
        order: Order {
            pages: 4,
            chars: 100,
        },
        min_chars: 5,
    };

    #[test]
    fn a_model_is_told_what_it_does_not_see() {
        let told = |text: &str, looked_at, pages| {
            let text = text.to_owned();
            LIMITS.told(Report::Text {
                text,
                looked_at,
                pages,
            })
        };
        assert_eq!(told("enough", 2, 2), "enough");
        assert_eq!(told("enough", 4, 9), "enough\n\n[pages 1 to 4 of 9]");
        assert!(told("abc", 1, 1).contains("only text is read"));
    }

    #[tokio::test]
    async fn the_same_pdf_is_read_once_and_many_are_refused() {
        let mut pdfs = Pdfs::default();
        for byte in [1, 1, 2] {
            assert_eq!(pdfs.text(vec![byte]), Ok(String::new()));
        }
        assert_eq!(pdfs.wanted.len(), 2);
        for byte in 0..9 {
            assert_eq!(pdfs.text(vec![byte]), Ok(String::new()));
        }
        let reader = crate::pdf::Reader::default();
        assert!(pdfs.read(&reader, LIMITS).await.is_err());
    }
}
