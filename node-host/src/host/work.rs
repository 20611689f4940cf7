//! What is being done for a gateway: a bounded number of tasks, each known by its request.
//!
//! Work outlives the connection it came by, for a while: a gateway that is replaced, or a network that is gone for a moment, costs no
//! command. What ends meanwhile is told as an event when the connection is back, and a request that comes again under the same key is
//! answered with what was done.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::digest;
use openclaw_shared::protocol::params::nodes::NodeInvokeRequestPayload;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::sleep_until;
use tracing::{error, warn};

use crate::commands::{self, Answer, Happened, Invocation, Refused, Services};
use crate::recent::{Recent, Seen};

/// So many requests are carried out at a time. More are refused, because a queue would only make all of them late.
const AT_ONCE: usize = 16;
/// How long commands go on without a connection. Nobody can end them meanwhile, and nobody may ever hear how they ended.
const GRACE: Duration = Duration::from_secs(60);

/// What is to be sent for a request.
#[derive(Debug)]
pub(super) struct Done {
    /// The requests that are answered with this.
    pub(super) ids: Vec<String>,
    pub(super) answer: Answer,
    pub(super) happened: Option<Happened>,
}

struct Running {
    /// Who is answered, unless the key says it.
    id: Option<String>,
    key: Option<String>,
    task: AbortHandle,
}

/// The tasks of this process.
pub(super) struct Work {
    services: Arc<Services>,
    tasks: JoinSet<(Answer, Option<Happened>)>,
    running: Vec<Running>,
    recent: Recent<Answer>,
    /// What was done while there was no connection.
    untold: VecDeque<Done>,
    /// Since when there is no connection.
    alone_since: Option<Moment>,
}

impl Work {
    /// No work yet.
    pub(super) fn new(services: Arc<Services>) -> Self {
        Self {
            services,
            tasks: JoinSet::new(),
            running: Vec::new(),
            recent: Recent::default(),
            untold: VecDeque::new(),
            alone_since: None,
        }
    }

    /// Begins with a request, or says at once what it is answered with. `room` is the longest frame that the gateway takes.
    pub(super) fn begin(&mut self, request: NodeInvokeRequestPayload, room: usize) -> Option<Done> {
        let at_once = |answer: Answer| {
            Some(Done {
                ids: vec![request.id.clone()],
                answer,
                happened: None,
            })
        };
        let unavailable = |text: &str| at_once(Err(Refused::unavailable(text)));
        let key = request
            .idempotency_key
            .clone()
            .filter(|key| !key.is_empty());
        let is_full = self.running.len() >= AT_ONCE;
        if let Some(key) = &key {
            let params = request.params_json.as_deref().unwrap_or_default();
            let asked = format!("{} {params}", request.command);
            let fingerprint = digest::hex(asked.as_bytes());
            match self
                .recent
                .begin(key, &request.id, &fingerprint, Moment::now())
            {
                Seen::Fresh if is_full => self.recent.withdraw(key),
                Seen::Fresh => {}
                Seen::Joined => return None,
                Seen::Crowded => {
                    return unavailable("too many requests wait for the answer to this one");
                }
                Seen::Answered(answer) => return at_once(answer),
                Seen::Forgotten => {
                    return unavailable("this request was made before, and its answer is gone");
                }
                Seen::Misused => {
                    return at_once(Err(Refused::invalid(
                        "INVALID_REQUEST: idempotencyKey belongs to another request",
                    )));
                }
            }
        }
        if is_full {
            return unavailable(&format!(
                "node busy: {AT_ONCE} commands are being carried out"
            ));
        }
        let services = Arc::clone(&self.services);
        let invocation = Invocation {
            command: request.command,
            params: request.params_json,
            timeout_ms: request.timeout_ms,
            room,
        };
        let task = async move { commands::perform(&services, invocation).await };
        self.running.push(Running {
            id: Some(request.id),
            key,
            task: self.tasks.spawn(task),
        });
        None
    }

    /// Ends what nobody waits for any more.
    pub(super) fn cancel(&mut self, id: &str) {
        for running in &self.running {
            let is_left = match &running.key {
                Some(key) => self.recent.stop_waiting(key, id),
                None => running.id.as_deref() == Some(id),
            };
            if is_left {
                running.task.abort();
            }
        }
    }

    /// Waits for something to be told; for ever when there is nothing to do. Cancel-safe.
    pub(super) async fn next(&mut self) -> Done {
        match self.untold.pop_front() {
            Some(done) => done,
            None => self.done().await,
        }
    }

    /// Waits for something that is done, and remembers its answer. Cancel-safe.
    async fn done(&mut self) -> Done {
        loop {
            let Some(ended) = self.tasks.join_next_with_id().await else {
                std::future::pending::<()>().await;
                continue;
            };
            let task = match &ended {
                Ok((task, _)) => *task,
                Err(error) => error.id(),
            };
            let Some(at) = self
                .running
                .iter()
                .position(|other| other.task.id() == task)
            else {
                continue;
            };
            let running = self.running.swap_remove(at);
            let (answer, happened) = match ended {
                Ok((_, done)) => done,
                Err(error) if error.is_cancelled() => {
                    if let Some(key) = &running.key {
                        self.recent.interrupt(key, Moment::now());
                    }
                    continue;
                }
                Err(error) => (Err(failed(&error)), None),
            };
            let ids = match &running.key {
                Some(key) => {
                    let size = answer.as_ref().map_or_else(Refused::size, String::len);
                    self.recent.finish(key, answer.clone(), size, Moment::now())
                }
                None => running.id.into_iter().collect(),
            };
            return Done {
                ids,
                answer,
                happened,
            };
        }
    }

    /// There is a connection.
    pub(super) fn join(&mut self) {
        self.alone_since = None;
    }

    /// There is no connection any more. What was asked for on it is answered to whoever asks again; without a key nobody can.
    pub(super) fn leave(&mut self) {
        self.alone_since = Some(Moment::now());
        self.recent.forget_waiting();
        for running in &mut self.running {
            running.id = None;
        }
    }

    /// Waits for ever, and ends everything when there was no connection for too long. Cancel-safe.
    pub(super) async fn alone(&mut self) -> Infallible {
        if let Some(since) = self.alone_since {
            let over = sleep_until((since + GRACE).into_std().into());
            tokio::pin!(over);
            loop {
                tokio::select! {
                    done = self.done() => self.tell_later(done),
                    () = &mut over => break,
                }
            }
            if !self.running.is_empty() {
                warn!(target: "node", "commands are ended, because the gateway was away for too long");
                self.end().await;
            }
        }
        std::future::pending().await
    }

    /// Keeps what is to be told besides an answer, which nobody waits for any more.
    fn tell_later(&mut self, done: Done) {
        if self.untold.len() >= AT_ONCE {
            self.untold.pop_front();
        }
        self.untold.push_back(Done {
            ids: Vec::new(),
            answer: Ok(String::new()),
            happened: done.happened,
        });
    }

    /// Ends everything, and remembers that it will have no answer.
    pub(super) async fn end(&mut self) {
        let now = Moment::now();
        for key in self.running.drain(..).filter_map(|running| running.key) {
            self.recent.interrupt(&key, now);
        }
        self.tasks.shutdown().await;
    }
}

/// A handler that panicked costs its own request only.
fn failed(error: &JoinError) -> Refused {
    error!(target: "node", %error, "a command has failed in this program");
    Refused::unavailable("the node host failed in carrying this out")
}

#[cfg(test)]
mod tests {
    use openclaw_exec::environment::HostEnvironment;
    use openclaw_exec::keeper::Keeper;
    use openclaw_shared::instance::Environment;
    use openclaw_shared::paths::StatePaths;
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    fn work(folder: &TempDir) -> Work {
        let file = json!({"version": 1, "defaults": {"security": "full"}});
        std::fs::write(folder.path().join("exec-approvals.json"), file.to_string()).unwrap();
        let pairs = [("PATH", "/usr/bin:/bin")];
        let host = HostEnvironment::of(&Environment::from_pairs(pairs, folder.path()), None);
        let keeper = Keeper::at(crate::commands::testing::program());
        Work::new(Arc::new(Services::new(
            host,
            StatePaths(folder.path()),
            keeper,
        )))
    }

    fn ask(work: &mut Work, key: &str, id: &str, command: &[&str]) -> Option<Answer> {
        let params = json!({ "command": command }).to_string();
        let request = json!({"id": id, "nodeId": "n", "command": "system.run", "paramsJSON": params,
            "idempotencyKey": key});
        let request = serde_json::from_value(request).unwrap();
        work.begin(request, 524_288).map(|done| done.answer)
    }

    fn answer(work: &mut Work, id: &str) -> Option<Answer> {
        ask(work, "k", id, &["sleep", "600"])
    }

    #[tokio::test]
    async fn what_ends_while_the_gateway_is_away_is_told_when_it_is_back() {
        let folder = TempDir::new().unwrap();
        let mut work = work(&folder);
        assert_eq!(ask(&mut work, "short", "1", &["echo", "hi"]), None);
        work.leave();
        let told = async {
            while work.untold.is_empty() {
                // The wait is dropped again and again, as it is between two attempts to connect.
                let moment = Duration::from_millis(5);
                let _ = tokio::time::timeout(moment, work.alone()).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), told)
            .await
            .unwrap();
        let answer = ask(&mut work, "short", "2", &["echo", "hi"]).unwrap();
        assert!(answer.unwrap().contains(r#""stdout":"hi\n""#));
        let done = work.next().await;
        assert!(done.ids.is_empty());
        assert_eq!(done.happened.unwrap().event, "exec.finished");
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_is_there_is_waited_for() {
        let folder = TempDir::new().unwrap();
        let mut work = work(&folder);
        work.leave();
        work.join();
        assert_eq!(answer(&mut work, "1"), None);
        assert!(tokio::time::timeout(GRACE * 2, work.alone()).await.is_err());
        assert_eq!(answer(&mut work, "2"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_stays_away_costs_its_commands() {
        let folder = TempDir::new().unwrap();
        let mut work = work(&folder);
        assert_eq!(answer(&mut work, "1"), None);
        work.leave();
        let moment = Duration::from_secs(1);
        assert!(
            tokio::time::timeout(GRACE - moment, work.alone())
                .await
                .is_err()
        );
        assert_eq!(answer(&mut work, "2"), None);
        assert!(
            tokio::time::timeout(moment * 2, work.alone())
                .await
                .is_err()
        );
        let gone = Refused::unavailable("this request was made before, and its answer is gone");
        assert_eq!(answer(&mut work, "3"), Some(Err(gone)));
        assert!(work.tasks.is_empty());
    }
}
