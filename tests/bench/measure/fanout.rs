//! One event to many clients: deliveries a second, and the server's processor time for each.
//!
//! One request of one client makes the event. The next one follows when the last of all clients has it, so that nothing
//! can be gained by sending two events at once. The counterpart of the echo writes the same bytes to each socket in turn.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use openclaw_shared::clock::Moment;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::open;
use crate::connection::Connection;
use crate::options::Options;
use crate::process::CpuMark;
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::{count, us};
use crate::subject::{Prepared, Running};
use crate::wire;

/// The request that makes exactly one event, which everybody gets, and the beginning of that event.
pub(super) const BROADCAST: &str = "talk.mode";
const PARAMS: &str = r#"{"enabled":true,"phase":"listening"}"#;
const EVENT: &[u8] = br#"{"type":"event","event":"talk.mode""#;

const CLIENTS: [usize; 3] = [50, 200, 1000];
const WARM_UP: Duration = Duration::from_millis(300);
const DELIVERED_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn measure(
    running: &Running<'_>,
    prepared: &Prepared,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    for clients in CLIENTS {
        let audience = Audience::seat(open(&prepared.target, clients - 1).await?);
        let mut speaker = open(&prepared.target, 1).await?.remove(0);
        audience.listen_for(&mut speaker, WARM_UP).await?;
        let mark = CpuMark::set(running.root())?;
        let start = Moment::now();
        let events = audience
            .listen_for(&mut speaker, options.fanout_span())
            .await?;
        let elapsed = Moment::now().since(start);
        let cpu: Duration = mark
            .since(running.root())?
            .into_iter()
            .map(|(_, taken)| taken)
            .sum();
        let deliveries = count(events * clients);
        results.add(
            Metric::higher(
                Section::Fanout,
                format!("one event to {clients}: deliveries"),
                "/s",
            )
            .goal(Goal::TimesPeer(1.4))
            .goal(Goal::ShareOfEcho(0.9)),
            prepared.subject,
            deliveries / elapsed.as_secs_f64(),
        );
        results.add(
            Metric::lower(
                Section::Fanout,
                format!("one event to {clients}: server CPU each"),
                "µs",
            ),
            prepared.subject,
            us(cpu) / deliveries,
        );
    }
    Ok(())
}

/// Clients that do nothing but listen.
struct Audience {
    _seats: JoinSet<()>,
    size: usize,
    heard: Rc<Heard>,
}

#[derive(Default)]
struct Heard {
    /// By how many clients, over all events.
    times: Cell<usize>,
    /// How many listeners have lost their connection.
    gone: Cell<usize>,
    awaited: Cell<usize>,
    all: Notify,
}

impl Heard {
    fn add(&self, times: usize) {
        self.times.set(self.times.get() + times);
        if self.times.get() >= self.awaited.get() {
            self.all.notify_one();
        }
    }
}

impl Audience {
    fn seat(connections: Vec<Connection>) -> Self {
        let heard = Rc::new(Heard::default());
        let mut seats = JoinSet::new();
        let size = connections.len();
        for mut connection in connections {
            let heard = Rc::clone(&heard);
            seats.spawn_local(async move {
                while connection.fill().await.unwrap_or(false) {
                    heard.add(events_in(&mut connection).0);
                }
                heard.gone.set(heard.gone.get() + 1);
                heard.all.notify_one();
            });
        }
        Self {
            _seats: seats,
            size,
            heard,
        }
    }

    /// Has one event after the other sent, and returns how many.
    async fn listen_for(&self, speaker: &mut Connection, span: Duration) -> Result<usize> {
        let frame = wire::request(0, BROADCAST, PARAMS);
        let until = Moment::now() + span;
        let mut events = 0;
        while Moment::now() < until {
            self.heard.awaited.set(self.heard.times.get() + self.size);
            timeout(DELIVERED_WITHIN, self.one(speaker, &frame))
                .await
                .context("an event did not reach everybody in time")??;
            events += 1;
        }
        Ok(events)
    }

    async fn one(&self, speaker: &mut Connection, frame: &[u8]) -> Result<()> {
        speaker.write(frame).await.context("cannot write")?;
        let (mut events, mut answers) = (0, 0);
        while events < 1 || answers < 1 {
            ensure!(
                speaker.fill().await.context("cannot read")?,
                "the speaker was cut off"
            );
            let (more_events, more_answers) = events_in(speaker);
            events += more_events;
            match more_answers {
                Answers::None => {}
                Answers::Success => answers += 1,
                Answers::Failure => bail!("missing: {BROADCAST} was answered with an error"),
            }
        }
        while self.heard.times.get() < self.heard.awaited.get() {
            ensure!(self.heard.gone.get() == 0, "a listener was cut off");
            self.heard.all.notified().await;
        }
        Ok(())
    }
}

enum Answers {
    None,
    Success,
    Failure,
}

/// How many of the events lie in what was read, and what else.
fn events_in(connection: &mut Connection) -> (usize, Answers) {
    let (mut events, mut answers) = (0, Answers::None);
    while let Some((incoming, text)) = connection.next_text() {
        match incoming {
            wire::Incoming::Other => events += usize::from(text.starts_with(EVENT)),
            wire::Incoming::Answer { ok: true, .. } => answers = Answers::Success,
            wire::Incoming::Answer { ok: false, .. } => answers = Answers::Failure,
            wire::Incoming::Hello | wire::Incoming::Closed(_) => {}
        }
    }
    (events, answers)
}
