//! `openclaw agents`: another agent, added to and taken from a gateway that runs, with a workspace, a character and instructions of its own.

use openclaw_tests::home::Home;
use openclaw_tests::instance::Instance;
use openclaw_tests::model_server::{ModelServer, Script};
use serde_json::{Value, json};

async fn stage() -> (ModelServer, Instance) {
    let model = ModelServer::start(Script::say("Hello")).await;
    let home = Home::new();
    home.configure(&json!({
        "models": {"providers": {"stand-in": {
            "baseUrl": model.base_url(), "apiKey": "k",
            "models": [{"id": "m1"}, {"id": "m2"}],
        }}},
        "agents": {"defaults": {"model": {"primary": "stand-in/m1"}}},
        "session": {"agentToAgent": {"maxPingPongTurns": 0}},
    }));
    let instance = home.launch().ready().await;
    (model, instance)
}

/// Does something that is to work, and returns its document.
async fn done(instance: &Instance, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    let said = instance.home().run(&arguments).await;
    assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
    said.json()
}

fn ids(listed: &Value) -> Vec<&str> {
    let agents = listed["agents"].as_array().unwrap().iter();
    agents.map(|agent| agent["id"].as_str().unwrap()).collect()
}

/// What an agent was told before the conversation, and by which model it answered.
async fn told(model: &ModelServer, instance: &Instance, agent: &str) -> (String, String) {
    done(instance, &["agent", "--agent", agent, "-m", "hi"]).await;
    let asked = model.asked().pop().unwrap().body;
    let system = asked["messages"][0].to_string();
    (system, asked["model"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_agent_that_is_added_works_in_its_own_folder_and_as_itself() {
    let (model, instance) = stage().await;
    let folder = instance.home().path().join("ops");
    let shown = folder.to_str().unwrap();
    let added = [
        "agents",
        "add",
        "Ops",
        "--workspace",
        shown,
        "--model",
        "stand-in/m2",
    ];
    let added = done(&instance, &added).await;
    assert_eq!(
        (&added["agentId"], &added["changed"]),
        (&json!("ops"), &json!(true))
    );
    let listed = done(&instance, &["agents", "list"]).await;
    assert_eq!(ids(&listed), ["main", "ops"], "{listed}");
    assert_eq!(listed["defaultId"], "main");

    // The first words to it give it its files; what its owner writes there it is told.
    told(&model, &instance, "ops").await;
    assert!(folder.join("AGENTS.md").exists());
    std::fs::write(folder.join("AGENTS.md"), "RULE-OF-OPS: be terse").unwrap();
    let identity = "# Identity\n\n- Name: Olga\n- Theme: calm\n- Emoji: 🔧\n";
    std::fs::write(folder.join("IDENTITY.md"), identity).unwrap();
    let (system, by) = told(&model, &instance, "ops").await;
    assert!(system.contains("RULE-OF-OPS") && system.contains("Olga"));
    assert!(system.contains(shown), "{system}");
    assert_eq!(by, "m2");
    let (system, by) = told(&model, &instance, "main").await;
    assert!(!system.contains("RULE-OF-OPS") && !system.contains(shown));
    assert_eq!(by, "m1");

    let set = [
        "agents",
        "set-identity",
        "--workspace",
        shown,
        "--from-identity",
    ];
    let set = done(&instance, &set).await;
    assert_eq!(set["identity"]["name"], "Olga", "{set}");
    let params = json!({"agentId": "ops"});
    let mut client = instance.client().await;
    let identity = client.call("agent.identity.get", params).await.unwrap();
    assert_eq!(identity["name"], "Olga", "{identity}");

    // What another agent was told is in a conversation of its own.
    let history = json!({"sessionKey": "agent:ops:main"});
    let history = client.call("chat.history", history).await.unwrap();
    assert_eq!(history["messages"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn an_agent_is_taken_away_when_that_is_meant_and_its_files_stay() {
    let (_model, instance) = stage().await;
    let folder = instance.home().path().join("ops");
    let shown = folder.to_str().unwrap();
    done(&instance, &["agents", "add", "ops", "--workspace", shown]).await;
    std::fs::write(folder.join("notes.md"), "kept").unwrap();
    let home = instance.home();
    let asked = home.run(&["agents", "delete", "ops"]).await;
    assert!(
        asked.code == 1 && asked.err.contains("agents delete ops --force"),
        "{asked:?}"
    );
    assert_eq!(ids(&done(&instance, &["agents"]).await), ["main", "ops"]);
    done(&instance, &["agents", "delete", "ops", "--force"]).await;
    assert_eq!(ids(&done(&instance, &["agents"]).await), ["main"]);
    assert_eq!(
        std::fs::read_to_string(folder.join("notes.md")).unwrap(),
        "kept"
    );
    let gone = home.run(&["agent", "--agent", "ops", "-m", "hi"]).await;
    assert!(
        gone.code == 1 && gone.err.contains("unknown agent id \"ops\""),
        "{gone:?}"
    );
    let main = home.run(&["agents", "delete", "main", "--force"]).await;
    assert_eq!(main.code, 1, "{main:?}");
}
