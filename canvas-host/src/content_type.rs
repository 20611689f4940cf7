//! Names of files to content types.                                                    (pure)
//!
//! The table of `mime_guess`, with its few entries that would make a browser refuse a page's
//! parts, or fetch text as something else, put right. There is no sniffing: what has no known
//! extension is bytes.

const BYTES: &str = "application/octet-stream";

/// The value of `Content-Type` for a file of this name.
pub(crate) fn of(name: &str) -> String {
    let Some((_, extension)) = name.rsplit_once('.') else {
        return BYTES.to_owned();
    };
    let extension = extension.to_ascii_lowercase();
    let essence = corrected(&extension)
        .or_else(|| mime_guess::from_ext(&extension).first_raw())
        .unwrap_or(BYTES);
    if is_text(essence) {
        format!("{essence}; charset=utf-8")
    } else {
        essence.to_owned()
    }
}

/// Whether the type is that of a page, which can carry our script.
pub(crate) fn is_page(content_type: &str) -> bool {
    content_type.starts_with("text/html;")
}

fn corrected(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "js" | "mjs" | "cjs" => "text/javascript",
        "map" => "application/json",
        "jsonl" | "ndjson" => "application/x-ndjson",
        "m4a" => "audio/mp4",
        "rar" => "application/vnd.rar",
        "gz" => "application/gzip",
        "heif" => "image/heif",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        // TypeScript, not a transport stream: this is a folder of web pages.
        "ts" | "tsx" | "jsx" => "text/plain",
        "yaml" | "yml" => "application/yaml",
        "toml" => "application/toml",
        _ => return None,
    })
}

fn is_text(essence: &str) -> bool {
    const OTHER_TEXTS: [&str; 8] = [
        "application/json",
        "application/manifest+json",
        "application/x-ndjson",
        "application/xml",
        "application/xhtml+xml",
        "application/yaml",
        "application/toml",
        "image/svg+xml",
    ];
    essence.starts_with("text/") || OTHER_TEXTS.contains(&essence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_and_all_its_parts_get_the_types_browsers_insist_on() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("INDEX.HTM", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.min.js.map", "application/json; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("a.webmanifest", "application/manifest+json; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.xml", "text/xml; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.wasm", "application/wasm"),
            ("a.woff2", "font/woff2"),
            ("a.woff", "font/woff"),
            ("a.ttf", "font/ttf"),
            ("a.otf", "font/otf"),
            ("a.ico", "image/x-icon"),
            ("a.png", "image/png"),
            ("a.jpg", "image/jpeg"),
            ("a.jpeg", "image/jpeg"),
            ("a.gif", "image/gif"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("a.heic", "image/heic"),
            ("a.heif", "image/heif"),
            ("a.mp3", "audio/mpeg"),
            ("a.ogg", "audio/ogg"),
            ("a.m4a", "audio/mp4"),
            ("a.wav", "audio/wav"),
            ("a.mp4", "video/mp4"),
            ("a.mov", "video/quicktime"),
            ("a.webm", "video/webm"),
            ("a.pdf", "application/pdf"),
            ("a.zip", "application/zip"),
            ("a.gz", "application/gzip"),
            ("a.tar", "application/x-tar"),
            ("a.7z", "application/x-7z-compressed"),
            ("a.unknown-thing", BYTES),
            ("Makefile", BYTES),
            ("a.", BYTES),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
    }
}
