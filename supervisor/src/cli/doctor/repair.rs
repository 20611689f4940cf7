//! Does what the findings propose. A file that is changed is copied first; nothing of somebody else's is deleted.
//!
//! Invariant: a repair is done once. What it was for is not found any more, so that a second run has nothing to do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use openclaw_shared::clock::WallTime;
use openclaw_shared::config::write::create_private;

use super::super::config_edit::{self, Edit};
use super::super::context::Context;
use super::super::own_program;
use super::finding::{Finding, Repair, State};
use super::narrow::narrow;
use crate::service::Reinstall;
use crate::supervise::start::random_token;

/// Repairs those findings that `wanted` names by their place in the list.
pub(super) async fn repair(context: &Context, findings: &mut [Finding], wanted: &[usize]) {
    let mut edits = Vec::new();
    let mut edited = Vec::new();
    for &index in wanted {
        let Some(repair) = findings[index].repair.clone() else {
            continue;
        };
        let done = match repair {
            Repair::RemoveKeys(keys) => {
                edits.extend(keys.into_iter().map(Edit::Unset));
                edited.push(index);
                continue;
            }
            Repair::MoveKey { from, to, value } => {
                edits.extend([Edit::Set(to, value), Edit::Unset(from)]);
                edited.push(index);
                continue;
            }
            Repair::Narrow(paths) => narrow(&paths).map(|()| None),
            Repair::Delete(paths) => delete(&paths).map(|()| None),
            Repair::MakeToken(path) => make_token(&path).map(|()| None),
            Repair::Reinstall { unit, by } => reinstall(context, &unit, &by).await.map(Some),
        };
        findings[index].state = state(done);
    }
    // All changes of the file are one: one copy, and one reload of what runs.
    if !edits.is_empty() {
        let done = state(edit(context, &edits).await.map(Some));
        for index in edited {
            findings[index].state = done.clone();
        }
    }
}

fn state(done: Result<Option<PathBuf>, String>) -> State {
    match done {
        Ok(backup) => State::Fixed { backup },
        Err(why) => State::Failed(why),
    }
}

fn delete(paths: &[PathBuf]) -> Result<(), String> {
    for path in paths {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn make_token(path: &Path) -> Result<(), String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    let token = random_token().map_err(told)?;
    create_private(path, token.as_bytes()).map_err(told)
}

async fn edit(context: &Context, edits: &[Edit]) -> Result<PathBuf, String> {
    let backup = back_up(&context.identity.config_path)?;
    config_edit::apply(context, edits)
        .await
        .map_err(|failure| failure.message)?;
    Ok(backup)
}

/// Has this program install the service anew, as a person would.
async fn reinstall(context: &Context, unit: &Path, by: &Reinstall) -> Result<PathBuf, String> {
    let backup = back_up(unit)?;
    own_program::run(context, &by.words())
        .await
        .map_err(|failure| failure.message)?;
    Ok(backup)
}

/// A copy beside the file, for its owner only: `openclaw.json.bak-20261123T073312.274Z`.
fn back_up(path: &Path) -> Result<PathBuf, String> {
    let told = |error: io::Error| format!("{} cannot be copied: {error}", path.display());
    let bytes = fs::read(path).map_err(told)?;
    let backup = backup_path(path, WallTime::now());
    create_private(&backup, &bytes).map_err(told)?;
    Ok(backup)
}

fn backup_path(path: &Path, now: WallTime) -> PathBuf {
    let time: String = now
        .to_rfc3339()
        .chars()
        .filter(|c| !matches!(c, '-' | ':'))
        .collect();
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".bak-{time}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use openclaw_shared::config::KeyPath;
    use serde_json::json;

    use super::super::super::context::tests::in_home;
    use super::super::finding::{Code, Narrowing};
    use super::*;

    #[test]
    fn a_copy_is_named_for_its_time() {
        let now = WallTime::from_millis(1_795_331_418_235);
        assert_eq!(
            backup_path(Path::new("/s/openclaw.json"), now),
            Path::new("/s/openclaw.json.bak-20261122T071018.235Z")
        );
    }

    #[tokio::test]
    async fn changes_of_the_file_share_one_copy() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join(".openclaw");
        fs::create_dir(&state).unwrap();
        let file = state.join("openclaw.json");
        let text = "{\n  // mine\n  zzyzx: 1,\n  gateway: { token: \"t\" },\n}\n";
        fs::write(&file, text).unwrap();
        let path = |keys: &str| KeyPath::of_keys(keys.split('.'));
        let finding = |repair| Finding::new(Code::ConfigUnknownKey, "x").repair(repair);
        let mut findings = [
            finding(Repair::RemoveKeys(vec![path("zzyzx")])),
            Finding::new(Code::ConfigOdd, "not wanted"),
            finding(Repair::MoveKey {
                from: path("gateway.token"),
                to: path("gateway.auth.token"),
                value: json!("t"),
            }),
        ];
        repair(&in_home(home.path(), &[]), &mut findings, &[0, 2]).await;
        let State::Fixed {
            backup: Some(backup),
        } = &findings[0].state
        else {
            panic!("{findings:?}");
        };
        assert_eq!(findings[2].state, findings[0].state);
        assert_eq!(findings[1].state, State::Left);
        assert_eq!(fs::read_to_string(backup).unwrap(), text);
        let mended = fs::read_to_string(&file).unwrap();
        assert!(
            mended.contains("// mine") && !mended.contains("zzyzx"),
            "{mended}"
        );
        let mended = in_home(home.path(), &[]);
        let loaded = mended.loaded().as_ref().unwrap();
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.raw["gateway"]["auth"]["token"], "t");
    }

    #[tokio::test]
    async fn a_repair_that_does_not_work_says_why() {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        let narrowing = Narrowing {
            path: link,
            mode: 0o600,
        };
        let mut findings =
            [Finding::new(Code::StateOpen, "x").repair(Repair::Narrow(vec![narrowing]))];
        repair(&in_home(home.path(), &[]), &mut findings, &[0]).await;
        assert!(
            matches!(&findings[0].state, State::Failed(why) if why.contains("has become a link")),
            "{findings:?}"
        );
    }

    #[test]
    fn a_token_that_is_there_is_not_made_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("s/gateway-token");
        make_token(&path).unwrap();
        let token = fs::read_to_string(&path).unwrap();
        assert_eq!(token.len(), 64);
        assert!(make_token(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), token);
    }
}
