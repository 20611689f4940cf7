//! Clients in a request loop, who come back whenever their connection ends, and write down what they saw.
//!
//! All of them run on this one thread: with two processors that leaves one for the server, and the figures of the
//! subjects stay comparable because all of them meet the same client. What the notes add up to is decided afterwards,
//! in [`tally`].

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use openclaw_shared::clock::Moment;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::connection::{Connection, NotOpened, Target};
use crate::wire::{self, Incoming};

pub(crate) mod tally;

use tally::{Note, Seen};

/// How the clients behave.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How many there are.
    pub(crate) clients: usize,
    /// The method they ask for, one request in flight each.
    pub(crate) method: &'static str,
    /// How long a client waits after a connect that failed. After a connection that ended it comes back at once.
    pub(crate) retry_after: Duration,
}

/// A request that is unanswered for this long on an open connection is lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// The clients at work. To be driven within a `LocalSet`.
pub(crate) struct Load {
    tasks: JoinSet<Vec<Note>>,
    board: Rc<Board>,
}

/// What the clients show while they run.
struct Board {
    stop: Cell<bool>,
    /// For each client: the hellos it got and was answered a request after.
    served: Vec<Cell<usize>>,
}

impl Load {
    /// Lets the clients begin.
    pub(crate) fn start(plan: &Plan, target: &Target) -> Self {
        let served = vec![Cell::new(0); plan.clients];
        let board = Rc::new(Board {
            stop: Cell::new(false),
            served,
        });
        let mut tasks = JoinSet::new();
        for index in 0..plan.clients {
            let client = Client {
                index,
                plan: plan.clone(),
                target: target.clone(),
                board: Rc::clone(&board),
                notes: Vec::new(),
            };
            tasks.spawn_local(client.run());
        }
        Self { tasks, board }
    }

    /// For each client, how often it has been served on a new connection.
    pub(crate) fn served(&self) -> Vec<usize> {
        self.board.served.iter().map(Cell::get).collect()
    }

    /// Waits until every client has been served on a connection that it did not have at `before`.
    /// False when that did not happen in time.
    pub(crate) async fn served_anew(&self, before: &[usize], within: Duration) -> bool {
        let start = Moment::now();
        while self
            .board
            .served
            .iter()
            .zip(before)
            .any(|(now, before)| now.get() <= *before)
        {
            if Moment::now().since(start) > within {
                return false;
            }
            sleep(Duration::from_millis(2)).await;
        }
        true
    }

    /// Lets the clients finish and returns their notes, one list for each.
    pub(crate) async fn stop(self) -> Vec<Vec<Note>> {
        self.board.stop.set(true);
        self.tasks.join_all().await
    }
}

struct Client {
    index: usize,
    plan: Plan,
    target: Target,
    board: Rc<Board>,
    notes: Vec<Note>,
}

/// How one connection came to its end, as far as the client is concerned.
enum Ended {
    /// The load is over.
    Stopped,
    /// The server or the network ended it.
    Gone,
}

impl Client {
    async fn run(mut self) -> Vec<Note> {
        let frame = wire::requests(self.plan.method, 1).remove(0);
        while !self.board.stop.get() {
            match Connection::open(&self.target).await {
                Ok(connection) => {
                    self.note(Seen::Hello);
                    match self.converse(connection, &frame).await {
                        Ended::Stopped => break,
                        Ended::Gone => {}
                    }
                }
                Err(reason) => {
                    self.note(match reason {
                        NotOpened::Refused => Seen::Refused,
                        NotOpened::Cut | NotOpened::NoHello => Seen::ConnectFailed,
                    });
                    sleep(self.plan.retry_after).await;
                }
            }
        }
        self.notes
    }

    async fn converse(&mut self, mut connection: Connection, frame: &[u8]) -> Ended {
        let mut first = true;
        while !self.board.stop.get() {
            let sent = Moment::now();
            if connection.write(frame).await.is_err() {
                self.note(Seen::Failed);
                // The close frame, if there is one, still lies in the socket.
                self.read_to_end(&mut connection).await;
                return Ended::Gone;
            }
            match timeout(LOST_AFTER, answer(&mut connection)).await {
                Ok(Answer::Given { ok }) => {
                    let latency = Moment::now().since(sent);
                    self.note(if ok {
                        Seen::Answered { latency }
                    } else {
                        Seen::Rejected
                    });
                    if first {
                        first = false;
                        let served = &self.board.served[self.index];
                        served.set(served.get() + 1);
                    }
                }
                Ok(Answer::Closed(code)) => {
                    self.note(Seen::Failed);
                    self.note(Seen::Closed { code });
                    return Ended::Gone;
                }
                Ok(Answer::Cut) => {
                    self.note(Seen::Failed);
                    self.note(Seen::Cut);
                    return Ended::Gone;
                }
                Err(_) => {
                    self.note(Seen::Lost);
                    return Ended::Gone;
                }
            }
        }
        Ended::Stopped
    }

    async fn read_to_end(&mut self, connection: &mut Connection) {
        let end = loop {
            match timeout(LOST_AFTER, answer(connection)).await {
                Ok(Answer::Given { .. }) => {}
                Ok(Answer::Closed(code)) => break Seen::Closed { code },
                Ok(Answer::Cut) | Err(_) => break Seen::Cut,
            }
        };
        self.note(end);
    }

    fn note(&mut self, seen: Seen) {
        self.notes.push(Note {
            at: Moment::now(),
            seen,
        });
    }
}

enum Answer {
    Given { ok: bool },
    Closed(u16),
    Cut,
}

async fn answer(connection: &mut Connection) -> Answer {
    loop {
        match connection.next() {
            Some(Incoming::Answer { ok, .. }) => return Answer::Given { ok },
            Some(Incoming::Closed(code)) => return Answer::Closed(code),
            Some(Incoming::Hello | Incoming::Other) => {}
            None => match connection.fill().await {
                Ok(true) => {}
                Ok(false) | Err(_) => return Answer::Cut,
            },
        }
    }
}
