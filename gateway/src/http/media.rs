//! Pictures and files that come within a request.                                         (pure)

use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use openclaw_shared::config::section::{ResponsesFiles, ResponsesImages};
use openclaw_shared::transcript::Part;

use super::fetch::Fetching;
use super::pdfs::{PdfLimits, Pdfs};
use crate::pdf::Order;

/// Whatever padding a client writes.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
/// Files that are text, and the one that has some.
const FILES: [&str; 6] = [
    "text/plain",
    "text/markdown",
    "text/html",
    "text/csv",
    "application/json",
    PDF,
];
const PDF: &str = "application/pdf";
/// How a PDF begins, in its first thousand bytes.
const PDF_HEAD: &[u8] = b"%PDF-";

/// What is taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limits {
    images: Vec<String>,
    image_bytes: usize,
    /// Whether pictures may be fetched.
    pub(crate) image_urls: bool,
    image_fetching: Fetching,
    files: Vec<String>,
    file_bytes: usize,
    file_chars: usize,
    /// How much of a PDF is read.
    pub(super) pdf: PdfLimits,
    /// Whether files may be fetched.
    pub(crate) file_urls: bool,
    file_fetching: Fetching,
}

/// Something that a client has put into its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attached {
    pub(super) mime: String,
    /// In base64.
    pub(super) data: String,
}

/// Why something is not taken; the text is for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("Unsupported image type: {0}; taken are {1}")]
    ImageType(String, String),
    #[error("Unsupported file type: {0}; taken are {1}")]
    FileType(String, String),
    #[error("the file is no PDF; send it with the type that it has")]
    NotPdf,
    #[error("{0}")]
    PdfText(String),
    #[error("the data is not base64")]
    NotBase64,
    #[error("too large: {0} bytes, at most {1}")]
    TooLarge(usize, usize),
    #[error("the file is not UTF-8 text")]
    NotText,
    #[error("expected a data: URL with base64")]
    NotAData,
    #[error("URLs are not fetched here; send the data itself as a data: URL")]
    Url,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(&ResponsesFiles::default(), &ResponsesImages::default())
    }
}

impl Limits {
    /// Takes what the configuration says.
    pub(crate) fn of(files: &ResponsesFiles, images: &ResponsesImages) -> Self {
        let names = |configured: &Option<Vec<String>>, default: &[&str]| match configured {
            Some(names) => names.iter().map(|name| plain(name)).collect(),
            None => default.iter().map(|name| (*name).to_owned()).collect(),
        };
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            images: names(&images.allowed_mimes, &IMAGES),
            image_bytes: whole(images.max_bytes),
            image_urls: images.allow_url,
            image_fetching: Fetching {
                bytes: whole(images.max_bytes),
                redirects: whole(images.max_redirects.get()),
                within: Duration::from_millis(images.timeout_ms),
            },
            files: names(&files.allowed_mimes, &FILES),
            file_bytes: whole(files.max_bytes),
            file_chars: whole(files.max_chars),
            pdf: PdfLimits {
                order: Order {
                    pages: files.pdf.max_pages,
                    chars: whole(files.max_chars),
                },
                min_chars: whole(files.pdf.min_text_chars),
            },
            file_urls: files.allow_url,
            file_fetching: Fetching {
                bytes: whole(files.max_bytes),
                redirects: whole(files.max_redirects.get()),
                within: Duration::from_millis(files.timeout_ms),
            },
        }
    }

    /// Within which limits a picture, or a file, is fetched.
    pub(super) const fn fetching(&self, is_image: bool) -> Fetching {
        if is_image {
            self.image_fetching
        } else {
            self.file_fetching
        }
    }

    /// A picture for the model.
    pub(super) fn image(&self, attached: &Attached) -> Result<Part, Refused> {
        let mime_type = plain(&attached.mime);
        if !self.images.contains(&mime_type) {
            return Err(Refused::ImageType(mime_type, self.images.join(", ")));
        }
        let bytes = decode(&attached.data, self.image_bytes)?;
        Ok(Part::Image {
            data: BASE64.encode(bytes),
            mime_type,
        })
    }

    /// The text of a file.
    pub(super) fn file(&self, attached: &Attached, pdfs: &mut Pdfs) -> Result<String, Refused> {
        let mime = plain(&attached.mime);
        if !self.files.contains(&mime) {
            return Err(Refused::FileType(mime, self.files.join(", ")));
        }
        let bytes = decode(&attached.data, self.file_bytes)?;
        if mime == PDF {
            let head = &bytes[..bytes.len().min(1024)];
            if !head.windows(PDF_HEAD.len()).any(|place| place == PDF_HEAD) {
                return Err(Refused::NotPdf);
            }
            return pdfs.text(bytes).map_err(Refused::PdfText);
        }
        let text = String::from_utf8(bytes).map_err(|_| Refused::NotText)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Ok(text.chars().take(self.file_chars).collect())
    }
}

/// The type that the name of a file tells.
fn type_of(name: &str) -> &'static str {
    let (_, end) = name.rsplit_once('.').unwrap_or_default();
    match end.to_ascii_lowercase().as_str() {
        "md" | "markdown" => "text/markdown",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "pdf" => PDF,
        "txt" | "text" | "log" => "text/plain",
        _ => "application/octet-stream",
    }
}

/// A file as a model reads it, among what comes before the conversation.
pub(super) fn file_text(name: Option<&str>, text: &str) -> String {
    let name: String = name
        .unwrap_or("file")
        .chars()
        .filter(|letter| !letter.is_control() && !matches!(letter, '"' | '<' | '>'))
        .take(200)
        .collect();
    let text = text.replace("</file>", "<\\/file>");
    format!("<file name=\"{name}\">\n{text}\n</file>")
}

/// Reads `data:image/png;base64,…`.
pub(super) fn data_url(url: &str) -> Result<Attached, Refused> {
    let is = |prefix: &str| {
        let head = url.get(..prefix.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    if is("http:") || is("https:") {
        return Err(Refused::Url);
    }
    if !is("data:") {
        return Err(Refused::NotAData);
    }
    let (head, data) = url[5..].split_once(',').ok_or(Refused::NotAData)?;
    let mime = head
        .rsplit_once(';')
        .filter(|(_, encoding)| encoding.eq_ignore_ascii_case("base64"));
    let (mime, _) = mime.ok_or(Refused::NotAData)?;
    Ok(Attached {
        mime: mime.to_owned(),
        data: data.to_owned(),
    })
}

/// Reads a file, in a data URL or as plain base64 with a name that tells its type.
pub(super) fn file_data(data: &str, name: Option<&str>) -> Result<Attached, Refused> {
    match (data_url(data), name) {
        (Err(Refused::NotAData), Some(name)) => Ok(Attached {
            mime: type_of(name).to_owned(),
            data: data.to_owned(),
        }),
        (read, _) => read,
    }
}

fn decode(data: &str, most: usize) -> Result<Vec<u8>, Refused> {
    let about = data.len() / 4 * 3;
    if about > most.saturating_add(64) {
        return Err(Refused::TooLarge(about, most));
    }
    let tidy: String;
    let data = if data.bytes().any(|byte| byte.is_ascii_whitespace()) {
        tidy = data.split_ascii_whitespace().collect();
        &tidy
    } else {
        data
    };
    let bytes = BASE64.decode(data).map_err(|_| Refused::NotBase64)?;
    if bytes.len() > most {
        return Err(Refused::TooLarge(bytes.len(), most));
    }
    Ok(bytes)
}

/// A type without its parameters.
fn plain(mime: &str) -> String {
    let mime = mime.split(';').next().unwrap_or_default();
    mime.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use openclaw_shared::config::section::{ResponsesFiles, ResponsesImages};
    use openclaw_shared::transcript::Part;

    use super::{Attached, Limits, Refused, data_url, file_text};
    use crate::http::pdfs::Pdfs;

    fn attached(mime: &str, data: &str) -> Attached {
        Attached {
            mime: mime.into(),
            data: data.into(),
        }
    }

    #[test]
    fn data_urls_are_read_and_others_refused() {
        assert_eq!(
            data_url("data:image/png;base64,AAAA"),
            Ok(attached("image/png", "AAAA"))
        );
        let with_parameters = data_url("DATA:text/plain;charset=utf-8;BASE64,QQ==");
        assert_eq!(
            with_parameters,
            Ok(attached("text/plain;charset=utf-8", "QQ=="))
        );
        assert_eq!(data_url("https://example.com/a.png"), Err(Refused::Url));
        for odd in [
            "",
            "data:image/png,abc",
            "data:;base64",
            "file:///etc/passwd",
            "é",
        ] {
            assert_eq!(data_url(odd), Err(Refused::NotAData), "{odd}");
        }
    }

    #[test]
    fn pictures_are_held_to_type_and_size() {
        let limits = Limits::default();
        let picture = limits.image(&attached("image/PNG", "iVBO\nRw0K")).unwrap();
        assert_eq!(
            picture,
            Part::Image {
                data: "iVBORw0K".into(),
                mime_type: "image/png".into()
            }
        );
        assert!(matches!(
            limits.image(&attached("image/svg+xml", "")),
            Err(Refused::ImageType(..))
        ));
        assert_eq!(
            limits.image(&attached("image/png", "*")),
            Err(Refused::NotBase64)
        );
        let small = ResponsesImages {
            max_bytes: 3,
            ..ResponsesImages::default()
        };
        let small = Limits::of(&ResponsesFiles::default(), &small);
        assert_eq!(
            small.image(&attached("image/png", "AAAAAA==")),
            Err(Refused::TooLarge(4, 3))
        );
        let large = "A".repeat(1_000);
        assert_eq!(
            small.image(&attached("image/png", &large)),
            Err(Refused::TooLarge(750, 3))
        );
    }

    #[test]
    fn files_are_text_or_refused() {
        let short = ResponsesFiles {
            max_chars: 2,
            ..ResponsesFiles::default()
        };
        let limits = Limits::of(&short, &ResponsesImages::default());
        let file = |mime, data| limits.file(&attached(mime, data), &mut Pdfs::default());
        assert_eq!(
            file("text/plain; charset=utf-8", "w6TDtsO8").as_deref(),
            Ok("äö")
        );
        assert_eq!(file("application/pdf", "AAAA"), Err(Refused::NotPdf));
        assert_eq!(
            file("application/pdf", "JVBERi0xLjQK").as_deref(),
            Ok(""),
            "collected"
        );
        assert!(matches!(
            file("application/zip", ""),
            Err(Refused::FileType(..))
        ));
        assert_eq!(file("text/csv", "/w"), Err(Refused::NotText));
        let no_pdfs = ResponsesFiles {
            allowed_mimes: Some(vec!["text/plain".into()]),
            ..ResponsesFiles::default()
        };
        let no_pdfs = Limits::of(&no_pdfs, &ResponsesImages::default());
        assert!(matches!(
            no_pdfs.file(
                &attached("application/pdf", "JVBERi0xLjQK"),
                &mut Pdfs::default()
            ),
            Err(Refused::FileType(..))
        ));
        assert_eq!(
            file_text(Some("a\"b\n"), "x</file>y"),
            "<file name=\"ab\">\nx<\\/file>y\n</file>"
        );
    }
}
