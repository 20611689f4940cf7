//! Blocks of ports that no other test has, in this process or another one.
//!
//! A block is held by a lock on a file in a folder that all tests of this user share, so it is free again when its holder
//! is gone, however that ended. Blocks lie below the range from which the system takes ports of outgoing connections.

use std::fs::{File, OpenOptions, create_dir_all, read_to_string};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

/// The first port of the first block. Below it lie the default ports and the places that profiles move to from there.
const FIRST: u16 = 21_000;
/// An instance uses its base port and up to 110 ports after it.
const BLOCK: u16 = 120;
/// Blocks end below this port, wherever the system's own range begins.
const END: u16 = 32_000;

/// A base port whose derived ports are free as well, for as long as this lives.
#[derive(Debug)]
pub struct PortBlock {
    base: u16,
    _lock: File,
}

impl PortBlock {
    /// Locks a block that is free.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn lock() -> Self {
        let end = ephemeral_start().min(END);
        let blocks = (end - FIRST) / BLOCK;
        // Processes begin at different places, so that they do not all try the same files first.
        let offset = u16::try_from(std::process::id() % u32::from(blocks)).unwrap_or_default();
        (0..blocks)
            .map(|index| FIRST + (index + offset) % blocks * BLOCK)
            .find_map(Self::try_lock)
            .expect("one of the blocks of ports is free; are other tests stuck?")
    }

    fn try_lock(base: u16) -> Option<Self> {
        let lock = lock_file(&base.to_string());
        lock.try_lock().ok()?;
        // A stranger that knows nothing of the locks may listen there.
        let is_free = |offset| TcpListener::bind((Ipv4Addr::LOCALHOST, base + offset)).is_ok();
        [0, 2, 3, 4]
            .into_iter()
            .all(is_free)
            .then_some(Self { base, _lock: lock })
    }

    /// The default ports of the product, when they are free; waits for other tests that use them.
    ///
    /// `None` when something that is no test listens on the default port.
    #[must_use]
    pub fn default_ports() -> Option<Self> {
        let base = openclaw_shared::ports::DEFAULT_BASE;
        let lock = lock_file("default");
        lock.lock().expect("a lock can be waited for");
        let is_free = |offset| TcpListener::bind((Ipv4Addr::LOCALHOST, base + offset)).is_ok();
        [0, 2, 4]
            .into_iter()
            .all(is_free)
            .then_some(Self { base, _lock: lock })
    }

    /// The base port.
    #[must_use]
    pub const fn base(&self) -> u16 {
        self.base
    }
}

fn lock_file(name: &str) -> File {
    let user = nix::unistd::geteuid();
    let folder: PathBuf = std::env::temp_dir().join(format!("openclaw-test-ports-{user}"));
    create_dir_all(&folder).expect("the folder of the port locks can be created");
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(name))
        .expect("the lock of a block of ports can be opened")
}

/// Where the system's range for outgoing connections begins.
fn ephemeral_start() -> u16 {
    let range = read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range
        .split_whitespace()
        .next()
        .and_then(|first| first.parse().ok());
    first.unwrap_or(END)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, PortBlock};

    #[test]
    fn two_blocks_do_not_overlap() {
        let (one, other) = (PortBlock::lock(), PortBlock::lock());
        assert!(one.base().abs_diff(other.base()) >= BLOCK);
    }
}
