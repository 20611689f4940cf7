//! Searches for gateways: `openclaw-gateway --discover`, which `openclaw gateway discover` starts. It only listens and asks; what
//! comes back is bounded, and believed by nobody.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use mdns_sd::{IfKind, ResolvedService, ServiceDaemon, ServiceEvent};
use openclaw_shared::clock::Moment;
use openclaw_shared::discovery::{
    ARGUMENT, Beacon, DOMAIN, DiscoverOrder, DiscoverReport, SERVICE,
};
use openclaw_shared::exit::Exit;

/// How many gateways are shown; more is somebody who plays.
const MOST: usize = 200;
/// The largest order.
const LARGEST_ORDER: u64 = 4096;

/// Whether this process was started for that.
pub(crate) fn is_wanted() -> bool {
    std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == ARGUMENT)
}

/// Reads the order, does it, and writes the report.
pub(crate) fn run() -> ExitCode {
    let found = order().and_then(|order| search(&order).map_err(|error| error.to_string()));
    let report = found.unwrap_or_else(|error| DiscoverReport {
        beacons: Vec::new(),
        error: Some(error),
    });
    let exit = match report.error {
        None => Exit::Ok,
        Some(_) => Exit::Failure,
    };
    let text = serde_json::to_string(&report).expect("a report is JSON");
    // Whoever started this has left when nothing can be written, and nobody else is to be told.
    let _ = writeln!(io::stdout().lock(), "{text}");
    exit.into()
}

fn order() -> Result<DiscoverOrder, String> {
    let mut text = String::new();
    let read = io::stdin()
        .lock()
        .take(LARGEST_ORDER)
        .read_to_string(&mut text);
    read.map_err(|error| format!("the order cannot be read: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("the order is none: {error}"))
}

fn search(order: &DiscoverOrder) -> mdns_sd::Result<DiscoverReport> {
    let daemon = ServiceDaemon::new()?;
    if order.only_here {
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(IfKind::LoopbackV4)?;
    }
    let events = daemon.browse(&format!("{SERVICE}.{DOMAIN}"))?;
    let until = Moment::now() + Duration::from_millis(order.timeout_ms);
    let mut found: BTreeMap<String, Beacon> = BTreeMap::new();
    loop {
        let left = until.since(Moment::now());
        if left.is_zero() {
            break;
        }
        match events.recv_timeout(left) {
            Ok(ServiceEvent::ServiceResolved(service)) => {
                let is_known = found.contains_key(service.get_fullname());
                if is_known || found.len() < MOST {
                    found.insert(service.get_fullname().to_owned(), beacon(&service));
                }
            }
            Ok(ServiceEvent::ServiceRemoved(_, name)) => {
                found.remove(&name);
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let mut beacons: Vec<Beacon> = found.into_values().collect();
    beacons.sort_by(|one, other| one.instance_name.cmp(&other.instance_name));
    Ok(DiscoverReport {
        beacons,
        error: None,
    })
}

fn beacon(service: &ResolvedService) -> Beacon {
    let text = |key: &str| {
        let value = service.get_property_val_str(key)?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    let port = |key: &str| text(key)?.parse::<u16>().ok().filter(|port| *port > 0);
    let addresses = service.get_addresses().iter();
    let mut addresses: Vec<IpAddr> = addresses.map(mdns_sd::ScopedIp::to_ip_addr).collect();
    addresses.sort_by_key(|address| (address.is_loopback(), address.is_ipv6(), *address));
    let has_tls = text("gatewayTls").is_some_and(|value| value == "1" || value == "true");
    let scheme = if has_tls { "wss" } else { "ws" };
    // Where it is comes from its addresses alone: what it says in words could lead anywhere.
    let reached = addresses.first().filter(|_| service.get_port() > 0);
    let ws_url = reached.map(|address| {
        let socket = std::net::SocketAddr::new(*address, service.get_port());
        format!("{scheme}://{socket}")
    });
    let suffix = format!(".{SERVICE}.{DOMAIN}");
    let name = service.get_fullname();
    Beacon {
        instance_name: name.strip_suffix(&suffix).unwrap_or(name).to_owned(),
        domain: DOMAIN.to_owned(),
        host: service.get_hostname().to_owned(),
        port: service.get_port(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
        role: text("role"),
        transport: text("transport"),
        gateway_port: port("gatewayPort"),
        canvas_port: port("canvasPort"),
        ssh_port: port("sshPort"),
        tailnet_dns: text("tailnetDns"),
        gateway_tls: has_tls,
        gateway_tls_sha256: text("gatewayTlsSha256"),
        cli_path: text("cliPath"),
        ws_url,
    }
}

#[cfg(test)]
mod tests {
    use mdns_sd::ServiceInfo;

    use super::*;

    #[test]
    fn rule_107_words_of_a_broadcast_lead_nowhere() {
        let words = [
            ("gatewayPort", "1"),
            ("wsUrl", "ws://evil.example:1"),
            ("tailnetDns", "evil.example"),
            ("gatewayTlsSha256", "00"),
            ("sshPort", "-7"),
        ];
        let info = ServiceInfo::new(
            &format!("{SERVICE}.{DOMAIN}"),
            "x",
            "x.local.",
            "10.0.0.7,127.0.0.1",
            18789,
            &words[..],
        );
        let beacon = beacon(&info.unwrap().as_resolved_service());
        assert_eq!(beacon.ws_url.as_deref(), Some("ws://10.0.0.7:18789"));
        assert_eq!((beacon.port, beacon.ssh_port), (18789, None));
        assert_eq!(beacon.instance_name, "x");
    }
}
