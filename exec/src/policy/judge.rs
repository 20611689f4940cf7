//! What really runs when an argument vector is executed.                                            (pure)

use std::path::{Path, PathBuf};

use super::carriers::{self, Kind};
use super::programs::{Located, Site};
use super::script::{self, Word};

/// How deep shells and carriers may be nested before nobody wants to read it.
const MAX_DEPTH: u32 = 4;
/// The longest script that is read, in bytes.
const LONGEST_SCRIPT: usize = 16 * 1024;
/// So many programs are judged in one command. Each costs the file system a number of looks.
const MOST_PROGRAMS: usize = 64;

/// One program that runs, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) located: Located,
    pub(crate) args: Vec<String>,
    /// Whether the arguments are known before the shell has put file names into them.
    pub(crate) args_are_known: bool,
    /// Whether its work is its own, whatever its arguments are. Another may run anything when it is called once more.
    pub(crate) is_its_own_master: bool,
}

/// Everything that runs, and what runs exactly this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) programs: Vec<Program>,
    /// The file that is executed.
    pub(crate) file: PathBuf,
    /// Its argument vector; the first word is the path by which it was found.
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
    let command = command(&words, site, &mut programs, 0)?;
    let found = text_of(&command.located.found)?.to_owned();
    let args = command.args.into_iter().map(|word| word.text);
    Ok(Judged {
        programs,
        argv: std::iter::once(found).chain(args).collect(),
        file: command.located.run,
    })
}

/// A command that was judged.
struct Command {
    located: Located,
    args: Vec<Word>,
}

impl Command {
    /// The words that run it from within another program, which cannot be told to call it by another name than its file's.
    fn into_words(self) -> Result<Vec<Word>, Opaque> {
        if !self.located.keeps_name {
            return Err("a link to a program of another name");
        }
        let path = text_of(&self.located.run)?;
        if path.contains('=') {
            // `env` would take the whole path for a variable, and run what follows it.
            return Err("a program whose path reads like a variable");
        }
        Ok(with_args(Word::literal(path), self.args))
    }
}

/// Judges one command, and gives it back with every program named by the file that was judged.
fn command(
    words: &[Word],
    site: &Site<'_>,
    programs: &mut Vec<Program>,
    depth: u32,
) -> Result<Command, Opaque> {
    if depth > MAX_DEPTH {
        return Err("commands nested too deeply");
    }
    if programs.len() >= MOST_PROGRAMS {
        return Err("too many commands");
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
    let args_are_known = args.iter().all(|arg| !arg.is_glob);
    let mut args = args.to_vec();
    let kind = strictest(&located, &args, args_are_known);
    match kind {
        Kind::Opaque(why) => return Err(why),
        Kind::Plain | Kind::Delegates | Kind::Interprets => {
            if kind == Kind::Interprets {
                let file = site
                    .script(&args[0].text)
                    .ok_or("code that is in no file")?;
                args[0] = Word::literal(text_of(&file)?);
            }
            programs.push(Program {
                located: located.clone(),
                args: args.iter().map(|arg| arg.text.clone()).collect(),
                args_are_known,
                is_its_own_master: kind == Kind::Plain,
            });
        }
        Kind::Shell | Kind::Carries(_) if !located.is_of_the_system() => {
            return Err("a program of another place under the name of one that runs others");
        }
        Kind::Shell => {
            let [flag, text] = &mut args[..] else {
                return Err("a shell with other arguments than one script");
            };
            if !["-c", "-lc"].contains(&&*flag.text) || !args_are_known {
                return Err("a shell with other arguments than one script");
            }
            *text = Word::literal(&script(&text.text, site, programs, depth)?);
        }
        Kind::Carries(at) => {
            let carried = args.split_off(at);
            let carried = command(&carried, site, programs, depth + 1)?;
            args.extend(carried.into_words()?);
        }
    }
    Ok(Command { located, args })
}

/// A program has two names when it was reached by a link; what either of them means counts, and doubt wins.
fn strictest(located: &Located, args: &[Word], args_are_known: bool) -> Kind {
    let texts: Vec<&str> = args.iter().map(|arg| &*arg.text).collect();
    let mut strictest = Kind::Plain;
    for name in located.names() {
        let kind = carriers::kind(name, &texts, args_are_known);
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
    if text.len() > LONGEST_SCRIPT {
        return Err("a script that is too long");
    }
    let script = script::read(text).map_err(|why| why.0)?;
    let mut written = String::new();
    let joints = std::iter::once(None).chain(script.joints.iter().map(Some));
    for (joint, words) in joints.zip(&script.commands) {
        if let Some(joint) = joint {
            written.push(' ');
            written.push_str(joint.as_str());
            written.push(' ');
        }
        let words = command(words, site, programs, depth + 1)?.into_words()?;
        let words: Vec<&str> = words.iter().map(|word| &*word.quoted).collect();
        written.push_str(&words.join(" "));
    }
    Ok(written)
}

fn with_args(program: Word, mut args: Vec<Word>) -> Vec<Word> {
    args.insert(0, program);
    args
}

fn text_of(path: &Path) -> Result<&str, Opaque> {
    path.to_str().ok_or("a path that is no text")
}

#[cfg(test)]
mod tests {
    use super::super::programs::testing::Table;
    use super::*;

    fn table() -> Table {
        Table::usual()
            .program("/srv/tool")
            .link("/srv/list", "/usr/bin/ls")
            .link("/srv/ls", "/usr/bin/ls")
            .link("/srv/code.py", "/srv/a.py")
            .link("/srv/stdin.py", "/dev/stdin")
            .file("/srv/a.py")
            .file("/dev/stdin")
            .file("/proc/self/fd/0")
            .program("/usr/share/wrapper")
            .link("/usr/bin/psqlite", "/usr/share/wrapper")
            .program("/opt/python3.13")
            .file("/venv/pyvenv.cfg")
            .link("/venv/bin/python", "/opt/python3.13")
            .link("/brew/python3", "/opt/python3.13")
    }

    fn judged(argv: &[&str], table: &Table) -> Result<Judged, Opaque> {
        let path = [PathBuf::from("/usr/bin"), PathBuf::from("/bin")];
        let site = Site {
            files: table,
            cwd: Path::new("/srv"),
            path: &path,
            home: None,
        };
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        judge(&argv, &site)
    }

    /// `programs` are the real files that run, `executed` is the file and the arguments of what is executed.
    #[track_caller]
    fn check(argv: &[&str], programs: &[&str], executed: &[&str]) {
        let judged = judged(argv, &table()).unwrap_or_else(|why| panic!("{argv:?}: {why}"));
        let real: Vec<&str> = judged
            .programs
            .iter()
            .map(|program| program.located.real.to_str().unwrap())
            .collect();
        assert_eq!(real, programs, "{argv:?}");
        let mut found = vec![judged.file.to_str().unwrap()];
        found.extend(judged.argv[1..].iter().map(String::as_str));
        assert_eq!(found, executed, "{argv:?}");
    }

    #[test]
    fn every_program_is_named_by_the_file_that_was_judged() {
        check(&["ls", "-l"], &["/usr/bin/ls"], &["/usr/bin/ls", "-l"]);
        check(&["/bin/ls"], &["/usr/bin/ls"], &["/usr/bin/ls"]);
        check(&["./tool"], &["/srv/tool"], &["/srv/tool"]);
        check(&["./list"], &["/usr/bin/ls"], &["/usr/bin/ls"]);
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
                "/usr/bin/sh",
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
    fn rule_50_a_link_cannot_be_turned_to_something_else_in_between() {
        // By the time that the second command runs, the first may have made `ls` a link to anything.
        check(
            &["sh", "-c", "ln -sfn /usr/bin/python3 ls && ./ls -c 1"],
            &["/usr/bin/ln", "/usr/bin/ls"],
            &[
                "/usr/bin/sh",
                "-c",
                "'/usr/bin/ln' '-sfn' '/usr/bin/python3' 'ls' && '/usr/bin/ls' '-c' '1'",
            ],
        );
        check(
            &["sh", "-c", "python3 code.py"],
            &["/usr/bin/python3.13"],
            &["/usr/bin/sh", "-c", "'/usr/bin/python3' '/srv/a.py'"],
        );
    }

    #[test]
    fn a_program_is_called_by_the_name_that_it_goes_by() {
        let named = |argv: &[&str]| {
            let judged = judged(argv, &table()).unwrap();
            (judged.argv[0].clone(), judged.file.display().to_string())
        };
        let both = |name: &str, file: &str| (name.to_owned(), file.to_owned());
        assert_eq!(
            named(&["unxz", "a"]),
            both("/usr/bin/unxz", "/usr/bin/unxz")
        );
        assert_eq!(named(&["./list"]), both("/srv/list", "/usr/bin/ls"));
        assert_eq!(
            named(&["/venv/bin/python", "a.py"]),
            both("/venv/bin/python", "/opt/python3.13")
        );
        check(
            &["sh", "-c", "unxz a; psqlite"],
            &["/usr/bin/xz", "/usr/share/wrapper"],
            &[
                "/usr/bin/sh",
                "-c",
                "'/usr/bin/unxz' 'a' ; '/usr/bin/psqlite'",
            ],
        );
        check(
            &["sh", "-c", "/brew/python3 a.py"],
            &["/opt/python3.13"],
            &["/usr/bin/sh", "-c", "'/opt/python3.13' '/srv/a.py'"],
        );
    }

    #[test]
    fn nobody_can_tell_what_these_run() {
        let table = table()
            .program("/tmp/evil/env")
            .program("/tmp/evil/sh")
            .link("/tmp/evil/ls", "/usr/bin/dash")
            .link("/tmp/evil/cat", "/usr/bin/busybox")
            .link("/tmp/evil/e", "/usr/bin/env")
            .program("/tmp/A=1/x");
        let long = format!("echo {}", "a".repeat(LONGEST_SCRIPT));
        let many = vec!["ls"; MOST_PROGRAMS + 1].join(";");
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
            &["/bin/sh", "-c", "sh -c *"],
            &["/tmp/evil/sh", "-c", "ls"],
            &["/tmp/evil/env", "ls"],
            &["/tmp/evil/ls", "script.sh"],
            &["/tmp/evil/cat", "a"],
            &["env", "A=1", "ls"],
            &["env", "BASH_ENV=/tmp/x", "bash", "-c", "ls"],
            &["env", "-S", "ls -l"],
            &["env", "/tmp/A=1/x", "sh", "-c", "id"],
            &["nice", "sudo", "ls"],
            &["flock", "/tmp/l", "-c", "id"],
            &["xargs", "ls"],
            &["find", ".", "-exec", "id", ";"],
            // With a file called `-exec` in the folder, this ran `id`.
            &["/bin/sh", "-c", "find ?exec id ';'"],
            &["/bin/sh", "-c", "python3 *"],
            &["busybox", "ls"],
            &["python3", "-c", "1"],
            &["env", "python3", "-Ic", "1"],
            // Standard input under all its names, and a file that is not there.
            &["python3", "/dev/stdin"],
            &["python3", "//dev/stdin"],
            &["python3", "/./dev/stdin"],
            &["python3", "/proc/self/fd/0"],
            &["python3", "stdin.py"],
            &["python3", "nosuch.py"],
            // Within a script, these would not be told what they were called.
            &["sh", "-c", "./list"],
            &["env", "./list"],
            &["sh", "-c", "/venv/bin/python a.py"],
            &["env", "env", "env", "env", "env", "env", "ls"],
            &["sh", "-c", &long],
            &["sh", "-c", &many],
        ] {
            assert!(judged(argv, &table).is_err(), "{argv:?}");
        }
    }
}
