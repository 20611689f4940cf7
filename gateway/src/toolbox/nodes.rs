//! `nodes`: the devices that are connected to this gateway, and what they can do.
//!
//! A program runs on a node under the rules that its owner has written for this agent. When those want a person's word, people are
//! asked, shown exactly what would run, and it is asked for once more with their word. To let devices in is not for agents.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use openclaw_agent::tool::{Tool, ToolError, ToolOutput};
use openclaw_shared::protocol::params::approvals::{ApprovalDecision, ApprovalRequestParams};
use openclaw_shared::transcript::Part;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Bench, Outcome, refused, tool};
use crate::approvals;
use crate::methods::MethodError;

/// How long people have to decide.
const APPROVAL: Duration = Duration::from_secs(120);
/// How long a node may take when the agent does not say, and a program on it.
const USUAL_WAIT: u64 = 30_000;
const USUAL_PROGRAM: u64 = 30_000;
/// What an answer takes on its way.
const WAY: u64 = 10_000;
/// How much of what a program writes a model is shown, in characters.
const LONGEST_OUTPUT: usize = 20_000;

openclaw_shared::literals! {
    /// What to do.
    pub enum Action {
        /// All nodes.
        Status = "status",
        /// One node and its commands.
        Describe = "describe",
        /// A notification on it.
        Notify = "notify",
        /// A program on it.
        Run = "run",
        /// Its cameras.
        CameraList = "camera_list",
        /// A picture.
        CameraSnap = "camera_snap",
        /// Where it is.
        LocationGet = "location_get",
        /// Any of its commands.
        Invoke = "invoke",
        /// Devices that wait to be let in.
        Pending = "pending",
        /// One is let in.
        Approve = "approve",
        /// One is not.
        Reject = "reject",
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Params {
    /// What to do: status, describe, notify, run, camera_list, camera_snap, location_get, or invoke for any command that describe tells.
    action: Action,
    /// The node: its id, name or address; not needed when there is one.
    #[serde(default)]
    #[schemars(with = "String")]
    node: Option<String>,
    /// For run: the program and its arguments.
    #[serde(default)]
    command: Vec<String>,
    /// For run: the folder.
    #[serde(default)]
    #[schemars(with = "String")]
    cwd: Option<String>,
    /// For run: variables, each as NAME=value.
    #[serde(default)]
    env: Vec<String>,
    /// For run: how long the program may take, in milliseconds.
    #[serde(default)]
    #[schemars(with = "u64")]
    command_timeout_ms: Option<u64>,
    /// How long to wait for the node, in milliseconds.
    #[serde(default, alias = "timeoutMs")]
    #[schemars(with = "u64")]
    invoke_timeout_ms: Option<u64>,
    /// For run: whether the screen is needed.
    #[serde(default)]
    needs_screen_recording: bool,
    /// For notify.
    #[serde(default)]
    title: String,
    /// For notify.
    #[serde(default)]
    body: String,
    /// For camera_snap: front or back.
    #[serde(default)]
    #[schemars(with = "String")]
    facing: Option<String>,
    /// For invoke: the command.
    #[serde(default)]
    #[schemars(with = "String")]
    invoke_command: Option<String>,
    /// For invoke: its parameters.
    #[serde(default)]
    invoke_params: Map<String, Value>,
}

pub(super) fn tools(bench: &Rc<Bench>) -> Vec<Rc<dyn Tool>> {
    vec![tool(
        bench,
        "nodes",
        "Look at the devices (nodes) that are connected, and have them do things: run programs, notify their person, take pictures, tell \
         where they are.",
        perform,
    )]
}

async fn perform(bench: Rc<Bench>, params: Params) -> Outcome {
    match params.action {
        Action::Status => {
            let listed = bench
                .desk
                .call("node.list", &json!({}))
                .await
                .map_err(refused)?;
            return Ok(ToolOutput::json(listed));
        }
        Action::Pending | Action::Approve | Action::Reject => {
            return Err(ToolError(
                "letting devices in is for people with operator.pairing, not for agents".to_owned(),
            ));
        }
        Action::Describe
        | Action::Notify
        | Action::Run
        | Action::CameraList
        | Action::CameraSnap
        | Action::LocationGet
        | Action::Invoke => {}
    }
    let node = find(&bench, params.node.as_deref()).await?;
    let wait = params.invoke_timeout_ms;
    match params.action {
        Action::Describe => {
            let asked = json!({"nodeId": node});
            let told = bench
                .desk
                .call("node.describe", &asked)
                .await
                .map_err(refused)?;
            Ok(ToolOutput::json(told))
        }
        Action::Notify => {
            if params.title.is_empty() && params.body.is_empty() {
                return Err(ToolError("title or body is missing".to_owned()));
            }
            let what = json!({"title": params.title, "body": params.body});
            let told = invoke(&bench, &node, "system.notify", what, wait).await;
            Ok(ToolOutput::json(told.map_err(refused)?))
        }
        Action::CameraList => {
            let told = invoke(&bench, &node, "camera.list", json!({}), wait).await;
            Ok(ToolOutput::json(told.map_err(refused)?))
        }
        Action::CameraSnap => {
            let facing = params.facing.as_deref().unwrap_or("front");
            let what = json!({"facing": facing, "format": "jpg"});
            let told = invoke(&bench, &node, "camera.snap", what, wait).await;
            Ok(picture(told.map_err(refused)?))
        }
        Action::LocationGet => {
            let told = invoke(&bench, &node, "location.get", json!({}), wait).await;
            Ok(ToolOutput::json(told.map_err(refused)?))
        }
        Action::Invoke => {
            let command = params.invoke_command.unwrap_or_default();
            if command.trim().is_empty() {
                return Err(ToolError("invokeCommand is missing".to_owned()));
            }
            // What runs goes the way on which people are asked, under this agent's rules.
            if command.trim() == "system.run" {
                return Err(ToolError("use the action run for programs".to_owned()));
            }
            let what = Value::Object(params.invoke_params);
            let told = invoke(&bench, &node, command.trim(), what, wait).await;
            Ok(ToolOutput::json(told.map_err(refused)?))
        }
        Action::Run => run(&bench, &node, params).await,
        // Answered above.
        Action::Status | Action::Pending | Action::Approve | Action::Reject => {
            Err(ToolError("this needs no node".to_owned()))
        }
    }
}

/// The id of the node that is meant.
async fn find(bench: &Bench, wanted: Option<&str>) -> Result<String, ToolError> {
    let listed = bench
        .desk
        .call("node.list", &json!({}))
        .await
        .map_err(refused)?;
    let rows = listed["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    let wanted = wanted.map(str::trim).filter(|wanted| !wanted.is_empty());
    let is_meant = |row: &&Value| match wanted {
        None => row["connected"] == true,
        Some(wanted) => ["nodeId", "displayName", "remoteIp"].iter().any(|key| {
            row[key]
                .as_str()
                .is_some_and(|text| text.eq_ignore_ascii_case(wanted))
        }),
    };
    let ids: Vec<&str> = rows
        .iter()
        .filter(is_meant)
        .filter_map(|row| row["nodeId"].as_str())
        .collect();
    match (ids.as_slice(), wanted) {
        ([only], _) => Ok((*only).to_owned()),
        ([], Some(wanted)) => Err(ToolError(format!("there is no node {wanted}"))),
        ([], None) => Err(ToolError("no node is connected".to_owned())),
        (_, Some(wanted)) => Err(ToolError(format!(
            "several nodes are called {wanted}; say the id"
        ))),
        (_, None) => Err(ToolError(format!(
            "several nodes are connected; say which: {}",
            ids.join(", ")
        ))),
    }
}

/// Has a node do something, and returns what it says.
async fn invoke(
    bench: &Bench,
    node: &str,
    command: &str,
    params: Value,
    wait_ms: Option<u64>,
) -> Result<Value, MethodError> {
    let asked = json!({
        "nodeId": node, "command": command, "params": params,
        "timeoutMs": wait_ms.unwrap_or(USUAL_WAIT),
        "idempotencyKey": uuid::Uuid::new_v4().to_string(),
    });
    let mut told = bench.desk.call("node.invoke", &asked).await?;
    Ok(told["payload"].take())
}

/// A picture as the model sees it.
pub(super) fn picture(mut told: Value) -> ToolOutput {
    let Value::String(data) = told["base64"].take() else {
        return ToolOutput::json(told);
    };
    let format = told["format"].as_str().unwrap_or("jpg");
    let mime_type = match format {
        "png" => "image/png".to_owned(),
        _ => "image/jpeg".to_owned(),
    };
    if let Some(object) = told.as_object_mut() {
        object.shift_remove("base64");
    }
    ToolOutput {
        content: vec![
            Part::text(told.to_string()),
            Part::Image { data, mime_type },
        ],
        details: told,
        is_error: false,
    }
}

/// A program that is to run on a node.
struct Program {
    argv: Vec<String>,
    cwd: Option<String>,
    env: BTreeMap<String, String>,
    limit_ms: u64,
    needs_screen: bool,
}

impl Program {
    fn of(params: Params) -> Result<Self, ToolError> {
        if params.command.is_empty() {
            return Err(ToolError(
                "command is missing: a list of the program and its arguments".to_owned(),
            ));
        }
        let mut env = BTreeMap::new();
        for pair in params.env {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| ToolError(format!("{pair} is not NAME=value")))?;
            env.insert(name.to_owned(), value.to_owned());
        }
        Ok(Self {
            argv: params.command,
            cwd: params.cwd.filter(|cwd| !cwd.trim().is_empty()),
            env,
            limit_ms: params.command_timeout_ms.unwrap_or(USUAL_PROGRAM),
            needs_screen: params.needs_screen_recording,
        })
    }

    /// As a node is asked, in the agent's name; with the approval, if there is one.
    fn asked(&self, bench: &Bench, approval: Option<(&str, &Value)>) -> Value {
        let mut asked = json!({
            "command": self.argv, "timeoutMs": self.limit_ms, "agentId": bench.agent,
            "sessionKey": bench.session.as_str(), "needsScreenRecording": self.needs_screen,
        });
        if let Some(cwd) = &self.cwd {
            asked["cwd"] = json!(cwd);
        }
        if !self.env.is_empty() {
            asked["env"] = json!(self.env);
        }
        if let Some((id, decision)) = approval {
            asked["runId"] = json!(id);
            asked["approved"] = json!(true);
            asked["approvalDecision"] = decision.clone();
        }
        asked
    }

    /// As a person would type it.
    fn shown(&self) -> String {
        let words = self.argv.iter().map(|word| quoted(word));
        words.collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell would take it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

async fn run(bench: &Bench, node: &str, params: Params) -> Outcome {
    let wait = params.invoke_timeout_ms;
    let program = Program::of(params)?;
    let wait = wait.unwrap_or(program.limit_ms.saturating_add(WAY));
    let asked = program.asked(bench, None);
    let told = match invoke(bench, node, "system.run", asked, Some(wait)).await {
        Ok(told) => told,
        Err(error) => {
            let shape = error.into_shape();
            if !shape.message.contains("approval required") {
                return Err(ToolError(shape.message));
            }
            let (id, decision) = approve(bench, node, &program).await?;
            let asked = program.asked(bench, Some((&id, &decision)));
            invoke(bench, node, "system.run", asked, Some(wait))
                .await
                .map_err(refused)?
        }
    };
    Ok(ran(told))
}

/// Asks people, and waits for their word. Dropped meanwhile, nobody is asked any more.
async fn approve(
    bench: &Bench,
    node: &str,
    program: &Program,
) -> Result<(String, Value), ToolError> {
    let mut asked = json!({
        "command": program.shown(), "argv": program.argv, "cwd": program.cwd, "host": "node", "nodeId": node,
        "agentId": bench.agent, "sessionKey": bench.session.as_str(),
        "timeoutMs": u64::try_from(APPROVAL.as_millis()).unwrap_or(u64::MAX),
    });
    if !program.env.is_empty() {
        asked["env"] = json!(program.env);
    }
    let asked: ApprovalRequestParams = serde_json::from_value(asked)
        .map_err(|error| ToolError(format!("it cannot be shown to people: {error}")))?;
    let (context, caller) = (bench.context(), bench.desk.caller());
    let asking = approvals::request(context, caller, asked)
        .await
        .map_err(refused)?;
    let reply = approvals::hear(context, asking).await.map_err(refused)?;
    match reply.decision {
        Some(decision @ (ApprovalDecision::AllowOnce | ApprovalDecision::AllowAlways)) => {
            Ok((reply.id, json!(decision)))
        }
        Some(ApprovalDecision::Deny) => Err(ToolError("a person has refused it".to_owned())),
        None => Err(ToolError(
            "nobody has approved it in time; ask your person".to_owned(),
        )),
    }
}

/// What a program has written, and how it ended.
fn ran(told: Value) -> ToolOutput {
    let text = |key: &str| told[key].as_str().unwrap_or_default();
    let mut shown = [text("stdout"), text("stderr")].concat();
    let code = told["exitCode"].as_i64();
    let is_error = code != Some(0) || told["timedOut"] == true;
    if told["timedOut"] == true {
        shown.push_str("\n(it took too long and was ended)");
    } else if let Some(code) = code.filter(|code| *code != 0) {
        shown.push_str(&format!("\n(exit code {code})"));
    } else if let Some(error) = told["error"].as_str() {
        shown.push_str(&format!("\n({error})"));
    }
    if shown.trim().is_empty() {
        shown = "(no output)".to_owned();
    }
    let shown: String = shown.trim_end().chars().take(LONGEST_OUTPUT).collect();
    ToolOutput {
        content: vec![Part::text(shown)],
        details: told,
        is_error,
    }
}
