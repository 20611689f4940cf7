//! The life of a child, as far as all children share it.
//!
//! `main.rs` of each child is one call to [`run`]: it takes what the supervisor handed down, binds its life to the
//! supervisor's, says hello, and then serves until it is drained. It exits when the supervisor's end of the control channel
//! closes, on every system; where there is a parent-death signal, also that.
//!
//! Invariant: heartbeats are answered from the runtime that serves. A loop that does not turn is not alive.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use crate::clock::Moment;
use crate::config::Outcome;
use crate::control::{
    CONTROL_VERSION, ChildName, ConfigText, Drain, FleetStatus, Launch, OLDEST_CONTROL_VERSION,
    Reloaded, StopReason, ToChild, ToSupervisor,
};
use crate::exit::Exit;
use crate::ipc::codec::{MessageReader, write_message};
use crate::{ipc, log, memory, trace};

mod asks;
pub mod inheritance;

use asks::Asks;
pub use asks::Unanswered;
pub use inheritance::{Inheritance, Listeners};

/// How long the supervisor may take to answer the hello.
const LAUNCH_DEADLINE: Duration = Duration::from_secs(10);
/// How long the last reports may take to reach the supervisor.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);
/// The drain a child gives itself when somebody ends it with SIGTERM, instead of its supervisor.
const OWN_DRAIN: Duration = Duration::from_secs(5);
/// How long after it begins to serve a child gives back what only its start has needed.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// Orders and reports under way. The supervisor sends few; a child that does not take them is stuck, and its heartbeat
/// stops with them.
const CHANNEL_CAPACITY: usize = 32;

/// What a child is told while it lives.
#[derive(Debug)]
pub enum Order {
    /// Serve.
    Activate,
    /// Finish and leave.
    Drain(Drain),
    /// Take a new configuration in place, then call [`Control::reloaded`].
    Reload(Box<Reloaded>),
    /// The supervisor's view changed.
    Fleet(Box<FleetStatus>),
}

/// Why a child cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    /// What the process exits with.
    pub exit: Exit,
    /// One sentence for the operator.
    pub message: String,
}

impl Fatal {
    /// A failure that ends the child with [`Exit::Failure`].
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failure,
            message: message.into(),
        }
    }
}

/// Everything a child starts with.
#[derive(Debug)]
pub struct Assignment {
    /// Who it is and what it is to do.
    pub launch: Launch,
    /// The sockets bound for it by the supervisor.
    pub listeners: Listeners,
    /// Its way to report.
    pub control: Control,
    /// What it is told. The end of this channel means that the supervisor is gone.
    pub orders: mpsc::Receiver<Order>,
}

/// A child's way to report to the supervisor. Reports are sent in order; when the supervisor is gone they go nowhere, which
/// is harmless, because the child is about to end.
#[derive(Debug, Clone)]
pub struct Control {
    reports: mpsc::Sender<ToSupervisor>,
    asks: Asks,
}

impl Control {
    /// A way to report to whoever takes the reports: the supervisor, or a test in its place.
    #[must_use]
    pub fn new(reports: mpsc::Sender<ToSupervisor>) -> Self {
        Self {
            reports,
            asks: Asks::default(),
        }
    }

    /// Asks the supervisor to write the configuration file, if it still is the one with this hash, and waits for what becomes of
    /// it. A life that is replaced by the change hears so before it is told to leave.
    ///
    /// # Errors
    /// When no answer came; the change may have been made all the same.
    pub async fn write_config(
        &self,
        base_hash: Option<String>,
        text: String,
    ) -> Result<Outcome, Unanswered> {
        let asked = self.asks.ask()?;
        let message = ToSupervisor::WriteConfig {
            ask: asked.number(),
            base_hash,
            text: ConfigText(text),
            trace: trace::current(),
        };
        self.report(message).await;
        asked.answer().await
    }

    /// The supervisor answered [`Control::write_config`].
    pub fn written(&self, ask: u64, outcome: Outcome) {
        self.asks.answered(ask, outcome);
    }

    /// Asks for a restart of the instance, as SIGUSR1 does; the configuration says whether that counts.
    pub async fn ask_for_restart(&self) {
        self.report(ToSupervisor::RestartSignal).await;
    }

    /// Everything is built; nothing is served yet.
    pub async fn ready(&self) {
        self.report(ToSupervisor::Ready).await;
    }

    /// It serves.
    pub async fn activated(&self) {
        self.report(ToSupervisor::Activated).await;
    }

    /// A reload is in force, or why it is not.
    pub async fn reloaded(&self, error: Option<String>) {
        self.report(ToSupervisor::Reloaded { error }).await;
    }

    /// Everything accepted is finished.
    pub async fn drained(&self) {
        self.report(ToSupervisor::Drained).await;
    }

    async fn report(&self, message: ToSupervisor) {
        // The receiver ends only when the channel to the supervisor has; see the type's description.
        let _ = self.reports.send(message).await;
    }
}

/// Lives the life of a child; `serve` builds, reports ready, and serves until drained.
pub fn run<F>(child: ChildName, serve: F) -> ExitCode
where
    F: AsyncFnOnce(Assignment) -> Result<(), Fatal>,
{
    memory::settle();
    let inheritance = match Inheritance::take(child) {
        Ok(inheritance) => inheritance,
        Err(reason) => return refuse(child, &reason),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(memory::before_sleep)
        .build_local(Default::default())
    {
        Ok(runtime) => runtime,
        Err(error) => return refuse(child, &format!("no runtime: {error}")),
    };
    match runtime.block_on(live(child, inheritance, serve)) {
        Ok(()) => Exit::Ok.into(),
        Err(fatal) => {
            tracing::error!(target: "supervision", child = %child, error = %fatal.message, "child cannot go on");
            fatal.exit.into()
        }
    }
}

/// Says why a child did not start, to whoever started it by hand.
#[expect(
    clippy::print_stderr,
    reason = "there is neither a log nor a supervisor yet"
)]
fn refuse(child: ChildName, reason: &str) -> ExitCode {
    eprintln!("openclaw-{child}: {reason}");
    Exit::Orphaned.into()
}

async fn live<F>(child: ChildName, inheritance: Inheritance, serve: F) -> Result<(), Fatal>
where
    F: AsyncFnOnce(Assignment) -> Result<(), Fatal>,
{
    let orphaned = |error: io::Error| Fatal {
        exit: Exit::Orphaned,
        message: format!("the control channel failed: {error}"),
    };
    let stream = ipc::connect(&inheritance.control).await.map_err(orphaned)?;
    ipc::check_peer(&stream).map_err(orphaned)?;
    let (receive, mut send) = tokio::io::split(stream);
    let mut reader = MessageReader::new(receive);
    let hello = ToSupervisor::Hello {
        version: CONTROL_VERSION,
        oldest: Some(OLDEST_CONTROL_VERSION),
        child,
        generation: inheritance.generation,
    };
    write_message(&mut send, &hello).await.map_err(orphaned)?;
    let launch = match timeout(LAUNCH_DEADLINE, reader.next::<ToChild>()).await {
        Ok(Ok(Some(ToChild::Launch(launch)))) => *launch,
        Ok(Ok(other)) => {
            let got = other.map_or("the end of the channel", |_| "another order");
            return Err(orphaned(io::Error::other(format!(
                "expected the launch, got {got}"
            ))));
        }
        Ok(Err(error)) => return Err(orphaned(error)),
        Err(_) => return Err(orphaned(io::ErrorKind::TimedOut.into())),
    };
    let source = log::Source {
        process: child.as_str().to_owned(),
        generation: Some(launch.generation.0),
    };
    let _log = log::start(&launch.logging, source);

    let (orders_in, orders) = mpsc::channel(CHANNEL_CAPACITY);
    let (reports, reports_out) = mpsc::channel(CHANNEL_CAPACITY);
    let control = Control::new(reports);
    let writer = tokio::spawn(write_reports(send, reports_out));
    let assignment = Assignment {
        launch,
        listeners: inheritance.listeners,
        control: control.clone(),
        orders,
    };

    let served = tokio::select! {
        served = serve(assignment) => served,
        lost = take_orders(reader, orders_in, control.clone()) => Err(lost),
    };
    if let Err(fatal) = &served {
        control
            .report(ToSupervisor::Fatal {
                message: fatal.message.clone(),
            })
            .await;
    }
    drop(control);
    // What is still queued is written unless the supervisor does not read; either way the process ends.
    let _ = timeout(FLUSH_DEADLINE, writer).await;
    served
}

/// Turns what the supervisor and the system say into orders; ends when the supervisor is gone.
async fn take_orders<R: tokio::io::AsyncRead + Unpin>(
    mut reader: MessageReader<R>,
    orders: mpsc::Sender<Order>,
    control: Control,
) -> Fatal {
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return Fatal::new(format!("no signal handlers: {error}")),
    };
    let mut settled = None::<Moment>;
    loop {
        let order = tokio::select! {
            message = reader.next::<ToChild>() => match message {
                Ok(Some(message)) => match order_of(message, &control).await {
                    Some(order) => order,
                    None => continue,
                },
                Ok(None) => return lost("it closed the control channel"),
                Err(error) => return lost(&error.to_string()),
            },
            signalled = signals.next() => match signalled {
                Signalled::Restart => {
                    control.report(ToSupervisor::RestartSignal).await;
                    continue;
                }
                Signalled::Terminate => Order::Drain(Drain {
                    reason: StopReason::Replaced,
                    budget: OWN_DRAIN,
                    restart_expected_ms: Some(1_500),
                    credentials: None,
                }),
                Signalled::Ignored => continue,
            },
            () = come(settled) => {
                memory::rest();
                settled = None;
                continue;
            }
        };
        if matches!(order, Order::Activate) {
            settled = Some(Moment::now() + SETTLED_AFTER);
        }
        if orders.send(order).await.is_err() {
            // `serve` has dropped its receiver and is about to return; nothing is left to tell it.
            std::future::pending::<()>().await;
        }
    }
}

/// Waits for a moment, if there is one to wait for.
async fn come(moment: Option<Moment>) {
    match moment {
        Some(moment) => sleep_until(moment.into_std().into()).await,
        None => std::future::pending().await,
    }
}

async fn order_of(message: ToChild, control: &Control) -> Option<Order> {
    match message {
        ToChild::Activate => Some(Order::Activate),
        ToChild::Drain(drain) => Some(Order::Drain(drain)),
        ToChild::Reload(reloaded) => {
            log::reconfigure(&reloaded.logging);
            Some(Order::Reload(reloaded))
        }
        ToChild::Fleet(fleet) => Some(Order::Fleet(fleet)),
        ToChild::AreYouAlive { beat } => {
            control.report(ToSupervisor::Alive { beat }).await;
            None
        }
        ToChild::Written { ask, outcome } => {
            control.written(ask, outcome);
            None
        }
        ToChild::Launch(_) => {
            tracing::warn!(target: "supervision", "a second launch was ignored");
            None
        }
    }
}

fn lost(how: &str) -> Fatal {
    Fatal {
        exit: Exit::Orphaned,
        message: format!("the supervisor is gone: {how}"),
    }
}

async fn write_reports<W: AsyncWrite + Unpin>(
    mut send: W,
    mut reports: mpsc::Receiver<ToSupervisor>,
) {
    while let Some(report) = reports.recv().await {
        if write_message(&mut send, &report).await.is_err() {
            // The reading side sees the same end and closes the process.
            return;
        }
    }
}

enum Signalled {
    /// SIGUSR1: meant for the instance.
    Restart,
    /// SIGTERM: somebody other than the supervisor ends this process.
    Terminate,
    /// SIGINT and SIGHUP reach the whole terminal; the supervisor alone decides what they mean.
    Ignored,
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    user: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Signalled {
        tokio::select! {
            _ = self.interrupt.recv() => Signalled::Ignored,
            _ = self.hangup.recv() => Signalled::Ignored,
            _ = self.user.recv() => Signalled::Restart,
            _ = self.terminate.recv() => Signalled::Terminate,
        }
    }
}
