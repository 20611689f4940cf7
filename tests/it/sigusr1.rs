//! SIGUSR1 replaces every child, when the owner has allowed it, and does nothing at all when not.

use openclaw_shared::control::{ChildName, ChildState, InstanceStatus};
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Instance, of, pid};
use openclaw_tests::load::Load;
use openclaw_tests::process::{self, Signal};
use serde_json::json;

const IGNORED: &str = "SIGUSR1 restart ignored (not authorized; enable commands.restart or use `openclaw gateway restart`)";

async fn allowed() -> Instance {
    let home = Home::empty();
    home.configure(&json!({ "commands": { "restart": true } }));
    home.launch().ready().await
}

async fn replaced(instance: &Instance, before: &InstanceStatus) -> InstanceStatus {
    instance
        .until("every child was replaced", |status| {
            ChildName::ALL.into_iter().all(|child| {
                let (before, now) = (of(before, child), of(status, child));
                now.generation > before.generation && now.state == ChildState::Active
            })
        })
        .await
}

#[tokio::test]
async fn sigusr1_replaces_every_child_without_a_gap_when_it_is_allowed() {
    let instance = allowed().await;
    let load = Load::start(10, &instance.target()).await;
    let (served, before) = (load.served(), instance.status().await);
    instance.signal(Signal::SIGUSR1);
    let after = replaced(&instance, &before).await;
    assert_eq!(after.pid, before.pid, "the supervisor stays");
    load.served_anew(&served).await;
    let tally = load.stop().await;
    assert_eq!(
        (tally.refused, tally.reset, tally.cut, tally.lost),
        (0, 0, 0, 0),
        "{tally:?}"
    );
}

#[tokio::test]
async fn sigusr1_to_a_child_is_passed_on() {
    let instance = allowed().await;
    for child in ChildName::ALL {
        let before = instance.status().await;
        process::send(pid(&of(&before, child)).unwrap(), Signal::SIGUSR1);
        replaced(&instance, &before).await;
    }
}

#[tokio::test]
async fn rule_115_sigusr1_does_nothing_when_it_is_not_allowed() {
    let instance = Home::new().launch().ready().await;
    let before = instance.status().await;
    let mut all = vec![instance.pid()];
    all.extend(before.fleet.children.iter().filter_map(pid));
    for (count, target) in all.into_iter().enumerate() {
        process::send(target, Signal::SIGUSR1);
        let log = instance.home().log();
        openclaw_tests::eventually::eventually("the refusal is logged", async || {
            let refusals = log.with_text(IGNORED).len();
            if refusals > count {
                Ok(())
            } else {
                Err(refusals.to_string())
            }
        })
        .await;
    }
    let after = instance.status().await;
    for child in ChildName::ALL {
        assert_eq!(of(&before, child).pid, of(&after, child).pid);
    }
    assert_eq!(after.pid, before.pid);
}

#[tokio::test]
async fn the_permission_counts_as_soon_as_it_is_given() {
    let home = Home::new();
    let instance = home.launch().ready().await;
    let before = instance.status().await;
    home.configure(&json!({ "commands": { "restart": true } }));
    instance
        .until("the permission is in force", |status| {
            status.fleet.config.hash != before.fleet.config.hash
        })
        .await;
    instance.signal(Signal::SIGUSR1);
    replaced(&instance, &before).await;
}

#[tokio::test]
async fn a_restart_by_command_needs_no_permission() {
    let instance = Home::new().launch().ready().await;
    let before = instance.status().await;
    let said = instance.home().run(&["gateway", "restart"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    replaced(&instance, &before).await;
}
