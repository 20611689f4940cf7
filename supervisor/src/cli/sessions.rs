//! `openclaw sessions`: the conversations that the gateway knows.

use clap::Args;
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::sessions::SessionsList;
use serde_json::{Value, json};

use super::answer::{Answer as _, given};
use super::args::RpcFlags;
use super::context::Context;
use super::failure::Failure;

use super::rpc::ask;
use super::span::relative;
use super::table::Table;

/// `sessions`.
#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    /// Only those that were active in the last so many minutes
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..))]
    active: Option<u64>,
    /// Only those of this agent
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Show at most so many
    #[arg(long, value_name = "SESSIONS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    rpc: RpcFlags,
}

pub(crate) async fn perform(context: &Context, arguments: SessionsArgs) -> Result<Exit, Failure> {
    let params = given(json!({
        "activeMinutes": arguments.active,
        "agentId": arguments.agent,
        "limit": arguments.limit,
    }));
    let answer = ask::<SessionsList>(context, &arguments.rpc, "sessions", params).await?;
    context
        .out
        .answer(&answer, || render(&answer, WallTime::now()));
    Ok(Exit::Ok)
}

fn render(answer: &Value, now: WallTime) -> Vec<String> {
    let sessions = answer.items("sessions");
    let mut lines = vec![format!("Sessions: {}", sessions.len())];
    lines.extend(
        answer
            .some_text("path")
            .map(|path| format!("Store: {path}")),
    );
    if sessions.is_empty() {
        return lines;
    }
    let mut table = Table::new(["Key", "Kind", "Changed", "Model", "Tokens", "Name"]);
    for session in sessions {
        let changed = session.time("updatedAt").map(|then| relative(now, then));
        let used = session["totalTokens"].as_u64().filter(|used| *used > 0);
        let tokens = match (used, session["contextTokens"].as_u64()) {
            (Some(used), Some(most)) if most > 0 => format!("{used}/{most}"),
            (Some(used), _) => used.to_string(),
            (None, _) => String::new(),
        };
        let names = ["label", "displayName"].iter();
        let name = names.filter_map(|key| session.some_text(key)).next();
        table.row([
            session.text("key"),
            session.text("kind"),
            changed.unwrap_or_default(),
            session.text("model"),
            tokens,
            name.unwrap_or_default(),
        ]);
    }
    lines.push(String::new());
    lines.extend(table.lines());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_fit_a_terminal() {
        let answer = json!({"path": "~/x", "sessions": [
            {"key": "agent:main:main", "kind": "direct", "updatedAt": 1_000, "totalTokens": 7, "contextTokens": 100, "label": "work"},
        ]});
        assert_eq!(
            render(&answer, WallTime::from_millis(61_000)),
            [
                "Sessions: 1",
                "Store: ~/x",
                "",
                "Key              Kind    Changed  Tokens  Name",
                "agent:main:main  direct  1m ago   7/100   work",
            ]
        );
    }
}
