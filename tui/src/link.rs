//! The connection to the gateway: made, watched, and made again.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use openclaw_client::{As, CallError, Client, Event, Frame, Gateway, Response};
use openclaw_shared::backoff::Backoff;
use openclaw_shared::clock::Moment;
use serde_json::Value;
use tokio::time::{sleep_until, timeout, timeout_at};

use crate::chat::{Ask, Happened};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the gateway may not take what is sent to it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a gateway says that it lives, when it does not say how often.
const TICK: Duration = Duration::from_secs(30);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);
/// How many answers are waited for at once.
const ASKED: usize = 64;
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(5),
};

type Opening = Pin<Box<dyn Future<Output = Result<Client, CallError>>>>;

enum State {
    Opening(Opening),
    Up(Box<Client>),
    Waiting(Moment),
}

/// The connection.
pub(crate) struct Link {
    gateway: Gateway,
    state: State,
    /// What each request was for that has no answer yet.
    asked: HashMap<String, Ask>,
    /// How many attempts have failed in a row.
    failures: u32,
    /// When the gateway counts as silent.
    silent_at: Moment,
    tick: Duration,
}

impl Link {
    pub(crate) fn new(gateway: Gateway) -> Self {
        Self {
            state: State::Opening(open(&gateway)),
            gateway,
            asked: HashMap::new(),
            failures: 0,
            silent_at: Moment::now(),
            tick: TICK,
        }
    }

    /// What happens next. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Happened {
        loop {
            match &mut self.state {
                State::Opening(opening) => {
                    return match opening.await {
                        Ok(client) => self.up(client),
                        Err(error) => self.down(&error),
                    };
                }
                State::Waiting(until) => {
                    sleep_until(until.into_std().into()).await;
                    self.state = State::Opening(open(&self.gateway));
                    return Happened::Connecting;
                }
                State::Up(client) => {
                    let silent_at = self.silent_at.into_std().into();
                    let frame = match timeout_at(silent_at, client.receive()).await {
                        Ok(Ok(frame)) => frame,
                        Ok(Err(error)) => return self.down(&error),
                        Err(_) => return self.down(&CallError::Timeout(self.tick * 2)),
                    };
                    self.silent_at = Moment::now() + self.tick * 2;
                    if let Some(happened) = self.read(frame) {
                        return happened;
                    }
                }
            }
        }
    }

    fn up(&mut self, client: Client) -> Happened {
        let hello = client.hello.clone();
        let tick = hello["policy"]["tickIntervalMs"]
            .as_u64()
            .filter(|tick| *tick > 0);
        self.tick = tick.map_or(TICK, Duration::from_millis);
        self.silent_at = Moment::now() + self.tick * 2;
        self.failures = 0;
        self.state = State::Up(Box::new(client));
        Happened::Up(hello)
    }

    fn down(&mut self, error: &CallError) -> Happened {
        self.failures += 1;
        self.asked.clear();
        let random = getrandom::u32().unwrap_or_default();
        let delay = BACKOFF.delay(self.failures, f64::from(random) / f64::from(u32::MAX));
        self.state = State::Waiting(Moment::now() + delay);
        Happened::Down(error.to_string())
    }

    fn read(&mut self, frame: Frame) -> Option<Happened> {
        match frame {
            Frame::Event(Event { event, payload }) => Some(Happened::Event {
                name: event,
                payload,
            }),
            Frame::Response(response) => {
                let ask = self.asked.remove(&response.id)?;
                Some(Happened::Answered(ask, outcome(response)))
            }
        }
    }

    /// Asks the gateway; the answer comes by [`Link::next`]. Without a connection nothing is asked: the chat asks for everything when
    /// there is one again.
    pub(crate) async fn call(
        &mut self,
        ask: Ask,
        method: &str,
        params: &Value,
    ) -> Option<Happened> {
        let State::Up(client) = &mut self.state else {
            return None;
        };
        if self.asked.len() >= ASKED {
            return Some(Happened::Answered(
                ask,
                Err("too much is being asked at once".to_owned()),
            ));
        }
        match timeout(PATIENCE, client.send(method, params)).await {
            Ok(Ok(id)) => {
                self.asked.insert(id, ask);
                None
            }
            Ok(Err(error)) => Some(self.down(&error)),
            Err(_) => Some(self.down(&CallError::Timeout(PATIENCE))),
        }
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        if let State::Up(client) = &mut self.state {
            // The connection ends either way.
            let _ = timeout(GOODBYE, client.close()).await;
        }
    }
}

fn open(gateway: &Gateway) -> Opening {
    let gateway = gateway.clone();
    Box::pin(async move { Client::connect(&gateway, As::Tui, CONNECT).await })
}

fn outcome(response: Response) -> Result<Value, String> {
    match response.error {
        None if response.ok => Ok(response.payload.unwrap_or_default()),
        Some(refusal) => Err(refusal.message),
        None => Err("the gateway gave no reason".to_owned()),
    }
}
