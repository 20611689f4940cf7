//! What was used, and what it cost.

use super::methods;
use crate::protocol::params::usage::{
    UsageCostParams, UsageCostReply, UsageStatusParams, UsageStatusReply,
};

methods! {
    "Usage";
    /// What the providers say about usage; those that say nothing are left out.
    UsageStatus = "usage.status", Read, UsageStatusParams => UsageStatusReply;
    /// What runs have used, by day.
    UsageCost = "usage.cost", Read, UsageCostParams => UsageCostReply;
}
