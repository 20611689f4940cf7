//! Who could put another program into the place of the one that a service starts. For a service of the whole system that is somebody who
//! could do whatever its user may.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, User};

/// As many links as the system follows.
const MAX_LINKS: usize = 40;
const WRITABLE_BY_ALL: u32 = 0o002;
const WRITABLE_BY_GROUP: u32 = 0o020;
/// In such a folder everybody may only replace what is their own.
const STICKY: u32 = 0o1000;

/// The first thing on the way to a program that a third user could replace: somebody who is neither root nor the user `name`, as whom the
/// service runs. What is not there is nobody's.
pub(crate) fn replaceable(program: &Path, name: &str) -> Option<PathBuf> {
    let uid = User::from_name(name).ok().flatten()?.uid.as_raw();
    let is_known = |member: &String| member == "root" || member == name;
    let has_strangers = |gid: u32| {
        let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
        group.is_some_and(|group| !group.mem.iter().all(is_known))
    };
    way(program).into_iter().find(|path| {
        std::fs::metadata(path).is_ok_and(|found| is_open(&found, uid, &has_strangers))
    })
}

/// Whether somebody else can replace it, or what is in it.
fn is_open(found: &Metadata, uid: u32, has_strangers: &dyn Fn(u32) -> bool) -> bool {
    let (mode, owner) = (found.mode(), found.uid());
    if owner != 0 && owner != uid {
        return true;
    }
    if found.is_dir() && mode & STICKY != 0 {
        return false;
    }
    let by_group = mode & WRITABLE_BY_GROUP != 0 && has_strangers(found.gid());
    mode & WRITABLE_BY_ALL != 0 || by_group
}

/// Everything that is passed on the way to a file, by whatever links.
fn way(file: &Path) -> BTreeSet<PathBuf> {
    let mut passed = BTreeSet::new();
    let mut next = vec![file.to_path_buf()];
    let mut links = 0;
    while let Some(path) = next.pop() {
        for part in path.ancestors() {
            if !passed.insert(part.to_path_buf()) {
                continue;
            }
            if let (Ok(target), Some(folder)) = (std::fs::read_link(part), part.parent())
                && links < MAX_LINKS
            {
                links += 1;
                next.push(folder.join(target));
            }
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn own_name() -> String {
        let user = User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
        user.name
    }

    #[test]
    fn a_folder_that_everybody_can_write_is_named_also_behind_a_link() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (bin, real) = (root.join("bin"), root.join("real"));
        for folder in [&bin, &real] {
            fs::create_dir(folder).unwrap();
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        let program = real.join("openclaw");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        symlink("../real/openclaw", bin.join("openclaw")).unwrap();
        let found = |mode: u32| {
            fs::set_permissions(&real, Permissions::from_mode(mode)).unwrap();
            replaceable(&bin.join("openclaw"), &own_name())
        };
        assert_eq!(found(0o755), None);
        let open = found(0o757).unwrap();
        assert_eq!(open.canonicalize().unwrap(), real);
        assert_eq!(found(0o1777), None, "in a sticky folder what is ours stays");
        fs::set_permissions(&program, Permissions::from_mode(0o757)).unwrap();
        let open = found(0o755).unwrap();
        assert_eq!(open.canonicalize().unwrap(), program);
    }

    #[test]
    fn what_belongs_to_somebody_else_and_what_a_group_may_write_is_judged_by_who_that_is() {
        let folder = tempfile::tempdir().unwrap();
        let (own, path) = (nix::unistd::geteuid().as_raw(), folder.path());
        let open = |mode: u32, uid: u32, strangers: bool| {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            is_open(&fs::metadata(path).unwrap(), uid, &|_| strangers)
        };
        assert!(!open(0o775, own, false) && open(0o775, own, true));
        // It is root's then, who can do everything anyway.
        assert_eq!(open(0o755, own + 1, false), own != 0);
    }
}
