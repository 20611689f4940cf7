//! What callers of the gateway are asked for.

use openclaw_shared::config::section::AuthMode;
use openclaw_shared::config::write::replace_private;
use openclaw_shared::ipc::private_folder;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::secret::Secret;
use serde_json::json;

use super::super::config_edit::Edit;
use super::super::failure::{Failure, Kind};
use super::super::prompt;
use super::super::target::read_secret;
use super::{Wizard, set, unset};
use crate::supervise::read_token;
use crate::supervise::start::random_token;

/// Where the secret that is in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Nowhere,
    Made,
    Config,
    Environment,
    Password,
}

impl Origin {
    const fn word(self) -> &'static str {
        match self {
            Self::Nowhere => "none",
            Self::Made => "made",
            Self::Config => "config",
            Self::Environment => "environment",
            Self::Password => "password",
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Nowhere => "there is none yet",
            Self::Made => "the token that was made for this instance",
            Self::Config => "the token in the configuration",
            Self::Environment => "the token in OPENCLAW_GATEWAY_TOKEN",
            Self::Password => "a password",
        }
    }
}

/// What becomes of it.
enum Wish {
    Keep,
    Make,
    Token(Secret<String>),
    Password(Secret<String>),
}

impl Wizard {
    /// Chooses what callers are asked for.
    pub(super) async fn secret(&mut self) -> Result<(), Failure> {
        let origin = self.origin();
        let wish = match self.wished()? {
            Some(wish) => wish,
            None if self.asks => ask(origin).await?,
            None => Wish::Keep,
        };
        match wish {
            Wish::Keep if origin == Origin::Nowhere => self.make()?,
            Wish::Keep => {}
            Wish::Make => {
                self.make()?;
                self.change(&self.without_others()).await?;
            }
            Wish::Token(token) => {
                let mut edits = self.without_others();
                edits.push(set(&["gateway", "auth", "token"], token.expose().clone()));
                self.change(&edits).await?;
            }
            Wish::Password(password) => {
                let edits = [
                    set(&["gateway", "auth", "mode"], "password"),
                    set(&["gateway", "auth", "password"], password.expose().clone()),
                ];
                self.change(&edits).await?;
            }
        }
        let origin = self.origin();
        let file = StatePaths(&self.context.identity.state_dir).token();
        if origin == Origin::Made {
            let shown = self.context.shown(&file);
            self.tell(format!("Token: in {shown} (show it with: cat {shown})"));
        } else {
            self.tell(format!("Callers are asked for {}.", origin.meaning()));
        }
        let file = (origin == Origin::Made).then_some(file);
        let about = json!({ "secret": origin.word(), "tokenFile": file });
        self.summary.insert("auth".to_owned(), about);
        Ok(())
    }

    fn origin(&self) -> Origin {
        let auth = self.config().gateway.auth;
        let in_environment = |names: &[&str]| self.context.environment.first(names).is_some();
        let has_password =
            auth.password.is_some() || in_environment(&["OPENCLAW_GATEWAY_PASSWORD"]);
        if auth.mode == Some(AuthMode::Password) || (auth.mode.is_none() && has_password) {
            return match has_password {
                true => Origin::Password,
                false => Origin::Nowhere,
            };
        }
        if auth.token.is_some() {
            Origin::Config
        } else if in_environment(&["OPENCLAW_GATEWAY_TOKEN", "CLAWDBOT_GATEWAY_TOKEN"]) {
            Origin::Environment
        } else if read_token(&self.context.identity.state_dir).is_some() {
            Origin::Made
        } else {
            Origin::Nowhere
        }
    }

    /// What the options say.
    fn wished(&self) -> Result<Option<Wish>, Failure> {
        let wishes = &self.wishes;
        let from =
            |given: &Option<Secret<String>>, file: &Option<std::path::PathBuf>| match (given, file)
            {
                (Some(given), _) => Ok(Some(given.clone())),
                (None, Some(path)) => read_secret(path).map(Some),
                (None, None) => Ok(None),
            };
        let token = from(&wishes.gateway_token, &wishes.gateway_token_file)?;
        let password = from(&wishes.gateway_password, &wishes.gateway_password_file)?;
        Ok(match (wishes.gateway_auth, token, password) {
            (Some(AuthMode::Password), _, Some(password)) | (None, None, Some(password)) => {
                Some(Wish::Password(password))
            }
            (Some(AuthMode::Password), _, None) => match self.config().gateway.auth.password {
                Some(password) => Some(Wish::Password(password)),
                None if self.asks => None,
                None => {
                    return Err(Failure::new(
                        Kind::Usage,
                        "error: required option '--gateway-password-file <FILE>' not specified",
                    ));
                }
            },
            (_, Some(token), _) => Some(Wish::Token(token)),
            (Some(AuthMode::Token), None, _) if self.origin() == Origin::Password => {
                Some(Wish::Make)
            }
            (Some(AuthMode::Token) | None, None, _) => None,
        })
    }

    /// The edits after which only the token of this instance counts.
    fn without_others(&self) -> Vec<Edit> {
        let auth = self.config().gateway.auth;
        let written = [
            ("mode", auth.mode.is_some()),
            ("token", auth.token.is_some()),
            ("password", auth.password.is_some()),
        ];
        let written = written.into_iter().filter(|(_, is_there)| *is_there);
        written
            .map(|(key, _)| unset(&["gateway", "auth", key]))
            .collect()
    }

    /// Makes a token, which only this user can read.
    fn make(&mut self) -> Result<(), Failure> {
        let state = &self.context.identity.state_dir;
        let path = StatePaths(state).token();
        let made = private_folder(state)
            .and_then(|()| random_token())
            .and_then(|token| replace_private(&path, token.as_bytes()));
        made.map_err(|error| {
            let path = self.context.shown(&path);
            Failure::new(
                Kind::Failed,
                format!("The gateway token cannot be written to {path}: {error}."),
            )
        })?;
        self.is_changed = true;
        self.restart_for = Some("the new token");
        Ok(())
    }
}

async fn ask(origin: Origin) -> Result<Wish, Failure> {
    let keep = match origin {
        Origin::Nowhere => ("make", "make a token"),
        Origin::Made | Origin::Config | Origin::Environment | Origin::Password => {
            ("keep", origin.meaning())
        }
    };
    let mut choices = vec![keep];
    if origin != Origin::Nowhere {
        choices.push(("make", "make a new token"));
    }
    choices.extend([("type", "type a token"), ("password", "use a password")]);
    loop {
        let chosen = prompt::choose("What are callers asked for?", &choices, 0).await?;
        let wish = match choices[chosen].0 {
            "keep" => Some(Wish::Keep),
            "make" => Some(Wish::Make),
            "type" => prompt::secret("Token").await?.map(Wish::Token),
            _ => prompt::secret("Password").await?.map(Wish::Password),
        };
        match wish {
            Some(wish) => return Ok(wish),
            None => prompt::say("Nothing was typed."),
        }
    }
}
