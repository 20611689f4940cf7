//! The programs that skills need, as the gateway knows them; for owners who let those run without an entry of their own.
//!
//! Nobody asks for them until a command makes it necessary, and what is known holds for a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::clock::Moment;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// How long what the gateway said holds.
const HOLDS: Duration = Duration::from_secs(90);
/// How long a command waits for the gateway to say it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The names of programs.
pub(crate) type Bins = Arc<BTreeSet<String>>;

/// What is known of the programs of skills.
#[derive(Debug)]
pub(crate) struct Skills {
    known: watch::Sender<Option<(Moment, Bins)>>,
    wanted: Notify,
}

impl Default for Skills {
    fn default() -> Self {
        Self {
            known: watch::Sender::new(None),
            wanted: Notify::new(),
        }
    }
}

impl Skills {
    /// The programs; none when the gateway does not say, so that what is not known allows nothing.
    pub(crate) async fn bins(&self) -> Bins {
        self.bins_within(PATIENCE).await
    }

    async fn bins_within(&self, patience: Duration) -> Bins {
        let mut known = self.known.subscribe();
        let fresh = |known: &Option<(Moment, Bins)>| {
            let (at, bins) = known.as_ref()?;
            (Moment::now().since(*at) < HOLDS).then(|| Arc::clone(bins))
        };
        if let Some(bins) = fresh(&known.borrow()) {
            return bins;
        }
        self.wanted.notify_one();
        let told = timeout(patience, known.wait_for(|known| fresh(known).is_some())).await;
        match told {
            Ok(Ok(known)) => fresh(&known).unwrap_or_default(),
            Ok(Err(_)) | Err(_) => Bins::default(),
        }
    }

    /// Waits until somebody wants to know. Cancel-safe.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Takes in what the gateway says.
    pub(crate) fn learn(&self, bins: impl IntoIterator<Item = String>) {
        let bins = Arc::new(bins.into_iter().collect());
        self.known.send_replace(Some((Moment::now(), bins)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bins: &Bins) -> Vec<&str> {
        bins.iter().map(String::as_str).collect()
    }

    #[tokio::test]
    async fn the_gateway_is_asked_when_somebody_wants_to_know() {
        let skills = Arc::new(Skills::default());
        let asker = tokio::spawn({
            let skills = Arc::clone(&skills);
            async move { skills.bins().await }
        });
        skills.wanted().await;
        skills.learn(["jq".to_owned()]);
        assert_eq!(names(&asker.await.unwrap()), ["jq"]);
        // What is known is not asked for again.
        assert_eq!(names(&skills.bins().await), ["jq"]);
        assert!(timeout(Duration::ZERO, skills.wanted()).await.is_err());
    }

    #[tokio::test]
    async fn a_gateway_that_does_not_answer_allows_nothing() {
        let skills = Skills::default();
        assert!(skills.bins_within(Duration::ZERO).await.is_empty());
    }
}
