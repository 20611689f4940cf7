//! All children as they are handed over to the successor of the supervisor. Pure.
//!
//! They are handed over only at rest: what a change or a restart in the middle of its way would need is more than is worth carrying,
//! and both end by themselves.

use std::collections::BTreeMap;

use openclaw_shared::clock::Moment;
use openclaw_shared::control::ChildName;

use super::{Child, Fleet, Limits, Phase, Revision, Timing};
use crate::supervise::child::kept::Kept;

impl Fleet {
    /// What there is to hand over; nothing while a change, a restart or a stop is under way.
    pub(crate) fn keep(&self, now: Moment) -> Option<BTreeMap<ChildName, Kept>> {
        let rests = self.phase == Phase::Running
            && self.rollout.is_none()
            && self.next_change.is_none()
            && self.next_restart.is_none();
        if !rests {
            return None;
        }
        let kept = self.children.iter();
        kept.map(|(name, child)| Some((*name, child.keep(now)?)))
            .collect()
    }

    /// Goes on with what was handed over. A child that the predecessor did not know is switched off until it is asked for.
    pub(crate) fn resume(
        mut kept: BTreeMap<ChildName, Kept>,
        in_force: Revision,
        limits: Limits,
        timing: Timing,
        now: Moment,
    ) -> Self {
        let mut fleet = Self::new(limits, timing);
        fleet.in_force = in_force;
        for (name, child) in &mut fleet.children {
            if let Some(kept) = kept.remove(name) {
                *child = Child::resume(kept, limits, timing, now);
            }
        }
        fleet
    }
}
