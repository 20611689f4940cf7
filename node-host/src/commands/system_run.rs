//! `system.run`: executes a command, if the owner of this machine allows it or a person has approved it.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::strict::Int;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::{info, warn};

use super::{Answer, Happened, Invocation, Refused, Services, answer, lock, read};
use crate::consent::{Approval, Marks};
use crate::policy::decide::{Denial, Verdict, decide};
use crate::policy::programs::{Disk, Site};
use crate::policy::raw_command;
use crate::policy::resolve::resolve;
use crate::process::{self, Ended, Task};

/// How much of the output goes with `exec.finished`, in characters.
const MOST_TOLD: usize = 20_000;
/// What a frame needs besides the answer.
const ENVELOPE: usize = 1_024;

/// What it is called with. What a newer gateway sends in addition is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Params {
    command: Vec<String>,
    raw_command: Option<String>,
    cwd: Option<String>,
    env: Option<BTreeMap<String, String>>,
    timeout_ms: Option<Int<0>>,
    needs_screen_recording: Option<bool>,
    agent_id: Option<String>,
    session_key: Option<String>,
    run_id: Option<String>,
    approved: Option<bool>,
    approval_decision: Option<String>,
    approval: Option<Approval>,
}

/// What it answers. A command that fails is an answer, too.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    timed_out: bool,
    success: bool,
    stdout: String,
    stderr: String,
    error: Option<String>,
}

/// Why it was not executed.
enum Denied {
    Policy(Denial),
    ScreenRecording,
}

impl Denied {
    const fn message(&self) -> &'static str {
        match self {
            Self::Policy(denial) => denial.message(),
            Self::ScreenRecording => "PERMISSION_MISSING: screenRecording",
        }
    }

    const fn reason(&self) -> &'static str {
        match self {
            Self::Policy(denial) => denial.reason(),
            Self::ScreenRecording => "permission:screenRecording",
        }
    }
}

pub(super) async fn perform(
    services: &Services,
    invocation: &Invocation,
) -> (Answer, Option<Happened>) {
    let params = match read::<Params>(invocation.params.as_deref()).and_then(checked) {
        Ok(params) => params,
        Err(refused) => return (Err(refused), None),
    };
    match admit(services, &params, invocation.timeout_ms) {
        Ok(task) => {
            let ended = process::run(task).await;
            info!(
                target: "node", code = ended.exit_code, timed_out = ended.timed_out,
                began = ended.error.is_none(), "a command has ended"
            );
            let finished = finished(&params, &ended);
            (fitting(&ended, invocation.room), Some(finished))
        }
        Err(denied) => {
            info!(target: "node", reason = denied.reason(), "a command was not executed");
            let mut payload = about(&params);
            payload["reason"] = denied.reason().into();
            let happened = Happened {
                event: "exec.denied",
                payload,
            };
            (Err(Refused::unavailable(denied.message())), Some(happened))
        }
    }
}

fn checked(params: Params) -> Result<Params, Refused> {
    if params
        .command
        .first()
        .is_none_or(|program| program.trim().is_empty())
    {
        return Err(Refused::invalid("command required"));
    }
    let has_nul = |text: &String| text.contains('\0');
    let mut variables = params.env.iter().flatten();
    if params.command.iter().chain(&params.cwd).any(has_nul)
        || variables.any(|(name, value)| has_nul(name) || has_nul(value))
    {
        return Err(Refused::invalid("INVALID_REQUEST: a NUL in the command"));
    }
    match &params.raw_command {
        Some(raw) if !raw_command::describes(raw, &params.command) => Err(Refused::invalid(
            "INVALID_REQUEST: rawCommand does not match command",
        )),
        Some(_) | None => Ok(params),
    }
}

/// Decides, and says what is to be executed.
fn admit(services: &Services, params: &Params, patience_ms: Option<u64>) -> Result<Task, Denied> {
    if params.needs_screen_recording == Some(true) {
        return Err(Denied::ScreenRecording);
    }
    let host = &services.host;
    let asked_cwd = params.cwd.as_deref().filter(|cwd| !cwd.trim().is_empty());
    let cwd = match asked_cwd {
        Some(cwd) => host.working_dir.join(cwd),
        None => host.working_dir.clone(),
    };
    let none = BTreeMap::new();
    let env = params.env.as_ref().unwrap_or(&none);
    let agent = params.agent_id.as_deref();
    let file = services.approvals.file().map_err(|error| {
        warn!(target: "node", %error, "nothing is executed, because what may be is not known");
        Denied::Policy(Denial::Disabled)
    })?;
    let consent = lock(&services.spent).consent(
        &Marks {
            approved: params.approved,
            decision: params.approval_decision.as_deref(),
            approval: params.approval.as_ref(),
        },
        &params.command,
        params.cwd.as_deref(),
        env,
    );
    let mut site = Site {
        files: &Disk,
        cwd: &cwd,
        path: &host.path,
        home: host.home.as_deref(),
    };
    let shown = shown(params);
    let now = WallTime::now();
    let (argv, variables, path) =
        match decide(&params.command, &resolve(&file, agent), consent, &site) {
            Verdict::Refuse(denial, why) => {
                if let Some(why) = why {
                    info!(target: "node", why, "the allow-list cannot judge a command");
                }
                return Err(Denied::Policy(denial));
            }
            Verdict::RunJudged { argv, used } => {
                told(services.approvals.note(agent, &used, &shown, now));
                (argv, host.judged(env), host.path.clone())
            }
            Verdict::RunAsAsked { remember } => {
                told(services.approvals.remember(agent, &remember, &shown, now));
                let (variables, path) = host.as_asked(env);
                (params.command.clone(), variables, path)
            }
        };
    site.path = &path;
    let located = argv.first().and_then(|name| site.locate(name));
    let own = params
        .timeout_ms
        .map(Int::get_unsigned)
        .filter(|millis| *millis > 0);
    // When the gateway has given up, nobody hears of the end any more.
    let patience = patience_ms.filter(|millis| *millis > 0);
    Ok(Task {
        program: located.map(|located| located.found),
        argv,
        cwd,
        variables,
        time: own
            .into_iter()
            .chain(patience)
            .min()
            .map(Duration::from_millis),
    })
}

/// What cannot be written down does not keep the owner's rules from holding.
fn told<E: std::error::Error>(result: Result<(), E>) {
    if let Err(error) = result {
        warn!(target: "node", %error, "a use was not noted in the exec approvals");
    }
}

/// The command as people read it.
fn shown(params: &Params) -> String {
    match &params.raw_command {
        Some(raw) => raw.clone(),
        None => params.command.join(" "),
    }
}

fn about(params: &Params) -> serde_json::Value {
    let run = params.run_id.clone();
    let run = run.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut about = json!({ "runId": run, "host": "node", "command": shown(params) });
    if let Some(session) = &params.session_key {
        about["sessionKey"] = session.as_str().into();
    }
    about
}

fn finished(params: &Params, ended: &Ended) -> Happened {
    let reply = Reply::of(ended, process::MOST_OUTPUT);
    let parts = [
        Some(&reply.stdout),
        Some(&reply.stderr),
        reply.error.as_ref(),
    ];
    let parts: Vec<&str> = parts
        .into_iter()
        .flatten()
        .map(|part| part.trim_end())
        .filter(|part| !part.is_empty())
        .collect();
    let output = parts.join("\n");
    let surplus = output.chars().count().saturating_sub(MOST_TOLD);
    let mut payload = about(params);
    if let Some(code) = ended.exit_code {
        payload["exitCode"] = code.into();
    }
    payload["timedOut"] = ended.timed_out.into();
    payload["success"] = reply.success.into();
    payload["output"] = output.chars().skip(surplus).collect::<String>().into();
    Happened {
        event: "exec.finished",
        payload,
    }
}

/// The answer, with less of the output if the gateway would refuse the frame: one that is too long ends the connection.
fn fitting(ended: &Ended, room: usize) -> Answer {
    let mut cap = process::MOST_OUTPUT;
    loop {
        let text = answer(&Reply::of(ended, cap))?;
        // The answer travels as a string inside JSON, which escapes it a second time.
        let length = serde_json::to_string(&text).map_or(usize::MAX, |quoted| quoted.len());
        if length + ENVELOPE <= room || cap == 0 {
            return Ok(text);
        }
        cap /= 2;
    }
}

impl Reply {
    fn of(ended: &Ended, cap: usize) -> Self {
        let stdout = ended.stdout.len().min(cap);
        let stderr = ended.stderr.len().min(cap - stdout);
        let was_cut = ended.truncated || stdout < ended.stdout.len() || stderr < ended.stderr.len();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut reply = Self {
            exit_code: ended.exit_code,
            timed_out: ended.timed_out,
            success: ended.exit_code == Some(0),
            stdout: text(&ended.stdout[..stdout]),
            stderr: text(&ended.stderr[..stderr]),
            error: ended.error.clone(),
        };
        if was_cut {
            let last = if reply.stderr.is_empty() {
                &mut reply.stdout
            } else {
                &mut reply.stderr
            };
            last.push_str("\n... (truncated)");
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::exec_binding::binding;
    use openclaw_shared::instance::Environment;
    use openclaw_shared::paths::StatePaths;
    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::environment::HostEnvironment;

    const ROOM: usize = 524_288;

    struct Node {
        folder: TempDir,
        services: Services,
    }

    fn node(approvals: Option<Value>) -> Node {
        let folder = TempDir::new().unwrap();
        if let Some(file) = approvals {
            std::fs::write(folder.path().join("exec-approvals.json"), file.to_string()).unwrap();
        }
        let pairs = [("PATH", "/usr/bin:/bin")];
        let host = HostEnvironment::of(&Environment::from_pairs(pairs, folder.path()), None);
        let services = Services::new(host, StatePaths(folder.path()));
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
        let bare = json!({"command": argv, "cwd": "/", "approved": true, "approvalDecision": "allow-once"});
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

    #[tokio::test]
    async fn a_callers_variables_and_path_do_not_decide_what_runs() {
        use std::os::unix::fs::PermissionsExt as _;
        let node = node(Some(
            json!({"version": 1, "defaults": {"security": "full"}}),
        ));
        let tool = node.folder.path().join("tool");
        std::fs::write(&tool, "#!/bin/sh\necho mine").unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        let own = format!("{}:/usr/bin:/bin", node.folder.path().display());
        let (answer, _) = node
            .run(json!({"command": ["tool"], "env": {"PATH": own}}))
            .await;
        assert_eq!(answer.unwrap()["stdout"], "mine\n");
        let other = node.folder.path().display().to_string();
        let (answer, _) = node
            .run(json!({"command": ["tool"], "env": {"PATH": other}}))
            .await;
        assert_eq!(answer.unwrap()["error"], "spawn tool ENOENT");
        let script = "echo \"$LANG,$LD_PRELOAD,$BASH_ENV\"";
        let (answer, _) = node
            .run(json!({"command": ["sh", "-c", script], "env": {"LANG": "C", "LD_PRELOAD": "x", "BASH_ENV": "y"}}))
            .await;
        assert_eq!(answer.unwrap()["stdout"], "C,,\n");
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
}
