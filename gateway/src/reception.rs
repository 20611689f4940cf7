//! Where strangers wait their turn. Whoever has been admitted is served at once; of those who have not, a few take a step each time
//! the runtime has looked for what else arrived. So a thousand sockets that all have something to say cost a client the time
//! of a few of them.
//!
//! One step is one poll of the stranger's work, which is bounded by itself: a read of a few kilobytes, a first frame judged.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio::task::yield_now;

/// Steps between two looks of the runtime at everybody's sockets.
const STEPS: usize = 2;

/// The queue of strangers.
#[derive(Debug, Default)]
pub(crate) struct Reception {
    queue: Mutex<Queue>,
    /// Rings when a step was taken or is waited for.
    bell: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waker>,
    /// The number of whoever comes next.
    next: u64,
    /// Everybody below this number may take a step.
    called: u64,
    /// Steps taken without waiting since the runtime has last looked.
    taken: usize,
}

impl Queue {
    /// Calls the next ones. False when nobody waits.
    fn call(&mut self) -> bool {
        self.taken = 0;
        for waker in self.waiting.drain(..self.waiting.len().min(STEPS)) {
            self.called += 1;
            self.taken += 1;
            waker.wake();
        }
        self.taken > 0
    }
}

impl Reception {
    /// Does a stranger's work step by step. It is only lent, because it would lie in memory twice otherwise.
    pub(crate) async fn paced<F: Future>(&self, mut work: Pin<&mut F>) -> F::Output {
        let mut number = None;
        poll_fn(|cx| match self.poll_turn(cx, &mut number) {
            Poll::Ready(()) => work.as_mut().poll(cx),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Ready when it is the turn of whoever asks. `number` is that of its place in the queue, as long as it waits.
    fn poll_turn(&self, cx: &Context<'_>, number: &mut Option<u64>) -> Poll<()> {
        let mut queue = self.queue();
        match *number {
            Some(waits) if waits >= queue.called => return Poll::Pending,
            Some(_) => {
                *number = None;
                return Poll::Ready(());
            }
            None => {}
        }
        if queue.taken == 0 && queue.waiting.is_empty() {
            self.bell.notify_one();
        }
        if queue.taken < STEPS && queue.waiting.is_empty() {
            queue.taken += 1;
            return Poll::Ready(());
        }
        *number = Some(queue.next);
        queue.next += 1;
        queue.waiting.push_back(cx.waker().clone());
        Poll::Pending
    }

    /// Calls strangers for as long as it is polled.
    pub(crate) async fn call(&self) {
        loop {
            self.bell.notified().await;
            loop {
                // Everybody who is ready runs, and the runtime looks who else has become so.
                yield_now().await;
                if !self.queue().call() {
                    break;
                }
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Each critical section leaves its value whole, so a poisoned lock is as good as any.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::task::{JoinSet, LocalSet, yield_now};

    use super::{Reception, STEPS};

    #[tokio::test]
    async fn a_thousand_strangers_take_few_steps_between_two_of_a_client() {
        const STRANGERS: usize = 1_000;
        const STEPS_EACH: usize = 5;
        LocalSet::new()
            .run_until(async {
                let reception = Rc::new(Reception::default());
                let taken = Rc::new(Cell::new(0_usize));
                let mut calling = JoinSet::new();
                let caller = reception.clone();
                calling.spawn_local(async move { caller.call().await });
                let mut strangers = JoinSet::new();
                for _ in 0..STRANGERS {
                    let (reception, taken) = (reception.clone(), taken.clone());
                    strangers.spawn_local(async move {
                        let work = async {
                            for _ in 0..STEPS_EACH {
                                taken.set(taken.get() + 1);
                                yield_now().await;
                            }
                        };
                        reception.paced(std::pin::pin!(work)).await;
                    });
                }
                let mut most = 0;
                while taken.get() < STRANGERS * STEPS_EACH {
                    let before = taken.get();
                    yield_now().await;
                    most = most.max(taken.get() - before);
                }
                assert!(most <= 2 * STEPS, "{most} steps in a row");
                while strangers.join_next().await.is_some() {}
            })
            .await;
    }
}
