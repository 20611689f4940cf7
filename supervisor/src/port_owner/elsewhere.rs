//! Systems whose socket tables we cannot read yet: a port has unknown owners, and nobody is ended.

use std::io;
use std::time::Duration;

use super::Owner;

/// Says that it cannot tell.
///
/// # Errors
/// Always.
pub(crate) fn look(_port: u16) -> io::Result<Vec<Owner>> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "port owners are known on Linux only",
    ))
}

/// No process can be held here.
#[derive(Debug)]
pub(crate) enum Watched {}

impl Watched {
    pub(crate) fn new(_pid: u32) -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub(crate) fn terminate(&self) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn kill(&self) -> io::Result<()> {
        match *self {}
    }

    pub(crate) async fn ended(&self, _limit: Duration) -> bool {
        match *self {}
    }

    pub(crate) fn wait(&self, _limit: Duration) -> bool {
        match *self {}
    }
}
