//! `browser`: the Chromium processes that agents drive.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use crate::config::setting::{choice, section};
use crate::secret::Secret;

section! {
    /// Browser control.
    pub struct Browser {
        /// Whether browser control runs.
        "enabled" => enabled: bool = true;
        /// Whether agents may run their own script in a page.
        "evaluateEnabled" => evaluate_enabled: bool = true;
        /// The DevTools address of a browser that somebody else started. It may carry credentials.
        "cdpUrl" => cdp_url: Option<Secret<String>> = None;
        /// How long an answer of a remote DevTools endpoint may take.
        "remoteCdpTimeoutMs" => remote_cdp_timeout_ms: u32 = 1_500;
        /// How long the handshake may take; absent means twice the time-out, at least 2 s.
        "remoteCdpHandshakeTimeoutMs" => remote_cdp_handshake_timeout_ms: Option<u32> = None;
        /// The accent colour of browser windows.
        "color" => color: String = "#FF4500".to_owned();
        /// The browser to start; absent means the first that is found.
        "executablePath" => executable_path: Option<String> = None;
        /// Whether the browser runs without windows.
        "headless" => headless: bool = false;
        /// Whether the browser runs without its own sandbox.
        "noSandbox" => no_sandbox: bool = false;
        /// Whether a browser is only attached to, never started.
        "attachOnly" => attach_only: bool = false;
        /// The profile that is used when none is named.
        "defaultProfile" => default_profile: String = "chrome".to_owned();
        /// How pages are described to agents unless they ask otherwise.
        "snapshotDefaults" => snapshot_defaults: SnapshotDefaults = SnapshotDefaults::default();
        /// Profiles by name.
        "profiles" => profiles: BTreeMap<String, BrowserProfile> = BTreeMap::new();
        /// The port of browser control; absent means base + 2. Our own key: the Node implementation
        /// refuses it.
        "controlPort" => control_port: Option<NonZeroU16> = None;
    }
}

section! {
    /// How pages are described to agents.
    pub struct SnapshotDefaults {
        /// How much is described.
        "mode" => mode: Option<SnapshotMode> = None;
    }
}

choice! {
    /// How much of a page is described.
    pub enum SnapshotMode {
        /// What can be acted on.
        Efficient = "efficient",
    }
}

section! {
    /// One browser profile.
    pub struct BrowserProfile {
        /// The DevTools port of this profile's browser.
        "cdpPort" => cdp_port: Option<NonZeroU16> = None;
        /// The DevTools address of this profile's browser. It may carry credentials.
        "cdpUrl" => cdp_url: Option<Secret<String>> = None;
        /// Who owns the browser.
        "driver" => driver: BrowserDriver = BrowserDriver::Openclaw;
        /// The accent colour of this profile's windows.
        "color" => color: Option<String> = None;
    }
}

choice! {
    /// Who owns a profile's browser.
    pub enum BrowserDriver {
        /// Browser control starts and ends it.
        Openclaw = "openclaw",
        /// The person's own browser, through its extension.
        Extension = "extension",
    }
}
