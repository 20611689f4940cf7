//! The keys of model providers, and where each comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::built_in;
use crate::clock::WallTime;
use crate::config::Config;
use crate::config::section::{ModelAuth, ModelProvider};
use crate::secret::Secret;

/// What begins a token of a subscription, which is no key of the API.
const SUBSCRIPTION: &str = "sk-ant-oat";

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// It.
    pub value: Secret<String>,
    /// Where it comes from.
    pub source: KeySource,
    /// The only agent that has it; all have it when absent.
    pub agent: Option<String>,
    /// Whether it goes into `Authorization`, as tokens do.
    pub is_token: bool,
    /// When it ends, if it does.
    pub expires: Option<WallTime>,
}

impl Key {
    /// Whether it is of no use any longer.
    #[must_use]
    pub fn is_over(&self, now: WallTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// A profile that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The agent that has it.
    pub agent: String,
    /// Its name.
    pub profile: String,
    provider: String,
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `models.providers.<id>.apiKey`.
    Config,
    /// The file that `models.providers.<id>.apiKeyFile` names.
    File(PathBuf),
    /// A profile of an agent's `auth-profiles.json`.
    Profile(String),
    /// A variable.
    Environment(String),
}

impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config => formatter.write_str("config"),
            Self::File(path) => write!(formatter, "file: {}", path.display()),
            Self::Profile(name) => write!(formatter, "profile: {name}"),
            Self::Environment(name) => write!(formatter, "env: {name}"),
        }
    }
}

/// Everything a key can come from, besides the configuration itself.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    variables: BTreeMap<String, Secret<String>>,
    /// What the files hold that the configuration names, by provider.
    files: BTreeMap<String, (PathBuf, Secret<String>)>,
    profiles: Vec<Profile>,
    expired: Vec<Expired>,
    /// What could not be read, in words.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone)]
struct Profile {
    agent: String,
    name: String,
    provider: String,
    key: Secret<String>,
    is_token: bool,
    expires: Option<WallTime>,
}

/// `auth-profiles.json`, as far as it concerns us.
#[derive(Deserialize)]
struct ProfilesFile {
    #[serde(default)]
    profiles: BTreeMap<String, StoredProfile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredProfile {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    provider: String,
    #[serde(default, alias = "token", alias = "access")]
    key: Option<Secret<String>>,
    #[serde(default)]
    expires: Option<f64>,
}

impl Keyring {
    /// Reads what lies around: the environment, the files that the configuration names, and the profiles of its agents. Reads files.
    #[must_use]
    pub fn read(
        config: &Config,
        environment: &BTreeMap<String, String>,
        state_dir: &Path,
        home: &Path,
        now: WallTime,
    ) -> Self {
        let mut keyring = Self::of_variables(config, environment);
        for (name, provider) in &config.models.providers {
            let Some(written) = &provider.api_key_file else {
                continue;
            };
            let path = match written.strip_prefix("~/") {
                Some(rest) => home.join(rest),
                None => state_dir.join(written),
            };
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let key = Secret::new(text.trim().to_owned());
                    keyring
                        .files
                        .insert(name.trim().to_lowercase(), (path, key));
                }
                Err(error) => keyring.problems.push(format!(
                    "models.providers.{name}.apiKeyFile: cannot read {}: {error}",
                    path.display()
                )),
            }
        }
        let listed = config.agents.list.iter().map(|agent| agent.id.trim());
        let mut agents: Vec<String> = listed.map(str::to_lowercase).collect();
        if agents.is_empty() {
            agents.push("main".to_owned());
        }
        for agent in agents {
            let path = state_dir
                .join("agents")
                .join(&agent)
                .join("agent/auth-profiles.json");
            match std::fs::read(&path) {
                Ok(bytes) => keyring.add_profiles(&agent, &path, &bytes, now),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => keyring
                    .problems
                    .push(format!("cannot read {}: {error}", path.display())),
            }
        }
        keyring
    }

    /// Only what the environment and `env` of the configuration say.
    #[must_use]
    pub fn of_variables(config: &Config, environment: &BTreeMap<String, String>) -> Self {
        let written = config.env.variables.iter();
        let mut variables: BTreeMap<String, Secret<String>> = written
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        variables.extend(
            environment
                .iter()
                .filter(|(_, value)| !value.trim().is_empty())
                .map(|(name, value)| (name.clone(), Secret::new(value.clone()))),
        );
        Self {
            variables,
            ..Self::default()
        }
    }

    fn add_profiles(&mut self, agent: &str, path: &Path, bytes: &[u8], now: WallTime) {
        let read: ProfilesFile = match serde_json::from_slice(bytes) {
            Ok(read) => read,
            Err(error) => {
                // What the reader says of a text may quote it.
                let place = format!("line {}, column {}", error.line(), error.column());
                self.problems
                    .push(format!("cannot read {}: {place}", path.display()));
                return;
            }
        };
        for (name, stored) in read.profiles {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked, and a fraction of a millisecond means nothing"
            )]
            let expires = stored
                .expires
                .filter(|expires| (1.0..=1e15).contains(expires))
                .map(|expires| WallTime::from_millis(expires as u64));
            let Some(key) = stored.key.filter(|key| !key.expose().trim().is_empty()) else {
                continue;
            };
            let provider = match stored.provider.trim() {
                "" => name.split(':').next().unwrap_or_default(),
                named => named,
            };
            if expires.is_some_and(|expires| expires <= now) {
                self.expired.push(Expired {
                    agent: agent.to_owned(),
                    provider: provider.to_lowercase(),
                    profile: name,
                });
                continue;
            }
            self.profiles.push(Profile {
                agent: agent.to_owned(),
                provider: provider.to_lowercase(),
                is_token: stored.kind != "api_key",
                name,
                key,
                expires,
            });
        }
    }

    /// The keys of a provider, in the order they are tried.
    pub(super) fn of(
        &self,
        provider: &str,
        settings: Option<&ModelProvider>,
        auth: &ModelAuth,
    ) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        let mut add = |value: &Secret<String>, source, profile: Option<&Profile>| {
            let value = value.expose().trim();
            if !value.is_empty() && !keys.iter().any(|key| key.value.expose() == value) {
                keys.push(Key {
                    value: Secret::new(value.to_owned()),
                    source,
                    agent: profile.map(|profile| profile.agent.clone()),
                    is_token: profile.is_some_and(|profile| profile.is_token)
                        || value.starts_with(SUBSCRIPTION),
                    expires: profile.and_then(|profile| profile.expires),
                });
            }
        };
        if let Some(key) = settings.and_then(|settings| settings.api_key.as_ref()) {
            // Older files name a variable in the place of the key.
            match self.variables.get(key.expose().trim()) {
                Some(value) => {
                    let name = key.expose().trim().to_owned();
                    add(value, KeySource::Environment(name), None);
                }
                None => add(key, KeySource::Config, None),
            }
        }
        if let Some((path, key)) = self.files.get(provider) {
            add(key, KeySource::File(path.clone()), None);
        }
        for profile in self.profiles(provider, auth) {
            let source = KeySource::Profile(profile.name.clone());
            add(&profile.key, source, Some(profile));
        }
        for name in built_in::variables(provider) {
            if let Some(value) = self.variables.get(&name) {
                add(value, KeySource::Environment(name), None);
            }
        }
        keys
    }

    fn profiles<'a>(&'a self, provider: &str, auth: &'a ModelAuth) -> Vec<&'a Profile> {
        let of_provider = |profile: &&Profile| profile.provider == provider;
        let mut profiles: Vec<&Profile> = self.profiles.iter().filter(of_provider).collect();
        let order = auth
            .order
            .iter()
            .find(|(name, _)| name.trim().to_lowercase() == provider);
        match order {
            Some((_, order)) => {
                profiles.retain(|profile| order.contains(&profile.name));
                profiles.sort_by_key(|profile| order.iter().position(|name| *name == profile.name));
            }
            // What is paid for by the month comes before what is paid for by the word.
            None => profiles.sort_by_key(|profile| !profile.is_token),
        }
        profiles
    }

    /// The profiles of a provider that have ended.
    pub(super) fn expired(&self, provider: &str) -> Vec<Expired> {
        let expired = self.expired.iter();
        expired
            .filter(|expired| expired.provider == provider)
            .cloned()
            .collect()
    }
}
