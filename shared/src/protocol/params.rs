//! Parameters and replies, one file per family of methods.

pub mod activity;
pub mod agent_runs;
pub mod agents;
pub mod approvals;
pub mod browser;
pub mod channels;
pub mod chat;
pub mod config;
pub mod cron;
pub mod delivery;
pub mod devices;
pub mod health;
pub mod heartbeat;
pub mod logs;
pub mod nodes;
pub mod presence;
pub mod sessions;
pub mod setup;
pub mod skills;
pub mod speech;
pub mod usage;
pub mod voicewake;
