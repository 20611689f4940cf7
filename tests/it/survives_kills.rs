//! Kill -9 of any process, in any phase of its life: the instance serves on, or is gone without a trace and can be started again.

use std::time::Duration;

use openclaw_shared::control::{ChildName, ChildState, CliRequest};
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::{Stub, freeze, has_become, kill, misbehave, thaw};
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Instance, pid};
use openclaw_tests::process::{self, Signal};
use serde_json::json;

/// The processes of all lives of a child, by the supervisor's word for the one that serves and by kinship for the others.
async fn successor_of(instance: &Instance, known: &[i32]) -> i32 {
    eventually("a successor lives", async || {
        let children = process::children_of(instance.pid());
        let mut new = children.iter().filter(|child| !known.contains(&child.pid));
        new.next()
            .map(|child| child.pid)
            .ok_or_else(|| format!("{children:?}"))
    })
    .await
}

async fn pids(instance: &Instance) -> Vec<i32> {
    instance
        .status()
        .await
        .fleet
        .children
        .iter()
        .filter_map(pid)
        .collect()
}

async fn serves(instance: &Instance) {
    instance
        .client()
        .await
        .call("status", json!({}))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_first_life_killed_while_starting() {
    check_first_life(Stub::Frozen, ChildState::Starting).await;
}

#[tokio::test]
async fn a_first_life_killed_in_standby() {
    check_first_life(Stub::NeverActive, ChildState::Standby).await;
}

async fn check_first_life(stub: Stub, state: ChildState) {
    let home = Home::new().with_own_programs();
    for child in ChildName::ALL {
        misbehave(&home, child, stub);
    }
    let mut instance = home.launch().start();
    for child in ChildName::ALL {
        let before = instance.until_child(child, state).await;
        has_become(pid(&before).unwrap(), stub).await;
        home.restore_program(child);
        kill(pid(&before).unwrap()).await;
        let after = instance.until_later_life(child, &before).await;
        assert_eq!(after.restarts, 1);
        assert_eq!(
            after.last_error.as_deref(),
            Some("it was killed by SIGKILL")
        );
    }
    instance.ready().await;
    serves(&instance).await;
}

#[tokio::test]
async fn a_successor_killed_while_starting() {
    check_successor(Stub::Frozen).await;
}

#[tokio::test]
async fn a_successor_killed_in_standby() {
    check_successor(Stub::NeverActive).await;
}

async fn check_successor(stub: Stub) {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    let mut client = instance.client().await;
    for child in ChildName::ALL {
        let before = instance.child(child).await;
        misbehave(&home, child, stub);
        let known = pids(&instance).await;
        let killing = async {
            let successor = successor_of(&instance, &known).await;
            has_become(successor, stub).await;
            kill(successor).await;
        };
        let (restarted, ()) = tokio::join!(instance.restart(Some(child)), killing);
        let refused = restarted.expect_err("its successor was killed");
        assert!(refused.contains("it was killed by SIGKILL"), "{refused}");
        let after = instance.child(child).await;
        assert_eq!(
            (after.pid, after.restarts),
            (before.pid, before.restarts),
            "{child}"
        );
        client.call("status", json!({})).await.unwrap();
    }
}

#[tokio::test]
async fn rule_108_a_life_killed_while_active() {
    let instance = Home::new().launch().ready().await;
    for child in ChildName::ALL {
        let before = instance.child(child).await;
        kill(pid(&before).unwrap()).await;
        let after = instance.until_later_life(child, &before).await;
        assert_eq!(after.restarts, 1);
        serves(&instance).await;
    }
}

#[tokio::test]
async fn a_serving_life_killed_while_its_successor_starts() {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    for child in ChildName::ALL {
        let before = instance.child(child).await;
        misbehave(&home, child, Stub::Frozen);
        let known = pids(&instance).await;
        let killing = async {
            let successor = successor_of(&instance, &known).await;
            has_become(successor, Stub::Frozen).await;
            kill(pid(&before).unwrap()).await;
            thaw(successor);
            successor
        };
        let (restarted, successor) = tokio::join!(instance.restart(Some(child)), killing);
        restarted.unwrap();
        let after = instance.child(child).await;
        assert_eq!(
            pid(&after),
            Some(successor),
            "no third life competes with it"
        );
        home.restore_program(child);
        serves(&instance).await;
    }
}

#[tokio::test]
async fn a_predecessor_killed_while_draining() {
    let instance = Home::new().launch().ready().await;
    for child in ChildName::ALL {
        let predecessor = instance.pid_of(child).await;
        // It hears of its drain and does not come to it.
        freeze(predecessor).await;
        instance.restart(Some(child)).await.unwrap();
        assert!(process::is_alive(predecessor), "{child} drains");
        let successor = instance.child(child).await;
        kill(predecessor).await;
        serves(&instance).await;
        let after = instance.child(child).await;
        assert_eq!(
            (after.pid, after.state),
            (successor.pid, ChildState::Active)
        );
        assert_eq!(after.restarts, 0);
    }
}

#[tokio::test]
async fn a_child_killed_while_the_instance_stops() {
    for child in ChildName::ALL {
        let mut instance = Home::new().launch().ready().await;
        let stuck = instance.pid_of(child).await;
        freeze(stuck).await;
        instance.signal(Signal::SIGTERM);
        instance.until_child(child, ChildState::Draining).await;
        kill(stuck).await;
        instance.exit_code_leaving_nothing().await;
    }
}

/// Kills the supervisor: within a second nothing of the instance is left, and the next start succeeds at once.
async fn check_supervisor(mut instance: Instance) {
    let home = instance.home().clone();
    let was = instance.processes();
    assert!(was.len() >= 4, "{was:?}");
    instance.signal(Signal::SIGKILL);
    instance.leaves_nothing_within(Duration::from_secs(1)).await;
    for child in ChildName::ALL {
        if home.programs().starts_with(home.path()) {
            home.restore_program(child);
        }
    }
    let next = home.launch().ready().await;
    serves(&next).await;
}

#[tokio::test]
async fn a_supervisor_killed_while_its_children_start() {
    // One has connected and waits for its launch; the others are deaf, as if they were stuck in a loop.
    let stub_of = |child| match child {
        ChildName::Gateway => Stub::NeverReady,
        ChildName::CanvasHost | ChildName::BrowserControl => Stub::Silent,
    };
    let home = Home::new().with_own_programs();
    for child in ChildName::ALL {
        misbehave(&home, child, stub_of(child));
    }
    let instance = home.launch().start();
    for child in ChildName::ALL {
        let life = instance.until_child(child, ChildState::Starting).await;
        has_become(pid(&life).unwrap(), stub_of(child)).await;
    }
    check_supervisor(instance).await;
}

#[tokio::test]
async fn a_supervisor_killed_while_its_children_stand_by() {
    let home = Home::new().with_own_programs();
    for child in ChildName::ALL {
        misbehave(&home, child, Stub::NeverActive);
    }
    let instance = home.launch().start();
    for child in ChildName::ALL {
        instance.until_child(child, ChildState::Standby).await;
    }
    check_supervisor(instance).await;
}

#[tokio::test]
async fn rule_110_a_supervisor_killed_while_everything_serves() {
    let instance = Home::new().launch().ready().await;
    let _client = instance.client().await;
    check_supervisor(instance).await;
}

#[tokio::test]
async fn a_supervisor_killed_in_a_replacement() {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    let known = pids(&instance).await;
    let predecessor = instance.pid_of(ChildName::Gateway).await;
    freeze(predecessor).await;
    instance.restart(Some(ChildName::Gateway)).await.unwrap();
    // One drains, one serves, and one more is on its way.
    misbehave(&home, ChildName::CanvasHost, Stub::NeverReady);
    let request = CliRequest::Restart {
        child: Some(ChildName::CanvasHost),
        trace: None,
    };
    let asked = tokio::spawn({
        let home = home.clone();
        async move { openclaw_tests::instance::ask(&home, &request).await }
    });
    let mut known = [known, pids(&instance).await].concat();
    known.dedup();
    let successor = successor_of(&instance, &known).await;
    has_become(successor, Stub::NeverReady).await;
    check_supervisor(instance).await;
    assert!(asked.await.unwrap().is_err(), "nobody is left to answer");
}

#[tokio::test]
async fn a_supervisor_killed_while_it_stops() {
    let instance = Home::new().launch().ready().await;
    freeze(instance.pid_of(ChildName::Gateway).await).await;
    instance.signal(Signal::SIGTERM);
    instance
        .until_child(ChildName::Gateway, ChildState::Draining)
        .await;
    check_supervisor(instance).await;
}
