//! `openclaw skills`: what agents know how to do, and what is missing for it.

use clap::{Args, Subcommand};
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::skills::SkillsStatus;
use serde_json::{Value, json};

use super::answer::Answer as _;
use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::failure::Failure;
use super::rpc::ask;
use super::table::Table;

/// `skills`.
#[derive(Debug, Args)]
#[command(mut_args = everywhere)]
pub(crate) struct SkillsArgs {
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: SkillsCommand,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum SkillsCommand {
    /// Show the skills, and what each still needs
    List {
        /// Only those that can be used
        #[arg(long)]
        eligible: bool,
    },
}

pub(crate) async fn perform(context: &Context, arguments: SkillsArgs) -> Result<Exit, Failure> {
    let SkillsCommand::List { eligible } = arguments.command;
    let mut answer = ask::<SkillsStatus>(context, &arguments.rpc, "skills list", json!({})).await?;
    if let (true, Some(skills)) = (eligible, answer["skills"].as_array_mut()) {
        skills.retain(|skill| skill.is_on("eligible"));
    }
    context.out.answer(&answer, || render(&answer));
    Ok(Exit::Ok)
}

fn render(answer: &Value) -> Vec<String> {
    let skills = answer.items("skills");
    if skills.is_empty() {
        return vec!["No skills.".to_owned()];
    }
    let mut table = Table::new(["Skill", "Status", "Missing", "Description"]);
    for skill in skills {
        let status = if skill.is_on("disabled") {
            "off"
        } else if skill.is_on("blockedByAllowlist") {
            "not listed"
        } else if skill.is_on("eligible") {
            "ready"
        } else {
            "not ready"
        };
        table.row([
            skill.text("name"),
            status.to_owned(),
            missing(&skill["missing"]),
            skill.text("description"),
        ]);
    }
    table.lines()
}

fn missing(missing: &Value) -> String {
    let kinds = ["bins", "anyBins", "env", "config", "os"];
    let all: Vec<String> = kinds.iter().flat_map(|kind| missing.texts(kind)).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skill_says_what_it_needs() {
        let answer = json!({"skills": [
            {"name": "video", "description": "Cuts clips", "eligible": false, "missing": {"bins": ["ffmpeg"], "env": ["KEY"]}},
            {"name": "notes", "description": "Takes notes", "eligible": true},
        ]});
        assert_eq!(
            render(&answer),
            [
                "Skill  Status     Missing      Description",
                "video  not ready  ffmpeg, KEY  Cuts clips",
                "notes  ready                   Takes notes",
            ]
        );
    }
}
