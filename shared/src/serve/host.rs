//! Which names a request may call us by.                                              (pure)
//!
//! A page on a hostile site can point its own name at 127.0.0.1 and then talk to us as its own
//! origin (DNS rebinding). Its requests still carry that name in `Host`, so a `Host` we do not
//! know is refused. An address literal cannot be rebound, a name can.
//!
//! The header is parsed, never searched: a name that merely looks like ours is another name.

use std::net::{IpAddr, Ipv6Addr};

use http::request::Parts;
use http::{Request, header};
use thiserror::Error;

/// The host and port a request was sent to, as its sender sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: HostName,
    port: Option<u16>,
}

/// A host, in the one spelling that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostName {
    /// An address literal.
    Address(IpAddr),
    /// A DNS name in lower case, without a dot at its end.
    Name(String),
}

/// Why a `Host` was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Foreign {
    /// There was none: 400.
    #[error("find a Host header")]
    Missing,
    /// It is no `host[:port]`, or there were several: 400.
    #[error("read the Host header")]
    Malformed,
    /// It is not one of our names: 403 (421 would be retried elsewhere by some clients).
    #[error("accept a foreign Host header")]
    Unknown,
}

impl Foreign {
    /// The status that answers it.
    #[must_use]
    pub const fn status(self) -> http::StatusCode {
        match self {
            Self::Missing | Self::Malformed => http::StatusCode::BAD_REQUEST,
            Self::Unknown => http::StatusCode::FORBIDDEN,
        }
    }

    /// The text that answers it; it repeats nothing of the request.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Missing => "missing Host header",
            Self::Malformed => "malformed Host header",
            Self::Unknown => "foreign Host header",
        }
    }
}

impl Host {
    /// Reads `name`, `name:port`, `1.2.3.4:port` or `[::1]:port`, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, tail) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            let port = match tail {
                "" => None,
                _ => Some(parse_port(tail.strip_prefix(':')?)?),
            };
            return Some(Self {
                name: HostName::Address(IpAddr::V6(address)),
                port,
            });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(parse_port(port)?)),
            None => (text, None),
        };
        Some(Self {
            name: HostName::parse(name)?,
            port,
        })
    }

    /// The host without its port.
    #[must_use]
    pub const fn name(&self) -> &HostName {
        &self.name
    }

    /// The port, when one was written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it means this machine whatever DNS says.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.name.is_loopback()
    }
}

impl HostName {
    /// Reads a DNS name or an IPv4 literal (an IPv6 literal needs its brackets, see
    /// [`Host::parse`]). Numbers in any other notation are names here, hence foreign.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let labels_hold = name.split('.').all(|label| {
            let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.len() <= 63 && label.bytes().all(valid)
        });
        (labels_hold && name.len() <= 253).then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// Whether it is `localhost` or a loopback literal. A wildcard address is neither.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Name(name) => name == "localhost",
        }
    }
}

impl From<IpAddr> for HostName {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

fn parse_port(text: &str) -> Option<u16> {
    // `str::parse` alone would let a sign through.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits {
        text.parse().ok().filter(|port| *port != 0)
    } else {
        None
    }
}

/// The hosts one listener answers to.
///
/// Loopback literals and `localhost` are always among them, on any port: tunnels and port maps
/// change the port. What is configured may name a port, and then only that one is meant.
#[derive(Debug, Clone, Default)]
pub struct HostPolicy {
    allowed: Vec<Host>,
    any_address: bool,
    tailnet: bool,
}

impl HostPolicy {
    /// Allows the addresses a listener is bound to.
    ///
    /// A listener on a wildcard address has too many addresses to list, some of them known only
    /// to a port map in front of it; any address literal is allowed there, for a literal is not
    /// looked up and so cannot be rebound.
    #[must_use]
    pub fn bound_to(binds: &[IpAddr]) -> Self {
        let any_address = binds.iter().any(IpAddr::is_unspecified);
        let specific = binds.iter().filter(|address| !address.is_unspecified());
        let allowed = specific
            .map(|address| Host {
                name: HostName::from(*address),
                port: None,
            })
            .collect();
        Self {
            allowed,
            any_address,
            tailnet: false,
        }
    }

    /// Allows the names that Tailscale gives to machines, for a gateway that Tailscale publishes. Nobody can point such a name
    /// at a loopback address.
    #[must_use]
    pub const fn and_tailnet_names(mut self) -> Self {
        self.tailnet = true;
        self
    }

    /// Allows one more host: the name of a reverse proxy, or a name in a tailnet.
    #[must_use]
    pub fn and(mut self, host: Host) -> Self {
        self.allowed.push(host);
        self
    }

    /// Judges the value of a `Host` header.
    ///
    /// # Errors
    /// When it is missing, unreadable or not ours.
    pub fn check(&self, host_header: Option<&str>) -> Result<Host, Foreign> {
        let host = Host::parse(host_header.ok_or(Foreign::Missing)?).ok_or(Foreign::Malformed)?;
        if self.allows(&host) {
            Ok(host)
        } else {
            Err(Foreign::Unknown)
        }
    }

    /// Judges a whole request: exactly one `Host` header and, when the request line carries an
    /// authority as well, that one too.
    ///
    /// # Errors
    /// When either is missing, unreadable or not ours.
    pub fn check_request<B>(&self, request: &Request<B>) -> Result<Host, Foreign> {
        self.check_message(request.headers(), request.uri())
    }

    /// The same for a request that was taken apart.
    ///
    /// # Errors
    /// As [`HostPolicy::check_request`].
    pub fn check_parts(&self, parts: &Parts) -> Result<Host, Foreign> {
        self.check_message(&parts.headers, &parts.uri)
    }

    fn check_message(&self, headers: &http::HeaderMap, uri: &http::Uri) -> Result<Host, Foreign> {
        let mut values = headers.get_all(header::HOST).iter();
        let value = values.next().ok_or(Foreign::Missing)?;
        if values.next().is_some() {
            return Err(Foreign::Malformed);
        }
        let host = self.check(Some(value.to_str().map_err(|_| Foreign::Malformed)?))?;
        match uri.authority() {
            None => Ok(host),
            Some(authority) => self.check(Some(authority.as_str())),
        }
    }

    fn allows(&self, host: &Host) -> bool {
        let is_address = matches!(host.name, HostName::Address(_));
        let is_of_tailnet = matches!(&host.name, HostName::Name(name) if name.ends_with(".ts.net"));
        host.is_loopback()
            || (self.any_address && is_address)
            || (self.tailnet && is_of_tailnet)
            || self
                .allowed
                .iter()
                .any(|one| one.name == host.name && (one.port.is_none() || one.port == host.port))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy() -> HostPolicy {
        HostPolicy::bound_to(&["127.0.0.1".parse().unwrap(), "192.168.1.5".parse().unwrap()])
            .and(Host::parse("gw.example.com").unwrap())
            .and(Host::parse("one.example.com:8443").unwrap())
    }

    #[test]
    fn tailnet_names_are_ours_only_when_tailscale_publishes_us() {
        let allows = |policy: HostPolicy, host| policy.check(Some(host)).is_ok();
        assert!(!allows(policy(), "gw.tail.ts.net"));
        let published = || policy().and_tailnet_names();
        assert!(allows(published(), "gw.tail.ts.net"));
        assert!(!allows(published(), "gw.ts.net.evil.example"));
        assert!(!allows(published(), "evilts.net"));
    }

    #[track_caller]
    fn check(host: &str, verdict: Result<(), Foreign>) {
        assert_eq!(
            policy().check(Some(host)).map(drop),
            verdict,
            "Host: {host:?}"
        );
    }

    #[test]
    fn our_own_names_pass() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:18789",
            "127.0.0.1:1",
            "localhost:18789",
            "LocalHost",
            "localhost.",
            "[::1]:18789",
            "[0:0:0:0:0:0:0:1]",
            "127.8.9.10:5",
            "192.168.1.5:18789",
            "gw.example.com",
            "GW.Example.Com.:443",
            "one.example.com:8443",
        ] {
            check(host, Ok(()));
        }
    }

    #[test]
    fn rules_08_78_names_that_only_look_like_ours_are_foreign() {
        for host in [
            "attacker.example:18789",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example",
            "127.0.0.1.nip.io:18789",
            "attacker-localhost",
            "localhosta",
            "xlocalhost",
            "foo.localhost",
            "2130706433",
            "0x7f000001",
            "127.1",
            "0.0.0.0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "192.168.1.50",
            "gw.example.com.attacker.example",
            "xgw.example.com",
            "one.example.com",
            "one.example.com:8444",
            "example.com",
        ] {
            check(host, Err(Foreign::Unknown));
        }
    }

    #[test]
    fn what_is_no_host_is_malformed() {
        for host in [
            "",
            " localhost",
            "localhost ",
            "localhost:",
            "localhost:0",
            "localhost:+1",
            "localhost:65536",
            "localhost:80:80",
            "localhost..",
            ".localhost",
            "user@localhost",
            "evil.example@127.0.0.1",
            "127.0.0.1@evil.example",
            "localhost/",
            "localhost/evil",
            "localhost?x",
            "localhost#x",
            "localhost\\evil.example",
            "localhost,evil.example",
            "localhost\0",
            "lo\u{441}alhost",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[127.0.0.1]",
            "[::1%25eth0]",
            "http://localhost",
        ] {
            check(host, Err(Foreign::Malformed));
        }
        assert_eq!(policy().check(None), Err(Foreign::Missing));
    }

    #[test]
    fn a_wildcard_bind_allows_address_literals_and_no_names() {
        let policy = HostPolicy::bound_to(&["0.0.0.0".parse().unwrap()]);
        assert!(policy.check(Some("10.1.2.3:18789")).is_ok());
        assert!(policy.check(Some("[fd00::1]:18789")).is_ok());
        assert_eq!(
            policy.check(Some("attacker.example")),
            Err(Foreign::Unknown)
        );
    }

    #[test]
    fn rules_08_78_two_hosts_in_one_request_must_both_be_ours() {
        let verdict = |request: Request<()>| policy().check_request(&request).map(drop);
        let get = || Request::get("/").header("host", "localhost");
        assert_eq!(verdict(get().body(()).unwrap()), Ok(()));
        let twice = get().header("host", "localhost").body(()).unwrap();
        assert_eq!(verdict(twice), Err(Foreign::Malformed));
        let absolute = Request::get("http://attacker.example/").header("host", "localhost");
        assert_eq!(verdict(absolute.body(()).unwrap()), Err(Foreign::Unknown));
        assert_eq!(
            verdict(Request::get("/").body(()).unwrap()),
            Err(Foreign::Missing)
        );
    }

    proptest! {
        #[test]
        fn only_our_names_pass_whatever_surrounds_them(
            before in "[a-z0-9.@/:-]{0,6}", after in "[a-z0-9.@/:-]{0,6}",
        ) {
            let text = format!("{before}localhost{after}");
            if HostPolicy::default().check(Some(&text)).is_ok() {
                let (name, port) = text.split_once(':').unwrap_or((&text, "1"));
                prop_assert!(name == "localhost" || name == "localhost.");
                prop_assert!(port.parse::<u16>().is_ok());
            }
        }
    }
}
