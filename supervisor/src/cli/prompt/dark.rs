//! A terminal that does not show what is typed.
//!
//! Invariant: whoever else gets the terminal gets it as it was. While the program is stopped (Ctrl-Z) that is the shell; when the
//! program goes on, the question is asked again and what is typed is hidden again.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, raise};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::Pid;

use super::ask;

/// The terminal is dark for as long as this lives.
pub(super) struct Dark {
    before: Termios,
    /// The signals that this thread did not take before.
    mask: SigSet,
    is_over: Arc<AtomicBool>,
    stops: Option<JoinHandle<()>>,
}

impl Dark {
    /// Hides what is typed as the answer to a question that was asked.
    ///
    /// # Errors
    /// When the terminal cannot be told to.
    pub(super) fn fall(question: &str) -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let stop = SigSet::from(Signal::SIGTSTP);
        // Threads that begin from here on do not take it either, so that the one that waits for it does.
        let mask = stop.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let watched = (before.clone(), question.to_owned(), Arc::clone(&is_over));
        let dark = Self {
            before,
            mask,
            is_over,
            stops: Some(std::thread::spawn(move || {
                let (before, question, is_over) = watched;
                while stop.wait().is_ok() && !is_over.load(Ordering::Acquire) {
                    stand_still(&stop, &before);
                    if !is_over.load(Ordering::Acquire) {
                        // A terminal that is gone is noticed by whoever reads from it.
                        let _ = hide(&before).and_then(|()| ask(&question));
                    }
                }
            })),
        };
        hide(&dark.before)?;
        Ok(dark)
    }
}

fn hide(before: &Termios) -> io::Result<()> {
    let mut dark = before.clone();
    dark.local_flags.remove(LocalFlags::ECHO);
    // The end of the line is shown, so that the next one begins below.
    dark.local_flags.insert(LocalFlags::ECHONL);
    Ok(tcsetattr(io::stdin().as_fd(), SetArg::TCSADRAIN, &dark)?)
}

fn restore(before: &Termios) {
    // A terminal that is gone needs nothing.
    let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSADRAIN, before);
}

/// Does what the signal asks for, and comes back when the program goes on. Where nobody could continue it, it is not stopped at all,
/// because the system knows that.
fn stand_still(stop: &SigSet, before: &Termios) {
    restore(before);
    // Neither can fail for a signal that exists.
    let _ = stop.thread_unblock();
    let _ = raise(Signal::SIGTSTP);
    let _ = stop.thread_block();
}

impl Drop for Dark {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(stops) = self.stops.take() {
            // It waits for nothing else, and takes this one as its end.
            if !stops.is_finished() && kill(Pid::this(), Signal::SIGTSTP).is_ok() {
                // It has nothing to say.
                let _ = stops.join();
            }
        }
        restore(&self.before);
        // It was taken from this thread.
        let _ = self.mask.thread_set_mask();
    }
}
