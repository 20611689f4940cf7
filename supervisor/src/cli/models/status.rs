//! `models status`: which model is used, what stands in for it, and where each key comes from. Never a key, nor a part of one.

use openclaw_shared::exit::Exit;
use openclaw_shared::model_providers::{KeySource, Provider};
use serde_json::{Value, json};

use super::super::answer::Answer as _;
use super::super::context::Context;
use super::super::failure::{Failure, Kind};
use super::super::table::Table;
use super::change::Purpose;
use super::choice::{Choice, OFFLINE};
use super::{StatusArgs, providers};

pub(super) fn show(context: &Context, wanted: &StatusArgs) -> Result<Exit, Failure> {
    if wanted.probe {
        return Err(Failure::new(
            Kind::Unsupported,
            "This version does not ask providers whether they take a key.",
        )
        .hint(format!(
            "Ask for an answer: {}",
            context.command("agent --agent main --message hi")
        )));
    }
    let config = context.config();
    let (providers, keyring) = providers(context, &config);
    let choice = Choice::of(&config, &providers);
    let used = choice.providers_in_use();
    let shown = providers
        .iter()
        .filter(|provider| provider.is_wanted() || used.contains(&provider.id));
    let rows: Vec<Value> = shown.map(|provider| row(context, provider)).collect();
    let is_missing = |id: &&String| {
        let known = providers.get(id);
        id.as_str() != OFFLINE && known.is_none_or(|provider| !provider.is_usable())
    };
    let missing: Vec<&String> = used.iter().filter(is_missing).collect();
    let agent_dir = context.identity.state_dir.join("agents/main/agent");
    let status = json!({
        "configPath": context.identity.config_path,
        "agentDir": agent_dir,
        "defaultModel": choice.written,
        "resolvedDefault": choice.resolved,
        "fallbacks": choice.fallbacks,
        "imageModel": choice.image,
        "imageFallbacks": choice.image_fallbacks,
        "aliases": choice.aliases,
        "allowed": choice.allowed,
        "auth": {
            "storePath": agent_dir.join("auth-profiles.json"),
            "missingProvidersInUse": missing,
            "providers": rows,
            "problems": keyring.problems,
        },
    });
    context.out.answer(&status, || match wanted.plain {
        true => status.some_text("resolvedDefault").into_iter().collect(),
        false => render(context, &status),
    });
    Ok(match wanted.check && !missing.is_empty() {
        true => Exit::Failure,
        false => Exit::Ok,
    })
}

/// `models aliases list`.
pub(super) fn aliases(context: &Context, plain: bool) -> Exit {
    let config = context.config();
    let aliases = Choice::of(&config, &providers(context, &config).0).aliases;
    context.out.answer(&json!({ "aliases": aliases }), || {
        let pairs = aliases.iter();
        match plain {
            true => pairs
                .map(|(alias, model)| format!("{alias} {model}"))
                .collect(),
            false if aliases.is_empty() => vec!["No aliases.".to_owned()],
            false => pairs
                .map(|(alias, model)| format!("{alias} -> {model}"))
                .collect(),
        }
    });
    Exit::Ok
}

/// `models fallbacks list` and `models image-fallbacks list`.
pub(super) fn fallbacks(context: &Context, purpose: Purpose, plain: bool) -> Exit {
    let config = context.config();
    let choice = Choice::of(&config, &providers(context, &config).0);
    let listed = purpose.fallbacks(&choice);
    context.out.answer(&json!({ "fallbacks": listed }), || {
        match listed.is_empty() && !plain {
            true => vec!["No fallbacks.".to_owned()],
            false => listed.to_vec(),
        }
    });
    Exit::Ok
}

fn row(context: &Context, provider: &Provider) -> Value {
    let sources: Vec<Value> = provider
        .keys
        .iter()
        .map(|key| {
            let (kind, detail) = match &key.source {
                KeySource::Config => ("config", format!("models.providers.{}.apiKey", provider.id)),
                KeySource::File(path) => ("file", context.shown(path)),
                KeySource::Profile(name) => ("profiles", name.clone()),
                KeySource::Environment(name) => ("env", name.clone()),
            };
            json!({"kind": kind, "detail": detail, "agent": key.agent})
        })
        .collect();
    let effective = sources.first().cloned().unwrap_or_else(|| {
        let kind = if provider.needs_key {
            "missing"
        } else {
            "none"
        };
        json!({"kind": kind, "detail": null})
    });
    json!({
        "provider": provider.id, "api": provider.api, "baseUrl": provider.base_url, "configured": provider.is_configured,
        "local": provider.is_local(), "usable": provider.is_usable(), "effective": effective, "keys": sources,
    })
}

fn render(context: &Context, status: &Value) -> Vec<String> {
    let words = |key: &str| match status.texts(key) {
        texts if texts.is_empty() => "-".to_owned(),
        texts => texts.join(", "),
    };
    let or_none = |text: String| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text
        }
    };
    let resolved = or_none(status.text("resolvedDefault"));
    let default = match resolved.split('/').next() {
        Some(OFFLINE) if status["defaultModel"].is_null() => {
            format!("{resolved} (no provider is configured; it only repeats what it is told)")
        }
        _ if status["defaultModel"].is_null() && resolved != "-" => {
            format!("{resolved} (nothing is chosen; this is the first that can be asked)")
        }
        _ => resolved,
    };
    let aliases: Vec<String> = status["aliases"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(alias, model)| format!("{alias} -> {}", model.as_str().unwrap_or_default()))
        .collect();
    let mut lines = vec![
        format!(
            "Config     {}",
            context.shown(&context.identity.config_path)
        ),
        format!("Default    {default}"),
        format!("Fallbacks  {}", words("fallbacks")),
    ];
    if !aliases.is_empty() {
        lines.push(format!("Aliases    {}", aliases.join(", ")));
    }
    lines.push(String::new());
    let auth = &status["auth"];
    let rows = auth.items("providers");
    if rows.is_empty() {
        lines.push("No provider is configured, and no key was found.".to_owned());
    } else {
        let mut table = Table::new(["Provider", "Key", "Address"]);
        for row in rows {
            let keys: Vec<String> = row.items("keys").iter().map(source).collect();
            let key = match row["effective"].text("kind").as_str() {
                "missing" => "missing".to_owned(),
                "none" => "not needed".to_owned(),
                _ => keys.join(", "),
            };
            table.row([row.text("provider"), key, row.text("baseUrl")]);
        }
        lines.extend(table.lines());
    }
    for missing in auth.texts("missingProvidersInUse") {
        lines.push(format!(
            "The provider \"{missing}\" is in use and cannot be asked: it has no key or no address."
        ));
    }
    lines.extend(auth.texts("problems"));
    lines
}

fn source(key: &Value) -> String {
    let detail = key.text("detail");
    match key.text("kind").as_str() {
        "env" => format!("env {detail}"),
        "profiles" => format!("profile {detail}"),
        "file" => format!("file {detail}"),
        _ => "config".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::context::tests::in_home;
    use super::*;

    #[test]
    fn where_a_key_comes_from_is_shown_and_never_the_key() {
        let home = tempfile::tempdir().unwrap();
        let context = in_home(
            home.path(),
            &[("OPENAI_API_KEY", "sk-from-the-environment")],
        );
        let config = json!({
            "models": {"providers": {"own": {"baseUrl": "http://localhost:1/v1", "apiKey": "sk-own-key-123"}}},
            "agents": {"defaults": {"model": {"primary": "own/m", "fallbacks": ["anthropic/x"]}}},
        });
        std::fs::create_dir_all(context.identity.config_path.parent().unwrap()).unwrap();
        std::fs::write(&context.identity.config_path, config.to_string()).unwrap();
        let config = context.config();
        let (providers, _) = providers(&context, &config);
        let rows: Vec<Value> = ["own", "openai", "anthropic", "ollama"]
            .iter()
            .map(|id| row(&context, providers.get(id).unwrap()))
            .collect();
        let kinds: Vec<String> = rows
            .iter()
            .map(|row| row["effective"].text("kind"))
            .collect();
        assert_eq!(kinds, ["config", "env", "missing", "none"]);
        let text = Value::from(rows).to_string();
        assert!(!text.contains("sk-"), "{text}");
        assert_eq!(
            Choice::of(&config, &providers).providers_in_use(),
            ["anthropic", "own"]
        );
    }
}
