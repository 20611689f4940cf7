//! What a model calls is done, and it is told what came of it; what it may not call it does not see.

use serde_json::{Value, json};

use openclaw_tests::home::Home;
use openclaw_tests::model_server::{Asked, Script};

use super::{KEY, Stage, roles};

/// The names of the tools that were offered.
fn offered(asked: &Asked) -> Vec<&str> {
    let tools = asked.body["tools"].as_array().unwrap();
    let names = tools.iter().map(|tool| tool["function"]["name"].as_str());
    names.map(Option::unwrap).collect()
}

/// What came of the last call, as the provider was told.
fn result(asked: &Asked) -> String {
    let last = asked.body["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["role"], "tool", "{last}");
    last["content"].to_string()
}

#[tokio::test]
async fn a_command_runs_and_the_model_is_told() {
    let stage = Stage::with(json!({"agents": {"defaults": {"verboseDefault": "on"}}})).await;
    let call = json!({"command": "echo sum-$((40 + 2)); exit 3"});
    stage
        .model
        .play([Script::call("exec", call, ""), Script::say("done")]);
    let told = stage.ask("s", json!({})).await;
    assert_eq!(told.texts(), ["done"]);
    let asked = stage.model.asked();
    assert_eq!(asked.len(), 2);
    assert!(offered(&asked[0]).contains(&"exec"));
    assert!(
        result(&asked[1]).contains("sum-42"),
        "{}",
        result(&asked[1])
    );
    let phases: Vec<&Value> = (told.events("agent").into_iter())
        .filter(|told| told["stream"] == "tool" && told["data"]["phase"] != "update")
        .map(|told| &told["data"])
        .collect();
    assert_eq!(phases.len(), 2, "{phases:?}");
    assert_eq!(phases[0]["phase"], "start");
    assert_eq!(phases[0]["name"], "exec");
    assert_eq!(phases[1]["phase"], "result");
    assert!(phases[1].to_string().contains("sum-42"), "{}", phases[1]);
    let kept = stage.history("s").await;
    assert_eq!(
        roles(&kept),
        ["user", "assistant", "toolResult", "assistant"]
    );
    assert_eq!(kept[1]["stopReason"], "toolUse");
    assert_eq!(kept[2]["toolName"], "exec");
    assert_eq!(kept[3]["stopReason"], "stop");
}

#[tokio::test]
async fn a_command_does_not_inherit_the_providers_key() {
    const VARIABLES: [(&str, &str); 2] = [("STAND_IN_API_KEY", KEY), ("HARMLESS", "shown")];
    let named = json!({"models": {"providers": {"stand-in": {"apiKey": "${STAND_IN_API_KEY}"}}}});
    let stage = Stage::in_home(Home::new(), named, &VARIABLES).await;
    let call = Script::call("exec", json!({"command": "env"}), "");
    stage.model.play([call, Script::say("done")]);
    stage.ask("s", json!({})).await;
    let asked = stage.last_asked();
    assert_eq!(asked.header("authorization"), format!("Bearer {KEY}"));
    let told = result(&asked);
    assert!(told.contains("HARMLESS=shown"), "{told}");
    assert!(!told.contains(KEY), "{told}");
}

#[tokio::test]
async fn a_tool_that_is_denied_is_neither_offered_nor_run() {
    let stage = Stage::with(json!({"tools": {"deny": ["exec"]}})).await;
    let mark = stage.instance.home().path().join("mark");
    let call = json!({"command": format!("touch {}", mark.display())});
    stage
        .model
        .play([Script::call("exec", call, ""), Script::say("well")]);
    let told = stage.ask("s", json!({})).await;
    assert_eq!(told.texts(), ["well"]);
    let asked = stage.model.asked();
    let names = offered(&asked[0]);
    assert!(
        names.contains(&"read") && !names.contains(&"exec"),
        "{names:?}"
    );
    assert!(!mark.exists());
    let kept = stage.history("s").await;
    assert_eq!(kept[2]["isError"], true, "{}", kept[2]);
}

/// A server of the Model Context Protocol that greets whoever is named, in a shell's words.
const SERVER: &str = r#"
while read -r line; do
  id=${line#*\"id\":}; id=${id%%[,\}]*}
  case $line in
    *'"method":"initialize"'*)
      version=${line#*\"protocolVersion\":\"}; version=${version%%\"*}
      result="{\"protocolVersion\":\"$version\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"greeter\",\"version\":\"1\"}}" ;;
    *'"method":"tools/list"'*)
      result='{"tools":[{"name":"greet","description":"Greets somebody.","inputSchema":{"type":"object","properties":{"who":{"type":"string"}}}}]}' ;;
    *'"method":"tools/call"'*)
      who=${line#*\"who\":\"}; who=${who%%\"*}
      result="{\"content\":[{\"type\":\"text\",\"text\":\"$GREETING $who\"}]}" ;;
    *) continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
"#;

#[tokio::test]
async fn a_server_of_tools_is_called_by_the_model() {
    let home = Home::new();
    let script = home.path().join("greeter.sh");
    std::fs::write(&script, SERVER).unwrap();
    let servers = json!({
        "greeter": {"command": "/bin/sh", "args": [script], "env": {"GREETING": "Good day,"}},
        "absent": {"command": "/no/such/program"},
    });
    let stage = Stage::in_home(home, json!({"mcp": {"servers": servers}}), &[]).await;
    for who in ["Ada", "Grace"] {
        let call = json!({ "who": who });
        stage.model.play([
            Script::call("greeter__greet", call, ""),
            Script::say("done"),
        ]);
        let told = stage.ask("s", json!({})).await;
        assert_eq!(told.texts(), ["done"]);
        let told = result(&stage.last_asked());
        assert!(told.contains(&format!("Good day, {who}")), "{told}");
    }
    let asked = stage.model.asked();
    assert!(offered(&asked[0]).contains(&"greeter__greet"));
}
