//! The promises of the gateway, defended against the real binaries.
//!
//! One module for each promise; a test is named for what holds. Every test lives in a home of its own (`openclaw_tests::home`),
//! so all of them run at the same time.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "everything in here is a test, also what is not marked as one"
)]

mod acknowledged_writes;
mod admitted;
mod bad_config;
mod broken_configs;
mod busy_port;
mod canvas;
mod canvas_reload;
mod cli_agent;
mod cli_agents;
mod cli_config;
mod cli_cron;
mod cli_devices;
mod cli_gateway;
mod cli_models;
mod cli_nodes;
mod cli_text;
mod config_over_the_wire;
mod cron;
mod discover;
mod doctor;
mod families;
mod files_are_private;
mod first_steps;
mod handshake;
mod http_runs;
mod import;
mod limits;
mod logs;
mod models_answer;
mod no_orphans;
mod nodes;
mod observability;
mod pairing;
mod peer_frames;
mod ports_never_refuse;
mod recovery;
mod reload;
mod remote;
mod replace;
mod rescue;
mod runs_survive;
mod sd_notify;
mod service;
mod service_files;
mod sigusr1;
mod slow_reader;
mod stop;
mod supervisor_sockets;
mod survives_kills;
mod tailscale;
mod terminal;
mod threats;
mod tui;
mod two_profiles;
mod upgrade;
