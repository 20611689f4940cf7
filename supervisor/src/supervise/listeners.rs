//! The public ports and the local sockets of an instance, bound once and handed down.
//!
//! Invariant: no child binds. A socket lives as long as the supervisor, so connections wait in its backlog while a child is
//! down or being replaced.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{
    AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd,
};
use std::path::PathBuf;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, getsockname, listen,
    setsockopt, socket, sockopt,
};
use openclaw_shared::child::inheritance::Use;
use openclaw_shared::control::ChildName;
use openclaw_shared::instance::Instance;
use openclaw_shared::ipc;
use openclaw_shared::paths::RunPaths;
use openclaw_shared::serve::inherited;

/// Connections that may wait for a child; deep enough for everybody to reconnect at once.
const BACKLOG: i32 = 1_024;

/// A listening TCP socket of an instance.
#[derive(Debug)]
pub(crate) struct Public {
    pub(crate) address: SocketAddr,
    descriptor: OwnedFd,
}

/// Everything that is listened on. While a configuration is rolled out this holds the sockets of both.
#[derive(Debug)]
pub(crate) struct Listeners {
    public: Vec<Public>,
    local: BTreeMap<ChildName, OwnedFd>,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub(crate) struct BindError {
    pub(crate) child: ChildName,
    pub(crate) address: SocketAddr,
    pub(crate) source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} cannot listen on {}: {}",
            self.child, self.address, self.source
        )
    }
}

impl BindError {
    /// Whether somebody else has the port.
    pub(crate) fn is_busy(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// The addresses that each child is to listen on. The first of a child is required; IPv6 loopback beside IPv4 loopback is
/// taken where the machine has it.
pub(crate) fn wanted(instance: &Instance, child: ChildName) -> Vec<(SocketAddr, bool)> {
    let (hosts, port) = match child {
        ChildName::Gateway => (instance.hosts.clone(), instance.ports.gateway),
        ChildName::CanvasHost => (instance.hosts.clone(), instance.ports.canvas_host),
        ChildName::BrowserControl => (
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            instance.ports.browser_control,
        ),
    };
    let mut addresses: Vec<(SocketAddr, bool)> = hosts
        .iter()
        .map(|host| (SocketAddr::new(*host, port), true))
        .collect();
    if hosts.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST))
        && !hosts.contains(&IpAddr::V6(Ipv6Addr::LOCALHOST))
    {
        addresses.push((SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port), false));
    }
    addresses
}

impl Listeners {
    /// Binds the local sockets; public ones come from the service manager, or with [`Listeners::ensure`].
    ///
    /// # Errors
    /// As the system says for a local socket.
    pub(crate) fn new(instance: &Instance, activated: Vec<Public>) -> io::Result<Self> {
        let run = RunPaths(&instance.run_dir);
        ipc::private_folder(&instance.run_dir)?;
        let mut local = BTreeMap::new();
        for child in ChildName::ALL {
            local.insert(child, ipc::bind_inherited(&run.service(child))?);
        }
        Ok(Self {
            public: activated,
            local,
        })
    }

    /// Goes on with sockets that were handed over.
    pub(crate) fn resumed(
        public: Vec<(SocketAddr, OwnedFd)>,
        local: BTreeMap<ChildName, OwnedFd>,
    ) -> Self {
        let public = public.into_iter().map(|(address, descriptor)| Public {
            address,
            descriptor,
        });
        Self {
            public: public.collect(),
            local,
        }
    }

    /// All sockets, to be handed over.
    pub(crate) fn into_parts(self) -> (Vec<(SocketAddr, OwnedFd)>, BTreeMap<ChildName, OwnedFd>) {
        let public = self.public.into_iter();
        let public = public.map(|public| (public.address, public.descriptor));
        (public.collect(), self.local)
    }

    /// Binds what these children need and is not bound yet.
    ///
    /// # Errors
    /// The first address that cannot be listened on; then nothing has changed.
    pub(crate) fn ensure(
        &mut self,
        instance: &Instance,
        children: &[ChildName],
    ) -> Result<(), BindError> {
        let bound_before = self.public.len();
        for child in children.iter().copied() {
            for (address, required) in wanted(instance, child) {
                if self.public.iter().any(|public| public.address == address) {
                    continue;
                }
                match listen_on(address) {
                    Ok(public) => self.public.push(public),
                    Err(source) if !required && source.kind() != io::ErrorKind::AddrInUse => {
                        tracing::debug!(
                            target: "supervisor",
                            %address,
                            error = %source,
                            "no IPv6 loopback on this machine"
                        );
                    }
                    Err(source) => {
                        self.public.truncate(bound_before);
                        return Err(BindError {
                            child,
                            address,
                            source,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// The addresses that are listened on although none of these children needs them.
    pub(crate) fn idle(&self, instance: &Instance, children: &[ChildName]) -> Vec<SocketAddr> {
        let needed = needed(instance, children);
        let all = self.public.iter().map(|public| public.address);
        all.filter(|address| !needed.contains(address)).collect()
    }

    /// Closes what these children do not need. Connections still waiting on such a socket are refused: its port is given up.
    pub(crate) fn release_others(&mut self, instance: &Instance, children: &[ChildName]) {
        let needed = needed(instance, children);
        self.public
            .retain(|public| needed.contains(&public.address));
    }

    /// What a child of this instance is to inherit, by use.
    pub(crate) fn of(&self, instance: &Instance, child: ChildName) -> Vec<(Use, BorrowedFd<'_>)> {
        let addresses = wanted(instance, child);
        let public = self
            .public
            .iter()
            .filter(|public| {
                addresses
                    .iter()
                    .any(|(address, _)| *address == public.address)
            })
            .map(|public| (Use::Tcp, public.descriptor.as_fd()));
        let local = self.local.get(&child).map(|fd| (Use::Local, fd.as_fd()));
        public.chain(local).collect()
    }

    /// `name address`, one for each public listener that these children use.
    pub(crate) fn describe(&self, instance: &Instance, children: &[ChildName]) -> Vec<String> {
        let named = children.iter().flat_map(|child| {
            wanted(instance, *child)
                .into_iter()
                .filter(|(address, _)| self.public.iter().any(|public| public.address == *address))
                .map(move |(address, _)| format!("{child} {address}"))
        });
        named.collect()
    }
}

fn needed(instance: &Instance, children: &[ChildName]) -> Vec<SocketAddr> {
    let wanted = children.iter().flat_map(|child| wanted(instance, *child));
    wanted.map(|(address, _)| address).collect()
}

fn listen_on(address: SocketAddr) -> io::Result<Public> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(family, SockType::Stream, flags, None)?;
    // A port just released is free again at once; a port somebody listens on stays busy.
    setsockopt(&descriptor, sockopt::ReuseAddr, &true)?;
    if family == AddressFamily::Inet6 {
        setsockopt(&descriptor, sockopt::Ipv6V6Only, &true)?;
    }
    inherited::set(&descriptor)?;
    bind(descriptor.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&descriptor, Backlog::new(BACKLOG)?)?;
    Ok(Public {
        address,
        descriptor,
    })
}

/// The TCP listeners that a service manager handed down (`LISTEN_FDS`).
pub(crate) fn activated_sockets() -> Vec<Public> {
    let Ok(descriptors) = sd_notify::listen_fds() else {
        return Vec::new();
    };
    descriptors.filter_map(adopt).collect()
}

#[expect(
    unsafe_code,
    reason = "an inherited descriptor is known by its number alone"
)]
fn adopt(fd: RawFd) -> Option<Public> {
    // SAFETY: `LISTEN_PID` named this process, so the service manager opened this descriptor for it and nothing else owns it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = getsockname::<SockaddrStorage>(descriptor.as_raw_fd())
        .ok()
        .and_then(|name| {
            let v4 = name
                .as_sockaddr_in()
                .map(|v4| SocketAddr::from((v4.ip(), v4.port())));
            v4.or_else(|| {
                name.as_sockaddr_in6()
                    .map(|v6| SocketAddr::from((v6.ip(), v6.port())))
            })
        });
    match address {
        Some(address) => {
            // A shallow backlog of the unit file is deepened; listening again on a listening socket only changes that.
            if let Err(error) = inherited::set(&descriptor) {
                tracing::warn!(target: "supervisor", %address, %error, "cannot set what connections inherit");
            }
            let deepened = Backlog::new(BACKLOG).and_then(|backlog| listen(&descriptor, backlog));
            if let Err(error) = deepened {
                tracing::warn!(target: "supervisor", %address, %error, "inherited socket does not listen");
                return None;
            }
            Some(Public {
                address,
                descriptor,
            })
        }
        None => {
            // Not ours to close: a descriptor store of the service manager may hold other things.
            let _ = descriptor.into_raw_fd();
            None
        }
    }
}

/// Where each child serves the others.
pub(crate) fn local_sockets(instance: &Instance) -> BTreeMap<ChildName, PathBuf> {
    let run = RunPaths(&instance.run_dir);
    ChildName::ALL
        .into_iter()
        .map(|child| (child, run.service(child)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{Public, listen_on};

    fn free_address() -> std::net::SocketAddr {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    }

    #[test]
    fn a_port_somebody_listens_on_is_busy_and_a_released_one_is_not() {
        let address = free_address();
        let first: Public = listen_on(address).unwrap();
        let refused = listen_on(address).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse);
        drop(first);
        listen_on(address).unwrap();
    }

    #[test]
    fn connections_wait_while_nobody_accepts() {
        let address = free_address();
        let _listener = listen_on(address).unwrap();
        let waiting: Vec<_> = (0..200)
            .map(|_| std::net::TcpStream::connect(address).unwrap())
            .collect();
        assert_eq!(waiting.len(), 200);
    }
}
