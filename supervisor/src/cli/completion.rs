//! `openclaw completion`: prints the completion script of a shell.

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::VERSION;

use super::CommandLine;
use super::context::Context;
use super::failure::{Failure, Kind};

/// `completion`.
#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell: zsh, bash, fish, powershell or elvish [default: zsh]
    #[arg(short, long, value_name = "SHELL", value_parser = shell)]
    shell: Option<Shell>,
    /// The same as --shell
    #[arg(value_name = "SHELL", value_parser = shell, conflicts_with = "shell")]
    named: Option<Shell>,
}

fn shell(text: &str) -> Result<Shell, String> {
    text.parse().map_err(|_| {
        format!("Unknown shell {text:?} (use \"zsh\", \"bash\", \"fish\", \"powershell\", or \"elvish\")")
    })
}

pub(crate) fn perform(context: &Context, arguments: CompletionArgs) -> Result<Exit, Failure> {
    if context.out.is_json() {
        return Err(Failure::new(
            Kind::Usage,
            "error: option '--json' does not apply to 'completion'",
        ));
    }
    let shell = arguments.shell.or(arguments.named).unwrap_or(Shell::Zsh);
    context.out.write(&script(shell));
    Ok(Exit::Ok)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut tree = shown(&CommandLine::command()).disable_help_subcommand(true);
    clap_complete::generate(shell, &mut tree, "openclaw", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// A command with what help shows of it: what is hidden there would otherwise be completed. The subcommand `help` is left out for
/// size: it would name everything a second time.
fn shown(command: &Command) -> Command {
    let inner = command.get_subcommands().filter(|it| !it.is_hide_set());
    let arguments = command.get_arguments().filter(|it| !it.is_hide_set());
    let mut copy = Command::new(command.get_name().to_owned())
        .visible_aliases(command.get_visible_aliases().map(str::to_owned))
        .args(arguments.cloned())
        .subcommands(inner.map(shown))
        .version(VERSION)
        .disable_version_flag(true);
    if let Some(about) = command.get_about() {
        copy = copy.about(about.clone());
    }
    copy
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use clap_complete::Shell;

    use super::script;

    /// What bash proposes where the line ends.
    fn proposed(line: &[&str]) -> Vec<String> {
        let words = line.join(" ");
        let last = line.last().unwrap();
        let before = line[line.len() - 2];
        let mut bash = Command::new("bash")
            .args(["--norc", "--noprofile", "-s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let call = format!(
            "COMP_WORDS=({words}); COMP_CWORD={}; _openclaw openclaw '{last}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            line.len() - 1
        );
        let mut input = bash.stdin.take().unwrap();
        input.write_all(script(Shell::Bash).as_bytes()).unwrap();
        input.write_all(call.as_bytes()).unwrap();
        drop(input);
        let said = bash.wait_with_output().unwrap();
        assert!(said.status.success(), "{said:?}");
        let said = String::from_utf8(said.stdout).unwrap();
        said.lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_completes_commands_and_options() {
        assert_eq!(proposed(&["openclaw", "gatew"]), ["gateway"]);
        assert_eq!(proposed(&["openclaw", "gateway", "stat"]), ["status"]);
        let options = proposed(&["openclaw", "gateway", "status", "--no-"]);
        assert!(options.iter().any(|it| it == "--no-probe"), "{options:?}");
    }

    #[test]
    fn what_help_hides_is_not_completed() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            assert!(script.contains("gateway"), "{shell}");
            assert!(!script.contains("manual pages"), "{shell}");
        }
        assert_eq!(proposed(&["openclaw", "ma"]), [""; 1]);
    }
}
