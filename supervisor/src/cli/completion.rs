//! `openclaw completion`: prints the completion script of a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use openclaw_shared::exit::Exit;

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
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "openclaw", &mut script);
    context.out.write(&String::from_utf8_lossy(&script));
    Ok(Exit::Ok)
}
