//! The rows of `sessions.list` between two requests: kept while somebody asks for them, and given up when nobody does.

use std::time::Duration;

use openclaw_shared::clock::Moment;

use crate::services::sessions::Rows;

/// How long they are kept after the last request.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

/// What is kept.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    kept: Option<(Moment, Rows)>,
}

impl Listings {
    /// Takes the rows to work with; nothing is kept until they are put back.
    pub(crate) fn take(&mut self) -> Rows {
        self.kept.take().map(|(_, rows)| rows).unwrap_or_default()
    }

    /// Puts the rows back.
    pub(crate) fn put(&mut self, now: Moment, rows: Rows) {
        self.kept = Some((now, rows));
    }

    /// Gives up what nobody has asked for in a while. Whether there was something.
    pub(crate) fn forget(&mut self, now: Moment) -> bool {
        let gone = self
            .kept
            .take_if(|(asked, _)| now.since(*asked) >= KEPT_FOR);
        gone.is_some()
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::Moment;

    use super::{KEPT_FOR, Listings};
    use crate::services::sessions::Rows;

    #[test]
    fn rows_are_given_up_when_nobody_asks_for_them() {
        let now = Moment::now();
        let mut listings = Listings::default();
        assert!(!listings.forget(now));
        listings.put(now, Rows::default());
        assert!(!listings.forget(now + KEPT_FOR / 2));
        assert!(listings.forget(now + KEPT_FOR));
        assert!(!listings.forget(now + KEPT_FOR));
    }
}
