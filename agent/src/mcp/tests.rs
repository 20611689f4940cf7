use std::path::Path;

use openclaw_shared::instance::Environment;
use openclaw_shared::transcript::text_of;
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::*;

/// The program of `examples`, which lies beside the folder of this one: a keeper, and a server.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(Path::parent).unwrap();
    folder.join("examples/child_of_tests")
}

fn servers(folder: &TempDir, limit: Duration) -> McpServers {
    let environment = Environment::from_pairs([("PATH", "/usr/bin:/bin")], folder.path());
    let env = [("SECRET".to_owned(), Secret::new("hidden".to_owned()))];
    let settings = |command: String| McpSettings {
        reach: McpReach::Program {
            command,
            args: vec!["mcp".to_owned()],
            env: env.clone().into(),
            cwd: folder.path().to_owned(),
        },
        limit,
    };
    let all = [
        ("test".to_owned(), settings(program().display().to_string())),
        ("gone".to_owned(), settings("/no/such".to_owned())),
    ];
    let host = HostEnvironment::of(&environment, None);
    McpServers::new(all.into(), &Keeper::at(program()), &host)
}

async fn call(
    tools: &[Rc<dyn Tool>],
    name: &str,
    arguments: Value,
) -> Result<ToolOutput, ToolError> {
    let tool = tools.iter().find(|tool| tool.spec().name == name).unwrap();
    let call = Call {
        id: "1",
        arguments: arguments.as_object().unwrap().clone(),
        progress: &|_| {},
    };
    tool.call(call).await
}

#[tokio::test]
async fn tools_of_a_server_are_called_and_it_is_started_again() {
    LocalSet::new()
        .run_until(async {
            let folder = TempDir::new().unwrap();
            let servers = servers(&folder, Duration::from_secs(20));
            let tools = servers.tools().await;
            let names: Vec<&str> = tools.iter().map(|tool| &*tool.spec().name).collect();
            assert_eq!(names, ["test__echo", "test__end", "test__hang"]);
            assert_eq!(tools[0].spec().parameters["type"], "object");
            let said = call(&tools, "test__echo", json!({"text": "hi"}))
                .await
                .unwrap();
            assert_eq!(text_of(&said.content), r#"{"text":"hi"} hidden"#);
            let long = "x".repeat(MOST_TEXT);
            let said = call(&tools, "test__echo", json!({ "text": long }))
                .await
                .unwrap();
            assert!(text_of(&said.content).len() < MOST_TEXT + 100);
            assert!(call(&tools, "test__end", json!({})).await.is_err());
            let said = call(&tools, "test__echo", json!({"text": "again"}))
                .await
                .unwrap();
            assert_eq!(text_of(&said.content), r#"{"text":"again"} hidden"#);
        })
        .await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_its_limit() {
    LocalSet::new()
        .run_until(async {
            let folder = TempDir::new().unwrap();
            let servers = servers(&folder, Duration::from_millis(300));
            let tools = servers.tools().await;
            let error = call(&tools, "test__hang", json!({})).await.unwrap_err();
            assert!(error.0.contains("did not answer within 0.3 seconds"));
        })
        .await;
}

#[test]
fn names_are_such_that_providers_take_them() {
    assert_eq!(offered_name("a b", "read.file"), "a_b__read_file");
    assert_eq!(offered_name("s", &"x".repeat(100)).len(), LONGEST_NAME);
}
