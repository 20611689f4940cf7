use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use openclaw_shared::clock::WallTime;
use openclaw_shared::import::{ImportOrder, ImportReport, Tally};
use openclaw_shared::transcript::{Message, Part, UserMessage};
use rusqlite::Connection;

use super::import;
use crate::services::transcripts;

struct House {
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/peer-state");
        copy(&golden, &folder.path().join("from"));
        Self { folder }
    }

    fn from(&self) -> PathBuf {
        self.folder.path().join("from")
    }

    fn path(&self, below: &str) -> PathBuf {
        self.from().join(below)
    }

    fn import(&self) -> ImportReport {
        self.do_it(false)
    }

    fn do_it(&self, dry_run: bool) -> ImportReport {
        let order = ImportOrder {
            from: self.from(),
            store: self.folder.path().join("store.sqlite"),
            dry_run,
        };
        let report = import(&order, WallTime::from_millis(1_795_400_000_000));
        assert_eq!(report.error, None);
        report
    }

    fn store(&self) -> Connection {
        Connection::open(self.folder.path().join("store.sqlite")).unwrap()
    }

    /// Everything that is kept, but for when it was.
    fn everything(&self) -> String {
        let store = self.store();
        let mut all = String::new();
        for sql in [
            "SELECT key || ' ' || entry FROM sessions ORDER BY key",
            "SELECT session_id || ' ' || session_key || ' ' || messages || ' ' || coalesce(title, '') || ' ' || coalesce(expires_ms, '') FROM transcripts ORDER BY session_id",
            "SELECT session_id || ' ' || id || ' ' || body FROM transcript_entries ORDER BY session_id, number",
            "SELECT day || ' ' || total_tokens FROM usage_days",
            "SELECT job FROM cron_jobs ORDER BY id",
            "SELECT entry FROM cron_runs ORDER BY number",
            "SELECT id || ' ' || record || ' ' || coalesce(node, '') FROM device ORDER BY id",
            "SELECT triggers FROM voicewake",
        ] {
            let mut statement = store.prepare(sql).unwrap();
            let rows = statement
                .query_map([], |row| row.get::<_, String>(0))
                .unwrap();
            for row in rows {
                all.push_str(&row.unwrap());
                all.push('\n');
            }
        }
        all
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn added(count: u64) -> Tally {
    Tally {
        added: count,
        ..Tally::default()
    }
}

fn unchanged(count: u64) -> Tally {
    Tally {
        unchanged: count,
        ..Tally::default()
    }
}

#[test]
fn a_state_of_the_other_version_is_taken_over_once() {
    let house = House::new();
    let report = house.import();
    assert!(report.found);
    assert_eq!(report.notes, []);
    assert_eq!(report.transcripts, added(5));
    assert_eq!((&report.sessions, &report.jobs), (&added(4), &added(2)));
    assert_eq!((report.runs, &report.histories), (2, &added(2)));
    assert_eq!(
        (&report.devices, &report.nodes, &report.voicewake),
        (&added(1), &added(1), &added(1))
    );
    let before = house.everything();
    let again = house.import();
    assert_eq!(again.transcripts, unchanged(5));
    assert_eq!(
        (&again.sessions, &again.jobs),
        (&unchanged(4), &unchanged(2))
    );
    assert_eq!(
        (again.runs, again.entries, &again.devices),
        (0, 0, &unchanged(1))
    );
    assert_eq!(house.everything(), before);

    let store = house.store();
    let id: String = store
        .query_row(
            "SELECT session_id FROM sessions WHERE key = 'agent:main:main'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let said: Vec<String> = transcripts::history(&store, &id)
        .unwrap()
        .iter()
        .map(|message| message.text())
        .collect();
    assert_eq!(
        said.first().map(String::as_str),
        Some("Remember the blue door, please\n[message_id: f1]")
    );
    assert_eq!(
        transcripts::first_user_text(&store, &id)
            .unwrap()
            .as_deref(),
        Some("Remember the blue door, please")
    );
    let page = transcripts::export::page(&store, &id, 0, 100, "/home/me/ws")
        .unwrap()
        .unwrap();
    let file = fs::read_to_string(house.path(&format!("agents/main/sessions/{id}.jsonl"))).unwrap();
    let lines: Vec<serde_json::Value> = file
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(page.entries, lines, "what is exported is what was imported");
}

#[test]
fn a_dry_run_reports_and_keeps_nothing() {
    let house = House::new();
    let report = house.do_it(true);
    assert!(report.dry_run);
    assert_eq!(
        (&report.transcripts, &report.sessions),
        (&added(5), &added(4))
    );
    assert!(!house.folder.path().join("store.sqlite").exists());
    house.import();
    let before = house.everything();
    house.do_it(true);
    assert_eq!(house.everything(), before);
}

#[test]
fn what_was_said_or_deleted_here_since_stays() {
    let house = House::new();
    house.import();
    let store = house.store();
    let id = "334aa4fa-b524-4beb-b3ac-e57fd4623454";
    let here = Message::User(UserMessage {
        content: vec![Part::text("Said here")],
        timestamp: 1,
    });
    transcripts::append(&store, id, &here).unwrap();
    store
        .execute_batch(
            "DELETE FROM sessions WHERE key = 'agent:main:gone';
         DELETE FROM device; DELETE FROM cron_jobs WHERE id LIKE '145f%';",
        )
        .unwrap();
    let before = house.everything();
    // The other version goes on with all of it.
    for (file, from, to) in [
        (
            format!("agents/main/sessions/{id}.jsonl"),
            "Water the plants",
            "Water them",
        ),
        (
            "agents/main/sessions/sessions.json".to_owned(),
            "\"updatedAt\"",
            "\"later\": 1, \"updatedAt\"",
        ),
        ("devices/paired.json".to_owned(), "linux", "darwin"),
        ("nodes/paired.json".to_owned(), "ios", "android"),
        ("cron/jobs.json".to_owned(), "Every hour", "Each hour"),
    ] {
        let path = house.path(&file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}");
        fs::write(&path, text.replace(from, to)).unwrap();
    }
    let report = house.import();
    assert_eq!(report.transcripts.newer_here, 1);
    assert_eq!(report.sessions.newer_here, 4);
    assert_eq!((report.devices.newer_here, report.nodes.newer_here), (1, 1));
    assert_eq!(report.jobs.newer_here, 1);
    assert_eq!(house.everything(), before);
}

#[test]
fn what_went_on_there_is_added() {
    let house = House::new();
    house.import();
    let path = house.path("agents/main/sessions/334aa4fa-b524-4beb-b3ac-e57fd4623454.jsonl");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str(r#"{"type":"message","id":"feedfeed","timestamp":"2026-11-23T03:00:00.000Z","message":{"role":"user","content":"More","timestamp":1}}"#);
    text.push('\n');
    fs::write(&path, text).unwrap();
    let report = house.import();
    assert_eq!((report.transcripts.updated, report.entries), (1, 1));
    assert_eq!(
        transcripts::last_text(&house.store(), "334aa4fa-b524-4beb-b3ac-e57fd4623454")
            .unwrap()
            .as_deref(),
        Some("More")
    );
}

/// Threat rule 58: what a name leads to lies below its folder, whatever links say.
#[test]
fn rule_58_what_is_broken_is_named_and_left_out_whole() {
    let house = House::new();
    let sessions = house.path("agents/main/sessions");
    let broken =
        fs::read_to_string(sessions.join("334aa4fa-b524-4beb-b3ac-e57fd4623454.jsonl")).unwrap();
    fs::write(
        sessions.join("broken.jsonl"),
        format!("{broken}nonsense\n{{}}\n"),
    )
    .unwrap();
    fs::write(house.folder.path().join("secret.jsonl"), &broken).unwrap();
    symlink(
        house.folder.path().join("secret.jsonl"),
        sessions.join("linked.jsonl"),
    )
    .unwrap();
    fs::write(
        house.path("cron/runs/145f37e8-181f-4bba-8876-284d3bbd1c90.jsonl"),
        "x\ny\n",
    )
    .unwrap();
    fs::write(house.path("nodes/paired.json"), "[1]").unwrap();
    fs::write(house.path("settings/voicewake.json"), [0xff, 0xfe]).unwrap();
    let paired = fs::read_to_string(house.path("devices/paired.json")).unwrap();
    fs::write(
        house.path("devices/paired.json"),
        paired.replace("sN8DOcro", "tN8DOcro"),
    )
    .unwrap();
    let report = house.import();
    let notes: Vec<String> = report
        .notes
        .iter()
        .map(|note| format!("{}: {}", note.file, note.text))
        .collect();
    assert_eq!(
        notes,
        [
            "agents/main/sessions/broken.jsonl: line 7 is not JSON: expected ident at line 1 column 2",
            "agents/main/sessions/linked.jsonl: it is no file that can be read",
            "cron/runs/145f37e8-181f-4bba-8876-284d3bbd1c90.jsonl: line 1 is no run: expected value at line 1 column 1",
            "devices/paired.json: the device f4ed9077f806fc41e6b85c2c7350e2ee60167f401a7fa839d291c02a262e9f4e has another key",
            "nodes/paired.json: it is no JSON object",
            "settings/voicewake.json: it is not UTF-8",
        ]
    );
    assert_eq!(
        (report.transcripts.added, report.transcripts.skipped),
        (5, 2)
    );
    assert!(!house.everything().contains("broken"));
}

#[test]
fn what_is_too_large_is_named_with_its_size_and_the_rest_is_taken_over() {
    let house = House::new();
    let path = house.path("agents/main/sessions").join("vast.jsonl");
    // A hole: nothing of it is on the disk, and nothing of it is read.
    let vast = fs::File::create(path).unwrap();
    vast.set_len(64 * 1024 * 1024 + 1).unwrap();
    let report = house.import();
    let notes: Vec<String> = report
        .notes
        .iter()
        .map(|note| format!("{}: {}", note.file, note.text))
        .collect();
    assert_eq!(
        notes,
        [
            "agents/main/sessions/vast.jsonl: it has 65 MiB, and no file of more than 64 MiB is taken over"
        ]
    );
    assert_eq!(
        (report.transcripts.added, report.transcripts.skipped),
        (5, 1)
    );
}
