//! The first moments of a program that was handed an instance: it goes on where the one before stood still.
//!
//! Everything that can fail comes first, on duplicates; only when all of it is there are the originals given up.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::Duration;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::control::{ChildName, CliReply, CliRequest};
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::VERSION;
use openclaw_shared::ipc;
use openclaw_shared::log;
use openclaw_shared::upgrade::{UpgradeState, UpgradeStatus};

use super::document::{Cause, Document, KeptLife, KeptPeer, KeptStream, Said};
use super::examine;
use super::handed::{self, restore_name, take};
use super::image::Image;
use crate::settings::Refusal;
use crate::supervise::channel::{Channel, Freeze, Greeting, Held};
use crate::supervise::child::Revision;
use crate::supervise::claims::Claims;
use crate::supervise::doors::{Doors, Sockets};
use crate::supervise::fleet::Fleet;
use crate::supervise::life::{Begun, Wires};
use crate::supervise::listeners::Listeners;
use crate::supervise::lives::Lives;
use crate::supervise::lives::kept::Kept;
use crate::supervise::signals::{self, Signals};
use crate::supervise::start::{self, Prepared, RunOptions};
use crate::supervise::{Due, LIMITS, Supervisor};

/// What the program before has left to be done.
struct Left {
    said: Vec<Said>,
    greetings: Vec<Greeting>,
    cause: Cause,
    back: Option<String>,
}

/// Goes on with what was handed over. `back` tells why it was not gone on with elsewhere. When everything is there, `taken` is called.
///
/// # Errors
/// What is missing; nothing has been used up then.
pub(in crate::supervise) fn arrive(
    mut options: RunOptions,
    document: Document,
    back: Option<String>,
    wires: Wires,
    taken: impl FnOnce(),
) -> Result<Begun, Refusal> {
    let missing = |why: String| Refusal::new(Exit::Failure, why);
    let unusable = |error: std::io::Error| {
        Refusal::new(
            Exit::Failure,
            format!("what was handed over cannot be used: {error}"),
        )
    };
    options.flags = examine::flags(&options, &document);
    let settings = examine::settings(&options, &document)?;
    let image = Image::handed_over(document.program.clone()).map_err(unusable)?;
    let (stop, freeze) = Freeze::new();

    let listeners = listeners(&document).map_err(missing)?;
    let claims = claims(&document).map_err(missing)?;
    let sockets = sockets(&document)?;
    let numbers = document.descriptors();
    let mut lives = Vec::with_capacity(document.lives.len());
    for life in document.lives {
        lives.push(kept(life)?);
    }
    let answer = back.as_deref().map(|why| status(&document.upgrade, why));
    let mut greetings = Vec::new();
    let mut held = Vec::new();
    for peer in document.held {
        match peer_of(peer, answer.as_ref())? {
            Peer::Greeting(greeting) => greetings.push(greeting),
            Peer::Held(child, peer) => held.push((child, peer)),
        }
    }
    let signals = Signals::install(Some(document.has_terminal)).map_err(unusable)?;
    let log = log::start(&settings.logging, start::source());
    let timing = settings.timing;
    let prepared = Prepared {
        settings,
        fallback: None,
        degraded: None,
        listeners,
        claims,
        log,
    };
    let (arrivals, now) = (wires.arrivals.clone(), Moment::now());
    let (mut supervisor, log) = Supervisor::new(prepared, options, image, wires, freeze.clone());
    supervisor.lives = Lives::resume(lives, &arrivals, &freeze);
    let in_force = Revision(document.config.in_force);
    let settings = supervisor.settings.remove(&supervisor.in_force);
    supervisor.settings = settings
        .map(|settings| (in_force, settings))
        .into_iter()
        .collect();
    supervisor.in_force = in_force;
    supervisor.last_revision = Revision(document.config.last_revision);
    supervisor.fleet = Fleet::resume(document.children, in_force, LIMITS, timing, now);
    supervisor.started = now.before(Duration::from_millis(document.uptime_ms));
    supervisor.has_terminal = document.has_terminal;
    supervisor.config.state = document.config.state;
    supervisor.config.error = document.config.error;
    supervisor.config.rung = document.config.rung;
    supervisor.put_back = document.config.put_back;
    if let Ok(record) = serde_json::from_value(document.record) {
        supervisor.record = record;
    }
    supervisor.is_ready = true;
    for due in document.timers {
        let delay = Duration::from_millis(due.in_ms);
        supervisor.arm(delay, Due::Child(due.child, due.timer.into()));
    }
    let doors = Doors::open(sockets, held, &arrivals, (stop, freeze));

    taken();
    handed::forget(&numbers);
    signals::release();
    if let Some(name) = document.program.file_name() {
        restore_name(name);
    }
    supervisor.go_on(Left {
        said: document.said,
        greetings,
        cause: document.upgrade,
        back,
    });
    Ok(Begun {
        supervisor,
        doors,
        signals,
        log,
    })
}

impl Supervisor {
    /// Takes up everything that stood still.
    fn go_on(&mut self, left: Left) {
        let Left {
            said,
            greetings,
            cause,
            back,
        } = left;
        tracing::info!(
            target: "upgrade",
            pid = std::process::id(),
            version = VERSION,
            from = %cause.from,
            error = back,
            "this supervisor has taken over"
        );
        self.watch_everything();
        for greeting in greetings {
            self.greeted(greeting);
        }
        for Said {
            child,
            generation,
            message,
        } in said
        {
            match message {
                Some(message) => self.said(child, generation, message),
                None => self.fell_silent(child, generation),
            }
        }
        // Those who died while nobody could hear of it.
        self.reap();
        match back {
            None => self.replace_for_upgrade(cause),
            Some(why) => {
                self.taken_back(cause.to, why);
                // What was edited while nobody watched.
                self.arm(self.settings_in_force().debounce, Due::Reload);
            }
        }
    }
}

fn status(cause: &Cause, why: &str) -> UpgradeStatus {
    UpgradeStatus {
        ts: WallTime::now().as_millis(),
        state: UpgradeState::TakenBack,
        from: cause.from.clone(),
        to: Some(cause.to.clone()),
        reason: Some(why.to_owned()),
    }
}

fn listeners(document: &Document) -> Result<Listeners, String> {
    let kept = &document.listeners;
    let mut public = Vec::with_capacity(kept.public.len());
    for (address, number) in &kept.public {
        public.push((*address, take(*number)?));
    }
    let mut local = BTreeMap::new();
    for (child, number) in &kept.local {
        local.insert(*child, take(*number)?);
    }
    Ok(Listeners::resumed(public, local))
}

fn claims(document: &Document) -> Result<Claims, String> {
    let kept = &document.claims;
    let state = File::from(take(kept.state)?);
    let others = kept
        .others
        .iter()
        .map(|number| take(*number).map(File::from));
    Ok(Claims::resumed(state, others.collect::<Result<_, _>>()?))
}

fn sockets(document: &Document) -> Result<Sockets, Refusal> {
    let listener = |number| {
        take(number)
            .and_then(|descriptor| ipc::listener_from(descriptor).map_err(|e| e.to_string()))
            .map_err(|why| Refusal::new(Exit::Failure, why))
    };
    let kept = &document.listeners;
    let mut children = BTreeMap::new();
    for child in ChildName::ALL {
        let number = kept.control.get(&child).copied().unwrap_or(-1);
        children.insert(child, listener(number)?);
    }
    Ok(Sockets {
        children,
        command_line: listener(kept.command_line)?,
    })
}

fn stream(kept: &KeptStream) -> Result<ipc::Stream, Refusal> {
    take(kept.descriptor)
        .and_then(|descriptor| ipc::stream_from(descriptor).map_err(|error| error.to_string()))
        .map_err(|why| Refusal::new(Exit::Failure, why))
}

fn kept(life: KeptLife) -> Result<Kept, Refusal> {
    let channel = match &life.channel {
        Some(kept) => Some(Channel::resumed(stream(kept)?, &kept.unread, &kept.unsent)),
        None => None,
    };
    Ok(Kept {
        child: life.child,
        generation: life.generation,
        pid: life.pid,
        program: life.program,
        is_reaped: life.is_reaped,
        // Of one whose channel has ended nothing more will be heard.
        is_heard: life.is_heard && channel.is_some(),
        end: life.end,
        last_words: life.last_words,
        channel,
    })
}

enum Peer {
    Greeting(Greeting),
    Held(Option<ChildName>, Held),
}

/// Somebody who had come, and what they get to hear: those who have asked for the upgrade that was taken back, how it ended.
fn peer_of(peer: KeptPeer, answer: Option<&UpgradeStatus>) -> Result<Peer, Refusal> {
    let stream = stream(&peer.stream)?;
    if let (Some(child), Some(greeted)) = (peer.child, peer.greeted) {
        return Ok(Peer::Greeting(Greeting {
            child,
            generation: greeted.generation,
            pid: greeted.pid,
            channel: Channel::resumed(stream, &peer.stream.unread, &peer.stream.unsent),
        }));
    }
    let answer = answer.and_then(|status| match &peer.request {
        Some(CliRequest::Upgrade { check: false }) => Some(CliReply::Upgrade(status.clone())),
        Some(CliRequest::Restart { child: None, .. }) => Some(CliReply::Failed {
            message: status.to_string(),
        }),
        Some(
            CliRequest::Status
            | CliRequest::Restart { .. }
            | CliRequest::Stop
            | CliRequest::WriteConfig { .. }
            | CliRequest::Upgrade { .. },
        )
        | None => None,
    });
    let held = Held {
        stream,
        unread: peer.stream.unread.as_slice().into(),
        request: peer.request,
        answer,
    };
    Ok(Peer::Held(peer.child, held))
}
