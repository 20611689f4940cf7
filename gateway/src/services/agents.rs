//! Who can answer: the agents of the configuration and of the store, and who each of them is.
//!
//! An agent's identity is said in up to three places; the first one that says something counts: `ui.assistant` of the
//! configuration, the agent's own entry there, and `IDENTITY.md` in its workspace.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_shared::identity_file::{self, IdentityFile};
use openclaw_shared::protocol::params::agents::{AgentIdentityCard, AgentIdentityReply, AgentRow};
use rusqlite::Connection;

use crate::services::beneath::Folder;
use crate::settings::Settings;

/// What an assistant is called that nobody gave a name.
const NAME: &str = "Assistant";
/// Its picture.
const AVATAR: &str = "A";
/// The longest name, in characters.
const LONGEST_NAME: usize = 50;
/// The longest picture that is not a file, in characters.
const LONGEST_AVATAR: usize = 200;
/// The longest picture that is shown as it is, in characters.
const LONGEST_SIGN: usize = 4;
/// The largest picture that is put into an answer, in bytes.
const LARGEST_PICTURE: u64 = 2 * 1024 * 1024;

/// What is said about an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    name: Option<String>,
    theme: Option<String>,
    emoji: Option<String>,
    avatar: Option<String>,
}

impl Said {
    fn or(self, other: Self) -> Self {
        Self {
            name: self.name.or(other.name),
            theme: self.theme.or(other.theme),
            emoji: self.emoji.or(other.emoji),
            avatar: self.avatar.or(other.avatar),
        }
    }
}

/// The ids of the agents, the default one first. With a list in the configuration they are those; without one, the default agent
/// and those that have sessions.
pub(crate) fn ids(
    settings: &Settings,
    connection: &Connection,
) -> Result<Vec<String>, rusqlite::Error> {
    let default = settings.default_agent().to_owned();
    let mut others: Vec<String> = settings
        .catalog
        .agents
        .iter()
        .map(|agent| agent.id.clone())
        .collect();
    if others.is_empty() {
        others = connection
            .prepare_cached("SELECT DISTINCT agent FROM sessions ORDER BY agent")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
    }
    let mut ids = vec![default];
    for id in others {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// A row of `agents.list`. Reads files.
pub(crate) fn row(settings: &Settings, id: &str) -> AgentRow {
    let said = said_in_config(settings, id);
    let picture = said.avatar.as_deref().and_then(|avatar| {
        if is_address(avatar) {
            Some(avatar.to_owned())
        } else {
            picture(settings, id, avatar)
        }
    });
    let card = AgentIdentityCard {
        name: said.name,
        theme: said.theme,
        emoji: said.emoji,
        avatar: said.avatar,
        avatar_url: picture,
    };
    AgentRow {
        id: id.to_owned(),
        name: settings
            .catalog
            .agent(id)
            .and_then(|agent| agent.name.clone()),
        identity: (card != AgentIdentityCard::default()).then_some(card),
    }
}

/// Who an agent is, as a page shows it. Reads files.
pub(crate) fn identity(settings: &Settings, id: &str) -> AgentIdentityReply {
    let catalog = &settings.catalog;
    let said = said_in_config(settings, id).or(said_in_file(settings, id));
    let name = catalog.assistant_name.clone().or(said.name);
    // A file of the workspace is no picture here: nothing serves it to the page.
    let shown = |avatar: &String| is_shown_as_it_is(avatar);
    let avatar = catalog
        .assistant_avatar
        .clone()
        .filter(shown)
        .or_else(|| said.avatar.filter(shown))
        .or_else(|| said.emoji.filter(shown));
    let name: String = name.unwrap_or_else(|| NAME.to_owned());
    AgentIdentityReply {
        agent_id: id.to_owned(),
        name: name.chars().take(LONGEST_NAME).collect(),
        avatar: avatar.unwrap_or_else(|| AVATAR.to_owned()),
    }
}

fn said_in_config(settings: &Settings, id: &str) -> Said {
    let words = |text: &Option<String>| {
        text.as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let identity = settings
        .catalog
        .agent(id)
        .and_then(|agent| agent.identity.as_ref());
    identity.map_or_else(Said::default, |identity| Said {
        name: words(&identity.name),
        theme: words(&identity.theme),
        emoji: words(&identity.emoji),
        avatar: words(&identity.avatar),
    })
}

fn workspace(settings: &Settings, id: &str) -> Option<Folder> {
    let is_default = settings.default_agent() == id;
    Folder::open(&settings.catalog.workspace(id, is_default))
}

fn said_in_file(settings: &Settings, id: &str) -> Said {
    let bytes = workspace(settings, id)
        .and_then(|folder| folder.read(identity_file::NAME, identity_file::LARGEST));
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map_or_else(Said::default, |text| said_in(&text))
}

fn said_in(text: &str) -> Said {
    let file = IdentityFile::read(text);
    Said {
        name: file.name,
        theme: file.theme,
        emoji: file.emoji,
        avatar: file.avatar,
    }
}

fn is_address(avatar: &str) -> bool {
    let lower = avatar.to_ascii_lowercase();
    lower.starts_with("https://")
        || lower.starts_with("http://")
        || lower.starts_with("data:image/")
}

fn is_shown_as_it_is(avatar: &str) -> bool {
    let length = avatar.chars().count();
    let is_sign = length <= LONGEST_SIGN
        && !avatar
            .chars()
            .any(|letter| letter.is_whitespace() || letter == '/');
    length <= LONGEST_AVATAR && (is_sign || is_address(avatar))
}

/// A picture of the workspace as a data URL.
fn picture(settings: &Settings, id: &str, avatar: &str) -> Option<String> {
    let kind = match avatar.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "png" => "png",
        "jpg" | "jpeg" => "jpeg",
        "gif" => "gif",
        "webp" => "webp",
        "svg" => "svg+xml",
        _ => return None,
    };
    let bytes = workspace(settings, id)?.read_path(avatar, LARGEST_PICTURE)?;
    Some(format!(
        "data:image/{kind};base64,{}",
        STANDARD.encode(bytes)
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use openclaw_shared::config::Config;
    use serde_json::{Value, json};

    use super::{identity, row, said_in};
    use crate::settings::Settings;
    use crate::testing::instance;

    #[test]
    fn an_identity_file_is_read_and_its_hints_are_not() {
        let text = "# Me\n- **Name:** Clawd\n- **Creature:**\n  *(AI?)*\n- **Vibe:** sharp\n- **Emoji:**\n  *(pick: one)*\nAvatar: _a.png_\n- **Name:** Other";
        let said = said_in(text);
        assert_eq!(said.name.as_deref(), Some("Clawd"));
        assert_eq!(said.theme.as_deref(), Some("sharp"));
        assert_eq!(said.emoji, None);
        assert_eq!(said.avatar.as_deref(), Some("a.png"));
    }

    fn check(config: Value, file: &str, name: &str, avatar: &str) {
        let home = tempfile::tempdir().unwrap();
        let instance = instance(home.path());
        fs::create_dir_all(&instance.workspace).unwrap();
        fs::write(instance.workspace.join("IDENTITY.md"), file).unwrap();
        let settings = Settings::of(&Config::from_effective(&config).unwrap(), &instance);
        let identity = identity(&settings, "main");
        assert_eq!(
            (&*identity.name, &*identity.avatar),
            (name, avatar),
            "{config} {file}"
        );
    }

    #[test]
    fn the_first_place_that_says_something_counts() {
        check(json!({}), "", "Assistant", "A");
        check(json!({}), "- Name: File\n- Emoji: 🦞", "File", "🦞");
        let agent = json!({"agents": {"list": [{"id": "main", "identity": {"name": "Entry", "avatar": "https://x/y.png"}}]}});
        check(agent.clone(), "- Name: File", "Entry", "https://x/y.png");
        let mut both = agent;
        both["ui"] = json!({"assistant": {"name": "Ui", "avatar": "U"}});
        check(both, "- Name: File", "Ui", "U");
        check(
            json!({}),
            "- Avatar: avatars/x.png\n- Emoji: E",
            "Assistant",
            "E",
        );
        check(json!({}), "- Avatar: /etc/passwd", "Assistant", "A");
        check(
            json!({}),
            &format!("- Name: {}", "ü".repeat(99)),
            &"ü".repeat(50),
            "A",
        );
    }

    #[test]
    fn a_picture_comes_from_beneath_the_workspace_only() {
        let home = tempfile::tempdir().unwrap();
        let instance = instance(home.path());
        fs::create_dir_all(&instance.workspace).unwrap();
        fs::write(instance.workspace.join("a.png"), "png").unwrap();
        fs::write(home.path().join("secret.png"), "secret").unwrap();
        symlink(
            home.path().join("secret.png"),
            instance.workspace.join("link.png"),
        )
        .unwrap();
        for (avatar, expected) in [
            ("a.png", Some("data:image/png;base64,cG5n")),
            ("./a.png", Some("data:image/png;base64,cG5n")),
            ("link.png", None),
            ("../secret.png", None),
            ("nothing.png", None),
            ("https://x/y", Some("https://x/y")),
        ] {
            let config =
                json!({"agents": {"list": [{"id": "Main", "identity": {"avatar": avatar}}]}});
            let Ok(config) = Config::from_effective(&config) else {
                // The configuration's own rules refuse it before.
                continue;
            };
            let settings = Settings::of(&config, &instance);
            let shown = row(&settings, "main").identity.unwrap().avatar_url;
            assert_eq!(shown.as_deref(), expected, "{avatar}");
        }
    }
}
