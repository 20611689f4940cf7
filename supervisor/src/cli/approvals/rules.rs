//! `approvals get` and `approvals set`: the file that says what may be executed, on the gateway's machine or on a node.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::nodes::{
    ExecApprovalsGet, ExecApprovalsNodeGet, ExecApprovalsNodeSet, ExecApprovalsSet,
};
use serde_json::{Value, json};

use super::super::answer::Answer as _;
use super::super::args::RpcFlags;
use super::super::context::Context;
use super::super::failure::{Failure, Kind};
use super::super::nodes::resolve::{self, Node};
use super::super::rpc::Rpc;
use super::super::table::{Table, fields};

/// Whose file.
#[derive(Debug, Clone, Args)]
pub(super) struct Place {
    /// The rules of this node, not of the gateway's machine
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// The rules of the gateway's machine, as when nothing is said
    #[arg(long, conflicts_with = "node")]
    gateway: bool,
}

/// `approvals set`.
#[derive(Debug, Clone, Args)]
pub(super) struct SetArgs {
    #[command(flatten)]
    place: Place,
    /// Take the rules from this JSON file
    #[arg(long, value_name = "FILE", required_unless_present = "stdin")]
    file: Option<PathBuf>,
    /// Take the rules from standard input
    #[arg(long, conflicts_with = "file")]
    stdin: bool,
}

/// A file of rules somewhere.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    rpc: Rpc<'a>,
    node: Option<Node>,
}

impl<'a> Rules<'a> {
    pub(super) async fn open(
        context: &'a Context,
        flags: &RpcFlags,
        command: &str,
        place: &Place,
    ) -> Result<Self, Failure> {
        let mut rpc = Rpc::for_command(context, flags, command).await?;
        let node = match &place.node {
            Some(name) => Some(resolve::find(&mut rpc, name).await?),
            None => None,
        };
        Ok(Self { rpc, node })
    }

    /// The file with its hash.
    pub(super) async fn read(&mut self) -> Result<Value, Failure> {
        match &self.node {
            Some(node) => {
                let params = json!({ "nodeId": node.id });
                self.rpc.call::<ExecApprovalsNodeGet>(params).await
            }
            None => self.rpc.call::<ExecApprovalsGet>(json!({})).await,
        }
    }

    /// Replaces the file that was read. What somebody else has written since is not overwritten.
    pub(super) async fn write(&mut self, file: Value, read: &Value) -> Result<Value, Failure> {
        let mut params = json!({ "file": file });
        if read.is_on("exists")
            && let Some(hash) = read.some_text("hash")
        {
            params["baseHash"] = hash.into();
        }
        match &self.node {
            Some(node) => {
                params["nodeId"] = node.id.as_str().into();
                self.rpc.call::<ExecApprovalsNodeSet>(params).await
            }
            None => self.rpc.call::<ExecApprovalsSet>(params).await,
        }
    }
}

pub(super) async fn get(
    context: &Context,
    flags: &RpcFlags,
    place: Place,
) -> Result<Exit, Failure> {
    let mut rules = Rules::open(context, flags, "approvals get", &place).await?;
    let answer = rules.read().await?;
    context.out.answer(&answer, || render(&answer));
    Ok(Exit::Ok)
}

pub(super) async fn set(
    context: &Context,
    flags: &RpcFlags,
    arguments: SetArgs,
) -> Result<Exit, Failure> {
    let file = read_file(arguments.file.as_ref())?;
    let mut rules = Rules::open(context, flags, "approvals set", &arguments.place).await?;
    let before = rules.read().await?;
    let answer = rules.write(file, &before).await?;
    context.out.answer(&answer, || render(&answer));
    Ok(Exit::Ok)
}

fn read_file(path: Option<&PathBuf>) -> Result<Value, Failure> {
    let (name, text) = match path {
        Some(path) => (path.display().to_string(), std::fs::read_to_string(path)),
        None => {
            let mut text = String::new();
            let read = std::io::stdin().lock().read_to_string(&mut text);
            ("standard input".to_owned(), read.map(|_| text))
        }
    };
    let failed = |why: String| Failure::new(Kind::Failed, format!("approvals set failed: {why}"));
    let text = text.map_err(|error| failed(format!("{name} cannot be read: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| failed(format!("{name} is not valid JSON: {error}")))
}

/// The rules for people. What is not said there is left to the machine that executes.
pub(super) fn render(answer: &Value) -> Vec<String> {
    let defaults = &answer["file"]["defaults"];
    let exists = if answer.is_on("exists") {
        ""
    } else {
        " (does not exist)"
    };
    let mut lines = fields([
        (
            "File",
            answer
                .some_text("path")
                .map(|path| format!("{path}{exists}")),
        ),
        ("Security", defaults.some_text("security")),
        ("Ask", defaults.some_text("ask")),
        ("When nobody answers", defaults.some_text("askFallback")),
    ]);
    let mut table = Table::new(["Agent", "Security", "Ask", "Allowed", "Last used as"]);
    let mut any = false;
    for (agent, rules) in answer["file"]["agents"].as_object().into_iter().flatten() {
        let row = |pattern: String, used: String| {
            [
                agent.clone(),
                rules.text("security"),
                rules.text("ask"),
                pattern,
                used,
            ]
        };
        let allowed = rules.items("allowlist");
        if allowed.is_empty() {
            table.row(row(String::new(), String::new()));
        }
        for entry in allowed {
            table.row(row(entry.text("pattern"), entry.text("lastUsedCommand")));
        }
        any = true;
    }
    lines.push(String::new());
    match any {
        true => lines.extend(table.lines()),
        false => lines.push("No agent has rules of its own.".to_owned()),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_shown_by_agent() {
        let answer = json!({"path": "~/.openclaw/exec-approvals.json", "exists": true, "hash": "h", "file": {
            "version": 1, "defaults": {"security": "allowlist", "ask": "on-miss"},
            "agents": {"main": {"ask": "always", "allowlist": [{"pattern": "/bin/echo", "lastUsedCommand": "echo hi"}]}}}});
        assert_eq!(
            render(&answer),
            [
                "File      ~/.openclaw/exec-approvals.json",
                "Security  allowlist",
                "Ask       on-miss",
                "",
                "Agent  Ask     Allowed    Last used as",
                "main   always  /bin/echo  echo hi",
            ]
        );
    }
}
