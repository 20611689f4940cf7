//! The state of another version is taken over as a copy: once, beside a gateway that serves or without one, its files untouched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use openclaw_tests::home::Home;
use serde_json::{Value, json};

/// Every file below a folder, with what is in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    all
}

/// Puts the state of the other version into a folder. Every file of it, as it is there.
fn put_into(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/peer-state");
    let mut put = BTreeMap::new();
    for (path, bytes) in files(&golden) {
        let to = folder.join(path.strip_prefix(&golden).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(&to, &bytes).unwrap();
        put.insert(to, bytes);
    }
    put
}

fn are_untouched(put: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, bytes) in put {
        assert_eq!(&fs::read(path).unwrap(), bytes, "{}", path.display());
    }
}

#[tokio::test]
async fn a_state_is_taken_over_while_the_gateway_serves_and_once() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let put = put_into(&home.state_dir());
    let would = home.run(&["doctor", "--dry-run", "--json"]).await;
    let report = &would.json()["import"];
    assert_eq!(
        (&report["dryRun"], &report["sessions"]["added"]),
        (&json!(true), &json!(4)),
        "{would:?}"
    );
    let mut client = instance.client().await;
    let list = client.call("sessions.list", json!({})).await.unwrap();
    assert_eq!(list["count"], 0, "a dry run keeps nothing: {list}");

    let took = home.run(&["doctor"]).await;
    assert!(took.out.contains("Conversations"), "{took:?}");
    let wanted = json!({"includeDerivedTitles": true, "includeLastMessage": true});
    let list = client.call("sessions.list", wanted.clone()).await.unwrap();
    let of = |key: &str| -> Value {
        let rows = list["sessions"].as_array().unwrap();
        rows.iter().find(|row| row["key"] == key).unwrap().clone()
    };
    let main = of("agent:main:main");
    assert_eq!(main["derivedTitle"], "Remember the blue door, please");
    assert_eq!(main["lastMessagePreview"], "Hello from the mock model.");
    assert_eq!(of("agent:main:garden")["label"], "Garden");
    let said = json!({"sessionKey": "main"});
    let history = client.call("chat.history", said.clone()).await.unwrap();
    assert_eq!(history["sessionId"], main["sessionId"]);
    let messages = history["messages"].as_array().unwrap();
    assert_eq!(
        messages[0]["content"][0]["text"],
        "Remember the blue door, please"
    );
    assert_eq!(messages.len(), 6, "{history}");
    let jobs = json!({"includeDisabled": true});
    let jobs = client.call("cron.list", jobs).await.unwrap();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 2, "{jobs}");
    let devices = client.call("device.pair.list", json!({})).await.unwrap();
    let devices = devices["paired"].to_string();
    assert!(devices.contains("f4ed9077f806fc41"), "{devices}");
    let nodes = client.call("node.pair.list", json!({})).await.unwrap();
    assert!(nodes.to_string().contains("Living room"), "{nodes}");
    let used = client.call("usage.cost", json!({"days": 3650})).await;
    assert_eq!(used.unwrap()["totals"]["input"], 88);

    let again = home.run(&["doctor", "--json"]).await.json();
    let again = &again["import"];
    assert_eq!((&again["entries"], &again["runs"]), (&json!(0), &json!(0)));
    for kind in ["transcripts", "sessions", "jobs", "devices", "nodes"] {
        let tally = &again[kind];
        assert_eq!(
            (&tally["added"], &tally["updated"]),
            (&json!(0), &json!(0)),
            "{again}"
        );
    }
    let unchanged = client.call("sessions.list", wanted).await.unwrap();
    assert_eq!(unchanged["sessions"], list["sessions"]);
    let unchanged = client.call("chat.history", said).await.unwrap();
    assert_eq!(unchanged["messages"], history["messages"]);
    are_untouched(&put);

    // What comes out is what went in.
    let out = home.path().join("main.jsonl");
    let exported = home
        .run(&["sessions", "export", "main", "--out", out.to_str().unwrap()])
        .await;
    assert_eq!(exported.code, 0, "{exported:?}");
    let id = main["sessionId"].as_str().unwrap();
    let original = home
        .state_dir()
        .join(format!("agents/main/sessions/{id}.jsonl"));
    let lines = |path: &Path| -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let (exported, original) = (lines(&out), lines(&original));
    assert_eq!(exported[0]["id"], original[0]["id"]);
    assert_eq!(exported[1..], original[1..]);
}

#[tokio::test]
async fn a_state_elsewhere_is_taken_over_without_a_gateway() {
    let home = Home::new();
    let elsewhere = home.path().join("other");
    let put = put_into(&elsewhere);
    let nothing = home.run(&["doctor", "--json"]).await;
    assert_eq!(nothing.json()["import"]["found"], false, "{nothing:?}");
    let from = elsewhere.to_str().unwrap();
    let missing = home.run(&["doctor", "--from", "/nowhere"]).await;
    assert_eq!(missing.code, 1, "{missing:?}");
    fs::write(elsewhere.join("agents/main/sessions/x.jsonl"), "{}\n").unwrap();
    let took = home.run(&["doctor", "--from", from]).await;
    assert_eq!(took.code, 0, "{took:?}");
    assert!(
        took.out
            .contains("agents/main/sessions/x.jsonl: line 1 is no entry."),
        "{took:?}"
    );
    are_untouched(&put);
    let instance = home.launch().ready().await;
    let mut client = instance.client().await;
    let list = client.call("sessions.list", json!({})).await.unwrap();
    assert_eq!(list["count"], 4, "{list}");
}
