//! The ports of this instance, and of the other profiles.                                                  (pure)

use super::super::finding::{Code, Finding};
use super::super::snapshot::Snapshot;
use crate::port_owner::Owner;

pub(super) fn busy(snapshot: &Snapshot) -> Vec<Finding> {
    // A running instance has its ports; who is in the way of it was found at its start.
    if snapshot.running.status().is_some() || snapshot.is_remote {
        return Vec::new();
    }
    snapshot
        .ports
        .iter()
        .filter_map(|port| {
            let owner = port.owners.first()?;
            let who: Vec<String> = port.owners.iter().map(Owner::to_string).collect();
            let advice = match owner.is_openclaw {
                true => {
                    "It is another gateway. Stop it, or give one of the two another gateway.port."
                        .to_owned()
                }
                false => format!(
                    "Stop it, or choose another port: {}",
                    snapshot.command("config set gateway.port <PORT>")
                ),
            };
            let finding = Finding::new(
                Code::PortBusy,
                format!(
                    "The {} needs this port, and it belongs to {}.",
                    port.what,
                    who.join(" and ")
                ),
            );
            Some(finding.at(format!("port {}", port.port)).advice(advice))
        })
        .collect()
}

pub(super) fn shared(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot
        .neighbours
        .iter()
        .map(|neighbour| {
            let finding = Finding::new(
                Code::PortShared,
                format!(
                    "The profile \"{}\" is configured for the same ports: {}. The two cannot run at the same time.",
                    neighbour.profile,
                    neighbour.what.join(", ")
                ),
            )
            .at(format!("profile {}", neighbour.profile));
            finding.advice("Give one of them another gateway.port, 20 or more away; 110, if both control browsers.")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::snapshot::{PortSeen, Shared};
    use super::super::testing::{codes, found};
    use super::*;

    fn port(is_openclaw: bool) -> PortSeen {
        PortSeen {
            port: 18_789,
            what: "gateway",
            owners: vec![Owner {
                pid: Some(7),
                parent: None,
                command: "python3".to_owned(),
                command_line: "python3 -m http.server 18789".to_owned(),
                user: "me".to_owned(),
                address: "127.0.0.1:18789".parse().unwrap(),
                is_openclaw,
            }],
        }
    }

    #[test]
    fn who_has_a_port_is_named() {
        let stranger = found(busy, |seen| seen.ports = vec![port(false)]);
        assert!(
            stranger[0]
                .what
                .contains("pid 7 me: python3 -m http.server"),
            "{stranger:?}"
        );
        assert!(
            stranger[0]
                .advice
                .as_deref()
                .unwrap()
                .contains("config set gateway.port")
        );
        let ours = found(busy, |seen| seen.ports = vec![port(true)]);
        assert!(
            ours[0]
                .advice
                .as_deref()
                .unwrap()
                .contains("another gateway")
        );
        assert_eq!(
            codes(busy, |seen| {
                seen.ports = vec![port(true)];
                seen.is_remote = true;
            }),
            [] as [&str; 0]
        );
    }

    #[test]
    fn profiles_that_collide_are_told_on_a_quiet_day() {
        let with = |seen: &mut Snapshot| {
            seen.neighbours = vec![Shared {
                profile: "rescue".to_owned(),
                what: vec!["port 18789 (gateway)".to_owned()],
            }];
        };
        let found = found(shared, with);
        assert!(found[0].what.contains("\"rescue\"") && found[0].what.contains("18789"));
    }
}
