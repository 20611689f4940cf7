//! `usage.status` and `usage.cost`: what was used, and what it cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Parameters of `usage.status`; whatever is sent is ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageStatusParams {}

/// A span in which a provider counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageWindow {
    /// Its name.
    pub label: String,
    /// How much of it is used.
    pub used_percent: f64,
    /// When it begins again, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_at: Option<u64>,
}

/// What a provider says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderUsage {
    /// The provider.
    pub provider: String,
    /// Its name for people.
    pub display_name: String,
    /// Its spans.
    pub windows: Vec<UsageWindow>,
    /// What was bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Why it does not say more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Reply of `usage.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageStatusReply {
    /// When this was found out, in milliseconds since the epoch.
    pub updated_at: u64,
    /// What each provider says.
    pub providers: Vec<ProviderUsage>,
}

/// Parameters of `usage.cost`; unknown ones are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageCostParams {
    /// How many days, as a number or its text; 30 when absent or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Value>,
}

/// What was used in a span of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageTotals {
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Tokens read from a cache.
    pub cache_read: u64,
    /// Tokens written to a cache.
    pub cache_write: u64,
    /// All tokens.
    pub total_tokens: u64,
    /// What they cost, in US dollars.
    pub total_cost: f64,
    /// How many answers have no known price.
    pub missing_cost_entries: u64,
}

/// What was used in a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageDay {
    /// The day, as `2026-11-22`.
    pub date: String,
    /// What was used.
    #[serde(flatten)]
    pub totals: UsageTotals,
}

/// Reply of `usage.cost`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageCostReply {
    /// When this was found out, in milliseconds since the epoch.
    pub updated_at: u64,
    /// How many days were asked for.
    pub days: u64,
    /// The days on which something was used.
    pub daily: Vec<UsageDay>,
    /// All of them together.
    pub totals: UsageTotals,
}
