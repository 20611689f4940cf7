//! The last moments of a program that hands over: every connection is stopped where it is, and everything is written down.

use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::control::{CONTROL_VERSION, ChildName, OLDEST_CONTROL_VERSION};
use openclaw_shared::instance::VERSION;
use openclaw_shared::ipc::{self, Stream};
use tokio::sync::mpsc;

use super::document::{
    Cause, Document, DueTimer, FORMAT, Greeted, KeptClaims, KeptConfig, KeptLife, KeptListeners,
    KeptPeer, KeptStream, Said, StartedWith,
};
use super::handed::HandOver;
use crate::supervise::channel::{Arrival, Held};
use crate::supervise::doors::{Closed, Doors};
use crate::supervise::lives::kept::Kept as Life;
use crate::supervise::notify::{self, Notice};
use crate::supervise::{Due, Supervisor};

/// What was open when everything stood still.
#[derive(Debug, Default)]
struct Carried {
    descriptors: Vec<OwnedFd>,
}

impl Carried {
    /// Keeps a descriptor open, and gives its number.
    fn keep(&mut self, descriptor: OwnedFd) -> RawFd {
        let number = descriptor.as_raw_fd();
        self.descriptors.push(descriptor);
        number
    }

    /// Keeps a connection.
    fn stream(&mut self, stream: Stream, unread: &[u8], unsent: &[u8]) -> Option<KeptStream> {
        // It fails for a connection that the system has ended; whoever goes on has nothing to hear from it.
        let descriptor = ipc::into_descriptor(stream).ok()?;
        Some(KeptStream {
            descriptor: self.keep(descriptor),
            unread: unread.to_vec(),
            unsent: unsent.to_vec(),
        })
    }

    fn life(&mut self, life: Life) -> KeptLife {
        let channel = life.channel.and_then(|channel| {
            let (stream, unread, unsent) = channel.into_parts();
            self.stream(stream, &unread, &unsent)
        });
        KeptLife {
            child: life.child,
            generation: life.generation,
            pid: life.pid,
            program: life.program,
            is_reaped: life.is_reaped,
            is_heard: life.is_heard,
            end: life.end,
            last_words: life.last_words,
            channel,
        }
    }

    fn peer(&mut self, child: Option<ChildName>, held: Held) -> Option<KeptPeer> {
        Some(KeptPeer {
            child,
            stream: self.stream(held.stream, &held.unread, &[])?,
            request: held.request,
            greeted: None,
        })
    }
}

impl Supervisor {
    /// Stops everything where it is, and gives back what there is to hand over.
    pub(in crate::supervise) async fn leave(
        mut self,
        mut arrived: mpsc::Receiver<Arrival>,
        doors: Doors,
        cause: Cause,
    ) -> Result<HandOver, std::io::Error> {
        notify::tell(
            Notice::Reloading,
            &format!("upgrading from {} to {}", cause.from, cause.to),
        );
        tracing::info!(target: "upgrade", from = %cause.from, to = %cause.to, "handing over to the new binary");
        self.tailscale.halt().await;
        let lives = std::mem::take(&mut self.lives);
        let stopping = async { (doors.close().await, lives.stopped().await) };
        tokio::pin!(stopping);
        // Whoever has something to say must find room for it, or would never stop.
        let mut waiting = Vec::new();
        let (closed, lives) = loop {
            tokio::select! {
                biased;
                stopped = &mut stopping => break stopped,
                Some(arrival) = arrived.recv() => waiting.push(arrival),
            }
        };
        while let Ok(arrival) = arrived.try_recv() {
            waiting.push(arrival);
        }
        let mut carried = Carried::default();
        let mut document = self.describe(cause);
        document.lives = lives.into_iter().map(|life| carried.life(life)).collect();
        for arrival in waiting {
            carry(&mut document, &mut carried, arrival);
        }
        self.hand_over(document, carried, closed)
    }

    fn hand_over(
        self,
        mut document: Document,
        mut carried: Carried,
        closed: Closed,
    ) -> Result<HandOver, std::io::Error> {
        for (child, door) in closed.children {
            let number = carried.keep(ipc::listener_into_descriptor(door.listener)?);
            document.listeners.control.insert(child, number);
            let peers = door.held.into_iter();
            let peers = peers.filter_map(|held| carried.peer(Some(child), held));
            document.held.extend(peers);
        }
        let door = closed.command_line;
        document.listeners.command_line =
            carried.keep(ipc::listener_into_descriptor(door.listener)?);
        let peers = door.held.into_iter();
        let peers: Vec<KeptPeer> = peers.filter_map(|held| carried.peer(None, held)).collect();
        document.held.extend(peers);
        let (public, local) = self.listeners.into_parts();
        for (address, descriptor) in public {
            let number = carried.keep(descriptor);
            document.listeners.public.push((address, number));
        }
        for (child, descriptor) in local {
            let number = carried.keep(descriptor);
            document.listeners.local.insert(child, number);
        }
        let (state, others) = self.claims.into_parts();
        document.claims.state = carried.keep(state.into());
        document.claims.others = others
            .into_iter()
            .map(|file| carried.keep(file.into()))
            .collect();
        Ok(HandOver {
            document,
            descriptors: carried.descriptors,
            image: self.upgrade.image,
        })
    }

    /// The document as it would be by now, without a descriptor: whoever is asked whether it can take over reads it.
    pub(super) fn sketch(&self) -> Document {
        self.describe(Cause {
            from: VERSION.to_owned(),
            to: String::new(),
        })
    }

    fn describe(&self, cause: Cause) -> Document {
        let now = Moment::now();
        let settings = self.settings_in_force();
        let timers = self.due.iter().filter_map(|((moment, _), due)| match due {
            Due::Child(child, timer) => Some(DueTimer {
                child: *child,
                timer: (*timer).into(),
                in_ms: millis(moment.since(now)),
            }),
            // Begun anew by whoever goes on.
            Due::Reload
            | Due::Sample
            | Due::Watchdog
            | Due::Quiet
            | Due::Bounds
            | Due::Look
            | Due::Upgrade => None,
        });
        Document {
            format: FORMAT,
            control: CONTROL_VERSION,
            oldest_control: Some(OLDEST_CONTROL_VERSION),
            version: VERSION.to_owned(),
            started_with: StartedWith::of_process(),
            program: self.upgrade.image.path().to_path_buf(),
            state_dir: settings.instance.identity.state_dir.clone(),
            uptime_ms: millis(now.since(self.started)),
            token: self
                .flags
                .token
                .as_ref()
                .map(|token| token.expose().clone()),
            password: self
                .flags
                .password
                .as_ref()
                .map(|password| password.expose().clone()),
            has_terminal: self.has_terminal,
            config: KeptConfig {
                source: settings.source.clone(),
                in_force: self.in_force.0,
                last_revision: self.last_revision.0,
                state: self.config.state,
                error: self.config.error.clone(),
                rung: self.config.rung,
                put_back: self.put_back.clone(),
            },
            children: self.fleet.keep(now).unwrap_or_default(),
            timers: timers.collect(),
            lives: Vec::new(),
            listeners: KeptListeners::default(),
            claims: KeptClaims::default(),
            held: Vec::new(),
            said: Vec::new(),
            record: serde_json::to_value(&self.record).unwrap_or_default(),
            upgrade: cause,
        }
    }
}

/// Keeps what has arrived and was not heard.
fn carry(document: &mut Document, carried: &mut Carried, arrival: Arrival) {
    match arrival {
        Arrival::Said(child, generation, message) => document.said.push(Said {
            child,
            generation,
            message: Some(message),
        }),
        Arrival::Silent(child, generation) => document.said.push(Said {
            child,
            generation,
            message: None,
        }),
        Arrival::Greeting(greeting) => {
            let (stream, unread, unsent) = greeting.channel.into_parts();
            let peer = carried
                .stream(stream, &unread, &unsent)
                .map(|stream| KeptPeer {
                    child: Some(greeting.child),
                    stream,
                    request: None,
                    greeted: Some(Greeted {
                        generation: greeting.generation,
                        pid: greeting.pid,
                    }),
                });
            document.held.extend(peer);
        }
        // Whoever asked is among those who were stopped, with what was asked; and a look is taken again.
        Arrival::Asked(..) | Arrival::Saw(..) | Arrival::Examined(_) | Arrival::Replaced(_) => {}
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
