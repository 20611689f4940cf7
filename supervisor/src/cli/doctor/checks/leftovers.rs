//! What earlier lives, earlier names and other versions have left.                                         (pure)

use std::path::PathBuf;
use std::time::Duration;

use super::super::finding::{Code, Finding, Repair};
use super::super::snapshot::{Entry, Kind, Snapshot};

/// A write takes less than a second; what is older was given up.
const GIVEN_UP: Duration = Duration::from_secs(600);

pub(super) fn sockets(snapshot: &Snapshot) -> Vec<Finding> {
    if snapshot.running.status().is_some() {
        return Vec::new();
    }
    let stale: Vec<PathBuf> = snapshot
        .sockets
        .iter()
        .filter(|socket| !socket.answers)
        .map(|socket| socket.path.clone())
        .collect();
    let [first, ..] = &stale[..] else {
        return Vec::new();
    };
    let finding = Finding::new(
        Code::SocketStale,
        format!(
            "Nobody answers on {}; an instance that was killed has left {}.",
            counted(stale.len(), "this local socket", "local sockets"),
            if stale.len() == 1 { "it" } else { "them" }
        ),
    )
    .at(snapshot.shown(first));
    vec![finding.repair(Repair::Delete(stale))]
}

pub(super) fn locks(snapshot: &Snapshot) -> Vec<Finding> {
    let [first, ..] = &snapshot.dead_locks[..] else {
        return Vec::new();
    };
    let what = format!(
        "The Node version has left {}, and what held it has ended. That stands in nobody's way.",
        counted(snapshot.dead_locks.len(), "this lock", "locks")
    );
    vec![Finding::new(Code::LockStale, what).at(snapshot.shown(first))]
}

pub(super) fn half_written(snapshot: &Snapshot) -> Vec<Finding> {
    let left: Vec<PathBuf> = snapshot
        .entries
        .iter()
        .filter(|entry| entry.uid == snapshot.uid && is_half_written(snapshot, entry))
        .map(|entry| entry.path.clone())
        .collect();
    let [first, ..] = &left[..] else {
        return Vec::new();
    };
    let finding = Finding::new(
        Code::HalfWritten,
        format!(
            "A write that was interrupted has left {}.",
            counted(left.len(), "this file", "files")
        ),
    )
    .at(snapshot.shown(first));
    vec![finding.repair(Repair::Delete(left))]
}

/// `<name>.<pid>.<16 hexadecimal digits>.tmp`: what is written beside a file before it takes its place.
fn is_half_written(snapshot: &Snapshot, entry: &Entry) -> bool {
    let name = entry
        .path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let mut parts = name.rsplit('.');
    let fits = parts.next() == Some("tmp")
        && parts.next().is_some_and(|random| {
            random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
        && parts
            .next()
            .is_some_and(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()) && !pid.is_empty())
        && parts.next().is_some_and(|before| !before.is_empty());
    fits && entry.kind == Kind::File && snapshot.now.since(entry.modified) > GIVEN_UP
}

pub(super) fn legacy(snapshot: &Snapshot) -> Vec<Finding> {
    let mut found = Vec::new();
    for folder in &snapshot.legacy_folders {
        let shown = snapshot.shown(folder);
        let advice = format!(
            "Take over what is in it: {}. It is only read.",
            snapshot.command(&format!("doctor --from {}", folder.display()))
        );
        found.push(
            Finding::new(
                Code::LegacyFolder,
                "The state of an earlier name of the product lies here, and is not used.",
            )
            .at(shown)
            .advice(advice),
        );
    }
    for name in &snapshot.legacy_variables {
        let newer = name
            .replacen("CLAWDBOT_", "OPENCLAW_", 1)
            .replacen("MOLTBOT_", "OPENCLAW_", 1);
        found.push(
            Finding::new(
                Code::LegacyVariable,
                "This variable is of an earlier name of the product.",
            )
            .at(name.clone())
            .advice(format!("Call it {newer}.")),
        );
    }
    found
}

pub(super) fn tmp_logs(snapshot: &Snapshot) -> Vec<Finding> {
    let readable: Vec<&Entry> = snapshot
        .tmp_logs
        .iter()
        .filter(|entry| entry.uid == snapshot.uid && entry.is_readable())
        .collect();
    let [first, ..] = readable[..] else {
        return Vec::new();
    };
    let finding = Finding::new(
        Code::TmpLogs,
        format!(
            "The Node version logs where every user of this machine can read it ({}), and it logs what it was asked.",
            counted(readable.len(), "1 file", "files")
        ),
    )
    .at(snapshot.shown(&first.path))
    .advice("Delete them when they are not needed any more; this version logs into its state folder.");
    vec![finding]
}

fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => one.to_owned(),
        count => format!("{count} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::snapshot::SocketSeen;
    use super::super::super::snapshot::tests::entry;
    use super::super::testing::{codes, found};
    use super::*;

    #[test]
    fn only_sockets_on_which_nobody_answers_are_deleted() {
        let with = |seen: &mut Snapshot| {
            let socket = |name: &str, answers| SocketSeen {
                path: PathBuf::from(name),
                answers,
            };
            seen.sockets = vec![socket("/r/a.sock", true), socket("/r/b.sock", false)];
        };
        let found = found(sockets, with);
        assert_eq!(
            found[0].repair,
            Some(Repair::Delete(vec![PathBuf::from("/r/b.sock")]))
        );
    }

    #[test]
    fn a_file_that_is_being_written_is_left_alone() {
        let with = |age: Duration| {
            move |seen: &mut Snapshot| {
                let mut file = entry("openclaw.json.4711.00ff00ff00ff00ff.tmp", Kind::File, 0o600);
                let now = seen.now.as_millis();
                file.modified = openclaw_shared::clock::WallTime::from_millis(
                    now - u64::try_from(age.as_millis()).unwrap(),
                );
                seen.entries.push(file);
                // What is called otherwise is not ours to judge.
                for name in ["a.tmp", "x.1.zz.tmp", ".tmp", "notes.1.00ff00ff00ff00ff"] {
                    let mut other = entry(name, Kind::File, 0o600);
                    other.modified = openclaw_shared::clock::WallTime::from_millis(1);
                    seen.entries.push(other);
                }
            }
        };
        assert_eq!(
            codes(half_written, with(Duration::from_secs(5))),
            [] as [&str; 0]
        );
        let found = found(half_written, with(Duration::from_secs(5_000)));
        assert!(
            matches!(&found[0].repair, Some(Repair::Delete(paths)) if paths.len() == 1),
            "{found:?}"
        );
    }

    #[test]
    fn what_others_have_left_is_named_and_never_deleted() {
        let locks = found(locks, |seen| {
            seen.dead_locks = vec![PathBuf::from("/tmp/x.lock")]
        });
        let legacy = found(legacy, |seen| {
            seen.legacy_folders = vec![PathBuf::from("/home/me/.clawdbot")];
            seen.legacy_variables = vec!["CLAWDBOT_GATEWAY_TOKEN".to_owned()];
        });
        let logs = found(tmp_logs, |seen| {
            let mut log = entry("x", Kind::File, 0o644);
            log.path = PathBuf::from("/tmp/openclaw/openclaw-2026-01-01.log");
            seen.tmp_logs = vec![log];
        });
        for found in locks.iter().chain(&legacy).chain(&logs) {
            assert_eq!(found.repair, None, "{found:?}");
        }
        assert!(
            legacy[0]
                .advice
                .as_deref()
                .unwrap()
                .contains("doctor --from /home/me/.clawdbot")
        );
        assert!(
            legacy[1]
                .advice
                .as_deref()
                .unwrap()
                .contains("OPENCLAW_GATEWAY_TOKEN")
        );
    }
}
