//! The contract between the processes of an instance.
//!
//! Something lives here when two processes must agree on it:
//!
//! - who an instance is: [`instance`], [`paths`], [`ports`], [`credentials`], [`config`]; who a client of it is: [`identity`], and where it finds the gateway: [`gateway_address`];
//! - what processes say to each other: [`control`], [`ipc`], [`child`], [`exit`], [`examine`], [`recovery`], [`upgrade`], [`node_host`], [`tui`];
//! - what clients see: [`protocol`], and how every listener treats them: [`serve`]; what may be executed and what an approval holds for: [`exec_approvals`], [`exec_binding`], [`exec_text`];
//! - what all processes do alike: [`log`], [`clock`], [`trace`], [`secret`], [`backoff`], [`digest`], [`memory`], [`model_providers`].

pub mod backoff;
pub mod child;
pub mod clock;
pub mod config;
pub mod control;
pub mod credentials;
pub mod digest;
pub mod discovery;
pub mod examine;
pub mod exec_approvals;
pub mod exec_binding;
pub mod exec_text;
pub mod exit;
pub mod gateway_address;
pub mod identity;
pub mod identity_file;
pub mod import;
pub mod instance;
pub mod ipc;
pub mod log;
pub mod memory;
pub mod model_providers;
pub mod node_host;
pub mod paths;
pub mod ports;
pub mod protocol;
pub mod recovery;
pub mod secret;
pub mod serve;
pub mod trace;
pub mod transcript;
pub mod tui;
pub mod upgrade;
