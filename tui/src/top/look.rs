//! One look: what the supervisor and the gateway say at this moment.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_client::{As, Client, Gateway};
use openclaw_shared::clock::Moment;
use openclaw_shared::control::{CliReply, CliRequest, FleetStatus, InstanceStatus};
use openclaw_shared::ipc;
use openclaw_shared::ipc::codec::{MessageReader, write_message};
use openclaw_shared::protocol::params::activity::Activity;
use openclaw_shared::protocol::snapshot::PresenceEntry;
use openclaw_shared::tui::TopLaunch;
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long one of the two may take to answer. Who watches wants to see that it does not.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// What was seen.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// When.
    pub(crate) at: Moment,
    /// The supervisor, or why not.
    pub(crate) supervisor: Result<InstanceStatus, String>,
    /// The gateway, or why not.
    pub(crate) gateway: Result<Seen, String>,
}

/// What the gateway said.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) activity: Activity,
    pub(crate) presence: Vec<PresenceEntry>,
    /// The children, as the gateway knows them: all there is of an instance on another machine.
    pub(crate) fleet: Option<FleetStatus>,
}

impl Look {
    /// Why nothing was seen at all, if so.
    pub(crate) fn is_blind(&self) -> Option<&str> {
        match (&self.supervisor, &self.gateway) {
            (Err(_), Err(why)) => Some(why),
            _ => None,
        }
    }

    /// The children.
    pub(crate) fn fleet(&self) -> Option<&FleetStatus> {
        let of_supervisor = self.supervisor.as_ref().ok().map(|it| &it.fleet);
        let of_gateway = self.gateway.as_ref().ok().and_then(|it| it.fleet.as_ref());
        of_supervisor.or(of_gateway)
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let supervisor = match &self.supervisor {
            Ok(status) => json!({
                "reachable": true,
                "pid": status.pid,
                "version": status.version,
                "uptimeMs": status.uptime_ms,
                "listening": status.listening,
                "fleet": status.fleet,
            }),
            Err(why) => json!({ "reachable": false, "error": why }),
        };
        let gateway = match &self.gateway {
            Ok(seen) => json!({
                "reachable": true,
                "activity": seen.activity,
                "presence": seen.presence,
                "fleet": seen.fleet,
            }),
            Err(why) => json!({ "reachable": false, "error": why }),
        };
        json!({ "supervisor": supervisor, "gateway": gateway })
    }
}

/// Where it is looked.
#[derive(Debug)]
pub(crate) struct Sources {
    supervisor: Option<PathBuf>,
    gateway: Gateway,
    client: Option<Client>,
}

impl Sources {
    pub(crate) fn of(launch: &TopLaunch) -> Self {
        Self {
            supervisor: launch.supervisor.clone(),
            gateway: Gateway {
                url: launch.url.clone(),
                token: launch.token.clone(),
                password: launch.password.clone(),
                secret_is_given: launch.secret_is_given,
                is_ours: launch.is_ours,
                identity: launch.identity.clone(),
            },
            client: None,
        }
    }

    /// Looks once.
    pub(crate) async fn look(mut self) -> (Self, Look) {
        let socket = self.supervisor.clone();
        let supervisor = async {
            match &socket {
                Some(socket) => match timeout(PATIENCE, status(socket)).await {
                    Ok(answer) => answer,
                    Err(_) => Err("it does not answer in time".to_owned()),
                },
                None => Err("it is on another machine".to_owned()),
            }
        };
        let (supervisor, gateway) = tokio::join!(supervisor, self.ask_gateway());
        let look = Look {
            at: Moment::now(),
            supervisor,
            gateway,
        };
        (self, look)
    }

    async fn ask_gateway(&mut self) -> Result<Seen, String> {
        let asked = self.try_gateway().await;
        if asked.is_err() {
            self.client = None;
        }
        asked
    }

    async fn try_gateway(&mut self) -> Result<Seen, String> {
        let is_here = self.supervisor.is_some();
        let client = match &mut self.client {
            Some(client) => {
                client.allow(PATIENCE);
                client
            }
            none => {
                let client = Client::connect(&self.gateway, As::Cli, PATIENCE).await;
                none.insert(client.map_err(|error| error.to_string())?)
            }
        };
        let activity = ask(client, "activity").await?;
        let presence = ask(client, "system-presence").await?;
        let fleet = match is_here {
            true => None,
            false => {
                let health: Value = ask(client, "health").await?;
                serde_json::from_value(health["supervisor"].clone()).ok()
            }
        };
        Ok(Seen {
            activity,
            presence,
            fleet,
        })
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        if let Some(client) = &mut self.client {
            // The connection ends either way.
            let _ = timeout(GOODBYE, client.close()).await;
        }
    }
}

async fn ask<T: serde::de::DeserializeOwned>(
    client: &mut Client,
    method: &str,
) -> Result<T, String> {
    let answer = client.call(method, &json!({}), false).await;
    let answer = answer.map_err(|error| error.to_string())?;
    serde_json::from_value(answer).map_err(|_| format!("its answer to {method} cannot be read"))
}

/// Asks the supervisor what runs.
async fn status(socket: &Path) -> Result<InstanceStatus, String> {
    let exchange = async {
        let stream = ipc::connect(socket).await?;
        ipc::check_peer(&stream)?;
        let (receive, mut send) = tokio::io::split(stream);
        write_message(&mut send, &CliRequest::Status).await?;
        MessageReader::new(receive).next::<CliReply>().await
    };
    let nobody = "the instance does not run".to_owned();
    match exchange.await {
        Ok(Some(CliReply::Status(status))) => Ok(*status),
        Ok(Some(CliReply::Failed { message })) => Err(message),
        Ok(Some(CliReply::Done { .. } | CliReply::Written { .. } | CliReply::Upgrade(_))) => {
            Err("it answers something else".to_owned())
        }
        Ok(None) => Err(nobody),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Err(nobody)
        }
        Err(error) => Err(error.to_string()),
    }
}
