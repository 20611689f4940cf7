//! What was used, and what it cost.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::method::usage::{UsageCost, UsageStatus};
use openclaw_shared::protocol::params::usage::{
    UsageCostParams, UsageCostReply, UsageStatusParams, UsageStatusReply,
};
use serde_json::Value;

use super::{MethodError, Routes};
use crate::connection::Caller;
use crate::context::Context;
use crate::services::transcripts::usage;

/// How many days are meant when nobody says.
const DAYS: u64 = 30;

pub(super) fn register(routes: Routes) -> Routes {
    routes.on(UsageStatus, status).on(UsageCost, cost)
}

/// No provider that can be configured here says how much of it is used.
async fn status(
    _context: &Context,
    _caller: &Caller,
    _params: UsageStatusParams,
) -> Result<UsageStatusReply, MethodError> {
    Ok(UsageStatusReply {
        updated_at: WallTime::now().as_millis(),
        providers: Vec::new(),
    })
}

/// What runs have used is counted when it is said, by day, so that this is as cheap for a year as for a day.
async fn cost(
    context: &Context,
    _caller: &Caller,
    params: UsageCostParams,
) -> Result<UsageCostReply, MethodError> {
    let (now, days) = (WallTime::now(), days(params.days.as_ref()));
    // The day that is not over counts as one.
    let first = now.local_date_before(days - 1);
    let daily = context
        .store
        .read(|reader| Ok(usage::since(reader, &first)))??;
    Ok(UsageCostReply {
        updated_at: now.as_millis(),
        days,
        totals: usage::total(&daily),
        daily,
    })
}

fn days(wish: Option<&Value>) -> u64 {
    let number = match wish {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and what is below one is one"
    )]
    let days = number
        .filter(|days: &f64| days.is_finite())
        .map(|days| days as u64);
    days.map_or(DAYS, |days| days.max(1))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::days;

    #[test]
    fn days_are_whole_and_at_least_one() {
        for (wish, expected) in [
            (json!(3), 3),
            (json!("7"), 7),
            (json!(2.7), 2),
            (json!(0), 1),
            (json!(-2), 1),
            (json!("x"), 30),
            (json!("inf"), 30),
            (Value::Null, 30),
            (json!([1]), 30),
        ] {
            assert_eq!(days(Some(&wish)), expected, "{wish}");
        }
        assert_eq!(days(None), 30);
    }
}
