//! Agents as changes of the configuration: one more, one less, another identity.                          (pure)

use openclaw_shared::config::KeyPath;
use serde_json::{Map, Value, json};

use super::super::answer::{Answer as _, given};
use super::super::config_edit::Edit;
use super::super::failure::{Failure, Kind};

/// The agent that is there without being named.
pub(super) const MAIN: &str = "main";
/// The longest id, in characters.
const LONGEST: usize = 64;

/// An agent to add.
#[derive(Debug, Default)]
pub(super) struct New<'a> {
    pub(super) id: &'a str,
    /// Its name as it was typed.
    pub(super) name: &'a str,
    pub(super) workspace: &'a str,
    pub(super) model: Option<&'a str>,
    pub(super) agent_dir: Option<&'a str>,
    /// `channel` or `channel:account`.
    pub(super) bind: &'a [String],
}

/// The id of an agent that a person calls so: what keys and paths take.
///
/// # Errors
/// When nothing of the name is left.
pub(super) fn id(name: &str) -> Result<String, Failure> {
    let mut id = String::new();
    for letter in name.trim().to_lowercase().chars() {
        if letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-') {
            id.push(letter);
        } else if !id.ends_with('-') {
            id.push('-');
        }
    }
    let id: String = id.trim_matches(['-', '_']).chars().take(LONGEST).collect();
    match id.is_empty() {
        false => Ok(id),
        true => Err(usage(format!(
            "error: no agent can be called {name:?} (use letters and digits)"
        ))),
    }
}

/// The ids of the agents in a configuration, in its order.
pub(super) fn ids(config: &Value) -> Vec<String> {
    let written = config["agents"].items("list").iter();
    let ids: Vec<String> = written
        .map(|entry| id(&entry.text("id")).unwrap_or_default())
        .collect();
    match ids.is_empty() {
        true => vec![MAIN.to_owned()],
        false => ids,
    }
}

/// Adds an agent. The one that answers for want of another is written down first, or the new one would take its place.
///
/// # Errors
/// When there is one of this name, or a binding cannot be read.
pub(super) fn add(config: &Value, new: &New<'_>) -> Result<Vec<Edit>, Failure> {
    if ids(config).iter().any(|known| known == new.id) {
        return Err(usage(format!(
            "error: there is an agent {:?} already",
            new.id
        )));
    }
    let list = config["agents"].items("list");
    let at = |index: usize| KeyPath::of_keys(["agents", "list"]).index(index);
    let mut edits = Vec::new();
    if list.is_empty() {
        edits.push(Edit::Set(at(0), json!({ "id": MAIN })));
    }
    let entry = given(json!({
        "id": new.id,
        "name": (new.name != new.id).then_some(new.name),
        "workspace": new.workspace,
        "agentDir": new.agent_dir,
        "model": new.model,
    }));
    edits.push(Edit::Set(at(list.len().max(1)), entry));
    let bound = config.items("bindings").len();
    for (number, bind) in new.bind.iter().enumerate() {
        let path = KeyPath::of_keys(["bindings"]).index(bound + number);
        edits.push(Edit::Set(path, binding(new.id, bind)?));
    }
    Ok(edits)
}

fn binding(agent: &str, bind: &str) -> Result<Value, Failure> {
    let (channel, account) = bind
        .split_once(':')
        .map_or((bind, None), |(channel, account)| (channel, Some(account)));
    if channel.trim().is_empty() || account.is_some_and(|account| account.trim().is_empty()) {
        return Err(usage(format!(
            "Invalid --bind {bind:?} (use CHANNEL or CHANNEL:ACCOUNT)"
        )));
    }
    let matched = given(json!({ "channel": channel.trim(), "accountId": account.map(str::trim) }));
    Ok(json!({ "agentId": agent, "match": matched }))
}

/// What leads to an agent, as `--bind` takes it, with the person or group that it is limited to.
pub(super) fn bindings(config: &Value, agent: &str) -> Vec<String> {
    let all = config.items("bindings").iter();
    let its = all.filter(|binding| id(&binding.text("agentId")).is_ok_and(|id| id == agent));
    let shown = its.map(|binding| {
        let matched = &binding["match"];
        let mut text = matched.text("channel");
        if let Some(account) = matched.some_text("accountId") {
            text = format!("{text}:{account}");
        }
        let peer = &matched["peer"];
        if let Some(id) = peer.some_text("id") {
            text = format!("{text} ({} {id})", peer.text("kind"));
        }
        text
    });
    shown.collect()
}

/// Takes an agent out, and what leads to it.
///
/// # Errors
/// When there is none, or it is the only one.
pub(super) fn remove(config: &Value, wanted: &str) -> Result<Vec<Edit>, Failure> {
    let wanted = id(wanted)?;
    let ids = ids(config);
    let index = ids
        .iter()
        .position(|known| *known == wanted)
        .ok_or_else(|| unknown(&wanted, &ids))?;
    if config["agents"].items("list").len() <= 1 {
        return Err(usage(format!(
            "error: {wanted:?} is the only agent, and one has to answer"
        )));
    }
    let mut edits = vec![Edit::Unset(
        KeyPath::of_keys(["agents", "list"]).index(index),
    )];
    let bindings = config.items("bindings").iter().enumerate().rev();
    let leads_there =
        |binding: &Value| id(&binding.text("agentId")).is_ok_and(|agent| agent == wanted);
    // From the last one on, so that the others keep their places.
    edits.extend(
        bindings
            .filter(|(_, binding)| leads_there(binding))
            .map(|(index, _)| Edit::Unset(KeyPath::of_keys(["bindings"]).index(index))),
    );
    Ok(edits)
}

/// Sets fields of an agent's identity; the others stay.
///
/// # Errors
/// When there is no such agent.
pub(super) fn identify(
    config: &Value,
    wanted: &str,
    fields: Map<String, Value>,
) -> Result<Vec<Edit>, Failure> {
    let wanted = id(wanted)?;
    let ids = ids(config);
    let index = ids
        .iter()
        .position(|known| *known == wanted)
        .ok_or_else(|| unknown(&wanted, &ids))?;
    let at = KeyPath::of_keys(["agents", "list"]).index(index);
    let mut edits = Vec::new();
    if config["agents"].items("list").is_empty() {
        edits.push(Edit::Set(at.clone(), json!({ "id": wanted })));
    }
    let at = at.key("identity");
    edits.extend(
        fields
            .into_iter()
            .map(|(name, value)| Edit::Set(at.key(&name), value)),
    );
    Ok(edits)
}

/// The failure of naming an agent that is not there.
pub(super) fn unknown(wanted: &str, known: &[String]) -> Failure {
    usage(format!(
        "unknown agent: {wanted} (known: {})",
        known.join(", ")
    ))
}

fn usage(message: String) -> Failure {
    Failure::new(Kind::Usage, message)
}

#[cfg(test)]
mod tests {
    use openclaw_shared::config::write;

    use super::*;

    /// The configuration after a change, as it would be read again.
    fn after(text: &str, edits: Result<Vec<Edit>, Failure>) -> Value {
        let mut text = text.to_owned();
        for edit in edits.unwrap() {
            text = match edit {
                Edit::Set(path, value) => write::set(&text, &path, &value, None).unwrap(),
                Edit::Unset(path) => write::unset(&text, &path, None).unwrap(),
                Edit::Patch(patch) => write::merge_patch(&text, &patch, None).unwrap(),
            };
        }
        write::parse_value(&text).unwrap()
    }

    fn config(text: &str) -> Value {
        write::parse_value(text).unwrap()
    }

    #[test]
    fn names_become_ids() {
        for (name, expected) in [
            ("Work", "work"),
            (" My Box! ", "my-box"),
            ("a_b-9", "a_b-9"),
        ] {
            assert_eq!(id(name).unwrap(), expected);
        }
        assert!(id("…").is_err());
    }

    #[test]
    fn the_first_agent_that_is_added_does_not_take_over() {
        let bind = ["telegram:bot".to_owned(), "whatsapp".to_owned()];
        let new = New {
            id: "work",
            name: "Work",
            workspace: "~/w",
            bind: &bind,
            ..New::default()
        };
        assert_eq!(
            after("{}", add(&config("{}"), &new)),
            json!({
                "agents": {"list": [{"id": "main"}, {"id": "work", "name": "Work", "workspace": "~/w"}]},
                "bindings": [
                    {"agentId": "work", "match": {"channel": "telegram", "accountId": "bot"}},
                    {"agentId": "work", "match": {"channel": "whatsapp"}},
                ],
            })
        );
        let there = r#"{agents: {list: [{id: "Work"}]}}"#;
        assert!(add(&config(there), &new).is_err());
        let main = New {
            id: "main",
            ..New::default()
        };
        assert!(add(&config("{}"), &main).is_err());
    }

    #[test]
    fn what_leads_to_an_agent_is_shown_as_it_is_said() {
        let config = config(
            r#"{bindings: [{agentId: "Work", match: {channel: "telegram", accountId: "bot"}}, {agentId: "x", match: {channel: "y"}},
                {agentId: "work", match: {channel: "discord", peer: {kind: "group", id: "7"}}}]}"#,
        );
        assert_eq!(
            bindings(&config, "work"),
            ["telegram:bot", "discord (group 7)"]
        );
    }

    #[test]
    fn an_agent_goes_with_what_leads_to_it() {
        let text = r#"{agents: {list: [{id: "a"}, {id: "b"}]}, bindings: [{agentId: "b"}, {agentId: "a"}, {agentId: "B"}]}"#;
        assert_eq!(
            after(text, remove(&config(text), "b")),
            json!({"agents": {"list": [{"id": "a"}]}, "bindings": [{"agentId": "a"}]})
        );
        let alone = config(r#"{agents: {list: [{id: "a"}]}}"#);
        assert!(
            remove(&alone, "a")
                .unwrap_err()
                .message
                .contains("only agent")
        );
        assert_eq!(
            remove(&alone, "x").unwrap_err().message,
            "unknown agent: x (known: a)"
        );
        assert!(remove(&config("{}"), "main").is_err());
    }

    #[test]
    fn an_identity_is_changed_field_by_field() {
        let fields = || Map::from_iter([("name".to_owned(), json!("Ada"))]);
        assert_eq!(
            after("{}", identify(&config("{}"), "main", fields())),
            json!({"agents": {"list": [{"id": "main", "identity": {"name": "Ada"}}]}})
        );
        let text = r#"{agents: {list: [{id: "a"}, {id: "b", identity: {name: "x", emoji: "y"}}]}}"#;
        assert_eq!(
            after(text, identify(&config(text), "b", fields()))["agents"]["list"][1]["identity"],
            json!({"name": "Ada", "emoji": "y"})
        );
    }
}
