//! Memory and CPU of the children and of this process, by `sysinfo`.

use std::collections::BTreeMap;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Resident memory in bytes.
    pub(crate) memory_bytes: u64,
    /// CPU time since its start, in milliseconds.
    pub(crate) cpu_ms: u64,
}

/// Samples the processes with these ids, and this one; one that is gone is left out.
pub(crate) fn usage(pids: &[u32]) -> BTreeMap<u32, Usage> {
    let all = pids.iter().copied().chain([std::process::id()]);
    let wanted: Vec<Pid> = all.map(Pid::from_u32).collect();
    let kind = ProcessRefreshKind::nothing()
        .with_memory()
        .with_cpu()
        .without_tasks();
    let Ok(mut system) = System::new() else {
        return BTreeMap::new();
    };
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&wanted), true, kind);
    let sampled = wanted.into_iter().filter_map(|pid| {
        let process = system.process(pid)?;
        let usage = Usage {
            memory_bytes: process.memory(),
            cpu_ms: process.accumulated_cpu_time(),
        };
        Some((pid.as_u32(), usage))
    });
    sampled.collect()
}

/// The resident memory of one process in bytes, with what it shares with others. It is asked so often that it has to be cheap: one
/// short file.
#[cfg(target_os = "linux")]
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    Some(process.statm().ok()?.resident * procfs::page_size())
}

/// As above, where there is no such file.
#[cfg(not(target_os = "linux"))]
pub(crate) fn resident(pid: u32) -> Option<u64> {
    usage(&[pid]).get(&pid).map(|usage| usage.memory_bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_sees_its_own_memory_and_a_missing_one_is_left_out() {
        let own = std::process::id();
        let usage = super::usage(&[u32::MAX - 1]);
        assert_eq!(usage.len(), 1);
        assert!(usage[&own].memory_bytes > 100_000);
        assert!(super::resident(own).unwrap() > 100_000);
        assert_eq!(super::resident(u32::MAX - 1), None);
    }
}
