//! What the log says about the requests of a client, as `--ws-log` wishes.
//!
//! Never a parameter or a payload: they hold messages and secrets. The ordinary request of an ordinary run costs one
//! comparison here.

use std::time::Duration;

use openclaw_shared::log::WsLog;

use super::Outgoing;
use super::link::LinkId;

/// From when on an answer counts as slow.
const SLOW: Duration = Duration::from_millis(50);

/// How one connection is logged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chronicle {
    link: LinkId,
    style: WsLog,
}

impl Chronicle {
    pub(super) const fn new(link: LinkId, style: WsLog) -> Self {
        Self { link, style }
    }

    /// A request was read.
    pub(super) fn read(self, id: &str, method: &str) {
        match self.style {
            WsLog::Full => {
                tracing::info!(target: "gateway/ws", conn = %self.link, id, method, "request read");
            }
            WsLog::Auto | WsLog::Compact => {}
        }
    }

    /// It is answered; `took` is known when that was not at once.
    pub(super) fn answered(self, method: &str, answer: &Outgoing, took: Option<Duration>) {
        let ok = answer.is_ok();
        let took = took.unwrap_or_default();
        match self.style {
            WsLog::Auto if took < SLOW => {
                tracing::debug!(target: "gateway/ws", conn = %self.link, method, ok, "request answered");
            }
            WsLog::Auto | WsLog::Full | WsLog::Compact => {
                let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(target: "gateway/ws", conn = %self.link, method, ok, ms, "request answered");
            }
        }
    }
}
