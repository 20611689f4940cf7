//! `openclaw man`: writes the manual, one page for each command, from the same tree that reads the command line.
//!
//! It is hidden from help, because packages call it and people have the pages.

use std::io;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::VERSION;

use super::CommandLine;
use super::context::Context;
use super::failure::{Failure, Kind};

/// What a person may want to set, beside what the configuration says.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("OPENCLAW_PROFILE", "The instance, as --profile names it."),
    ("OPENCLAW_STATE_DIR", "The state folder."),
    ("OPENCLAW_CONFIG_PATH", "The configuration file."),
    ("OPENCLAW_GATEWAY_PORT", "The base port."),
    ("OPENCLAW_GATEWAY_TOKEN", "The gateway's token."),
    ("OPENCLAW_GATEWAY_PASSWORD", "The gateway's password."),
    ("NO_COLOR", "When it is set, nothing is printed in colour."),
];

/// Where an instance keeps what it has.
const FILES: &[(&str, &str)] = &[
    (
        "~/.openclaw/openclaw.json",
        "The configuration of the default profile.",
    ),
    (
        "~/.openclaw/",
        "Its state: conversations, devices, logs, the workspace of its agents.",
    ),
    (
        "~/.openclaw-NAME/",
        "The same for the profile of that name.",
    ),
];

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write the pages into this folder, which must exist
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

pub(crate) fn perform(context: &Context, arguments: &ManArgs) -> Result<Exit, Failure> {
    let written = |page: &Page| std::fs::write(arguments.to.join(&page.file), &page.text);
    let pages = pages().map_err(|error| not_written(arguments, &error))?;
    for page in &pages {
        written(page).map_err(|error| not_written(arguments, &error))?;
        context.out.line(&page.file);
    }
    Ok(Exit::Ok)
}

fn not_written(arguments: &ManArgs, error: &io::Error) -> Failure {
    let folder = arguments.to.display();
    Failure::new(
        Kind::Failed,
        format!("The pages cannot be written into {folder}: {error}"),
    )
}

/// One page, as roff.
struct Page {
    file: String,
    text: Vec<u8>,
}

/// The pages of all commands that help shows.
fn pages() -> io::Result<Vec<Page>> {
    let mut root = CommandLine::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add(&root, None, &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, parent: Option<&str>, pages: &mut Vec<Page>) -> io::Result<()> {
    let name = name(command);
    pages.push(Page {
        file: format!("{name}.1"),
        text: page(command, parent)?,
    });
    for inner in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        add(inner, Some(&name), pages)?;
    }
    Ok(())
}

/// The name of a command's page: `openclaw-gateway-status`.
fn name(command: &Command) -> String {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned()
}

fn page(command: &Command, parent: Option<&str>) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .date(VERSION.replace('.', "-"))
        .source(format!("OpenClaw {VERSION}"))
        .manual("OpenClaw");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.get_subcommands().any(|inner| !inner.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    let mut rest = Roff::new();
    if let Some(notes) = command.get_after_long_help().or(command.get_after_help()) {
        rest.control("SH", ["NOTES"]);
        // Lines that are indented begin new ones in roff, too; the others flow.
        for line in notes.to_string().lines() {
            match line {
                "" => rest.control("PP", []),
                _ => rest.text([roman(line)]),
            };
        }
    }
    match parent {
        None => whole_program(&mut rest),
        Some(parent) => {
            rest.control("SH", ["SEE ALSO"]);
            rest.text([bold(parent), roman("(1)")]);
        }
    }
    rest.to_writer(&mut text)?;
    Ok(text)
}

/// What is true of every command, said on the first page.
fn whole_program(page: &mut Roff) {
    page.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        entry(page, &exit.code().to_string(), exit.meaning());
    }
    page.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in ENVIRONMENT {
        entry(page, name, meaning);
    }
    page.control("SH", ["FILES"]);
    for (path, meaning) in FILES {
        entry(page, path, meaning);
    }
}

fn entry(page: &mut Roff, term: &str, meaning: &str) {
    page.control("TP", []);
    page.text([bold(term)]);
    page.text([roman(meaning)]);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Command, CommandFactory as _};

    use super::super::CommandLine;
    use super::pages;

    /// The lines that call the commands help shows: `openclaw gateway status`.
    fn commands(command: &Command, line: &str, all: &mut BTreeSet<String>) {
        all.insert(line.to_owned());
        for inner in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            commands(inner, &format!("{line} {}", inner.get_name()), all);
        }
    }

    #[test]
    fn every_command_has_a_page_and_every_page_a_command() {
        let mut expected = BTreeSet::new();
        commands(&CommandLine::command(), "openclaw", &mut expected);
        let files: BTreeSet<_> = expected
            .iter()
            .map(|line| format!("{}.1", line.replace(' ', "-")))
            .collect();
        let pages: BTreeSet<_> = pages().unwrap().into_iter().map(|page| page.file).collect();
        assert_eq!(pages, files);
    }

    #[test]
    fn every_page_says_what_its_command_is_for_and_how_to_call_it() {
        for page in pages().unwrap() {
            let text = String::from_utf8(page.text).unwrap();
            let stem = page.file.trim_end_matches(".1");
            let escaped = stem.replace('-', "\\-");
            let summary = text.lines().skip_while(|line| *line != ".SH NAME").nth(1);
            let summary = summary.unwrap_or_else(|| panic!("{stem} has no name:\n{text}"));
            assert!(
                summary.starts_with(&format!("{escaped} \\- ")),
                "{stem}: {summary}"
            );
            for section in [".SH SYNOPSIS", ".SH DESCRIPTION", ".SH \"GLOBAL OPTIONS\""] {
                assert!(text.contains(section), "{stem} lacks {section}:\n{text}");
            }
        }
    }

    #[test]
    fn the_first_page_lists_every_exit_code() {
        let pages = pages().unwrap();
        let first = pages.iter().find(|page| page.file == "openclaw.1").unwrap();
        let text = String::from_utf8(first.text.clone()).unwrap();
        for exit in openclaw_shared::exit::Exit::ALL {
            let meaning = exit.meaning().replace('-', "\\-");
            assert!(text.contains(&meaning), "{exit:?}:\n{text}");
        }
    }
}
