//! When and how devices were last seen, until it is written down.                          (pure)
//!
//! A connect is not worth a durable write, so what it tells of a device waits here and is written for all of them together, once a
//! minute. What is lost with the process is a minute of it.

use std::collections::BTreeMap;

use openclaw_shared::clock::WallTime;

use super::keep::Stored;
use super::record::Sighting;
use super::standing::{Ask, Proof};

/// Devices that are kept between two writes; one that comes on top waits for its next connect.
const MOST: usize = 1024;

/// What has not been written yet, by device.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    fresh: BTreeMap<String, Sighting>,
}

impl Sightings {
    /// A device was let in.
    pub(crate) fn note(&mut self, ask: &Ask, by: Proof, now: WallTime) {
        if self.fresh.len() >= MOST && !self.fresh.contains_key(&ask.device) {
            return;
        }
        let sighting = self.fresh.entry(ask.device.clone()).or_default();
        sighting.display_name = ask.says.display_name.clone();
        sighting.platform = Some(ask.says.platform.clone());
        sighting.client_id = Some(ask.says.client_id.clone());
        sighting.client_mode = Some(ask.says.client_mode.clone());
        sighting.role = Some(ask.role.to_string());
        sighting.remote_ip = ask.says.remote_ip.clone();
        if by == Proof::DeviceToken {
            let last_used = &mut sighting.last_used_at_ms;
            last_used.insert(ask.role.to_string(), now.as_millis());
        }
    }

    /// Takes what is to be written.
    pub(crate) fn take(&mut self) -> BTreeMap<String, Sighting> {
        std::mem::take(&mut self.fresh)
    }

    /// Completes what the store says.
    pub(crate) fn complete(&self, stored: &mut Stored) {
        if let Some(fresh) = self.fresh.get(&stored.device.id) {
            stored.sighting.renew(fresh);
        }
    }
}

impl Sighting {
    /// The same device, seen again.
    pub(crate) fn renew(&mut self, fresh: &Self) {
        let Self {
            display_name,
            platform,
            client_id,
            client_mode,
            role,
            remote_ip,
            last_used_at_ms,
        } = fresh.clone();
        self.display_name = display_name.or(self.display_name.take());
        self.platform = platform;
        self.client_id = client_id;
        self.client_mode = client_mode;
        self.role = role;
        self.remote_ip = remote_ip;
        self.last_used_at_ms.extend(last_used_at_ms);
    }
}
