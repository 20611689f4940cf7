//! What the kernel knows about a process tree: who is in it, how much memory and how much processor time each took.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use openclaw_tests::process::all;

/// One process of a tree, with the name of its program in full (the kernel's short name is cut after 15 bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) name: String,
}

/// The process and everything that descends from it, parents first.
pub(crate) fn tree(root: i32) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for process in all() {
        children
            .entry(process.parent)
            .or_default()
            .push(process.pid);
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        // A process that ends while the tree is walked is not part of it.
        if let Some(name) = name(pid) {
            found.push(Process { pid, name });
            next.extend(children.remove(&pid).unwrap_or_default().into_iter().rev());
        }
    }
    found
}

fn name(pid: i32) -> Option<String> {
    let program = procfs::process::Process::new(pid).ok()?.exe().ok()?;
    Some(program.file_name()?.to_string_lossy().into_owned())
}

/// The proportional set size in bytes: memory that is shared counts in equal parts for each process that shares it.
pub(crate) fn pss(pid: i32) -> Result<u64> {
    let process = procfs::process::Process::new(pid).context("the process is gone")?;
    let rollup = process
        .smaps_rollup()
        .context("cannot read its memory")?
        .memory_map_rollup;
    let total = rollup
        .0
        .first()
        .and_then(|map| map.extension.map.get("Pss"));
    total
        .copied()
        .context("this kernel does not tell the proportional set size")
}

/// What is resident of a process, in bytes, whoever shares it.
fn resident(pid: i32) -> Result<u64> {
    let process = procfs::process::Process::new(pid).context("the process is gone")?;
    let pages = process.stat().context("cannot read its memory")?.rss;
    Ok(pages * procfs::page_size())
}

/// The proportional set size of all processes of a tree together, in megabytes.
pub(crate) fn tree_megabytes(root: i32) -> f64 {
    megabytes_of(root, pss)
}

/// What is resident of all processes of a tree, in megabytes; what they share counts for each of them.
pub(crate) fn resident_megabytes(root: i32) -> f64 {
    megabytes_of(root, resident)
}

fn megabytes_of(root: i32, of: fn(i32) -> Result<u64>) -> f64 {
    // A process that ends while the tree is walked has no memory any longer.
    let kilobytes = tree(root)
        .iter()
        .filter_map(|process| of(process.pid).ok())
        .sum::<u64>()
        / 1000;
    f64::from(u32::try_from(kilobytes).unwrap_or(u32::MAX)) / 1000.0
}

/// The processor time that the living threads of a process have taken, in nanoseconds' precision.
pub(crate) fn cpu(pid: i32) -> Result<Duration> {
    let process = procfs::process::Process::new(pid).context("the process is gone")?;
    let threads = process.tasks().context("cannot list its threads")?;
    // A thread that ends meanwhile has no numbers any longer.
    let times = threads.filter_map(|thread| thread.ok()?.schedstat().ok());
    Ok(times
        .map(|time| Duration::from_nanos(time.sum_exec_runtime))
        .sum())
}

/// The processor time of each process of a tree, to be compared with a later one.
pub(crate) struct CpuMark(HashMap<i32, Duration>);

impl CpuMark {
    pub(crate) fn set(root: i32) -> Result<Self> {
        let mut marks = HashMap::new();
        for process in tree(root) {
            marks.insert(process.pid, cpu(process.pid)?);
        }
        Ok(Self(marks))
    }

    /// What each process of the tree has taken since the mark was set.
    pub(crate) fn since(&self, root: i32) -> Result<Vec<(Process, Duration)>> {
        tree(root)
            .into_iter()
            .map(|process| {
                let before = self.0.get(&process.pid).copied().unwrap_or_default();
                let taken = cpu(process.pid)?.saturating_sub(before);
                Ok((process, taken))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_name_memory_and_processor_time() {
        let own = i32::try_from(std::process::id()).unwrap();
        let tree = tree(own);
        assert_eq!(tree[0].pid, own);
        assert!(tree[0].name.starts_with("bench"));
        assert!(pss(own).unwrap() > 0);
        assert!(cpu(own).unwrap() > Duration::ZERO);
    }
}
