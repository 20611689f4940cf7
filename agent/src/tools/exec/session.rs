//! One command: what it has written so far, and how it stands.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use nix::sys::signal::Signal;
use openclaw_exec::keeper::Keeper;
use openclaw_exec::process::{self, Ended, Step, Task};
use openclaw_shared::clock::{Moment, WallTime};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::Sender;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How much of the output is kept: the last of it, in bytes.
const MOST_KEPT: usize = 200_000;
/// How much of it a list shows.
const MOST_TAIL: usize = 2_000;
/// How long a command may take to read what is written to it.
const READING: Duration = Duration::from_secs(5);
/// How long the beginning of a command is waited for, to know its number.
const BEGINNING: Duration = Duration::from_secs(2);

/// A command that runs or has run.
pub(in crate::tools) struct Session {
    /// What it is known by.
    pub(in crate::tools) id: String,
    /// The agent that has started it.
    pub(in crate::tools) agent: String,
    /// What was asked for.
    pub(in crate::tools) command: String,
    /// Its first words.
    pub(in crate::tools) name: String,
    /// The folder it runs in.
    pub(in crate::tools) cwd: String,
    /// When it began.
    pub(in crate::tools) started_at: WallTime,
    began: Moment,
    pid: Cell<Option<i32>>,
    written: RefCell<Written>,
    input: tokio::sync::Mutex<Option<Sender>>,
    end: RefCell<Option<End>>,
    changed: Notify,
    started: Notify,
    stop: Notify,
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::tools) struct End {
    pub(in crate::tools) exit_code: Option<i32>,
    pub(in crate::tools) signal: Option<String>,
    pub(in crate::tools) timed_out: bool,
    pub(in crate::tools) error: Option<String>,
    pub(in crate::tools) millis: u64,
    pub(in crate::tools) at: u64,
}

impl End {
    pub(in crate::tools) fn is_success(&self) -> bool {
        self.exit_code == Some(0) && !self.timed_out && self.error.is_none()
    }

    pub(in crate::tools) fn status(&self) -> &'static str {
        if self.is_success() {
            "completed"
        } else {
            "failed"
        }
    }

    /// `code 0`, `signal SIGKILL`, or what went wrong.
    pub(in crate::tools) fn how(&self) -> String {
        match (self.exit_code, &self.signal, &self.error) {
            (_, _, Some(error)) => error.clone(),
            (Some(code), _, None) => format!("code {code}"),
            (None, Some(signal), None) => format!("signal {signal}"),
            (None, None, None) => "no code".to_owned(),
        }
    }
}

/// What was written, as far as it is kept.
#[derive(Default)]
struct Written {
    kept: Vec<u8>,
    /// How much was written before what is kept.
    gone: usize,
    /// How much of everything was polled.
    polled: usize,
}

impl Written {
    fn take(&mut self, piece: &[u8]) {
        self.kept.extend_from_slice(piece);
        // It is cut seldom, so that each byte is moved only a few times.
        if self.kept.len() > 2 * MOST_KEPT {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let surplus = self.kept.len().saturating_sub(MOST_KEPT);
        self.kept.drain(..surplus);
        self.gone += surplus;
    }

    /// The last bytes of it, beginning with a whole character.
    fn last(&self, most: usize) -> String {
        let from = self.kept.len().saturating_sub(most.min(MOST_KEPT));
        text(&self.kept[from..], from > 0)
    }

    fn is_cut(&self) -> bool {
        self.gone > 0 || self.kept.len() > MOST_KEPT
    }
}

/// The text of bytes that may begin in the middle of a character.
fn text(bytes: &[u8], is_cut: bool) -> String {
    let is_rest = |byte: &&u8| is_cut && **byte & 0b1100_0000 == 0b1000_0000;
    let rest = bytes.iter().take(3).take_while(is_rest).count();
    String::from_utf8_lossy(&bytes[rest..]).into_owned()
}

impl Session {
    pub(super) fn new(agent: String, command: String, cwd: String) -> Self {
        let words: Vec<&str> = command.split_whitespace().take(2).collect();
        Self {
            id: name(),
            agent,
            name: words.join(" ").chars().take(60).collect(),
            command,
            cwd,
            started_at: WallTime::now(),
            began: Moment::now(),
            pid: Cell::default(),
            written: RefCell::default(),
            input: tokio::sync::Mutex::default(),
            end: RefCell::default(),
            changed: Notify::new(),
            started: Notify::new(),
            stop: Notify::new(),
        }
    }

    /// The whole life of the command. Dropping it ends the command. Where nobody can write to it, it has no input.
    pub(super) fn run(
        self: Rc<Self>,
        keeper: Keeper,
        mut task: Task,
        may_be_written_to: bool,
    ) -> io::Result<LocalBoxFuture<'static, ()>> {
        if may_be_written_to {
            let (read, write) = io::pipe()?;
            task.input = Some(read.into());
            let mut input = self.input.try_lock().map_err(io::Error::other)?;
            *input = Some(Sender::from_owned_fd(write.into())?);
        }
        Ok(async move {
            let tell = &mut |step: Step<'_>| match step {
                Step::Began(group) => {
                    self.pid.set(Some(group));
                    self.started.notify_one();
                }
                Step::Output(piece) | Step::Errors(piece) => {
                    self.written.borrow_mut().take(piece);
                    self.changed.notify_one();
                }
            };
            let ended = process::follow(&keeper, task, self.stop.notified(), tell).await;
            self.ended(ended);
        }
        .boxed_local())
    }

    fn ended(&self, ended: Ended) {
        let millis = Moment::now().since(self.began).as_millis();
        let was_stopped = ended.exit_code.is_none()
            && ended.signal.is_none()
            && ended.error.is_none()
            && !ended.timed_out;
        let signal = ended
            .signal
            .and_then(|number| Signal::try_from(number).ok());
        let signal = signal.or_else(|| was_stopped.then_some(Signal::SIGKILL));
        *self.end.borrow_mut() = Some(End {
            exit_code: ended.exit_code,
            signal: signal.map(|signal| signal.as_str().to_owned()),
            timed_out: ended.timed_out,
            error: ended.error,
            millis: u64::try_from(millis).unwrap_or(u64::MAX),
            at: WallTime::now().as_millis(),
        });
        // Nobody reads what would be written to it.
        if let Ok(mut input) = self.input.try_lock() {
            input.take();
        }
        self.started.notify_one();
        self.changed.notify_one();
    }

    /// Waits until there is more output, or the end.
    pub(in crate::tools) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits until the command has a number, for a moment.
    pub(super) async fn started(&self) {
        if self.pid.get().is_none() && !self.has_ended() {
            // A machine that is this busy is not waited for; the number is then unknown.
            let _ = timeout(BEGINNING, self.started.notified()).await;
        }
    }

    pub(in crate::tools) fn pid(&self) -> Option<i32> {
        self.pid.get()
    }

    pub(in crate::tools) fn has_ended(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// How it ended; as if it had not, by default, while it runs.
    pub(in crate::tools) fn end(&self) -> End {
        self.end.borrow().clone().unwrap_or_default()
    }

    pub(in crate::tools) fn status(&self) -> &'static str {
        self.end.borrow().as_ref().map_or("running", End::status)
    }

    pub(in crate::tools) fn runtime(&self) -> Duration {
        match &*self.end.borrow() {
            Some(end) => Duration::from_millis(end.millis),
            None => Moment::now().since(self.began),
        }
    }

    /// All of its output that is kept.
    pub(in crate::tools) fn output(&self) -> String {
        self.written.borrow().last(MOST_KEPT)
    }

    pub(in crate::tools) fn last_of_output(&self, most: usize) -> String {
        self.written.borrow().last(most)
    }

    pub(in crate::tools) fn tail(&self) -> String {
        self.last_of_output(MOST_TAIL)
    }

    /// Whether there was more than is kept.
    pub(in crate::tools) fn is_cut(&self) -> bool {
        self.written.borrow().is_cut()
    }

    /// What was written since the last time, as far as it is kept.
    pub(in crate::tools) fn poll(&self) -> String {
        let mut written = self.written.borrow_mut();
        written.cut();
        let from = written.polled.saturating_sub(written.gone);
        let is_cut = written.polled < written.gone;
        written.polled = written.gone + written.kept.len();
        text(&written.kept[from..], is_cut)
    }

    /// Ends it.
    pub(in crate::tools) fn stop(&self) {
        self.stop.notify_one();
    }

    /// Writes to its input, and closes it where nothing more comes.
    pub(in crate::tools) async fn write(&self, data: &[u8], is_last: bool) -> io::Result<()> {
        let mut input = self.input.lock().await;
        let Some(pipe) = input.as_mut() else {
            return Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "its input is closed",
            ));
        };
        let written = timeout(READING, pipe.write_all(data)).await;
        if is_last {
            input.take();
        }
        written
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it does not read its input"))?
    }
}

/// Two words that people can tell from others. That they are unlikely to come again is enough: whoever keeps sessions makes sure.
fn name() -> String {
    const HOW: [&str; 16] = [
        "amber", "brisk", "calm", "clear", "ember", "fresh", "keen", "kind", "mild", "neat",
        "quick", "quiet", "swift", "tender", "vivid", "warm",
    ];
    const WHO: [&str; 16] = [
        "atlas", "breeze", "cedar", "comet", "dune", "falcon", "harbor", "lobster", "meadow",
        "ocean", "orbit", "otter", "river", "sable", "summit", "zephyr",
    ];
    let random = uuid::Uuid::new_v4();
    let [one, other, more, ..] = random.into_bytes();
    let (how, who) = (HOW[usize::from(one) % 16], WHO[usize::from(other) % 16]);
    format!("{how}-{who}-{more:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_the_output_is_kept_in_whole_characters() {
        let session = Session::new("main".to_owned(), "echo  a b".to_owned(), "/".to_owned());
        assert_eq!(session.name, "echo a");
        session.written.borrow_mut().take(b"begin\n");
        assert_eq!(session.poll(), "begin\n");
        assert_eq!(session.poll(), "");
        let many = "é".repeat(MOST_KEPT);
        session.written.borrow_mut().take(many.as_bytes());
        session.written.borrow_mut().take(b"x");
        let output = session.output();
        assert!(output.ends_with("éx") && output.len() <= MOST_KEPT);
        assert!(!output.contains('\u{fffd}') && session.is_cut());
        assert!(session.written.borrow().kept.len() <= 2 * MOST_KEPT);
        let polled = session.poll();
        assert!(polled.ends_with("éx") && !polled.contains('\u{fffd}'));
        assert_eq!(session.last_of_output(2), "x");
    }
}
