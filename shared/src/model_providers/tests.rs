use serde_json::{Value, json};

use super::*;
use crate::clock::WallTime;

fn providers(config: Value, variables: &[(&str, &str)]) -> Providers {
    let config = Config::from_effective(&config).unwrap();
    let variables = variables
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let keyring = Keyring::of_variables(&config, &variables);
    Providers::of(&config, &keyring)
}

fn sources(providers: &Providers, id: &str) -> Vec<String> {
    let keys = &providers.get(id).unwrap().keys;
    keys.iter().map(|key| key.source.to_string()).collect()
}

#[test]
fn a_bare_machine_has_providers_and_no_key() {
    let bare = providers(json!({}), &[]);
    assert!(bare.get("anthropic").is_some_and(|it| !it.is_usable()));
    assert!(
        bare.get("ollama")
            .is_some_and(|it| it.is_usable() && it.is_local())
    );
    assert!(!bare.are_any_usable());
    assert_eq!(bare.default_model(), None);
}

#[test]
fn a_key_in_the_environment_is_enough() {
    let with_key = providers(json!({}), &[("OPENAI_API_KEY", "k"), ("UNRELATED", "x")]);
    assert_eq!(sources(&with_key, "openai"), ["env: OPENAI_API_KEY"]);
    assert_eq!(with_key.default_model(), Some(("openai", "gpt-5.2")));
    let both = providers(
        json!({"env": {"vars": {"GEMINI_API_KEY": "g"}, "ANTHROPIC_API_KEY": "a"}}),
        &[],
    );
    assert_eq!(both.default_model(), Some(("anthropic", "claude-opus-4-5")));
    assert_eq!(sources(&both, "google"), ["env: GEMINI_API_KEY"]);
}

#[test]
fn what_is_configured_comes_on_top_of_what_is_built_in() {
    let config = json!({"models": {"providers": {
        "OpenAI": {"baseUrl": "http://proxy/v1", "apiKey": "k", "models": [{"id": "gpt-5.1", "contextWindow": 9}]},
        "my-own": {"baseUrl": "http://localhost:1/v1", "headers": {"X": "1"}, "models": [
            {"id": "m", "reasoning": true, "input": ["text", "image"], "maxTokens": 100.0, "cost": {"input": 1, "output": 2},
             "compat": {"supportsReasoningEffort": false, "maxTokensField": "max_completion_tokens"}}]},
    }}});
    let merged = providers(config.clone(), &[("MY_OWN_API_KEY", "x")]);
    let openai = merged.get("openai").unwrap();
    assert_eq!(openai.base_url, "http://proxy/v1");
    assert_eq!(openai.api, "openai-responses");
    let ids: Vec<_> = openai
        .models
        .iter()
        .map(|model| model.id.as_str())
        .collect();
    assert_eq!(ids, ["gpt-5.1", "gpt-5.2", "gpt-5-mini"]);
    assert_eq!(openai.models[0].context_window, 9);
    let own = merged.get("my-own").unwrap();
    assert_eq!(sources(&merged, "my-own"), ["env: MY_OWN_API_KEY"]);
    assert!(own.is_local() && !own.needs_key);
    let model = merged.model("my-own", "m").unwrap();
    assert!(model.reasoning && model.no_reasoning_effort);
    assert_eq!(model.max_tokens, Some(100));
    assert_eq!(model.context_window, CONTEXT_WINDOW);
    assert_eq!(
        model.max_tokens_field.as_deref(),
        Some("max_completion_tokens")
    );
    assert_eq!(merged.default_model(), Some(("my-own", "m")));

    let mut replaced = config;
    replaced["models"]["mode"] = json!("replace");
    let replaced = providers(replaced, &[("ANTHROPIC_API_KEY", "a")]);
    assert!(replaced.get("anthropic").is_none());
    let ids: Vec<_> = replaced
        .get("openai")
        .unwrap()
        .models
        .iter()
        .map(|it| &it.id)
        .collect();
    assert_eq!(ids, ["gpt-5.1"]);
}

#[test]
fn files_and_profiles_hold_keys_too() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let folder = state.join("agents/main/agent");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(home.path().join("key"), "from-file\n").unwrap();
    let profiles = json!({"version": 1, "profiles": {
        "openai:a": {"type": "api_key", "provider": "openai", "key": "ka"},
        "openai:b": {"type": "api_key", "provider": "openai", "key": "kb"},
        "anthropic:sub": {"type": "token", "provider": "anthropic", "token": "sk-ant-oat-x"},
        "anthropic:old": {"type": "oauth", "provider": "anthropic", "access": "old", "refresh": "r", "expires": 5},
    }, "usageStats": {}});
    std::fs::write(folder.join("auth-profiles.json"), profiles.to_string()).unwrap();
    let config = json!({
        "models": {"providers": {"own": {"baseUrl": "http://h", "apiKeyFile": "~/key"}, "gone": {"apiKeyFile": "gone"}}},
        "auth": {"order": {"openai": ["openai:b", "openai:a"]}, "profiles": {"openai:a": {"provider": "openai", "mode": "api_key"}}},
    });
    let config = Config::from_effective(&config).unwrap();
    let read = |now| Keyring::read(&config, &BTreeMap::new(), &state, home.path(), now);
    let keyring = read(WallTime::from_millis(10));
    assert_eq!(keyring.problems.len(), 1, "{:?}", keyring.problems);
    let all = Providers::of(&config, &keyring);
    assert_eq!(
        sources(&all, "openai"),
        ["profile: openai:b", "profile: openai:a"]
    );
    assert_eq!(sources(&all, "anthropic"), ["profile: anthropic:sub"]);
    assert!(all.get("anthropic").unwrap().keys[0].is_token);
    assert_eq!(all.get("own").unwrap().keys[0].value.expose(), "from-file");
    assert_eq!(
        all.get("openai").unwrap().keys[0].agent.as_deref(),
        Some("main")
    );

    std::fs::write(
        folder.join("auth-profiles.json"),
        "{\"profiles\": {\"x\": \"sk-secret\"}}",
    )
    .unwrap();
    let broken = read(WallTime::from_millis(10));
    let told = format!("{broken:?}");
    assert!(
        !told.contains("sk-secret") && !told.contains("from-file"),
        "{told}"
    );
    assert_eq!(broken.problems.len(), 2);
}
