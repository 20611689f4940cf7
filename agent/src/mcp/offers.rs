//! The tools that a server has, as models see them: with names that every provider takes, and of a bounded size.

use std::collections::BTreeSet;

use rmcp::model::{PaginatedRequestParams, Tool};
use rmcp::service::{Peer, RoleClient};
use serde_json::Value;

use crate::model::ToolSpec;

/// So many tools of one server are offered.
const MOST_TOOLS: usize = 128;
/// So many times a server is asked for more of them.
const MOST_PAGES: usize = 32;
/// The longest name that providers take.
const LONGEST_NAME: usize = 64;
/// How much of a description is offered, in characters.
const LONGEST_DESCRIPTION: usize = 4_000;
/// The largest description of arguments, in bytes: a model reads all of it with every message.
const LARGEST_SCHEMA: usize = 64 * 1024;

/// A tool that a server has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offer {
    pub(super) spec: ToolSpec,
    /// Its name there.
    pub(super) remote: String,
}

/// Asks a server what it has.
pub(super) async fn ask(peer: &Peer<RoleClient>, server: &str) -> Result<Vec<Offer>, String> {
    let mut tools = Vec::new();
    let mut cursor = None;
    for _ in 0..MOST_PAGES {
        let page = PaginatedRequestParams::default().with_cursor(cursor);
        let listed = peer.list_tools(Some(page)).await;
        let listed = listed.map_err(|error| error.to_string())?;
        tools.extend(listed.tools);
        cursor = listed.next_cursor;
        if cursor.is_none() || tools.len() >= MOST_TOOLS {
            break;
        }
    }
    Ok(of(server, tools))
}

/// What is offered of these tools.  (pure)
fn of(server: &str, tools: Vec<Tool>) -> Vec<Offer> {
    let mut taken = BTreeSet::new();
    let mut offers = Vec::new();
    for tool in tools.into_iter().take(MOST_TOOLS) {
        let name = free_name(&taken, offered_name(server, &tool.name));
        let parameters = Value::Object((*tool.input_schema).clone());
        if parameters.to_string().len() > LARGEST_SCHEMA {
            tracing::warn!(target: "mcp", server, tool = name, "a tool of an MCP server is too large to be offered");
            continue;
        }
        let described = tool.description.as_deref().unwrap_or_default();
        taken.insert(name.clone());
        offers.push(Offer {
            spec: ToolSpec {
                name,
                description: described.chars().take(LONGEST_DESCRIPTION).collect(),
                parameters,
            },
            remote: tool.name.into_owned(),
        });
    }
    offers
}

/// The name under which models know a tool.
fn offered_name(server: &str, tool: &str) -> String {
    let plain = |character: char| {
        let is_plain = character.is_ascii_alphanumeric() || "_-".contains(character);
        if is_plain { character } else { '_' }
    };
    let name = format!("{server}__{tool}");
    name.chars().map(plain).take(LONGEST_NAME).collect()
}

/// Names that differ only in what providers do not take are counted.
fn free_name(taken: &BTreeSet<String>, name: String) -> String {
    let mut free = name.clone();
    let mut number = 2;
    while taken.contains(&free) {
        let ending = format!("_{number}");
        let kept: String = name.chars().take(LONGEST_NAME - ending.len()).collect();
        free = kept + &ending;
        number += 1;
    }
    free
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, schema: Value) -> Tool {
        let tool = json!({"name": name, "description": "d".repeat(5_000), "inputSchema": schema});
        serde_json::from_value(tool).unwrap()
    }

    fn names(server: &str, tools: &[&str]) -> Vec<String> {
        let tools = tools.iter().map(|name| tool(name, json!({})));
        let offers = of(server, tools.collect());
        offers.into_iter().map(|offer| offer.spec.name).collect()
    }

    #[test]
    fn names_are_such_that_providers_take_them() {
        assert_eq!(names("a b", &["read.file"]), ["a_b__read_file"]);
        assert_eq!(names("s", &["\u{1b}[31m\"ls\nü"]), ["s____31m_ls__"]);
        assert_eq!(
            names("s", &["x".repeat(100).as_str()])[0].len(),
            LONGEST_NAME
        );
    }

    #[test]
    fn no_tool_hides_another_one_of_its_server() {
        assert_eq!(
            names("s", &["a.b", "a_b", "a b"]),
            ["s__a_b", "s__a_b_2", "s__a_b_3"]
        );
        let long = "x".repeat(100);
        let both = names("s", &[&long, &long]);
        assert!(both[0] != both[1] && both[1].ends_with("x_2") && both[1].len() == LONGEST_NAME);
        let offers = of("s", vec![tool("a.b", json!({})), tool("a_b", json!({}))]);
        assert_eq!(
            (offers[0].remote.as_str(), offers[1].remote.as_str()),
            ("a.b", "a_b")
        );
    }

    #[test]
    fn what_is_offered_is_bounded() {
        let large = json!({"type": "object", "description": "x".repeat(LARGEST_SCHEMA)});
        let offers = of("s", vec![tool("large", large), tool("small", json!({}))]);
        assert_eq!(offers.len(), 1);
        assert_eq!(offers[0].spec.description.len(), LONGEST_DESCRIPTION);
        let many = (0..500).map(|index| tool(&format!("t{index}"), json!({})));
        assert_eq!(of("s", many.collect()).len(), MOST_TOOLS);
    }
}
