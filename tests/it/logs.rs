//! Logs: one line a record from all four processes, in the shape that readers expect.

use std::collections::BTreeSet;

use openclaw_shared::clock::Moment;
use openclaw_shared::control::ChildName;
use openclaw_tests::client::attempt;
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::Home;
use openclaw_tests::log::message;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::test]
async fn all_four_processes_write_whole_records_into_one_file() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    // Restarts under load make all of them write at the same time.
    let load = openclaw_tests::load::Load::start(10, &instance.target()).await;
    for _ in 0..3 {
        instance.restart(None).await.unwrap();
    }
    load.stop().await;
    let records = home.log().records();
    let text = |pointer: &str, record: &Value| {
        record
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let writers: BTreeSet<String> = records
        .iter()
        .map(|record| text("/_meta/process", record))
        .collect();
    let children = ChildName::ALL.iter().map(|child| child.as_str());
    let expected: BTreeSet<String> = children.chain(["supervisor"]).map(str::to_owned).collect();
    assert_eq!(writers, expected);
    for record in &records {
        assert!(!message(record).is_empty(), "{record}");
        let subsystem: Value = serde_json::from_str(&text("/0", record)).unwrap();
        assert!(subsystem["subsystem"].is_string(), "{record}");
        let level = text("/_meta/logLevelName", record);
        assert!(
            ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].contains(&level.as_str()),
            "{record}"
        );
        assert!(
            record["_meta"]["pid"].is_u64() && record["time"].is_string(),
            "{record}"
        );
    }
    assert_eq!(
        std::fs::read_dir(home.log_dir()).unwrap().count(),
        1,
        "one file"
    );
}

#[tokio::test]
async fn the_log_can_be_read_through_the_gateway_in_pieces() {
    let instance = Home::new().launch().ready().await;
    let mut client = instance.client().await;
    let first = client
        .call("logs.tail", json!({ "limit": 5 }))
        .await
        .unwrap();
    assert_eq!(first["lines"].as_array().unwrap().len(), 5, "{first}");
    let mut cursor = first["cursor"].as_u64().unwrap();
    // Somebody may have had something to say meanwhile.
    eventually("there is nothing more", async || {
        let from = json!({ "cursor": cursor });
        let more = client.call("logs.tail", from).await.unwrap();
        cursor = more["cursor"].as_u64().unwrap();
        match more["lines"].as_array().unwrap().is_empty() {
            true => Ok(()),
            false => Err(more.to_string()),
        }
    })
    .await;
    instance.restart(Some(ChildName::CanvasHost)).await.unwrap();
    let more = client
        .call("logs.tail", json!({ "cursor": cursor }))
        .await
        .unwrap();
    let lines = more["lines"].as_array().unwrap();
    assert!(
        lines
            .iter()
            .any(|line| line.as_str().unwrap().contains("restart requested")),
        "{more}"
    );
    for line in lines {
        serde_json::from_str::<Value>(line.as_str().unwrap()).unwrap();
    }
    assert!(more["cursor"].as_u64().unwrap() > cursor);
    assert_eq!(
        (&more["truncated"], &more["reset"]),
        (&json!(false), &json!(false))
    );
}

#[tokio::test]
async fn the_log_can_be_followed_and_goes_on_over_a_restart() {
    let instance = Home::new().launch().ready().await;
    let command = instance.home().command(&["logs", "--follow"]);
    let mut command = tokio::process::Command::from(command);
    let mut following = command
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    shows(&mut lines, "listening on ws://").await;
    instance
        .restart(Some(ChildName::BrowserControl))
        .await
        .unwrap();
    shows(&mut lines, "restart requested").await;
    // The gateway that it reads through is replaced, and nothing of this is missed.
    instance.restart(Some(ChildName::Gateway)).await.unwrap();
    instance.restart(Some(ChildName::CanvasHost)).await.unwrap();
    shows(&mut lines, "CanvasHost").await;
}

#[tokio::test]
async fn what_is_followed_can_be_chosen() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let wanted = ["--process", "supervisor", "--grep", "restart requested"];
    let line = [
        &["logs", "--follow", "--json", "--interval", "100"],
        &wanted[..],
    ]
    .concat();
    let mut command = tokio::process::Command::from(home.command(&line));
    let mut following = command
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    // It looks before anything of that kind was written.
    shows(&mut lines, "\"meta\"").await;
    // What is chosen goes on to be, also when the gateway that it reads through is replaced.
    let children = [
        ChildName::BrowserControl,
        ChildName::Gateway,
        ChildName::CanvasHost,
    ];
    for child in children {
        instance.restart(Some(child)).await.unwrap();
    }
    let mut chosen = Vec::new();
    openclaw_tests::eventually::soon("each restart is shown", async {
        while chosen.len() < children.len() {
            let line = lines.next_line().await.unwrap().expect("it goes on");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["type"] == "log" {
                chosen.push(line);
            }
        }
    })
    .await;
    for line in &chosen {
        assert_eq!(line["process"], "supervisor", "{line}");
        let message = line["message"].as_str().unwrap();
        assert!(message.contains("restart requested"), "{line}");
    }
    // Nothing that is written from now on can be wanted, so there is nothing to wait for.
    let said = home.run(&["logs", "--follow", "--until", "1d"]).await;
    assert_eq!(said.code, 0, "{said:?}");
}

async fn shows<R: tokio::io::AsyncBufRead + Unpin>(lines: &mut tokio::io::Lines<R>, text: &str) {
    openclaw_tests::eventually::soon(text, async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it goes on");
            if line.contains(text) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_gateway_the_file_itself_is_read() {
    let home = Home::new();
    let mut instance = home.launch().ready().await;
    instance.signal(openclaw_tests::process::Signal::SIGTERM);
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    let said = home.run(&["logs"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("stopped"), "{said:?}");
    let said = home.run(&["logs", "--json"]).await;
    for line in said.out.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert!(record["type"].is_string(), "{record}");
    }
}

#[tokio::test]
async fn verbose_shows_more_on_the_console_and_less_does_not() {
    let quiet = Home::new().launch().ready().await;
    let verbose = Home::new().launch().arguments(&["--verbose"]).ready().await;
    for instance in [&quiet, &verbose] {
        let mut client = instance.client().await;
        client.call("status", json!({})).await.unwrap();
    }
    eventually("the verbose one says more", async || {
        let lengths = (
            verbose.console().lines().count(),
            quiet.console().lines().count(),
        );
        if lengths.0 > lengths.1 {
            Ok(())
        } else {
            Err(format!("{lengths:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn rule_122_a_log_that_cannot_be_written_stops_nothing() {
    let home = Home::empty();
    // A folder where the file should be.
    let file = home.path().join("elsewhere").join("log");
    std::fs::create_dir_all(&file).unwrap();
    home.configure(&json!({ "logging": { "file": file } }));
    let instance = home.launch().ready().await;
    instance
        .client()
        .await
        .call("status", json!({}))
        .await
        .unwrap();
    instance.restart(None).await.unwrap();
}

#[tokio::test]
async fn rule_122_a_full_file_is_put_aside_and_writing_goes_on() {
    let home = Home::empty();
    home.configure(&json!({ "logging": { "maxFileBytes": 20_000 } }));
    let instance = home.launch().ready().await;
    eventually("a second file has been begun", async || {
        instance.restart(None).await?;
        let files = std::fs::read_dir(home.log_dir()).unwrap().count();
        if files > 1 {
            Ok(())
        } else {
            Err(format!("{files} file"))
        }
    })
    .await;
    instance.restart(None).await.unwrap();
    for entry in std::fs::read_dir(home.log_dir()).unwrap() {
        let size = entry.unwrap().metadata().unwrap().len();
        assert!(size < 40_000, "{size} bytes");
    }
}

#[tokio::test]
async fn rule_70_a_row_of_strangers_is_a_few_lines_and_a_number() {
    let instance = Home::new().launch().ready().await;
    let port = instance.home().port();
    let begun = Moment::now();
    for _ in 0..150 {
        let refused = attempt(port, "[]").await;
        assert!(refused.end.is_some(), "{refused:?}");
    }
    let log = instance.home().log();
    log.said("refused a first frame").await;
    let spans = Moment::now().since(begun).as_secs() / 10 + 1;
    let lines = log.with_text("refused a first frame");
    assert!(lines.len() as u64 <= 20 * (spans + 1), "{}", lines.len());
}
