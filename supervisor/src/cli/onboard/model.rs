//! The model that answers, and the key for it.

use openclaw_shared::model_providers::{Provider, Providers};
use openclaw_shared::secret::Secret;
use serde_json::json;

use super::super::failure::{Failure, Kind};
use super::super::models;
use super::super::target::read_secret;
use super::super::{own_program, prompt};
use super::{Wizard, keys};

/// The provider whose only model needs no network.
const OFFLINE: &str = "offline";

impl Wizard {
    /// Chooses the model, and keeps a key for its provider.
    pub(super) async fn model(&mut self) -> Result<(), Failure> {
        for (provider, key) in self.keys_given()? {
            self.keep(&provider, &key)?;
        }
        if let Some(model) = self.wishes.model.clone() {
            self.choose(&model).await?;
        } else if self.asks {
            self.ask_for_model().await?;
        }
        let current = models::in_use(&self.context);
        let is_usable = current.as_deref().is_some_and(|model| self.can_ask(model));
        if !is_usable
            || current
                .as_deref()
                .is_some_and(|model| model.starts_with(OFFLINE))
        {
            self.warnings.push(format!(
                "No model of a provider answers yet; later: {}",
                self.context.command("configure --section model")
            ));
        }
        self.summary.insert("model".to_owned(), json!(current));
        Ok(())
    }

    async fn ask_for_model(&mut self) -> Result<(), Failure> {
        let providers = models::providers_of(&self.context);
        let current = models::in_use(&self.context);
        let shown = match &current {
            Some(model) if model.starts_with(OFFLINE) => {
                "no model yet; what is said is only echoed".to_owned()
            }
            Some(model) if self.can_ask(model) => format!("{model}, for which there is a key"),
            Some(model) => format!("{model}, for which there is no key"),
            None => "no model yet".to_owned(),
        };
        let rows: Vec<(&str, String)> = std::iter::once(("keep", shown))
            .chain(providers.iter().map(|provider| {
                let id = provider.id.as_str();
                (id, about(provider).to_owned())
            }))
            .collect();
        let choices: Vec<prompt::Choice<'_>> = rows
            .iter()
            .map(|(word, about)| (*word, about.as_str()))
            .collect();
        let chosen = prompt::choose("Whose model answers?", &choices, 0).await?;
        let Some(provider) = chosen
            .checked_sub(1)
            .and_then(|index| providers.iter().nth(index))
        else {
            return Ok(());
        };
        self.ask_for_key(provider).await?;
        let of_provider = current.filter(|model| model.starts_with(&format!("{}/", provider.id)));
        let first = provider.models.first();
        let default = of_provider
            .or_else(|| first.map(|model| format!("{}/{}", provider.id, model.id)))
            .unwrap_or_default();
        for model in provider.models.iter().take(5) {
            self.tell(format!("{}/{}", provider.id, model.id));
        }
        let said = prompt::line("Model", &default).await?.unwrap_or(default);
        if said.is_empty() {
            return Ok(());
        }
        let model = match said.contains('/') {
            true => said,
            false => format!("{}/{said}", provider.id),
        };
        self.choose(&model).await
    }

    async fn ask_for_key(&mut self, provider: &Provider) -> Result<(), Failure> {
        if !provider.needs_key {
            return Ok(());
        }
        let question = match provider.keys.first() {
            Some(key) => {
                self.tell(format!("There is a key ({}).", key.source));
                format!("Another key of {}, or Enter to keep it", provider.id)
            }
            None => format!("Key of {}, or Enter for later", provider.id),
        };
        match prompt::secret(&question).await? {
            Some(key) => self.keep(&provider.id, &key),
            None => Ok(()),
        }
    }

    /// Has the command for it do it, which also looks after lists of what may be chosen.
    async fn choose(&mut self, model: &str) -> Result<(), Failure> {
        let done = own_program::run(&self.context, &["models", "set", model]).await?;
        if done["changed"] == true {
            self.is_changed = true;
        }
        self.look_again();
        Ok(())
    }

    fn keep(&mut self, provider: &str, key: &Secret<String>) -> Result<(), Failure> {
        let state = &self.context.identity.state_dir;
        keys::keep(&self.config(), state, provider, key).map_err(|error| {
            Failure::new(Kind::Failed, format!("The key is not kept: {error}."))
        })?;
        self.is_changed = true;
        self.restart_for = Some("the new key");
        self.tell(format!(
            "The key of {provider} is kept, readable only to you."
        ));
        self.look_again();
        Ok(())
    }

    /// The keys that options give, and whose they are.
    fn keys_given(&self) -> Result<Vec<(String, Secret<String>)>, Failure> {
        let wishes = &self.wishes;
        let mut given: Vec<(String, Secret<String>)> = [
            ("anthropic", &wishes.anthropic_api_key),
            ("openai", &wishes.openai_api_key),
            ("google", &wishes.gemini_api_key),
            ("openrouter", &wishes.openrouter_api_key),
        ]
        .into_iter()
        .filter_map(|(provider, key)| Some((provider.to_owned(), key.clone()?)))
        .collect();
        if let Some(path) = &wishes.api_key_file {
            let by_choice = wishes.auth_choice.as_deref().and_then(provider_of);
            let by_model = wishes
                .model
                .as_deref()
                .and_then(|model| model.split_once('/'));
            let provider = by_choice.or(by_model.map(|(provider, _)| provider.to_owned()));
            let provider = provider.ok_or_else(|| {
                Failure::new(
                    Kind::Usage,
                    "It is not said whose key is in --api-key-file; pass --model or --auth-choice.",
                )
            })?;
            given.push((provider, read_secret(path)?));
        }
        Ok(given)
    }

    fn can_ask(&self, model: &str) -> bool {
        let providers: Providers = models::providers_of(&self.context);
        let provider = model.split('/').next().unwrap_or_default();
        provider == OFFLINE || providers.get(provider).is_some_and(Provider::is_usable)
    }
}

fn about(provider: &Provider) -> &'static str {
    match (provider.needs_key, provider.keys.is_empty()) {
        (true, true) => "",
        (true, false) => "there is a key",
        (false, _) => "needs no key",
    }
}

/// The provider that is meant by a word such as `openai-api-key` or `apiKey`.
fn provider_of(choice: &str) -> Option<String> {
    match choice {
        "skip" | "" => None,
        "apiKey" | "api-key" | "token" | "setup-token" => Some("anthropic".to_owned()),
        "gemini-api-key" => Some("google".to_owned()),
        other => Some(other.trim_end_matches("-api-key").to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::provider_of;

    #[test]
    fn words_of_other_versions_name_the_same_providers() {
        let check = |choice: &str| provider_of(choice);
        assert_eq!(check("apiKey").as_deref(), Some("anthropic"));
        assert_eq!(check("openai-api-key").as_deref(), Some("openai"));
        assert_eq!(check("gemini-api-key").as_deref(), Some("google"));
        assert_eq!(check("groq").as_deref(), Some("groq"));
        assert_eq!(check("skip"), None);
    }
}
