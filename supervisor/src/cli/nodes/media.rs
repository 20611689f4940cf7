//! Pictures and clips from nodes: written to a file for their owner alone, and the file is named.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_shared::config::write::create_private;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::answer::Answer as _;
use super::super::context::Context;
use super::super::failure::{Failure, Kind};

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    path: PathBuf,
    format: String,
}

impl Saved {
    /// What scripts get to know.
    pub(super) fn to_json(&self) -> Value {
        json!({ "path": self.path, "format": self.format })
    }

    /// The line that other programs of this family look for.
    pub(super) fn line(&self) -> String {
        format!("MEDIA:{}", self.path.display())
    }
}

/// Refuses a file that exists, before a node is asked for what would go there.
///
/// # Errors
/// When there is something at the path.
pub(super) fn must_be_new(path: Option<&Path>) -> Result<(), Failure> {
    match path.filter(|path| path.exists()) {
        Some(path) => Err(unwritten(path, "it exists already")),
        None => Ok(()),
    }
}

/// Writes what a node answered to a command, at `place` or among the temporary files.
///
/// # Errors
/// When the answer holds no picture or clip, or it cannot be written.
pub(super) fn save(
    context: &Context,
    payload: &Value,
    command: &str,
    label: &str,
    place: Option<&Path>,
) -> Result<Saved, Failure> {
    let (format, bytes) = decode(payload).ok_or_else(|| {
        Failure::new(Kind::Failed, format!("invalid {command} payload"))
            .hint("The node answered, but not with a format and base64 data.")
    })?;
    let path = place.map_or_else(
        || {
            let name = format!("openclaw-{label}-{}.{format}", Uuid::new_v4());
            temporary(context).join(name)
        },
        Path::to_owned,
    );
    create_private(&path, &bytes).map_err(|error| unwritten(&path, &error.to_string()))?;
    Ok(Saved { path, format })
}

fn unwritten(path: &Path, why: &str) -> Failure {
    Failure::new(
        Kind::Failed,
        format!("The file {} cannot be written: {why}", path.display()),
    )
}

fn temporary(context: &Context) -> PathBuf {
    let folder = context.environment.get("TMPDIR").unwrap_or("/tmp");
    PathBuf::from(folder)
}

/// The ending of the file and its content. The ending becomes part of a path, so it is one only when it is a plain word.
fn decode(payload: &Value) -> Option<(String, Vec<u8>)> {
    let format = payload.some_text("format")?.to_ascii_lowercase();
    let plain = format.len() <= 8 && format.chars().all(|c| c.is_ascii_alphanumeric());
    let bytes = STANDARD.decode(payload.some_text("base64")?.trim()).ok()?;
    let ending = match format.as_str() {
        "jpeg" => "jpg".to_owned(),
        _ => format,
    };
    plain.then_some((ending, bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::super::context::tests::in_home;
    use super::*;

    #[test]
    fn a_picture_becomes_a_private_file() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().display().to_string();
        let context = in_home(home.path(), &[("TMPDIR", folder.as_str())]);
        let payload = json!({"format": "jpeg", "base64": "AAEC"});
        let saved = save(&context, &payload, "camera.snap", "camera-snap-front", None).unwrap();
        assert_eq!(std::fs::read(&saved.path).unwrap(), [0, 1, 2]);
        assert!(
            saved
                .line()
                .starts_with(&format!("MEDIA:{folder}/openclaw-camera-snap-front-"))
        );
        assert!(saved.line().ends_with(".jpg"));
        let mode = std::fs::metadata(&saved.path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);

        assert!(must_be_new(Some(&saved.path)).is_err());
        let again = save(&context, &payload, "camera.snap", "x", Some(&saved.path));
        assert!(again.is_err(), "nothing is overwritten");
    }

    #[test]
    fn a_node_does_not_choose_where_the_file_goes() {
        for payload in [
            json!({"format": "../../x", "base64": "AAEC"}),
            json!({"format": "png", "base64": "?"}),
            json!({"format": "png"}),
            json!(null),
        ] {
            assert_eq!(decode(&payload), None, "{payload}");
        }
    }
}
