//! Programs that do their own work unless an option makes them run another.                            (pure)
//!
//! Options count wherever they stand and however they are shortened, also behind `--`: a use that is taken for worse than it is
//! needs an approval, which is all it costs.

use super::{Kind, Reader, has};

const TOLD_TO: &str = "an option that runs a program";

/// How the arguments of a program are read, if some of them make it run others.
pub(super) fn reader(family: &str) -> Option<Reader> {
    Some(match family {
        "find" => |args| unless(args.iter().any(|arg| has("-exec -execdir -ok -okdir", arg))),
        "fd" | "fdfind" => |args| unless(told(args, "exec exec-batch", "xX")),
        "rg" => |args| unless(told(args, "pre hostname-bin", "")),
        "sort" => |args| unless(told(args, "compress-program", "")),
        "split" => |args| unless(told(args, "filter", "")),
        "install" => |args| unless(told(args, "strip-program", "")),
        "pandoc" => |args| {
            let long = "defaults filter lua-filter pdf-engine to";
            unless(told(args, long, "FLdt"))
        },
        "svn" => |args| {
            let long = "config-dir config-option diff-cmd diff3-cmd editor-cmd";
            unless(told(args, long, ""))
        },
        "ip" => |args| {
            unless(
                args.iter()
                    .any(|arg| has("e ex exe exec", arg) || is_batch(arg)),
            )
        },
        "zip" => |args| unless(told(args, "unzip-command", "T")),
        "wget" => |args| unless(told(args, "config execute use-askpass", "e")),
        "tcpdump" => |args| unless(told(args, "", "z")),
        "nc" | "ncat" | "netcat" => |args| unless(told(args, "exec lua-exec sh-exec", "ce")),
        "rsync" => |args| {
            let long = "config daemon remote-option rsh rsync-path";
            unless(told(args, long, "Me"))
        },
        "scp" | "sftp" => |args| {
            let is_harmless = |arg: &&str| {
                arg.strip_prefix('-').is_none_or(|letters| {
                    letters.chars().all(|letter| "346BCTpqrv".contains(letter))
                })
            };
            unless(!args.iter().all(is_harmless))
        },
        "tar" | "bsdtar" => tar,
        "git" => git,
        "npm" | "pnpm" | "yarn" => |args| looks(args, NPM),
        "systemctl" => |args| looks(args, SYSTEMCTL),
        "docker" | "podman" | "nerdctl" => |args| looks(args, DOCKER),
        // A configuration may name a program that is to log in.
        "kubectl" => |args| match told(args, "kubeconfig", "") {
            true => Kind::Opaque(TOLD_TO),
            false => looks(args, KUBECTL),
        },
        _ => return None,
    })
}

fn unless(is_told_to: bool) -> Kind {
    if is_told_to {
        Kind::Opaque(TOLD_TO)
    } else {
        Kind::Plain
    }
}

/// Whether one of these options is among the arguments: a long one, shortened or not, or a letter in a cluster.
fn told(args: &[&str], long: &str, letters: &str) -> bool {
    args.iter().any(|arg| match arg.strip_prefix("--") {
        Some(option) => {
            let name = option.split('=').next().unwrap_or_default();
            !name.is_empty() && long.split(' ').any(|long| long.starts_with(name))
        }
        None => arg
            .strip_prefix('-')
            .is_some_and(|cluster| cluster.contains(|letter| letters.contains(letter))),
    })
}

/// `ip` reads commands from a file, whatever is left of the word and however many dashes stand before it.
fn is_batch(arg: &str) -> bool {
    arg.strip_prefix('-')
        .map(|option| option.strip_prefix('-').unwrap_or(option))
        .is_some_and(|option| !option.is_empty() && "batch".starts_with(option))
}

/// Sub-commands that only look something up. Any other may be, or may be made, a way to run something.
fn looks(args: &[&str], commands: &str) -> Kind {
    match args {
        ["--version" | "-v" | "version"] => Kind::Plain,
        [command, ..] if has(commands, command) => Kind::Delegates,
        _ => Kind::Opaque("a sub-command that may run something"),
    }
}

const NPM: &str = "list ls outdated why";
const DOCKER: &str = "images info inspect logs ps stats top";
const SYSTEMCTL: &str = "cat is-active is-enabled is-failed list-timers list-units show status";
const KUBECTL: &str = "describe get logs top";

/// Archives are packed and written by others, and a list of files may hold options. A name with a colon is on another machine.
fn tar(args: &[&str]) -> Kind {
    let long = "checkpoint-action info-script new-volume-script rmt-command rsh-command to-command use-compress-program";
    let letters = "FIT";
    let bundle = args.first().is_some_and(|first| {
        !first.starts_with('-') && first.contains(|letter| letters.contains(letter))
    });
    // By itself, because `--file` is another option and no abbreviation of this one.
    let listed = |arg: &&str| arg.starts_with("--files");
    let is_elsewhere = |arg: &&str| arg.contains(':');
    let told = told(args, long, letters) || args.iter().any(listed);
    unless(bundle || told || args.iter().any(is_elsewhere))
}

/// Sub-commands of git that run nothing but git, and what the repository's own configuration names. Every other word may be an
/// alias, which may be a shell command.
const GIT: &str = "\
    add am apply archive blame branch cat-file check-ignore checkout cherry cherry-pick clean clone commit describe diff fetch \
    for-each-ref format-patch fsck grep init log ls-files ls-remote ls-tree merge merge-base mv name-rev pull push range-diff \
    reflog remote reset restore rev-list rev-parse revert rm shortlog show show-ref stash status switch symbolic-ref tag";

fn git(args: &[&str]) -> Kind {
    match args {
        ["--version" | "version"] => Kind::Plain,
        ["--no-pager" | "-P" | "--no-optional-locks", rest @ ..] => git(rest),
        ["-C", _, rest @ ..] => git(rest),
        [command, rest @ ..] if has(GIT, command) => {
            let letters = match *command {
                "clone" => "cu",
                "grep" => "O",
                _ => "",
            };
            let long = "config exec ext-diff open-files-in-pager receive-pack template upload-pack";
            if told(rest, long, letters) {
                Kind::Opaque(TOLD_TO)
            } else {
                Kind::Delegates
            }
        }
        _ => Kind::Opaque("options or an alias of git"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, kind};

    #[test]
    fn an_option_that_runs_a_program_is_seen_however_it_is_written() {
        for (line, says) in [
            ("find . -name a", "plain"),
            ("find . -exec id ;", "opaque"),
            ("find . -okdir id ;", "opaque"),
            ("fd -x id", "opaque"),
            ("rg --pre=id x", "opaque"),
            ("rg -n x", "plain"),
            ("sort --compress-program=id", "opaque"),
            ("sort --comp id", "opaque"),
            ("sort -o out", "plain"),
            ("tar xzf a.tgz", "plain"),
            (
                "tar cf a --checkpoint=1 --checkpoint-action=exec=id b",
                "opaque",
            ),
            ("tar cf a --checkpoint-a=exec=id b", "opaque"),
            ("tar xf a --to-command=id", "opaque"),
            ("tar xIf id a", "opaque"),
            ("tar -I id -xf a", "opaque"),
            ("tar --create --file=a b", "plain"),
            ("tar --create --file=a --files-f=list", "opaque"),
            ("tar cfT a list", "opaque"),
            ("tar xf host:a", "opaque"),
            ("rsync -av a b", "plain"),
            ("rsync -ave id a b:", "opaque"),
            ("rsync --rsh=id a b:", "opaque"),
            ("scp -r a b:", "plain"),
            ("scp -S id a b:", "opaque"),
            ("scp -oProxyCommand=id a b:", "opaque"),
            ("install -s --strip-program=id a b", "opaque"),
            ("ip addr", "plain"),
            ("ip netns exec a id", "opaque"),
            ("ip -batch file", "opaque"),
            ("ip --bat file", "opaque"),
            ("ip -br addr", "plain"),
            ("systemctl status a", "delegates"),
            ("systemctl start a", "opaque"),
            ("npm ls", "delegates"),
            ("npm exec id", "opaque"),
            ("npm run x", "opaque"),
            ("docker ps -a", "delegates"),
            ("docker run -v /:/h x", "opaque"),
            ("docker --host=x ps", "opaque"),
            ("kubectl get pods", "delegates"),
            ("kubectl get pods --kubeconfig=x", "opaque"),
        ] {
            check(line, says);
        }
    }

    #[test]
    fn git_runs_what_is_its_own() {
        for (line, says) in [
            ("git status", "delegates"),
            ("git --no-pager -C sub log -1", "delegates"),
            ("git push -u origin main", "delegates"),
            ("git -c alias.x=!id x", "opaque"),
            ("git -calias.x=!id x", "opaque"),
            ("git --exec-path=/tmp status", "opaque"),
            ("git x", "opaque"),
            ("git config alias.x !id", "opaque"),
            ("git bisect run id", "opaque"),
            ("git grep -Oid x", "opaque"),
            ("git grep --open=id x", "opaque"),
            ("git clone -u id a", "opaque"),
            ("git clone --template=/tmp a", "opaque"),
            ("git fetch --upload-p=id", "opaque"),
            ("git", "opaque"),
        ] {
            check(line, says);
        }
    }

    #[track_caller]
    fn check(line: &str, says: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let found = match kind(words[0], &words[1..], true) {
            Kind::Plain => "plain",
            Kind::Delegates => "delegates",
            Kind::Opaque(_) => "opaque",
            Kind::Interprets | Kind::Shell | Kind::Carries(_) => "other",
        };
        assert_eq!(found, says, "{line}");
    }
}
