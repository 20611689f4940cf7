//! Letting a client in: its presence, its `hello-ok`, and from then on its events.

use std::sync::Arc;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::PROTOCOL_VERSION;
use openclaw_shared::protocol::event;
use openclaw_shared::protocol::hello::{Features, HelloOk, HelloType, Policy, ServerInfo};
use openclaw_shared::protocol::method;
use openclaw_shared::protocol::snapshot::Snapshot;

use super::handshake::Admission;
use super::link::{Admitted, AdmittedBy, Link};
use super::{Arrival, Caller, queue_answer};
use crate::context::Context;
use crate::prepared::Prepared;
use crate::services::presence::Arrived;

/// Queues the `hello-ok` and admits the client to the hub, in this order: no event comes before the hello.
pub(super) fn welcome(
    context: &Context,
    link: &Arc<Link>,
    admission: Admission,
    arrival: &Arrival,
) -> Arc<Caller> {
    let conn_id = uuid::Uuid::new_v4().to_string();
    let Admission {
        id,
        params,
        scopes,
        rights,
        device,
    } = admission;
    let client = params.client;
    let arrived = Arrived {
        conn_id: &conn_id,
        client: &client,
        device: device.as_deref(),
        role: rights.role(),
        scopes: &scopes,
        address: arrival.address.filter(|_| !arrival.is_local),
    };
    let presence_key = context.presence(|presence| presence.connect(WallTime::now(), arrived));
    tracing::info!(
        target: "gateway/ws",
        conn = %link.id,
        conn_id,
        client = %client.id,
        mode = %client.mode,
        version = %client.version,
        role = %rights.role(),
        "client connected"
    );
    let hello = Prepared::new(&hello(context, conn_id, arrival));
    queue_answer(&mut link.state().outbound, &id, &Ok(hello.json().clone()));
    let device: Option<Arc<str>> = device.map(Arc::from);
    context.hub.admit(
        link,
        Admitted {
            rights,
            by: AdmittedBy::Secret(context.secret_generation()),
            device: device.clone(),
        },
    );
    context.health_is_stale();
    Arc::new(Caller {
        link: link.id,
        rights,
        device,
        client,
        presence_key,
    })
}

fn hello(context: &Context, conn_id: String, arrival: &Arrival) -> HelloOk {
    let now = WallTime::now();
    let settings = context.settings();
    HelloOk {
        kind: HelloType::HelloOk,
        protocol: PROTOCOL_VERSION,
        server: ServerInfo {
            version: context.instance.version.clone(),
            host: Some(context.machine.host.clone()),
            conn_id,
        },
        features: Features {
            methods: method::features().map(str::to_owned).collect(),
            events: event::features().map(str::to_owned).collect(),
        },
        snapshot: Snapshot {
            presence: context.presence(|presence| presence.list(now)).raw(),
            health: context.health(|health| health.summary(now)).raw(),
            state_version: context.state_version(),
            uptime_ms: u64::try_from(Moment::now().since(context.started).as_millis())
                .unwrap_or(u64::MAX),
            config_path: Some(
                context
                    .instance
                    .identity
                    .display(&context.instance.identity.config_path),
            ),
            state_dir: Some(
                context
                    .instance
                    .identity
                    .display(&context.instance.identity.state_dir),
            ),
            session_defaults: Some(settings.session_defaults()),
        },
        canvas_host_url: arrival.canvas_host_url.clone(),
        // A device gets a token of its own when devices can be paired.
        auth: None,
        policy: Policy::default(),
    }
}
