//! `hooks`: HTTP requests from outside that start runs.

use crate::config::setting::{Block, section};
use crate::secret::Secret;

section! {
    /// HTTP requests that start runs.
    pub struct Hooks {
        /// Whether hooks are accepted; they need a token then.
        "enabled" => enabled: bool = false;
        /// The path below which hooks are accepted.
        "path" => path: String = "/hooks".to_owned();
        /// The token that a request must carry.
        "token" => token: Option<Secret<String>> = None;
        /// The largest request body in bytes.
        "maxBodyBytes" => max_body_bytes: u64 = 262_144;
        /// Built-in mappings to use.
        "presets" => presets: Vec<String> = Vec::new();
        /// The folder of transformation modules.
        "transformsDir" => transforms_dir: Option<String> = None;
        /// Which request starts which run.
        "mappings" => mappings: Vec<Block> = Vec::new();
        /// The Gmail watcher.
        "gmail" => gmail: Option<Block> = None;
        /// Hooks on the gateway's own events.
        "internal" => internal: Option<Block> = None;
    }
}
