//! The nodes that are connected, and what they may be asked for.                          (pure)
//!
//! A node is known by the id of its device, never by what it calls itself. Its newest connection is the one; the end of an older
//! one changes nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::clock::WallTime;

use super::devices::NodeFacts;
use super::devices::platform::Platform;
use crate::connection::link::LinkId;

pub(crate) mod asked;
pub(crate) mod happening;
pub(crate) mod invokes;
mod list;
pub(crate) mod policy;
mod profile;
#[cfg(test)]
mod testing;

use list::Listed;
pub(crate) use profile::Profile;

/// The longest session key that can be followed, in bytes.
const LONGEST_SESSION: usize = 512;
/// Sessions one node may follow.
const MOST_SUBSCRIPTIONS: usize = 32;
/// Runs of one node whose events are still believed; the oldest go.
const MOST_RUNS: usize = 256;
/// How long after a node has left its runs are forgotten: what it executes outlives its connection by a minute at most.
const RUNS_OUTLIVE: Duration = Duration::from_secs(90);

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

impl Nodes {
    /// How many are connected.
    pub(crate) fn count(&self) -> usize {
        self.here.len()
    }

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openclaw_shared::clock::WallTime;
    use serde_json::json;

    use super::Nodes;
    use super::testing::{NOW, enter, profile, profile_of};
    use crate::connection::link::LinkId;

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
