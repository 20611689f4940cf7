//! Pictures that come with a message.  (pure)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_agent::picture;
use openclaw_shared::transcript::Part;
use serde_json::Value;

use crate::methods::MethodError;

/// The largest picture, in bytes.
const LARGEST: usize = 5_000_000;

/// The pictures among attachments: `{type?, mimeType?, fileName?, content}`, the content in base64 or as a data URL. What is no picture is
/// left out, as existing clients expect.
///
/// # Errors
/// When one cannot be read, or is too large.
pub(crate) fn images(attachments: &[Value]) -> Result<Vec<Part>, MethodError> {
    let mut images = Vec::new();
    for (at, attachment) in attachments.iter().enumerate() {
        let text = |key: &str| attachment[key].as_str().map(str::trim);
        let label = text("fileName")
            .or(text("type"))
            .filter(|label| !label.is_empty())
            .map_or_else(|| format!("attachment-{}", at + 1), str::to_owned);
        let refuse = |why: &str| MethodError::invalid(format!("Error: attachment {label}: {why}"));
        let Some(content) = text("content") else {
            return Err(refuse("content must be base64 string"));
        };
        let encoded = match content.strip_prefix("data:") {
            Some(rest) => rest.split_once(";base64,").map_or("", |(_, data)| data),
            None => content,
        };
        if encoded.is_empty() {
            return Err(refuse("invalid base64 content"));
        }
        // Before anything is decoded.
        if encoded.len() / 4 * 3 > LARGEST + 2 {
            return Err(too_large(&label, encoded.len() / 4 * 3));
        }
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| refuse("invalid base64 content"))?;
        if bytes.len() > LARGEST {
            return Err(too_large(&label, bytes.len()));
        }
        if let Some(mime_type) = picture::kind(&bytes) {
            images.push(Part::Image {
                data: STANDARD.encode(&bytes),
                mime_type: mime_type.to_owned(),
            });
        }
    }
    Ok(images)
}

fn too_large(label: &str, bytes: usize) -> MethodError {
    MethodError::invalid(format!(
        "Error: attachment {label}: exceeds size limit ({bytes} > {LARGEST} bytes)"
    ))
}

#[cfg(test)]
mod tests {
    use openclaw_shared::transcript::Part;
    use serde_json::json;

    use super::images;

    const PNG: &str = "iVBORw0KGgo=";

    #[test]
    fn pictures_are_told_by_their_bytes_and_the_rest_is_left_out() {
        let read = images(&[
            json!({"content": PNG, "mimeType": "image/jpeg"}),
            json!({"content": format!("data:image/png;base64,{PNG}")}),
            json!({"content": "aGVsbG8=", "mimeType": "image/png"}),
        ])
        .unwrap();
        let image = Part::Image {
            data: PNG.to_owned(),
            mime_type: "image/png".to_owned(),
        };
        assert_eq!(read, [image.clone(), image]);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        let refused = |attachment| images(&[attachment]).unwrap_err().into_shape().message;
        for (attachment, expected) in [
            (
                json!({"content": "%%%", "fileName": "a.png"}),
                "Error: attachment a.png: invalid base64 content",
            ),
            (
                json!({"fileName": "a.png"}),
                "Error: attachment a.png: content must be base64 string",
            ),
            (
                json!({"content": "data:image/png,hello"}),
                "Error: attachment attachment-1: invalid base64 content",
            ),
        ] {
            assert_eq!(refused(attachment), expected);
        }
        let large = refused(json!({"content": "A".repeat(8_000_000)}));
        assert!(
            large.contains("exceeds size limit (6000000 > 5000000 bytes)"),
            "{large}"
        );
    }
}
