use std::cell::RefCell;

use openclaw_shared::instance::Environment;
use openclaw_shared::transcript::text_of;
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::super::process::Process;
use super::*;

/// Says what it was told to say, and keeps what it was asked.
struct Person {
    says: Answer,
    asked: RefCell<Vec<Question>>,
}

impl Consent for Person {
    fn ask(&self, question: Question) -> LocalBoxFuture<'_, Answer> {
        self.asked.borrow_mut().push(question);
        let says = self.says.clone();
        async move { says }.boxed_local()
    }
}

struct Machine {
    folder: TempDir,
    exec: Exec,
    process: Process,
    person: Rc<Person>,
    progress: RefCell<Vec<ToolOutput>>,
}

/// The program of `examples`, which lies beside the folder of this one.
fn keeper() -> Keeper {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(Path::parent).unwrap();
    Keeper::at(folder.join("examples/child_of_tests"))
}

fn machine(security: Security, ask: Ask, says: Answer) -> Machine {
    let folder = TempDir::new().unwrap();
    let workspace = folder.path().join("workspace");
    std::fs::create_dir(&workspace).unwrap();
    let pairs = [("PATH", "/usr/bin:/bin"), ("OPENAI_API_KEY", "secret")];
    let environment = Environment::from_pairs(pairs, &workspace);
    let processes = Processes::default();
    let settings = ExecSettings {
        agent: "main".to_owned(),
        keeper: keeper(),
        host: HostEnvironment::of(&environment, None),
        approvals: Approvals::at(folder.path().join("exec-approvals.json")),
        security,
        ask,
        limit: Duration::from_secs(60),
        background_after: Duration::from_secs(30),
        may_background: true,
        skill_programs: Arc::new(|| ["uname".to_owned()].into()),
        processes: processes.clone(),
        on_exit: None,
    };
    let person = Rc::new(Person {
        says,
        asked: RefCell::default(),
    });
    Machine {
        exec: Exec::new(workspace, settings, Rc::clone(&person) as Rc<dyn Consent>),
        process: Process::new("main".to_owned(), processes),
        folder,
        person,
        progress: RefCell::default(),
    }
}

fn open() -> Machine {
    machine(Security::Full, Ask::Off, Answer::Denied)
}

impl Machine {
    async fn run(&self, arguments: Value) -> ToolOutput {
        self.call(&self.exec, arguments).await
    }

    async fn process(&self, arguments: Value) -> ToolOutput {
        self.call(&self.process, arguments).await
    }

    async fn call(&self, tool: &dyn Tool, arguments: Value) -> ToolOutput {
        let progress = |output| self.progress.borrow_mut().push(output);
        let call = Call {
            id: "1",
            arguments: arguments.as_object().unwrap().clone(),
            progress: &progress,
        };
        tool.call(call).await.unwrap()
    }
}

fn text(output: &ToolOutput) -> String {
    text_of(&output.content)
}

#[tokio::test]
async fn a_command_tells_what_it_wrote_and_how_it_ended() {
    let machine = open();
    let done = machine
        .run(json!({"command": "echo hi; echo err >&2; pwd"}))
        .await;
    let cwd = machine
        .folder
        .path()
        .join("workspace")
        .canonicalize()
        .unwrap();
    let says = format!("hi\nerr\n{}", cwd.display());
    assert_eq!((text(&done), done.is_error), (says.clone(), false));
    assert_eq!(done.details["status"], "completed");
    assert_eq!(done.details["exitCode"], 0);
    assert_eq!(done.details["aggregated"], says);
    assert!(done.details["durationMs"].is_u64());
    let progress = machine.progress.borrow();
    let first = progress.first().unwrap();
    assert_eq!(first.details["status"], "running");
    assert!(first.details["pid"].is_i64() && text(first).starts_with("hi\n"));
}

#[tokio::test]
async fn a_command_that_fails_says_how() {
    let machine = open();
    for (arguments, says, code) in [
        (
            json!({"command": "echo x; exit 4"}),
            "x\n\nCommand exited with code 4",
            json!(4),
        ),
        (
            json!({"command": "kill -9 $$"}),
            "Command aborted by signal SIGKILL",
            Value::Null,
        ),
        (
            json!({"command": "sleep 600", "timeout": 0.2}),
            "Command timed out after 0.2 seconds",
            Value::Null,
        ),
    ] {
        let done = machine.run(arguments).await;
        assert_eq!((&*text(&done), done.is_error), (says, true));
        assert_eq!(done.details["status"], "failed");
        assert_eq!(done.details["exitCode"], code);
    }
    let done = machine.run(json!({"command": "true"})).await;
    assert_eq!(text(&done), "(no output)");
    let done = machine
        .run(json!({"command": "pwd", "workdir": "/no/such"}))
        .await;
    assert!(text(&done).starts_with("Warning: workdir \"/no/such\" is unavailable; using \""));
    for (arguments, says) in [
        (json!({"command": " "}), "Provide a command to start."),
        (
            json!({"command": "id", "host": "node"}),
            "exec host not allowed",
        ),
        (
            json!({"command": "id", "env": {"LD_PRELOAD": "x"}}),
            "makes programs load code",
        ),
        (json!({"command": "id", "security": "some"}), "must be deny"),
        (
            json!({"command": "id", "security": "deny"}),
            "exec denied: host=gateway security=deny",
        ),
    ] {
        let done = machine.run(arguments).await;
        let says_so = done.details["error"].as_str().unwrap().contains(says);
        assert!(done.is_error && says_so, "{:?}", done.details);
    }
}

#[tokio::test]
async fn secrets_of_the_gateway_are_not_handed_on() {
    let machine = open();
    let done = machine
        .run(json!({"command": "env", "env": {"FOO": "bar"}}))
        .await;
    assert!(text(&done).contains("FOO=bar") && !text(&done).contains("secret"));
}

#[tokio::test]
async fn rule_49_a_person_is_asked_exactly_what_runs() {
    let mut machine = machine(Security::Allowlist, Ask::OnMiss, Answer::Once);
    let done = machine
        .run(json!({"command": "echo $((1+1))", "env": {"A": "1"}}))
        .await;
    assert_eq!(text(&done), "2");
    {
        let asked = machine.person.asked.borrow();
        let question = asked.first().unwrap();
        assert_eq!(question.command, "echo $((1+1))");
        assert_eq!(question.argv, ["/bin/sh", "-c", "echo $((1+1))"]);
        assert_eq!(question.env["A"], "1");
        assert!(question.cwd.ends_with("workspace"));
        let pending = &machine.progress.borrow()[0].details;
        assert_eq!(pending["status"], "approval-pending");
        assert_eq!(pending["approvalId"], question.id);
    }
    // It held once.
    machine.run(json!({"command": "echo $((1+1))"})).await;
    assert_eq!(machine.person.asked.borrow().len(), 2);
    // What works on its input only runs without a question; nobody can write to it here.
    machine.exec.settings.may_background = false;
    let done = machine.run(json!({"command": "head -1 | wc -l"})).await;
    assert_eq!(text(&done), "0");
    assert_eq!(machine.person.asked.borrow().len(), 2);
}

#[tokio::test]
async fn what_nobody_approves_does_not_run() {
    for (says, text) in [
        (Answer::Denied, "user-denied"),
        (Answer::Late, "approval-timeout"),
        (
            Answer::Unasked("no client".to_owned()),
            "approval-required (no client)",
        ),
    ] {
        let machine = machine(Security::Allowlist, Ask::OnMiss, says);
        let done = machine.run(json!({"command": "echo a > made"})).await;
        assert_eq!(done.details["error"], format!("exec denied: {text}"));
        assert!(!machine.folder.path().join("workspace/made").exists());
    }
    let machine = machine(Security::Allowlist, Ask::Off, Answer::Always);
    let done = machine.run(json!({"command": "echo a > made"})).await;
    assert_eq!(done.details["error"], "exec denied: allowlist-miss");
    assert!(machine.person.asked.borrow().is_empty());
}

#[tokio::test]
async fn the_stricter_of_the_owners_file_and_the_configuration_holds() {
    let machine = open();
    let path = machine.folder.path().join("exec-approvals.json");
    std::fs::write(&path, r#"{"version":1,"defaults":{"security":"deny"}}"#).unwrap();
    let done = machine.run(json!({"command": "echo a"})).await;
    assert_eq!(
        done.details["error"],
        "exec denied: host=gateway security=deny"
    );
    std::fs::write(&path, "{").unwrap();
    let done = machine.run(json!({"command": "echo a"})).await;
    assert!(
        done.details["error"]
            .as_str()
            .unwrap()
            .contains("not known")
    );
}

#[tokio::test]
async fn programs_of_skills_run_where_the_owner_says_so() {
    let machine = machine(Security::Allowlist, Ask::Off, Answer::Denied);
    let path = machine.folder.path().join("exec-approvals.json");
    for (says, is_done) in [("true", true), ("false", false)] {
        let file = format!(r#"{{"version":1,"defaults":{{"autoAllowSkills":{says}}}}}"#);
        std::fs::write(&path, file).unwrap();
        let done = machine.run(json!({"command": "uname"})).await;
        assert_eq!(done.details["error"].is_null(), is_done, "{done:?}");
        let done = machine.run(json!({"command": "id"})).await;
        assert_eq!(done.details["error"], "exec denied: allowlist-miss");
    }
}

#[tokio::test]
async fn a_yes_for_always_is_remembered_in_the_owners_file() {
    let machine = machine(Security::Allowlist, Ask::OnMiss, Answer::Always);
    std::fs::write(machine.folder.path().join("workspace/a"), "one\n").unwrap();
    for _ in 0..2 {
        assert_eq!(text(&machine.run(json!({"command": "cat a"})).await), "one");
    }
    assert_eq!(machine.person.asked.borrow().len(), 1);
}

#[tokio::test]
async fn what_takes_long_goes_on_in_the_background() {
    LocalSet::new()
        .run_until(async {
            let machine = open();
            let run = json!({"command": "echo start; cat; echo end", "yieldMs": 2_500});
            let going = machine.run(run).await;
            assert_eq!(going.details["status"], "running");
            assert_eq!(going.details["tail"], "start\n");
            assert!(going.details["pid"].is_i64());
            let id = going.details["sessionId"].as_str().unwrap().to_owned();
            let ask = |action: &str| json!({"action": action, "sessionId": id});
            assert_eq!(
                text(&machine.process(ask("poll")).await),
                "start\n\nProcess still running."
            );
            assert_eq!(
                text(&machine.process(ask("poll")).await),
                "(no new output)\n\nProcess still running."
            );
            let listed = machine.process(json!({"action": "list"})).await;
            assert_eq!(listed.details["sessions"][0]["name"], "echo start;");
            assert!(machine.process(ask("clear")).await.is_error);
            let written = machine
                .process(
                    json!({"action": "write", "sessionId": id, "data": "hello\n", "eof": true}),
                )
                .await;
            assert!(text(&written).starts_with("Wrote 6 bytes"), "{written:?}");
            let over = loop {
                let polled = machine.process(ask("poll")).await;
                if polled.details["status"] != "running" {
                    break polled;
                }
                tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>())
                    .await
                    .unwrap_err();
            };
            assert_eq!(
                text(&over),
                "start\nhello\nend\n\n\nProcess exited with code 0."
            );
            assert_eq!(over.details["exitCode"], 0);
            let log = json!({"action": "log", "sessionId": id, "offset": 1, "limit": 1});
            assert_eq!(text(&machine.process(log).await), "hello");
            let cleared = machine.process(ask("clear")).await;
            assert_eq!(text(&cleared), format!("Cleared session {id}."));
            assert!(machine.process(ask("poll")).await.is_error);
        })
        .await;
}

#[tokio::test]
async fn what_is_killed_in_the_background_is_gone() {
    LocalSet::new()
        .run_until(async {
            let machine = open();
            let run = json!({"command": "sleep 600 & sleep 600", "background": true});
            let going = machine.run(run).await;
            let pid = i32::try_from(going.details["pid"].as_i64().unwrap()).unwrap();
            let id = going.details["sessionId"].as_str().unwrap().to_owned();
            let killed = machine
                .process(json!({"action": "kill", "sessionId": id}))
                .await;
            assert_eq!(text(&killed), format!("Killed session {id}."));
            let group = nix::unistd::Pid::from_raw(pid);
            assert!(nix::sys::signal::killpg(group, None).is_err());
            let listed = machine.process(json!({"action": "list"})).await;
            assert_eq!(listed.details["sessions"][0]["exitSignal"], "SIGKILL");
            let other = Process::new("other".to_owned(), machine.exec.settings.processes.clone());
            let theirs = machine.call(&other, json!({"action": "list"})).await;
            assert_eq!(text(&theirs), "No running or recent sessions.");
            let gone = machine
                .process(json!({"action": "remove", "sessionId": id}))
                .await;
            assert_eq!(text(&gone), format!("Removed session {id}."));
        })
        .await;
}

#[tokio::test]
async fn what_goes_on_in_the_background_is_typed_to_as_a_person_does() {
    LocalSet::new()
        .run_until(async {
            let machine = open();
            let run = json!({"command": "head -c 6 | od -An -c", "background": true});
            let going = machine.run(run).await;
            let id = going.details["sessionId"].as_str().unwrap().to_owned();
            let paste = json!({"action": "paste", "sessionId": id, "text": "hello"});
            let pasted = machine.process(paste).await;
            assert!(text(&pasted).starts_with("Wrote 5 bytes"), "{pasted:?}");
            let ask = |action: &str| json!({"action": action, "sessionId": id});
            let submitted = machine.process(ask("submit")).await;
            assert_eq!(
                text(&submitted),
                format!("Submitted session {id} (sent CR).")
            );
            let over = loop {
                let polled = machine.process(ask("poll")).await;
                if polled.details["status"] != "running" {
                    break polled;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            };
            assert!(text(&over).contains(r"h   e   l   l   o  \r"), "{over:?}");
            // Nobody is there any more to type to.
            for action in ["paste", "submit", "write", "kill"] {
                let refused = machine.process(ask(action)).await;
                assert!(refused.is_error, "{action}: {refused:?}");
            }
            assert!(machine.process(ask("dance")).await.is_error);
        })
        .await;
}

#[tokio::test]
async fn a_command_ends_with_whoever_waits_for_it() {
    let machine = open();
    let run = machine.run(json!({"command": "sleep 600 & echo $!; sleep 600"}));
    let (started, pid) = (run, async {
        loop {
            if let Some(shown) = machine.progress.borrow().first() {
                return text(shown).trim().parse::<i32>().unwrap();
            }
            tokio::task::yield_now().await;
        }
    });
    let pid = tokio::select! { _ = started => unreachable!("it sleeps"), pid = pid => pid };
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z"))
    };
    let gone = async {
        while is_there() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .unwrap();
}
