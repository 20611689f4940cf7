//! `openclaw gateway usage-cost`: what runs have used.

use clap::Args;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::usage::UsageCost;
use serde_json::{Value, json};

use super::answer::Answer as _;
use super::args::RpcFlags;
use super::context::Context;
use super::failure::Failure;
use super::rpc::ask;
use super::table::Table;

/// `gateway usage-cost`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UsageCostArgs {
    /// Count the last so many days
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    days: u64,
    #[command(flatten)]
    pub(crate) rpc: RpcFlags,
}

pub(crate) async fn perform(context: &Context, arguments: UsageCostArgs) -> Result<Exit, Failure> {
    let params = json!({ "days": arguments.days });
    let command = "gateway usage-cost";
    let answer = ask::<UsageCost>(context, &arguments.rpc, command, params).await?;
    context.out.answer(&answer, || render(&answer));
    Ok(Exit::Ok)
}

fn render(answer: &Value) -> Vec<String> {
    let cost = |used: &Value| format!("${:.4}", used["totalCost"].as_f64().unwrap_or_default());
    let tokens = |used: &Value| used["totalTokens"].as_u64().unwrap_or_default();
    let totals = &answer["totals"];
    let mut lines = vec![
        format!(
            "Usage cost ({} days)",
            answer["days"].as_u64().unwrap_or_default()
        ),
        format!("Total: {} · {} tokens", cost(totals), tokens(totals)),
    ];
    match totals["missingCostEntries"].as_u64() {
        None | Some(0) => {}
        Some(missing) => lines.push(format!("{missing} answers have no known price.")),
    }
    let days = answer.items("daily");
    if !days.is_empty() {
        let mut table = Table::new(["Day", "Cost", "Tokens"]);
        for day in days {
            table.row([day.text("date"), cost(day), tokens(day).to_string()]);
        }
        lines.push(String::new());
        lines.extend(table.lines());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_in_the_known_lines() {
        let answer = json!({"days": 30, "daily": [{"date": "2026-11-22", "totalCost": 0.25, "totalTokens": 7}],
            "totals": {"totalCost": 0.25, "totalTokens": 7}});
        assert_eq!(
            render(&answer),
            [
                "Usage cost (30 days)",
                "Total: $0.2500 · 7 tokens",
                "",
                "Day         Cost     Tokens",
                "2026-11-22  $0.2500  7",
            ]
        );
    }
}
