//! The head of a `SKILL.md`: YAML between two lines of `---`.  (pure)

use openclaw_shared::protocol::params::skills::{SkillInstaller, SkillRequirements};
use serde::Deserialize;
use serde_json::Value;

/// Installers of one skill at most.
const MOST_INSTALLERS: usize = 20;
/// Names in one list at most.
const MOST_NAMES: usize = 100;
/// The longest text that is shown, in characters.
const LONGEST: usize = 2_000;

/// A skill, as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skill {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) description: String,
    pub(super) primary_env: Option<String>,
    pub(super) emoji: Option<String>,
    pub(super) homepage: Option<String>,
    pub(super) always: bool,
    pub(super) requirements: SkillRequirements,
    pub(super) install: Vec<SkillInstaller>,
}

#[derive(Deserialize)]
struct Head {
    name: Option<String>,
    description: Option<String>,
    homepage: Option<String>,
    /// A mapping, or JSON in a text.
    metadata: Option<Value>,
}

/// Reads a file; a skill without a name has that of its folder.
pub(super) fn read(text: &str, folder: &str) -> Result<Skill, String> {
    let head = head(text).ok_or("it does not begin with front matter")?;
    let head: Head = serde_saphyr::from_str(head).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().to_owned()
    })?;
    let description = words(head.description).ok_or("it has no description")?;
    let metadata = match head.metadata {
        Some(Value::String(text)) => serde_saphyr::from_str(&text).unwrap_or_default(),
        Some(other) => other,
        None => Value::Null,
    };
    // The second name is the one that older files use.
    let about = ["openclaw", "clawdbot"]
        .into_iter()
        .find_map(|name| metadata.get(name));
    let about = about.unwrap_or(&Value::Null);
    let said = |key: &str| words(about.get(key).and_then(Value::as_str).map(str::to_owned));
    let requires = about.get("requires").unwrap_or(&Value::Null);
    let name = words(head.name).unwrap_or_else(|| folder.to_owned());
    let install = about.get("install").and_then(Value::as_array);
    Ok(Skill {
        key: said("skillKey").unwrap_or_else(|| name.clone()),
        name,
        description,
        primary_env: said("primaryEnv"),
        emoji: said("emoji"),
        homepage: words(head.homepage).or_else(|| said("homepage")),
        always: about.get("always") == Some(&Value::Bool(true)),
        requirements: SkillRequirements {
            bins: texts(requires.get("bins")),
            any_bins: texts(requires.get("anyBins")),
            env: texts(requires.get("env")),
            config: texts(requires.get("config")),
            os: texts(about.get("os")),
        },
        install: install
            .into_iter()
            .flatten()
            .take(MOST_INSTALLERS)
            .enumerate()
            .filter_map(|(at, value)| super::installer(value, at))
            .collect(),
    })
}

fn head(text: &str) -> Option<&str> {
    let text = text.trim_start_matches('\u{feff}');
    let rest = text.strip_prefix("---")?;
    let rest = rest
        .strip_prefix("\r\n")
        .or_else(|| rest.strip_prefix('\n'))?;
    let end = rest.find("\n---")?;
    rest.get(..end)
}

fn words(text: Option<String>) -> Option<String> {
    let text = text?;
    let text: String = text.trim().chars().take(LONGEST).collect();
    (!text.is_empty()).then_some(text)
}

/// The texts of a list.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str)
        .take(MOST_NAMES)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_forms_in_use_are_read() {
        let block = r#"---
name: gemini
description: Use it: "now"
homepage: https://x
metadata:
  {
    "openclaw":
      {
        "emoji": "♊️",
        "requires": { "bins": ["gemini"], "env": ["KEY"], "config": ["browser.enabled"] },
        "primaryEnv": "KEY",
        "install": [{ "id": "brew", "kind": "brew", "bins": ["gemini"], "label": "Install", }],
      },
  }
---
# Body
"#;
        // A colon inside a plain text is no YAML; quotes make it one.
        assert!(read(block, "f").is_err());
        let skill = read(&block.replace(r#"Use it: "now""#, "Use it"), "f").unwrap();
        assert_eq!(
            (&*skill.name, &*skill.key, skill.emoji.as_deref()),
            ("gemini", "gemini", Some("♊️"))
        );
        assert_eq!(skill.requirements.bins, ["gemini"]);
        assert_eq!(skill.requirements.config, ["browser.enabled"]);
        assert_eq!(skill.install[0].label, "Install");
        let line = "---\ndescription: d\nmetadata: {\"openclaw\":{\"always\":true,\"os\":[\"linux\"]}}\n---\n";
        let skill = read(line, "folder").unwrap();
        assert_eq!(
            (&*skill.name, skill.always, skill.requirements.os),
            ("folder", true, vec!["linux".to_owned()])
        );
        let quoted = "---\ndescription: d\nmetadata: '{\"openclaw\":{\"emoji\":\"x\"}}'\n---\n";
        assert_eq!(read(quoted, "f").unwrap().emoji.as_deref(), Some("x"));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "# Body",
            "---\nname: x",
            "---\nname: x\n---\n",
            "---\n[1\n---\n",
            "---\na: &a [*a]\n---\n",
        ] {
            assert!(read(text, "f").is_err(), "{text:?}");
        }
        let bomb: String = (1..40).fold(
            "---\ndescription: d\na0: &a0 [x, x]\n".to_owned(),
            |text, n| format!("{text}a{n}: &a{n} [*a{p}, *a{p}]\n", p = n - 1),
        );
        // What matters is that it ends.
        let _ = read(&format!("{bomb}metadata: *a39\n---\n"), "f");
    }
}
