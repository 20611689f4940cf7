//! The service manager of the system, as far as it can be asked about and told to stop or restart our service.
//!
//! A service is the business of the system (systemd or launchd); a child is ours. What the service manager says is reported
//! beside what the supervisor says, never instead of it.

use openclaw_shared::instance::Profile;
use serde::Serialize;

mod command;
mod extra;
mod none;
mod systemd;

pub(crate) use extra::{ExtraService, extra};

/// A service manager.
pub(crate) trait ServiceManager {
    /// What is installed and whether it runs. An absent service is an answer, not an error.
    fn view(&self) -> ServiceView;
    /// Stops the service.
    ///
    /// # Errors
    /// With a sentence that says what the service manager said.
    fn stop(&self) -> Result<(), String>;
    /// Restarts the service.
    ///
    /// # Errors
    /// With a sentence that says what the service manager said.
    fn restart(&self) -> Result<(), String>;
    /// The command by which a person starts the service.
    fn start_hint(&self) -> Option<String>;
}

/// The service manager's view of our service; `service` in `gateway status --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceView {
    /// Which service manager.
    pub(crate) label: &'static str,
    /// The name of the unit.
    pub(crate) unit: Option<String>,
    /// Whether it is started with the session or the machine.
    pub(crate) loaded: bool,
    /// What `loaded` is called here.
    pub(crate) loaded_text: &'static str,
    /// What its opposite is called here.
    pub(crate) not_loaded_text: &'static str,
    /// What it starts; absent when nothing is installed.
    pub(crate) command: Option<ServiceCommand>,
    /// Whether it runs.
    pub(crate) runtime: ServiceRuntime,
}

impl ServiceView {
    /// Whether there is such a service at all.
    pub(crate) const fn is_installed(&self) -> bool {
        self.loaded || self.command.is_some()
    }
}

/// What a service starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceCommand {
    /// The file that defines the service.
    pub(crate) source_path: String,
}

/// Whether a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceRuntime {
    /// The answer in one word.
    pub(crate) status: RuntimeStatus,
    /// The service manager's own word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// Its finer word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sub_state: Option<String>,
    /// Its main process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
    /// How the last one ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_exit_status: Option<i32>,
    /// Why nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// The unit does not exist.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) missing_unit: bool,
}

/// Whether a service runs, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RuntimeStatus {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
    /// The service manager did not say.
    #[default]
    Unknown,
}

/// The service manager of this system, for the service of `profile`.
pub(crate) fn manager(profile: &Profile) -> Box<dyn ServiceManager> {
    match systemd::Systemd::find(profile) {
        Some(systemd) => Box::new(systemd),
        None => Box::new(none::NoServiceManager),
    }
}
