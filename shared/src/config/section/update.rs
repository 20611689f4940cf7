//! `update`: which versions are offered.

use crate::config::setting::{choice, section};

section! {
    /// Updates.
    pub struct Update {
        /// Which versions are offered.
        "channel" => channel: Option<UpdateChannel> = None;
        /// Whether a start looks for a newer version.
        "checkOnStart" => check_on_start: bool = true;
    }
}

choice! {
    /// Which versions are offered.
    pub enum UpdateChannel {
        /// Released ones.
        Stable = "stable",
        /// Candidates.
        Beta = "beta",
        /// Every build.
        Dev = "dev",
    }
}
