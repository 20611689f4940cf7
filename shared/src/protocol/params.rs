//! Parameters and replies, one file per family of methods.

pub mod health;
pub mod logs;
pub mod presence;
