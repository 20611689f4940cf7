//! An upgrade changes the program of the supervisor and of its processes, and nothing that anybody could see.
//!
//! | the new binary | then |
//! |---|---|
//! | takes over | the supervisor keeps its pid, ports, lock and processes, and replaces these one by one |
//! | cannot take over, and says so when it is asked | nothing changes |
//! | fails after it was executed, before it has taken over | the program before goes on |
//! | dies without going back | the instance ends whole, as when a supervisor is killed |

use std::os::unix::fs::MetadataExt as _;

use openclaw_shared::control::{ChildName, ChildState, InstanceStatus};
use openclaw_shared::upgrade::UpgradeState;
use openclaw_tests::client::Client;
use openclaw_tests::client::connect_params;
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::{Home, Said, built_programs};
use openclaw_tests::instance::{Instance, of};
use openclaw_tests::load::{Load, Tally};
use openclaw_tests::model_server::{Answer, ModelServer, Script};
use openclaw_tests::process;
use serde_json::{Value, json};

mod as_a_service;
mod ends;
mod remembered;

fn home() -> Home {
    let home = Home::empty().with_own_programs();
    home.configure(&json!({}));
    home
}

/// The file that the supervisor executes.
fn image(instance: &Instance) -> (u64, u64) {
    let pid = instance.pid();
    let file = std::fs::metadata(format!("/proc/{pid}/exe")).expect("the supervisor runs");
    (file.dev(), file.ino())
}

/// A new program that is well when it is asked, and does this when it is executed for good. `$REAL` is the supervisor of the build.
fn script(body: &str) -> String {
    let real = built_programs().join("openclaw");
    format!(
        "#!/bin/sh\nREAL='{}'\ncase \"$*\" in *--examine-handed-over*) exec \"$REAL\" \"$@\";; esac\n{body}\n",
        real.display()
    )
}

fn pids(status: &InstanceStatus) -> Vec<Option<u32>> {
    status
        .fleet
        .children
        .iter()
        .map(|child| child.pid)
        .collect()
}

fn check_seamless(tally: &Tally) {
    let bad = (
        tally.refused,
        tally.reset,
        tally.cut,
        tally.closed,
        tally.lost,
        tally.rejected,
    );
    assert_eq!(bad, (0, 0, 0, 0, 0, 0), "{tally:?}");
}

/// Every process is a later life than before, and the supervisor is the same process.
fn check_replaced(before: &InstanceStatus, after: &InstanceStatus) {
    assert_eq!(after.pid, before.pid, "the supervisor stays");
    assert!(after.uptime_ms >= before.uptime_ms, "the instance stays");
    for child in ChildName::ALL {
        let (before, after) = (of(before, child), of(after, child));
        assert_eq!(after.state, ChildState::Active);
        assert!(after.generation > before.generation, "{before:?} {after:?}");
        assert_ne!(after.pid, before.pid);
        assert_eq!(
            after.restarts, before.restarts,
            "a replacement is no failure"
        );
    }
}

/// A command of the build; what is installed may be no program at all.
async fn run(instance: &Instance, arguments: &[&str]) -> Said {
    let home = instance.home().with_programs_of_the_build();
    home.run(arguments).await
}

async fn upgrade(instance: &Instance) -> Said {
    run(instance, &["gateway", "upgrade", "--json"]).await
}

/// A run of its own session, which the model holds until it may go on.
async fn begin_run(client: &mut Client, session: usize) -> String {
    let run = format!("run-{session}");
    let asked =
        json!({"sessionKey": format!("s{session}"), "message": "hello", "idempotencyKey": run});
    let answer = client.call("chat.send", asked).await.unwrap();
    assert_eq!(answer["status"], "started", "{answer}");
    run
}

async fn ended(instance: &Instance, run: &str) -> Value {
    eventually(&format!("{run} ends"), async || {
        let target = instance.target();
        let params = connect_params(&target.token);
        let mut client = Client::try_connect(target.port, params).await?;
        let waited = client
            .call_unless_sent_away("agent.wait", json!({"runId": run, "timeoutMs": 10_000}))
            .await
            .map_err(|ended| format!("{ended:?}"))?;
        match waited["status"].as_str() {
            Some("ok" | "error") => Ok(waited),
            _ => Err(waited.to_string()),
        }
    })
    .await
}

/// An instance with 50 clients at it and runs under way, when it has gone through this; no run was lost.
async fn renewed_under_load(renew: impl AsyncFnOnce(&Instance)) -> (Instance, Load) {
    const RUNS: usize = 4;
    let model = ModelServer::start(Script::say("Hello")).await;
    let home = Home::empty().with_own_programs();
    home.configure(&json!({
        "models": {"providers": {"stand-in": {
            "baseUrl": model.base_url(),
            "apiKey": "k",
            "api": "openai-completions",
            "models": [{"id": "m1", "name": "M1"}],
        }}},
        "agents": {"defaults": {
            "model": {"primary": "stand-in/m1"},
            "skipBootstrap": true,
            "maxConcurrent": RUNS,
        }},
        "supervisor": {"drainTimeoutMs": 60_000},
    }));
    let instance = home.launch().ready().await;
    let load = Load::start(50, &instance.target()).await;
    let mut client = instance.client().await;
    let mut runs = Vec::new();
    model.play((0..RUNS).map(|_| Script::Answer(Answer::tokens(10).held_after(2))));
    for session in 0..RUNS {
        runs.push(begin_run(&mut client, session).await);
    }
    model
        .until("the runs are under way", |counts| counts.asked == RUNS)
        .await;

    let (before, served) = (instance.status().await, load.served());
    renew(&instance).await;
    load.served_anew(&served).await;
    model.go_on();
    for run in runs {
        let ended = ended(&instance, &run).await;
        assert_eq!(ended["status"], "ok", "{ended}");
    }
    check_replaced(&before, &instance.status().await);
    (instance, load)
}

#[tokio::test]
async fn a_restart_under_load_refuses_nobody_and_loses_no_request_and_no_run() {
    let (_instance, load) = renewed_under_load(async |instance| {
        let restarted = instance.restart(None).await.unwrap();
        assert_eq!(restarted, "Restarted.");
    })
    .await;
    check_seamless(&load.stop().await);
}

#[tokio::test]
async fn an_upgrade_under_load_refuses_loses_and_forgets_nothing() {
    let (instance, load) = renewed_under_load(async |instance| {
        let old = image(instance);
        instance.home().install_again();
        let said = upgrade(instance).await;
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(said.json()["result"], "upgraded", "{said:?}");
        assert_eq!(said.json()["pid"], instance.pid(), "{said:?}");
        assert_ne!(image(instance), old, "the new file is executed");
    })
    .await;

    // By a plain restart too, as often as there is something new.
    let (before, old) = (instance.status().await, image(&instance));
    let served = load.served();
    instance.home().install_again();
    let restarted = instance.restart(None).await.unwrap();
    assert!(restarted.contains("Upgraded"), "{restarted}");
    load.served_anew(&served).await;
    check_replaced(&before, &instance.status().await);
    assert_ne!(image(&instance), old, "the new file is executed");
    instance
        .health_shows("/supervisor/upgrade/state", &json!("upgraded"))
        .await;
    check_seamless(&load.stop().await);
}

#[tokio::test]
async fn nothing_new_is_said_to_be_nothing_new() {
    let instance = home().launch().ready().await;
    let (before, old) = (instance.status().await, image(&instance));
    let said = run(&instance, &["gateway", "upgrade"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.starts_with("Nothing to upgrade"), "{said:?}");
    instance.home().install_again();
    let said = run(&instance, &["gateway", "upgrade", "--check", "--json"]).await;
    assert_eq!((said.code, &said.json()["result"]), (0, &json!("possible")));
    assert_eq!(pids(&instance.status().await), pids(&before));
    assert_eq!(image(&instance), old, "only looked at");
}

#[tokio::test]
async fn a_binary_that_cannot_take_over_is_refused_before_anything_changes() {
    let instance = home().launch().ready().await;
    let (before, old) = (instance.status().await, image(&instance));
    for (program, reason) in [
        ("#!/bin/sh\necho not today >&2\nexit 3\n", "not today"),
        ("#!/bin/sh\nexit 3\n", "exit status: 3"),
        ("#!/bin/sh\nexit 0\n", "did not say whether"),
        ("this is no program", "cannot be executed"),
    ] {
        instance.home().install_script(program);
        let said = run(&instance, &["gateway", "upgrade"]).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("nothing has changed"), "{said:?}");
        assert!(said.err.contains(reason), "{reason}: {said:?}");
        let refused = instance.restart(None).await.unwrap_err();
        assert!(refused.contains(reason), "{reason}: {refused}");
        let status = instance.status().await;
        let upgrade = status.fleet.upgrade.as_ref().expect("it is remembered");
        assert_eq!(upgrade.state, UpgradeState::Refused);
        assert_eq!(pids(&status), pids(&before));
        assert_eq!(image(&instance), old);
    }
    let health = instance
        .health_shows("/supervisor/upgrade/state", &json!("refused"))
        .await;
    let reason = health["supervisor"]["upgrade"]["reason"].as_str().unwrap();
    assert!(reason.contains("cannot be executed"), "{health}");
    let said = run(&instance, &["gateway", "status"]).await;
    assert!(said.out.contains("Last upgrade: "), "{said:?}");
    assert!(said.out.contains("was refused"), "{said:?}");
    let logged = instance.home().log().said("upgrade failed").await;
    assert_eq!(logged["1"]["outcome"], "refused", "{logged}");
}

#[tokio::test]
async fn a_binary_that_fails_after_it_was_executed_gives_back_what_it_got() {
    let instance = home().launch().ready().await;
    let load = Load::start(10, &instance.target()).await;
    let before = instance.status().await;
    let old = image(&instance);
    for (body, reason) in [
        // It does not understand the command line.
        (
            "exec \"$REAL\" gateway --nonsense",
            "before it had taken over",
        ),
        // It reads the state, and does not find what it is about.
        (
            "export OPENCLAW_STATE_DIR=/nowhere\nexec \"$REAL\" \"$@\"",
            "another instance",
        ),
    ] {
        instance.home().install_script(&script(body));
        let said = upgrade(&instance).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert_eq!(said.json()["result"], "taken-back", "{said:?}");
        let told = said.json()["reason"].as_str().unwrap().to_owned();
        assert!(told.contains(reason), "{told}");
        let status = instance.status().await;
        assert_eq!(status.pid, before.pid);
        assert_eq!(pids(&status), pids(&before), "nobody was replaced");
        assert_eq!(image(&instance), old, "the program before");
        assert!(!instance.restart(None).await.unwrap_err().is_empty());
    }
    instance
        .health_shows("/supervisor/upgrade/state", &json!("taken-back"))
        .await;
    let name = std::fs::read_to_string(format!("/proc/{}/comm", instance.pid())).unwrap();
    assert_eq!(name.trim(), "openclaw");
    load.answered_more(100).await;
    check_seamless(&load.stop().await);

    // It goes on in every respect: what dies is started again, and a binary that is well is taken.
    let gateway = instance.child(ChildName::Gateway).await;
    process::send(
        instance.pid_of(ChildName::Gateway).await,
        process::Signal::SIGKILL,
    );
    instance
        .until_later_life(ChildName::Gateway, &gateway)
        .await;
    instance.home().install_again();
    let before = instance.status().await;
    let said = upgrade(&instance).await;
    assert_eq!(said.json()["result"], "upgraded", "{said:?}");
    assert_eq!(instance.status().await.pid, before.pid);
    assert_ne!(image(&instance), old);
}

#[tokio::test]
async fn a_child_that_dies_while_nobody_looks_is_missed_all_the_same() {
    let instance = home().launch().ready().await;
    let before = instance.status().await;
    let victim = instance.pid_of(ChildName::CanvasHost).await;
    // It goes on only when the child is dead: one that dies a moment later, in the middle of its own replacement, is no restart.
    // Dead is a process of which no thread is left but the first one, and that one is to be reaped.
    let dead = format!(
        "kill -9 {victim}\n\
         until case \"$(grep -hs '^State:' /proc/{victim}/task/*/status)\" in\n\
         '' | 'State:\tZ (zombie)') ;;\n\
         *) false ;;\n\
         esac; do :; done"
    );
    instance
        .home()
        .install_script(&script(&format!("{dead}\nexec \"$REAL\" \"$@\"")));
    let said = upgrade(&instance).await;
    assert_eq!(said.json()["result"], "upgraded", "{said:?}");
    let after = instance.status().await;
    let (was, is) = (
        of(&before, ChildName::CanvasHost),
        of(&after, ChildName::CanvasHost),
    );
    assert_eq!(is.restarts, was.restarts + 1, "{is:?}");
    assert_eq!(is.state, ChildState::Active);
}

#[tokio::test]
async fn a_stop_that_comes_while_nobody_listens_is_heard_by_the_successor() {
    let mut instance = home().launch().ready().await;
    instance
        .home()
        .install_script(&script("kill -TERM $$\nexec \"$REAL\" \"$@\""));
    let said = upgrade(&instance).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
}

#[tokio::test]
async fn a_binary_that_dies_takes_the_instance_along_and_leaves_nothing() {
    let mut instance = home().launch().ready().await;
    instance.home().install_script(&script("exit 3"));
    let said = upgrade(&instance).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(instance.exit_code().await, 3);
    eventually("nothing is left", async || match instance.processes() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    })
    .await;
    // The next start finds everything free.
    instance.home().install_again();
    let next = instance.home().launch().ready().await;
    assert_eq!(next.status().await.fleet.upgrade, None);
}
