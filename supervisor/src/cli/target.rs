//! Which gateway a command talks to, and with which secret. Pure, but for `find`, which collects what has a say.
//!
//! Invariant: the secrets of this instance go to this machine, or to the gateway that the configuration names as remote. An
//! address given by `--url` that lies elsewhere gets only a secret that was given for it.

use std::net::IpAddr;
use std::path::PathBuf;

use openclaw_client::Gateway;
use openclaw_shared::config::Config;
use openclaw_shared::config::section::{AuthMode, BindMode, GatewayMode};
use openclaw_shared::gateway_address::{AddressError, GatewayAddress};
use openclaw_shared::secret::Secret;

use super::args::RpcFlags;
use super::failure::{Failure, Kind};

mod find;

pub(crate) use find::{find_target, read_secret};

/// A gateway to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its address, and what is presented to it.
    pub(crate) gateway: Gateway,
    pub(crate) source: Source,
    /// `gateway.bind`, when the target is this instance.
    pub(crate) bind: Option<BindMode>,
    /// The configuration file, as shown to people.
    pub(crate) config: String,
}

/// Where the address came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// This instance, on loopback.
    Loopback,
    /// This instance, on its only address.
    Address(IpAddr),
    /// `--url`.
    Flag,
    /// `gateway.remote.url`.
    Remote,
    /// `gateway.mode` is remote, but no address is configured.
    RemoteMissing,
}

impl Source {
    /// The text of the `Source:` line.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Loopback => "local loopback".to_owned(),
            Self::Address(IpAddr::V4(address)) if is_tailnet(address) => {
                format!("local tailnet {address}")
            }
            Self::Address(address) => format!("local {address}"),
            Self::Flag => "cli --url".to_owned(),
            Self::Remote => "config gateway.remote.url".to_owned(),
            Self::RemoteMissing => "missing gateway.remote.url (fallback local)".to_owned(),
        }
    }

    /// Whether it is an instance on this machine that we manage.
    pub(crate) const fn is_local(self) -> bool {
        match self {
            Self::Loopback | Self::Address(_) | Self::RemoteMissing => true,
            Self::Flag | Self::Remote => false,
        }
    }
}

/// Everything that has a say.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) flags: RpcFlags,
    /// The base port of this instance.
    pub(crate) port: u16,
    /// The addresses the running instance listens on, when one runs.
    pub(crate) hosts: Vec<IpAddr>,
    pub(crate) config: Config,
    pub(crate) config_shown: String,
    /// The content of `--token-file`.
    pub(crate) token_from_file: Option<Secret<String>>,
    pub(crate) token_from_environment: Option<Secret<String>>,
    pub(crate) password_from_environment: Option<Secret<String>>,
    /// The token that was made for this instance.
    pub(crate) generated_token: Option<Secret<String>>,
    /// Where the key of this command line is, or will be.
    pub(crate) identity: Option<PathBuf>,
    /// Whether a remote gateway without an address may be replaced by this instance.
    pub(crate) fall_back: bool,
}

/// Chooses the gateway and the secrets for it.
///
/// # Errors
/// When the configuration says remote and names no address, or an address cannot be used.
pub(crate) fn resolve(inputs: Inputs) -> Result<Target, Failure> {
    let remote_mode = inputs.config.gateway.mode == Some(GatewayMode::Remote);
    let (url, source) = match (&inputs.flags.url, inputs.flags.port) {
        (Some(url), _) => (url.trim().to_owned(), Source::Flag),
        (None, Some(_)) => local(&inputs),
        (None, None) if remote_mode => match &inputs.config.gateway.remote.url {
            Some(url) => (url.trim().to_owned(), Source::Remote),
            None if inputs.fall_back => {
                let (url, _) = local(&inputs);
                (url, Source::RemoteMissing)
            }
            None => return Err(missing_remote(&inputs)),
        },
        (None, None) => local(&inputs),
    };
    let host = host_of(&url)?;
    let given_token = inputs
        .flags
        .token
        .clone()
        .or(inputs.token_from_file.clone());
    let given_password = inputs.flags.password.clone();
    let gateway = &inputs.config.gateway;
    let is_ours = is_this_machine(&host) || source != Source::Flag;
    // The environment's secrets are this instance's: services export them, and `.env` in the state folder fills them in. A configured
    // remote gateway has a token of its own, and whatever else `--url` names has to be given one.
    let (given_token, given_password) = match source {
        Source::Remote => (
            given_token,
            given_password.or(inputs.password_from_environment),
        ),
        Source::Flag if !is_ours => (given_token, given_password),
        Source::Loopback | Source::Address(_) | Source::Flag | Source::RemoteMissing => (
            given_token.or(inputs.token_from_environment),
            given_password.or(inputs.password_from_environment),
        ),
    };
    let secret_is_given = given_token.is_some() || given_password.is_some();
    let (own_token, own_password) = if source == Source::Remote {
        (
            gateway.remote.token.clone(),
            gateway.remote.password.clone(),
        )
    } else if is_ours {
        let by_password = gateway.auth.mode == Some(AuthMode::Password)
            || (gateway.auth.mode.is_none()
                && gateway.auth.password.is_some()
                && gateway.auth.token.is_none());
        let generated = inputs.generated_token.filter(|_| !by_password);
        (
            gateway.auth.token.clone().or(generated),
            gateway.auth.password.clone(),
        )
    } else {
        (None, None)
    };
    let token = given_token.or(own_token);
    let password = given_password.or(own_password);
    let bind = source.is_local().then_some(gateway.bind);
    Ok(Target {
        gateway: Gateway {
            url,
            token,
            password,
            secret_is_given,
            is_ours,
            identity: inputs.identity,
        },
        source,
        bind,
        config: inputs.config_shown,
    })
}

fn local(inputs: &Inputs) -> (String, Source) {
    let scheme = if inputs.config.gateway.tls.enabled {
        "wss"
    } else {
        "ws"
    };
    let custom = inputs.config.gateway.custom_bind_host;
    let configured: Vec<IpAddr> = custom
        .filter(|_| inputs.config.gateway.bind == BindMode::Custom)
        .into_iter()
        .collect();
    let hosts = if inputs.hosts.is_empty() {
        &configured
    } else {
        &inputs.hosts
    };
    let port = inputs.flags.port.unwrap_or(inputs.port);
    // An instance that listens on loopback or on every address is reached on loopback.
    let reached_on_loopback = hosts.is_empty()
        || hosts
            .iter()
            .any(|host| host.is_loopback() || host.is_unspecified());
    match hosts.first() {
        Some(address) if !reached_on_loopback => (
            format!("{scheme}://{}", std::net::SocketAddr::new(*address, port)),
            Source::Address(*address),
        ),
        Some(_) | None => {
            let only_ipv6 = !hosts.is_empty() && hosts.iter().all(IpAddr::is_ipv6);
            let host = if only_ipv6 { "[::1]" } else { "127.0.0.1" };
            (format!("{scheme}://{host}:{port}"), Source::Loopback)
        }
    }
}

fn missing_remote(inputs: &Inputs) -> Failure {
    Failure::new(
        Kind::Config,
        "gateway remote mode misconfigured: gateway.remote.url missing",
    )
    .detail("Config", &*inputs.config_shown)
    .hint("Set gateway.remote.url, or set gateway.mode=local.")
}

/// The host of a WebSocket address.
fn host_of(url: &str) -> Result<String, Failure> {
    let wrong = |why: AddressError| {
        Failure::new(
            Kind::Usage,
            format!("Invalid gateway address {url:?}: {why}"),
        )
        .hint("Use an address such as ws://127.0.0.1:18789.")
    };
    let address = GatewayAddress::parse(url).map_err(wrong)?;
    Ok(address.host().to_owned())
}

/// Whether an address can only mean this machine.
pub(crate) fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Tailscale's range, 100.64.0.0/10.
fn is_tailnet(address: std::net::Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && (64..128).contains(&second)
}

#[cfg(test)]
mod tests {
    use openclaw_shared::config::Config;
    use serde_json::{Value, json};

    use super::*;

    fn inputs(config: Value) -> Inputs {
        Inputs {
            port: 18789,
            config: Config::from_effective(&config).unwrap(),
            config_shown: "~/.openclaw/openclaw.json".to_owned(),
            ..Inputs::default()
        }
    }

    fn secret(text: &str) -> Option<Secret<String>> {
        Some(Secret::new(text.to_owned()))
    }

    fn url(inputs: Inputs) -> String {
        let target = resolve(inputs).unwrap();
        format!("{} ({})", target.gateway.url, target.source.describe())
    }

    fn token(inputs: Inputs) -> Option<String> {
        resolve(inputs)
            .unwrap()
            .gateway
            .token
            .map(|token| token.expose().clone())
    }

    #[test]
    fn the_address_is_the_one_most_directly_given() {
        let plain = || inputs(json!({}));
        assert_eq!(url(plain()), "ws://127.0.0.1:18789 (local loopback)");

        let mut flagged =
            inputs(json!({"gateway": {"mode": "remote", "remote": {"url": "ws://far:1"}}}));
        flagged.flags.url = Some("ws://other:2".to_owned());
        assert_eq!(url(flagged), "ws://other:2 (cli --url)");

        let remote =
            inputs(json!({"gateway": {"mode": "remote", "remote": {"url": "ws://far:1"}}}));
        assert_eq!(url(remote), "ws://far:1 (config gateway.remote.url)");

        let mut port =
            inputs(json!({"gateway": {"mode": "remote", "remote": {"url": "ws://far:1"}}}));
        port.flags.port = Some(5);
        assert_eq!(url(port), "ws://127.0.0.1:5 (local loopback)");

        let mut running = plain();
        running.hosts = vec!["100.70.1.2".parse().unwrap()];
        assert_eq!(
            url(running),
            "ws://100.70.1.2:18789 (local tailnet 100.70.1.2)"
        );

        let mut everywhere = plain();
        everywhere.hosts = vec!["0.0.0.0".parse().unwrap()];
        assert_eq!(url(everywhere), "ws://127.0.0.1:18789 (local loopback)");

        let custom = inputs(
            json!({"gateway": {"bind": "custom", "customBindHost": "10.1.2.3", "auth": {"token": "t"}}}),
        );
        assert_eq!(url(custom), "ws://10.1.2.3:18789 (local 10.1.2.3)");
    }

    #[test]
    fn remote_without_an_address_is_an_error_unless_a_fallback_is_wanted() {
        let config = json!({"gateway": {"mode": "remote"}});
        let failure = resolve(inputs(config.clone())).unwrap_err();
        assert!(
            failure.message.contains("gateway.remote.url missing"),
            "{failure:?}"
        );
        let mut lenient = inputs(config);
        lenient.fall_back = true;
        assert_eq!(
            url(lenient),
            "ws://127.0.0.1:18789 (missing gateway.remote.url (fallback local))"
        );
    }

    #[test]
    fn the_token_is_the_one_most_directly_given() {
        let config = json!({"gateway": {"auth": {"token": "config"}}});
        let mut all = inputs(config);
        all.generated_token = secret("generated");
        all.token_from_environment = secret("environment");
        all.token_from_file = secret("file");
        all.flags.token = secret("flag");
        for expected in ["flag", "file", "environment", "config", "generated"] {
            let now = Inputs {
                flags: all.flags.clone(),
                config: all.config.clone(),
                token_from_file: all.token_from_file.clone(),
                token_from_environment: all.token_from_environment.clone(),
                generated_token: all.generated_token.clone(),
                port: 1,
                ..Inputs::default()
            };
            assert_eq!(token(now).as_deref(), Some(expected));
            match expected {
                "flag" => all.flags.token = None,
                "file" => all.token_from_file = None,
                "environment" => all.token_from_environment = None,
                _ => all.config = Config::default(),
            }
        }
    }

    #[test]
    fn a_secret_for_this_call_is_told_from_the_secrets_of_the_configuration() {
        let given = |inputs: Inputs| resolve(inputs).unwrap().gateway.secret_is_given;
        let config = json!({"gateway": {"auth": {"token": "config"}}});
        let plain = || inputs(config.clone());
        assert!(!given(plain()));
        let mut flag = plain();
        flag.flags.token = secret("flag");
        assert!(given(flag));
        let mut environment = plain();
        environment.password_from_environment = secret("environment");
        assert!(given(environment));
        let mut remote =
            inputs(json!({"gateway": {"mode": "remote", "remote": {"url": "ws://far:1"}}}));
        remote.token_from_environment = secret("environment");
        assert!(!given(remote), "that token is for this machine");
    }

    #[test]
    fn a_secret_of_this_instance_does_not_travel() {
        let config = json!({"gateway": {"auth": {"token": "config"}}});
        let mut elsewhere = inputs(config.clone());
        elsewhere.flags.url = Some("ws://evil.example:1".to_owned());
        elsewhere.generated_token = secret("generated");
        elsewhere.token_from_environment = secret("environment");
        elsewhere.password_from_environment = secret("environment");
        let elsewhere = resolve(elsewhere).unwrap().gateway;
        assert_eq!((elsewhere.token, elsewhere.password), (None, None));

        let mut tunnel = inputs(config);
        tunnel.flags.url = Some("ws://localhost:9".to_owned());
        assert_eq!(token(tunnel).as_deref(), Some("config"));

        let mut remote = inputs(
            json!({"gateway": {"mode": "remote", "auth": {"token": "own"}, "remote": {"url": "ws://far:1", "token": "theirs"}}}),
        );
        remote.token_from_environment = secret("environment");
        assert_eq!(token(remote).as_deref(), Some("theirs"));
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for wrong in ["", "http://x", "ws://", "127.0.0.1:1", "ws://[::1", "://x"] {
            let mut inputs = inputs(json!({}));
            inputs.flags.url = Some(wrong.to_owned());
            let failure = resolve(inputs).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage, "{wrong}: {failure:?}");
        }
    }
}
