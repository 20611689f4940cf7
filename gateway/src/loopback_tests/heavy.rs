//! Requests that only read, of as much as there may be: everything is served by one thread, so none may keep it for long.

use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::frame::Request;
use openclaw_shared::protocol::scope::{Rights, Role};
use openclaw_shared::transcript::{AssistantMessage, Message, Part};
use serde_json::{Value, json};

use crate::connection::{Caller, Outgoing};
use crate::methods::Called;
use crate::services::sessions::{Conversation, Register};
use crate::services::transcripts;
use crate::store::StoreError;
use crate::testing::{Gateway, connect};

/// How long others may wait, in yardsticks: about 50 ms on the machine where this was measured. Programs that are not optimised are
/// held to what shows that nothing is read again that was read before.
const MOST: u32 = 8;
const SESSIONS: u64 = 10_000;
const MESSAGES: u64 = 3_000;
/// What is read is in memory from the second time on, and a machine that does something else is forgiven.
const TRIES: usize = 5;

#[tokio::test(flavor = "local")]
async fn rule_126_no_request_that_only_reads_keeps_everybody_waiting() {
    let gateway = Gateway::start().await;
    let register = Register::new(gateway.context.settings());
    let main = register.key("main").unwrap();
    let fill = move |tx: &rusqlite::Connection| {
        let entry = register.begin(tx, WallTime::from_millis(1), &main, Conversation::Present)?;
        let said = Message::Assistant(AssistantMessage {
            content: vec![Part::text("many words ".repeat(200))],
            ..AssistantMessage::default()
        });
        for _ in 0..MESSAGES {
            transcripts::append(tx, &entry.session_id, &said)?;
        }
        for at in 1..SESSIONS {
            let key = register.key(&format!("hook:{at}"))?;
            let now = WallTime::from_millis(at);
            register.begin(tx, now, &key, Conversation::Present)?;
        }
        Ok::<_, crate::methods::MethodError>(())
    };
    gateway.context.store.write(fill).await.unwrap();
    // The rows are read once, and then kept.
    took(&gateway, "sessions.list", json!({})).await;
    for (method, params) in [
        ("sessions.list", json!({})),
        (
            "sessions.list",
            json!({"includeDerivedTitles": true, "includeLastMessage": true}),
        ),
        ("sessions.list", json!({"search": "9999"})),
        (
            "chat.history",
            json!({"sessionKey": "main", "limit": 1_000}),
        ),
        ("sessions.export", json!({"key": "main"})),
        ("usage.cost", json!({})),
        ("config.schema", json!({})),
    ] {
        let (mut least, mut yardstick) = (Duration::MAX, Duration::MAX);
        for _ in 0..TRIES {
            // Something changes in between, as it does.
            let touch = |tx: &rusqlite::Connection| {
                tx.execute(
                    "UPDATE sessions SET updated_at = updated_at + 1 WHERE key = 'agent:main:hook:7'",
                    [],
                )?;
                Ok::<_, StoreError>(())
            };
            gateway.context.store.write(touch).await.unwrap();
            least = least.min(took(&gateway, method, params.clone()).await);
            yardstick = yardstick.min(self::yardstick());
        }
        assert!(
            least <= MOST * yardstick,
            "{method} {params}: {least:?}, with a yardstick of {yardstick:?}"
        );
    }
}

/// How long this thread has been at work. Whatever else the machine does meanwhile does not count.
#[cfg(target_os = "linux")]
fn at_work() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    [usage.user_time(), usage.system_time()]
        .map(|time| {
            let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
            Duration::from_micros(micros.unsigned_abs())
        })
        .into_iter()
        .sum()
}

#[cfg(not(target_os = "linux"))]
fn at_work() -> Duration {
    use std::sync::LazyLock;
    static BEGUN: LazyLock<openclaw_shared::clock::Moment> =
        LazyLock::new(openclaw_shared::clock::Moment::now);
    openclaw_shared::clock::Moment::now().since(*BEGUN)
}

/// How long this machine takes at the moment for a piece of work of the same kind that is always the same.
fn yardstick() -> Duration {
    const ROWS: u64 = if cfg!(debug_assertions) {
        2_000
    } else {
        10_000
    };
    let row = |number: u64| json!({"key": format!("agent:main:hook:{number}"), "updatedAt": number, "kind": "direct"});
    let begun = at_work();
    let text = Value::from_iter((0..ROWS).map(row)).to_string();
    let rows: Value = serde_json::from_str(&text).unwrap();
    let took = at_work().saturating_sub(begun);
    assert_eq!(rows.as_array().map(Vec::len), usize::try_from(ROWS).ok());
    took
}

/// How long a method takes that waits for nothing.
async fn took(gateway: &Gateway, method: &str, params: Value) -> Duration {
    let params_of_a_client: ConnectParams = serde_json::from_value(connect()).unwrap();
    let caller = Arc::new(Caller {
        link: gateway.context.hub.number(),
        rights: Rights::new(Role::Operator, ["operator.admin"]),
        device: None,
        agent: None,
        client: params_of_a_client.client,
        presence_key: None,
    });
    let text = json!({"type": "req", "id": "1", "method": method, "params": params}).to_string();
    let request = Request::parse(&text).unwrap();
    let begun = at_work();
    let called = (gateway.context.routes()).call(&gateway.context, &caller, &request);
    let answer = match called {
        Called::Answered(answer) => answer,
        Called::Started(answering) => match answering.await.answer {
            Outgoing::Plain(answer) => answer,
            Outgoing::Failed { error, .. } => Err(error),
        },
    };
    let took = at_work().saturating_sub(begun);
    assert!(answer.is_ok(), "{method} {params}: {answer:?}");
    took
}
