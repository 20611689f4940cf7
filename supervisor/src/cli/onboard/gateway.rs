//! Where the gateway is: here or elsewhere, and on which port.

use openclaw_shared::config::section::{GatewayMode, TailscaleMode};
use openclaw_shared::gateway_address::GatewayAddress;
use serde_json::json;

use super::super::config_edit::forget_secrets;
use super::super::failure::{Failure, Kind};
use super::super::prompt;
use super::super::target::read_secret;
use super::{Wizard, port, set};
use crate::port_owner;

impl Wizard {
    /// Whether the gateway runs here.
    pub(super) async fn place(&mut self) -> Result<(), Failure> {
        let current = self.config().gateway.mode;
        let by_url = self.wishes.remote_url.as_ref().map(|_| GatewayMode::Remote);
        let wanted = match self.wishes.mode.or(by_url) {
            Some(mode) => mode,
            None if self.asks => {
                let choices = [
                    ("local", "the gateway runs on this machine"),
                    ("remote", "this machine uses a gateway elsewhere"),
                ];
                let default = usize::from(current == Some(GatewayMode::Remote));
                match prompt::choose("Where is the gateway?", &choices, default).await? {
                    0 => GatewayMode::Local,
                    _ => GatewayMode::Remote,
                }
            }
            None => current.unwrap_or(GatewayMode::Local),
        };
        self.summary
            .insert("mode".to_owned(), wanted.as_str().into());
        if current == Some(wanted) {
            return Ok(());
        }
        if wanted == GatewayMode::Remote && self.is_running().await {
            return Err(
                Failure::new(Kind::Refused, "The gateway of this instance runs here.").hint(
                    format!("Stop it first: {}", self.context.command("gateway stop")),
                ),
            );
        }
        if wanted == GatewayMode::Remote
            && self.wishes.remote_url.is_none()
            && self.config().gateway.remote.url.is_none()
            && !self.asks
        {
            return Err(Failure::new(
                Kind::Usage,
                "error: required option '--remote-url <WS_URL>' not specified",
            ));
        }
        self.change(&[set(&["gateway", "mode"], wanted.as_str())])
            .await
    }

    /// Which gateway elsewhere is used, and with which secret.
    pub(super) async fn elsewhere(&mut self) -> Result<(), Failure> {
        let current = self.config().gateway.remote.url.unwrap_or_default();
        let url = match &self.wishes.remote_url {
            Some(url) => Some(url.trim().to_owned()),
            None if self.asks => loop {
                let said = prompt::line("Address of the gateway (ws://…)", &current).await?;
                match said {
                    None if current.is_empty() => prompt::say("It has to have an address."),
                    None => break None,
                    Some(url) => match GatewayAddress::parse(&url) {
                        Ok(_) => break Some(url),
                        Err(why) => prompt::say(&format!("That is no address: {why}.")),
                    },
                }
            },
            None => None,
        };
        let moved = url.as_ref().is_some_and(|url| *url != current);
        let token = match (&self.wishes.remote_token, &self.wishes.remote_token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => Some(read_secret(path)?),
            (None, None) if self.asks => {
                // A token is for one gateway; that of another place is not offered to this one.
                let keeps = self.config().gateway.remote.token.is_some() && !moved;
                prompt::secret(match keeps {
                    true => "Token of that gateway, or Enter to keep the one that is there",
                    false => "Token of that gateway, or Enter for none",
                })
                .await?
            }
            (None, None) => None,
        };
        let mut edits = Vec::new();
        if let Some(url) = url.filter(|_| moved) {
            GatewayAddress::parse(&url).map_err(|why| {
                Failure::new(
                    Kind::Usage,
                    format!("Invalid gateway address {url:?}: {why}"),
                )
                .hint("Use an address such as ws://127.0.0.1:18789.")
            })?;
            edits.push(set(&["gateway", "remote", "url"], url));
            edits.extend(forget_secrets(&self.config()));
        }
        if let Some(token) = token {
            edits.push(set(&["gateway", "remote", "token"], token.expose().clone()));
        }
        self.change(&edits).await?;
        let url = self.config().gateway.remote.url;
        self.summary.insert("remoteUrl".to_owned(), json!(url));
        Ok(())
    }

    /// On which port and addresses the gateway listens, and whether Tailscale publishes it.
    pub(super) async fn network(&mut self) -> Result<(), Failure> {
        let current = self.context.instance()?.ports.gateway;
        let wanted = match self.wishes.gateway_port {
            Some(port) => Some(port),
            None if self.asks => loop {
                let Some(said) = prompt::line("Port", &current.to_string()).await? else {
                    break None;
                };
                match port(&said) {
                    Ok(port) => break Some(port),
                    Err(_) => prompt::say("A port is a number from 1 to 65535."),
                }
            },
            None => None,
        };
        let mut edits = Vec::new();
        if let Some(port) = wanted.filter(|port| *port != current) {
            edits.push(set(&["gateway", "port"], port));
        }
        if let Some(bind) = self.wishes.gateway_bind {
            edits.push(set(&["gateway", "bind"], bind.as_str()));
        }
        if let Some(mode) = self.wishes.tailscale {
            edits.push(set(&["gateway", "tailscale", "mode"], mode.as_str()));
            if mode == TailscaleMode::Funnel && self.wishes.gateway_auth.is_none() {
                self.warnings
                    .push("Tailscale Funnel needs a password: --gateway-auth password.".to_owned());
            }
        }
        if self.wishes.tailscale_reset_on_exit {
            edits.push(set(&["gateway", "tailscale", "resetOnExit"], true));
        }
        self.change(&edits).await?;
        let instance = self.context.instance()?;
        if !self.is_running().await {
            let ports = instance.ports;
            for port in [ports.gateway, ports.browser_control, ports.canvas_host] {
                for owner in port_owner::owners(port) {
                    let warning = format!("Port {port} is in use at the moment: {owner}.");
                    self.tell(&warning);
                    self.warnings.push(warning);
                }
            }
        }
        self.summary
            .insert("port".to_owned(), instance.ports.gateway.into());
        Ok(())
    }
}
