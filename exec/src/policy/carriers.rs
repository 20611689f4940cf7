//! Programs that run other programs, or code that stands in their arguments.                           (pure)
//!
//! They are judged by what they run when their use is plain enough to see it, and need approval otherwise. An entry of the
//! allow-list for the carrier itself says nothing about what it carries.
//!
//! No list of them is complete: a program that is on none is believed to do its own work. What is approved for good is therefore
//! kept narrower than what an owner may list by hand (see [`Kind::Delegates`]).

use super::programs::family;

mod options;

/// What a program does with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its work is its own.
    Plain,
    /// With these arguments its work is its own, but with others, or as files around it say, it runs whatever one likes. An
    /// owner may list it; whoever approves one use of it has not approved that.
    Delegates,
    /// It runs the file that is its first argument.
    Interprets,
    /// A shell, which runs a script.
    Shell,
    /// It runs the program that begins at this argument (counted from 0, without its own name).
    Carries(usize),
    /// Nobody can tell what it runs.
    Opaque(&'static str),
}

const SHELLS: &str = "sh bash dash";

/// Programs whose very purpose is to run something else, here or on another machine, or which can be told to by what is typed or
/// written for them, in ways that are not read here.
const OPAQUE: &str = "\
    aa-exec abduco arch ash at batch bpftrace bunx busybox bwrap caffeinate capsh catchsegv cgexec choom chpst chronic \
    chroot chrt clisp command coproc corepack coresched cpulimit crontab csh daemonize dbus-launch dbus-run-session dc \
    doas dtach eatmydata ed editor elixir emacs enosys entr erl eval ex exec expect fakechroot fakeroot faketime \
    firejail fish flock ftp gdb gdbserver ghci gnuplot gosu groovy guile hyperfine iex ifne info ionice ipython irb \
    java jshell julia ksh launchctl ld.so less lftp linux32 linux64 lldb logsave ltrace lua luajit m4 machinectl mail \
    mailx make man mariadb mispipe mksh more mosh most mutt mysql nano newgrp npx nsenter nsjail numactl nvi nvim \
    octave open osascript pager parallel pee perf php pipx pkexec prlimit proot proxychains psql pwsh racket rbash \
    rlogin rlwrap rr rsh run-parts run0 runcon runuser rview rvim s6-setuidgid sandbox-exec sbcl scala screen script \
    sem sensible-editor sensible-pager setarch setlock setpriv setsid setuidgid sg slogin socat softlimit sqlite ssh \
    sshpass start-stop-daemon strace su sudo systemd-cat systemd-inhibit systemd-nspawn systemd-run taskset tclsh \
    telnet tmux torsocks toybox trickle tsocks uclampset unbuffer unshare uvx valgrind vi vidir view vim vimdiff vipe \
    watch watchexec wish xargs xcrun xdg-open xonsh xterm xvfb-run yash zsh";

/// Languages that take a program as an argument or from standard input. A file of theirs is a program that somebody wrote down,
/// and is left to the allow-list.
const INTERPRETERS: &str = "bun deno node nodejs perl pypy python Rscript ruby";

/// Programs that do what the files of a project say.
const BUILDERS: &str =
    "ant bazel bundle cargo cmake conda gem go gradle just meson mvn ninja pip poetry rake uv";

/// Tools of GNU which have a `g` before their names where the system has its own.
const GNU: &str =
    "gchroot genv gfind gmake gnice gnohup gsed gsort gsplit gstdbuf gtar gtime gtimeout gxargs";

/// Says what a program, known by one of its names, does with these arguments. They are not known while a shell is still to put
/// the names of files into them, any of which may read like an option.
pub(crate) fn kind(name: &str, args: &[&str], args_are_known: bool) -> Kind {
    let name = if has(GNU, name) { &name[1..] } else { name };
    let mut pieces = name.split(|character: char| !character.is_ascii_alphabetic());
    let letters = pieces.next().unwrap_or_default();
    // `perl5.40`, `vim.tiny` and `su-exec` are not what is on the list, and do the same.
    let is_like = |list: &str| has(list, name) || has(list, family(name)) || has(list, letters);
    if has(SHELLS, name) {
        return Kind::Shell;
    }
    if is_like(OPAQUE)
        || is_like(SHELLS)
        || name.starts_with("ld-linux")
        || name.starts_with("ld-musl")
    {
        return Kind::Opaque("a program that runs others");
    }
    if has(BUILDERS, family(name)) {
        return Kind::Delegates;
    }
    let Some(read) =
        reader(name).or_else(|| is_like(INTERPRETERS).then_some(interpreted as Reader))
    else {
        return Kind::Plain;
    };
    if args_are_known {
        read(args)
    } else {
        Kind::Opaque("a pattern among arguments that decide what runs")
    }
}

/// Whether the list of words has this one.
fn has(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == word)
}

/// What the arguments of a program say.
type Reader = fn(&[&str]) -> Kind;

/// How the arguments of a program are read, if they decide what it does.
fn reader(name: &str) -> Option<Reader> {
    Some(match family(name) {
        "env" | "nohup" | "time" => |args| carried(args, 0),
        "nice" => nice,
        "timeout" => |args| match args {
            [duration, ..] if is_duration(duration) => carried(args, 1),
            _ => Kind::Opaque(OPTIONS),
        },
        "stdbuf" => |args| {
            let options = args.iter().take_while(|arg| is_buffering(arg)).count();
            carried(args, options)
        },
        "awk" | "mawk" | "gawk" | "nawk" | "original-awk" => {
            |_| Kind::Opaque("code in an argument")
        }
        // GNU sed's `e` runs a shell; its sandbox does not have it. In any later place the word may be a file's name.
        "sed" => |args| match args {
            ["--sandbox", ..] => Kind::Plain,
            _ => Kind::Opaque("code in an argument"),
        },
        family => return options::reader(family),
    })
}

const OPTIONS: &str = "options of a program that runs others";

fn nice(args: &[&str]) -> Kind {
    match args {
        ["-n", level, ..] if is_number(level) => carried(args, 2),
        [level, ..] if level.strip_prefix('-').is_some_and(is_number) => carried(args, 1),
        _ => carried(args, 0),
    }
}

fn interpreted(args: &[&str]) -> Kind {
    match args {
        ["--version" | "-V"] => Kind::Plain,
        [file, ..] if !file.is_empty() && !file.starts_with('-') => Kind::Interprets,
        _ => Kind::Opaque("code that is in no file"),
    }
}

/// What begins at `at` must be a program; an option or a variable there changes what runs.
fn carried(args: &[&str], at: usize) -> Kind {
    match args.get(at) {
        Some(program)
            if !program.is_empty() && !program.starts_with('-') && !program.contains('=') =>
        {
            Kind::Carries(at)
        }
        Some(_) => Kind::Opaque(OPTIONS),
        None => Kind::Opaque("a program that runs others, without one"),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_duration(text: &str) -> bool {
    let number = text.strip_suffix(['s', 'm', 'h', 'd']).unwrap_or(text);
    !number.is_empty()
        && number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn is_buffering(text: &str) -> bool {
    ["-i", "-o", "-e"].iter().any(|option| {
        text.strip_prefix(option)
            .is_some_and(|mode| mode == "L" || is_number(mode))
    })
}

#[cfg(test)]
mod tests {
    use super::{Kind, kind};

    #[track_caller]
    fn check(line: &str, args_are_known: bool, says: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let found = match kind(words[0], &words[1..], args_are_known) {
            Kind::Plain => "plain".to_owned(),
            Kind::Delegates => "delegates".to_owned(),
            Kind::Interprets => "file".to_owned(),
            Kind::Shell => "shell".to_owned(),
            Kind::Carries(at) => at.to_string(),
            Kind::Opaque(_) => "opaque".to_owned(),
        };
        assert_eq!(found, says, "{line}");
    }

    #[test]
    fn what_is_carried_is_found_or_nobody_can_tell() {
        for (line, says) in [
            ("ls -l", "plain"),
            ("sh -c ls", "shell"),
            ("bash-5.2 -c ls", "opaque"),
            ("env ls", "0"),
            ("genv ls", "0"),
            ("env A=1 ls", "opaque"),
            ("env -i ls", "opaque"),
            ("env -S ls", "opaque"),
            ("env --split-string=ls", "opaque"),
            ("env", "opaque"),
            ("nice ls", "0"),
            ("nice -n 5 ls", "2"),
            ("nice -5 ls", "1"),
            ("nice --adjustment=5 ls", "opaque"),
            ("nohup ls", "0"),
            ("timeout 5 ls", "1"),
            ("timeout 1.5m ls", "1"),
            ("timeout -k 5 5 ls", "opaque"),
            ("timeout -s KILL 5 ls", "opaque"),
            ("stdbuf -oL -e0 ls", "2"),
            // What it starts leaves the group that is ended with the command.
            ("setsid ls", "opaque"),
            ("flock /tmp/l -c id", "opaque"),
            ("flock /tmp/l id", "opaque"),
            ("sudo ls", "opaque"),
            ("xargs ls", "opaque"),
            ("busybox sh -c id", "opaque"),
            ("zsh -c id", "opaque"),
            ("awk 1", "opaque"),
            ("sed -n 1p", "opaque"),
            ("sed --sandbox -n 1p", "plain"),
            ("sed -- 1p /etc/hostname --sandbox", "opaque"),
            ("ld-linux-x86-64.so.2 /bin/id", "opaque"),
        ] {
            check(line, true, says);
        }
    }

    #[test]
    fn an_interpreter_runs_a_file_or_nobody_can_tell() {
        for (line, says) in [
            ("python3 tool.py -c x", "file"),
            ("python3 -c x", "opaque"),
            ("python3.13 -Ic x", "opaque"),
            ("python3 -m http.server", "opaque"),
            ("python3 -", "opaque"),
            ("python3", "opaque"),
            ("perl -wE x", "opaque"),
            ("perl5.40-x86_64-linux-gnu -e x", "opaque"),
            ("perl5.40-x86_64-linux-gnu a.pl", "file"),
            ("node --eval=x", "opaque"),
            ("node -pe x", "opaque"),
            ("node --version", "plain"),
            ("deno --eval", "opaque"),
        ] {
            check(line, true, says);
        }
    }

    #[test]
    fn rule_50_what_runs_others_is_known_under_its_other_names() {
        for name in [
            "vim.tiny",
            "view",
            "nvim",
            "su-exec",
            "prlimit",
            "runcon",
            "rlwrap",
            "xvfb-run",
            "dbus-run-session",
            "gosu",
            "less",
            "man",
            "ssh",
            "npx",
            "sqlite3",
            "gxargs",
            "gmake",
            "lua5.4",
            "perf_6.1",
            "choom",
            "uclampset",
            "logsave",
            "chronic",
            "cpulimit",
            "run0",
            "pager",
        ] {
            check(&format!("{name} id"), true, "opaque");
        }
    }

    #[test]
    fn rule_50_a_pattern_may_become_any_argument_and_so_decides_nothing() {
        for (line, says) in [
            ("ls *", "plain"),
            // With a file called `-exec` in the folder, this ran `id`.
            ("find ?exec id ;", "opaque"),
            ("python3 ?x", "opaque"),
            ("tar xf *", "opaque"),
            ("git log *", "opaque"),
            ("env *", "opaque"),
        ] {
            check(line, false, says);
        }
    }
}
