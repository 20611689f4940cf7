//! The nouns of the gateway. A service is asked for a value or told a fact; it never writes to a socket.

pub(crate) mod agents;
pub(crate) mod beneath;
pub(crate) mod channels;
pub(crate) mod config;
pub(crate) mod cron;
pub(crate) mod devices;
pub(crate) mod exec_approvals;
pub(crate) mod health;
pub(crate) mod heartbeats;
pub(crate) mod hook_deliveries;
pub(crate) mod idempotency;
pub(crate) mod listings;
pub(crate) mod log_tail;
pub(crate) mod models;
pub(crate) mod nodes;
pub(crate) mod overview;
pub(crate) mod presence;
pub(crate) mod session_key;
pub(crate) mod sessions;
pub(crate) mod skills;
pub(crate) mod status_card;
pub(crate) mod system_events;
pub(crate) mod transcripts;
pub(crate) mod voicewake;
