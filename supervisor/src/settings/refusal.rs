//! What must not be started, and what must not be taken: why, and what to do about it.

use std::fmt;
use std::net::IpAddr;

use openclaw_shared::config::section::{AuthMode, GatewayMode};
use openclaw_shared::exit::Exit;

use super::{Flags, Settings};
use crate::supervise::tailscale::Audience;

/// Why an instance does not start, or a configuration is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) exit: Exit,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it, one sentence each.
    pub(crate) hints: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        self.hints
            .iter()
            .try_for_each(|hint| write!(formatter, " {hint}"))
    }
}

impl Settings {
    /// Refuses what must not be started: a machine that is to use a gateway elsewhere, and a public address without a
    /// secret that the owner chose.
    ///
    /// # Errors
    /// The refusal, with what to do.
    pub(crate) fn check_start(&self, flags: &Flags) -> Result<(), Refusal> {
        match self.config.gateway.mode {
            Some(GatewayMode::Local) => {}
            _ if flags.allow_unconfigured => {}
            Some(GatewayMode::Remote) => {
                let remote = self.config.gateway.remote.url.as_deref();
                let command = |rest: &str| self.instance.identity.command(rest);
                return Err(Refusal::new(
                    Exit::ConfigInvalid,
                    "Gateway start blocked: set gateway.mode=local (current: remote) or pass --allow-unconfigured.",
                )
                .hint(format!(
                    "This machine is to use the gateway at {}: {}",
                    remote.unwrap_or("gateway.remote.url (not set)"),
                    command("health")
                ))
                .hint(format!(
                    "To run one here: {}",
                    command("config set gateway.mode local")
                )));
            }
            None if !self.config_exists => {
                return Err(Refusal::new(
                    Exit::ConfigInvalid,
                    "Missing config. Run `openclaw setup` or set gateway.mode=local (or pass --allow-unconfigured).",
                ));
            }
            None => {
                return Err(Refusal::new(
                    Exit::ConfigInvalid,
                    "Gateway start blocked: set gateway.mode=local (current: unset) or pass --allow-unconfigured.",
                )
                .hint(format!(
                    "Set it: {}",
                    self.instance.identity.command("config set gateway.mode local")
                )));
            }
        }
        self.check_safe()
    }

    /// Refuses what would be unsafe, at the start as well as on a reload.
    ///
    /// # Errors
    /// The refusal, with what to do.
    pub(crate) fn check_safe(&self) -> Result<(), Refusal> {
        let mode = self.credentials.mode;
        if mode == AuthMode::Password && self.credentials.password.is_none() {
            return Err(Refusal::new(
                Exit::Refused,
                "Gateway auth is set to password, but no password is configured.",
            )
            .hint(
                "Set gateway.auth.password (or OPENCLAW_GATEWAY_PASSWORD), or pass --password.",
            ));
        }
        if let Some(publication) = self.publication {
            self.check_published(publication.to)?;
        }
        if let Some(host) = self.instance.hosts.iter().find(|host| !host.is_loopback())
            && !self.secret_is_chosen
        {
            return Err(Refusal::new(
                Exit::Refused,
                format!("Refusing to bind the gateway to {host} without auth."),
            )
            .hint("Set gateway.auth.token (or OPENCLAW_GATEWAY_TOKEN), or pass --token."));
        }
        Ok(())
    }

    /// Refuses what must not be published.
    fn check_published(&self, to: Audience) -> Result<(), Refusal> {
        if !self.instance.hosts.iter().all(IpAddr::is_loopback) {
            return Err(Refusal::new(
                Exit::Refused,
                "gateway.tailscale.mode needs the gateway on loopback: Tailscale reaches it there.",
            )
            .hint("Set gateway.bind to \"loopback\" (or leave out --bind)."));
        }
        if to == Audience::Everybody && self.credentials.mode != AuthMode::Password {
            return Err(Refusal::new(
                Exit::Refused,
                "Tailscale Funnel publishes the gateway to everybody and needs password auth.",
            )
            .hint("Set gateway.auth.mode to \"password\" and gateway.auth.password, or use \"serve\"."));
        }
        Ok(())
    }
}
