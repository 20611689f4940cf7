//! What can be typed, as tables.

use std::ffi::OsString;

use openclaw_shared::exit::Exit;

use super::gateway::{Other, Task};
use super::{Command, CommandLine, Told, command_meant, explain, read};

fn line(text: &str) -> Vec<OsString> {
    std::iter::once("openclaw")
        .chain(text.split_whitespace())
        .map(OsString::from)
        .collect()
}

fn parsed(text: &str) -> CommandLine {
    read(&line(text)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What a line means, in few words.
fn meaning(text: &str) -> String {
    let line = parsed(text);
    let globals = &line.globals;
    let mut words = Vec::new();
    words.extend(
        globals
            .profile
            .iter()
            .map(|profile| format!("profile={profile}")),
    );
    words.extend(globals.dev.then(|| "dev".to_owned()));
    words.extend(globals.json.then(|| "json".to_owned()));
    match line.command {
        Some(Command::Gateway(arguments)) => match arguments.into_task() {
            Ok(Task::Run(flags)) => {
                words.push("run".to_owned());
                words.extend(flags.port.map(|port| format!("port={port}")));
                words.extend(flags.token.map(|token| format!("token={}", token.expose())));
                words.extend(flags.force.then(|| "force".to_owned()));
                words.extend(flags.verbose.then(|| "verbose".to_owned()));
            }
            Ok(Task::Other(other)) => {
                let (name, rpc) = match *other {
                    Other::Status(arguments) => ("status", Some(arguments.rpc)),
                    Other::Health(arguments) => ("health", Some(arguments.rpc)),
                    Other::Call(arguments) => ("call", Some(arguments.rpc)),
                    Other::Probe(arguments) => ("probe", Some(arguments.rpc)),
                    Other::UsageCost(arguments) => ("usage-cost", Some(arguments.rpc)),
                    Other::Lifecycle(..) => ("lifecycle", None),
                    Other::Upgrade(_) => ("upgrade", None),
                    Other::Discover(_) => ("discover", None),
                    Other::Watch(_) => ("watch", None),
                    Other::Rescue(_) => ("rescue", None),
                    Other::Install(arguments) => {
                        words.extend(arguments.port.map(|port| format!("port={port}")));
                        words.extend(arguments.force.then(|| "force".to_owned()));
                        ("install", None)
                    }
                    Other::Uninstall(_) => ("uninstall", None),
                };
                words.push(name.to_owned());
                if let Some(rpc) = rpc {
                    words.extend(rpc.url.map(|url| format!("url={url}")));
                    words.extend(rpc.port.map(|port| format!("port={port}")));
                    words.extend(rpc.token.map(|token| format!("token={}", token.expose())));
                    words.extend(
                        rpc.timeout
                            .map(|limit| format!("timeout={}", limit.as_millis())),
                    );
                }
            }
            Err(failure) => words.push(failure.message),
        },
        Some(_) => words.push("other".to_owned()),
        None => words.push("nothing".to_owned()),
    }
    words.join(" ")
}

fn check(text: &str, expected: &str) {
    assert_eq!(meaning(text), expected, "of {text:?}");
}

#[test]
fn options_are_accepted_wherever_a_person_writes_them() {
    check("gateway", "run");
    check("gateway run", "run");
    check("gateway --port 1", "run port=1");
    check("gateway run --port 1", "run port=1");
    check("gateway --port 1 run --verbose", "run port=1 verbose");
    check("gateway --port 1 run --port 2", "run port=2");
    check(
        "gateway --force --port 1 --token x",
        "run port=1 token=x force",
    );
    check("gateway --port 1 status", "status port=1");
    check("gateway status --port 1", "status port=1");
    check("gateway --token a health --token b", "health token=b");
    check(
        "gateway --url ws://h:1 --timeout 5 call status",
        "call url=ws://h:1 timeout=5",
    );
    check(
        "gateway call status --params {} --timeout 5",
        "call timeout=5",
    );
    check("gateway probe --token x", "probe token=x");
}

#[test]
fn global_options_are_accepted_anywhere() {
    for text in [
        "--profile a gateway status",
        "gateway --profile a status",
        "gateway status --profile=a",
    ] {
        check(text, "profile=a status");
    }
    for text in ["--dev gateway", "gateway --dev", "gateway run --dev"] {
        check(text, "dev run");
    }
    for text in [
        "--json gateway status",
        "gateway --json status",
        "gateway status --json",
    ] {
        check(text, "json status");
    }
}

#[test]
fn an_option_without_effect_is_refused() {
    let refused = |option: &str, command: &str| {
        format!("error: option '{option}' does not apply to 'gateway {command}'")
    };
    check("gateway --bind lan status", &refused("--bind", "status"));
    check("gateway --force stop", &refused("--force", "stop"));
    check("gateway --port 1 restart", &refused("--port", "restart"));
    check("gateway --url ws://h:1 run", &refused("--url", "run"));
    check(
        "gateway stop gateway",
        "error: 'gateway stop' is about the whole instance",
    );
    check("gateway restart canvas-host", "lifecycle");
}

#[test]
fn options_of_a_service_may_stand_on_either_side_of_its_verb() {
    check("gateway install --port 1 --force", "port=1 force install");
    check("gateway --port 1 --force install", "port=1 force install");
    check(
        "gateway --verbose install",
        "error: option '--verbose' does not apply to 'gateway install'",
    );
    check("gateway uninstall", "uninstall");
}

/// What a line that is not carried out gets to hear, with its exit code.
fn told(text: &str) -> String {
    let error = read(&line(text)).expect_err(text);
    match explain(&error, &command_meant(&line(text))) {
        Told::Answer(text) => text,
        Told::Failure(failure) => {
            let mut lines = vec![format!("{} {}", failure.exit.code(), failure.message)];
            lines.extend(failure.hints);
            lines.join("\n")
        }
    }
}

#[test]
fn mistakes_are_named_in_known_words() {
    assert_eq!(
        told("--nope"),
        "1 error: unknown option '--nope'\nSee openclaw --help."
    );
    assert_eq!(
        told("statsu"),
        "1 error: unknown command 'statsu'\n(Did you mean status?)"
    );
    assert_eq!(
        told("gateway --prot 1"),
        "1 error: unknown option '--prot'\n(Did you mean --port?)"
    );
    for text in [
        "gateway --port x",
        "gateway --port 0",
        "gateway status --port 70000",
    ] {
        assert!(
            told(text).starts_with("1 Invalid port"),
            "{text}: {}",
            told(text)
        );
    }
    assert!(told("gateway --bind x").starts_with("1 Invalid --bind (use \"loopback\", \"lan\""));
    assert!(
        told("gateway --auth x").starts_with("1 Invalid --auth (use \"token\" or \"password\")")
    );
    assert!(
        told("gateway --ws-log x")
            .starts_with("1 Invalid --ws-log (use \"auto\", \"full\", \"compact\")")
    );
    assert_eq!(
        told("gateway call"),
        "1 error: missing required argument '<METHOD>'\nSee openclaw gateway call --help."
    );
    assert_eq!(
        told("nodes invoke --params status"),
        "1 error: required option '--node <NODE>' not specified\n\
         error: required option '--command <COMMAND>' not specified\n\
         See openclaw nodes invoke --help."
    );
    assert_eq!(
        told("--json nodes --timeout 5 status --dance"),
        "1 error: unknown option '--dance'\nSee openclaw nodes status --help."
    );
    for text in [
        "nodes status --timeout -5",
        "nodes invoke --invoke-timeout -5",
    ] {
        assert!(
            told(text).starts_with("1 Invalid number of milliseconds: -5\n"),
            "{text}: {}",
            told(text)
        );
    }
    assert_eq!(
        told("logs --limit 0"),
        "1 error: invalid value for '--limit <LINES>': 0 is not in 1..=5000\nSee openclaw logs --help."
    );
    for text in ["--profile", "gateway --profile", "--profile --dev status"] {
        assert_eq!(
            told(text),
            "2 [openclaw] --profile requires a value",
            "{text}"
        );
    }
}

#[test]
fn the_version_is_printed_alone() {
    let version = format!("{}\n", openclaw_shared::instance::VERSION);
    for text in ["-V", "-v", "--version", "gateway --version"] {
        assert_eq!(told(text), version, "{text}");
    }
}

#[test]
fn a_secret_on_the_line_does_not_show_in_a_dump() {
    let dump = format!("{:?}", parsed("gateway --token s3cret --password hunter2"));
    assert!(
        !dump.contains("s3cret") && !dump.contains("hunter2"),
        "{dump}"
    );
}

#[test]
fn the_command_tree_is_consistent() {
    use clap::CommandFactory as _;
    CommandLine::command().debug_assert();
}

#[test]
fn help_begins_with_an_imperative_and_fits_a_line() {
    use clap::CommandFactory as _;
    fn walk(command: &clap::Command, path: &str) {
        for part in command.get_subcommands() {
            let path = format!("{path} {}", part.get_name());
            let about = part
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                !about.is_empty() && !about.ends_with('.') && about.len() < 80,
                "{path}: {about}"
            );
            walk(part, &path);
        }
        for argument in command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set())
        {
            let help = argument
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let name = argument.get_id();
            assert!(
                !help.is_empty() && !help.ends_with('.'),
                "{path} {name}: {help}"
            );
        }
    }
    walk(&CommandLine::command(), "openclaw");
}

/// The commands that ask no gateway: they are about this machine, or they ask its supervisor.
const OF_THIS_MACHINE: &[&str] = &[
    "gateway run",
    "gateway discover",
    "gateway stop",
    "gateway restart",
    "gateway upgrade",
    "gateway watch",
    "gateway rescue status",
    "gateway rescue logs",
    "gateway rescue restart",
    "gateway rescue rollback",
    "gateway start",
    "gateway install",
    "gateway uninstall",
    "onboard",
    "configure",
    "setup",
    "doctor",
    "config get",
    "config set",
    "config unset",
    "config patch",
    "config schema",
    "config validate",
    "config file",
    "agents add",
    "agents delete",
    "agents set-identity",
    "node run",
    "node install",
    "node uninstall",
    "node start",
    "node stop",
    "node restart",
    "node status",
    "reset",
    "uninstall",
    "completion",
    "man",
];

#[test]
fn whatever_asks_a_gateway_takes_an_address_and_a_secret() {
    use clap::CommandFactory as _;
    fn walk(command: &clap::Command, path: &str, without: &mut Vec<String>) {
        let mut inner = command.get_subcommands().peekable();
        let has = |id: &str| {
            command
                .get_arguments()
                .any(|argument| argument.get_id() == id)
        };
        if inner.peek().is_none() && !(has("url") && has("token") && has("token_file")) {
            without.push(path.to_owned());
        }
        for part in inner.filter(|part| part.get_name() != "help") {
            let path = format!("{path} {}", part.get_name());
            walk(part, path.trim_start(), without);
        }
    }
    let mut root = CommandLine::command();
    root.build();
    let mut without = Vec::new();
    walk(&root, "", &mut without);
    assert_eq!(without, OF_THIS_MACHINE);
}

#[test]
fn exit_codes_are_in_the_help_of_run() {
    let help = told("gateway run --help");
    for exit in Exit::ALL {
        assert!(help.contains(exit.meaning()), "{help}");
    }
}
