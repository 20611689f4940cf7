//! Local sockets between processes of one user.
//!
//! Invariant: a socket lives in a folder of mode 0700, is itself 0600 from the moment it exists, and a peer of another user
//! is turned away before a byte is read. A path that is a link, or a socket somebody still answers on, is left alone.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::Path;

use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName as _};
use interprocess::os::unix::local_socket::ListenerOptionsExt as _;
use nix::unistd::geteuid;

pub use interprocess::local_socket::tokio::{Listener, Stream};

pub mod codec;

/// The process at the other end of a local socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerProcess {
    /// Its process id, where the system tells it, and where it can be seen from here.
    pub pid: Option<u32>,
}

/// Creates a private folder (0700), or tightens one that is ours and open to others.
///
/// # Errors
/// When it cannot be created, is not a folder, or belongs to another user.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let metadata = fs::symlink_metadata(folder)?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is not a folder of this user", folder.display()),
        ));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Binds a local socket of mode 0600. A stale socket file is replaced once a connect has shown that nobody answers on it.
///
/// # Errors
/// `AddrInUse` when somebody answers there, or when the path is no socket; else as the system says.
pub fn bind(path: &Path) -> io::Result<Listener> {
    remove_stale(path)?;
    let name = path.to_fs_name::<GenericFilePath>()?;
    ListenerOptions::new()
        .name(name)
        .mode(0o600)
        .reclaim_name(false)
        .create_tokio()
}

/// Binds a local socket, as [`bind`] does, for a process that inherits the descriptor.
///
/// # Errors
/// As [`bind`].
pub fn bind_inherited(path: &Path) -> io::Result<OwnedFd> {
    remove_stale(path)?;
    let name = path.to_fs_name::<GenericFilePath>()?;
    let options = ListenerOptions::new()
        .name(name)
        .mode(0o600)
        .reclaim_name(false);
    let listener =
        options.create_sync_as::<interprocess::os::unix::uds_local_socket::Listener>()?;
    Ok(OwnedFd::from(listener))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let in_use = |what: &str| {
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("{} {what}", path.display()),
        ))
    };
    if !metadata.file_type().is_socket() {
        return in_use("is not a socket");
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => in_use("is answered by a running process"),
        Err(_) => fs::remove_file(path),
    }
}

/// Connects to a local socket.
///
/// # Errors
/// As the system says: `NotFound` or `ConnectionRefused` when nobody listens.
pub async fn connect(path: &Path) -> io::Result<Stream> {
    Stream::connect(path.to_fs_name::<GenericFilePath>()?).await
}

/// The descriptor of a stream, for a process that goes on with it.
///
/// # Errors
/// As the system says.
pub fn into_descriptor(stream: Stream) -> io::Result<OwnedFd> {
    match stream {
        Stream::UdSocket(stream) => OwnedFd::try_from(stream),
    }
}

/// Goes on with a stream by its descriptor.
///
/// # Errors
/// As the system says.
pub fn stream_from(descriptor: OwnedFd) -> io::Result<Stream> {
    interprocess::os::unix::uds_local_socket::tokio::Stream::try_from(descriptor).map(Stream::from)
}

/// The descriptor of a listener, for a process that goes on with it.
///
/// # Errors
/// As the system says.
pub fn listener_into_descriptor(listener: Listener) -> io::Result<OwnedFd> {
    match listener {
        Listener::UdSocket(listener) => OwnedFd::try_from(listener),
    }
}

/// Goes on with a listener by its descriptor; the file of its socket stays as it is.
///
/// # Errors
/// As the system says.
pub fn listener_from(descriptor: OwnedFd) -> io::Result<Listener> {
    interprocess::os::unix::uds_local_socket::tokio::Listener::try_from(descriptor)
        .map(Listener::from)
}

/// Checks that a socket is one that this user's own processes have made: a socket, not a link to one, of this user, in a folder that
/// nobody else can write to or look into. Ask [`check_peer`] too: this is about the path, that about who answers.
///
/// # Errors
/// `NotFound` when there is nothing, `PermissionDenied` when it is something else.
pub fn check_private(path: &Path) -> io::Result<()> {
    let not_ours = |path: &Path, what: &str| {
        io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is not {what} of this user alone", path.display()),
        )
    };
    let own = geteuid().as_raw();
    if let Some(folder) = path.parent() {
        let metadata = fs::symlink_metadata(folder)?;
        if !metadata.is_dir() || metadata.uid() != own || metadata.mode() & 0o077 != 0 {
            return Err(not_ours(folder, "a folder"));
        }
    }
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.file_type().is_socket() || metadata.uid() != own {
        return Err(not_ours(path, "a socket"));
    }
    Ok(())
}

/// Checks that the peer runs as our own user.
///
/// # Errors
/// `PermissionDenied` for another user, or when the system does not tell.
pub fn check_peer(stream: &Stream) -> io::Result<PeerProcess> {
    let (user, pid) = peer_of(stream)?;
    if user != Some(geteuid().as_raw()) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the peer of a local socket is another user",
        ));
    }
    Ok(PeerProcess {
        pid: pid
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid > 0),
    })
}

/// The user and the process at the other end. A process that cannot be seen from here, because it is outside of the container that we are
/// in, has the number 0; its user is told all the same. A socket without a peer has a user that nobody is.
#[cfg(target_os = "linux")]
fn peer_of(stream: &Stream) -> io::Result<(Option<u32>, Option<i32>)> {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
    let Stream::UdSocket(stream) = stream;
    let told = getsockopt(stream, PeerCredentials)?;
    Ok((Some(told.uid()), Some(told.pid())))
}

#[cfg(not(target_os = "linux"))]
fn peer_of(stream: &Stream) -> io::Result<(Option<u32>, Option<i32>)> {
    use interprocess::local_socket::traits::StreamCommon as _;
    let told = stream.peer_creds()?;
    Ok((told.euid(), told.pid()))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::fs::PermissionsExt as _;

    use interprocess::local_socket::traits::tokio::Listener as _;

    use super::{bind, check_peer, connect, private_folder};

    #[tokio::test]
    async fn rule_104_a_socket_is_private_and_knows_its_peer() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        private_folder(&run).unwrap();
        // One that was left open to others is closed to them.
        std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755)).unwrap();
        private_folder(&run).unwrap();
        let path = run.join("x.sock");
        let listener = bind(&path).unwrap();
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&run), mode(&path)), (0o700, 0o600));
        let (accepted, _connected) =
            tokio::join!(listener.accept(), async { connect(&path).await.unwrap() });
        assert_eq!(
            check_peer(&accepted.unwrap()).unwrap().pid,
            Some(std::process::id())
        );
    }

    #[tokio::test]
    async fn rule_104_a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let live = bind(&path).unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(live);
    }

    #[tokio::test]
    async fn rule_104_a_file_or_a_link_in_the_way_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        std::fs::write(&target, "precious").unwrap();
        let link = folder.path().join("x.sock");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(bind(&link).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    }
}
