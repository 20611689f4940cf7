//! Whether a user's services run while nobody is logged in.

use std::path::Path;

/// Where logind keeps who was allowed to linger: a file for each user. Reading it needs no bus.
const FOLDER: &str = "/var/lib/systemd/linger";

/// Whether the services of `user` go on when nobody is logged in; absent where the system does not say.
pub(crate) fn lingers(user: &str) -> Option<bool> {
    let folder = Path::new(FOLDER);
    // The folder appears with the first user who lingers, below one that logind's package brings.
    let known = folder.parent().is_some_and(Path::exists);
    known.then(|| folder.join(user).exists())
}

/// The command that lets them.
pub(crate) fn enable(user: &str) -> String {
    let sudo = if nix::unistd::geteuid().is_root() {
        ""
    } else {
        "sudo "
    };
    format!("{sudo}loginctl enable-linger {user}")
}
