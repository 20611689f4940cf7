//! Which trace a configuration on its way came by, so that what its children do about it can be found with whoever asked for it. Pure.

use std::collections::BTreeMap;

use openclaw_shared::trace::{Trace, TraceId};

use super::child::Revision;

/// The traces of the revisions that are on their way to be in force.
#[derive(Debug, Default)]
pub(super) struct Traces(BTreeMap<Revision, TraceId>);

impl Traces {
    /// A revision is being rolled out, for this.
    pub(super) fn begin(&mut self, revision: Revision, trace: Option<TraceId>) {
        self.0.extend(trace.map(|trace| (revision, trace)));
    }

    /// What a revision is rolled out for. A cold start, or an edit of the file, is for nothing that has a name.
    pub(super) fn of(&self, revision: Revision) -> Trace {
        self.0
            .get(&revision)
            .map_or(Trace::None, |id| Trace::Named(*id))
    }

    /// Everything up to a revision is decided.
    pub(super) fn end(&mut self, revision: Revision) {
        self.0.retain(|kept, _| *kept > revision);
    }
}
