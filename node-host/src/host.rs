//! The life of a node: connect, serve, and connect again until it is told to stop. Work goes on in between, for a while.

use std::cell::Cell;
use std::time::Duration;

use openclaw_shared::backoff::Backoff;
use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::identity::{DeviceIdentity, DeviceToken, DeviceTokens};
use openclaw_shared::node_host::NodeLaunch;
use openclaw_shared::protocol::scope::Role;
use tracing::{info, warn};

use crate::commands::Services;
use crate::node_file::NodeFile;
use crate::report::{Report, State};
use crate::stop::Stop;

mod admission;
mod session;
mod work;

use admission::{Credential, Refusal};
use work::Work;

const BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(30),
};
/// Within this time all nodes are with a gateway's successor.
const SUCCESSION: Duration = Duration::from_millis(250);
/// A connection that lasted so long was no failure.
const HEALTHY: Duration = Duration::from_secs(10);

/// A node, as it is between connections.
pub(crate) struct Host {
    pub(crate) launch: NodeLaunch,
    pub(crate) node: NodeFile,
    pub(crate) identity: DeviceIdentity,
    pub(crate) tokens: DeviceTokens,
    pub(crate) services: std::sync::Arc<Services>,
    pub(crate) report: Report,
    /// Whether the gateway has let this process in.
    pub(crate) was_admitted: Cell<bool>,
}

/// How one connection, or the attempt at one, came to its end.
#[derive(Debug)]
enum End {
    /// This process is to stop.
    Stopped,
    /// It was never opened, or was closed.
    Lost(String),
    /// The gateway has a successor, which serves already.
    Replaced,
    /// The gateway did not let the node in.
    Refused(Refusal),
}

impl Host {
    /// Serves until it is told to stop.
    pub(crate) async fn run(self, stop: &mut Stop) {
        let mut failures = 0;
        let mut asked_for = None;
        let mut work = Work::new(std::sync::Arc::clone(&self.services));
        loop {
            let credential = self.credential();
            let url = self.launch.url.clone();
            self.report.say(&State::Connecting { url });
            let began = Moment::now();
            let end = session::run(&self, &mut work, &credential, stop).await;
            if Moment::now().since(began) >= HEALTHY {
                failures = 0;
            }
            failures += 1;
            let mut delay = BACKOFF.delay(failures, jitter());
            match end {
                End::Stopped => break,
                End::Replaced => {
                    let reason = "the gateway restarts".to_owned();
                    info!(target: "node", reason, "not connected to the gateway");
                    self.report.say(&State::Disconnected { reason });
                    // One that restarts all the time is no successor to hurry to.
                    if failures == 1 {
                        delay = SUCCESSION.mul_f64(jitter());
                    }
                }
                End::Lost(reason) => {
                    warn!(target: "node", reason, "not connected to the gateway");
                    self.report.say(&State::Disconnected { reason });
                }
                End::Refused(Refusal::Pairing { request_id }) => {
                    // The same request is said once, however often it is waited for.
                    if asked_for.as_ref() != Some(&request_id) {
                        info!(target: "node", request_id, "this node waits to be let in");
                        asked_for = Some(request_id.clone());
                        self.report.say(&State::PairingRequired { request_id });
                    }
                }
                End::Refused(Refusal::Credential(message)) => {
                    warn!(target: "node", message, "the gateway does not let this node in");
                    self.report.say(&State::NotAdmitted { message });
                    if self.forget_stale(&credential) {
                        continue;
                    }
                }
                End::Refused(Refusal::Other(message)) => {
                    warn!(target: "node", message, "the gateway does not let this node in");
                    self.report.say(&State::NotAdmitted { message });
                }
            }
            let after_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            self.report.say(&State::Retrying { after_ms });
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = stop.asked() => break,
                never = work.alone() => match never {},
            }
        }
        work.end().await;
        info!(target: "node", "the node host has stopped");
        self.report.say(&State::Stopped);
    }

    /// A secret that was given for this start, until it has let the node in, so that a wrong one shows; else the token that this
    /// gateway has issued, which outlives a change of the shared secret; else that secret.
    fn credential(&self) -> Credential {
        if self.launch.secret_is_given && !self.was_admitted.get() {
            return self.shared_secret();
        }
        match self.tokens.get_or_unnamed(&self.launch.url, Role::Node) {
            Ok(Some(issued)) => return Credential::Issued(issued.token),
            Ok(None) => {}
            Err(error) => self.odd(&format!("cannot {error}")),
        }
        self.shared_secret()
    }

    fn shared_secret(&self) -> Credential {
        if self.launch.token.is_none() && self.launch.password.is_none() {
            return Credential::None;
        }
        Credential::Shared {
            token: self.launch.token.clone(),
            password: self.launch.password.clone(),
        }
    }

    /// Forgets an issued token that was refused, if there is another secret to try. Says whether there is.
    fn forget_stale(&self, refused: &Credential) -> bool {
        let is_issued = matches!(refused, Credential::Issued(_));
        let has_shared = self.launch.token.is_some() || self.launch.password.is_some();
        if !is_issued || !has_shared {
            return false;
        }
        match self.tokens.forget(Role::Node) {
            Ok(()) => true,
            Err(error) => {
                self.odd(&format!("cannot {error}"));
                false
            }
        }
    }

    fn keep_issued(&self, issued: &DeviceToken) {
        let kept = self
            .tokens
            .keep(&self.launch.url, Role::Node, issued, WallTime::now());
        if let Err(error) = kept {
            self.odd(&format!("cannot {error}"));
        }
    }

    fn odd(&self, message: &str) {
        warn!(target: "node", message, "the node host goes on without");
        let message = message.to_owned();
        self.report.say(&State::Odd { message });
    }
}

/// A number from 0 to 1.
fn jitter() -> f64 {
    let mut random = [0; 4];
    // Without randomness several nodes come back in step, which is only less good.
    let _ = getrandom::fill(&mut random);
    f64::from(u32::from_ne_bytes(random)) / f64::from(u32::MAX)
}
