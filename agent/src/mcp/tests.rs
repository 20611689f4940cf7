use std::path::Path;

use openclaw_shared::instance::Environment;
use openclaw_shared::transcript::text_of;
use openclaw_tests::mcp_server::McpServer;
use serde_json::Value;
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
    let pairs = [
        ("PATH", "/usr/bin:/bin"),
        ("OPENAI_API_KEY", "hidden-too"),
        ("OPENCLAW_GATEWAY_TOKEN", "hidden-too"),
    ];
    let environment = Environment::from_pairs(pairs, folder.path());
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
            let servers = servers(&folder, Duration::from_secs(60));
            let tools = servers.tools().await;
            let names: Vec<&str> = tools.iter().map(|tool| &*tool.spec().name).collect();
            assert_eq!(
                names,
                [
                    "test__echo",
                    "test__end",
                    "test__hang",
                    "test__env",
                    "test__grow"
                ]
            );
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
            let servers = servers(&folder, Duration::from_millis(2_500));
            let tools = servers.tools().await;
            let error = call(&tools, "test__hang", json!({})).await.unwrap_err();
            assert!(error.0.contains("did not answer within 2.5 seconds"));
        })
        .await;
}

#[tokio::test]
async fn a_server_sees_no_secrets_but_its_own() {
    LocalSet::new()
        .run_until(async {
            let folder = TempDir::new().unwrap();
            let servers = servers(&folder, Duration::from_secs(60));
            let tools = servers.tools().await;
            let said = call(&tools, "test__env", json!({})).await.unwrap();
            let variables = text_of(&said.content);
            assert!(variables.contains("SECRET=hidden"), "{variables}");
            assert!(!variables.contains("hidden-too"), "{variables}");
        })
        .await;
}

#[tokio::test]
async fn tools_that_a_server_gets_are_offered() {
    LocalSet::new()
        .run_until(async {
            let folder = TempDir::new().unwrap();
            let servers = servers(&folder, Duration::from_secs(60));
            let tools = servers.tools().await;
            // It says that it has changed before it answers.
            call(&tools, "test__grow", json!({})).await.unwrap();
            let tools = servers.tools().await;
            let names: Vec<&str> = tools.iter().map(|tool| &*tool.spec().name).collect();
            assert!(names.contains(&"test__grown"), "{names:?}");
        })
        .await;
}

fn over_http(server: &McpServer, limit: Duration) -> McpServers {
    let headers = [("x-key".to_owned(), Secret::new("hidden".to_owned()))];
    let settings = McpSettings {
        reach: McpReach::Address {
            url: server.url(),
            headers: headers.into(),
        },
        limit,
    };
    let environment = Environment::from_pairs([("PATH", "/usr/bin:/bin")], Path::new("/"));
    let host = HostEnvironment::of(&environment, None);
    let all = [("web".to_owned(), settings)];
    McpServers::new(all.into(), &Keeper::at(program()), &host)
}

#[tokio::test]
async fn a_server_over_http_is_called_and_found_again() {
    LocalSet::new()
        .run_until(async {
            let server = McpServer::start().await;
            let servers = over_http(&server, Duration::from_secs(60));
            let tools = servers.tools().await;
            assert_eq!(tools.len(), 6);
            for name in ["web__echo", "web__stream"] {
                let said = call(&tools, name, json!({"text": "hi"})).await.unwrap();
                assert_eq!(text_of(&said.content), r#"{"text":"hi"}"#, "{name}");
            }
            assert!(
                server
                    .asked()
                    .iter()
                    .all(|it| it.header("x-key") == "hidden")
            );
            // A session that the server has forgotten is begun again.
            server.forget();
            let said = call(&tools, "web__echo", json!({"text": "again"})).await;
            assert_eq!(text_of(&said.unwrap().content), r#"{"text":"again"}"#);
            let asked = server.asked();
            let begun = asked.iter().filter(|it| it.body["method"] == "initialize");
            assert_eq!(begun.count(), 2);
        })
        .await;
}

#[tokio::test]
async fn a_server_over_http_that_misbehaves_costs_one_call() {
    LocalSet::new()
        .run_until(async {
            let server = McpServer::start().await;
            let servers = over_http(&server, Duration::from_secs(60));
            let tools = servers.tools().await;
            for name in ["web__flood", "web__pour", "web__moved"] {
                let error = call(&tools, name, json!({})).await.unwrap_err();
                assert!(!error.0.contains("did not answer"), "{name}: {error}");
                let said = call(&tools, "web__echo", json!({})).await;
                assert_eq!(text_of(&said.unwrap().content), "{}", "{name}");
            }
            let patient = over_http(&server, Duration::from_millis(2_500));
            let tools = patient.tools().await;
            let error = call(&tools, "web__hang", json!({})).await.unwrap_err();
            assert!(error.0.contains("did not answer within 2.5 seconds"));
            assert!(call(&tools, "web__echo", json!({})).await.is_ok());
        })
        .await;
}
