//! Which of the owner's patterns a program fits.                                                (pure)
//!
//! A pattern means the file that its path leads to, as the program does: `/bin/echo` is `/usr/bin/echo` where one is a link to
//! the other, and a link in an allowed folder to a program outside is not allowed. Case counts.

use std::collections::BTreeSet;
use std::path::Path;

use openclaw_shared::exec_approvals::AllowlistEntry;

use super::glob;
use super::judge::Program;
use super::programs::{Site, real};
use super::safe_bins;

/// Why a program may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The entry with this pattern.
    Entry(String),
    /// It works on its standard input only.
    SafeBin,
    /// A skill is known to need it.
    Skill,
}

/// What is allowed, for one decision.
pub(crate) struct Allowed<'a> {
    /// The patterns of the entries, and what each comes to; links in them are followed once for all programs.
    patterns: Vec<(&'a str, String)>,
    /// The names of the programs of skills.
    skills: &'a BTreeSet<String>,
    site: &'a Site<'a>,
}

impl<'a> Allowed<'a> {
    pub(crate) fn new(
        entries: &[&'a AllowlistEntry],
        skills: &'a BTreeSet<String>,
        site: &'a Site<'a>,
    ) -> Self {
        let patterns = entries.iter().map(|entry| &*entry.pattern);
        Self {
            patterns: patterns
                .filter_map(|pattern| Some((pattern, resolved(pattern, site)?)))
                .collect(),
            skills,
            site,
        }
    }

    /// Says why the program may run, if it may.
    pub(crate) fn allows(&self, program: &Program) -> Option<Reason> {
        let path = program.located.real.to_str()?;
        let fits = |(_, resolved): &&(&str, String)| {
            if glob::is_pattern(resolved) {
                glob::matches(resolved, path)
            } else {
                resolved == path
            }
        };
        if let Some((pattern, _)) = self.patterns.iter().find(fits) {
            return Some(Reason::Entry((*pattern).to_owned()));
        }
        let name = self.own_name(program)?;
        if is_safe(name, program, self.site) {
            return Some(Reason::SafeBin);
        }
        self.skills.contains(name).then_some(Reason::Skill)
    }

    /// The name of a program of the host's own, and none for another file that is called the same.
    fn own_name<'b>(&self, program: &'b Program) -> Option<&'b str> {
        let name = program.located.found.file_name()?.to_str()?;
        let own = self.site.search(name)?;
        (own.real == program.located.real).then_some(name)
    }
}

/// An entry that was never used.
#[cfg(test)]
pub(crate) fn entry(pattern: &str) -> AllowlistEntry {
    AllowlistEntry {
        id: None,
        pattern: pattern.to_owned(),
        last_used_at: None,
        last_used_command: None,
        last_resolved_path: None,
    }
}

/// The pattern with its fixed part free of links. One that names no place is none.
fn resolved(pattern: &str, site: &Site<'_>) -> Option<String> {
    let pattern = match pattern.strip_prefix("~/") {
        Some(rest) => format!("{}/{rest}", site.home?.to_str()?),
        None => pattern.to_owned(),
    };
    if !pattern.starts_with('/') {
        return None;
    }
    let Some(first) = pattern.find(['*', '?']) else {
        let file = real(site.files, Path::new(&pattern));
        return Some(
            file.and_then(|file| Some(file.to_str()?.to_owned()))
                .unwrap_or(pattern),
        );
    };
    let folder = pattern[..first].rfind('/')?;
    let real = site.files.canonical(Path::new(&pattern[..folder]));
    Some(match real.as_deref().and_then(Path::to_str) {
        Some(real) if folder > 0 => format!("{real}{}", &pattern[folder..]),
        Some(_) | None => pattern,
    })
}

fn is_safe(name: &str, program: &Program, site: &Site<'_>) -> bool {
    let is_file = |arg: &str| site.files.is_file(&site.cwd.join(arg));
    program.args_are_known && safe_bins::is_safe(name, &program.args, is_file)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::judge::judge;
    use super::super::programs::testing::Table;
    use super::*;

    #[track_caller]
    fn check(pattern: &str, argv: &[&str], allowed: bool) {
        let table = Table::usual()
            .program("/home/me/bin/tool")
            .program("/opt/Tools/Run")
            .program("/tmp/evil/grep")
            .program("/usr/bin/skilled")
            .program("/tmp/evil/skilled")
            .link("/home/me/bin/list", "/usr/bin/ls")
            .link("/srv/tools", "/opt/Tools")
            .file("/srv/notes");
        let path = [PathBuf::from("/usr/bin")];
        let site = Site {
            files: &table,
            cwd: Path::new("/srv"),
            path: &path,
            home: Some(Path::new("/home/me")),
        };
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let judged = judge(&argv, &site).unwrap();
        let entry = entry(pattern);
        let skills = ["skilled".to_owned()].into();
        let allowed_here = Allowed::new(&[&entry], &skills, &site);
        let verdict = judged
            .programs
            .iter()
            .all(|program| allowed_here.allows(program).is_some());
        assert_eq!(verdict, allowed, "{pattern} {argv:?}");
    }

    #[test]
    fn patterns_mean_real_files() {
        check("/bin/echo", &["echo", "a"], true);
        check("/usr/bin/echo", &["/bin/echo", "a"], true);
        check("/bin/ec*", &["echo", "a"], true);
        check("/bin/Echo", &["echo", "a"], false);
        check("/USR/bin/echo", &["echo", "a"], false);
        check("echo", &["echo", "a"], false);
        check("*", &["echo", "a"], false);
        check("**/echo", &["echo", "a"], false);
        check("/**/echo", &["echo", "a"], true);
        check("~/bin/*", &["/home/me/bin/tool"], true);
        check("~/bin/*", &["/home/me/bin/list"], false);
        check("/usr/bin/ls", &["/home/me/bin/list"], true);
        check("/srv/tools/*", &["/opt/Tools/Run"], true);
        check("/opt/Tools/Run", &["/srv/tools/Run"], true);
        check("/opt/tools/run", &["/opt/Tools/Run"], false);
    }

    #[test]
    fn every_part_of_a_pipeline_counts() {
        check("/bin/echo", &["sh", "-lc", "echo a && echo b"], true);
        check("/bin/echo", &["sh", "-lc", "echo a && ls"], false);
        check("/bin/echo", &["sh", "-lc", "echo a | wc -l"], true);
        check("/bin/echo", &["sh", "-lc", "echo a | wc -l notes"], false);
        check("/bin/echo", &["sh", "-lc", "echo a | wc *"], false);
        check("/usr/bin/dash", &["sh", "-lc", "ls"], false);
        check("/usr/bin/*", &["timeout", "5", "/home/me/bin/tool"], false);
    }

    #[test]
    fn a_safe_program_is_the_hosts_own() {
        check("/none", &["grep", "a"], true);
        check("/none", &["/usr/bin/grep", "a"], true);
        check("/none", &["/tmp/evil/grep", "a"], false);
    }

    #[test]
    fn a_program_of_a_skill_is_the_hosts_own() {
        check("/none", &["skilled", "a"], true);
        check("/none", &["/tmp/evil/skilled", "a"], false);
        check("/none", &["sh", "-c", "skilled; ls"], false);
    }
}
