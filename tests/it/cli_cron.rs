//! The command line about jobs, and the lists next to them: as text, as the raw answer, and as a failure.

use openclaw_tests::home::Home;
use serde_json::json;

#[tokio::test]
async fn a_job_is_added_changed_and_removed() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let said = home.run(&["cron", "list"]).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "No cron jobs.\n"),
        "{said:?}"
    );

    let said = home
        .run(&[
            "cron",
            "add",
            "--name",
            "Morning news",
            "--every",
            "1h",
            "--system-event",
            "news?",
            "--json",
        ])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    let job = said.json();
    assert_eq!(job["schedule"]["everyMs"], 3_600_000);
    assert_eq!(job["enabled"], true);

    let said = home.run(&["cron", "disable", "morning-news"]).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "Morning news is switched off.\n"),
        "{said:?}"
    );
    let said = home.run(&["cron", "list", "--json"]).await;
    assert_eq!(said.json()["jobs"], json!([]), "{said:?}");
    let said = home.run(&["cron", "list", "--all"]).await;
    assert!(
        said.out.contains("Morning news") && said.out.contains("off"),
        "{said:?}"
    );

    let id = job["id"].as_str().unwrap();
    let said = home
        .run(&[
            "cron",
            "edit",
            &id[..8],
            "--cron",
            "0 7 * * *",
            "--tz",
            "Europe/Vienna",
            "--json",
        ])
        .await;
    assert_eq!(said.json()["schedule"]["expr"], "0 7 * * *", "{said:?}");
    let said = home.run(&["cron", "runs", id]).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "No runs.\n"),
        "{said:?}"
    );
    let said = home.run(&["cron", "status", "--json"]).await;
    assert_eq!(said.json()["jobs"], 1, "{said:?}");
    let said = home.run(&["cron", "rm", id]).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "Removed Morning news.\n"),
        "{said:?}"
    );
    let said = home.run(&["cron", "rm", id, "--json"]).await;
    assert_eq!(
        (said.code, &said.json()["kind"]),
        (1, &json!("usage")),
        "{said:?}"
    );
}

#[tokio::test]
async fn the_lists_of_a_fresh_instance_are_shown() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    for (line, beginning) in [
        (&["sessions"][..], "Sessions: 0\n"),
        (&["channels", "status"], "No channels.\n"),
        (&["channels", "list"], "No channels.\n"),
        (&["agents", "list"], "Agent"),
        (&["models", "list"], "Model"),
        (&["skills", "list"], "No skills.\n"),
        (&["system", "presence"], "Host"),
        (
            &["system", "heartbeat", "last"],
            "There was no heartbeat yet.\n",
        ),
        (&["system", "event", "--text", "hello"], "ok\n"),
        (
            &["nodes", "status"],
            "Known: 0 · Paired: 0 · Connected: 0\n",
        ),
        (&["nodes", "pending"], "No pending pairing requests.\n"),
        (&["approvals", "pending"], "Nothing waits for approval.\n"),
        (
            &["gateway", "usage-cost"],
            "Usage cost (30 days)\nTotal: $0.0000 · 0 tokens\n",
        ),
    ] {
        let said = home.run(line).await;
        assert_eq!(said.code, 0, "{line:?}: {said:?}");
        assert!(said.out.starts_with(beginning), "{line:?}: {said:?}");
        let said = home.run(&[line, &["--json"]].concat()).await;
        assert_eq!(said.code, 0, "{line:?}: {said:?}");
        let _ = said.json();
    }
}

#[tokio::test]
async fn without_a_gateway_every_command_says_so_in_one_document() {
    let home = Home::new();
    for line in [
        &["nodes", "status"][..],
        &["devices", "list"],
        &["approvals", "get"],
        &["system", "presence"],
        &["cron", "list"],
        &["sessions"],
        &["agents", "list"],
        &["channels", "status"],
        &["skills", "list"],
        &["gateway", "usage-cost"],
    ] {
        let said = home.run(&[line, &["--json"]].concat()).await;
        assert_eq!(
            (said.code, &said.json()["kind"]),
            (1, &json!("unreachable")),
            "{line:?}: {said:?}"
        );
    }
}
