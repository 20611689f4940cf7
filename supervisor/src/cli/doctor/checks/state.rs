//! The state folder: whether it can be used, by its owner and by nobody else.                              (pure)

use super::super::finding::{Code, Finding, Repair};
use super::super::snapshot::{Entry, Kind, Snapshot};
use super::security::narrowed;

pub(super) fn folder(snapshot: &Snapshot) -> Vec<Finding> {
    let path = &snapshot.identity.state_dir;
    let place = snapshot.shown(path);
    let Some(state) = &snapshot.state else {
        let finding = Finding::new(
            Code::StateMissing,
            "There is no state folder; it is made at the first start.",
        );
        return vec![finding.at(place)];
    };
    let unusable = |what: String, advice: String| {
        vec![
            Finding::new(Code::StateUnusable, what)
                .at(place.clone())
                .advice(advice),
        ]
    };
    match state.kind {
        Kind::Folder => {}
        Kind::Link => {
            return unusable(
                "The state folder is a link.".to_owned(),
                "Name the folder itself, in OPENCLAW_STATE_DIR.".to_owned(),
            );
        }
        Kind::File | Kind::Socket | Kind::Other => {
            return unusable(
                "What should be the state folder is none.".to_owned(),
                "Move it away.".to_owned(),
            );
        }
    }
    if state.uid != snapshot.uid {
        return unusable(
            "The state folder belongs to another user.".to_owned(),
            format!(
                "Take it over: sudo chown -R {} {}",
                snapshot.user,
                path.display()
            ),
        );
    }
    if !snapshot.state_is_writable {
        return unusable(
            "Nothing can be written to the state folder.".to_owned(),
            format!(
                "Look at its rights and at the disk: ls -ld {}",
                path.display()
            ),
        );
    }
    Vec::new()
}

/// Everything that others may do anything with: one finding, since it is one thing to do. Files with secrets that can be read have
/// their own.
pub(super) fn open_to_others(snapshot: &Snapshot) -> Vec<Finding> {
    let ours = |entry: &&Entry| entry.uid == snapshot.uid && entry.is_open();
    let state = snapshot
        .state
        .iter()
        .filter(|state| state.kind == Kind::Folder);
    let open: Vec<&Entry> = state.chain(&snapshot.entries).filter(ours).collect();
    let [first, ..] = open[..] else {
        return Vec::new();
    };
    let what = match &snapshot.state {
        Some(state) if state.is_open() => format!(
            "Other users of this machine can look into the state folder (mode {:04o} instead of 0700).",
            state.mode
        ),
        Some(_) | None => format!(
            "{} in the state folder would be open to other users if the folder were ({} for example).",
            match open.len() {
                1 => "1 file".to_owned(),
                count => format!("{count} files and folders"),
            },
            snapshot.shown(&first.path)
        ),
    };
    let finding = Finding::new(Code::StateOpen, what)
        .at(snapshot.shown(&snapshot.identity.state_dir))
        .repair(Repair::Narrow(open.into_iter().map(narrowed).collect()));
    vec![finding]
}

pub(super) fn foreign_files(snapshot: &Snapshot) -> Vec<Finding> {
    let foreign: Vec<&Entry> = snapshot
        .entries
        .iter()
        .filter(|entry| entry.uid != snapshot.uid)
        .collect();
    let [first, rest @ ..] = &foreign[..] else {
        return Vec::new();
    };
    let others = match rest.len() {
        0 => String::new(),
        count => format!(", and so do {count} others"),
    };
    let what = format!(
        "This file belongs to another user{others}; the gateway may fail to change it. A command that ran under sudo leaves such files."
    );
    let advice = format!(
        "Take them over: sudo chown -R {} {}",
        snapshot.user,
        snapshot.identity.state_dir.display()
    );
    let finding = Finding::new(Code::StateForeignFile, what)
        .at(snapshot.shown(&first.path))
        .advice(advice);
    vec![finding]
}

#[cfg(test)]
mod tests {
    use super::super::super::snapshot::tests::entry;
    use super::super::testing::{codes, found};
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_used_is_named_for_its_reason() {
        assert_eq!(codes(folder, |seen| seen.state = None), ["state-missing"]);
        let changes: [fn(&mut Snapshot); 4] = [
            |seen| seen.state_is_writable = false,
            |seen| seen.state.as_mut().unwrap().uid = 0,
            |seen| seen.state.as_mut().unwrap().kind = Kind::File,
            |seen| seen.state.as_mut().unwrap().kind = Kind::Link,
        ];
        for change in changes {
            let found = found(folder, change);
            assert_eq!(found[0].code, Code::StateUnusable);
            assert!(found[0].advice.is_some(), "{found:?}");
        }
    }

    #[test]
    fn what_is_open_is_closed_at_once() {
        let open = |seen: &mut Snapshot| {
            seen.state.as_mut().unwrap().mode = 0o755;
            seen.entries.push(entry("logs", Kind::Folder, 0o750));
            seen.entries.push(entry("a", Kind::Link, 0o777));
            seen.entries.push(entry("logs/x.log", Kind::File, 0o640));
        };
        let found = found(open_to_others, open);
        let Some(Repair::Narrow(paths)) = &found[0].repair else {
            panic!("{found:?}");
        };
        let modes: Vec<u32> = paths.iter().map(|path| path.mode).collect();
        assert_eq!(modes, [0o700, 0o700, 0o600]);
        assert!(found[0].what.contains("0755"), "{found:?}");
    }

    #[test]
    fn files_of_another_user_are_told_once() {
        let foreign = |seen: &mut Snapshot| {
            for name in ["a", "b", "c"] {
                let mut file = entry(name, Kind::File, 0o644);
                file.uid = 0;
                seen.entries.push(file);
            }
        };
        let found = found(foreign_files, foreign);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("2 others"), "{found:?}");
        assert!(found[0].advice.as_deref().unwrap().contains("chown -R me "));
        assert_eq!(codes(open_to_others, foreign), [] as [&str; 0]);
    }
}
