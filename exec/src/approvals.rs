//! The owner's file of what may be executed: read before anything runs, and kept up with what is used.
//!
//! A file that cannot be understood allows nothing. Others on this machine may change the same file, so that each change is made on
//! what the file is at that moment. All of this waits for the disk and is done aside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::exec_approvals::{
    self, AllowlistEntry, ApprovalsError, ApprovalsFile, ApprovalsSnapshot,
};
use openclaw_shared::protocol::strict::Int;

use crate::policy::decide::Used;
use crate::policy::resolve;

/// How old the note of a use may get. Each note changes the file's hash, and whoever is editing it then has to begin again.
const NOTE_EVERY: Duration = Duration::from_secs(600);

/// The file.
#[derive(Debug, Clone)]
pub struct Approvals {
    path: PathBuf,
}

impl Approvals {
    /// The file at this path, which need not be there.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What may be executed.
    ///
    /// # Errors
    /// When the file is there and cannot be read or understood.
    pub fn file(&self) -> Result<ApprovalsFile, ApprovalsError> {
        exec_approvals::load(&self.path).map(understood)
    }

    /// Adds programs to the list of an agent.
    ///
    /// # Errors
    /// When the file cannot be understood or written.
    pub fn remember(
        &self,
        agent: Option<&str>,
        programs: &[String],
        command: &str,
        now: WallTime,
    ) -> Result<(), ApprovalsError> {
        if programs.is_empty() {
            return Ok(());
        }
        exec_approvals::change(&self.path, |current| {
            let mut file = understood(current.clone());
            let agents = file.agents.get_or_insert_default();
            let agent = agents.entry(resolve::name(agent).to_owned()).or_default();
            let list = agent.allowlist.get_or_insert_default();
            for program in programs {
                if list.iter().all(|entry| entry.pattern != *program) {
                    list.push(AllowlistEntry {
                        id: None,
                        pattern: program.clone(),
                        last_used_at: millis(now),
                        last_used_command: Some(command.to_owned()),
                        last_resolved_path: Some(program.clone()),
                    });
                }
            }
            Ok(Some(file))
        })
        .map(|_| ())
    }

    /// Notes that entries were used.
    ///
    /// # Errors
    /// When the file cannot be understood or written.
    pub fn note(
        &self,
        agent: Option<&str>,
        used: &[Used],
        command: &str,
        now: WallTime,
    ) -> Result<(), ApprovalsError> {
        // Most uses are noted already; only for the others is the lock taken.
        if with_notes(self.file()?, agent, used, command, now).is_none() {
            return Ok(());
        }
        exec_approvals::change(&self.path, |current| {
            let file = understood(current.clone());
            Ok(with_notes(file, agent, used, command, now))
        })
        .map(|_| ())
    }
}

/// The file with the names that are used today. What has no id gets one when the file is written.
fn understood(read: ApprovalsSnapshot) -> ApprovalsFile {
    let mut file = read.file.normalized(String::new);
    let agents = file.agents.iter_mut().flat_map(BTreeMap::values_mut);
    for entry in agents
        .filter_map(|agent| agent.allowlist.as_mut())
        .flatten()
    {
        entry.id.take_if(|id| id.is_empty());
    }
    file
}

/// The file with notes of uses, if there are any to be made.
fn with_notes(
    mut file: ApprovalsFile,
    agent: Option<&str>,
    used: &[Used],
    command: &str,
    now: WallTime,
) -> Option<ApprovalsFile> {
    let names = [resolve::name(agent), resolve::EVERY];
    let agents = file.agents.iter_mut().flatten();
    let entries = agents
        .filter(|(name, _)| names.contains(&name.as_str()))
        .filter_map(|(_, agent)| agent.allowlist.as_mut())
        .flatten();
    let mut changed = false;
    for entry in entries {
        let Some(used) = used.iter().find(|used| used.pattern == entry.pattern) else {
            continue;
        };
        let last = entry.last_used_at.map_or(0, Int::get_unsigned);
        if now.since(WallTime::from_millis(last)) < NOTE_EVERY {
            continue;
        }
        entry.last_used_at = millis(now);
        entry.last_used_command = Some(command.to_owned());
        entry.last_resolved_path = Some(used.path.clone());
        changed = true;
    }
    changed.then_some(file)
}

fn millis(now: WallTime) -> Option<Int<0>> {
    Int::new(i64::try_from(now.as_millis()).ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    fn used(pattern: &str) -> [Used; 1] {
        [Used {
            pattern: pattern.to_owned(),
            path: "/usr/bin/echo".to_owned(),
        }]
    }

    #[test]
    fn a_use_is_noted_seldom_and_for_whom_it_was() {
        let folder = TempDir::new().unwrap();
        let approvals = Approvals::at(folder.path().join("exec-approvals.json"));
        let file = json!({"version": 1, "agents": {"main": {"allowlist": [{"id": "a", "pattern": "/bin/echo"}]},
            "other": {"allowlist": [{"id": "b", "pattern": "/bin/echo"}]}}});
        std::fs::write(approvals.path(), file.to_string()).unwrap();
        let at = |millis: u64| WallTime::from_millis(1_700_000_000_000 + millis);
        let last = || {
            let agents = approvals.file().unwrap().agents.unwrap();
            let of = |agent: &str| {
                let list = agents[agent].allowlist.as_ref().unwrap();
                list[0].last_used_at.map(Int::get_unsigned)
            };
            (of("main"), of("other"))
        };
        approvals
            .note(None, &used("/bin/echo"), "echo", at(0))
            .unwrap();
        assert_eq!(last(), (Some(1_700_000_000_000), None));
        approvals
            .note(None, &used("/bin/echo"), "echo", at(1_000))
            .unwrap();
        assert_eq!(last(), (Some(1_700_000_000_000), None));
        approvals
            .note(None, &used("/bin/echo"), "echo", at(600_000))
            .unwrap();
        assert_eq!(last(), (Some(1_700_000_600_000), None));
    }

    #[test]
    fn an_entry_without_an_id_gets_one_with_its_first_use() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("exec-approvals.json");
        let text = r#"{"version":1,"agents":{"default":{"allowlist":[{"pattern":"/bin/echo"}]}}}"#;
        std::fs::write(&path, text).unwrap();
        let approvals = Approvals::at(path);
        approvals
            .note(None, &used("/bin/echo"), "echo", WallTime::now())
            .unwrap();
        let agents = approvals.file().unwrap().agents.unwrap();
        let entry = &agents["main"].allowlist.as_ref().unwrap()[0];
        assert!(entry.id.is_some() && entry.last_used_at.is_some());
    }

    #[test]
    fn a_remembered_program_is_listed_once() {
        let folder = TempDir::new().unwrap();
        let approvals = Approvals::at(folder.path().join("exec-approvals.json"));
        for _ in 0..2 {
            let programs = ["/usr/bin/ls".to_owned()];
            approvals
                .remember(Some("work"), &programs, "ls", WallTime::now())
                .unwrap();
        }
        let file = approvals.file().unwrap();
        let list = file.agents.unwrap()["work"].allowlist.clone().unwrap();
        assert_eq!(list.len(), 1);
        assert!(list[0].id.as_ref().is_some_and(|id| !id.is_empty()));
    }
}
