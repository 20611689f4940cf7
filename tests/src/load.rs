//! Clients in a request loop, who come back whenever their connection ends, and count what they see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{NotOpened, Received, Socket, Target, attempt_on, connect_params, request};
use crate::eventually::eventually;

/// A request that is unanswered for this long on an open connection is lost. One that is lost is never answered, so that a machine
/// that is busy with other things may take its time.
const LOST_AFTER: Duration = Duration::from_secs(20);

/// What the clients saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that were answered.
    pub answered: usize,
    /// Connects that nobody accepted.
    pub refused: usize,
    /// Connections that ended before a client was let in, other than by an announced restart.
    pub reset: usize,
    /// Connections that ended without a close frame.
    pub cut: usize,
    /// Connections that were closed with 1012.
    pub restarted: usize,
    /// Connections that were closed with another code.
    pub closed: usize,
    /// Requests that stayed unanswered on an open connection.
    pub lost: usize,
    /// Requests that were answered with an error.
    pub rejected: usize,
}

/// The clients at work; they end when this is dropped.
#[derive(Debug)]
pub struct Load {
    clients: JoinSet<Tally>,
    board: Arc<Board>,
}

#[derive(Debug)]
struct Board {
    stop: AtomicBool,
    /// For each client: on how many connections it has been answered.
    served: Vec<AtomicUsize>,
    /// Answers of all clients.
    answers: AtomicUsize,
}

impl Load {
    /// Lets this many clients begin, and waits until each of them has been served.
    pub async fn start(clients: usize, target: &Target) -> Self {
        let board = Arc::new(Board {
            stop: AtomicBool::new(false),
            served: (0..clients).map(|_| AtomicUsize::new(0)).collect(),
            answers: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        for index in 0..clients {
            let (target, board) = (target.clone(), Arc::clone(&board));
            tasks.spawn(
                Client {
                    index,
                    target,
                    board,
                    tally: Tally::default(),
                }
                .run(),
            );
        }
        let load = Self {
            clients: tasks,
            board,
        };
        load.served_anew(&vec![0; clients]).await;
        load
    }

    /// On how many connections each client has been served.
    #[must_use]
    pub fn served(&self) -> Vec<usize> {
        self.board
            .served
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect()
    }

    /// Waits until every client is served on a connection that it did not have at `before`.
    pub async fn served_anew(&self, before: &[usize]) {
        eventually("every client is served again", async || {
            let served = self.served();
            let behind = served
                .iter()
                .zip(before)
                .filter(|(now, before)| now <= before)
                .count();
            if behind == 0 {
                Ok(())
            } else {
                Err(format!("{behind} clients are not"))
            }
        })
        .await;
    }

    /// Waits until this many more requests have been answered.
    pub async fn answered_more(&self, count: usize) {
        let before = self.board.answers.load(Ordering::Relaxed);
        eventually("the clients are answered", async || {
            let more = self.board.answers.load(Ordering::Relaxed) - before;
            if more >= count {
                Ok(())
            } else {
                Err(format!("{more} answers"))
            }
        })
        .await;
    }

    /// Lets the clients finish, and adds up what they saw.
    pub async fn stop(self) -> Tally {
        self.board.stop.store(true, Ordering::Relaxed);
        let tallies = self.clients.join_all().await;
        tallies
            .into_iter()
            .fold(Tally::default(), |sum, one| Tally {
                answered: sum.answered + one.answered,
                refused: sum.refused + one.refused,
                reset: sum.reset + one.reset,
                cut: sum.cut + one.cut,
                restarted: sum.restarted + one.restarted,
                closed: sum.closed + one.closed,
                lost: sum.lost + one.lost,
                rejected: sum.rejected + one.rejected,
            })
    }
}

struct Client {
    index: usize,
    target: Target,
    board: Arc<Board>,
    tally: Tally,
}

impl Client {
    async fn run(mut self) -> Tally {
        while !self.is_over() {
            if let Some(socket) = self.connect().await {
                self.converse(socket).await;
            }
        }
        self.tally
    }

    fn is_over(&self) -> bool {
        self.board.stop.load(Ordering::Relaxed)
    }

    async fn connect(&mut self) -> Option<Socket> {
        let mut socket = match Socket::open(self.target.port).await {
            Ok(socket) => socket,
            Err(NotOpened::Refused) => {
                self.tally.refused += 1;
                // Not to spin while a broken gateway is down.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return None;
            }
            Err(NotOpened::Cut(_) | NotOpened::Answered(_)) => {
                self.tally.reset += 1;
                return None;
            }
        };
        let connect = request("hello", "connect", connect_params(&self.target.token));
        let attempt = attempt_on(&mut socket, &connect.to_string()).await;
        match attempt.end {
            None => Some(socket),
            Some(Received::Closed { code: 1012, .. }) => {
                self.tally.restarted += 1;
                None
            }
            Some(_) => {
                self.tally.reset += 1;
                None
            }
        }
    }

    async fn converse(&mut self, mut socket: Socket) {
        let mut is_first = true;
        while !self.is_over() {
            socket.send(&request("q", "status", json!({}))).await;
            let Ok(answer) = timeout(LOST_AFTER, answer(&mut socket)).await else {
                self.tally.lost += 1;
                return;
            };
            match answer {
                Received::Frame(frame) if frame["ok"] == true => {
                    self.tally.answered += 1;
                    self.board.answers.fetch_add(1, Ordering::Relaxed);
                    if std::mem::take(&mut is_first) {
                        self.board.served[self.index].fetch_add(1, Ordering::Relaxed);
                    }
                }
                Received::Frame(_) => self.tally.rejected += 1,
                Received::Closed { code: 1012, .. } => {
                    self.tally.restarted += 1;
                    return;
                }
                Received::Closed { .. } => {
                    self.tally.closed += 1;
                    return;
                }
                Received::Cut => {
                    self.tally.cut += 1;
                    return;
                }
            }
        }
        socket.close().await;
    }
}

async fn answer(socket: &mut Socket) -> Received {
    loop {
        match socket.receive_whenever().await {
            Received::Frame(frame) if frame["type"] == "event" => {}
            other @ (Received::Frame(_) | Received::Closed { .. } | Received::Cut) => return other,
        }
    }
}
