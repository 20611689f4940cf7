//! Where a request really comes from.                                                    (pure)
//!
//! A proxy on this machine makes every visitor look local, and a visitor can write any forwarding header. So: headers count
//! only from a proxy the owner trusts, and their mere presence from anybody else means that the client is not local.

use std::net::IpAddr;

use http::HeaderMap;
use openclaw_shared::serve::host::Host;

/// Headers by which proxies, alone or together, betray themselves.
const FORWARDING: [&str; 9] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
];

/// The client behind a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address; none for the local socket.
    pub(crate) address: Option<IpAddr>,
    /// Whether it is a program of this machine that speaks to us directly.
    pub(crate) is_local: bool,
    /// Whether the request came through a proxy the owner trusts.
    pub(crate) through_trusted_proxy: bool,
}

/// Finds the client. `peer` is who opened the socket; `host` is what the request called us.
pub(crate) fn resolve(
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    host: &Host,
    trusted: &[IpAddr],
) -> Client {
    let Some(peer) = peer.map(|peer| peer.to_canonical()) else {
        return Client {
            address: None,
            is_local: true,
            through_trusted_proxy: false,
        };
    };
    let is_trusted = |address: &IpAddr| trusted.contains(address);
    let through_trusted_proxy = is_trusted(&peer);
    let address = if through_trusted_proxy {
        forwarded(headers, is_trusted).unwrap_or(peer)
    } else {
        peer
    };
    let is_forwarded = FORWARDING.iter().any(|name| headers.contains_key(*name));
    Client {
        address: Some(address),
        is_local: address.is_loopback()
            && host.is_loopback()
            && (through_trusted_proxy || !is_forwarded),
        through_trusted_proxy,
    }
}

/// The last hop that is not a proxy of ours; a client can prepend to the list, but not append.
fn forwarded(headers: &HeaderMap, is_trusted: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
    let text = |name: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
    };
    let hops: Vec<&str> = text("x-forwarded-for")
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    if hops.is_empty() {
        return text("x-real-ip").next().and_then(address);
    }
    for hop in hops.into_iter().rev() {
        let hop = address(hop)?;
        if !is_trusted(&hop) {
            return Some(hop);
        }
    }
    None
}

fn address(text: &str) -> Option<IpAddr> {
    text.trim()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
        .ok()
        .map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use openclaw_shared::serve::host::Host;

    use super::{Client, resolve};

    #[track_caller]
    fn check(
        peer: &str,
        host: &str,
        headers: &[(&'static str, &str)],
        address: &str,
        is_local: bool,
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let trusted = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let Client {
            address: seen,
            is_local: local,
            ..
        } = resolve(
            Some(peer.parse().unwrap()),
            &map,
            &Host::parse(host).unwrap(),
            &trusted,
        );
        assert_eq!(
            (seen.unwrap().to_string().as_str(), local),
            (address, is_local),
            "{headers:?}"
        );
    }

    #[test]
    fn rules_10_11_12_loopback_is_local_only_without_a_proxy_and_by_a_loopback_name() {
        check("127.0.0.1", "localhost:1", &[], "127.0.0.1", true);
        check("::1", "[::1]:1", &[], "::1", true);
        check("::ffff:127.0.0.1", "127.0.0.1", &[], "127.0.0.1", true);
        check("127.0.0.1", "gw.example.com", &[], "127.0.0.1", false);
        check("192.0.2.9", "127.0.0.1", &[], "192.0.2.9", false);
        for header in super::FORWARDING {
            check(
                "127.0.0.1",
                "localhost",
                &[(header, "127.0.0.1")],
                "127.0.0.1",
                false,
            );
        }
    }

    #[test]
    fn rule_14_a_trusted_proxy_is_believed_as_far_as_a_client_cannot_write() {
        let forwarded = |list| [("x-forwarded-for", list)];
        check(
            "10.0.0.1",
            "gw.example.com",
            &forwarded("203.0.113.9"),
            "203.0.113.9",
            false,
        );
        check(
            "10.0.0.1",
            "localhost",
            &forwarded("127.0.0.1, 203.0.113.9"),
            "203.0.113.9",
            false,
        );
        check(
            "10.0.0.1",
            "a.example",
            &forwarded("203.0.113.9, 10.0.0.2"),
            "203.0.113.9",
            false,
        );
        check(
            "10.0.0.1",
            "a.example",
            &forwarded("203.0.113.9, junk"),
            "10.0.0.1",
            false,
        );
        check(
            "10.0.0.1",
            "a.example",
            &[("x-real-ip", "203.0.113.9")],
            "203.0.113.9",
            false,
        );
        check(
            "192.0.2.9",
            "a.example",
            &forwarded("203.0.113.9"),
            "192.0.2.9",
            false,
        );
    }
}
