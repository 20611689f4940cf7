//! Ports derived from the base port. Pure, and the only place where `base + n` is written.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The base port when nothing else says so.
pub const DEFAULT_BASE: u16 = 18_789;
/// The base port of `--dev`.
pub const DEV_BASE: u16 = 19_001;
/// The distance from one instance's base port to the next one tried, when a profile finds the default taken.
pub const INSTANCE_STEP: u16 = 1_000;

const BROWSER_CONTROL: u16 = 2;
const EXTENSION_RELAY: u16 = 3;
const CANVAS_HOST: u16 = 4;
const FIRST_CDP: u16 = 9;
const LAST_CDP: u16 = 108;

/// Where a port number came from; told to people who wonder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortSource {
    /// `--port`.
    Flag,
    /// `OPENCLAW_GATEWAY_PORT`.
    Environment,
    /// `gateway.port` in the configuration.
    Config,
    /// The profile's default.
    Default,
}

/// What the user said about ports; the first that is set wins, in the order of the fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct PortWishes {
    /// `--port`.
    pub flag: Option<u16>,
    /// `OPENCLAW_GATEWAY_PORT`.
    pub environment: Option<u16>,
    /// `gateway.port`.
    pub config: Option<u16>,
    /// Whether the profile is `dev`.
    pub dev: bool,
    /// `OPENCLAW_CANVAS_HOST_PORT`, else `canvasHost.port`.
    pub canvas_host: Option<u16>,
    /// `browser.controlPort`.
    pub browser_control: Option<u16>,
}

/// The ports of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ports {
    /// WebSocket control plane and HTTP.
    pub gateway: u16,
    /// Browser control, loopback only.
    pub browser_control: u16,
    /// The Chrome extension relay's port: nothing of ours listens there.
    pub extension_relay: u16,
    /// Canvas host.
    pub canvas_host: u16,
    /// First port of Chromium's DevTools protocol, one a profile.
    pub cdp_first: u16,
    /// Last port of that range, inclusive.
    pub cdp_last: u16,
    /// Where `gateway` came from.
    pub source: PortSource,
}

/// Why no set of ports can be derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortError {
    /// A derived port would be above 65535.
    OutOfRange {
        /// What the port is for.
        what: &'static str,
        /// The port it is derived from.
        from: u16,
    },
    /// Two services of the instance would need the same port.
    Collision {
        /// The first service.
        one: &'static str,
        /// The second service.
        other: &'static str,
        /// The port.
        port: u16,
    },
}

impl fmt::Display for PortError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { what, from } => write!(
                formatter,
                "{what} would get a port above 65535 (derived from port {from}); choose a lower port"
            ),
            Self::Collision { one, other, port } => {
                write!(
                    formatter,
                    "{one} and {other} would both use port {port}; change one of them"
                )
            }
        }
    }
}

impl std::error::Error for PortError {}

impl Ports {
    /// Derives every port of an instance.
    ///
    /// # Errors
    /// When a port would be out of range or used twice.
    pub fn derive(wishes: PortWishes) -> Result<Self, PortError> {
        let (gateway, source) = wishes.base();
        let browser_control = match wishes.browser_control {
            Some(port) => port,
            None => plus(gateway, BROWSER_CONTROL, "browser control")?,
        };
        let canvas_host = match wishes.canvas_host {
            Some(port) => port,
            None => plus(gateway, CANVAS_HOST, "the canvas host")?,
        };
        let ports = Self {
            gateway,
            browser_control,
            extension_relay: plus(gateway, EXTENSION_RELAY, "the extension relay")?,
            canvas_host,
            cdp_first: plus(browser_control, FIRST_CDP, "the browser's DevTools range")?,
            cdp_last: plus(browser_control, LAST_CDP, "the browser's DevTools range")?,
            source,
        };
        ports.check_collisions()?;
        Ok(ports)
    }

    /// What two instances with these ports could not have at the same time, in words.
    #[must_use]
    pub fn shared_with(&self, other: &Self) -> Vec<String> {
        let listening = |ports: &Self| {
            [
                ports.gateway,
                ports.browser_control,
                ports.extension_relay,
                ports.canvas_host,
            ]
        };
        let (ours, theirs) = (listening(self), listening(other));
        let mut shared: Vec<String> = ours
            .iter()
            .filter(|port| {
                theirs.contains(port) || (other.cdp_first..=other.cdp_last).contains(port)
            })
            .chain(
                theirs
                    .iter()
                    .filter(|port| (self.cdp_first..=self.cdp_last).contains(port)),
            )
            .map(|port| format!("port {port}"))
            .collect();
        let (first, last) = (
            self.cdp_first.max(other.cdp_first),
            self.cdp_last.min(other.cdp_last),
        );
        if first <= last {
            shared.push(format!("the browser's DevTools ports {first}-{last}"));
        }
        shared
    }

    fn check_collisions(&self) -> Result<(), PortError> {
        let named = [
            ("the gateway", self.gateway),
            ("browser control", self.browser_control),
            ("the extension relay", self.extension_relay),
            ("the canvas host", self.canvas_host),
        ];
        for (index, (one, port)) in named.iter().enumerate() {
            let later = named
                .iter()
                .skip(index + 1)
                .find(|(_, other_port)| other_port == port);
            if let Some((other, _)) = later {
                return Err(PortError::Collision {
                    one,
                    other,
                    port: *port,
                });
            }
            if (self.cdp_first..=self.cdp_last).contains(port) {
                let other = "the browser's DevTools range";
                return Err(PortError::Collision {
                    one,
                    other,
                    port: *port,
                });
            }
        }
        Ok(())
    }
}

impl PortWishes {
    /// The base port by precedence, and where it came from.
    #[must_use]
    pub fn base(&self) -> (u16, PortSource) {
        let default = if self.dev { DEV_BASE } else { DEFAULT_BASE };
        self.flag
            .map(|port| (port, PortSource::Flag))
            .or(self.environment.map(|port| (port, PortSource::Environment)))
            .or(self.config.map(|port| (port, PortSource::Config)))
            .unwrap_or((default, PortSource::Default))
    }
}

fn plus(base: u16, offset: u16, what: &'static str) -> Result<u16, PortError> {
    base.checked_add(offset)
        .ok_or(PortError::OutOfRange { what, from: base })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PortError, PortSource, PortWishes, Ports};

    fn check(wishes: PortWishes, expected: (u16, PortSource, u16, u16, u16, u16)) {
        let ports = Ports::derive(wishes).unwrap();
        let seen = (
            ports.gateway,
            ports.source,
            ports.browser_control,
            ports.canvas_host,
            ports.cdp_first,
            ports.cdp_last,
        );
        assert_eq!(seen, expected);
    }

    #[test]
    fn precedence_is_flag_then_environment_then_config_then_default() {
        let none = PortWishes::default();
        check(
            none,
            (18789, PortSource::Default, 18791, 18793, 18800, 18899),
        );
        let dev = PortWishes { dev: true, ..none };
        check(
            dev,
            (19001, PortSource::Default, 19003, 19005, 19012, 19111),
        );
        let config = PortWishes {
            config: Some(20001),
            ..dev
        };
        check(
            config,
            (20001, PortSource::Config, 20003, 20005, 20012, 20111),
        );
        let environment = PortWishes {
            environment: Some(20101),
            ..config
        };
        check(
            environment,
            (20101, PortSource::Environment, 20103, 20105, 20112, 20211),
        );
        let flag = PortWishes {
            flag: Some(20201),
            ..environment
        };
        check(flag, (20201, PortSource::Flag, 20203, 20205, 20212, 20311));
    }

    #[test]
    fn overrides_move_only_their_own_port() {
        let wishes = PortWishes {
            canvas_host: Some(9000),
            ..PortWishes::default()
        };
        check(
            wishes,
            (18789, PortSource::Default, 18791, 9000, 18800, 18899),
        );
        let wishes = PortWishes {
            browser_control: Some(9000),
            ..PortWishes::default()
        };
        check(
            wishes,
            (18789, PortSource::Default, 9000, 18793, 9009, 9108),
        );
    }

    #[test]
    fn what_two_instances_would_share_is_named() {
        let at = |base| {
            Ports::derive(PortWishes {
                flag: Some(base),
                ..PortWishes::default()
            })
            .unwrap()
        };
        assert!(at(19_001).shared_with(&at(20_001)).is_empty());
        assert_eq!(
            at(19_001).shared_with(&at(19_003)),
            [
                "port 19003",
                "port 19005",
                "the browser's DevTools ports 19014-19111"
            ]
        );
        assert_eq!(
            at(19_001).shared_with(&at(19_101)),
            ["port 19101", "port 19103", "port 19104", "port 19105"]
        );
    }

    #[test]
    fn ports_out_of_range_or_used_twice_are_refused() {
        let high = PortWishes {
            flag: Some(65_500),
            ..PortWishes::default()
        };
        let refused = Ports::derive(high);
        assert!(
            matches!(refused, Err(PortError::OutOfRange { .. })),
            "{refused:?}"
        );
        let twice = PortWishes {
            canvas_host: Some(18_789),
            ..PortWishes::default()
        };
        let text = Ports::derive(twice).unwrap_err().to_string();
        assert_eq!(
            text,
            "the gateway and the canvas host would both use port 18789; change one of them"
        );
        let in_range = PortWishes {
            canvas_host: Some(18_850),
            ..PortWishes::default()
        };
        assert!(Ports::derive(in_range).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_derived_never_collides(
            flag in prop::option::of(1_u16..),
            canvas in prop::option::of(1_u16..),
            control in prop::option::of(1_u16..),
        ) {
            let wishes = PortWishes {
                flag,
                canvas_host: canvas,
                browser_control: control,
                ..PortWishes::default()
            };
            if let Ok(ports) = Ports::derive(wishes) {
                let listening = [ports.gateway, ports.browser_control, ports.canvas_host];
                prop_assert!(!listening.contains(&ports.extension_relay));
                let range = ports.cdp_first..=ports.cdp_last;
                prop_assert!(listening.iter().all(|port| !range.contains(port)));
                prop_assert_eq!(range.count(), 100);
            }
        }
    }
}
