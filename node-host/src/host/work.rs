//! What is being done for a gateway: a bounded number of tasks, each known by its request.

use std::sync::Arc;

use openclaw_shared::clock::Moment;
use openclaw_shared::digest;
use openclaw_shared::protocol::params::nodes::NodeInvokeRequestPayload;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use crate::commands::{self, Answer, Happened, Invocation, Refused, Services};
use crate::recent::{Recent, Seen};

/// So many requests are carried out at a time. More are refused, because a queue would only make all of them late.
const AT_ONCE: usize = 16;

/// What is to be sent for a request.
#[derive(Debug)]
pub(super) struct Done {
    /// The requests that are answered with this.
    pub(super) ids: Vec<String>,
    pub(super) answer: Answer,
    pub(super) happened: Option<Happened>,
}

struct Running {
    id: String,
    key: Option<String>,
    task: AbortHandle,
}

/// The tasks of one connection. They end with it.
pub(super) struct Work {
    services: Arc<Services>,
    tasks: JoinSet<(Answer, Option<Happened>)>,
    running: Vec<Running>,
    room: usize,
}

impl Work {
    /// No work yet. `room` is the longest frame that the gateway takes.
    pub(super) fn new(services: Arc<Services>, room: usize) -> Self {
        Self {
            services,
            tasks: JoinSet::new(),
            running: Vec::new(),
            room,
        }
    }

    /// Begins with a request, or says at once what it is answered with.
    pub(super) fn begin(
        &mut self,
        request: NodeInvokeRequestPayload,
        recent: &mut Recent<Answer>,
    ) -> Option<Done> {
        let at_once = |answer: Answer| {
            Some(Done {
                ids: vec![request.id.clone()],
                answer,
                happened: None,
            })
        };
        let key = request
            .idempotency_key
            .clone()
            .filter(|key| !key.is_empty());
        let is_full = self.running.len() >= AT_ONCE;
        if let Some(key) = &key {
            let params = request.params_json.as_deref().unwrap_or_default();
            let asked = format!("{} {params}", request.command);
            let fingerprint = digest::hex(asked.as_bytes());
            match recent.begin(key, &request.id, &fingerprint, Moment::now()) {
                Seen::Fresh if is_full => recent.withdraw(key),
                Seen::Fresh => {}
                Seen::Joined => return None,
                Seen::Answered(answer) => return at_once(answer),
                Seen::Forgotten => {
                    return at_once(Err(Refused::unavailable(
                        "this request was made before, and its answer is gone",
                    )));
                }
                Seen::Misused => {
                    return at_once(Err(Refused::invalid(
                        "INVALID_REQUEST: idempotencyKey belongs to another request",
                    )));
                }
            }
        }
        if is_full {
            return at_once(Err(Refused::unavailable(format!(
                "node busy: {AT_ONCE} commands are being carried out"
            ))));
        }
        let services = Arc::clone(&self.services);
        let invocation = Invocation {
            command: request.command,
            params: request.params_json,
            timeout_ms: request.timeout_ms,
            room: self.room,
        };
        let task = async move { commands::perform(&services, invocation).await };
        self.running.push(Running {
            id: request.id,
            key,
            task: self.tasks.spawn(task),
        });
        None
    }

    /// Ends what nobody waits for any more.
    pub(super) fn cancel(&mut self, id: &str) {
        for running in &self.running {
            if running.id == id {
                running.task.abort();
            }
        }
    }

    /// Waits for something that is done; for ever when there is nothing to do. Cancel-safe.
    pub(super) async fn next(&mut self, recent: &mut Recent<Answer>) -> Done {
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
                        recent.interrupt(key);
                    }
                    continue;
                }
                Err(error) => (Err(failed(&error)), None),
            };
            let ids = match &running.key {
                Some(key) => {
                    let size = answer.as_ref().map_or(0, String::len);
                    recent.finish(key, answer.clone(), size)
                }
                None => vec![running.id],
            };
            return Done {
                ids,
                answer,
                happened,
            };
        }
    }

    /// Ends everything, and remembers that it will have no answer.
    pub(super) async fn end(mut self, recent: &mut Recent<Answer>) {
        for key in self
            .running
            .iter()
            .filter_map(|running| running.key.as_ref())
        {
            recent.interrupt(key);
        }
        self.tasks.shutdown().await;
    }
}

/// A handler that panicked costs its own request only.
fn failed(error: &JoinError) -> Refused {
    tracing::error!(target: "node", %error, "a command has failed in this program");
    Refused::unavailable("the node host failed in carrying this out")
}
