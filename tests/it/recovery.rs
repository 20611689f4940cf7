//! Every rung of recovery, climbed with real processes: seen in `health`, in `gateway status` and in the log. And a child that uses
//! more memory than it may: replaced, its clients told.

use openclaw_shared::control::{ChildName, ChildState, ChildStatus, InstanceStatus};
use openclaw_shared::recovery::Rung;
use openclaw_tests::client::{Client, Received};
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::{Stub, kill, misbehave};
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Instance, of, pid};
use openclaw_tests::process::resident_bytes;
use serde_json::{Value, json};

/// Whether this step was taken.
fn took(status: &InstanceStatus, rung: Rung, child: Option<ChildName>) -> bool {
    let steps = &status.fleet.recovery.steps;
    steps
        .iter()
        .any(|step| step.rung == rung && step.child == child)
}

async fn until_took(instance: &Instance, rung: Rung, child: Option<ChildName>) -> InstanceStatus {
    instance
        .until(&format!("{rung} {child:?}"), |status| {
            took(status, rung, child)
        })
        .await
}

/// The rung is told in one line of the log, and in `gateway status`, with these words.
async fn is_told(instance: &Instance, rung: Rung, line: &str) {
    let home = instance.home();
    let record = home.log().said(line).await;
    assert_eq!(record["1"]["rung"], rung.as_str(), "{record}");
    eventually(&format!("`gateway status` tells of {rung}"), async || {
        let said = home.run(&["gateway", "status"]).await;
        match said.out.contains(&format!(" {rung}:")) {
            true => Ok(()),
            false => Err(format!("{said:?}")),
        }
    })
    .await;
}

async fn serves(instance: &Instance) {
    let mut client = instance.client().await;
    client.call("status", json!({})).await.unwrap();
}

/// The place of a child in `health.supervisor.children`.
fn place(child: ChildName) -> usize {
    let found = ChildName::ALL.iter().position(|name| *name == child);
    found.expect("every child has a place")
}

#[tokio::test]
async fn a_child_that_dies_is_restarted_then_waits_then_is_given_up_and_comes_back() {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    let canvas = ChildName::CanvasHost;
    let well = instance.status().await;
    assert_eq!(well.fleet.recovery.rung, Rung::Well);
    assert_eq!(of(&well, canvas).rung, Rung::Well);

    kill(instance.pid_of(canvas).await).await;
    let status = until_took(&instance, Rung::Restarted, Some(canvas)).await;
    let step = &status.fleet.recovery.steps[0];
    assert!(step.reason.contains("SIGKILL"), "{step:?}");
    is_told(
        &instance,
        Rung::Restarted,
        "child died; it is restarted at once",
    )
    .await;

    let life = instance.until_child(canvas, ChildState::Active).await;
    misbehave(&home, canvas, Stub::Exits);
    kill(pid(&life).unwrap()).await;
    let status = until_took(&instance, Rung::BackingOff, Some(canvas)).await;
    let waits = (status.fleet.recovery.steps.iter()).find(|step| step.rung == Rung::BackingOff);
    assert!(waits.is_some_and(|step| step.wait_ms > Some(0)));
    is_told(&instance, Rung::BackingOff, "child failed again; it waits").await;

    let failed = instance.until_child(canvas, ChildState::Failed).await;
    assert_eq!(failed.rung, Rung::GivenUp);
    let at = format!("/supervisor/children/{}/rung", place(canvas));
    instance.health_shows(&at, &json!("given-up")).await;
    instance
        .health_shows("/supervisor/recovery/rung", &json!("given-up"))
        .await;
    let line = "child cannot be kept alive; it is tried again slowly";
    is_told(&instance, Rung::GivenUp, line).await;
    serves(&instance).await;

    home.restore_program(canvas);
    instance.restart(Some(canvas)).await.unwrap();
    let back = instance.until_child(canvas, ChildState::Active).await;
    assert_ne!(back.rung, Rung::GivenUp);
}

#[tokio::test]
async fn a_successor_that_is_no_good_is_discarded_and_that_is_said() {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    misbehave(&home, ChildName::BrowserControl, Stub::Desperate);
    let browser = Some(ChildName::BrowserControl);
    instance.restart(browser).await.unwrap_err();
    let status = until_took(&instance, Rung::Discarded, browser).await;
    assert_eq!(
        of(&status, ChildName::BrowserControl).state,
        ChildState::Active
    );
    let line = "successor discarded; the predecessor serves on";
    is_told(&instance, Rung::Discarded, line).await;
    instance
        .health_shows("/supervisor/recovery/steps/0/rung", &json!("discarded"))
        .await;
}

#[tokio::test]
async fn an_edit_is_refused_then_one_is_rolled_back_and_a_good_one_ends_it() {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    home.write_config("{ gateway: { port: \"no\" } }");
    until_took(&instance, Rung::Refused, None).await;
    instance
        .health_shows("/supervisor/recovery/rung", &json!("refused"))
        .await;
    let line = "the configuration file was refused; the running one stays";
    is_told(&instance, Rung::Refused, line).await;

    misbehave(&home, ChildName::Gateway, Stub::Picky);
    home.configure(&json!({ "env": { "vars": { "STUB": "crash" } } }));
    let status = until_took(&instance, Rung::RolledBack, None).await;
    let is_it = |step: &&openclaw_shared::recovery::Step| step.rung == Rung::RolledBack;
    let step = status.fleet.recovery.steps.iter().find(is_it).unwrap();
    assert!(step.reason.contains("the stub cannot go on"), "{step:?}");
    instance
        .health_shows("/supervisor/recovery/rung", &json!("rolled-back"))
        .await;
    is_told(&instance, Rung::RolledBack, "configuration rolled back").await;

    home.restore_program(ChildName::Gateway);
    home.configure(&json!({}));
    instance
        .until("the file counts again", |status| {
            status.fleet.recovery.rung < Rung::Refused
        })
        .await;
}

#[tokio::test]
async fn a_broken_file_at_the_start_is_the_last_rung_but_one() {
    let home = Home::new();
    let mut first = home.launch().ready().await;
    first.signal(openclaw_tests::process::Signal::SIGTERM);
    first.exit_code_leaving_nothing().await;
    home.write_config("{ gateway: ");
    let instance = home.launch().ready().await;
    let status = instance.status().await;
    assert_eq!(status.fleet.recovery.rung, Rung::LastGood);
    instance
        .health_shows("/supervisor/recovery/rung", &json!("last-good"))
        .await;
    let line = "the last-known-good configuration takes over";
    is_told(&instance, Rung::LastGood, line).await;
    serves(&instance).await;
}

#[tokio::test]
async fn a_gateway_that_cannot_be_kept_alive_is_a_loud_stop_that_is_remembered() {
    let home = Home::new().with_own_programs();
    let mut instance = home.launch().ready().await;
    misbehave(&home, ChildName::Gateway, Stub::Exits);
    kill(instance.pid_of(ChildName::Gateway).await).await;
    assert_eq!(instance.exit_code_leaving_nothing().await, 70);
    let line = "the instance stops: it is worth nothing without a child that cannot be kept alive";
    let record = home.log().said(line).await;
    assert_eq!(record["1"]["rung"], "stopped");
    assert_eq!(record["1"]["child"], "gateway");
    let said = home.run(&["gateway", "status"]).await;
    let last = "exit code 70: the gateway died too often to be kept alive: it exited with code 3";
    assert!(said.out.contains(last), "{said:?}");

    // The next life knows of it, until it has ended well itself.
    home.restore_program(ChildName::Gateway);
    let mut next = home.launch().ready().await;
    next.health_shows("/supervisor/recovery/lastStop/code", &json!(70))
        .await;
    next.signal(openclaw_tests::process::Signal::SIGTERM);
    assert_eq!(next.exit_code_leaving_nothing().await, 0);
    let last = home.launch().ready().await;
    assert_eq!(last.status().await.fleet.recovery.last_stop, None);
}

// ---- memory -----------------------------------------------------------------------------------------------------------------

fn limits(child: &str, memory: &str, ceiling: &str) -> Value {
    json!({ "gateway": { "limits": {
        "checkMs": 100,
        child: { "memory": memory, "memoryCeiling": ceiling },
    } } })
}

/// Clients that ask for much and read nothing: what they asked for stays in the gateway's memory. No more of them come than it takes.
async fn hoard(instance: &Instance, before: &ChildStatus) -> Vec<Client> {
    const MOST: usize = 60;
    let mut hoarding = Vec::new();
    while hoarding.len() < MOST && instance.child(before.name).await.pid == before.pid {
        let mut client = instance.client().await;
        let much = json!({ "limit": 5_000, "maxBytes": 1_000_000 });
        client.send("logs.tail", much).await;
        hoarding.push(client);
    }
    hoarding
}

#[tokio::test]
async fn a_gateway_that_grows_is_replaced_and_its_clients_are_told() {
    let home = Home::new();
    let instance = home.launch().ready().await;
    let gateway = ChildName::Gateway;
    // A long log is what clients ask for.
    let mut log = home.log().text();
    let line = log.lines().next().unwrap().to_owned();
    while log.len() < 2_000_000 {
        log.push_str(&line);
        log.push('\n');
    }
    let file = std::fs::read_dir(home.log_dir()).unwrap().next().unwrap();
    std::fs::write(file.unwrap().path(), &log).unwrap();

    let mut client = instance.client().await;
    let before = instance.child(gateway).await;
    let idle = resident_bytes(pid(&before).unwrap());
    let bound = (idle / 1_000_000 + 30).to_string() + "MB";
    home.configure(&limits("gateway", &bound, "off"));
    let key = format!("/supervisor/children/{}/memoryLimitBytes", place(gateway));
    let bytes = (idle / 1_000_000 + 30) * 1_000_000;
    instance.health_shows(&key, &json!(bytes)).await;
    assert_eq!(instance.child(gateway).await.pid, before.pid);

    let hoarding = hoard(&instance, &before).await;
    let after = instance.until_later_life(gateway, &before).await;
    let why = after.last_error.unwrap_or_default();
    let expected = "of gateway.limits.gateway.memory";
    assert!(why.contains(expected), "{why:?}");
    assert_eq!(after.restarts, before.restarts, "nothing died");
    let (events, end) = client.rest().await;
    let told = events.iter().find(|event| event["event"] == "shutdown");
    assert!(told.is_some(), "{events:?}");
    let is_restart = matches!(&end, Received::Closed { code: 1012, .. });
    assert!(is_restart, "{end:?}");
    let line = "child uses more memory than it may; it is replaced";
    is_told(&instance, Rung::Replaced, line).await;
    drop(hoarding);
    serves(&instance).await;
}

#[tokio::test]
async fn a_successor_that_is_too_large_as_well_waits_and_serves_meanwhile() {
    let home = Home::new();
    home.configure(&limits("gateway", "1MB", "off"));
    let instance = home.launch().ready().await;
    let gateway = Some(ChildName::Gateway);
    until_took(&instance, Rung::Replaced, gateway).await;
    let status = until_took(&instance, Rung::BackingOff, gateway).await;
    let is_wait = |step: &&openclaw_shared::recovery::Step| step.rung == Rung::BackingOff;
    let step = status.fleet.recovery.steps.iter().find(is_wait).unwrap();
    assert!(
        step.reason.contains("soon after it was replaced"),
        "{step:?}"
    );
    assert!(step.wait_ms.is_some_and(|wait| wait > 10_000), "{step:?}");
    let gateway = of(&status, ChildName::Gateway);
    assert_eq!(gateway.state, ChildState::Active);
    assert_eq!(gateway.rung, Rung::BackingOff);
    assert_eq!(gateway.restarts, 0);
    instance
        .health_shows("/supervisor/recovery/rung", &json!("backing-off"))
        .await;
    serves(&instance).await;
    let steps = instance.status().await.fleet.recovery.steps;
    let replaced: Vec<u64> = (steps.iter())
        .filter(|step| step.rung == Rung::Replaced)
        .map(|step| step.ts)
        .collect();
    let waited = |pair: &[u64]| pair[1] - pair[0] >= 60_000;
    assert!(replaced.windows(2).all(waited), "it loops: {steps:?}");
}

#[tokio::test]
async fn a_child_beyond_its_ceiling_that_no_successor_relieves_is_killed() {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    let canvas = ChildName::CanvasHost;
    let before = instance.child(canvas).await;
    misbehave(&home, canvas, Stub::NeverReady);
    home.configure(&limits("canvasHost", "1MB", "2MB"));
    eventually(
        "it is killed",
        async || match openclaw_tests::process::is_alive(pid(&before).unwrap()) {
            true => Err(format!("{:?}", instance.child(canvas).await)),
            false => Ok(()),
        },
    )
    .await;
    let killed = |status: &InstanceStatus| {
        let why = of(status, canvas).last_error.unwrap_or_default();
        why.contains("beyond its ceiling of 2 MB")
    };
    instance.until("it is said why", killed).await;
    serves(&instance).await;
}

#[tokio::test]
async fn a_bound_can_be_switched_off() {
    let home = Home::new();
    home.configure(&json!({ "gateway": { "limits": {
        "gateway": { "memory": "off" }, "canvasHost": { "memory": "300MiB" },
    } } }));
    let instance = home.launch().ready().await;
    let status = instance.status().await;
    let bound = |child| of(&status, child).memory_limit_bytes;
    assert_eq!(bound(ChildName::Gateway), None);
    assert_eq!(bound(ChildName::CanvasHost), Some(300 << 20));
    assert_eq!(bound(ChildName::BrowserControl), Some(1_000_000_000));
    home.configure(&json!({ "gateway": { "limits": { "gateway": { "memory": "0.5" } } } }));
    until_took(&instance, Rung::Refused, None).await;
}
