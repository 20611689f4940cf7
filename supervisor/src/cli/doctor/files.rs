//! What lies on the disk, looked at without following links and within bounds.

use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::signal::kill;
use nix::unistd::{AccessFlags, Pid, access};
use openclaw_shared::clock::WallTime;
use openclaw_shared::instance::{Environment, Identity};
use serde_json::Value;

use super::snapshot::{Disk, Entry, Kind, SocketSeen};

/// How many things in the state folder are looked at.
const MOST_ENTRIES: usize = 5_000;
/// How deep it is looked into.
const DEEPEST: usize = 5;
/// A lock of the Node version is a line.
const LARGEST_LOCK: u64 = 4 * 1024;

/// A thing on the disk; a link is looked at itself.
pub(super) fn entry(path: &Path) -> Option<Entry> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some(of_metadata(path.to_path_buf(), &metadata))
}

fn of_metadata(path: PathBuf, metadata: &Metadata) -> Entry {
    let file_type = metadata.file_type();
    let kind = if file_type.is_symlink() {
        Kind::Link
    } else if file_type.is_dir() {
        Kind::Folder
    } else if file_type.is_file() {
        Kind::File
    } else if file_type.is_socket() {
        Kind::Socket
    } else {
        Kind::Other
    };
    Entry {
        path,
        kind,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        modified: metadata.modified().map(WallTime::from).unwrap_or_default(),
    }
}

/// What lies in the state folder, in the order of its names. What agents and browsers work in is theirs.
pub(super) fn below(state_dir: &Path) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut folders = vec![(state_dir.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if found.len() >= MOST_ENTRIES {
                break;
            }
            let Some(entry) = entry(&path) else { continue };
            if depth == 0 && is_a_workplace(&path) {
                continue;
            }
            if entry.kind == Kind::Folder && depth < DEEPEST {
                folders.push((path, depth + 1));
            }
            found.push(entry);
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn is_a_workplace(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| {
        name.starts_with("workspace")
            || ["browser", "canvas", "sandboxes", "media"].contains(&&*name)
    })
}

/// Whether a file could be made in a folder.
pub(super) fn is_writable(folder: &Path) -> bool {
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// The text of a short file.
pub(super) fn text(path: &Path, largest: u64) -> Option<String> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(largest).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The local sockets of an instance, and whether anybody answers there.
pub(super) fn sockets(run_dir: &Path) -> Vec<SocketSeen> {
    let entries = fs::read_dir(run_dir).into_iter().flatten().flatten();
    let mut found: Vec<SocketSeen> = entries
        .filter_map(|found| entry(&found.path()))
        .filter(|entry| entry.kind == Kind::Socket)
        .map(|entry| SocketSeen {
            answers: UnixStream::connect(&entry.path).is_ok(),
            path: entry.path,
        })
        .collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Locks of the Node version whose process has ended.
pub(super) fn dead_locks(environment: &Environment) -> Vec<PathBuf> {
    let folder = environment.get("TMPDIR").unwrap_or("/tmp");
    let folder = Path::new(folder).join(format!("openclaw-{}", nix::unistd::geteuid()));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "lock")
        })
        .filter(|path| {
            let lock =
                text(path, LARGEST_LOCK).and_then(|text| serde_json::from_str::<Value>(&text).ok());
            let pid = lock.and_then(|lock| i32::try_from(lock["pid"].as_i64()?).ok());
            // Only a process that certainly is not there: one of another user is there as well.
            pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH))
        })
        .collect();
    found.sort();
    found
}

/// State folders of earlier names of the product that this instance does not use.
pub(super) fn legacy_folders(identity: &Identity) -> Vec<PathBuf> {
    // One that is only a link to the state folder is used, by its old name.
    let used = fs::canonicalize(&identity.state_dir).ok();
    [".clawdbot", ".moltbot", ".moldbot"]
        .into_iter()
        .map(|name| identity.home.join(name))
        .filter(|folder| *folder != identity.state_dir && folder.is_dir())
        .filter(|folder| used.is_none() || fs::canonicalize(folder).ok() != used)
        .collect()
}

/// Log files of the Node version.
pub(super) fn tmp_logs() -> Vec<Entry> {
    let entries = fs::read_dir("/tmp/openclaw")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<Entry> = entries
        .filter_map(|found| entry(&found.path()))
        .filter(|entry| entry.kind == Kind::File)
        .take(MOST_ENTRIES)
        .collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// How much room there is for the state, in the nearest folder that exists.
#[cfg_attr(
    target_os = "linux",
    expect(
        clippy::useless_conversion,
        reason = "the types of the two differ between systems"
    )
)]
pub(super) fn disk(state_dir: &Path) -> Option<Disk> {
    let folder = state_dir.ancestors().find(|folder| folder.exists())?;
    let room = nix::sys::statvfs::statvfs(folder).ok()?;
    let (blocks, size) = (
        u64::from(room.blocks_available()),
        u64::from(room.fragment_size()),
    );
    Some(Disk {
        free: blocks.saturating_mul(size),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn links_are_not_followed_and_workplaces_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir_all(state.join("workspace/deep")).unwrap();
        fs::create_dir_all(state.join("agents/main")).unwrap();
        fs::write(state.join("agents/main/a.json"), "{}").unwrap();
        fs::set_permissions(
            state.join("agents/main/a.json"),
            fs::Permissions::from_mode(0o640),
        )
        .unwrap();
        symlink("/", state.join("root")).unwrap();
        let found = below(&state);
        let names: Vec<_> = found
            .iter()
            .map(|entry| entry.path.strip_prefix(&state).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            names,
            ["agents", "agents/main", "agents/main/a.json", "root"]
        );
        assert_eq!((found[2].mode, found[3].kind), (0o640, Kind::Link));
    }

    #[test]
    fn a_link_to_the_state_folder_is_no_legacy() {
        let home = tempfile::tempdir().unwrap();
        let shown = home.path().display().to_string();
        let environment = Environment::from_pairs([("HOME", shown.as_str())], Path::new("/"));
        let profile = openclaw_shared::instance::Profile::parse("").unwrap();
        let identity = Identity::resolve(profile, &environment, &|_| false).unwrap();
        fs::create_dir(&identity.state_dir).unwrap();
        fs::create_dir(home.path().join(".moltbot")).unwrap();
        symlink(&identity.state_dir, home.path().join(".clawdbot")).unwrap();
        assert_eq!(legacy_folders(&identity), [home.path().join(".moltbot")]);
    }

    #[test]
    fn a_socket_answers_or_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let live = std::os::unix::net::UnixListener::bind(folder.path().join("a.sock")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("b.sock")).unwrap());
        fs::write(folder.path().join("c.sock"), "no socket").unwrap();
        let found = sockets(folder.path());
        assert_eq!(
            found.iter().map(|seen| seen.answers).collect::<Vec<_>>(),
            [true, false]
        );
        drop(live);
    }

    #[test]
    fn only_a_lock_of_a_process_that_has_ended_is_dead() {
        let folder = tempfile::tempdir().unwrap();
        let locks = folder
            .path()
            .join(format!("openclaw-{}", nix::unistd::geteuid()));
        fs::create_dir(&locks).unwrap();
        let own = std::process::id();
        fs::write(locks.join("gateway.a.lock"), format!("{{\"pid\":{own}}}")).unwrap();
        // No process has this number: it is beyond what the system gives.
        fs::write(locks.join("gateway.b.lock"), "{\"pid\":2000000000}").unwrap();
        fs::write(locks.join("gateway.c.lock"), "nonsense").unwrap();
        let tmp = folder.path().to_str().unwrap().to_owned();
        let environment = Environment::from_pairs([("TMPDIR", tmp.as_str())], Path::new("/"));
        assert_eq!(dead_locks(&environment), [locks.join("gateway.b.lock")]);
    }
}
