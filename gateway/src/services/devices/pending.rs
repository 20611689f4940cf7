//! Requests that wait for the owner, and which of them must make room.                     (pure)
//!
//! Whoever asks gets a place: when the list is full, somebody who asks a lot loses one, the oldest first, and devices that are
//! known lose theirs last. So a flood from one place takes places from itself alone.

use std::collections::BTreeSet;
use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::devices::NodePairRequestParams;
use openclaw_shared::protocol::scope::Role;
use openclaw_shared::protocol::strict::NonEmpty;
use serde::{Deserialize, Serialize};

use super::node::NodeFacts;
use super::scopes;
use super::standing::{Ask, Description};

/// How long a request waits.
pub(crate) const EXPIRY: Duration = Duration::from_secs(300);
/// How many wait at most.
const MOST: usize = 64;
/// How many wait at most from one address.
const MOST_OF_ONE: usize = 8;
/// Commands and groups of commands that are kept of a node without a key.
const MOST_OFFERED: usize = 256;

/// A request that waits for the owner. What is approved is what stands in here, whatever the device says later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) device: String,
    /// The raw key in base64url; none for a node that was announced by `node.pair.request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public_key: Option<String>,
    pub(crate) role: Role,
    pub(crate) scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device_family: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remote_ip: Option<String>,
    /// What whoever asked says about asking people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) silent: Option<bool>,
    /// Whether the device was known when it asked.
    pub(crate) is_repair: bool,
    pub(crate) asked_at_ms: u64,
    /// What a node without a key is said to offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<NodeFacts>,
}

impl Request {
    /// What a client asks for by connecting.
    pub(crate) fn of(ask: &Ask, id: String, is_known: bool, now: WallTime) -> Self {
        let says = ask.says.clone();
        Self {
            id,
            device: ask.device.clone(),
            public_key: Some(ask.public_key.clone()),
            role: ask.role,
            scopes: ask.scopes.clone(),
            display_name: says.display_name,
            platform: Some(says.platform),
            device_family: says.device_family,
            client_id: Some(says.client_id),
            client_mode: Some(says.client_mode),
            remote_ip: says.remote_ip,
            silent: None,
            is_repair: is_known,
            asked_at_ms: now.as_millis(),
            node: None,
        }
    }

    /// What somebody asks for on behalf of a node that has no key. Its id is given to it when it is put on the list.
    pub(crate) fn of_node(params: NodePairRequestParams, now: WallTime) -> Self {
        let cut = |text: &NonEmpty| Description::cut(text);
        let optional = |text: Option<NonEmpty>| text.as_ref().map(cut);
        let list = |list: Option<Vec<NonEmpty>>| -> Vec<String> {
            let list: BTreeSet<String> = list.iter().flatten().map(cut).collect();
            list.into_iter().take(MOST_OFFERED).collect()
        };
        let device_family = optional(params.device_family);
        Self {
            id: String::new(),
            device: cut(&params.node_id),
            public_key: None,
            role: Role::Node,
            scopes: Vec::new(),
            display_name: optional(params.display_name),
            platform: optional(params.platform),
            client_id: None,
            client_mode: None,
            remote_ip: optional(params.remote_ip),
            silent: params.silent,
            is_repair: false,
            asked_at_ms: now.as_millis(),
            node: Some(NodeFacts {
                caps: list(params.caps),
                commands: list(params.commands),
                version: optional(params.version),
                core_version: optional(params.core_version),
                ui_version: optional(params.ui_version),
                device_family: device_family.clone(),
                model_identifier: optional(params.model_identifier),
                ..NodeFacts::default()
            }),
            device_family,
        }
    }

    /// Whether nobody has decided in time.
    pub(crate) fn has_expired(&self, now: WallTime) -> bool {
        now.since(WallTime::from_millis(self.asked_at_ms)) >= EXPIRY
    }

    /// Whether both come from one holder of one key and ask for the same role. Roles of one device are asked for side by side: a
    /// machine that is operated from and is a node as well has one key for both.
    pub(crate) fn is_from_same(&self, other: &Self) -> bool {
        self.device == other.device
            && self.public_key == other.public_key
            && self.role == other.role
    }

    /// Whether the approval of this one is enough for the other. Programs that share a key ask for different scopes by turns, and
    /// must not knock each other's request off the list.
    fn is_enough_for(&self, other: &Self) -> bool {
        self.is_from_same(other)
            && scopes::cover(&self.scopes, &other.scopes)
            && self.platform == other.platform
            && self.device_family == other.device_family
    }
}

/// Where a new request goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It waits already, as this one.
    Taken(usize),
    /// It waits from now on; these make room.
    Free {
        /// Positions of those that are no longer asked or lose their place.
        out: Vec<usize>,
    },
}

/// Finds the place of a request among those that wait (none of them expired).
pub(crate) fn place(waiting: &[Request], new: &Request) -> Place {
    let enough = |request: &Request| request.is_enough_for(new);
    if let Some(at) = waiting.iter().position(enough) {
        return Place::Taken(at);
    }
    let mut out: Vec<usize> = Vec::new();
    let from_same = |at: &usize| waiting[*at].is_from_same(new);
    out.extend((0..waiting.len()).filter(from_same));
    let place_of = |at: usize| waiting[at].remote_ip.as_deref();
    let staying = |out: &[usize]| -> Vec<usize> {
        (0..waiting.len()).filter(|at| !out.contains(at)).collect()
    };
    let cheapest = |candidates: &mut dyn Iterator<Item = usize>| {
        candidates.min_by_key(|at| (waiting[*at].is_repair, waiting[*at].asked_at_ms))
    };
    loop {
        let stay = staying(&out);
        let from = |place: Option<&str>| stay.iter().filter(|at| place_of(**at) == place).count();
        let crowded = if from(new.remote_ip.as_deref()) >= MOST_OF_ONE {
            new.remote_ip.as_deref()
        } else if stay.len() >= MOST {
            match stay.iter().copied().max_by_key(|at| from(place_of(*at))) {
                Some(at) => place_of(at),
                None => return Place::Free { out },
            }
        } else {
            return Place::Free { out };
        };
        match cheapest(&mut stay.iter().copied().filter(|at| place_of(*at) == crowded)) {
            Some(at) => out.push(at),
            None => return Place::Free { out },
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::protocol::scope::Role;

    use super::{MOST, MOST_OF_ONE, Place, Request, place};

    fn request(device: &str, address: &str, at: u64) -> Request {
        Request {
            id: format!("r-{device}-{at}"),
            device: device.to_owned(),
            public_key: Some(device.to_owned()),
            role: Role::Operator,
            scopes: vec!["operator.read".to_owned()],
            display_name: None,
            platform: Some("linux".to_owned()),
            device_family: None,
            client_id: None,
            client_mode: None,
            remote_ip: Some(address.to_owned()),
            silent: None,
            is_repair: false,
            asked_at_ms: at,
            node: None,
        }
    }

    #[test]
    fn a_retry_is_the_same_request() {
        let waiting = [request("a", "1", 1), request("b", "1", 2)];
        assert_eq!(place(&waiting, &request("b", "9", 7)), Place::Taken(1));
    }

    #[test]
    fn whoever_asks_for_something_else_asks_anew() {
        let waiting = [request("a", "1", 1), request("b", "1", 2)];
        type Change = fn(&mut Request);
        let changes: [Change; 3] = [
            |r| r.scopes.push("operator.admin".to_owned()),
            |r| r.platform = Some("ios".to_owned()),
            |r| r.device_family = Some("iPhone".to_owned()),
        ];
        for change in changes {
            let mut new = request("b", "1", 7);
            change(&mut new);
            assert_eq!(place(&waiting, &new), Place::Free { out: vec![1] });
        }
        let mut other_key = request("b", "1", 7);
        other_key.public_key = None;
        assert_eq!(place(&waiting, &other_key), Place::Free { out: vec![] });
    }

    #[test]
    fn programs_that_share_a_key_do_not_knock_each_other_off() {
        let waiting = [request("a", "1", 1), request("b", "1", 2)];
        let mut node = request("b", "1", 7);
        node.role = Role::Node;
        assert_eq!(place(&waiting, &node), Place::Free { out: vec![] });
        let mut modest = request("b", "1", 7);
        modest.scopes.clear();
        assert_eq!(place(&waiting, &modest), Place::Taken(1));
        let mut admin = request("b", "1", 2);
        admin.scopes = vec!["operator.admin".to_owned()];
        let mut other = admin.clone();
        other.scopes.push("operator.approvals".to_owned());
        assert_eq!(place(&[admin], &other), Place::Taken(0));
    }

    #[test]
    fn a_flood_from_one_place_takes_places_from_itself_alone() {
        let mut waiting = vec![request("owner", "7", 0)];
        waiting.extend((0..MOST_OF_ONE).map(|n| request(&format!("f{n}"), "1", 10 + n as u64)));
        assert_eq!(
            place(&waiting, &request("f99", "1", 99)),
            Place::Free { out: vec![1] }
        );
        assert_eq!(
            place(&waiting, &request("new", "8", 99)),
            Place::Free { out: vec![] }
        );
    }

    #[test]
    fn a_full_list_makes_room_where_most_ask_and_known_devices_lose_last() {
        let mut waiting: Vec<Request> = (0..MOST)
            .map(|n| request(&format!("d{n}"), &(n % 9).to_string(), n as u64))
            .collect();
        // Address 0 has one more than the others; its oldest is a known device.
        waiting[0].is_repair = true;
        let Place::Free { out } = place(&waiting, &request("owner", "77", 99)) else {
            panic!()
        };
        assert_eq!(out, [9]);
    }
}
