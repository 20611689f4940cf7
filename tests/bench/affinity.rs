//! Which processor clients and servers run on. Only main threads are moved: the helper threads of a runtime (garbage collection,
//! compilation) keep all processors.

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::process;

/// While this lives, this thread and the main threads of the tree share one processor, for the load of one connection with one
/// request in flight.
///
/// There the two take turns and never work at the same time. On two processors most of a round trip is then spent on
/// waking the other one, which a virtual machine makes many times dearer than any work done here, and which is a figure
/// of the hypervisor. On one processor the round trip is what client and server spend.
pub(crate) struct OneProcessor {
    _moved: Moved,
}

impl OneProcessor {
    pub(crate) fn shared_with(root: i32) -> Result<Self> {
        let mut moved = Moved::nobody()?;
        let one = moved.last()?;
        moved.to(one, [Pid::from_raw(0)])?;
        moved.to(one, tree(root))?;
        Ok(Self { _moved: moved })
    }
}

/// While this lives, the main threads of the tree have a processor of their own, as far as this thread is concerned: what this
/// thread does to the server costs the server no more than the server spends on it. Whoever floods a gateway does so from
/// elsewhere; on one processor both would wait for the end of each other's time slices, and for each other's packets.
pub(crate) struct Apart {
    _moved: Moved,
    of_server: CpuSet,
}

impl Apart {
    pub(crate) fn from(root: i32) -> Result<Self> {
        let mut moved = Moved::nobody()?;
        let of_server = moved.last()?;
        let mut others = moved.before;
        for cpu in (0..CpuSet::count()).filter(|cpu| of_server.is_set(*cpu).unwrap_or(false)) {
            others.unset(cpu).context("a processor out of range")?;
        }
        moved.to(of_server, tree(root))?;
        // A machine with one processor has no others.
        if others != CpuSet::new() {
            moved.to(others, [Pid::from_raw(0)])?;
        }
        Ok(Self {
            _moved: moved,
            of_server,
        })
    }

    /// Where the server runs.
    pub(crate) const fn of_server(&self) -> CpuSet {
        self.of_server
    }
}

/// Moves this thread.
pub(crate) fn go_to(processors: CpuSet) {
    // Wherever it runs, it runs.
    sched_setaffinity(Pid::from_raw(0), &processors).ok();
}

fn tree(root: i32) -> Vec<Pid> {
    let tree = process::tree(root);
    tree.iter()
        .map(|process| Pid::from_raw(process.pid))
        .collect()
}

/// Who has been moved, until it is dropped.
struct Moved {
    who: Vec<Pid>,
    before: CpuSet,
}

impl Moved {
    fn nobody() -> Result<Self> {
        let myself = Pid::from_raw(0);
        let before = sched_getaffinity(myself).context("cannot read the processors allowed")?;
        let who = Vec::new();
        Ok(Self { who, before })
    }

    /// The last processor that is allowed.
    fn last(&self) -> Result<CpuSet> {
        let last = (0..CpuSet::count())
            .rev()
            .find(|cpu| self.before.is_set(*cpu).unwrap_or(false));
        let mut one = CpuSet::new();
        one.set(last.context("no processor is allowed")?)
            .context("a processor out of range")?;
        Ok(one)
    }

    fn to(&mut self, processors: CpuSet, who: impl IntoIterator<Item = Pid>) -> Result<()> {
        for pid in who {
            self.who.push(pid);
            sched_setaffinity(pid, &processors)
                .with_context(|| format!("cannot move process {pid}"))?;
        }
        Ok(())
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        for pid in &self.who {
            // A process that is gone needs no processor.
            sched_setaffinity(*pid, &self.before).ok();
        }
    }
}
