//! A terminal, and the person before it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;

/// The side of a terminal where the person is. What is printed there is read all the time, or the program would stand still.
#[derive(Debug)]
pub struct Terminal {
    screen: Arc<Screen>,
    reading: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Screen {
    person: OwnedFd,
    shown: Mutex<String>,
    is_closing: AtomicBool,
}

impl Terminal {
    /// A terminal, and the side that belongs to a program.
    ///
    /// # Panics
    /// When the system gives none.
    #[must_use]
    pub fn open() -> (Self, OwnedFd) {
        let pair = openpty(None, None).expect("the system gives a terminal");
        // The program must not hold the person's side, or it would never see it closed.
        for end in [&pair.master, &pair.slave] {
            let cloexec = FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC);
            fcntl(end.as_fd(), cloexec).expect("a descriptor of ours can be marked");
        }
        let screen = Arc::new(Screen {
            person: pair.master,
            shown: Mutex::new(String::new()),
            is_closing: AtomicBool::new(false),
        });
        let watched = Arc::clone(&screen);
        let reading = std::thread::spawn(move || watched.read());
        (
            Self {
                screen,
                reading: Some(reading),
            },
            pair.slave,
        )
    }

    /// Types something; `\x03` is Ctrl-C.
    ///
    /// # Panics
    /// When the terminal does not take it.
    pub fn type_in(&self, text: &str) {
        let written = nix::unistd::write(&self.screen.person, text.as_bytes());
        assert_eq!(written, Ok(text.len()), "the terminal takes what is typed");
    }

    /// What is on the screen.
    #[must_use]
    pub fn shown(&self) -> String {
        self.screen
            .shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Closes the window.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.screen.is_closing.store(true, Ordering::Relaxed);
        if let Some(reading) = self.reading.take() {
            // It holds a share of the terminal; a reader that panicked has let go of it as well.
            let _ = reading.join();
        }
    }
}

impl Screen {
    fn read(&self) {
        while !self.is_closing.load(Ordering::Relaxed) {
            let mut waiting = [PollFd::new(self.person.as_fd(), PollFlags::POLLIN)];
            // Short, because it is also how long closing the window takes.
            match poll(&mut waiting, PollTimeout::from(5_u8)) {
                Ok(0) => continue,
                Ok(_) => {}
                Err(_) => return,
            }
            let mut bytes = [0; 4096];
            match nix::unistd::read(&self.person, &mut bytes) {
                Ok(count) if count > 0 => {
                    let text = String::from_utf8_lossy(&bytes[..count]);
                    self.shown
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push_str(&text);
                }
                // Nobody holds the program's side any more, which is all that will ever be read.
                Ok(_) | Err(_) => return,
            }
        }
    }
}
