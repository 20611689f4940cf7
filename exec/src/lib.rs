//! Commands on this machine: whether their owner lets them run, and how they run.
//!
//! [`policy`] says what an argument vector really executes and what the owner's rules make of it; [`admission`] applies them to one
//! command, with the owner's file ([`approvals`]) and the variables ([`environment`]). [`process`] runs what was admitted under a
//! [`keeper`], so that nothing of it outlives whoever asked for it.
//!
//! This crate knows no gateway, no node and no agent.

pub mod admission;
pub mod approvals;
pub mod environment;
pub mod keeper;
pub mod orphans;
pub mod policy;
pub mod process;
