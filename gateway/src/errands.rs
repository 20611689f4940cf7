//! Work that is done to its end, whoever leaves meanwhile.
//!
//! What a client asks for is worked on as part of its connection and given up with it. That would be wrong for what first makes
//! something durable and then tells of it: given up in between, the effect is there and nobody has heard of it. Such work is
//! an errand: a task of the gateway, for which the connection only waits.
//!
//! Invariant: each errand holds one of a bounded number of places, and the end of this life waits until all are free again. Who
//! waits for a place has not begun anything.

use std::sync::Arc;

use openclaw_shared::trace::{following, inherited};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

/// Errands at one time. As many as share one commit of the store, so that more of them would not be faster.
const MOST: u32 = 256;

/// The errands that are under way.
#[derive(Debug)]
pub(crate) struct Errands {
    places: Arc<Semaphore>,
}

/// Why an errand has no outcome: it panicked, or the process ends. What it did is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interrupted;

impl Default for Errands {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST as usize)),
        }
    }
}

impl Errands {
    /// Does something to its end. Dropped before it has begun, it is not done; dropped later, it goes on.
    ///
    /// # Errors
    /// When it was interrupted.
    pub(crate) async fn run<T: 'static>(
        &self,
        work: impl Future<Output = T> + 'static,
    ) -> Result<T, Interrupted> {
        let place = self.places.clone().acquire_owned().await;
        let errand = spawn_local(following(inherited(), async move {
            let _place = place;
            work.await
        }));
        errand.await.map_err(|_| Interrupted)
    }

    /// Waits until none is under way.
    pub(crate) async fn settled(&self) {
        // The places are never closed, and whoever comes later queues behind.
        let _all = self.places.acquire_many(MOST).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::{Errands, Interrupted, MOST};

    #[tokio::test(flavor = "local")]
    async fn an_errand_goes_on_when_nobody_waits_for_it_and_is_waited_for_at_the_end() {
        let errands = Errands::default();
        let (go, gone) = oneshot::channel();
        let is_done = Rc::new(Cell::new(false));
        let done = is_done.clone();
        let mut waits = Box::pin(errands.run(async move {
            let _ = gone.await;
            done.set(true);
        }));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(waits);
        assert!(errands.settled().now_or_never().is_none());
        go.send(()).unwrap();
        errands.settled().await;
        assert!(is_done.get());
    }

    #[tokio::test(flavor = "local")]
    async fn what_has_no_place_yet_is_not_begun() {
        let errands = Errands::default();
        let mut busy: Vec<_> = (0..MOST)
            .map(|_| Box::pin(errands.run(std::future::pending::<()>())))
            .collect();
        for one in &mut busy {
            assert!(one.as_mut().now_or_never().is_none());
        }
        let mut late = Box::pin(errands.run(async { unreachable!("there is no place") }));
        assert!(late.as_mut().now_or_never().is_none());
        drop(late);
    }

    #[tokio::test(flavor = "local")]
    async fn a_panic_costs_one_errand_and_gives_its_place_back() {
        let errands = Errands::default();
        let tripped = errands.run(async { panic!("an errand trips") });
        assert_eq!(tripped.await, Err::<(), _>(Interrupted));
        assert_eq!(errands.run(async { 1 }).await, Ok(1));
        errands.settled().await;
    }
}
