//! Programs that run other programs, or code that stands in their arguments.                           (pure)
//!
//! They are judged by what they run when their use is plain enough to see it, and need approval otherwise. An entry of the
//! allow-list for the carrier itself says nothing about what it carries.

/// What a program does with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its work is its own.
    Plain,
    /// A shell, which runs a script.
    Shell,
    /// It runs the program that begins at this argument (counted from 0, without its own name).
    Carries(usize),
    /// Nobody can tell what it runs.
    Opaque(&'static str),
}

const SHELLS: [&str; 3] = ["sh", "bash", "dash"];

/// Programs whose very purpose is to run something else, in ways that are not read here.
const OPAQUE: [&str; 62] = [
    "ash",
    "at",
    "batch",
    "bwrap",
    "busybox",
    "chroot",
    "command",
    "coproc",
    "csh",
    "doas",
    "ed",
    "entr",
    "eval",
    "ex",
    "exec",
    "expect",
    "fakeroot",
    "firejail",
    "fish",
    "flock",
    "gdb",
    "ionice",
    "ksh",
    "ld.so",
    "ltrace",
    "lua",
    "m4",
    "make",
    "mksh",
    "nsenter",
    "osascript",
    "parallel",
    "php",
    "pkexec",
    "pwsh",
    "rbash",
    "run-parts",
    "runuser",
    "screen",
    "script",
    "setarch",
    "setpriv",
    "socat",
    "start-stop-daemon",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "taskset",
    "tclsh",
    "tmux",
    "toybox",
    "unshare",
    "valgrind",
    "vi",
    "vim",
    "watch",
    "xargs",
    "xterm",
    "yash",
    "zsh",
    "chrt",
];

/// Languages that take a program as an argument or from standard input. A file of theirs is a program that somebody wrote down,
/// and is left to the allow-list.
const INTERPRETERS: [&str; 9] = [
    "bun", "deno", "node", "nodejs", "perl", "pypy", "python", "ruby", "Rscript",
];

/// Says what a program, known by one of its names, does with these arguments.
pub(crate) fn kind(name: &str, args: &[&str]) -> Kind {
    let family = name
        .trim_end_matches(|character: char| character.is_ascii_digit() || ".-".contains(character));
    if SHELLS.contains(&name) {
        return Kind::Shell;
    }
    if name.starts_with("ld-linux")
        || name.starts_with("ld-musl")
        || OPAQUE.contains(&family)
        || OPAQUE.contains(&name)
    {
        return Kind::Opaque("a program that runs others");
    }
    match family {
        "env" => carried(args, 0),
        "nohup" | "setsid" | "time" => carried(args, 0),
        "nice" => match args {
            ["-n", level, ..] if is_number(level) => carried(args, 2),
            [level, ..] if level.strip_prefix('-').is_some_and(is_number) => carried(args, 1),
            _ => carried(args, 0),
        },
        "timeout" => match args {
            [duration, ..] if is_duration(duration) => carried(args, 1),
            _ => Kind::Opaque("options of a program that runs others"),
        },
        "stdbuf" => {
            let options = args.iter().take_while(|arg| is_buffering(arg)).count();
            carried(args, options)
        }
        "find" => {
            let runs = |arg: &&str| ["-exec", "-execdir", "-ok", "-okdir"].contains(arg);
            if args.iter().any(runs) {
                Kind::Opaque("find, told to run programs")
            } else {
                Kind::Plain
            }
        }
        "awk" | "mawk" | "gawk" | "nawk" | "original-awk" => Kind::Opaque("code in an argument"),
        // GNU sed's `e` runs a shell; its sandbox does not have it. In any later place the word may be a file's name.
        "sed" if args.first() != Some(&"--sandbox") => Kind::Opaque("code in an argument"),
        family if INTERPRETERS.contains(&family) => match args {
            ["--version" | "-V"] => Kind::Plain,
            [file, ..]
                if !file.starts_with('-')
                    && !file.starts_with("/dev/")
                    && !file.starts_with("/proc/")
                    && !["eval", "repl", "run", "x", "exec"].contains(file) =>
            {
                Kind::Plain
            }
            _ => Kind::Opaque("code that is in no file"),
        },
        _ => Kind::Plain,
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
        Some(_) => Kind::Opaque("options of a program that runs others"),
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

    #[test]
    fn what_is_carried_is_found_or_nobody_can_tell() {
        for (line, place) in [
            ("ls -l", "plain"),
            ("sh -c ls", "shell"),
            ("env ls", "0"),
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
            ("flock /tmp/l -c id", "opaque"),
            ("flock /tmp/l id", "opaque"),
            ("sudo ls", "opaque"),
            ("xargs ls", "opaque"),
            ("busybox sh -c id", "opaque"),
            ("zsh -c id", "opaque"),
            ("find . -name a", "plain"),
            ("find . -exec id ;", "opaque"),
            ("find . -okdir id ;", "opaque"),
            ("python3 tool.py -c x", "plain"),
            ("python3 -c x", "opaque"),
            ("python3.13 -Ic x", "opaque"),
            ("python3 -m http.server", "opaque"),
            ("python3 -", "opaque"),
            ("python3", "opaque"),
            ("python3 /dev/stdin", "opaque"),
            ("perl -wE x", "opaque"),
            ("node --eval=x", "opaque"),
            ("node -pe x", "opaque"),
            ("node --version", "plain"),
            ("deno eval x", "opaque"),
            ("awk 1", "opaque"),
            ("sed -n 1p", "opaque"),
            ("sed --sandbox -n 1p", "plain"),
            ("sed -- 1p /etc/hostname --sandbox", "opaque"),
            ("ld-linux-x86-64.so.2 /bin/id", "opaque"),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let found = match kind(words[0], &words[1..]) {
                Kind::Plain => "plain".to_owned(),
                Kind::Shell => "shell".to_owned(),
                Kind::Carries(at) => at.to_string(),
                Kind::Opaque(_) => "opaque".to_owned(),
            };
            assert_eq!(found, place, "{line}");
        }
    }
}
