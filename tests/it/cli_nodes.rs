//! The command line about nodes: finding one, asking it for something, running a program on it.

use std::process::Stdio;

use openclaw_tests::client::{Received, Socket, request};
use openclaw_tests::device::Device;
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::{Home, Said, TOKEN};
use openclaw_tests::instance::Instance;
use openclaw_tests::process::{self, Signal};
use serde_json::{Value, json};

/// A node that answers what a test tells it to.
struct Node {
    id: String,
    socket: Socket,
}

impl Node {
    async fn connect(instance: &Instance, number: u8, name: &str) -> Self {
        let device = Device::new(number);
        let params = json!({
            "minProtocol": 3, "maxProtocol": 3,
            "client": {"id": "openclaw-macos", "version": "1", "platform": "macOS 15", "mode": "node", "displayName": name},
            "role": "node", "scopes": [], "caps": ["camera", "canvas", "system"],
            "commands": ["camera.snap", "canvas.eval", "system.run"],
            "auth": {"token": TOKEN},
        });
        let port = instance.home().port();
        let (socket, attempt) = device.attempt(port, &[], params).await;
        assert_eq!(attempt.end, None, "{attempt:?}");
        Self {
            id: device.id().to_owned(),
            socket,
        }
    }

    /// Answers this many commands, and gives back what was asked.
    async fn answer(&mut self, replies: Vec<Value>) -> Vec<Value> {
        let mut asked = Vec::new();
        for reply in &replies {
            let wanted = self.invoked().await;
            let mut result = json!({ "id": wanted["id"], "nodeId": wanted["nodeId"] });
            match reply.get("error").filter(|error| error.is_object()) {
                Some(error) => {
                    result["ok"] = false.into();
                    result["error"] = error.clone();
                }
                None => {
                    result["ok"] = true.into();
                    result["payload"] = reply.clone();
                }
            }
            let frame = request("result", "node.invoke.result", result);
            self.socket.send(&frame).await;
            asked.push(json!({
                "command": wanted["command"],
                "params": serde_json::from_str::<Value>(wanted["paramsJSON"].as_str().unwrap_or("null")).unwrap(),
            }));
        }
        asked
    }

    async fn invoked(&mut self) -> Value {
        loop {
            match self.socket.receive().await {
                Received::Frame(frame) if frame["event"] == "node.invoke.request" => {
                    return frame["payload"].clone();
                }
                Received::Frame(_) => {}
                end @ (Received::Closed { .. } | Received::Cut) => panic!("{end:?}"),
            }
        }
    }
}

fn ran(said: &Said) -> (i32, &str, &str) {
    (said.code, &said.out, &said.err)
}

#[tokio::test]
async fn nodes_are_found_by_name_and_described() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let node = Node::connect(&instance, 1, "Living Room").await;
    let said = home.run(&["nodes", "status"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out
            .starts_with("Known: 1 · Paired: 1 · Connected: 1\n"),
        "{said:?}"
    );
    assert!(
        said.out.lines().all(|line| line.chars().count() <= 80),
        "{said:?}"
    );

    for name in ["Living Room", "living-room", &node.id[..6], &node.id] {
        let said = home.run(&["nodes", "describe", name, "--json"]).await;
        assert_eq!(said.json()["nodeId"], node.id, "{name}: {said:?}");
    }
    let said = home.run(&["nodes", "describe", "--node", "kitchen"]).await;
    assert_eq!(said.code, 1);
    let known = format!(
        "unknown node: kitchen (known: Living Room ({}))\n",
        &node.id[..12]
    );
    assert_eq!(said.err, known);

    let said = home
        .run(&["nodes", "rename", "living room", "--name", "Kitchen"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    let said = home.run(&["nodes", "describe", "kitchen"]).await;
    assert!(said.out.contains("canvas.eval"), "{said:?}");

    let said = home.run(&["nodes", "remove", "kitchen"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let said = home.run(&["nodes", "list", "--json"]).await;
    assert_eq!(said.json()["paired"], json!([]), "{said:?}");
}

#[tokio::test]
async fn a_node_is_asked_and_its_answer_shown() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let mut node = Node::connect(&instance, 1, "Mac").await;
    let (said, asked) = tokio::join!(
        home.run(&["nodes", "canvas", "eval", "--node", "mac", "1 + 1"]),
        node.answer(vec![json!({"result": "2"})]),
    );
    assert_eq!(ran(&said), (0, "2\n", ""));
    assert_eq!(
        asked,
        [json!({"command": "canvas.eval", "params": {"javaScript": "1 + 1"}})]
    );

    let photo = json!({"format": "jpg", "base64": "AAEC", "width": 1, "height": 1});
    let (said, _) = tokio::join!(
        home.run(&[
            "nodes", "camera", "snap", "--node", "mac", "--facing", "front"
        ]),
        node.answer(vec![photo]),
    );
    assert_eq!(said.code, 0, "{said:?}");
    let path = said.out.trim().strip_prefix("MEDIA:").unwrap();
    assert_eq!(std::fs::read(path).unwrap(), [0, 1, 2]);

    let refusal = json!({"error": {"code": "CANVAS_DISABLED", "message": "the canvas is off"}});
    let line = [
        "nodes",
        "invoke",
        "--node",
        "mac",
        "--command",
        "canvas.eval",
        "--json",
    ];
    let (said, _) = tokio::join!(home.run(&line), node.answer(vec![refusal]));
    assert_eq!(said.code, 1);
    let failure = said.json();
    assert_eq!(
        (&failure["kind"], &failure["details"]["nodeError"]),
        (&json!("refused"), &json!("CANVAS_DISABLED")),
        "{failure}"
    );
}

#[tokio::test]
async fn a_program_on_a_node_speaks_and_ends_as_if_it_ran_here() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let mut node = Node::connect(&instance, 1, "Mac").await;
    let result = json!({"exitCode": 3, "timedOut": false, "success": false, "stdout": "out\n", "stderr": "err\n", "error": null});
    let line = [
        "nodes", "run", "--node", "mac", "--cwd", "/tmp", "--env", "A=1", "--", "sh", "-c",
        "exit 3",
    ];
    let (said, asked) = tokio::join!(home.run(&line), node.answer(vec![result]));
    assert_eq!(ran(&said), (3, "out\n", "err\n"));
    let params = &asked[0]["params"];
    assert_eq!(params["command"], json!(["sh", "-c", "exit 3"]));
    assert_eq!(
        (&params["cwd"], &params["env"]),
        (&json!("/tmp"), &json!({"A": "1"}))
    );
    assert_eq!(params.get("approved"), None, "nobody was asked");
}

#[tokio::test]
async fn a_program_that_needs_approval_waits_for_it() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let denied = json!({"error": {"code": "UNAVAILABLE", "message": "SYSTEM_RUN_DENIED: approval required"}});
    let result = json!({"exitCode": 0, "timedOut": false, "success": true, "stdout": "done\n", "stderr": "", "error": null});
    let mut node = Node::connect(&instance, 1, "Mac").await;
    let approving = async {
        let pending = eventually("the request waits", async || {
            let said = home.run(&["approvals", "pending", "--json"]).await;
            let pending = said.json()["pending"].clone();
            match pending.as_array() {
                Some(list) if !list.is_empty() => Ok(pending),
                _ => Err(format!("{said:?}")),
            }
        })
        .await;
        let id = pending[0]["id"].as_str().unwrap().to_owned();
        let said = home.run(&["approvals", "approve", &id[..8]]).await;
        assert_eq!(said.code, 0, "{said:?}");
        assert!(
            said.err.contains(r#"Arguments  ["make","it so"]"#),
            "{said:?}"
        );
        assert_eq!(said.out, "Approved: make 'it so'\n");
        id
    };
    let line = ["nodes", "run", "--node", "mac", "--", "make", "it so"];
    let (said, asked, id) = tokio::join!(
        home.run(&line),
        node.answer(vec![denied, result]),
        approving
    );
    assert_eq!((said.code, said.out.as_str()), (0, "done\n"), "{said:?}");
    assert!(
        said.err.contains("for approval of: make 'it so'"),
        "{said:?}"
    );
    assert!(
        said.err
            .contains(&format!("openclaw approvals approve {id}")),
        "{said:?}"
    );
    let params = &asked[1]["params"];
    assert_eq!(
        (
            &params["runId"],
            &params["approved"],
            &params["approvalDecision"]
        ),
        (&json!(id), &json!(true), &json!("allow-once"))
    );
}

#[tokio::test]
async fn who_leaves_takes_the_question_back() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let denied = json!({"error": {"code": "UNAVAILABLE", "message": "SYSTEM_RUN_DENIED: approval required"}});
    let mut node = Node::connect(&instance, 1, "Mac").await;
    let pending = async || {
        let said = home.run(&["approvals", "pending", "--json"]).await;
        said.json()["pending"].as_array().map_or(0, Vec::len)
    };
    let mut command = home.command(&["nodes", "run", "--node", "mac", "--", "id"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut waiting = tokio::process::Command::from(command);
    let waiting = waiting.kill_on_drop(true).spawn().unwrap();
    let pid = i32::try_from(waiting.id().unwrap()).unwrap();
    node.answer(vec![denied]).await;
    eventually("the request waits", async || match pending().await {
        1 => Ok(()),
        other => Err(format!("{other} wait")),
    })
    .await;
    process::send(pid, Signal::SIGINT);
    let ended = waiting.wait_with_output().await.unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.ends_with("nobody is asked any more\n"), "{said}");
    assert_eq!(pending().await, 0);
}

#[tokio::test]
async fn a_program_that_is_denied_does_not_run() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let denied = json!({"error": {"code": "UNAVAILABLE", "message": "SYSTEM_RUN_DENIED: approval required"}});
    let mut node = Node::connect(&instance, 1, "Mac").await;
    let denying = async {
        eventually("the request is denied", async || {
            let said = home.run(&["approvals", "deny", "--json"]).await;
            let hint = said.json()["hints"][0]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let id = hint.rsplit(' ').next().unwrap_or_default().to_owned();
            let said = home.run(&["approvals", "deny", &id]).await;
            match said.code {
                0 if !id.is_empty() => Ok(()),
                _ => Err(format!("{said:?}")),
            }
        })
        .await;
    };
    let line = ["nodes", "run", "--json", "--node", "mac", "--", "id"];
    let (said, asked, ()) = tokio::join!(home.run(&line), node.answer(vec![denied]), denying);
    assert_eq!(
        (said.code, &said.json()["kind"]),
        (1, &json!("refused")),
        "{said:?}"
    );
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn what_may_run_on_the_gateway_is_changed_one_pattern_at_a_time() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let add = [
        "approvals",
        "allowlist",
        "add",
        "/bin/echo",
        "--agent",
        "main",
    ];
    let said = home.run(&add).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("/bin/echo"), "{said:?}");
    let said = home.run(&["approvals", "get", "--json"]).await;
    let list = &said.json()["file"]["agents"]["main"]["allowlist"];
    assert_eq!(list[0]["pattern"], "/bin/echo", "{said:?}");
    let said = home.run(&add).await;
    assert_eq!(
        (said.code, said.err.as_str()),
        (0, "This is on the list already.\n")
    );
    let said = home
        .run(&[
            "approvals",
            "allowlist",
            "remove",
            "/bin/echo",
            "--agent",
            "main",
            "--json",
        ])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!said.out.contains("/bin/echo"), "{said:?}");
}
