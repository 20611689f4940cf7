//! Which of the owner's patterns a program fits.                                                (pure)
//!
//! A pattern means the file that its path leads to, as the program does: `/bin/echo` is `/usr/bin/echo` where one is a link to
//! the other, and a link in an allowed folder to a program outside is not allowed. Case counts.

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
}

/// Says why the program may run, if it may.
pub(crate) fn allows(
    entries: &[&AllowlistEntry],
    program: &Program,
    site: &Site<'_>,
) -> Option<Reason> {
    let path = program.located.real.to_str()?;
    let fits = |entry: &&&AllowlistEntry| {
        resolved(&entry.pattern, site).is_some_and(|pattern| {
            if glob::is_pattern(&pattern) {
                glob::matches(&pattern, path)
            } else {
                pattern == path
            }
        })
    };
    if let Some(entry) = entries.iter().find(fits) {
        return Some(Reason::Entry(entry.pattern.clone()));
    }
    is_safe(program, site).then_some(Reason::SafeBin)
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

/// Only the host's own program of the name counts, not another file that is called the same.
fn is_safe(program: &Program, site: &Site<'_>) -> bool {
    let Some(name) = program
        .located
        .found
        .file_name()
        .and_then(|name| name.to_str())
    else {
        return false;
    };
    let is_own = site
        .search(name)
        .is_some_and(|own| own.real == program.located.real);
    is_own
        && program.args_are_known
        && safe_bins::is_safe(name, &program.args, |arg| {
            site.files.is_file(&site.cwd.join(arg))
        })
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
            .link("/home/me/bin/list", "/usr/bin/ls")
            .link("/srv/tools", "/opt/Tools")
            .file("/work/notes");
        let path = [PathBuf::from("/usr/bin")];
        let site = Site {
            files: &table,
            cwd: Path::new("/work"),
            path: &path,
            home: Some(Path::new("/home/me")),
        };
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let judged = judge(&argv, &site).unwrap();
        let entry = entry(pattern);
        let verdict = judged
            .programs
            .iter()
            .all(|program| allows(&[&entry], program, &site).is_some());
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
}
