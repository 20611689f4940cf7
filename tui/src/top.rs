//! The live view: what `openclaw top` becomes.
//!
//! Its life: look (the supervisor by its control socket, the gateway by its connection) → make tables of what was seen → show them → wait
//! for a key or for the next look. Looking goes on while keys are answered, and each of the two sources may be gone.

mod look;
mod table;
mod tables;
mod view;

use std::io::{self, Write as _};
use std::pin::Pin;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use openclaw_shared::clock::Moment;
use openclaw_shared::tui::{TopLaunch, TopOutput};
use tokio::time::sleep_until;

use self::look::{Look, Sources};
use self::view::{Asked, View};
use crate::Ends;
use crate::terminal::Taken;

/// Looks, and shows it as the launch wishes.
pub(crate) fn live(launch: &TopLaunch) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("No runtime: {error}."))?;
    match launch.output {
        TopOutput::Screen => runtime.block_on(watch(launch)),
        TopOutput::Text | TopOutput::Json => runtime.block_on(once(launch)),
    }
}

async fn once(launch: &TopLaunch) -> Result<(), String> {
    let (sources, look) = Sources::of(launch).look().await;
    sources.close().await;
    let text = match launch.output {
        TopOutput::Json => format!("{}\n", look.to_json()),
        TopOutput::Text | TopOutput::Screen => tables::text(&look),
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| format!("Nothing can be printed: {error}."))?;
    match look.is_blind() {
        Some(why) => Err(format!("Nothing answers: {why}.")),
        None => Ok(()),
    }
}

type Looking = Pin<Box<dyn Future<Output = (Sources, Look)>>>;

async fn watch(launch: &TopLaunch) -> Result<(), String> {
    let unusable = |error: io::Error| format!("The terminal cannot be used: {error}.");
    let mut ends = Ends::listen().map_err(|error| format!("No signals: {error}."))?;
    let mut screen = Taken::take().map_err(unusable)?;
    let mut typed = EventStream::new();
    let mut view = View::default();
    let interval = Duration::from_millis(launch.interval_ms);
    let begin = |sources: Sources| -> Looking { Box::pin(sources.look()) };
    let mut looking: Option<Looking> = Some(begin(Sources::of(launch)));
    let mut resting: Option<Sources> = None;
    let mut next = Moment::now();
    loop {
        let drawn = screen.draw(|frame| view.draw(frame, launch.color));
        drawn.map_err(unusable)?;
        let looked = async {
            match &mut looking {
                Some(looking) => looking.await,
                None => std::future::pending().await,
            }
        };
        let is_due = resting.is_some() && !view.is_paused();
        tokio::select! {
            event = typed.next() => match event {
                Some(Ok(Event::Key(key))) => match view.key(key) {
                    Asked::Nothing => {}
                    Asked::Quit => return Ok(()),
                    Asked::Look => next = Moment::now(),
                    Asked::Redraw => screen.forget().map_err(unusable)?,
                },
                // Another size is drawn anyway.
                Some(Ok(Event::Resize(..) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_))) => {}
                Some(Err(error)) => return Err(unusable(error)),
                None => return Ok(()),
            },
            (sources, look) = looked => {
                looking = None;
                resting = Some(sources);
                next = Moment::now() + interval;
                view.see(look);
            }
            () = sleep_until(next.into_std().into()), if is_due => {
                looking = resting.take().map(begin);
            }
            () = ends.next() => return Ok(()),
        }
    }
}
