//! The environment as a value, read once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Variables and working folder of a process. Empty variables count as unset.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    all: BTreeMap<OsString, OsString>,
    working_dir: PathBuf,
}

impl Environment {
    /// Reads the environment of this process.
    #[must_use]
    pub fn from_process() -> Self {
        let all: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let variables = all
            .iter()
            .filter_map(|(name, value)| {
                Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
            })
            .collect();
        let working_dir = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Self {
            variables,
            all,
            working_dir,
        }
    }

    /// An environment from a table, for tests.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        working_dir: &Path,
    ) -> Self {
        let variables: BTreeMap<String, String> = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let all = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            variables,
            all,
            working_dir: working_dir.to_path_buf(),
        }
    }

    /// A variable that is set and not blank.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.trim().is_empty())
    }

    /// The first of several names that is set.
    #[must_use]
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// Whether a switch is on: `1`, `true`, `yes` or `on`.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| {
            ["1", "true", "yes", "on"]
                .iter()
                .any(|on| value.trim().eq_ignore_ascii_case(on))
        })
    }

    /// This environment without what it says of our own instance: its folders, ports, secrets and name. What is left is good for
    /// another instance of the same user, whose home is `home`.
    #[must_use]
    pub fn of_another_instance(&self, home: &Path) -> Self {
        let is_ours = |name: &str| name.starts_with("OPENCLAW_") || name.starts_with("CLAWDBOT_");
        let mut other = self.clone();
        other.variables.retain(|name, _| !is_ours(name));
        other
            .all
            .retain(|name, _| !name.to_str().is_some_and(is_ours));
        let home = home.as_os_str().to_owned();
        if let Some(text) = home.to_str() {
            other.variables.insert("HOME".to_owned(), text.to_owned());
        }
        other.all.insert("HOME".into(), home);
        other
    }

    /// The folder the process was started in.
    #[must_use]
    pub fn working_dir(&self) -> &Path {
        &self.working_dir
    }

    /// Every variable that is text, as the configuration's `${VAR}` sees them.
    #[must_use]
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Every variable, for handing on to a child.
    #[must_use]
    pub fn all(&self) -> &BTreeMap<OsString, OsString> {
        &self.all
    }

    /// Fills blanks with the lines of a `.env` file of the state folder: `NAME=value`, quotes and `export` allowed.
    /// Variables that decide which instance this is are not taken from a file inside it.
    pub fn fill_from_dotenv(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            let name = name.trim();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let decides_identity = [
                "HOME",
                "PATH",
                "OPENCLAW_PROFILE",
                "OPENCLAW_STATE_DIR",
                "OPENCLAW_CONFIG_PATH",
                "CLAWDBOT_STATE_DIR",
                "CLAWDBOT_CONFIG_PATH",
            ]
            .contains(&name);
            if name.is_empty() || !name.bytes().all(plain) || decides_identity {
                continue;
            }
            if self.get(name).is_none() {
                let value = unquote(value.trim());
                self.variables.insert(name.to_owned(), value.clone());
                self.all.insert(name.into(), value.into());
            }
        }
    }
}

fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return inner.to_owned();
        }
    }
    value
        .split(" #")
        .next()
        .unwrap_or(value)
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Environment;

    #[test]
    fn a_dotenv_fills_blanks_and_never_moves_the_instance() {
        let pairs = [("SET", "kept"), ("BLANK", "")];
        let mut environment = Environment::from_pairs(pairs, Path::new("/"));
        environment.fill_from_dotenv(
            "# note\nSET=x\nexport BLANK='filled'\nNEW=\"a b\"\nCUT=v # note\nHOME=/evil\nOPENCLAW_STATE_DIR=/evil\nnonsense\n",
        );
        let seen = ["SET", "BLANK", "NEW", "CUT", "HOME", "OPENCLAW_STATE_DIR"]
            .map(|name| environment.get(name));
        assert_eq!(
            seen,
            [
                Some("kept"),
                Some("filled"),
                Some("a b"),
                Some("v"),
                None,
                None
            ]
        );
    }

    #[test]
    fn switches_are_words_of_agreement() {
        let pairs = [("A", "1"), ("B", "Yes"), ("C", "0"), ("D", "no")];
        let environment = Environment::from_pairs(pairs, Path::new("/"));
        let seen = ["A", "B", "C", "D", "E"].map(|name| environment.is_on(name));
        assert_eq!(seen, [true, true, false, false, false]);
    }
}
