//! Stories of a chat: what happens, what is asked for, and what is on the screen.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::view;

/// A chat with a screen.
struct Stage {
    chat: Chat,
    now: Moment,
    size: (u16, u16),
}

impl Stage {
    fn new() -> Self {
        let launch = json!({
            "url": "ws://127.0.0.1:1", "token": null, "password": null, "secretIsGiven": false, "isOurs": true, "identity": null,
            "session": null, "thinking": null, "deliver": false, "timeoutMs": null, "message": null, "historyLimit": 200, "color": true,
        });
        Self {
            chat: Chat::new(&serde_json::from_value(launch).unwrap()),
            now: Moment::now(),
            size: (60, 12),
        }
    }

    /// One that is connected, and has seen that nothing was said.
    fn connected() -> Self {
        let mut stage = Self::new();
        let asked = stage.happens(Happened::Up(hello()));
        assert_eq!(methods(&asked), ["chat.history", "sessions.list"]);
        stage.answered(
            &asked,
            0,
            json!({"sessionKey": "agent:main:main", "messages": [], "thinkingLevel": "low"}),
        );
        stage.answered(
            &asked,
            1,
            json!({"defaults": {"model": "offline-1", "contextTokens": 1000}, "sessions": []}),
        );
        stage
    }

    fn happens(&mut self, happened: Happened) -> Vec<Effect> {
        self.chat.on(self.now, happened)
    }

    fn answered(&mut self, asked: &[Effect], number: usize, answer: Value) -> Vec<Effect> {
        let Effect::Call(ask, ..) = &asked[number] else {
            panic!("nothing was asked: {asked:?}");
        };
        self.happens(Happened::Answered(ask.clone(), Ok(answer)))
    }

    fn press(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
        self.happens(Happened::Key(KeyEvent::new(code, modifiers)))
    }

    fn type_in(&mut self, text: &str) {
        for letter in text.chars() {
            assert_eq!(self.press(KeyCode::Char(letter), KeyModifiers::NONE), []);
        }
    }

    /// Types a line and sends it.
    fn say(&mut self, text: &str) -> Vec<Effect> {
        self.type_in(text);
        self.press(KeyCode::Enter, KeyModifiers::NONE)
    }

    fn event(&mut self, name: &str, payload: Value) -> Vec<Effect> {
        self.happens(Happened::Event {
            name: name.to_owned(),
            payload,
        })
    }

    fn chat_event(&mut self, run: &str, state: &str, text: &str) -> Vec<Effect> {
        self.event(
            "chat",
            json!({"runId": run, "sessionKey": "agent:main:main", "seq": 1, "state": state,
                "message": {"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": 1}}),
        )
    }

    fn tool_event(&mut self, run: &str, data: Value) {
        let effects = self.event(
            "agent",
            json!({"runId": run, "sessionKey": "main", "stream": "tool", "seq": 1, "ts": 1, "data": data}),
        );
        assert_eq!(effects, []);
    }

    fn screen(&mut self) -> Vec<String> {
        let (columns, rows) = self.size;
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal
            .draw(|frame| view::draw(frame, &mut self.chat, self.now, true))
            .unwrap();
        let buffer = terminal.backend().buffer().clone();
        let row = |row: u16| {
            let cells = (0..columns).map(|column| buffer[(column, row)].symbol());
            cells.collect::<String>().trim_end().to_owned()
        };
        (0..rows).map(row).collect()
    }

    /// What is on the screen, without what is empty.
    fn shown(&mut self) -> String {
        let lines = self.screen();
        let lines: Vec<&str> = lines
            .iter()
            .map(String::as_str)
            .filter(|line| !line.is_empty())
            .collect();
        lines.join("\n")
    }
}

fn hello() -> Value {
    json!({"snapshot": {"sessionDefaults": {"defaultAgentId": "main", "mainKey": "main", "mainSessionKey": "agent:main:main"}}})
}

fn methods(effects: &[Effect]) -> Vec<&str> {
    let method = |effect: &Effect| match effect {
        Effect::Call(_, method, _) => *method,
        Effect::Quit => "quit",
        Effect::Redraw => "redraw",
    };
    let mut names = Vec::new();
    for effect in effects {
        let Effect::Call(_, name, _) = effect else {
            return vec![if *effect == Effect::Quit {
                "quit"
            } else {
                "redraw"
            }];
        };
        assert_eq!(method(effect), *name);
        names.push(*name);
    }
    names
}

fn params(effect: &Effect) -> &Value {
    match effect {
        Effect::Call(_, _, params) => params,
        Effect::Quit | Effect::Redraw => panic!("nothing is asked: {effect:?}"),
    }
}

#[test]
fn a_conversation_is_shown_as_it_goes() {
    let mut stage = Stage::connected();
    let asked = stage.say("hello there");
    assert_eq!(methods(&asked), ["chat.send"]);
    let sent = params(&asked[0]).clone();
    assert_eq!(sent["sessionKey"], "agent:main:main");
    assert_eq!(sent["message"], "hello there");
    let run = sent["idempotencyKey"].as_str().unwrap().to_owned();
    stage.answered(&asked, 0, json!({"runId": run, "status": "started"}));
    stage.now = stage.now + Duration::from_secs(3);
    stage.chat_event(&run, "delta", "Good");
    stage.chat_event(&run, "delta", "Good day.");
    stage.tool_event(
        &run,
        json!({"phase": "start", "name": "exec", "toolCallId": "c", "args": {"command": "ls"}}),
    );
    stage.tool_event(
        &run,
        json!({"phase": "result", "name": "exec", "toolCallId": "c", "isError": false,
        "result": {"content": [{"type": "text", "text": "a.txt"}]}}),
    );
    assert_eq!(
        stage.screen(),
        [
            "openclaw · agent main · session main · offline-1 · think low",
            "> hello there",
            "",
            "  Good day.",
            "",
            "* exec {\"command\":\"ls\"}",
            "  a.txt",
            "",
            "",
            "",
            "─ working 3s · Esc stops it ────────────────────────────────",
            ">",
        ]
    );
    let asked = stage.chat_event(&run, "final", "There is a.txt.");
    assert_eq!(methods(&asked), ["sessions.list"]);
    stage.answered(
        &asked,
        0,
        json!({"defaults": {"model": "offline-1", "contextTokens": 1000}, "sessions": [
            {"key": "agent:main:other"}, {"key": "agent:main:main", "model": "m2", "totalTokens": 70}]}),
    );
    let shown = stage.shown();
    assert!(
        shown.starts_with("openclaw · agent main · session main · m2 · think low · 70/…"),
        "{shown}"
    );
    assert!(
        shown.contains("\n  There is a.txt.\n─ connected"),
        "{shown}"
    );
}

#[test]
fn what_is_said_in_other_sessions_is_not_shown_here() {
    let mut stage = Stage::connected();
    let before = stage.screen();
    for key in ["agent:main:x", "agent:other:main", "global"] {
        let payload = json!({"runId": "r", "sessionKey": key, "seq": 1, "state": "delta",
            "message": {"role": "assistant", "content": [{"type": "text", "text": "secret"}], "timestamp": 1}});
        assert_eq!(stage.event("chat", payload), []);
    }
    assert_eq!(stage.screen(), before);
}

#[test]
fn what_others_asked_here_is_looked_up_at_the_end() {
    let mut stage = Stage::connected();
    stage.chat_event("theirs", "delta", "Hm");
    assert!(stage.chat.is_busy());
    assert_eq!(
        methods(&stage.chat_event("theirs", "final", "Hm.")),
        ["chat.history", "sessions.list"]
    );
    assert!(!stage.chat.is_busy());
}

#[test]
fn escape_stops_what_runs() {
    let mut stage = Stage::connected();
    assert_eq!(
        stage.press(KeyCode::Esc, KeyModifiers::NONE),
        [],
        "nothing runs"
    );
    let asked = stage.say("work");
    let run = params(&asked[0])["idempotencyKey"]
        .as_str()
        .unwrap()
        .to_owned();
    let asked = stage.press(KeyCode::Esc, KeyModifiers::NONE);
    assert_eq!(methods(&asked), ["chat.abort"]);
    assert_eq!(params(&asked[0]), &json!({"sessionKey": "agent:main:main"}));
    stage.answered(
        &asked,
        0,
        json!({"ok": true, "aborted": true, "runIds": [run]}),
    );
    let payload = json!({"runId": run, "sessionKey": "agent:main:main", "seq": 1, "state": "aborted", "stopReason": "rpc"});
    assert_eq!(stage.event("chat", payload), []);
    assert!(!stage.chat.is_busy());
    assert!(stage.shown().contains("- Stopped."), "{}", stage.shown());
}

#[test]
fn what_was_sent_is_sent_again_on_the_next_connection_under_the_same_key() {
    let mut stage = Stage::connected();
    let first = stage.say("one");
    let second = stage.say("two");
    let run = params(&first[0])["idempotencyKey"].clone();
    stage.answered(&first, 0, json!({"runId": run, "status": "started"}));
    stage.happens(Happened::Down(
        "gateway closed (1012 service restart): x".to_owned(),
    ));
    assert!(
        stage
            .shown()
            .contains("─ disconnected, trying again: gateway closed"),
        "{}",
        stage.shown()
    );
    assert_eq!(stage.say("three"), [], "it waits for a connection");
    stage.happens(Happened::Connecting);
    let asked = stage.happens(Happened::Up(hello()));
    assert_eq!(
        methods(&asked),
        [
            "chat.history",
            "sessions.list",
            "agent.wait",
            "chat.send",
            "chat.send"
        ]
    );
    assert_eq!(params(&asked[2]), &json!({"runId": run, "timeoutMs": 0}));
    assert_eq!(asked[3], second[0]);
    assert_eq!(params(&asked[4])["message"], "three");
    // The transcript has the first, and not yet the second.
    let messages = json!({"messages": [{"role": "user", "content": "one", "timestamp": 1}]});
    stage.answered(&asked, 0, messages);
    let shown = stage.shown();
    assert!(
        shown.contains("\n> one\n> two\n> three\n─ working"),
        "{shown}"
    );
    let again = stage.answered(&asked, 2, json!({"runId": run, "status": "error"}));
    assert_eq!(
        methods(&again),
        ["chat.history", "sessions.list"],
        "it ended meanwhile"
    );
    let again = stage.answered(&asked, 3, json!({"runId": "x", "status": "in_flight"}));
    assert_eq!(again, []);
    assert_eq!(stage.chat.runs.len(), 2);
}

#[test]
fn what_waits_for_a_connection_can_be_taken_back() {
    let mut stage = Stage::new();
    assert_eq!(stage.say("early"), []);
    assert!(
        stage.shown().ends_with("\n> early"),
        "nobody has said yet what the session is called"
    );
    let mut stage = Stage::connected();
    stage.happens(Happened::Down("gone".to_owned()));
    stage.say("later");
    assert_eq!(stage.press(KeyCode::Esc, KeyModifiers::NONE), []);
    assert!(
        stage
            .shown()
            .contains("! Not connected; what was not sent stays unsent.")
    );
    assert_eq!(
        methods(&stage.happens(Happened::Up(hello()))),
        ["chat.history", "sessions.list"]
    );
}

#[test]
fn sessions_are_picked_by_name() {
    let mut stage = Stage::connected();
    let asked = stage.press(KeyCode::Char('p'), KeyModifiers::CONTROL);
    assert_eq!(methods(&asked), ["sessions.list"]);
    assert!(stage.shown().contains("Asking the gateway…"));
    stage.answered(&asked, 0, json!({"sessions": [
        {"key": "agent:main:main"}, {"key": "agent:main:notes", "derivedTitle": "Shopping\u{1b}[2J"}, {"key": "agent:main:news"}]}));
    let shown = stage.shown();
    assert!(
        shown.contains("> agent:main:main")
            && shown.contains("agent:main:notes  Shopping\\u{1b}[2J"),
        "{shown}"
    );
    stage.type_in("shop");
    let asked = stage.press(KeyCode::Enter, KeyModifiers::NONE);
    assert_eq!(methods(&asked), ["chat.history", "sessions.list"]);
    assert_eq!(params(&asked[0])["sessionKey"], "agent:main:notes");
    assert!(
        stage
            .shown()
            .starts_with("openclaw · agent main · session notes")
    );
    // What was asked about the session before comes too late.
    let late = Ask::History("agent:main:main".to_owned());
    stage.happens(Happened::Answered(
        late,
        Ok(json!({"messages": [{"role": "user", "content": "old", "timestamp": 1}]})),
    ));
    assert!(!stage.shown().contains("old"));
}

#[test]
fn commands_of_ours_are_carried_out_and_others_are_passed_on() {
    for (typed, asked) in [
        ("/session notes", vec!["chat.history", "sessions.list"]),
        ("/agent work", vec!["chat.history", "sessions.list"]),
        ("/sessions", vec!["sessions.list"]),
        ("/new", vec!["sessions.reset"]),
        ("/reset", vec!["sessions.reset"]),
        ("/abort", vec!["chat.abort"]),
        ("/QUIT", vec!["quit"]),
        ("/help", vec![]),
        ("/deliver on", vec![]),
        ("/status", vec!["chat.send"]),
        ("/think high", vec!["chat.send"]),
        ("/new gpt", vec!["chat.send"]),
        ("  ", vec![]),
    ] {
        let mut stage = Stage::connected();
        assert_eq!(methods(&stage.say(typed)), asked, "{typed}");
    }
    let mut stage = Stage::connected();
    stage.say("/session notes");
    assert_eq!(stage.chat.session, "agent:main:notes");
    stage.say("/agent Work");
    assert_eq!(stage.chat.session, "agent:work:main");
}

#[test]
fn ctrl_c_clears_and_then_leaves() {
    let mut stage = Stage::connected();
    stage.type_in("draft");
    assert_eq!(stage.press(KeyCode::Char('c'), KeyModifiers::CONTROL), []);
    assert!(stage.shown().contains("Ctrl-C again to leave"));
    stage.type_in("x");
    assert_eq!(
        stage.press(KeyCode::Char('c'), KeyModifiers::CONTROL),
        [],
        "something was typed in between"
    );
    assert_eq!(
        stage.press(KeyCode::Char('c'), KeyModifiers::CONTROL),
        [Effect::Quit]
    );
    assert_eq!(
        stage.press(KeyCode::Char('d'), KeyModifiers::CONTROL),
        [Effect::Quit]
    );
}

#[test]
fn several_lines_are_typed_and_pasted() {
    let mut stage = Stage::connected();
    stage.type_in("one");
    stage.press(KeyCode::Enter, KeyModifiers::ALT);
    stage.happens(Happened::Pasted("two\r\nthree\x1b[31m".to_owned()));
    let shown = stage.shown();
    assert!(
        shown.ends_with("> one\n  two\n  three\\u{1b}[31m"),
        "{shown}"
    );
    let asked = stage.press(KeyCode::Enter, KeyModifiers::NONE);
    assert_eq!(params(&asked[0])["message"], "one\ntwo\nthree\\u{1b}[31m");
}

#[test]
fn who_scrolls_back_keeps_what_he_reads_in_sight() {
    let mut stage = Stage::connected();
    let messages: Vec<Value> =
        (0..20).map(|number| json!({"role": "assistant", "content": format!("line {number}"), "timestamp": 1})).collect();
    let history = Ask::History("agent:main:main".to_owned());
    stage.happens(Happened::Answered(
        history,
        Ok(json!({ "messages": messages })),
    ));
    assert!(stage.shown().contains("line 19"));
    stage.press(KeyCode::PageUp, KeyModifiers::NONE);
    let read = stage.screen()[1..10].to_vec();
    assert!(
        !read.iter().any(|line| line.contains("line 19")),
        "{read:?}"
    );
    stage.chat_event("r", "delta", "more and more");
    assert_eq!(stage.screen()[1..10], read);
    stage.press(KeyCode::End, KeyModifiers::CONTROL);
    assert!(stage.shown().contains("more and more"));
    stage.press(KeyCode::Home, KeyModifiers::CONTROL);
    assert!(stage.shown().contains("line 0\n"), "{}", stage.shown());
}

#[test]
fn every_size_can_be_drawn() {
    let mut stage = Stage::connected();
    stage.say("日本語 👍🏽 e\u{301} a very long line that has to be cut somewhere, however narrow the terminal is");
    stage.chat_event(
        "r",
        "delta",
        "wide: 日本語日本語日本語 and an\u{1b}[31m escape",
    );
    stage.type_in("typing\u{65e5}");
    for picker in [false, true] {
        if picker {
            let asked = stage.press(KeyCode::Char('p'), KeyModifiers::CONTROL);
            stage.answered(&asked, 0, json!({"sessions": [{"key": "a"}, {"key": "b"}]}));
        }
        for columns in 1..50 {
            for rows in 1..15 {
                stage.size = (columns, rows);
                assert!(!stage.shown().contains('\u{1b}'));
            }
        }
    }
}

#[test]
fn refusals_are_said_and_end_what_was_hoped_for() {
    let mut stage = Stage::connected();
    let asked = stage.say("hello");
    let Effect::Call(ask, ..) = &asked[0] else {
        panic!("{asked:?}")
    };
    stage.happens(Happened::Answered(
        ask.clone(),
        Err("send blocked by session policy".to_owned()),
    ));
    assert!(!stage.chat.is_busy());
    assert!(stage.shown().contains("! send blocked by session policy"));
    let payload = json!({"runId": "r", "sessionKey": "main", "seq": 1, "state": "error", "errorMessage": "no\u{7} key"});
    stage.event("chat", payload);
    assert!(
        stage.shown().contains("! no\\u{7} key"),
        "{}",
        stage.shown()
    );
}
