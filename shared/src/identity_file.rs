//! `IDENTITY.md` in an agent's workspace: who the agent says that it is.                                (pure)

/// Its name in the workspace.
pub const NAME: &str = "IDENTITY.md";
/// The largest one that is read, in bytes.
pub const LARGEST: u64 = 64 * 1024;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityFile {
    /// The agent's name.
    pub name: Option<String>,
    /// Its character in a few words.
    pub theme: Option<String>,
    /// Its emoji.
    pub emoji: Option<String>,
    /// Its picture.
    pub avatar: Option<String>,
}

impl IdentityFile {
    /// Reads `- **Name:** Clawd` and its like; what still stands there as a hint is nothing.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut said = Self::default();
        for line in text.lines() {
            let line = line.trim().trim_start_matches(['-', '*', ' ']);
            let Some((label, value)) = line.split_once(':') else {
                continue;
            };
            let label = label.replace(['*', '_'], "").trim().to_lowercase();
            let value = value.trim().trim_matches(['*', '_']).trim();
            if value.is_empty() || value.starts_with('(') {
                continue;
            }
            let value = Some(value.to_owned());
            match label.as_str() {
                "name" => said.name = said.name.or(value),
                "theme" | "vibe" => said.theme = said.theme.or(value),
                "emoji" => said.emoji = said.emoji.or(value),
                "avatar" => said.avatar = said.avatar.or(value),
                _ => {}
            }
        }
        said
    }
}
