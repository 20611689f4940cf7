//! Answers of `sessions.list` that are kept for as long as they are true.
//!
//! Clients ask again and again with the same parameters. An answer is good until the store or the configuration changes, or
//! until a session falls out of the span that was asked for; its time alone is put in anew.

use std::sync::Arc;

use bytes::Bytes;
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::sessions::{SessionsListParams, SessionsListReply};

use crate::methods::Answers;
use crate::prepared::Prepared;
use crate::services::sessions::list::Listing;
use crate::settings::Settings;

/// Different questions whose answers are kept.
const MOST_KEPT: usize = 16;

/// What is kept.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    /// The version of the store and the settings that the answers are of.
    of: Option<(u64, Arc<Settings>)>,
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    params: SessionsListParams,
    until: Option<WallTime>,
    listing: Prepared<Listing>,
}

/// A list, with its time put in.
pub(crate) struct Listed {
    ts: u64,
    listing: Prepared<Listing>,
}

impl Listings {
    /// A kept answer that is still true.
    pub(crate) fn get(
        &mut self,
        version: u64,
        settings: &Arc<Settings>,
        now: WallTime,
        params: &SessionsListParams,
    ) -> Option<Listed> {
        let is_current = self
            .of
            .as_ref()
            .is_some_and(|(of, kept)| *of == version && Arc::ptr_eq(kept, settings));
        if !is_current {
            self.of = Some((version, settings.clone()));
            self.kept.clear();
            return None;
        }
        self.kept
            .retain(|kept| kept.until.is_none_or(|until| now <= until));
        let kept = self.kept.iter().find(|kept| kept.params == *params)?;
        Some(Listed {
            ts: now.as_millis(),
            listing: kept.listing.clone(),
        })
    }

    /// Keeps an answer, unless the store has gone on since `version`.
    pub(crate) fn keep(
        &mut self,
        version: u64,
        now: WallTime,
        params: SessionsListParams,
        listing: &Listing,
    ) -> Listed {
        let prepared = Prepared::new(listing);
        if self.of.as_ref().is_some_and(|(of, _)| *of == version) {
            if self.kept.len() >= MOST_KEPT {
                self.kept.remove(0);
            }
            self.kept.push(Kept {
                params,
                until: listing.until,
                listing: prepared.clone(),
            });
        }
        Listed {
            ts: now.as_millis(),
            listing: prepared,
        }
    }
}

impl Answers<SessionsListReply> for Listed {
    fn into_json(self) -> Bytes {
        let rest = self.listing.json();
        // The time comes first; what follows is the list without its opening brace.
        let mut json = format!("{{\"ts\":{},", self.ts).into_bytes();
        json.extend_from_slice(rest.get(1..).unwrap_or_default());
        json.into()
    }
}
