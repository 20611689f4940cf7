//! The JSON of the answers, as clients know it.

use serde::Serialize;

use crate::executable::Kind;

/// `GET /`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// Whether browser control is switched on.
    pub(crate) enabled: bool,
    /// The profile this is about.
    pub(crate) profile: String,
    /// Whether its browser can be driven.
    pub(crate) running: bool,
    /// The same, under its other name.
    pub(crate) cdp_ready: bool,
    /// Whether something that looks like a browser answers on the DevTools port.
    pub(crate) cdp_http: bool,
    /// The browser we started.
    pub(crate) pid: Option<u32>,
    pub(crate) cdp_port: u16,
    pub(crate) cdp_url: String,
    /// The kind of browser we started.
    pub(crate) chosen_browser: Option<Kind>,
    /// The kind of browser we would start.
    pub(crate) detected_browser: Option<Kind>,
    pub(crate) detected_executable_path: Option<String>,
    /// Why none would be started.
    pub(crate) detect_error: Option<String>,
    /// The data folder of the browser we started.
    pub(crate) user_data_dir: Option<String>,
    pub(crate) color: String,
    pub(crate) headless: bool,
    pub(crate) no_sandbox: bool,
    /// The configured browser.
    pub(crate) executable_path: Option<String>,
    pub(crate) attach_only: bool,
}

/// `GET /profiles`.
#[derive(Debug, Serialize)]
pub(crate) struct ProfileList {
    pub(crate) profiles: Vec<ProfileReport>,
}

/// One of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProfileReport {
    pub(crate) name: String,
    pub(crate) cdp_port: u16,
    pub(crate) cdp_url: String,
    pub(crate) color: String,
    pub(crate) running: bool,
    pub(crate) tab_count: u32,
    pub(crate) is_default: bool,
    pub(crate) is_remote: bool,
}

/// Every failure.
#[derive(Debug, Serialize)]
pub(crate) struct Failure<'a> {
    pub(crate) error: &'a str,
}
