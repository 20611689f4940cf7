use openclaw_exec::environment::HostEnvironment;
use openclaw_exec::keeper::Keeper;
use openclaw_shared::exec_binding::binding;
use openclaw_shared::instance::Environment;
use openclaw_shared::paths::StatePaths;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

const ROOM: usize = 524_288;

struct Node {
    folder: TempDir,
    services: Arc<Services>,
}

fn node(approvals: Option<Value>) -> Node {
    let folder = TempDir::new().unwrap();
    if let Some(file) = approvals {
        std::fs::write(folder.path().join("exec-approvals.json"), file.to_string()).unwrap();
    }
    let pairs = [("PATH", "/usr/bin:/bin")];
    let host = HostEnvironment::of(&Environment::from_pairs(pairs, folder.path()), None);
    let services = Arc::new(Services::new(
        host,
        StatePaths(folder.path()),
        Keeper::at(crate::commands::testing::program()),
    ));
    Node { folder, services }
}

impl Node {
    async fn run(&self, params: Value) -> (Result<Value, String>, Option<Happened>) {
        let invocation = Invocation {
            command: "system.run".to_owned(),
            params: Some(params.to_string()),
            timeout_ms: None,
            room: ROOM,
        };
        let (answer, happened) = perform(&self.services, &invocation).await;
        let answer = answer.map(|text| serde_json::from_str(&text).unwrap());
        (answer.map_err(|refused| refused.message), happened)
    }
}

fn echo_only() -> Option<Value> {
    Some(
        json!({"version": 1, "agents": {"main": {"allowlist": [{"id": "1", "pattern": "/bin/echo"}]}}}),
    )
}

fn denied(reason: &str) -> Result<Value, String> {
    Err(format!("SYSTEM_RUN_DENIED: {reason}"))
}

#[tokio::test]
async fn what_is_listed_runs_and_is_told() {
    let node = node(echo_only());
    let (answer, happened) = node
        .run(json!({"command": ["/bin/sh", "-lc", "echo hi | head -1"], "rawCommand": "echo hi | head -1",
            "sessionKey": "s", "runId": "r", "timeoutMs": null}))
        .await;
    assert_eq!(
        answer.unwrap().to_string(),
        r#"{"exitCode":0,"timedOut":false,"success":true,"stdout":"hi\n","stderr":"","error":null}"#
    );
    assert_eq!(
        happened.unwrap(),
        Happened {
            event: "exec.finished",
            payload: json!({"runId": "r", "host": "node", "command": "echo hi | head -1", "sessionKey": "s",
                "exitCode": 0, "timedOut": false, "success": true, "output": "hi"}),
        }
    );
}

#[tokio::test]
async fn what_is_not_listed_is_denied_and_told() {
    let node = node(echo_only());
    for command in [
        json!(["id"]),
        json!(["/bin/echo", "a"])
            .as_array()
            .map(|_| json!(["/bin/sh", "-c", "/bin/echo \"$(id -u)\""]))
            .unwrap(),
        json!(["/bin/sh", "-c", "echo a; id"]),
        json!(["env", "id"]),
    ] {
        let (answer, happened) = node.run(json!({ "command": command })).await;
        assert_eq!(answer, denied("approval required"), "{command}");
        let happened = happened.unwrap();
        assert_eq!(happened.event, "exec.denied");
        assert_eq!(happened.payload["reason"], "approval-required");
    }
}

#[tokio::test]
async fn the_texts_of_other_refusals() {
    let deny = node(Some(
        json!({"version": 1, "defaults": {"security": "deny"}}),
    ));
    let (answer, _) = deny.run(json!({"command": ["echo"]})).await;
    assert_eq!(answer, Err("SYSTEM_RUN_DISABLED: security=deny".to_owned()));
    let off = node(Some(json!({"version": 1, "defaults": {"ask": "off"}})));
    assert_eq!(
        off.run(json!({"command": ["ls"]})).await.0,
        denied("allowlist miss")
    );
    let node = node(None);
    for (params, says) in [
        (json!({}), "command required"),
        (json!({"command": []}), "command required"),
        (json!({"command": [" "]}), "command required"),
        (
            json!({"command": ["a\u{0}b"]}),
            "INVALID_REQUEST: a NUL in the command",
        ),
        (
            json!({"command": ["/bin/sh", "-c", "id"], "rawCommand": "head -1"}),
            "INVALID_REQUEST: rawCommand does not match command",
        ),
        (
            json!({"command": ["ls"], "needsScreenRecording": true}),
            "PERMISSION_MISSING: screenRecording",
        ),
    ] {
        assert_eq!(
            node.run(params.clone()).await.0,
            Err(says.to_owned()),
            "{params}"
        );
    }
}

#[tokio::test]
async fn a_broken_file_allows_nothing() {
    let node = node(None);
    std::fs::write(node.folder.path().join("exec-approvals.json"), "{").unwrap();
    let (answer, _) = node.run(json!({"command": ["echo"]})).await;
    assert_eq!(answer, Err("SYSTEM_RUN_DISABLED: security=deny".to_owned()));
}

#[tokio::test]
async fn threat_49_an_approval_holds_for_what_was_approved_once() {
    let node = node(echo_only());
    let argv = [
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        "echo \"$(echo in)\"; pwd".to_owned(),
    ];
    let sha256 = binding(&argv, Some("/"), &BTreeMap::new());
    let approved = |command: &[String], cwd: &str| {
        json!({"command": command, "cwd": cwd, "approved": true, "approvalDecision": "allow-once",
            "approval": {"id": "a1", "sha256": sha256}})
    };
    // Nobody but the gateway knows the binding; without it the marks mean nothing.
    let bare =
        json!({"command": argv, "cwd": "/", "approved": true, "approvalDecision": "allow-once"});
    assert_eq!(node.run(bare).await.0, denied("approval required"));
    let other = [argv[0].clone(), argv[1].clone(), "id".to_owned()];
    assert_eq!(
        node.run(approved(&other, "/")).await.0,
        denied("approval required")
    );
    assert_eq!(
        node.run(approved(&argv, "/tmp")).await.0,
        denied("approval required")
    );
    let (answer, _) = node.run(approved(&argv, "/")).await;
    assert_eq!(answer.unwrap()["stdout"], "in\n/\n");
    assert_eq!(
        node.run(approved(&argv, "/")).await.0,
        denied("approval required")
    );
}

#[tokio::test]
async fn allow_always_lists_the_program_that_ran() {
    let node = node(None);
    let argv = ["printf".to_owned(), "x".to_owned()];
    let approved = json!({"command": argv, "approved": true, "approvalDecision": "allow-always",
        "approval": {"id": "a1", "sha256": binding(&argv, None, &BTreeMap::new())}});
    assert!(node.run(approved).await.0.is_ok());
    let (answer, _) = node
        .run(json!({"command": ["sh", "-lc", "printf y"]}))
        .await;
    assert_eq!(answer.unwrap()["stdout"], "y");
}

/// A program in a folder of its own, that says what it is called.
fn tool(node: &Node, folder: &str, name: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = node.folder.path().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let tool = folder.join(name);
    std::fs::write(&tool, "#!/bin/sh\necho mine").unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder.display().to_string()
}

fn approved(argv: &[&str], env: &[(&str, &str)]) -> Value {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let env = env.iter();
    let env: BTreeMap<String, String> = env
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    json!({"command": argv, "env": env, "approved": true, "approvalDecision": "allow-once",
        "approval": {"id": "a1", "sha256": binding(&argv, None, &env)}})
}

#[tokio::test]
async fn rule_49_an_approved_program_is_not_looked_for_where_the_caller_says() {
    let node = node(None);
    let evil = tool(&node, "evil", "echo");
    let path = format!("{evil}:/usr/bin:/bin");
    let (answer, _) = node
        .run(approved(&["echo", "own"], &[("PATH", &path)]))
        .await;
    assert_eq!(answer.unwrap()["stdout"], "own\n");
}

#[tokio::test]
async fn rule_49_what_was_approved_runs_with_the_variables_that_were_approved() {
    let node = node(None);
    let script = "echo \"$DRY_RUN\"";
    let (answer, _) = node
        .run(approved(&["sh", "-c", script], &[("DRY_RUN", "1")]))
        .await;
    assert_eq!(answer.unwrap()["stdout"], "1\n");
}

#[tokio::test]
async fn a_variable_is_never_dropped_in_silence() {
    let listed = node(echo_only());
    let run = |env: Value| listed.run(json!({"command": ["echo", "a"], "env": env}));
    assert!(run(json!({"LANG": "C"})).await.0.is_ok());
    assert_eq!(
        run(json!({"DRY_RUN": "1"})).await.0,
        denied("approval required")
    );
    let path = "/tmp/evil:/usr/bin:/bin";
    assert_eq!(
        run(json!({ "PATH": path })).await.0,
        denied("approval required")
    );
    let open = node(Some(
        json!({"version": 1, "defaults": {"security": "full"}}),
    ));
    let (answer, _) = open
        .run(json!({"command": ["sh", "-c", "echo \"$FOO\""], "env": {"FOO": "bar"}}))
        .await;
    assert_eq!(answer.unwrap()["stdout"], "bar\n");
    for node in [&listed, &open] {
        for (name, says) in [
            (
                "LD_PRELOAD",
                "the variable \"LD_PRELOAD\" makes programs load code, and cannot be set",
            ),
            (
                "BASH_ENV",
                "the variable \"BASH_ENV\" makes programs load code, and cannot be set",
            ),
            ("A=B", "a variable cannot be called \"A=B\""),
            (
                "PATH",
                "PATH can only put absolute folders, each with a colon behind it, before this node's own: /usr/bin:/bin",
            ),
        ] {
            let (answer, _) = node
                .run(json!({"command": ["echo", "a"], "env": {name: "x"}}))
                .await;
            assert_eq!(answer, Err(format!("INVALID_REQUEST: {says}")));
        }
    }
}

#[tokio::test]
async fn where_everything_is_allowed_a_program_is_looked_for_where_the_caller_says() {
    let node = node(Some(
        json!({"version": 1, "defaults": {"security": "full"}}),
    ));
    let own = format!("{}:/usr/bin:/bin", tool(&node, "own", "tool"));
    let run = |env: Value| node.run(json!({"command": ["tool"], "env": env}));
    assert_eq!(
        run(json!({ "PATH": own })).await.0.unwrap()["stdout"],
        "mine\n"
    );
    assert_eq!(
        run(json!({})).await.0.unwrap()["error"],
        "spawn tool ENOENT"
    );
}

#[tokio::test]
async fn rule_50_a_link_that_is_turned_after_the_judgement_makes_no_difference() {
    let node = node(Some(
        json!({"version": 1, "agents": {"main": {"allowlist": [{"id": "1", "pattern": "/bin/echo"}, {"id": "2", "pattern": "/bin/ln"}]}}}),
    ));
    let folder = node.folder.path();
    std::os::unix::fs::symlink("/bin/echo", folder.join("echo")).unwrap();
    let (answer, _) = node
        .run(json!({"command": ["sh", "-c", "ln -sfn /bin/cat echo && ./echo /etc/passwd"], "cwd": folder}))
        .await;
    assert_eq!(answer.unwrap()["stdout"], "/etc/passwd\n");
}

#[tokio::test]
async fn a_program_is_told_the_name_by_which_it_was_asked_for() {
    let node = node(Some(
        json!({"version": 1, "agents": {"main": {"allowlist": [{"id": "1", "pattern": "/bin/cat"}]}}}),
    ));
    let link = node.folder.path().join("show");
    std::os::unix::fs::symlink("/bin/cat", &link).unwrap();
    let (answer, _) = node.run(json!({"command": [link, "/no/such"]})).await;
    let stderr = answer.unwrap()["stderr"].as_str().unwrap().to_owned();
    assert!(stderr.starts_with(&*link.display().to_string()), "{stderr}");
}

#[tokio::test]
async fn an_agent_is_one_agent_whatever_its_case() {
    let node = node(Some(
        json!({"version": 1, "defaults": {"security": "full"}, "agents": {"Kids": {"security": "deny"}}}),
    ));
    let run = |agent: &str| node.run(json!({"command": ["echo"], "agentId": agent}));
    assert!(run(" main ").await.0.is_ok() && run(" ").await.0.is_ok());
    let disabled = Err("SYSTEM_RUN_DISABLED: security=deny".to_owned());
    assert_eq!(run("kids").await.0, disabled);
    assert_eq!(run("KIDS").await.0, disabled);
    // What is remembered for every agent would hold for all of them.
    for agent in ["*", "a/b", "-x"] {
        let says = "INVALID_REQUEST: agentId is not the name of an agent";
        assert_eq!(run(agent).await.0, Err(says.to_owned()), "{agent}");
    }
}

#[tokio::test]
async fn programs_of_skills_run_if_the_owner_says_so() {
    let node = node(Some(
        json!({"version": 1, "defaults": {"autoAllowSkills": true}}),
    ));
    node.services.skills.learn(["printf".to_owned()]);
    let (answer, _) = node
        .run(json!({"command": ["sh", "-lc", "printf x"]}))
        .await;
    assert_eq!(answer.unwrap()["stdout"], "x");
    let (answer, _) = node.run(json!({"command": ["id"]})).await;
    assert_eq!(answer, denied("approval required"));
}

#[test]
fn an_answer_fits_the_frame_that_the_gateway_takes() {
    let ended = Ended {
        exit_code: Some(0),
        stdout: vec![0; process::MOST_OUTPUT],
        ..Ended::default()
    };
    let text = fitting(&ended, ROOM).unwrap();
    assert!(serde_json::to_string(&text).unwrap().len() < ROOM);
    assert!(text.contains("... (truncated)"));
}

#[test]
fn a_command_that_never_ends_has_a_limit() {
    let moment = Duration::from_millis(1);
    assert_eq!(limit(None), LONGEST);
    assert_eq!(limit(Some(LONGEST * 2)), LONGEST);
    assert_eq!(limit(Some(moment)), moment);
}
