//! `canvasHost`: the folder of pages that agents write and browsers show.

use std::num::NonZeroU16;

use crate::config::setting::section;

section! {
    /// The canvas host.
    pub struct CanvasHost {
        /// Whether the canvas host runs.
        "enabled" => enabled: bool = true;
        /// The folder that is served; absent means `canvas` in the instance's workspace.
        "root" => root: Option<String> = None;
        /// The port; absent means base + 4.
        "port" => port: Option<NonZeroU16> = None;
        /// Whether a page reloads when its files change.
        "liveReload" => live_reload: bool = true;
    }
}
