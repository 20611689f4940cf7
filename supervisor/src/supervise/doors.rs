//! The local sockets of the supervisor, answered: one for each child's control channel, one for the command line.

use std::collections::BTreeMap;
use std::io;

use openclaw_shared::control::ChildName;
use openclaw_shared::ipc::{self, Listener};
use openclaw_shared::paths::RunPaths;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::channel::{self, Arrival, Freeze, Held};

/// The sockets, before anybody answers them.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) children: BTreeMap<ChildName, Listener>,
    pub(crate) command_line: Listener,
}

impl Sockets {
    /// Binds them.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn bind(run_dir: &std::path::Path) -> io::Result<Self> {
        let paths = RunPaths(run_dir);
        let mut children = BTreeMap::new();
        for child in ChildName::ALL {
            children.insert(child, ipc::bind(&paths.control(child))?);
        }
        Ok(Self {
            children,
            command_line: ipc::bind(&paths.supervisor())?,
        })
    }
}

/// The sockets, answered.
#[derive(Debug)]
pub(crate) struct Doors {
    children: BTreeMap<ChildName, JoinHandle<channel::Closed>>,
    command_line: JoinHandle<channel::Closed>,
    freeze: watch::Sender<bool>,
}

/// The sockets, not answered any more, and who had come to them.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) children: BTreeMap<ChildName, channel::Closed>,
    pub(crate) command_line: channel::Closed,
}

impl Doors {
    /// Answers whoever comes, and those first who came before.
    pub(crate) fn open(
        sockets: Sockets,
        mut held: Vec<(Option<ChildName>, Held)>,
        arrivals: &mpsc::Sender<Arrival>,
        (stop, freeze): (watch::Sender<bool>, Freeze),
    ) -> Self {
        let mut of = |door: Option<ChildName>| -> Vec<Held> {
            let here = held.extract_if(.., |(at, _)| *at == door);
            here.map(|(_, held)| held).collect()
        };
        let children = sockets.children.into_iter().map(|(child, listener)| {
            let held = of(Some(child));
            let served =
                channel::serve_children(listener, child, held, arrivals.clone(), freeze.clone());
            (child, served)
        });
        Self {
            children: children.collect(),
            command_line: channel::serve_cli(
                sockets.command_line,
                of(None),
                arrivals.clone(),
                freeze.clone(),
            ),
            freeze: stop,
        }
    }

    /// Stops every connection of this process where it is.
    pub(crate) async fn close(self) -> Closed {
        self.freeze.send_replace(true);
        let mut children = BTreeMap::new();
        for (child, door) in self.children {
            children.insert(child, door.await.expect("a door does not panic"));
        }
        Closed {
            children,
            command_line: self.command_line.await.expect("a door does not panic"),
        }
    }
}
