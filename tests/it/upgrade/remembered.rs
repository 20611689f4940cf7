//! What a supervisor knows of failures, of memory and of the instance that it watches outlives its program.

use openclaw_shared::control::{ChildName, InstanceStatus};
use openclaw_shared::recovery::{Rung, Step, WatchedState};
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Instance, of};
use openclaw_tests::process::Signal;
use serde_json::json;

use super::upgrade;

fn steps(status: &InstanceStatus) -> &[Step] {
    &status.fleet.recovery.steps
}

async fn sees(rescue: &Instance, state: WatchedState, falls: u32) -> InstanceStatus {
    rescue
        .until(&format!("it is seen {state}, falls {falls}"), |status| {
            let watch = status.fleet.watch.as_ref();
            watch.is_some_and(|watch| watch.state == state && watch.falls == falls)
        })
        .await
}

#[tokio::test]
async fn failures_memory_and_the_watch_are_known_after_an_upgrade() {
    let main = Home::empty().with_own_programs();
    main.configure(&json!({}));
    let rescue = main.profile("rescue");
    rescue.configure(&json!({ "gateway": {
        "watch": { "profile": "default", "intervalMs": 100 },
        "limits": { "checkMs": 100, "gateway": { "memory": "1MB", "memoryCeiling": "off" } },
    } }));
    let (mut first, second) = tokio::join!(main.launch().ready(), rescue.launch().ready());
    sees(&second, WatchedState::Up, 0).await;
    first.signal(Signal::SIGKILL);
    first.exit_code().await;
    sees(&second, WatchedState::Down, 1).await;
    let mut first = main.launch().ready().await;
    sees(&second, WatchedState::Up, 1).await;
    // Too large, replaced, and too large again: it waits.
    let waits = |status: &InstanceStatus, life| {
        let gateway = of(status, ChildName::Gateway);
        gateway.rung == Rung::BackingOff && gateway.generation >= life
    };
    let first_life = second.child(ChildName::Gateway).await.generation;
    let before = second
        .until("its replacement waits", |status| waits(status, first_life))
        .await;

    rescue.install_again();
    let said = upgrade(&second).await;
    assert_eq!(said.json()["result"], "upgraded", "{said:?}");
    let life = second.child(ChildName::Gateway).await.generation;
    let after = second
        .until("its replacement waits again", |status| waits(status, life))
        .await;
    let (was, is) = (
        before.fleet.watch.as_ref().unwrap(),
        after.fleet.watch.as_ref().unwrap(),
    );
    assert_eq!(
        (is.state, is.since_ms, is.falls),
        (WatchedState::Up, was.since_ms, 1)
    );
    assert!(
        steps(&after).starts_with(steps(&before)),
        "{:?} {:?}",
        steps(&before),
        steps(&after)
    );
    // One that has forgotten would replace the successor at once.
    let replaced: Vec<u64> = (steps(&after).iter())
        .filter(|step| step.rung == Rung::Replaced)
        .map(|step| step.ts)
        .collect();
    assert!(!replaced.is_empty(), "{:?}", steps(&after));
    let waited = |pair: &[u64]| pair[1] - pair[0] >= 60_000;
    assert!(replaced.windows(2).all(waited), "{:?}", steps(&after));

    // And the watch goes on.
    first.signal(Signal::SIGKILL);
    first.exit_code().await;
    sees(&second, WatchedState::Down, 2).await;
}
