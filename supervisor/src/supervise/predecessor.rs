//! A predecessor that was killed. The system closes what it held one by one, so its sockets may outlive, for a moment, the
//! claim by which its end is known.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use openclaw_shared::control::ChildName;
use openclaw_shared::instance::Instance;
use openclaw_shared::paths::RunPaths;
use tokio::time::sleep;

use super::claims::{LOOKS, RETRY};
use crate::port_owner;

/// Waits until nothing of it is left, as long as its claim would have been waited for. Only for whoever holds the claim on the
/// state: then whatever still answers is on its way out, and what does not go is found when it is bound.
pub(crate) async fn gone(instance: &Instance, addresses: &[SocketAddr]) {
    let sockets = sockets(instance);
    for _ in 0..LOOKS {
        if !lingers(&sockets, addresses) {
            return;
        }
        sleep(RETRY).await;
    }
}

fn sockets(instance: &Instance) -> Vec<PathBuf> {
    let run = RunPaths(&instance.run_dir);
    let of_children = ChildName::ALL
        .into_iter()
        .flat_map(|child| [run.control(child), run.service(child)]);
    of_children.chain([run.supervisor()]).collect()
}

fn lingers(sockets: &[PathBuf], addresses: &[SocketAddr]) -> bool {
    sockets.iter().any(|path| UnixStream::connect(path).is_ok())
        || addresses
            .iter()
            .any(|address| is_held_by_the_dead(*address))
}

/// Whether somebody listens there and no process is seen to: one that is ending has no descriptors any more that could be
/// looked at.
fn is_held_by_the_dead(address: SocketAddr) -> bool {
    let is_busy =
        TcpListener::bind(address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    is_busy
        && port_owner::owners(address.port())
            .iter()
            .all(|owner| owner.pid.is_none())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::lingers;

    #[test]
    fn what_answers_on_a_socket_lingers_and_a_port_of_the_living_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let sockets = [path.clone()];
        assert!(!lingers(&sockets, &[]));
        let listener = UnixListener::bind(&path).unwrap();
        assert!(lingers(&sockets, &[]));
        drop(listener);
        assert!(!lingers(&sockets, &[]), "the file alone is no process");

        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(
            !lingers(&[], &[port.local_addr().unwrap()]),
            "this process holds it"
        );
    }
}
