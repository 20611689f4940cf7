//! The terminal chat, in a real terminal: what is typed is answered and seen while it grows, whatever becomes of the gateway, and
//! the terminal is given back as it was.

use openclaw_shared::control::ChildName;
use openclaw_tests::client::Client;
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::kill;
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Instance, pid};
use openclaw_tests::process::{self, Signal};
use openclaw_tests::tmux::Window;
use serde_json::{Value, json};

/// What the shell says when the chat has ended.
const LEFT: &str = "left with";

/// An instance, and a window with a chat in it that is connected.
async fn chat(arguments: &str) -> (Instance, Window) {
    let instance = Home::new().launch().ready().await;
    let line = format!("echo before; openclaw tui {arguments}; echo {LEFT} $?; exec cat");
    let window = Window::open(instance.home(), (80, 24), &line).await;
    window.until_shown("─ connected").await;
    (instance, window)
}

/// Types a message of several lines and sends it.
fn say(window: &Window, lines: &[&str]) {
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            window.press("M-Enter");
        }
        window.type_in(line);
    }
    window.press("Enter");
}

/// What was said in a session, once there is so much.
async fn history(client: &mut Client, session: &str, messages: usize) -> Vec<Value> {
    eventually("the session has its messages", async || {
        let answer = client
            .call("chat.history", json!({ "sessionKey": session }))
            .await;
        let said = answer.unwrap_or_default()["messages"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        match said.len() >= messages {
            true => Ok(said),
            false => Err(format!("{said:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn what_is_typed_is_answered() {
    let (instance, window) = chat("").await;
    let screen = window.until_shown("agent main · session main").await;
    assert!(
        !screen.contains("before"),
        "the chat has the screen for itself:\n{screen}"
    );
    say(&window, &["grüß dich 日本"]);
    let screen = window
        .until("the answer is shown", |screen| {
            screen.matches("grüß dich 日本").count() == 2 && screen.contains("─ connected")
        })
        .await;
    assert!(screen.contains("> grüß dich 日本"), "{screen}");
    let said = history(&mut instance.client().await, "main", 2).await;
    assert_eq!(said[0]["role"], "user");
    window.type_in("/quit");
    window.press("Enter");
    let screen = window.until_shown(&format!("{LEFT} 0")).await;
    assert!(
        screen.contains("before"),
        "the terminal is given back:\n{screen}"
    );
}

#[tokio::test]
async fn an_answer_grows_and_is_stopped() {
    let (_instance, window) = chat("").await;
    say(
        &window,
        &[
            "so slowly",
            "/slow 1000",
            "one two three four five six seven eight nine ten",
        ],
    );
    window.until_shown("working").await;
    // Its first words are there before its last.
    window
        .until("the answer begins", |screen| {
            screen.matches("one two").count() == 2
        })
        .await;
    window.press("Escape");
    let screen = window.until_shown("- Stopped.").await;
    assert_eq!(screen.matches("nine ten").count(), 1, "{screen}");
    window.until_shown("─ connected").await;
    say(&window, &["and now?"]);
    window
        .until("the next answer is shown", |screen| {
            screen.matches("and now?").count() == 2
        })
        .await;
}

#[tokio::test]
async fn another_session_is_picked() {
    let (instance, window) = chat("--session first").await;
    say(&window, &["in the first"]);
    window
        .until("it is answered", |screen| {
            screen.matches("in the first").count() == 2
        })
        .await;
    window.type_in("/session second");
    window.press("Enter");
    window
        .until("the other session is open", |screen| {
            screen.contains("session second") && !screen.contains("in the first")
        })
        .await;
    say(&window, &["in the second"]);
    window
        .until("it is answered", |screen| {
            screen.matches("in the second").count() == 2
        })
        .await;
    history(&mut instance.client().await, "agent:main:second", 2).await;
    window.press("C-p");
    window.until_shown("agent:main:first").await;
    window.type_in("first");
    window.press("Enter");
    window
        .until("what was said there is shown again", |screen| {
            screen.contains("session first") && screen.matches("in the first").count() == 2
        })
        .await;
}

#[tokio::test]
async fn it_comes_back_after_a_restart_and_after_a_kill() {
    let (instance, window) = chat("").await;
    say(&window, &["before all that"]);
    window
        .until("it is answered", |screen| {
            screen.matches("before all that").count() == 2
        })
        .await;
    instance.restart(Some(ChildName::Gateway)).await.unwrap();
    window.until_shown("─ connected").await;
    say(&window, &["after the restart"]);
    window
        .until("it is answered", |screen| {
            screen.matches("after the restart").count() == 2
        })
        .await;
    let before = instance.child(ChildName::Gateway).await;
    kill(pid(&before).unwrap()).await;
    instance.until_later_life(ChildName::Gateway, &before).await;
    window.until_shown("─ connected").await;
    say(&window, &["after the kill"]);
    let screen = window
        .until("it is answered", |screen| {
            screen.matches("after the kill").count() == 2
        })
        .await;
    assert!(screen.contains("before all that"), "{screen}");
}

#[tokio::test]
async fn a_signal_ends_it_and_the_terminal_is_given_back() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let instance = Home::new().launch().ready().await;
        // The shell becomes the chat, so that its number is the chat's.
        let line = format!("(exec openclaw tui); echo {LEFT} $?; stty -a; exec cat");
        let window = Window::open(instance.home(), (80, 24), &line).await;
        window.until_shown("─ connected").await;
        let shell: i32 = window.fact("pane_pid").parse().unwrap();
        let chat = process::children_of(shell)
            .into_iter()
            .next()
            .expect("the chat is a child of the shell");
        process::send(chat.pid, signal);
        let screen = window.until_shown(&format!("{LEFT} 0")).await;
        let screen = match screen.contains("echo") {
            true => screen,
            false => window.until_shown("echo").await,
        };
        assert!(
            !screen.contains("-icanon") && !screen.contains("-echo "),
            "{screen}"
        );
        assert_eq!(window.fact("alternate_on"), "0");
    }
}

#[tokio::test]
async fn rule_99_nothing_that_is_said_commands_the_terminal() {
    let (instance, window) = chat("").await;
    let title = window.fact("pane_title");
    let mut client = instance.client().await;
    let evil = "\u{1b}]2;pwned\u{7}\u{1b}[2J\u{1b}[31mred\u{9b}31m";
    let params = json!({"sessionKey": "agent:main:main", "message": format!("say {evil}"), "idempotencyKey": "evil"});
    client.call("chat.send", params).await.unwrap();
    let screen = window.until_shown("red").await;
    assert!(screen.contains("\\u{1b}]2;pwned"), "{screen}");
    window.paste(evil);
    window
        .until("it is in the editor", |screen| {
            screen.matches("\\u{1b}]2;pwned").count() > 1
        })
        .await;
    window.resize(50, 12);
    window
        .until("all of it fits", |screen| {
            screen.lines().count() <= 12 && screen.contains("─ ")
        })
        .await;
    assert_eq!(window.fact("pane_title"), title);
}

#[tokio::test]
async fn without_a_terminal_it_says_what_to_use() {
    let home = Home::new();
    let said = home.run(&["tui"]).await;
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("openclaw agent --message"), "{said:?}");
    let said = home.run(&["tui", "--json"]).await;
    assert_eq!(said.json()["kind"], "usage");
}
