//! The profiles of the configuration, together with the two that always exist.           (pure)

use std::collections::BTreeMap;

use http::Uri;
use openclaw_shared::config::section::{Browser, BrowserDriver, BrowserProfile};
use openclaw_shared::ports::Ports;

use crate::cdp_ports;

/// The managed profile that always exists.
const MANAGED: &str = "openclaw";
/// The profile of the owner's own browser, which exists unless its port is taken.
const EXTENSION: &str = "chrome";
const EXTENSION_COLOR: &str = "#00AA00";

/// A browser that can be driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) color: String,
    pub(crate) browser: Place,
}

/// Where a profile's browser is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this machine, started by us, with its DevTools port; without one when the range is full.
    Managed { port: Option<u16> },
    /// The owner's own, behind the relay of its extension.
    Extension { url: String, port: Option<u16> },
    /// On another machine.
    Remote { url: String, port: Option<u16> },
}

impl Profile {
    /// The DevTools port; 0 stands for none, as clients expect a number.
    pub(crate) fn cdp_port(&self) -> u16 {
        match &self.browser {
            Place::Managed { port }
            | Place::Extension { port, .. }
            | Place::Remote { port, .. } => port.unwrap_or(0),
        }
    }

    /// The DevTools address, without whatever secrets the configured one carries.
    pub(crate) fn cdp_url(&self) -> String {
        match &self.browser {
            Place::Managed { port } => port
                .map(|port| format!("http://127.0.0.1:{port}"))
                .unwrap_or_default(),
            Place::Extension { url, .. } | Place::Remote { url, .. } => url.clone(),
        }
    }

    pub(crate) fn is_remote(&self) -> bool {
        match &self.browser {
            Place::Remote { .. } => true,
            Place::Managed { .. } | Place::Extension { .. } => false,
        }
    }
}

/// All profiles, and which one is meant when none is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profiles {
    all: Vec<Profile>,
    default: String,
}

impl Profiles {
    /// Works out the profiles of an instance.
    pub(crate) fn resolve(browser: &Browser, ports: &Ports) -> Self {
        let wishes = wished_ports(browser);
        let assigned = cdp_ports::assign(ports.cdp_first..=ports.cdp_last, &wishes);
        let port_of = |name: &str| assigned.get(name).copied().flatten();
        let fallback = BrowserProfile::default();
        let managed = browser.profiles.get(MANAGED).unwrap_or(&fallback);
        let mut all = vec![place(MANAGED, managed, browser, port_of(MANAGED), ports)];
        let others = browser.profiles.iter().filter(|(name, _)| *name != MANAGED);
        all.extend(others.map(|(name, one)| place(name, one, browser, port_of(name), ports)));
        let relay = ports.extension_relay;
        let is_taken = all
            .iter()
            .any(|one| one.cdp_port() == relay || one.name == EXTENSION);
        if !is_taken {
            all.push(Profile {
                name: EXTENSION.to_owned(),
                color: EXTENSION_COLOR.to_owned(),
                browser: extension(relay),
            });
        }
        let wished = browser.default_profile.as_str();
        let is_absent_extension =
            wished == EXTENSION && !all.iter().any(|one| one.name == EXTENSION);
        let default = if is_absent_extension { MANAGED } else { wished }.to_owned();
        Self { all, default }
    }

    /// Every profile, the managed one first.
    pub(crate) fn all(&self) -> &[Profile] {
        &self.all
    }

    pub(crate) fn is_default(&self, profile: &Profile) -> bool {
        profile.name == self.default
    }

    /// The named profile, or the default one.
    pub(crate) fn find(&self, name: Option<&str>) -> Result<&Profile, UnknownProfile> {
        let name = name.unwrap_or(&self.default);
        self.all
            .iter()
            .find(|one| one.name == name)
            .ok_or_else(|| UnknownProfile {
                // It came from outside and goes back there, and nobody's name is that long.
                asked: name.chars().take(64).collect(),
                available: self.all.iter().map(|one| one.name.clone()).collect(),
            })
    }
}

/// A profile that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Profile \"{asked}\" not found. Available profiles: {}", available.join(", "))]
pub(crate) struct UnknownProfile {
    asked: String,
    available: Vec<String>,
}

/// The ports that the configuration names, for every profile that needs one on this machine.
fn wished_ports(browser: &Browser) -> BTreeMap<&str, Option<u16>> {
    let mut wishes: BTreeMap<&str, Option<u16>> = browser
        .profiles
        .iter()
        .filter(|(_, one)| one.driver == BrowserDriver::Openclaw)
        .map(|(name, one)| (name.as_str(), named_port(one)))
        .filter(|(name, port)| port.is_some() || address(&browser.profiles[*name]).is_none())
        .collect();
    // The older key for a single browser; it is about the managed profile.
    let legacy = browser
        .cdp_url
        .as_ref()
        .and_then(|url| Address::parse(url.expose()));
    let legacy = legacy
        .filter(|address| address.is_loopback)
        .and_then(|address| address.port);
    wishes.entry(MANAGED).or_insert(None);
    if let Some(wish @ None) = wishes.get_mut(MANAGED) {
        *wish = legacy;
    }
    wishes
}

fn named_port(profile: &BrowserProfile) -> Option<u16> {
    let loopback = address(profile).filter(|address| address.is_loopback);
    profile.cdp_port.map(u16::from).or_else(|| loopback?.port)
}

fn address(profile: &BrowserProfile) -> Option<Address> {
    Address::parse(profile.cdp_url.as_ref()?.expose())
}

fn place(
    name: &str,
    profile: &BrowserProfile,
    browser: &Browser,
    port: Option<u16>,
    ports: &Ports,
) -> Profile {
    let remote = address(profile).filter(|address| !address.is_loopback);
    let legacy = browser
        .cdp_url
        .as_ref()
        .filter(|_| name == MANAGED && profile.cdp_url.is_none());
    let legacy = legacy.and_then(|url| Address::parse(url.expose()));
    let remote =
        remote.or(legacy.filter(|address| !address.is_loopback && profile.cdp_port.is_none()));
    let place = match (profile.driver, remote) {
        (BrowserDriver::Extension, _) => {
            let relay = address(profile).and_then(|address| address.port);
            extension(
                relay
                    .or(profile.cdp_port.map(u16::from))
                    .unwrap_or(ports.extension_relay),
            )
        }
        (BrowserDriver::Openclaw, Some(remote)) => Place::Remote {
            url: remote.public,
            port: remote.port,
        },
        (BrowserDriver::Openclaw, None) => Place::Managed { port },
    };
    let color = profile.color.as_ref().unwrap_or(&browser.color).clone();
    Profile {
        name: name.to_owned(),
        color,
        browser: place,
    }
}

fn extension(port: u16) -> Place {
    Place::Extension {
        url: format!("http://127.0.0.1:{port}"),
        port: Some(port),
    }
}

/// A DevTools address, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    /// Scheme, host and port: everything but the credentials and tokens it may carry.
    public: String,
    port: Option<u16>,
    is_loopback: bool,
}

impl Address {
    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.trim().parse().ok()?;
        let (scheme, default_port) = match uri.scheme_str()? {
            "http" => ("http", 80),
            "https" => ("https", 443),
            _ => return None,
        };
        let host = uri.host()?;
        let port = uri.port_u16().unwrap_or(default_port);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = ["localhost", "127.0.0.1", "0.0.0.0", "::1", "::"].contains(&bare);
        Some(Self {
            public: format!("{scheme}://{host}:{port}"),
            port: Some(port),
            is_loopback,
        })
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::config::Config;
    use openclaw_shared::ports::PortWishes;
    use serde_json::{Value, json};

    use super::*;

    fn resolve(browser: Value) -> Profiles {
        let config = Config::from_effective(&json!({ "browser": browser })).unwrap();
        let ports = Ports::derive(PortWishes {
            flag: Some(21_001),
            ..PortWishes::default()
        });
        Profiles::resolve(&config.browser, &ports.unwrap())
    }

    #[track_caller]
    fn check(browser: Value, expected: &[(&str, u16, &str, bool)]) {
        let profiles = resolve(browser);
        let seen: Vec<_> = profiles
            .all()
            .iter()
            .map(|one| {
                (
                    one.name.clone(),
                    one.cdp_port(),
                    one.cdp_url(),
                    one.is_remote(),
                )
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, port, url, remote)| {
                ((*name).to_owned(), *port, (*url).to_owned(), *remote)
            })
            .collect();
        assert_eq!(seen, expected);
    }

    const OPENCLAW: (&str, u16, &str, bool) = ("openclaw", 21_012, "http://127.0.0.1:21012", false);
    const CHROME: (&str, u16, &str, bool) = ("chrome", 21_004, "http://127.0.0.1:21004", false);

    #[test]
    fn two_profiles_always_exist() {
        check(json!({}), &[OPENCLAW, CHROME]);
        assert!(resolve(json!({})).find(None).unwrap().name == "chrome");
    }

    #[test]
    fn configured_profiles_get_their_ports() {
        check(
            json!({"profiles": {
                "work": {"color": "#0066CC"},
                "fixed": {"cdpPort": 21_013, "color": "#0066CC"},
                "attached": {"cdpUrl": "http://localhost:9222", "color": "#0066CC"},
            }}),
            &[
                OPENCLAW,
                ("attached", 9222, "http://127.0.0.1:9222", false),
                ("fixed", 21_013, "http://127.0.0.1:21013", false),
                ("work", 21_014, "http://127.0.0.1:21014", false),
                CHROME,
            ],
        );
    }

    #[test]
    fn a_remote_address_is_shown_without_its_secrets() {
        let url = "https://user:SECRET@browser.example/devtools?token=SECRET";
        check(
            json!({"profiles": {"far": {"cdpUrl": url, "color": "#0066CC"}}}),
            &[
                OPENCLAW,
                ("far", 443, "https://browser.example:443", true),
                CHROME,
            ],
        );
    }

    #[test]
    fn the_older_address_is_the_managed_profiles() {
        check(
            json!({"cdpUrl": "http://127.0.0.1:9333"}),
            &[("openclaw", 9333, "http://127.0.0.1:9333", false), CHROME],
        );
        check(
            json!({"cdpUrl": "http://far.example:9222"}),
            &[("openclaw", 9222, "http://far.example:9222", true), CHROME],
        );
    }

    #[test]
    fn the_extension_gives_way_to_a_profile_on_its_port() {
        let browser = json!({"profiles": {"mine": {"cdpPort": 21_004, "color": "#0066CC"}}});
        check(
            browser.clone(),
            &[OPENCLAW, ("mine", 21_004, "http://127.0.0.1:21004", false)],
        );
        assert_eq!(resolve(browser).find(None).unwrap().name, "openclaw");
    }

    #[test]
    fn an_unknown_profile_is_answered_with_those_there_are() {
        let unknown = resolve(json!({})).find(Some("x")).unwrap_err();
        let text = "Profile \"x\" not found. Available profiles: openclaw, chrome";
        assert_eq!(unknown.to_string(), text);
        assert!(
            resolve(json!({"defaultProfile": "gone"}))
                .find(None)
                .is_err()
        );
    }
}
