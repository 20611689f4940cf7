//! What draws on terminals: the chat, which `openclaw tui` becomes, and the live view, which `openclaw top` becomes ([`top`]).
//!
//! The life of the chat: read the launch document → take the terminal → connect, and again whenever the connection ends → tell the chat what
//! happens, do what it wants, show it → give the terminal back. What is decided is decided in `chat.rs`, which knows neither
//! terminal nor socket.

mod chat;
mod editor;
mod link;
mod names;
mod scrollback;
mod terminal;
mod top;
mod view;
mod wrap;

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use openclaw_client::Gateway;
use openclaw_shared::clock::Moment;
use openclaw_shared::exit::Exit;
use openclaw_shared::tui::{DESCRIPTOR, LARGEST, Launch, TuiLaunch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::chat::{Chat, Effect, Happened};
use crate::link::Link;
use crate::terminal::Taken;

/// How often a time that is shown goes on.
const SECOND: Duration = Duration::from_secs(1);
/// How many things that happen at once are shown together.
const AT_ONCE: usize = 64;

fn main() -> ExitCode {
    let lived = launch().and_then(|launch| match launch {
        Launch::Chat(launch) => needs_terminal().and_then(|()| live(&launch)),
        Launch::Top(launch) => top::live(&launch),
    });
    match lived {
        Ok(()) => Exit::Ok.into(),
        Err(message) => {
            // Nobody is left to be told when standard error is gone.
            let _ = writeln!(io::stderr(), "{message}");
            Exit::Failure.into()
        }
    }
}

fn launch() -> Result<Launch, String> {
    let stranger =
        "This draws on terminals for OpenClaw; `openclaw tui` and `openclaw top` start it.";
    let file = File::open(format!("/dev/fd/{DESCRIPTOR}")).map_err(|_| stranger)?;
    // A file or a terminal would not be the pipe of `openclaw tui`.
    if file.is_terminal() {
        return Err(stranger.to_owned());
    }
    let mut text = String::new();
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX);
    file.take(most)
        .read_to_string(&mut text)
        .map_err(|_| stranger)?;
    serde_json::from_str(&text).map_err(|_| stranger.to_owned())
}

fn needs_terminal() -> Result<(), String> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(
            "The terminal chat needs a terminal; for scripts there is `openclaw agent`.".to_owned(),
        );
    }
    Ok(())
}

fn live(launch: &TuiLaunch) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("No runtime: {error}."))?;
    runtime.block_on(converse(launch))
}

async fn converse(launch: &TuiLaunch) -> Result<(), String> {
    let mut ends = Ends::listen().map_err(|error| format!("No signals: {error}."))?;
    let unusable = |error: io::Error| format!("The terminal cannot be used: {error}.");
    let mut screen = Taken::take().map_err(unusable)?;
    let mut typed = EventStream::new();
    let mut chat = Chat::new(launch);
    let mut link = Link::new(Gateway {
        url: launch.url.clone(),
        token: launch.token.clone(),
        password: launch.password.clone(),
        secret_is_given: launch.secret_is_given,
        is_ours: launch.is_ours,
        identity: launch.identity.clone(),
    });
    let ended = 'chat: loop {
        let now = Moment::now();
        if let Err(error) = screen.draw(|frame| view::draw(frame, &mut chat, now, launch.color)) {
            break Err(unusable(error));
        }
        // What has happened already is shown at once, so that a fast gateway does not wait for a slow terminal.
        for number in 0..AT_ONCE {
            let happened = tokio::select! {
                biased;
                event = typed.next() => match event {
                    Some(Ok(Event::Key(key))) => Some(Happened::Key(key)),
                    Some(Ok(Event::Paste(text))) => Some(Happened::Pasted(text)),
                    // Another size is drawn anyway.
                    Some(Ok(Event::Resize(..) | Event::FocusGained | Event::FocusLost | Event::Mouse(_))) => None,
                    Some(Err(error)) => break 'chat Err(unusable(error)),
                    None => break 'chat Ok(()),
                },
                happened = link.next() => Some(happened),
                () = ends.next() => break 'chat Ok(()),
                () = std::future::ready(()), if number > 0 => break,
                () = sleep(SECOND), if chat.is_busy() => None,
            };
            let Some(happened) = happened else { break };
            let mut waiting = vec![happened];
            while let Some(happened) = waiting.pop() {
                for effect in chat.on(Moment::now(), happened) {
                    match effect {
                        Effect::Quit => break 'chat Ok(()),
                        Effect::Redraw => screen.forget().map_err(unusable)?,
                        Effect::Call(ask, method, params) => {
                            waiting.extend(link.call(ask, method, &params).await);
                        }
                    }
                }
            }
        }
    };
    drop(screen);
    link.close().await;
    ended
}

/// The signals that end the chat.
struct Ends {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
