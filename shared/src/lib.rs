//! The contract between the processes of an instance.
//!
//! Something lives here when two processes must agree on it:
//!
//! - who an instance is: [`instance`], [`paths`], [`ports`], [`credentials`], [`config`];
//! - what processes say to each other: [`control`], [`ipc`], [`child`], [`exit`];
//! - what clients see: [`protocol`], and how every listener treats them: [`serve`];
//! - what all processes do alike: [`log`], [`clock`], [`secret`], [`backoff`], [`digest`].

pub mod backoff;
pub mod child;
pub mod clock;
pub mod config;
pub mod control;
pub mod credentials;
pub mod digest;
pub mod exit;
pub mod instance;
pub mod ipc;
pub mod log;
pub mod paths;
pub mod ports;
pub mod protocol;
pub mod secret;
pub mod serve;
