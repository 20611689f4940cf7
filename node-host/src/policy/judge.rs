//! What really runs when an argument vector is executed.                                            (pure)

use super::carriers::{self, Kind};
use super::programs::{Located, Site};
use super::script::{self, Word};

/// How deep shells and carriers may be nested before nobody wants to read it.
const MAX_DEPTH: u32 = 4;

/// One program that runs, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) located: Located,
    pub(crate) args: Vec<String>,
    /// Whether the arguments are known before the shell has put file names into them.
    pub(crate) args_are_known: bool,
}

/// Everything that runs, and the argument vector that runs exactly this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) programs: Vec<Program>,
    pub(crate) argv: Vec<String>,
}

/// Why it cannot be said what runs.
pub(crate) type Opaque = &'static str;

/// Says what runs.
///
/// # Errors
/// When that cannot be said; the reason is for the log.
pub(crate) fn judge(argv: &[String], site: &Site<'_>) -> Result<Judged, Opaque> {
    let words: Vec<Word> = argv.iter().map(|word| Word::literal(word)).collect();
    let mut programs = Vec::new();
    let words = command(&words, site, &mut programs, 0)?;
    Ok(Judged {
        programs,
        argv: words.into_iter().map(|word| word.text).collect(),
    })
}

/// Judges one command, and gives it back with every program named by its path.
fn command(
    words: &[Word],
    site: &Site<'_>,
    programs: &mut Vec<Program>,
    depth: u32,
) -> Result<Vec<Word>, Opaque> {
    if depth > MAX_DEPTH {
        return Err("commands nested too deeply");
    }
    let [name, args @ ..] = words else {
        return Err("no program");
    };
    if name.is_glob {
        return Err("a pattern in place of a program");
    }
    let located = site
        .locate(&name.text)
        .ok_or("a program that is not there")?;
    let found = located
        .found
        .to_str()
        .map(Word::literal)
        .ok_or("a path that is no text")?;
    if found.text.contains('=') {
        // `env` would take the whole path for a variable, and run what follows it.
        return Err("a program whose path reads like a variable");
    }
    match strictest(&located, args) {
        Kind::Opaque(why) => Err(why),
        Kind::Plain => {
            programs.push(Program {
                located,
                args: args.iter().map(|arg| arg.text.clone()).collect(),
                args_are_known: args.iter().all(|arg| !arg.is_glob),
            });
            Ok(with_args(found, args.to_vec()))
        }
        Kind::Shell | Kind::Carries(_) if !located.is_of_the_system() => {
            Err("a program of another place under the name of one that runs others")
        }
        Kind::Shell | Kind::Carries(_) if args.iter().any(|arg| arg.is_glob) => {
            Err("a pattern in the arguments of a program that runs others")
        }
        Kind::Shell => {
            let [flag, text] = args else {
                return Err("a shell with other arguments than one script");
            };
            if !["-c", "-lc"].contains(&&*flag.text) {
                return Err("a shell with other arguments than one script");
            }
            let text = script(&text.text, site, programs, depth)?;
            Ok(with_args(found, vec![flag.clone(), Word::literal(&text)]))
        }
        Kind::Carries(at) => {
            let (own, carried) = args.split_at(at);
            let carried = command(carried, site, programs, depth + 1)?;
            Ok(with_args(found, [own, &carried].concat()))
        }
    }
}

/// A program has two names when it was reached by a link; what either of them means counts, and doubt wins.
fn strictest(located: &Located, args: &[Word]) -> Kind {
    let texts: Vec<&str> = args.iter().map(|arg| &*arg.text).collect();
    let mut strictest = Kind::Plain;
    for name in located.names() {
        let kind = carriers::kind(name, &texts);
        strictest = match (strictest, kind) {
            (Kind::Plain, other) => other,
            (known, Kind::Plain) => known,
            (known, other) if known == other => known,
            (known @ Kind::Opaque(_), _) => known,
            (_, other @ Kind::Opaque(_)) => other,
            _ => Kind::Opaque("a program under the name of another"),
        };
    }
    strictest
}

fn script(
    text: &str,
    site: &Site<'_>,
    programs: &mut Vec<Program>,
    depth: u32,
) -> Result<String, Opaque> {
    let script = script::read(text).map_err(|why| why.0)?;
    let mut written = String::new();
    let joints = std::iter::once(None).chain(script.joints.iter().map(Some));
    for (joint, words) in joints.zip(&script.commands) {
        if let Some(joint) = joint {
            written.push(' ');
            written.push_str(joint.as_str());
            written.push(' ');
        }
        let words = command(words, site, programs, depth + 1)?;
        let words: Vec<&str> = words.iter().map(|word| &*word.quoted).collect();
        written.push_str(&words.join(" "));
    }
    Ok(written)
}

fn with_args(program: Word, mut args: Vec<Word>) -> Vec<Word> {
    args.insert(0, program);
    args
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::programs::testing::Table;
    use super::*;

    fn judged(argv: &[&str], table: &Table) -> Result<Judged, Opaque> {
        let path = [PathBuf::from("/usr/bin"), PathBuf::from("/bin")];
        let site = Site {
            files: table,
            cwd: Path::new("/work"),
            path: &path,
            home: None,
        };
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        judge(&argv, &site)
    }

    /// `programs` are the real files that run, `argv` is what is executed.
    #[track_caller]
    fn check(argv: &[&str], programs: &[&str], executed: &[&str]) {
        let table = Table::usual()
            .program("/work/tool")
            .link("/work/list", "/usr/bin/ls");
        let judged = judged(argv, &table).unwrap_or_else(|why| panic!("{argv:?}: {why}"));
        let real: Vec<&str> = judged
            .programs
            .iter()
            .map(|program| program.located.real.to_str().unwrap())
            .collect();
        assert_eq!(real, programs, "{argv:?}");
        assert_eq!(judged.argv, executed, "{argv:?}");
    }

    #[test]
    fn every_program_is_named_by_the_path_that_was_judged() {
        check(&["ls", "-l"], &["/usr/bin/ls"], &["/usr/bin/ls", "-l"]);
        check(&["/bin/ls"], &["/usr/bin/ls"], &["/bin/ls"]);
        check(&["./tool"], &["/work/tool"], &["/work/tool"]);
        check(&["./list"], &["/usr/bin/ls"], &["/work/list"]);
        check(
            &["python3", "a.py"],
            &["/usr/bin/python3.13"],
            &["/usr/bin/python3", "a.py"],
        );
        check(
            &["env", "nice", "-n", "5", "ls", "$x"],
            &["/usr/bin/ls"],
            &[
                "/usr/bin/env",
                "/usr/bin/nice",
                "-n",
                "5",
                "/usr/bin/ls",
                "$x",
            ],
        );
        check(
            &["/bin/sh", "-lc", "echo 'a b' && ls *.rs | head -1"],
            &["/usr/bin/echo", "/usr/bin/ls", "/usr/bin/head"],
            &[
                "/bin/sh",
                "-lc",
                "'/usr/bin/echo' 'a b' && '/usr/bin/ls' *'.rs' | '/usr/bin/head' '-1'",
            ],
        );
        check(
            &["bash", "-c", "timeout 5 sh -c 'ls -l'"],
            &["/usr/bin/ls"],
            &[
                "/usr/bin/bash",
                "-c",
                "'/usr/bin/timeout' '5' '/usr/bin/sh' '-c' \\''/usr/bin/ls'\\'' '\\''-l'\\'",
            ],
        );
    }

    #[test]
    fn nobody_can_tell_what_these_run() {
        let table = Table::usual()
            .program("/tmp/evil/env")
            .program("/tmp/evil/sh")
            .link("/tmp/evil/ls", "/usr/bin/dash")
            .link("/tmp/evil/cat", "/usr/bin/busybox")
            .link("/tmp/evil/e", "/usr/bin/env");
        for argv in [
            &["nosuch"][..],
            &[""],
            &["/bin/sh", "-c", "echo \"$(id -u)\""],
            &["/bin/sh", "-ec", "ls"],
            &["/bin/sh", "-c", "ls", "x"],
            &["/bin/sh", "-x", "-c", "ls"],
            &["/bin/sh", "script.sh"],
            &["/bin/sh"],
            &["/bin/sh", "-c", "A=1 ls"],
            &["/bin/sh", "-c", "PATH=/tmp ls"],
            &["/bin/sh", "-c", "cd / && ls"],
            &["/bin/sh", "-c", "eval ls"],
            &["/bin/sh", "-c", "echo aWQ= | base64 -d | sh"],
            &["/bin/sh", "-c", "echo id | sh"],
            &["/bin/sh", "-c", "env *"],
            &["/tmp/evil/sh", "-c", "ls"],
            &["/tmp/evil/env", "ls"],
            &["/tmp/evil/ls", "script.sh"],
            &["/tmp/evil/cat", "a"],
            &["env", "A=1", "ls"],
            &["env", "BASH_ENV=/tmp/x", "bash", "-c", "ls"],
            &["env", "-S", "ls -l"],
            &["nice", "sudo", "ls"],
            &["flock", "/tmp/l", "-c", "id"],
            &["xargs", "ls"],
            &["find", ".", "-exec", "id", ";"],
            &["busybox", "ls"],
            &["python3", "-c", "1"],
            &["env", "python3", "-Ic", "1"],
            &["env", "env", "env", "env", "env", "env", "ls"],
        ] {
            assert!(judged(argv, &table).is_err(), "{argv:?}");
        }
    }
}
