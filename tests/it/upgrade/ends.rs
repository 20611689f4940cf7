//! How an upgrade may end besides: with a process that does not come up, with a file that is no program any more, for somebody who asked
//! while somebody else only looked; and what must not be left over.

use openclaw_shared::control::{ChildName, ChildState};
use openclaw_shared::upgrade::UpgradeState;
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::{Stub, misbehave};
use openclaw_tests::home::built_programs;
use openclaw_tests::instance::of;
use openclaw_tests::load::Load;
use openclaw_tests::process;
use serde_json::json;

use super::{check_replaced, check_seamless, home, image, pids, run, script, upgrade};

#[tokio::test]
async fn a_process_that_does_not_come_up_is_told_and_its_predecessor_serves_on() {
    let home = home();
    let instance = home.launch().ready().await;
    let (before, old) = (instance.status().await, image(&instance));
    let browser = ChildName::BrowserControl;
    misbehave(&home, browser, Stub::Desperate);
    home.install_again();
    let said = upgrade(&instance).await;
    assert_eq!(said.code, 1, "{said:?}");
    let report = said.json();
    assert_eq!(
        (&report["result"], &report["ok"]),
        (&json!("incomplete"), &json!(false)),
        "{report}"
    );
    let reason = report["reason"].as_str().unwrap();
    assert!(
        reason.contains("browser-control") && reason.contains("the stub cannot go on"),
        "{reason}"
    );
    let after = instance.status().await;
    assert_eq!(after.pid, before.pid);
    assert_ne!(image(&instance), old, "the supervisor is the new one");
    let (was, is) = (of(&before, browser), of(&after, browser));
    assert_eq!((is.pid, is.state), (was.pid, ChildState::Active));
    instance
        .health_shows("/supervisor/upgrade/state", &json!("incomplete"))
        .await;
    let said = run(&instance, &["gateway", "status"]).await;
    assert!(said.out.contains("but its processes do not: "), "{said:?}");
    let logged = home.log().said("upgrade failed").await;
    assert_eq!(logged["1"]["outcome"], "incomplete", "{logged}");

    // As it is said: what was in the way is mended, then a restart.
    home.restore_program(browser);
    instance.restart(None).await.unwrap();
    let mended = instance.status().await;
    check_replaced(&before, &mended);
    let upgrade = mended.fleet.upgrade.expect("it is remembered");
    assert_eq!(upgrade.state, UpgradeState::Incomplete);
}

#[tokio::test]
async fn a_file_that_is_no_program_any_more_leaves_everything_as_it_was() {
    let home = home();
    let instance = home.launch().ready().await;
    let load = Load::start(10, &instance.target()).await;
    let (before, old) = (instance.status().await, image(&instance));
    // It is well when it is asked, and may not be executed after that.
    let real = built_programs().join("openclaw");
    home.install_script(&format!(
        "#!/bin/sh\nchmod 0644 \"$0\"\nexec '{}' \"$@\"\n",
        real.display()
    ));
    let said = upgrade(&instance).await;
    assert_eq!(said.code, 1, "{said:?}");
    let report = said.json();
    assert_eq!(report["result"], "taken-back", "{report}");
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains("cannot be executed"), "{reason}");
    let after = instance.status().await;
    assert_eq!((after.pid, pids(&after)), (before.pid, pids(&before)));
    assert_eq!(image(&instance), old);
    home.log().said("upgrade failed").await;

    // It goes on in every respect.
    let served = load.served();
    home.install_again();
    let before = instance.status().await;
    let said = upgrade(&instance).await;
    assert_eq!(said.json()["result"], "upgraded", "{said:?}");
    load.served_anew(&served).await;
    check_replaced(&before, &instance.status().await);
    check_seamless(&load.stop().await);
}

#[tokio::test]
async fn whoever_asks_while_somebody_else_only_looks_gets_what_was_asked_for() {
    let home = home();
    let instance = home.launch().ready().await;
    let before = instance.status().await;
    // The new binary thinks for as long as the test wants.
    let may_answer = home.path().join("may-answer");
    let real = built_programs().join("openclaw");
    home.install_script(&format!(
        "#!/bin/sh\nuntil [ -e '{}' ]; do sleep 0.02; done\nexec '{}' \"$@\"\n",
        may_answer.display(),
        real.display()
    ));
    let looks = run(&instance, &["gateway", "upgrade", "--check", "--json"]);
    let restarts = async {
        home.log()
            .said("the new binary is asked whether it can take over")
            .await;
        let restarted = async { instance.restart(None).await };
        let answers = async {
            home.log()
                .said("restart requested, and the binaries on disk are others")
                .await;
            std::fs::write(&may_answer, "").unwrap();
        };
        tokio::join!(restarted, answers).0
    };
    let (looked, restarted) = tokio::join!(looks, restarts);
    let restarted = restarted.unwrap();
    assert!(restarted.contains("Upgraded"), "{restarted}");
    check_replaced(&before, &instance.status().await);
    // Whoever looked hears something, and has done nothing.
    assert!(!looked.out.is_empty(), "{looked:?}");
}

/// The descriptors of a process: all of them, and those beyond the first three that a program which it executes would get.
fn descriptors(pid: i32) -> (usize, Vec<String>) {
    let folder = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let mut numbers = Vec::new();
    let mut open = Vec::new();
    for entry in folder.flatten() {
        // One may be closed while it is looked at.
        let info = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let Some(flags) = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()) else {
            continue;
        };
        let number: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
        numbers.push(number);
        if number > 2 && flags & 0o2_000_000 == 0 {
            let target = std::fs::read_link(format!("/proc/{pid}/fd/{number}"));
            open.push(format!("{number}: {target:?}"));
        }
    }
    (numbers.len(), open)
}

#[tokio::test]
async fn no_descriptor_is_left_over_by_an_upgrade_or_by_one_that_was_given_back() {
    let home = home();
    let instance = home.launch().ready().await;
    // What this test was started with, whoever it starts has too.
    let own = i32::try_from(std::process::id()).map(descriptors);
    let (_, inherited) = own.unwrap();
    let mut first = None;
    for expected in ["upgraded", "taken-back", "upgraded"] {
        match expected {
            "upgraded" => home.install_again(),
            _ => home.install_script(&script("exec \"$REAL\" gateway --nonsense")),
        }
        let said = upgrade(&instance).await;
        assert_eq!(said.json()["result"], expected, "{said:?}");
        let pids = eventually("the predecessors are gone", async || {
            let children = process::children_of(instance.pid());
            match children.len() == ChildName::ALL.len() {
                true => Ok(children.into_iter().map(|child| child.pid)),
                false => Err(format!("{children:?}")),
            }
        })
        .await;
        for pid in pids.chain([instance.pid()]) {
            let (_, mut open) = descriptors(pid);
            open.retain(|descriptor| !inherited.contains(descriptor));
            assert_eq!(
                open,
                [] as [String; 0],
                "{expected}: {:?}",
                process::find(pid)
            );
        }
        let most = *first.get_or_insert_with(|| descriptors(instance.pid()).0);
        eventually("there are no more descriptors than before", async || {
            let (count, _) = descriptors(instance.pid());
            match count <= most {
                true => Ok(()),
                false => Err(format!("{count}, and were {most}")),
            }
        })
        .await;
    }
}
