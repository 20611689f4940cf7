//! The nodes that are connected, and what they may be asked for.                          (pure)
//!
//! A node is known by the id of its device, never by what it calls itself. Its newest connection is the one; the end of an older
//! one changes nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::params::nodes::{NodeListReply, NodeRow};
use openclaw_shared::protocol::strict::NonEmpty;

use super::devices::platform::Platform;
use super::devices::{NodeFacts, PairedNode};
use crate::connection::link::LinkId;
use crate::prepared::Prepared;
use crate::settings::NodeCommands;

pub(crate) mod asked;
pub(crate) mod happening;
pub(crate) mod invokes;
pub(crate) mod policy;

/// Capabilities and commands of one node that are kept.
const MOST_OFFERS: usize = 256;
/// How much of a node's text is kept, in characters.
const LONGEST_TEXT: usize = 256;
/// How much of its search path is kept, in characters.
const LONGEST_PATH: usize = 4_096;
/// The longest session key that can be followed, in bytes.
const LONGEST_SESSION: usize = 512;
/// Sessions one node may follow.
const MOST_SUBSCRIPTIONS: usize = 32;
/// Runs of one node whose events are still believed; the oldest go.
const MOST_RUNS: usize = 256;
/// How long after a node has left its runs are forgotten: what it executes outlives its connection by a minute at most.
const RUNS_OUTLIVE: Duration = Duration::from_secs(90);
/// How long an answer of `node.list` is repeated while nothing changes.
const FRESH_MILLIS: u64 = 1_000;

/// A node as it introduces itself, with what its owner says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    /// As its device was paired, not as it claims.
    pub(crate) platform: Platform,
    /// The same for people.
    pub(crate) platform_name: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) remote_ip: Option<String>,
    pub(crate) facts: NodeFacts,
}

impl Profile {
    /// What follows from a `connect`. What was paired stands above what is claimed.
    pub(crate) fn of(
        now: WallTime,
        params: &ConnectParams,
        remote_ip: Option<String>,
        paired: Option<&PairedNode>,
        settings: &NodeCommands,
    ) -> Self {
        let client = &params.client;
        let text = |text: &Option<NonEmpty>| text.as_deref().map(|text| cut(text, LONGEST_TEXT));
        let claimed = Some(cut(&client.platform, LONGEST_TEXT));
        let family = text(&client.device_family);
        let platform = match paired {
            Some(PairedNode {
                platform: Some(platform),
                device_family,
                ..
            }) => Platform::of(Some(platform), device_family.as_deref()),
            Some(PairedNode { platform: None, .. }) => {
                Platform::of(claimed.as_deref(), family.as_deref())
            }
            // Whose pairing cannot be read is asked for nothing.
            None => Platform::Unknown,
        };
        let pinned = paired.and_then(|paired| paired.platform.clone());
        let platform_name = pinned.or(claimed);
        let offers = |offered: &Option<Vec<NonEmpty>>| {
            let offered = offered
                .iter()
                .flatten()
                .map(|offer| cut(offer.trim(), LONGEST_TEXT));
            offered
                .filter(|offer| !offer.is_empty())
                .collect::<BTreeSet<String>>()
        };
        let commands = offers(&params.commands);
        let commands = policy::filter(platform, commands.iter().map(String::as_str), settings);
        let facts = NodeFacts {
            caps: offers(&params.caps).into_iter().take(MOST_OFFERS).collect(),
            commands: commands.into_iter().take(MOST_OFFERS).collect(),
            version: Some(cut(&client.version, LONGEST_TEXT)),
            core_version: None,
            ui_version: None,
            device_family: family,
            model_identifier: text(&client.model_identifier),
            path_env: params
                .path_env
                .as_deref()
                .map(|path| cut(path, LONGEST_PATH)),
            permissions: params.permissions.as_ref().map(|permissions| {
                let kept = permissions.iter().take(MOST_OFFERS);
                kept.map(|(name, is_granted)| (cut(name, LONGEST_TEXT), *is_granted))
                    .collect()
            }),
            last_connected_at_ms: Some(now.as_millis()),
            last_seen_at_ms: Some(now.as_millis()),
        };
        let own_name = paired.and_then(|paired| paired.display_name.clone());
        Self {
            platform,
            platform_name,
            display_name: own_name.or_else(|| text(&client.display_name)),
            remote_ip,
            facts,
        }
    }
}

fn row(node_id: &str, facts: &NodeFacts) -> NodeRow {
    NodeRow {
        node_id: node_id.to_owned(),
        version: facts.version.clone(),
        core_version: facts.core_version.clone(),
        ui_version: facts.ui_version.clone(),
        device_family: facts.device_family.clone(),
        model_identifier: facts.model_identifier.clone(),
        caps: facts.caps.clone(),
        commands: facts.commands.clone(),
        path_env: facts.path_env.clone(),
        permissions: facts.permissions.clone(),
        ..NodeRow::default()
    }
}

fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

/// A node that is here.
#[derive(Debug, Clone)]
pub(crate) struct Connected {
    pub(crate) link: LinkId,
    pub(crate) profile: Profile,
    since: WallTime,
    subscriptions: BTreeSet<String>,
    /// Runs that it was given and has not told the end of.
    runs: VecDeque<String>,
}

/// All nodes that are here.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    here: BTreeMap<Arc<str>, Connected>,
    /// Runs of nodes that have left not long ago, and when.
    left: BTreeMap<Arc<str>, (WallTime, VecDeque<String>)>,
    /// What is to be remembered of nodes and is not written yet.
    notes: BTreeMap<Arc<str>, NodeFacts>,
    version: u64,
    list: Option<Listed>,
}

#[derive(Debug)]
struct Listed {
    store: u64,
    nodes: u64,
    at: WallTime,
    prepared: Prepared<NodeListReply>,
}

impl Nodes {
    /// A node has come. The connection that it replaces, if any.
    #[must_use = "the connection that is replaced must be closed"]
    pub(crate) fn enter(
        &mut self,
        now: WallTime,
        node: &Arc<str>,
        link: LinkId,
        profile: Profile,
    ) -> Option<LinkId> {
        self.version += 1;
        self.notes.insert(node.clone(), profile.facts.clone());
        let earlier = self.here.remove(node);
        let replaced = earlier.as_ref().map(|earlier| earlier.link);
        self.forget_runs(now);
        let left = self.left.remove(node).map(|(_, runs)| runs);
        let runs = earlier.map(|earlier| earlier.runs).or(left);
        let connected = Connected {
            link,
            profile,
            since: now,
            subscriptions: BTreeSet::new(),
            runs: runs.unwrap_or_default(),
        };
        self.here.insert(node.clone(), connected);
        replaced
    }

    /// A connection of a node has ended; with the newest one the node has gone.
    pub(crate) fn leave(&mut self, now: WallTime, node: &str, link: LinkId) {
        if !self.is_current(node, link) {
            return;
        }
        if let Some((node, gone)) = self.here.remove_entry(node) {
            self.version += 1;
            self.forget_runs(now);
            if !gone.runs.is_empty() {
                self.left.insert(node.clone(), (now, gone.runs));
            }
            let facts = NodeFacts {
                last_seen_at_ms: Some(now.as_millis()),
                ..gone.profile.facts
            };
            self.notes.insert(node, facts);
        }
    }

    /// What is to be remembered of nodes, since this was asked last.
    pub(crate) fn take_notes(&mut self) -> BTreeMap<Arc<str>, NodeFacts> {
        std::mem::take(&mut self.notes)
    }

    /// Whether something is to be remembered.
    pub(crate) fn has_notes(&self) -> bool {
        !self.notes.is_empty()
    }

    /// A node that is here.
    pub(crate) fn get(&self, node: &str) -> Option<&Connected> {
        self.here.get(node)
    }

    /// Whether a phone or tablet is here.
    pub(crate) fn has_phone(&self) -> bool {
        self.here.values().any(|connected| {
            matches!(
                connected.profile.platform,
                Platform::Ios | Platform::Android
            )
        })
    }

    /// The node of a connection, while it is the node's newest.
    pub(crate) fn is_current(&self, node: &str, link: LinkId) -> bool {
        self.get(node)
            .is_some_and(|connected| connected.link == link)
    }

    /// The list, made anew when something has changed or some time has passed.
    pub(crate) fn list<E>(
        &mut self,
        now: WallTime,
        store: u64,
        paired: impl FnOnce() -> Result<Vec<PairedNode>, E>,
    ) -> Result<Prepared<NodeListReply>, E> {
        if let Some(listed) = &self.list
            && (listed.store, listed.nodes) == (store, self.version)
            && listed.at <= now
            && now.as_millis() - listed.at.as_millis() < FRESH_MILLIS
        {
            return Ok(listed.prepared.clone());
        }
        let reply = NodeListReply {
            ts: now.as_millis(),
            nodes: self.rows(paired()?),
        };
        let prepared = Prepared::new(&reply);
        self.list = Some(Listed {
            store,
            nodes: self.version,
            at: now,
            prepared: prepared.clone(),
        });
        Ok(prepared)
    }

    /// Every node that is paired or here: those that are here first, then by name, then by id.
    pub(crate) fn rows(&self, paired: Vec<PairedNode>) -> Vec<NodeRow> {
        let mut rows: BTreeMap<String, NodeRow> = paired
            .into_iter()
            .map(|paired| (paired.node_id.clone(), away(paired)))
            .collect();
        for (node, Connected { profile, since, .. }) in &self.here {
            let earlier = rows.remove(&**node);
            let is_paired = earlier.is_some();
            let named = earlier.and_then(|earlier| earlier.display_name);
            let here = NodeRow {
                display_name: named.or_else(|| profile.display_name.clone()),
                platform: profile.platform_name.clone(),
                remote_ip: profile.remote_ip.clone(),
                connected_at_ms: Some(since.as_millis()),
                paired: is_paired,
                connected: true,
                ..row(node, &profile.facts)
            };
            rows.insert(here.node_id.clone(), here);
        }
        let mut rows: Vec<NodeRow> = rows.into_values().collect();
        rows.sort_by_cached_key(|row| {
            let name = row
                .display_name
                .as_deref()
                .unwrap_or(&row.node_id)
                .to_lowercase();
            (!row.connected, name, row.node_id.clone())
        });
        rows
    }

    /// A node follows a session, or no longer does. Whether there was room; what an older connection of it says changes nothing.
    pub(crate) fn subscribe(
        &mut self,
        node: &str,
        link: LinkId,
        session: &str,
        wants: bool,
    ) -> bool {
        let Some(connected) = self.current(node, link) else {
            return true;
        };
        let followed = &mut connected.subscriptions;
        if !wants {
            followed.remove(session);
            return true;
        }
        let has_room = session.len() <= LONGEST_SESSION
            && (followed.len() < MOST_SUBSCRIPTIONS || followed.contains(session));
        if has_room {
            followed.insert(session.to_owned());
        }
        has_room
    }

    /// The connections of the nodes that follow a session.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "asked by whoever publishes chat, which comes with runs"
        )
    )]
    pub(crate) fn followers(&self, session: &str) -> Vec<LinkId> {
        let follow = |connected: &&Connected| connected.subscriptions.contains(session);
        self.here
            .values()
            .filter(follow)
            .map(|connected| connected.link)
            .collect()
    }

    /// A node was given a run.
    pub(crate) fn gave_run(&mut self, node: &str, run: String) {
        let Some(Connected { runs, .. }) = self.here.get_mut(node) else {
            return;
        };
        runs.push_back(run);
        if runs.len() > MOST_RUNS {
            runs.pop_front();
        }
    }

    /// Whether a node was given a run and has not told its end; `is_over` tells it. Only its newest connection is believed.
    pub(crate) fn knows_run(&mut self, node: &str, link: LinkId, run: &str, is_over: bool) -> bool {
        let Some(Connected { runs, .. }) = self.current(node, link) else {
            return false;
        };
        let at = runs.iter().position(|known| known == run);
        if let Some(at) = at.filter(|_| is_over) {
            runs.remove(at);
        }
        at.is_some()
    }

    fn forget_runs(&mut self, now: WallTime) {
        self.left
            .retain(|_, (then, _)| now.since(*then) <= RUNS_OUTLIVE);
    }

    fn current(&mut self, node: &str, link: LinkId) -> Option<&mut Connected> {
        let connected = self.here.get_mut(node)?;
        (connected.link == link).then_some(connected)
    }
}

fn away(paired: PairedNode) -> NodeRow {
    let row = row(&paired.node_id, &paired.facts);
    NodeRow {
        display_name: paired.display_name,
        platform: paired.platform,
        device_family: paired.device_family.or(row.device_family),
        remote_ip: paired.remote_ip,
        last_seen_at_ms: paired.facts.last_seen_at_ms,
        paired: true,
        ..row
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use openclaw_shared::clock::WallTime;
    use serde_json::{Value, json};

    use super::super::devices::{NodeFacts, PairedNode};
    use super::{Nodes, Profile};
    use crate::connection::link::LinkId;
    use crate::settings::NodeCommands;
    use crate::testing::connect;

    const NOW: WallTime = WallTime::from_millis(1_000_000);

    fn profile_of(change: impl FnOnce(&mut Value), paired: Option<&PairedNode>) -> Profile {
        let mut params = connect();
        params["role"] = json!("node");
        params["client"]["displayName"] = json!("n");
        params["caps"] = json!(["system", "browser", " system"]);
        params["commands"] = json!(["system.which", " system.run", "camera.snap", "system.run"]);
        change(&mut params);
        let params = serde_json::from_value(params).unwrap();
        Profile::of(NOW, &params, None, paired, &NodeCommands::default())
    }

    fn profile() -> Profile {
        profile_of(|_| {}, Some(&paired("n", Some("n"))))
    }

    fn enter(nodes: &mut Nodes, node: &str, link: u64) -> Option<LinkId> {
        nodes.enter(NOW, &Arc::from(node), LinkId(link), profile())
    }

    fn paired(node: &str, name: Option<&str>) -> PairedNode {
        PairedNode {
            node_id: node.to_owned(),
            display_name: name.map(str::to_owned),
            platform: Some("linux".to_owned()),
            device_family: None,
            remote_ip: None,
            created_at_ms: 1,
            approved_at_ms: 1,
            facts: NodeFacts {
                caps: vec!["browser".to_owned(), "system".to_owned()],
                commands: vec!["system.run".to_owned(), "system.which".to_owned()],
                version: Some("1".to_owned()),
                last_seen_at_ms: Some(5),
                ..NodeFacts::default()
            },
        }
    }

    #[test]
    fn the_end_of_an_older_connection_does_not_take_the_node_away() {
        let mut nodes = Nodes::default();
        assert_eq!(enter(&mut nodes, "a", 1), None);
        assert_eq!(enter(&mut nodes, "a", 2), Some(LinkId(1)));
        nodes.leave(NOW, "a", LinkId(1));
        assert!(nodes.is_current("a", LinkId(2)));
        nodes.leave(WallTime::from_millis(2_000_000), "a", LinkId(2));
        assert!(nodes.get("a").is_none());
        let notes = nodes.take_notes();
        assert_eq!(
            (notes.len(), notes["a"].last_seen_at_ms),
            (1, Some(2_000_000))
        );
        assert!(nodes.take_notes().is_empty());
    }

    #[test]
    fn rule_44_a_node_is_known_by_its_device_and_not_by_its_name() {
        let mut nodes = Nodes::default();
        assert_eq!(enter(&mut nodes, "a", 1), None);
        let claims = profile_of(|params| params["client"]["instanceId"] = json!("a"), None);
        assert_eq!(nodes.enter(NOW, &Arc::from("b"), LinkId(2), claims), None);
        assert!(nodes.is_current("a", LinkId(1)));
        assert!(!nodes.is_current("a", LinkId(2)));
    }

    #[test]
    fn the_list_has_the_shape_and_the_order_that_clients_know() {
        let mut nodes = Nodes::default();
        let _ = enter(&mut nodes, "n2", 1);
        let paired = vec![
            paired("n2", Some("Zoo")),
            paired("n3", Some("apple")),
            paired("n1", Some("Apple")),
        ];
        let rows = serde_json::to_value(nodes.rows(paired)).unwrap();
        let ids: Vec<&Value> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row["nodeId"])
            .collect();
        assert_eq!(ids, ["n2", "n1", "n3"]);
        assert_eq!(
            rows[0].to_string(),
            r#"{"nodeId":"n2","displayName":"Zoo","platform":"linux","version":"1","caps":["browser","system"],"commands":["system.run","system.which"],"connectedAtMs":1000000,"paired":true,"connected":true}"#
        );
        assert_eq!(
            rows[1],
            json!({"nodeId": "n1", "displayName": "Apple", "platform": "linux", "version": "1", "caps": ["browser", "system"],
                "commands": ["system.run", "system.which"], "lastSeenAtMs": 5, "paired": true, "connected": false})
        );
    }

    #[test]
    fn the_list_is_made_anew_only_when_something_changed() {
        let mut nodes = Nodes::default();
        let mut looks = 0;
        let mut list = |nodes: &mut Nodes, at: u64, store: u64| {
            let known = || {
                looks += 1;
                Ok::<_, Infallible>(Vec::new())
            };
            let Ok(_) = nodes.list(WallTime::from_millis(at), store, known);
            looks
        };
        assert_eq!(list(&mut nodes, 5_000, 1), 1);
        assert_eq!(list(&mut nodes, 5_999, 1), 1);
        assert_eq!(list(&mut nodes, 6_000, 1), 2);
        assert_eq!(list(&mut nodes, 6_000, 2), 3);
        let _ = enter(&mut nodes, "a", 1);
        assert_eq!(list(&mut nodes, 6_000, 2), 4);
        assert_eq!(list(&mut nodes, 5_000, 2), 5);
    }

    #[test]
    fn what_a_node_says_and_follows_is_bounded() {
        let mut nodes = Nodes::default();
        let many: Vec<String> = (0..1_000)
            .map(|number| format!("{number:04}{}", "x".repeat(300)))
            .collect();
        let profile = profile_of(|params| params["caps"] = json!(many), None);
        let _ = nodes.enter(NOW, &Arc::from("a"), LinkId(1), profile);
        let kept = &nodes.get("a").unwrap().profile.facts.caps;
        assert!(kept.len() == 256 && kept.iter().all(|cap| cap.len() == 256));
        let one = LinkId(1);
        for number in 0..32 {
            assert!(nodes.subscribe("a", one, &format!("s{number}"), true));
        }
        assert!(!nodes.subscribe("a", one, "one more", true));
        assert!(nodes.subscribe("a", one, "s1", true));
        assert_eq!(nodes.followers("s1"), [one]);
        assert!(nodes.subscribe("a", one, "s1", false));
        assert!(nodes.followers("s1").is_empty());
        let _ = enter(&mut nodes, "a", 2);
        assert!(nodes.subscribe("a", one, "s1", true));
        assert!(nodes.followers("s1").is_empty());
    }

    #[test]
    fn rule_45_a_platform_that_was_paired_stands_above_the_claim() {
        let offers = |params: &mut Value| {
            params["client"]["platform"] = json!("macOS 15");
            params["client"]["deviceFamily"] = json!("Mac");
        };
        assert!(profile_of(offers, None).facts.commands.is_empty());
        let unsaid = PairedNode {
            platform: None,
            ..paired("a", None)
        };
        let all = ["camera.snap", "system.run", "system.which"];
        assert_eq!(profile_of(offers, Some(&unsaid)).facts.commands, all);
        let claimed = profile_of(offers, Some(&paired("a", Some("Box"))));
        assert_eq!(claimed.facts.commands, ["system.run", "system.which"]);
        assert_eq!(
            (
                claimed.platform_name.as_deref(),
                claimed.display_name.as_deref()
            ),
            (Some("linux"), Some("Box"))
        );
    }

    #[test]
    fn rule_46_only_runs_that_a_node_was_given_are_believed_and_end_once() {
        let mut nodes = Nodes::default();
        let one = LinkId(1);
        assert!(enter(&mut nodes, "a", 1).is_none() && enter(&mut nodes, "b", 2).is_none());
        nodes.gave_run("a", "r1".to_owned());
        assert!(!nodes.knows_run("b", LinkId(2), "r1", false));
        assert!(!nodes.knows_run("a", LinkId(2), "r1", false));
        assert!(!nodes.knows_run("a", one, "r2", true));
        assert!(nodes.knows_run("a", one, "r1", false));
        assert!(nodes.knows_run("a", one, "r1", true));
        assert!(!nodes.knows_run("a", one, "r1", true));
        for number in 0..1_000 {
            nodes.gave_run("a", format!("r{number}"));
        }
        assert!(!nodes.knows_run("a", one, "r700", false));
        assert!(nodes.knows_run("a", one, "r999", false));
    }

    #[test]
    fn runs_of_a_node_are_forgotten_some_time_after_it_has_left() {
        let mut nodes = Nodes::default();
        assert!(enter(&mut nodes, "a", 1).is_none());
        nodes.gave_run("a", "r1".to_owned());
        assert_eq!(enter(&mut nodes, "a", 2), Some(LinkId(1)));
        assert!(!nodes.knows_run("a", LinkId(1), "r1", false));
        assert!(nodes.knows_run("a", LinkId(2), "r1", false));
        nodes.leave(NOW, "a", LinkId(2));
        nodes.gave_run("a", "r2".to_owned());
        assert!(enter(&mut nodes, "a", 3).is_none());
        assert!(nodes.knows_run("a", LinkId(3), "r1", false));
        assert!(!nodes.knows_run("a", LinkId(3), "r2", false));
        nodes.leave(NOW, "a", LinkId(3));
        let late = WallTime::from_millis(NOW.as_millis() + 90_001);
        let _ = nodes.enter(late, &Arc::from("b"), LinkId(4), profile());
        assert!(nodes.left.is_empty());
    }
}
