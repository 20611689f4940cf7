//! Whether a caller knows the shared secret of the instance.                             (pure)

use std::fmt;

use openclaw_shared::credentials::{AuthMode, Credentials};
use openclaw_shared::protocol::connect::{ClientId, ClientInfo, ClientMode, ConnectAuth};
use openclaw_shared::secret::constant_time_eq;

pub(crate) mod device;
pub(crate) mod tailnet;
pub(crate) mod throttle;

/// Why a caller is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It presented nothing.
    Missing(AuthMode),
    /// It presented something else.
    Mismatch(AuthMode),
    /// There is nothing to compare with.
    NotConfigured(AuthMode),
}

impl Failure {
    /// Whether somebody guessed; only that counts towards a limit.
    pub(crate) const fn is_guess(self) -> bool {
        match self {
            Self::Mismatch(_) => true,
            Self::Missing(_) | Self::NotConfigured(_) => false,
        }
    }

    /// The text of the error, with a hint for the kind of client that reads it.
    pub(crate) fn text(self, client: &ClientInfo) -> String {
        match self {
            Self::Missing(mode) => {
                format!(
                    "unauthorized: gateway {} missing ({})",
                    Secret(mode),
                    hint(mode, client)
                )
            }
            Self::Mismatch(mode) => {
                format!(
                    "unauthorized: gateway {} mismatch ({})",
                    Secret(mode),
                    hint(mode, client)
                )
            }
            Self::NotConfigured(mode) => format!(
                "unauthorized: gateway {0} not configured on gateway (set gateway.auth.{0})",
                Secret(mode)
            ),
        }
    }
}

/// The name of a mode's secret in texts.
struct Secret(AuthMode);

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            AuthMode::Token => "token",
            AuthMode::Password => "password",
        })
    }
}

const fn hint(mode: AuthMode, client: &ClientInfo) -> &'static str {
    let is_page = matches!(
        client.id,
        ClientId::ControlUi | ClientId::WebchatUi | ClientId::Webchat
    ) || matches!(client.mode, ClientMode::Webchat);
    match (mode, client.mode) {
        (AuthMode::Token, ClientMode::Cli) => {
            "set gateway.remote.token to match gateway.auth.token"
        }
        (AuthMode::Password, ClientMode::Cli) => {
            "set gateway.remote.password to match gateway.auth.password"
        }
        (AuthMode::Token, _) if is_page => {
            "open a tokenized dashboard URL or paste token in Control UI settings"
        }
        (AuthMode::Password, _) if is_page => "enter the password in Control UI settings",
        (AuthMode::Token, _) => "provide gateway auth token",
        (AuthMode::Password, _) => "provide gateway auth password",
    }
}

/// Compares what a caller presents with the secret of the active mode, in constant time and exactly.
///
/// # Errors
/// Says in which way it does not fit.
pub(crate) fn check(credentials: Option<&Credentials>, auth: &ConnectAuth) -> Result<(), Failure> {
    let mode = credentials.map_or(AuthMode::Token, |credentials| credentials.mode);
    let expected = credentials
        .and_then(Credentials::active)
        .map(|secret| secret.expose().as_str())
        .filter(|secret| !secret.is_empty())
        .ok_or(Failure::NotConfigured(mode))?;
    let presented = match mode {
        AuthMode::Token => auth.token.as_deref(),
        AuthMode::Password => auth.password.as_deref(),
    };
    let presented = presented
        .filter(|presented| !presented.is_empty())
        .ok_or(Failure::Missing(mode))?;
    if constant_time_eq(presented.as_bytes(), expected.as_bytes()) {
        Ok(())
    } else {
        Err(Failure::Mismatch(mode))
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::credentials::{AuthMode, Credentials};
    use openclaw_shared::protocol::connect::{ClientInfo, ConnectAuth};
    use openclaw_shared::secret::Secret;
    use serde_json::json;

    use super::{Failure, check};

    fn credentials(mode: AuthMode) -> Credentials {
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        Credentials {
            mode,
            token: secret("geheim-1"),
            password: secret("wort"),
        }
    }

    fn auth(token: Option<&str>, password: Option<&str>) -> ConnectAuth {
        ConnectAuth {
            token: token.map(str::to_owned),
            password: password.map(str::to_owned),
        }
    }

    #[test]
    fn rules_02_03_04_05_only_the_exact_secret_of_the_active_mode_opens() {
        use Failure::{Mismatch, Missing};
        let token = |presented| check(Some(&credentials(AuthMode::Token)), &presented);
        assert_eq!(token(auth(Some("geheim-1"), None)), Ok(()));
        assert_eq!(token(auth(Some("geheim-1"), Some("nonsense"))), Ok(()));
        for near_miss in [
            "geheim-",
            "geheim-1x",
            "GEHEIM-1",
            " geheim-1",
            "geheim-1\n",
            "geheim-1\0",
            "gehéim-",
            "wort",
        ] {
            assert_eq!(
                token(auth(Some(near_miss), None)),
                Err(Mismatch(AuthMode::Token)),
                "{near_miss:?}"
            );
        }
        for missing in [
            auth(None, None),
            auth(Some(""), None),
            auth(None, Some("geheim-1")),
        ] {
            assert_eq!(token(missing), Err(Missing(AuthMode::Token)));
        }
        let password = |presented| check(Some(&credentials(AuthMode::Password)), &presented);
        assert_eq!(password(auth(None, Some("wort"))), Ok(()));
        assert_eq!(
            password(auth(Some("wort"), None)),
            Err(Missing(AuthMode::Password))
        );
        assert_eq!(
            password(auth(None, Some("geheim-1"))),
            Err(Mismatch(AuthMode::Password))
        );
    }

    #[test]
    fn nothing_configured_lets_nobody_in() {
        assert_eq!(
            check(None, &auth(Some(""), Some(""))),
            Err(Failure::NotConfigured(AuthMode::Token))
        );
        let empty = Credentials {
            mode: AuthMode::Token,
            token: Some(Secret::new(String::new())),
            password: None,
        };
        assert_eq!(
            check(Some(&empty), &auth(Some(""), None)),
            Err(Failure::NotConfigured(AuthMode::Token))
        );
    }

    #[test]
    fn the_hint_fits_the_client() {
        let text = |id, mode, failure: Failure| {
            let client = json!({"id": id, "mode": mode, "version": "1", "platform": "linux"});
            failure.text(&serde_json::from_value::<ClientInfo>(client).unwrap())
        };
        let mismatch = Failure::Mismatch(AuthMode::Token);
        assert_eq!(
            text("cli", "cli", mismatch),
            "unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)"
        );
        assert_eq!(
            text("openclaw-control-ui", "webchat", mismatch),
            "unauthorized: gateway token mismatch (open a tokenized dashboard URL or paste token in Control UI settings)"
        );
        assert_eq!(
            text("openclaw-probe", "probe", Failure::Missing(AuthMode::Token)),
            "unauthorized: gateway token missing (provide gateway auth token)"
        );
        assert_eq!(
            text("cli", "cli", Failure::NotConfigured(AuthMode::Password)),
            "unauthorized: gateway password not configured on gateway (set gateway.auth.password)"
        );
    }
}
