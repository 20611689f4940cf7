//! Client and server on one processor, for the load of one connection with one request in flight.
//!
//! There the two take turns and never work at the same time. On two processors most of a round trip is then spent on
//! waking the other one, which a virtual machine makes many times dearer than any work done here, and which is a figure
//! of the hypervisor. On one processor the round trip is what client and server spend. Only main threads are moved: the
//! helper threads of a runtime (garbage collection, compilation) keep all processors.

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::process;

/// While this lives, this thread and the main threads of the tree share one processor.
pub(crate) struct OneProcessor {
    moved: Vec<Pid>,
    before: CpuSet,
}

impl OneProcessor {
    pub(crate) fn shared_with(root: i32) -> Result<Self> {
        let myself = Pid::from_raw(0);
        let before = sched_getaffinity(myself).context("cannot read the processors allowed")?;
        let last = (0..CpuSet::count())
            .rev()
            .find(|cpu| before.is_set(*cpu).unwrap_or(false));
        let mut one = CpuSet::new();
        one.set(last.context("no processor is allowed")?)
            .context("a processor out of range")?;

        let mut moved = vec![myself];
        moved.extend(
            process::tree(root)
                .iter()
                .map(|process| Pid::from_raw(process.pid)),
        );
        for pid in &moved {
            sched_setaffinity(*pid, &one).with_context(|| format!("cannot move process {pid}"))?;
        }
        Ok(Self { moved, before })
    }
}

impl Drop for OneProcessor {
    fn drop(&mut self) {
        for pid in &self.moved {
            // A process that is gone needs no processor.
            sched_setaffinity(*pid, &self.before).ok();
        }
    }
}
