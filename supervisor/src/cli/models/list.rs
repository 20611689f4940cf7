//! `models list`: the models that can be chosen.

use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::agents::ModelsList;
use serde_json::{Value, json};

use super::super::answer::Answer as _;
use super::super::args::RpcFlags;
use super::super::context::Context;
use super::super::control_client::Asked;
use super::super::failure::Failure;
use super::super::rpc::ask;
use super::super::table::Table;
use super::{ListArgs, providers};

pub(super) async fn show(
    context: &Context,
    flags: &RpcFlags,
    wanted: &ListArgs,
) -> Result<Exit, Failure> {
    // Which models there are is known without a gateway, unless a certain one is meant.
    let is_meant = flags.url.is_some() || flags.port.is_some() || context.is_elsewhere();
    let is_absent = !is_meant && matches!(context.running().await, Asked::Absent);
    let mut answer = if is_absent {
        from_config(context)
    } else {
        ask::<ModelsList>(context, flags, "models list", json!({})).await?
    };
    let (providers, _) = providers(context, &context.config());
    if let Some(models) = answer["models"].as_array_mut() {
        models.retain(|model| {
            let provider = model.text("provider");
            let is_local = || providers.get(&provider).is_some_and(|it| it.is_local());
            let is_meant = wanted.provider.as_deref();
            is_meant.is_none_or(|meant| meant.eq_ignore_ascii_case(&provider))
                && (!wanted.local || is_local())
        });
    }
    context.out.answer(&answer, || match wanted.plain {
        true => answer.items("models").iter().map(name).collect(),
        false => render(&answer),
    });
    Ok(Exit::Ok)
}

fn from_config(context: &Context) -> Value {
    let config = context.config();
    let (providers, _) = providers(context, &config);
    let models: Vec<Value> = providers
        .listed()
        .map(|(provider, model)| {
            json!({
                "id": model.id, "name": model.name, "provider": provider.id, "contextWindow": model.context_window,
                "reasoning": model.reasoning, "input": model.input,
            })
        })
        .collect();
    json!({ "models": models })
}

/// As the configuration names it.
fn name(model: &Value) -> String {
    format!("{}/{}", model.text("provider"), model.text("id"))
}

fn render(answer: &Value) -> Vec<String> {
    let models = answer.items("models");
    if models.is_empty() {
        return vec!["No models.".to_owned()];
    }
    let mut table = Table::new(["Model", "Name", "Context", "Reads", "Thinks"]);
    for model in models {
        let context = model["contextWindow"].as_u64();
        table.row([
            name(model),
            model.text("name"),
            context.map(|tokens| tokens.to_string()).unwrap_or_default(),
            model.texts("input").join(", "),
            if model.is_on("reasoning") { "yes" } else { "" }.to_owned(),
        ]);
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_shown_by_the_name_that_the_configuration_uses() {
        let answer = json!({"models": [{"id": "m1", "name": "Model One", "provider": "fk", "contextWindow": 8192}]});
        assert_eq!(
            render(&answer),
            ["Model  Name       Context", "fk/m1  Model One  8192"]
        );
    }
}
