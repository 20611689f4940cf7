//! `approvals allowlist add|remove`: one pattern more or less in the file, and nothing else changed.

use clap::{Args, Subcommand};
use openclaw_shared::exit::Exit;
use serde_json::{Value, json};

use super::super::args::RpcFlags;
use super::super::context::Context;
use super::super::failure::{Failure, Kind};
use super::rules::{Place, Rules, render};

/// `approvals allowlist`.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum AllowlistCommand {
    /// Allow the programs that match a pattern
    Add(PatternArgs),
    /// Take a pattern off the list again
    Remove(PatternArgs),
}

/// A pattern, and for whom.
#[derive(Debug, Clone, Args)]
pub(super) struct PatternArgs {
    /// The path of a program; * stands for anything within a folder, ** for anything
    #[arg(value_name = "PATTERN")]
    pattern: String,
    /// For this agent; * is every agent
    #[arg(long, value_name = "AGENT", default_value = "*")]
    agent: String,
    #[command(flatten)]
    place: Place,
}

pub(super) async fn perform(
    context: &Context,
    flags: &RpcFlags,
    command: AllowlistCommand,
) -> Result<Exit, Failure> {
    type Change = fn(&mut Value, &str, &str) -> bool;
    let (name, arguments, change, done_already): (_, _, Change, _) = match command {
        AllowlistCommand::Add(arguments) => {
            check(&arguments.pattern, &arguments.agent)?;
            let done_already = "This is on the list already.";
            ("approvals allowlist add", arguments, add, done_already)
        }
        AllowlistCommand::Remove(arguments) => {
            let done_already = "This is not on the list, so nothing was removed.";
            let name = "approvals allowlist remove";
            (name, arguments, remove, done_already)
        }
    };
    let mut rules = Rules::open(context, flags, name, &arguments.place).await?;
    let before = rules.read().await?;
    let mut file = before["file"].clone();
    let answer = match change(&mut file, &arguments.agent, &arguments.pattern) {
        true => rules.write(file, &before).await?,
        false => {
            context.out.note(done_already);
            before
        }
    };
    context.out.answer(&answer, || render(&answer));
    Ok(Exit::Ok)
}

/// Refuses what would be written down and then have no effect.
fn check(pattern: &str, agent: &str) -> Result<(), Failure> {
    let usage = |message: String| Failure::new(Kind::Usage, message);
    // Nodes compare whole paths, so what names no place matches no program. A backslash is for nodes that run Windows.
    if !pattern.starts_with('/') && !pattern.starts_with("~/") && !pattern.contains('\\') {
        return Err(usage(format!(
            "Invalid pattern {pattern:?}: it must name a path, for example /usr/bin/git or ~/bin/*"
        ))
        .hint("Where a program is, a node says: openclaw nodes invoke --node NODE --command system.which --params '{\"bins\": [\"git\"]}'"));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if agent != "*" && (agent.is_empty() || !agent.chars().all(is_name)) {
        return Err(usage(format!(
            "Invalid agent {agent:?} (use the id of an agent, or * for every agent)"
        )));
    }
    Ok(())
}

/// Adds a pattern; false when it is there.
fn add(file: &mut Value, agent: &str, pattern: &str) -> bool {
    if !file.is_object() {
        *file = json!({});
    }
    if file["version"].is_null() {
        file["version"] = 1.into();
    }
    let list = &mut file["agents"][agent]["allowlist"];
    if list.is_null() {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else {
        return false;
    };
    if list.iter().any(|entry| entry["pattern"] == pattern) {
        return false;
    }
    list.push(json!({ "pattern": pattern }));
    true
}

/// Removes a pattern; false when it is not there.
fn remove(file: &mut Value, agent: &str, pattern: &str) -> bool {
    let list = file.pointer_mut(&format!("/agents/{}/allowlist", escaped(agent)));
    let Some(list) = list.and_then(Value::as_array_mut) else {
        return false;
    };
    let before = list.len();
    list.retain(|entry| entry["pattern"] != pattern);
    list.len() != before
}

/// A key as part of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pattern_changes_and_nothing_else() {
        let mut file = json!({"version": 1, "defaults": {"ask": "always"}, "agents": {"main": {"ask": "off"}}});
        let before = file.clone();
        assert!(add(&mut file, "main", "/bin/echo"));
        assert!(!add(&mut file, "main", "/bin/echo"));
        assert_eq!(
            file["agents"]["main"],
            json!({"ask": "off", "allowlist": [{"pattern": "/bin/echo"}]})
        );
        assert!(!remove(&mut file, "other", "/bin/echo"));
        assert!(remove(&mut file, "main", "/bin/echo"));
        assert!(!remove(&mut file, "main", "/bin/echo"));
        file["agents"]["main"]
            .as_object_mut()
            .unwrap()
            .shift_remove("allowlist");
        assert_eq!(file, before);

        let mut none = Value::Null;
        assert!(add(&mut none, "*", "/bin/ls"));
        assert_eq!(
            none,
            json!({"version": 1, "agents": {"*": {"allowlist": [{"pattern": "/bin/ls"}]}}})
        );
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        for pattern in ["/bin/ls", "/opt/**", "~/bin/*", r"C:\tools\rg.exe"] {
            assert_eq!(check(pattern, "*"), Ok(()), "{pattern}");
        }
        for pattern in ["", " ", "ls", "*", "**", "bin/ls", "~", "~root/x"] {
            let failure = check(pattern, "*").expect_err(pattern);
            assert!(failure.message.contains("must name a path"), "{failure:?}");
        }
        assert_eq!(check("/bin/ls", "ops_2"), Ok(()));
        for agent in ["", "a b", "é", "no such!"] {
            assert_eq!(check("/bin/ls", agent).expect_err(agent).kind, Kind::Usage);
        }
    }
}
