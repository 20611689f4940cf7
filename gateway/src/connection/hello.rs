//! Letting a client in: its presence, its `hello-ok`, and from then on its events.

use std::sync::Arc;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::PROTOCOL_VERSION;
use openclaw_shared::protocol::event;
use openclaw_shared::protocol::hello::{
    Features, HelloAuth, HelloOk, HelloType, Policy, ServerInfo,
};
use openclaw_shared::protocol::method;
use openclaw_shared::protocol::scope::Role;
use openclaw_shared::protocol::snapshot::Snapshot;

use super::handshake::Admission;
use super::link::{Admitted, AdmittedBy, Link};
use super::{Arrival, Caller, queue_answer};
use crate::context::Context;
use crate::limits::largest_message;
use crate::nodes;
use crate::prepared::Prepared;
use crate::runs;
use crate::services::devices::standing::Proof;
use crate::services::presence::Arrived;

/// Queues the `hello-ok` and admits the client to the hub, in this order: no event comes before the hello.
pub(super) fn welcome(
    context: &Context,
    link: &Arc<Link>,
    admission: Admission,
    secret_generation: u64,
    arrival: &Arrival,
) -> Arc<Caller> {
    let conn_id = uuid::Uuid::new_v4().to_string();
    let Admission {
        id,
        params,
        scopes,
        rights,
        by,
        device,
        token,
    } = admission;
    let client = params.client.clone();
    if let Some(ask) = &device {
        context.sightings(|sightings| sightings.note(ask, by, WallTime::now()));
    }
    let device: Option<Arc<str>> = device.map(|ask| ask.device.into());
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
    let hello = Prepared::new(&hello(context, conn_id, token, arrival, rights.role()));
    queue_answer(
        &mut link.state().outbound,
        &id,
        &Ok(hello.json().clone()).into(),
    );
    context.hub.admit(
        link,
        Admitted {
            rights,
            by: match by {
                Proof::Secret => AdmittedBy::Secret(secret_generation),
                Proof::Tailnet => AdmittedBy::Tailnet,
                Proof::DeviceToken => AdmittedBy::DeviceToken,
            },
            device: device.clone(),
        },
    );
    if let (Role::Node, Some(node)) = (rights.role(), &device) {
        let address = arrival.address.filter(|_| !arrival.is_local);
        nodes::arrive(
            context,
            link,
            node,
            &params,
            address.map(|address| address.to_string()),
        );
    }
    if rights.role() == Role::Operator {
        runs::tell_latecomer(context, link.id);
    }
    context.health_is_stale();
    Arc::new(Caller {
        link: link.id,
        rights,
        device,
        agent: None,
        client,
        presence_key,
    })
}

fn hello(
    context: &Context,
    conn_id: String,
    token: Option<HelloAuth>,
    arrival: &Arrival,
    role: Role,
) -> HelloOk {
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
            health: context.health_summary().raw(),
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
        auth: token,
        policy: Policy {
            max_payload: largest_message(role) as u64,
            ..Policy::default()
        },
    }
}
