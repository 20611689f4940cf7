//! Law 2: restart means replace. The successor serves before the predecessor leaves, and one that never gets there changes nothing.

use futures_util::future::join_all;
use openclaw_shared::control::{ChildName, ChildState};
use openclaw_tests::client::Received;
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::{Stub, freeze, misbehave, thaw};
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Instance, of, pid};
use openclaw_tests::load::{Load, Tally};
use openclaw_tests::process;
use serde_json::{Value, json};

/// What nobody may see while children are replaced.
fn check_seamless(tally: &Tally, rounds: usize) {
    let bad = (
        tally.refused,
        tally.reset,
        tally.cut,
        tally.closed,
        tally.lost,
        tally.rejected,
    );
    assert_eq!(bad, (0, 0, 0, 0, 0, 0), "{tally:?}");
    assert!(
        tally.restarted >= rounds,
        "the load was not there: {tally:?}"
    );
}

#[tokio::test]
async fn a_restart_under_load_refuses_resets_and_loses_nothing() {
    let instance = Home::new().launch().ready().await;
    let load = Load::start(25, &instance.target()).await;
    for _ in 0..3 {
        let (served, before) = (load.served(), instance.status().await);
        instance.restart(None).await.unwrap();
        load.served_anew(&served).await;
        let after = instance.status().await;
        assert_eq!(after.pid, before.pid, "the supervisor stays");
        for child in ChildName::ALL {
            let (before, after) = (of(&before, child), of(&after, child));
            assert_eq!(after.state, ChildState::Active);
            assert_ne!(after.pid, before.pid, "{child} was not replaced");
            assert_eq!(
                after.restarts, before.restarts,
                "a replacement is no failure"
            );
        }
    }
    check_seamless(&load.stop().await, 3 * 25);
}

#[tokio::test]
async fn a_configuration_change_under_load_refuses_resets_and_loses_nothing() {
    let instance = Home::new().launch().ready().await;
    let load = Load::start(25, &instance.target()).await;
    for round in 0..3 {
        let (served, before) = (load.served(), instance.child(ChildName::Gateway).await);
        instance
            .home()
            .configure(&json!({ "env": { "vars": { "ROUND": round.to_string() } } }));
        load.served_anew(&served).await;
        instance.until_later_life(ChildName::Gateway, &before).await;
    }
    check_seamless(&load.stop().await, 3 * 25);
}

#[tokio::test]
async fn clients_are_told_before_they_are_sent_to_the_successor() {
    let instance = Home::new().launch().ready().await;
    let mut client = instance.client().await;
    // What was asked before the restart is answered before the end.
    let id = client.send("health", json!({})).await;
    instance.restart(None).await.unwrap();
    let (frames, end) = client.rest().await;
    let answer = frames.iter().find(|frame| frame["id"] == id.as_str());
    assert_eq!(answer.expect("what was asked is answered")["ok"], true);
    let shutdown = frames.iter().find(|frame| frame["event"] == "shutdown");
    let shutdown = &shutdown.expect("a shutdown event comes first")["payload"];
    assert_eq!(shutdown["reason"], "gateway restarting", "{shutdown}");
    assert!(shutdown["restartExpectedMs"].is_u64(), "{shutdown}");
    assert_eq!(
        end,
        Received::Closed {
            code: 1012,
            reason: "service restart".to_owned()
        }
    );
}

#[tokio::test]
async fn a_successor_that_never_gets_ready_is_discarded() {
    const LATE: &str = "it was not ready within 400ms";
    let home = Home::empty().with_own_programs();
    home.configure(&json!({}));
    let instance = home.launch().ready().await;
    let mut client = instance.client().await;
    // Who ends by itself has time to; who would never end has so little that a child of ours may need more.
    for (patience, stubs) in [
        (
            400,
            vec![
                (Stub::NeverReady, LATE),
                (Stub::NeverActive, LATE),
                (Stub::Silent, LATE),
                (Stub::Babbles, LATE),
                (Stub::Boasts, LATE),
            ],
        ),
        (
            60_000,
            vec![
                (Stub::Exits, "it exited with code 3"),
                (Stub::Desperate, "the stub cannot go on"),
            ],
        ),
    ] {
        configured(
            &instance,
            &json!({ "supervisor": { "readyTimeoutMs": patience } }),
        )
        .await;
        for (child, (stub, reason)) in ChildName::ALL
            .into_iter()
            .flat_map(|child| stubs.iter().map(move |stub| (child, *stub)))
        {
            let before = instance.child(child).await;
            misbehave(&home, child, stub);
            let refused = instance
                .restart(Some(child))
                .await
                .expect_err("it is discarded");
            assert!(
                refused.contains("the predecessor serves on"),
                "{stub:?}: {refused}"
            );
            assert!(refused.contains(reason), "{stub:?}: {refused}");
            let after = instance.child(child).await;
            assert_eq!(
                (after.pid, after.state),
                (before.pid, ChildState::Active),
                "{stub:?}"
            );
            let why = after.last_error.unwrap_or_default();
            assert!(
                why.contains("was discarded") && why.contains(reason),
                "{stub:?}: {why}"
            );
        }
    }
    // The client that was there from the beginning has seen nothing of it, and can ask what happened.
    client.call("status", json!({})).await.unwrap();
    let why = instance.child(ChildName::Gateway).await.last_error;
    instance
        .health_shows("/supervisor/children/0/lastError", &json!(why))
        .await;
    let said = home.run(&["gateway", "status"]).await;
    assert!(said.out.contains("the stub cannot go on"), "{said:?}");
    let failed = home
        .log()
        .said("restart failed; the predecessor serves on")
        .await;
    assert!(
        failed["1"]["error"]
            .as_str()
            .is_some_and(|why| !why.is_empty()),
        "{failed}"
    );
    no_strays(&instance).await;
    // With its own program back, the next restart is one.
    for child in ChildName::ALL {
        home.restore_program(child);
    }
    instance.restart(None).await.unwrap();
}

/// Changes the configuration, and waits until it counts.
async fn configured(instance: &Instance, changes: &Value) {
    instance.home().configure(changes);
    let digest = openclaw_shared::digest::hex(instance.home().config_text().as_bytes());
    instance
        .until("the configuration counts", |status| {
            status.fleet.config.hash.as_deref() == Some(&*digest)
        })
        .await;
}

/// The discarded have been killed, not forgotten.
async fn no_strays(instance: &Instance) {
    eventually("only the supervisor and three children live", async || {
        let left = instance.processes();
        if left.len() == 4 {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn rule_114_several_requests_are_one_replacement() {
    let home = Home::empty();
    home.configure(&json!({ "commands": { "restart": true } }));
    let instance = home.launch().ready().await;
    let before = instance.status().await;
    let asked = join_all((0..8).map(|_| instance.restart(None)));
    for answer in asked.await {
        answer.unwrap();
    }
    let after = instance.status().await;
    for child in ChildName::ALL {
        let lives = of(&after, child).generation.0 - of(&before, child).generation.0;
        assert_eq!(lives, 1, "{child}: eight requests at once");
    }
}

#[tokio::test]
async fn one_child_can_be_replaced_alone() {
    let instance = Home::new().launch().ready().await;
    for child in ChildName::ALL {
        let before = instance.status().await;
        instance.restart(Some(child)).await.unwrap();
        let after = instance.status().await;
        for name in ChildName::ALL {
            let was_replaced = of(&before, name).pid != of(&after, name).pid;
            assert_eq!(
                was_replaced,
                name == child,
                "{name} when {child} was asked for"
            );
        }
    }
}

#[tokio::test]
async fn a_predecessor_that_does_not_leave_is_ended() {
    let home = Home::empty();
    home.configure(&json!({ "supervisor": { "drainTimeoutMs": 300 } }));
    let instance = home.launch().ready().await;
    for child in ChildName::ALL {
        let before = instance.pid_of(child).await;
        freeze(before).await;
        instance.restart(Some(child)).await.unwrap();
        assert_ne!(instance.pid_of(child).await, before);
        eventually("the stuck predecessor is ended", async || {
            process::find(before).map_or(Ok(()), |left| Err(format!("{left:?}")))
        })
        .await;
    }
    instance
        .client()
        .await
        .call("status", json!({}))
        .await
        .unwrap();
}

#[tokio::test]
async fn rule_111_a_child_that_hangs_is_killed_and_started_again() {
    let home = Home::empty();
    // Three of these must go by before a child that only waits for the processor is taken for one that hangs.
    home.configure(&json!({ "supervisor": { "heartbeatMs": 1000 } }));
    let instance = home.launch().ready().await;
    for child in ChildName::ALL {
        let before = instance.child(child).await;
        freeze(pid(&before).unwrap()).await;
        let after = instance.until_later_life(child, &before).await;
        assert!(after.restarts > before.restarts, "{after:?}");
        let why = after.last_error.unwrap_or_default();
        assert!(why.contains("it hung"), "{child}: {why}");
    }
}

#[tokio::test]
async fn a_child_that_stands_still_for_a_moment_is_left_alone() {
    let home = Home::empty();
    home.configure(&json!({ "supervisor": { "heartbeatMs": 10_000 } }));
    let instance = home.launch().ready().await;
    let before = instance.pid_of(ChildName::Gateway).await;
    let mut client = instance.client().await;
    freeze(before).await;
    let id = client.send("status", json!({})).await;
    thaw(before);
    assert_eq!(client.answer(&id).await["ok"], true);
    assert_eq!(instance.pid_of(ChildName::Gateway).await, before);
}

#[tokio::test]
async fn rule_115_many_replacements_leave_the_supervisor_as_it_was() {
    let instance = Home::new().launch().ready().await;
    // The first round fills what is kept for later.
    for _ in 0..3 {
        instance.restart(None).await.unwrap();
    }
    no_strays(&instance).await;
    let before = (
        process::descriptors(instance.pid()),
        process::resident_bytes(instance.pid()),
    );
    for _ in 0..12 {
        instance.restart(None).await.unwrap();
    }
    no_strays(&instance).await;
    eventually("no descriptor was left open", async || {
        let open = process::descriptors(instance.pid());
        if open <= before.0 {
            Ok(())
        } else {
            Err(format!("{open}, {} before", before.0))
        }
    })
    .await;
    let grown = process::resident_bytes(instance.pid()).saturating_sub(before.1);
    assert!(
        grown < 4 * 1024 * 1024,
        "the supervisor has grown by {grown} bytes"
    );
}

#[tokio::test]
async fn requests_of_every_kind_at_once_end_in_one_consistent_state() {
    let home = Home::empty();
    let with = |round: usize| json!({ "commands": { "restart": true }, "env": { "vars": { "ROUND": round.to_string() } } });
    home.configure(&with(0));
    let instance = home.launch().ready().await;
    let load = Load::start(10, &instance.target()).await;
    for round in 1..4 {
        home.configure(&with(round));
        instance.signal(process::Signal::SIGUSR1);
        instance.signal(process::Signal::SIGHUP);
        let asked = join_all((0..3).map(|_| instance.restart(None)));
        let one = instance.restart(Some(ChildName::CanvasHost));
        let (all, one) = tokio::join!(asked, one);
        assert!(
            all.iter().chain([&one]).all(Result::is_ok),
            "{all:?} {one:?}"
        );
        let digest = openclaw_shared::digest::hex(home.config_text().as_bytes());
        instance
            .until("everything serves on the last configuration", |status| {
                status.fleet.config.hash.as_deref() == Some(&*digest)
                    && status
                        .fleet
                        .children
                        .iter()
                        .all(|child| child.state == ChildState::Active)
            })
            .await;
        no_strays(&instance).await;
    }
    let tally = load.stop().await;
    assert_eq!(
        (tally.refused, tally.reset, tally.cut, tally.lost),
        (0, 0, 0, 0),
        "{tally:?}"
    );
}
