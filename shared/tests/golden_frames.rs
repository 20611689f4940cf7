//! Frames as they were captured on the wire of the existing product, in `tests/golden/frames`: our types read each without
//! loss, down to the order of its keys.
#![expect(
    clippy::unwrap_used,
    reason = "everything in here is a test, also what is not marked as one"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::event::{
    ChallengePayload, HeartbeatPayload, PresencePayload, ShutdownPayload, TickPayload,
};
use openclaw_shared::protocol::frame::{EventShape, RequestShape, ResponseShape};
use openclaw_shared::protocol::hello::HelloOk;
use openclaw_shared::protocol::params::agent_runs::{
    AgentParams, AgentPayload, AgentReply, AgentWaitReply,
};
use openclaw_shared::protocol::params::agents::{AgentIdentityReply, AgentsListReply};
use openclaw_shared::protocol::params::channels::ChannelsStatusReply;
use openclaw_shared::protocol::params::chat::{
    ChatAbortReply, ChatHistoryReply, ChatPayload, ChatSendReply,
};
use openclaw_shared::protocol::params::cron::{CronEventPayload, CronJob};
use openclaw_shared::protocol::params::devices::{PendingDevice, PendingNode};
use openclaw_shared::protocol::params::health::HealthSummary;
use openclaw_shared::protocol::params::nodes::{
    NodeInvokeReply, NodeInvokeRequestPayload, NodeListReply,
};
use openclaw_shared::protocol::params::voicewake::VoicewakeTriggers;
use openclaw_shared::protocol::snapshot::PresenceEntry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/frames")
}

fn read(name: &str) -> String {
    let path = folder().join(format!("{name}.json"));
    let text = fs::read_to_string(&path);
    text.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .trim_end()
        .to_owned()
}

/// A text goes through a type and comes out as it was.
#[track_caller]
fn through<T: Serialize + DeserializeOwned>(name: &str, text: &str) {
    let read: T =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
    assert_eq!(serde_json::to_string(&read).unwrap(), text, "{name}");
}

/// The frame goes through its shape, and what it carries under `key` through `T`.
fn check<F, T>(name: &str, key: &str)
where
    F: Serialize + DeserializeOwned,
    T: Serialize + DeserializeOwned,
{
    let text = read(name);
    through::<F>(name, &text);
    let frame: Value = serde_json::from_str(&text).unwrap();
    through::<T>(name, &frame[key].to_string());
}

fn event<T: Serialize + DeserializeOwned>(name: &str) {
    check::<EventShape, T>(name, "payload");
}

fn reply<T: Serialize + DeserializeOwned>(name: &str) {
    check::<ResponseShape, T>(name, "payload");
}

fn request<T: Serialize + DeserializeOwned>(name: &str) {
    check::<RequestShape, T>(name, "params");
}

/// The same as to what is said; the order of the keys is the sender's, or differs between captures.
fn in_any_order<T: Serialize + DeserializeOwned>(name: &str) {
    let frame: Value = serde_json::from_str(&read(name)).unwrap();
    let key = if name.starts_with("req.") {
        "params"
    } else {
        "payload"
    };
    let read: T = serde_json::from_value(frame[key].clone())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), frame[key], "{name}");
}

/// What channels add of their own is not kept: no channel of ours says it yet.
fn channels(name: &str) {
    let frame: Value = serde_json::from_str(&read(name)).unwrap();
    let read = serde_json::from_value::<ChannelsStatusReply>(frame["payload"].clone());
    assert!(read.is_ok(), "{name}: {read:?}");
}

type Case = (&'static str, fn(&str));

const CASES: &[Case] = &[
    ("event.agent.assistant", event::<AgentPayload>),
    ("event.agent.lifecycle-end", event::<AgentPayload>),
    ("event.agent.lifecycle-start", event::<AgentPayload>),
    ("event.agent.tool-result", event::<AgentPayload>),
    ("event.agent.tool-start", event::<AgentPayload>),
    ("event.agent.tool-update", event::<AgentPayload>),
    ("event.chat.aborted", event::<ChatPayload>),
    ("event.chat.delta", event::<ChatPayload>),
    ("event.chat.final", event::<ChatPayload>),
    ("event.chat.final-without-text", event::<ChatPayload>),
    ("event.connect.challenge", event::<ChallengePayload>),
    ("event.cron", event::<CronEventPayload>),
    ("event.device.pair.requested", event::<PendingDevice>),
    ("event.heartbeat", event::<HeartbeatPayload>),
    (
        "event.node.invoke.request",
        event::<NodeInvokeRequestPayload>,
    ),
    (
        "event.node.invoke.request.from-nodes",
        in_any_order::<NodeInvokeRequestPayload>,
    ),
    ("event.node.pair.requested", event::<PendingNode>),
    ("event.presence", event::<PresencePayload>),
    ("event.shutdown.restart", event::<ShutdownPayload>),
    ("event.shutdown.stop", event::<ShutdownPayload>),
    ("event.tick", event::<TickPayload>),
    ("req.agent", request::<AgentParams>),
    ("req.connect.control-ui", in_any_order::<ConnectParams>),
    ("req.connect.node", in_any_order::<ConnectParams>),
    ("res.agent.accepted", reply::<AgentReply>),
    ("res.agent.failed", reply::<AgentReply>),
    ("res.agent.finished", reply::<AgentReply>),
    ("res.agent.identity.get", reply::<AgentIdentityReply>),
    ("res.agent.wait.done", reply::<AgentWaitReply>),
    ("res.agent.wait.timeout", reply::<AgentWaitReply>),
    ("res.agents.list", reply::<AgentsListReply>),
    ("res.channels.status", channels),
    ("res.chat.abort", reply::<ChatAbortReply>),
    ("res.chat.history", reply::<ChatHistoryReply>),
    ("res.chat.send", reply::<ChatSendReply>),
    ("res.connect.hello-ok", reply::<HelloOk>),
    ("res.connect.pairing-required", bare::<ResponseShape>),
    ("res.cron.add", reply::<CronJob>),
    ("res.error.no-object", bare::<ResponseShape>),
    ("res.error.second-connect", bare::<ResponseShape>),
    ("res.error.unknown-method", bare::<ResponseShape>),
    ("res.health", health),
    ("res.node.invoke", reply::<NodeInvokeReply>),
    ("res.node.list", reply::<NodeListReply>),
    ("res.node.list.row-of-protocol", reply::<NodeListReply>),
    ("res.system-presence", in_any_order::<Vec<PresenceEntry>>),
    ("res.voicewake.get", reply::<VoicewakeTriggers>),
];

/// A frame without a payload.
fn bare<F: Serialize + DeserializeOwned>(name: &str) {
    through::<F>(name, &read(name));
}

/// The existing product has no supervisor; what ours says about itself comes last.
fn health(name: &str) {
    let mut frame: Value = serde_json::from_str(&read(name)).unwrap();
    frame["payload"]["supervisor"] = json!({
        "config": {"state": "ok", "path": "~/openclaw.json", "hash": null, "error": null, "warnings": []}, "children": [],
        "recovery": {"rung": "well", "steps": []}
    });
    through::<HealthSummary>(name, &frame["payload"].to_string());
}

#[test]
fn captured_frames_go_through_our_types_without_loss() {
    let mut lossy = Vec::new();
    for (name, check) in CASES {
        if std::panic::catch_unwind(|| check(name)).is_err() {
            lossy.push(*name);
        }
    }
    assert!(lossy.is_empty(), "see above: {lossy:?}");
}

#[test]
fn every_captured_frame_is_looked_at() {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let cases = CASES.iter().map(|(name, _)| format!("{name}.json"));
    assert_eq!(files, cases.collect());
}
