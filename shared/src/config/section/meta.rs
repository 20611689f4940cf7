//! `meta`: what tools note about the file itself.

use crate::config::setting::section;

section! {
    /// Who touched the file last.
    pub struct Meta {
        /// The version of the tool that wrote last.
        "lastTouchedVersion" => last_touched_version: Option<String> = None;
        /// When it did, as ISO 8601.
        "lastTouchedAt" => last_touched_at: Option<String> = None;
    }
}
