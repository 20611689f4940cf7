//! A real terminal with a program in it, by tmux: what is typed, and what is on the screen.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::eventually::eventually;
use crate::home::Home;

/// A window with a shell in it, gone when this is dropped.
#[derive(Debug)]
pub struct Window {
    server: Child,
    socket: PathBuf,
    home: Home,
}

impl Window {
    /// A window of this size in which a shell runs this line. `openclaw` is the one of the home.
    ///
    /// # Panics
    /// When tmux is not there.
    pub async fn open(home: &Home, (columns, rows): (u16, u16), line: &str) -> Self {
        let socket = home.path().join("tmp/tmux");
        let mut server = Command::new("tmux");
        home.isolate(&mut server);
        // In the foreground, so that it is a child that can be ended.
        let server = server
            .args(["-D", "-f", "/dev/null", "-S"])
            .arg(&socket)
            .env("LANG", "C.UTF-8")
            .env("SHELL", "/bin/sh")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("tmux can be started; packaging/test installs it");
        let window = Self {
            server,
            socket,
            home: home.clone(),
        };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let programs = home.programs().display();
        let line = format!("PATH={programs}:$PATH; {line}");
        let arguments = ["new-session", "-d", "-x", &columns, "-y", &rows, &line];
        eventually("tmux opens a window", async || window.ask(&arguments)).await;
        window
    }

    /// Says something to tmux.
    fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("tmux");
        self.home.isolate(&mut command);
        let said = command
            .env("LANG", "C.UTF-8")
            .args(["-u", "-S"])
            .arg(&self.socket)
            .args(arguments)
            .output()
            .map_err(|error| error.to_string())?;
        match said.status.success() {
            true => Ok(String::from_utf8_lossy(&said.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&said.stderr).into_owned()),
        }
    }

    fn tell(&self, arguments: &[&str]) -> String {
        let said = self.ask(arguments);
        said.unwrap_or_else(|why| panic!("tmux {arguments:?}: {why}"))
    }

    /// Types text.
    pub fn type_in(&self, text: &str) {
        self.tell(&["send-keys", "-l", text]);
    }

    /// Presses a key by its name, such as `Enter`, `Escape` or `C-p`.
    pub fn press(&self, key: &str) {
        self.tell(&["send-keys", key]);
    }

    /// Pastes text as terminals do that tell a paste from typing.
    pub fn paste(&self, text: &str) {
        self.tell(&["set-buffer", text]);
        self.tell(&["paste-buffer", "-p", "-r"]);
    }

    /// Makes the window another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.tell(&[
            "resize-window",
            "-x",
            &columns.to_string(),
            "-y",
            &rows.to_string(),
        ]);
    }

    /// What is on the screen.
    #[must_use]
    pub fn screen(&self) -> String {
        self.tell(&["capture-pane", "-p"])
    }

    /// What tmux knows under a name, such as `pane_title` or `pane_pid`.
    #[must_use]
    pub fn fact(&self, name: &str) -> String {
        let said = self.tell(&["display-message", "-p", &format!("#{{{name}}}")]);
        said.trim_end().to_owned()
    }

    /// Waits until the screen fits.
    pub async fn until(&self, what: &str, mut fits: impl FnMut(&str) -> bool) -> String {
        eventually(what, async || {
            let screen = self.screen();
            match fits(&screen) {
                true => Ok(screen),
                false => Err(format!("\n{screen}")),
            }
        })
        .await
    }

    /// Waits until a text is on the screen.
    pub async fn until_shown(&self, text: &str) -> String {
        self.until(&format!("{text:?} is shown"), |screen| {
            screen.contains(text)
        })
        .await
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // Ends what runs in it, too. A server that is gone already has ended it.
        let _ = self.ask(&["kill-server"]);
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
