//! Options that several commands share, and how their values are read.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Args};
use openclaw_shared::secret::Secret;

use super::span;

/// Options that mean the same wherever they stand on the line.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Globals {
    /// Act on the instance of this name
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        help_heading = "Global options"
    )]
    pub(crate) profile: Option<String>,
    /// Act on the development instance, the same as --profile dev
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) dev: bool,
    /// Print one JSON document instead of text, failures included
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Print without colours, the same as NO_COLOR=1
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_color: bool,
    /// Print the version
    #[arg(
        short = 'V',
        short_alias = 'v',
        long,
        global = true,
        action = clap::ArgAction::Version,
        help_heading = "Global options"
    )]
    version: Option<bool>,
}

/// Which gateway is asked, with which secret, for how long.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RpcFlags {
    /// Ask the gateway at this WebSocket address instead of this instance's
    #[arg(long, value_name = "WS_URL")]
    pub(crate) url: Option<String>,
    /// Ask the gateway on this port of this machine
    #[arg(long, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    pub(crate) port: Option<u16>,
    /// Present this token; prefer --token-file or OPENCLAW_GATEWAY_TOKEN, which other users cannot see
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    pub(crate) token: Option<Secret<String>>,
    /// Present the token in this file
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub(crate) token_file: Option<PathBuf>,
    /// Present this password; prefer OPENCLAW_GATEWAY_PASSWORD, which other users cannot see
    #[arg(long, value_name = "PASSWORD", value_parser = secret)]
    pub(crate) password: Option<Secret<String>>,
    /// Give up after this many milliseconds [default: 10000, or as long as the command says]
    #[arg(long, value_name = "MS", value_parser = millis, allow_negative_numbers = true)]
    pub(crate) timeout: Option<Duration>,
    /// Say more, also about the connection
    #[arg(long, alias = "debug")]
    pub(crate) verbose: bool,
}

/// Makes the options of a group of commands those of each of its commands, on either side of the command's name.
pub(crate) fn everywhere(argument: Arg) -> Arg {
    argument.global(true).help_heading("Gateway options")
}

/// Reads a span of time.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    span::parse(text)
}

/// How long a request may take when nothing else is said.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

impl RpcFlags {
    /// Fills what was not said with what was said before the command's name.
    #[must_use]
    pub(crate) fn or(self, before: Self) -> Self {
        let token_said = self.token.is_some() || self.token_file.is_some();
        Self {
            url: self.url.or(before.url),
            port: self.port.or(before.port),
            token: self.token.or(before.token.filter(|_| !token_said)),
            token_file: self
                .token_file
                .or(before.token_file.filter(|_| !token_said)),
            password: self.password.or(before.password),
            timeout: self.timeout.or(before.timeout),
            verbose: self.verbose || before.verbose,
        }
    }

    pub(crate) fn limit(&self) -> Duration {
        self.timeout.unwrap_or(DEFAULT_TIMEOUT)
    }
}

/// Reads a TCP port.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    match text.trim().parse() {
        Ok(port) if port > 0 => Ok(port),
        Ok(_) | Err(_) => Err("Invalid port".to_owned()),
    }
}

/// Reads a secret, which then never prints itself. A blank one is a variable that was not set, and protects nothing.
pub(crate) fn secret(text: &str) -> Result<Secret<String>, String> {
    match text.trim() {
        "" => Err("Invalid token or password (it is empty)".to_owned()),
        _ => Ok(Secret::new(text.to_owned())),
    }
}

/// Reads a number of milliseconds.
pub(crate) fn millis(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        Ok(_) | Err(_) => Err(format!("Invalid number of milliseconds: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_at_the_command_wins_over_what_was_said_before_it() {
        let token = |text: &str| Some(Secret::new(text.to_owned()));
        let before = RpcFlags {
            port: Some(1),
            token: token("before"),
            ..RpcFlags::default()
        };
        let flags = RpcFlags {
            token_file: Some("f".into()),
            ..RpcFlags::default()
        }
        .or(before);
        assert_eq!(flags.port, Some(1));
        assert_eq!(
            flags.token, None,
            "two tokens would leave open which one counts"
        );
    }

    #[test]
    fn values_that_are_none_are_refused() {
        assert_eq!(port("18789"), Ok(18789));
        for wrong in ["0", "-1", "65536", "x", ""] {
            assert_eq!(port(wrong), Err("Invalid port".to_owned()), "{wrong}");
        }
        for blank in ["", " "] {
            assert!(secret(blank).is_err());
        }
        assert!(millis("0").is_err());
        assert_eq!(millis("250"), Ok(Duration::from_millis(250)));
    }
}
