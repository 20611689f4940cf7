//! Has Tailscale publish the gateway, by its command line: `tailscale serve` for the machines of the tailnet, `tailscale funnel` for
//! everybody.
//!
//! The supervisor does it, because what is published must stay while its children are replaced. Tailscale keeps it by itself, also
//! when this process ends; it is taken back when the configuration no longer asks for it, and at the end when `resetOnExit`
//! says so. A gateway serves without it: what goes wrong is said, and tried again, since at a start of the machine Tailscale may
//! come later.
//!
//! Invariant: what may be published is known, in this life and the next ([`kept`]), until it was taken back. Nothing is taken back before
//! a configuration is in force.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_shared::config::section::TailscaleMode;
use openclaw_shared::control::TailscaleStatus;
use openclaw_shared::instance::{Environment, without_secrets};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

mod kept;
mod program;

use self::kept::{Kept, Record};
use self::program::{Program, Taken, Trouble};

/// How long an end waits for what is taken back.
const LAST_DEADLINE: Duration = Duration::from_secs(10);
/// How long a command that was killed may take to be gone.
const HALT_DEADLINE: Duration = Duration::from_secs(2);
/// The pauses between attempts; the last one is repeated.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
];

/// What is to be published, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publication {
    /// To whom.
    pub(crate) to: Audience,
    /// The port of the gateway on loopback.
    pub(crate) port: u16,
    /// Whether it is taken back when the instance stops.
    pub(crate) reset_on_exit: bool,
}

/// Who sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Audience {
    /// The machines of the tailnet.
    #[serde(rename = "serve")]
    Tailnet,
    /// Everybody.
    #[serde(rename = "funnel")]
    Everybody,
}

impl Audience {
    /// Who is meant by the configuration, if anybody.
    pub(crate) const fn of(mode: TailscaleMode) -> Option<Self> {
        match mode {
            TailscaleMode::Off => None,
            TailscaleMode::Serve => Some(Self::Tailnet),
            TailscaleMode::Funnel => Some(Self::Everybody),
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Tailnet => "serve",
            Self::Everybody => "funnel",
        }
    }
}

/// What the instance wants of Tailscale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// It is not known yet: no configuration is in force.
    Unknown,
    /// Nothing is to be published.
    Nothing,
    /// This is.
    That(Publication),
    /// Everything stays as it is, and no command runs any more: another program goes on.
    Halt,
}

/// Looks after what is published. There is one for as long as the instance lives.
#[derive(Debug)]
pub(super) struct Tailscale {
    wish: watch::Sender<Wish>,
    told: Arc<Mutex<Option<TailscaleStatus>>>,
    work: JoinHandle<()>,
}

impl Tailscale {
    /// Begins to look after it; so far nobody knows what is wished for.
    pub(super) fn new(environment: &Environment, state_dir: &Path) -> Self {
        let (wish, wishes) = watch::channel(Wish::Unknown);
        let told = Arc::default();
        let program = Program {
            environment: without_secrets(environment.all()).into_iter().collect(),
            wishes: wishes.clone(),
        };
        let keeper = Keeper::new(program, Record::of(state_dir), Arc::clone(&told));
        let work = tokio::spawn(look_after(keeper, wishes));
        Self { wish, told, work }
    }

    /// Says what is to be published from now on.
    pub(super) fn wish(&self, wanted: Option<Publication>) {
        let wanted = wanted.map_or(Wish::Nothing, Wish::That);
        self.wish.send_if_modified(|wish| {
            let is_new = *wish != wanted;
            *wish = wanted;
            is_new
        });
    }

    /// What has become of it.
    pub(super) fn status(&self) -> Option<TailscaleStatus> {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends whatever command is under way, and leaves everything as it is to the program that goes on in this process. It would have a child
    /// that it does not know otherwise.
    pub(super) async fn halt(&mut self) {
        self.wish.send_replace(Wish::Halt);
        if timeout(HALT_DEADLINE, &mut self.work).await.is_err() {
            tracing::warn!(target: "tailscale", "a command of Tailscale does not end");
        }
    }

    /// Takes back what is to be taken back at the end, within bounds. What cannot be is known to the next start.
    pub(super) async fn end(self) {
        let takes_back = match *self.wish.borrow() {
            Wish::Nothing => true,
            Wish::That(wish) => wish.reset_on_exit,
            Wish::Unknown | Wish::Halt => false,
        };
        if !takes_back {
            self.work.abort();
            return;
        }
        // Said once more also when it was said before: what could not be taken back then is tried a last time. Without anybody who
        // wishes, the work ends after that.
        self.wish.send_replace(Wish::Nothing);
        drop(self.wish);
        if timeout(LAST_DEADLINE, self.work).await.is_err() {
            tracing::warn!(target: "tailscale", "what Tailscale publishes could not be taken back in time; the next start takes it back");
        }
    }
}

async fn look_after(mut keeper: Keeper, mut wishes: watch::Receiver<Wish>) {
    let mut attempts = 0_usize;
    loop {
        let wish = *wishes.borrow_and_update();
        let done = match wish {
            Wish::Unknown => Ok(()),
            Wish::Nothing => keeper.fulfil(None).await,
            Wish::That(wish) => keeper.fulfil(Some(wish)).await,
            Wish::Halt => return,
        };
        let changed = match done {
            Ok(()) => {
                attempts = 0;
                wishes.changed().await
            }
            Err(Unfulfilled) => {
                let pause = PAUSES[attempts.min(PAUSES.len() - 1)];
                attempts += 1;
                // An attempt that is due begins without a change.
                timeout(pause, wishes.changed()).await.unwrap_or(Ok(()))
            }
        };
        if changed.is_err() {
            return;
        }
    }
}

/// A wish could not be fulfilled, which was told; it is to be tried again.
#[derive(Debug)]
struct Unfulfilled;

/// What went wrong, in which direction.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failed {
    ToPublish(Trouble),
    ToTakeBack(Trouble),
}

/// Brings about what is wished for, and knows what is published.
#[derive(Debug)]
struct Keeper {
    program: Program,
    record: Record,
    told: Arc<Mutex<Option<TailscaleStatus>>>,
    /// What may be published, as the record says.
    open: Option<Kept>,
    /// Why the record does not say it.
    unread: Option<String>,
    /// What this life has published: at a start it is published anew, because Tailscale may have been reset since.
    done: Option<Publication>,
    /// What was told last, since it may go on for long.
    failed: Option<Failed>,
}

impl Keeper {
    fn new(program: Program, record: Record, told: Arc<Mutex<Option<TailscaleStatus>>>) -> Self {
        let (open, unread) = match record.recall() {
            Ok(open) => (open, None),
            Err(error) => (None, Some(error)),
        };
        if let Some(error) = &unread {
            tracing::error!(target: "tailscale", %error, "what was published before is not known; see `tailscale serve status`");
        }
        Self {
            program,
            record,
            told,
            open,
            unread,
            done: None,
            failed: None,
        }
    }

    fn tell(&self, status: Option<TailscaleStatus>) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    async fn fulfil(&mut self, wish: Option<Publication>) -> Result<(), Unfulfilled> {
        let wished = wish.map(|wish| wish.to);
        if let Some(open) = self.open.take_if(|open| Some(open.to) != wished) {
            self.done = None;
            if let Err(trouble) = self.take_back(&open).await {
                self.still_published(open.to, trouble);
                self.open = Some(open);
                return Err(Unfulfilled);
            }
        }
        let Some(wish) = wish else {
            self.failed = None;
            self.tell(self.nothing_published());
            return Ok(());
        };
        if self.done.is_none_or(|done| done.port != wish.port) {
            let url = self.publish(wish).await;
            let url = url.map_err(|trouble| self.not_published(wish.to, trouble))?;
            tracing::info!(target: "tailscale", mode = wish.to.verb(), %url, "published");
            self.failed = None;
            self.tell(Some(TailscaleStatus {
                mode: wish.to.verb().to_owned(),
                url: Some(url),
                error: None,
            }));
        }
        self.done = Some(wish);
        Ok(())
    }

    async fn publish(&mut self, wish: Publication) -> Result<String, Trouble> {
        let url = self.program.address().await?;
        let mut ports = self.open.take().map_or_else(Vec::new, |open| open.ports);
        ports.retain(|port| *port != wish.port);
        ports.push(wish.port);
        let open = Kept { to: wish.to, ports };
        let kept = self.record.keep(&open);
        self.open = Some(open);
        kept.map_err(|error| Trouble::Unkept(error.to_string()))?;
        self.unread = None;
        self.program.publish(wish).await?;
        // It leads nowhere else from here on.
        let open = Kept {
            to: wish.to,
            ports: vec![wish.port],
        };
        if let Err(error) = self.record.keep(&open) {
            tracing::warn!(target: "tailscale", %error, "what was published before cannot be forgotten");
        }
        self.open = Some(open);
        Ok(url)
    }

    async fn take_back(&self, open: &Kept) -> Result<(), Trouble> {
        let mode = open.to.verb();
        match self.program.take_back(open).await? {
            Taken::Back => tracing::info!(target: "tailscale", mode, "taken back"),
            Taken::Gone => tracing::info!(target: "tailscale", mode, "not published any more"),
            Taken::SomebodyElses => {
                tracing::info!(target: "tailscale", mode, "something else is published in its place, and stays");
            }
        }
        if let Err(error) = self.record.forget() {
            tracing::warn!(target: "tailscale", %error, "that it was taken back cannot be kept");
        }
        Ok(())
    }

    /// Tells that something is published that should not be.
    fn still_published(&mut self, to: Audience, trouble: Trouble) {
        let mode = to.verb();
        let mut why = format!("the gateway may still be published: {trouble}");
        if trouble == Trouble::Missing {
            let path = self.record.path().display();
            why.push_str(&format!(
                "; when Tailscale is gone for good, remove {path} and restart"
            ));
        }
        if self.has_news(Failed::ToTakeBack(trouble)) {
            tracing::error!(target: "tailscale", mode, error = %why, "what Tailscale publishes could not be taken back; it is tried again");
        }
        self.tell(Some(TailscaleStatus {
            mode: mode.to_owned(),
            url: None,
            error: Some(why),
        }));
    }

    /// Tells that nothing is published that should be.
    fn not_published(&mut self, to: Audience, trouble: Trouble) -> Unfulfilled {
        let mode = to.verb();
        let mut why = trouble.to_string();
        if trouble == Trouble::Missing {
            why.push_str("; install Tailscale, or set gateway.tailscale.mode to \"off\"");
        }
        if self.has_news(Failed::ToPublish(trouble)) {
            tracing::error!(target: "tailscale", mode, trouble = %why, "the gateway is not published; it is tried again");
        }
        self.tell(Some(TailscaleStatus {
            mode: mode.to_owned(),
            url: None,
            error: Some(why),
        }));
        Unfulfilled
    }

    /// Once for each reason.
    fn has_news(&mut self, failed: Failed) -> bool {
        let is_new = self.failed.as_ref() != Some(&failed);
        self.failed = Some(failed);
        is_new
    }

    /// What there is to say when nothing is to be published.
    fn nothing_published(&self) -> Option<TailscaleStatus> {
        let why = self.unread.as_ref()?;
        Some(TailscaleStatus {
            mode: "off".to_owned(),
            url: None,
            error: Some(format!(
                "what was published before is not known: {why}; see `tailscale serve status`, then remove that file"
            )),
        })
    }
}
