//! What a gateway says of itself in the local network, and where.                                          (pure)
//!
//! It is announced where it can be reached: one that listens on loopback is announced on loopback, to the apps of its machine. Only
//! `full` goes further, since its owner wants to be found for a tunnel. Without it no path, no user and no way in by other services is named.

use std::net::IpAddr;
use std::path::Path;

use openclaw_shared::config::section::MdnsMode;
use openclaw_shared::instance::Environment;
use openclaw_shared::ports::Ports;

/// The longest label of a name.
const LONGEST_LABEL: usize = 63;

/// What a gateway says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcement {
    /// Its name, for people.
    pub(super) name: String,
    /// The name of its machine.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) properties: Vec<(&'static str, String)>,
    pub(super) reach: Reach,
}

/// Where it is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// On this machine.
    Loopback,
    /// Where these addresses are.
    Addresses(Vec<IpAddr>),
    /// Wherever there is a network.
    Everywhere,
}

/// Everything that has a say.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) mode: MdnsMode,
    pub(super) environment: &'a Environment,
    /// The name of the machine.
    pub(super) machine: &'a str,
    /// The name of the instance, when it is not the default one.
    pub(super) profile: Option<&'a str>,
    pub(super) hosts: &'a [IpAddr],
    pub(super) ports: &'a Ports,
    pub(super) has_canvas: bool,
    /// Where the command line lies.
    pub(super) program: Option<&'a Path>,
}

/// What is announced, if anything is.
pub(super) fn announcement(facts: &Facts<'_>) -> Option<Announcement> {
    let Facts {
        mode, environment, ..
    } = facts;
    let is_full = match mode {
        MdnsMode::Off => return None,
        MdnsMode::Minimal => false,
        MdnsMode::Full => true,
    };
    if environment.is_on("OPENCLAW_DISABLE_BONJOUR") {
        return None;
    }
    let machine = environment.get("OPENCLAW_MDNS_HOSTNAME");
    let machine = label(machine.unwrap_or(facts.machine));
    let (name, host) = match facts.profile {
        Some(profile) => (
            format!("{machine} (OpenClaw {profile})"),
            format!("{machine}-openclaw-{profile}"),
        ),
        None => (
            format!("{machine} (OpenClaw)"),
            format!("{machine}-openclaw"),
        ),
    };
    let mut properties = vec![
        ("role", "gateway".to_owned()),
        ("transport", "gateway".to_owned()),
        ("gatewayPort", facts.ports.gateway.to_string()),
    ];
    if facts.has_canvas {
        properties.push(("canvasPort", facts.ports.canvas_host.to_string()));
    }
    if let Some(name) = environment.get("OPENCLAW_TAILNET_DNS") {
        properties.push(("tailnetDns", name.trim().to_owned()));
    }
    if is_full {
        let ssh = environment.get("OPENCLAW_SSH_PORT").unwrap_or("22");
        properties.push(("sshPort", ssh.trim().to_owned()));
        let path = environment.get("OPENCLAW_CLI_PATH").map(str::to_owned);
        let own = || facts.program.map(|program| program.display().to_string());
        properties.extend(path.or_else(own).map(|path| ("cliPath", path)));
    }
    // A property is one string of at most 255 bytes; half a path is worse than none.
    properties.retain(|(key, value)| !value.is_empty() && key.len() + 1 + value.len() <= 255);
    Some(Announcement {
        name: shortened(&name),
        host: format!("{}.local.", shortened(&host)),
        port: facts.ports.gateway,
        properties,
        reach: if is_full {
            Reach::Everywhere
        } else {
            reach(facts.hosts)
        },
    })
}

fn reach(hosts: &[IpAddr]) -> Reach {
    if hosts.iter().any(IpAddr::is_unspecified) {
        return Reach::Everywhere;
    }
    let others: Vec<IpAddr> = hosts
        .iter()
        .copied()
        .filter(|host| !host.is_loopback())
        .collect();
    match others.is_empty() {
        true => Reach::Loopback,
        false => Reach::Addresses(others),
    }
}

/// The first part of the name of a machine, as it may stand in other names.
fn label(name: &str) -> String {
    let first = name.trim().split('.').next().unwrap_or_default();
    let plain = |character: char| match character.is_ascii_alphanumeric() {
        true => character,
        false => '-',
    };
    let label: String = first.chars().map(plain).collect();
    match label.trim_matches('-') {
        "" | "localhost" => "openclaw".to_owned(),
        label => label.chars().take(32).collect(),
    }
}

/// All of these are ASCII, but for names of profiles, which are too.
fn shortened(name: &str) -> String {
    name.chars().take(LONGEST_LABEL).collect()
}

#[cfg(test)]
mod tests {
    use openclaw_shared::ports::PortWishes;

    use super::*;

    fn check(mode: MdnsMode, hosts: &[&str], variables: &[(&str, &str)]) -> Option<Announcement> {
        let environment = Environment::from_pairs(variables.iter().copied(), Path::new("/"));
        let hosts: Vec<IpAddr> = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let ports = Ports::derive(PortWishes::default()).unwrap();
        announcement(&Facts {
            mode,
            environment: &environment,
            machine: "ada's-mac.fritz.box",
            profile: None,
            hosts: &hosts,
            ports: &ports,
            has_canvas: true,
            program: Some(Path::new("/home/ada/bin/openclaw")),
        })
    }

    fn keys(announcement: &Announcement) -> Vec<&'static str> {
        announcement
            .properties
            .iter()
            .map(|(key, _)| *key)
            .collect()
    }

    #[test]
    fn rule_107_no_path_and_no_way_in_is_named_by_default() {
        let minimal = check(MdnsMode::Minimal, &["127.0.0.1"], &[]).unwrap();
        assert_eq!(
            keys(&minimal),
            ["role", "transport", "gatewayPort", "canvasPort"]
        );
        assert!(!format!("{minimal:?}").contains("/home"), "{minimal:?}");
        let full = check(MdnsMode::Full, &["127.0.0.1"], &[]).unwrap();
        assert!(
            full.properties
                .contains(&("cliPath", "/home/ada/bin/openclaw".to_owned()))
        );
        assert!(full.properties.contains(&("sshPort", "22".to_owned())));
    }

    #[test]
    fn it_is_announced_where_it_can_be_reached() {
        let reach = |hosts: &[&str]| check(MdnsMode::Minimal, hosts, &[]).unwrap().reach;
        assert_eq!(reach(&["127.0.0.1", "::1"]), Reach::Loopback);
        assert_eq!(reach(&["0.0.0.0"]), Reach::Everywhere);
        assert_eq!(
            reach(&["10.0.0.7"]),
            Reach::Addresses(vec!["10.0.0.7".parse().unwrap()])
        );
        let full = check(MdnsMode::Full, &["127.0.0.1"], &[]).unwrap();
        assert_eq!(full.reach, Reach::Everywhere);
    }

    #[test]
    fn it_can_be_switched_off() {
        assert_eq!(check(MdnsMode::Off, &["0.0.0.0"], &[]), None);
        let off = [("OPENCLAW_DISABLE_BONJOUR", "1")];
        assert_eq!(check(MdnsMode::Full, &["0.0.0.0"], &off), None);
    }

    #[test]
    fn names_are_labels() {
        let announced = check(MdnsMode::Minimal, &["127.0.0.1"], &[]).unwrap();
        assert_eq!(announced.name, "ada-s-mac (OpenClaw)");
        assert_eq!(announced.host, "ada-s-mac-openclaw.local.");
        assert_eq!(label("localhost"), "openclaw");
        assert_eq!(label("…"), "openclaw");
        assert_eq!(label(&"x".repeat(99)).len(), 32);
    }
}
