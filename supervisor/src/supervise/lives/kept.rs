//! The processes as they are handed over to the successor of the supervisor, which is their parent as before.

use openclaw_shared::control::{ChildName, Generation};

use super::{Life, Lives};
use crate::supervise::channel::{Arrival, Channel, Freeze};
use crate::supervise::upgrade::image::FileId;
use tokio::sync::mpsc;

/// One process, whose channel was stopped.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) child: ChildName,
    pub(crate) generation: Generation,
    pub(crate) pid: u32,
    pub(crate) program: Option<FileId>,
    pub(crate) is_reaped: bool,
    pub(crate) is_heard: bool,
    pub(crate) end: Option<String>,
    pub(crate) last_words: Option<String>,
    pub(crate) channel: Option<Channel>,
}

impl Lives {
    /// What there is to hand over, after the channels were told to stop.
    pub(crate) async fn stopped(self) -> Vec<Kept> {
        let mut kept = Vec::with_capacity(self.lives.len());
        for ((child, generation), life) in self.lives {
            let channel = match life.orders {
                Some(orders) => orders.stopped().await,
                None => None,
            };
            kept.push(Kept {
                child,
                generation,
                pid: life.pid,
                program: life.program,
                is_reaped: life.is_reaped,
                is_heard: life.is_heard,
                end: life.end,
                last_words: life.last_words,
                channel,
            });
        }
        kept
    }

    /// Goes on with what was handed over.
    pub(crate) fn resume(
        kept: Vec<Kept>,
        arrivals: &mpsc::Sender<Arrival>,
        freeze: &Freeze,
    ) -> Self {
        let lives = kept.into_iter().map(|kept| {
            let (child, generation) = (kept.child, kept.generation);
            let orders = kept
                .channel
                .map(|channel| channel.open(child, generation, arrivals.clone(), freeze.clone()));
            let life = Life {
                pid: kept.pid,
                program: kept.program,
                orders,
                is_reaped: kept.is_reaped,
                is_heard: kept.is_heard,
                end: kept.end,
                last_words: kept.last_words,
            };
            ((child, generation), life)
        });
        Self {
            lives: lives.collect(),
        }
    }
}
