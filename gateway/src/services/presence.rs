//! Who is present: the gateway itself, its clients, and whoever a system event tells of.  (pure)
//!
//! Invariant: an entry of a connected client stays; every other one expires five minutes after it was last heard of.
//! The list is bounded, and so is each text in it, because all of it goes to every client.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::connect::{ClientInfo, ClientMode};
use openclaw_shared::protocol::params::presence::SystemEventParams;
use openclaw_shared::protocol::scope::Role;
use openclaw_shared::protocol::snapshot::PresenceEntry;

use crate::machine::Machine;
use crate::prepared::Prepared;

/// How long an entry lives without being heard of.
const EXPIRY: Duration = Duration::from_secs(300);
/// How many entries there are at most; the oldest go.
const MOST_ENTRIES: usize = 200;
/// How much of a client's text is kept, in characters.
const LONGEST_TEXT: usize = 256;
/// How many roles, scopes and tags an entry has at most.
const MOST_MARKS: usize = 32;
/// How old the prepared list may be; the gateway's own time stamp in it is that old at most.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// A client that has connected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived<'a> {
    pub(crate) conn_id: &'a str,
    pub(crate) client: &'a ClientInfo,
    pub(crate) device: Option<&'a str>,
    pub(crate) role: Role,
    pub(crate) scopes: &'a [String],
    /// Its address, unless it is local.
    pub(crate) address: Option<IpAddr>,
}

/// What became of a system event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Whether it says something that was not known; a `Node:` text that repeats itself is none.
    pub(crate) is_news: bool,
}

#[derive(Debug)]
struct Present {
    entry: PresenceEntry,
    /// How many connections it has.
    connections: u32,
}

/// The presence list.
#[derive(Debug)]
pub(crate) struct Presence {
    machine: Machine,
    version_of_gateway: String,
    others: BTreeMap<String, Present>,
    version: u64,
    prepared: Option<(WallTime, Prepared<Vec<PresenceEntry>>)>,
}

impl Presence {
    pub(crate) fn new(machine: Machine, version_of_gateway: String) -> Self {
        Self {
            machine,
            version_of_gateway,
            others: BTreeMap::new(),
            version: 1,
            prepared: None,
        }
    }

    /// How often the list has changed.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// A client has connected; the key of its entry. Command lines come and go and are not listed.
    pub(crate) fn connect(&mut self, now: WallTime, arrived: Arrived<'_>) -> Option<String> {
        let Arrived {
            conn_id,
            client,
            device,
            role,
            scopes,
            address,
        } = arrived;
        if client.mode == ClientMode::Cli {
            return None;
        }
        let instance = device.or(client.instance_id.as_deref());
        let key = cut(instance.unwrap_or(conn_id)).to_lowercase();
        let host = cut(client.display_name.as_deref().unwrap_or(client.id.as_str()));
        let present = self.entry(&key);
        present.connections += 1;
        let earlier = std::mem::take(&mut present.entry);
        present.entry = PresenceEntry {
            text: Some(format!("Node: {host} · mode {}", client.mode)),
            host: Some(host),
            ip: address.map(|address| address.to_string()),
            version: Some(cut(&client.version)),
            platform: Some(cut(&client.platform)),
            device_family: client.device_family.as_deref().map(cut),
            model_identifier: client.model_identifier.as_deref().map(cut),
            mode: Some(client.mode.to_string()),
            last_input_seconds: None,
            reason: Some("connect".to_owned()),
            roles: union(earlier.roles, &[role.to_string()]),
            scopes: union(earlier.scopes, scopes),
            tags: earlier.tags,
            device_id: device.map(cut),
            instance_id: instance.map(cut),
            ts: now.as_millis(),
        };
        self.changed(now);
        Some(key)
    }

    /// A connection of this entry has ended.
    pub(crate) fn disconnect(&mut self, now: WallTime, key: &str) {
        if let Some(present) = self.others.get_mut(key) {
            present.connections = present.connections.saturating_sub(1);
            if present.connections == 0 {
                present.entry.reason = Some("disconnect".to_owned());
                present.entry.ts = now.as_millis();
            }
        }
        self.changed(now);
    }

    /// Somebody tells of itself or of a device.
    pub(crate) fn note(&mut self, now: WallTime, event: SystemEventParams) -> Noted {
        let text = event.text.trim().to_owned();
        let is_beacon = text.starts_with("Node:");
        let key = [&event.device_id, &event.instance_id, &event.host, &event.ip]
            .into_iter()
            .flatten()
            .map(|text| text.trim())
            .find(|text| !text.is_empty())
            .unwrap_or(&text);
        let key = cut(key).to_lowercase();
        let present = self.entry(&key);
        let entry = &mut present.entry;
        let before = entry.clone();
        entry.text = Some(cut(&text));
        let told = [
            (&mut entry.host, event.host),
            (&mut entry.ip, event.ip),
            (&mut entry.mode, event.mode),
            (&mut entry.version, event.version),
            (&mut entry.platform, event.platform),
            (&mut entry.device_family, event.device_family),
            (&mut entry.model_identifier, event.model_identifier),
            (&mut entry.reason, event.reason),
            (&mut entry.device_id, event.device_id),
            (&mut entry.instance_id, event.instance_id),
        ];
        for (field, value) in told {
            if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
                *field = Some(cut(value.trim()));
            }
        }
        if let Some(seconds) = event
            .last_input_seconds
            .filter(|seconds| seconds.is_finite())
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the cast saturates, and nobody waits that long"
            )]
            let whole = seconds.max(0.0) as u64;
            entry.last_input_seconds = Some(whole);
        }
        entry.roles = union(entry.roles.take(), &event.roles.unwrap_or_default());
        entry.scopes = union(entry.scopes.take(), &event.scopes.unwrap_or_default());
        entry.tags = event.tags.map(|tags| capped(&tags)).or(entry.tags.take());
        entry.ts = now.as_millis();
        let told_of = |entry: &PresenceEntry| {
            [
                &entry.host,
                &entry.ip,
                &entry.version,
                &entry.mode,
                &entry.reason,
            ]
            .map(Clone::clone)
        };
        let is_news = !is_beacon || told_of(&before) != told_of(entry);
        self.changed(now);
        Noted { is_news }
    }

    /// The list, newest first.
    pub(crate) fn list(&mut self, now: WallTime) -> Prepared<Vec<PresenceEntry>> {
        if let Some((at, prepared)) = &self.prepared
            && now.since(*at) < FRESH_FOR
            && at.as_millis() <= now.as_millis()
        {
            return prepared.clone();
        }
        let prepared = Prepared::new(&self.entries(now));
        self.prepared = Some((now, prepared.clone()));
        prepared
    }

    /// The list as values.
    pub(crate) fn entries(&mut self, now: WallTime) -> Vec<PresenceEntry> {
        self.prune(now);
        let mut list: Vec<PresenceEntry> = self
            .others
            .values()
            .map(|present| present.entry.clone())
            .collect();
        list.push(self.own(now));
        list.sort_by_key(|entry| std::cmp::Reverse(entry.ts));
        list
    }

    fn own(&self, now: WallTime) -> PresenceEntry {
        let Machine {
            host,
            ip,
            platform,
            family,
            model,
        } = &self.machine;
        let address = ip.as_ref().map(|ip| format!(" ({ip})")).unwrap_or_default();
        let version = &self.version_of_gateway;
        PresenceEntry {
            text: Some(format!(
                "Gateway: {host}{address} · app {version} · mode gateway · reason self"
            )),
            host: Some(host.clone()),
            ip: ip.clone(),
            version: Some(version.clone()),
            platform: Some(platform.clone()),
            device_family: Some(family.clone()),
            model_identifier: Some(model.clone()),
            mode: Some("gateway".to_owned()),
            reason: Some("self".to_owned()),
            ts: now.as_millis(),
            ..PresenceEntry::default()
        }
    }

    fn entry(&mut self, key: &str) -> &mut Present {
        let fresh = || Present {
            entry: PresenceEntry::default(),
            connections: 0,
        };
        self.others.entry(key.to_owned()).or_insert_with(fresh)
    }

    fn changed(&mut self, now: WallTime) {
        self.version += 1;
        self.prepared = None;
        self.prune(now);
    }

    fn prune(&mut self, now: WallTime) {
        self.others.retain(|_, present| {
            let last = WallTime::from_millis(present.entry.ts);
            present.connections > 0 || now.since(last) < EXPIRY
        });
        // The gateway's own entry counts too.
        while self.others.len() >= MOST_ENTRIES {
            let oldest = self
                .others
                .iter()
                .min_by_key(|(_, present)| (present.connections > 0, present.entry.ts));
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            self.others.remove(&key);
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

fn capped(marks: &[String]) -> Vec<String> {
    marks
        .iter()
        .take(MOST_MARKS)
        .map(|mark| cut(mark))
        .collect()
}

fn union(earlier: Option<Vec<String>>, fresh: &[String]) -> Option<Vec<String>> {
    let mut all = earlier.unwrap_or_default();
    for mark in capped(fresh) {
        if !all.contains(&mark) && all.len() < MOST_MARKS {
            all.push(mark);
        }
    }
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::protocol::connect::ClientInfo;
    use openclaw_shared::protocol::params::presence::SystemEventParams;
    use openclaw_shared::protocol::scope::Role;
    use proptest::prelude::*;
    use serde_json::json;

    use super::{Arrived, Presence};
    use crate::machine::Machine;

    fn machine() -> Machine {
        Machine {
            host: "gw-host".into(),
            ip: Some("192.0.2.2".into()),
            platform: "linux 6.18.44".into(),
            family: "Linux".into(),
            model: "x64".into(),
        }
    }

    fn presence() -> Presence {
        Presence::new(machine(), "2026.1.1".into())
    }

    fn client(mode: &str, instance: Option<&str>) -> ClientInfo {
        let mut client =
            json!({"id": "gateway-client", "version": "dev", "platform": "linux", "mode": mode});
        if let Some(instance) = instance {
            client["instanceId"] = instance.into();
        }
        serde_json::from_value(client).unwrap()
    }

    fn at(seconds: u64) -> WallTime {
        WallTime::from_millis(1_000_000_000 + seconds * 1_000)
    }

    fn connect(presence: &mut Presence, now: WallTime, client: &ClientInfo) -> Option<String> {
        let scopes = ["operator.admin".to_owned()];
        presence.connect(
            now,
            Arrived {
                conn_id: "C-1",
                client,
                device: None,
                role: Role::Operator,
                scopes: &scopes,
                address: None,
            },
        )
    }

    fn event(fields: serde_json::Value) -> SystemEventParams {
        serde_json::from_value(fields).unwrap()
    }

    fn seen(presence: &mut Presence, now: WallTime) -> Vec<String> {
        presence
            .entries(now)
            .iter()
            .map(|entry| {
                format!(
                    "{} {}",
                    entry.host.as_deref().unwrap_or("-"),
                    entry.reason.as_deref().unwrap_or("-")
                )
            })
            .collect()
    }

    #[test]
    fn the_gateway_is_always_present_as_clients_know_it() {
        let entries = presence().entries(at(0));
        assert_eq!(
            serde_json::to_value(&entries[0]).unwrap(),
            json!({
                "host": "gw-host", "ip": "192.0.2.2", "version": "2026.1.1", "platform": "linux 6.18.44",
                "deviceFamily": "Linux", "modelIdentifier": "x64", "mode": "gateway", "reason": "self",
                "text": "Gateway: gw-host (192.0.2.2) · app 2026.1.1 · mode gateway · reason self",
                "ts": 1_000_000_000,
            })
        );
    }

    #[test]
    fn a_client_comes_and_goes_and_is_forgotten_after_five_minutes() {
        let mut presence = presence();
        let key = connect(&mut presence, at(0), &client("backend", None)).unwrap();
        assert_eq!(key, "c-1");
        assert_eq!(
            seen(&mut presence, at(0)),
            ["gateway-client connect", "gw-host self"]
        );
        assert_eq!(
            seen(&mut presence, at(400)),
            ["gw-host self", "gateway-client connect"]
        );
        presence.disconnect(at(400), &key);
        assert_eq!(
            seen(&mut presence, at(699)),
            ["gw-host self", "gateway-client disconnect"]
        );
        assert_eq!(seen(&mut presence, at(700)), ["gw-host self"]);
    }

    #[test]
    fn a_command_line_is_not_listed() {
        let mut presence = presence();
        assert_eq!(connect(&mut presence, at(0), &client("cli", None)), None);
        assert_eq!(seen(&mut presence, at(0)), ["gw-host self"]);
    }

    #[test]
    fn an_instance_id_makes_reconnects_one_entry() {
        let mut presence = presence();
        let client = client("ui", Some("Mac-1"));
        let first = connect(&mut presence, at(0), &client).unwrap();
        let second = connect(&mut presence, at(1), &client).unwrap();
        assert_eq!((first.as_str(), second.as_str()), ("mac-1", "mac-1"));
        presence.disconnect(at(2), &first);
        assert_eq!(
            seen(&mut presence, at(2)),
            ["gw-host self", "gateway-client connect"]
        );
        presence.disconnect(at(3), &second);
        assert_eq!(seen(&mut presence, at(3))[0], "gateway-client disconnect");
    }

    #[test]
    fn every_change_counts_and_looking_does_not() {
        let mut presence = presence();
        assert_eq!(presence.version(), 1);
        let key = connect(&mut presence, at(0), &client("ui", None)).unwrap();
        assert_eq!(presence.version(), 2);
        let _ = presence.list(at(0));
        presence.disconnect(at(1), &key);
        assert_eq!(presence.version(), 3);
    }

    #[test]
    fn a_beacon_that_repeats_itself_is_no_news() {
        let mut presence = presence();
        let beacon = json!({"text": "Node: mac · mode ui", "host": "mac", "mode": "ui", "lastInputSeconds": 2.7});
        assert!(presence.note(at(0), event(beacon.clone())).is_news);
        assert!(!presence.note(at(1), event(beacon)).is_news);
        assert!(
            presence
                .note(
                    at(2),
                    event(json!({"text": "Node: mac", "host": "mac", "mode": "idle"}))
                )
                .is_news
        );
        assert!(
            presence
                .note(at(3), event(json!({"text": "rain", "host": "mac"})))
                .is_news
        );
        assert!(
            presence
                .note(at(4), event(json!({"text": " rain ", "host": "mac"})))
                .is_news
        );
        let entries = presence.entries(at(4));
        let entry = entries
            .iter()
            .find(|entry| entry.host.as_deref() == Some("mac"))
            .unwrap();
        assert_eq!(entry.last_input_seconds, Some(2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_list_is_bounded_sorted_and_unique(
            steps in prop::collection::vec((0u8..4, 0u16..400, 0u64..900), 1..600),
        ) {
            let mut presence = presence();
            let mut clock = 0;
            let mut version = presence.version();
            for (kind, who, wait) in steps {
                clock += wait / 100;
                let name = format!("host-{who}");
                match kind {
                    0 => drop(connect(&mut presence, at(clock), &client("ui", Some(&name)))),
                    1 => presence.disconnect(at(clock), &name),
                    2 => drop(presence.note(at(clock), event(json!({"text": "x", "host": name})))),
                    _ => drop(presence.list(at(clock))),
                }
                prop_assert!(presence.version() >= version);
                version = presence.version();
            }
            let entries = presence.entries(at(clock));
            prop_assert!(entries.len() <= super::MOST_ENTRIES);
            prop_assert!(entries.is_sorted_by_key(|entry| std::cmp::Reverse(entry.ts)));
            prop_assert_eq!(entries.iter().filter(|entry| entry.reason.as_deref() == Some("self")).count(), 1);
        }
    }
}
