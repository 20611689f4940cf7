//! What the routes answer from: the configuration in force, the profiles and the machine.

use std::path::PathBuf;

use openclaw_shared::child::Fatal;
use openclaw_shared::config::Config;
use openclaw_shared::config::section::Browser;
use openclaw_shared::credentials::Credentials;
use openclaw_shared::instance::{Environment, Instance};
use openclaw_shared::ports::Ports;
use serde_json::Value;
use tokio::task::spawn_blocking;
use tracing::error;

use crate::cdp;
use crate::executable::{self, Surroundings, ThisMachine};
use crate::profile::{Place, Profile, Profiles, UnknownProfile};
use crate::report::{ProfileList, ProfileReport, Status};

/// Browser control on one configuration. A reload replaces it as a whole, so that no request sees
/// half of each.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    browser: Browser,
    profiles: Profiles,
    credentials: Option<Credentials>,
    surroundings: Surroundings,
}

/// The part of an instance that outlives a reload.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    ports: Ports,
    home: PathBuf,
}

impl Ground {
    pub(crate) fn of(instance: &Instance) -> Self {
        Self {
            ports: instance.ports,
            home: instance.identity.home.clone(),
        }
    }
}

impl Service {
    /// Reads what the supervisor handed out.
    pub(crate) fn new(
        ground: &Ground,
        effective: &Value,
        credentials: Option<Credentials>,
    ) -> Result<Self, Fatal> {
        let config = Config::from_effective(effective).map_err(|issues| {
            let reasons: Vec<String> = issues.iter().map(ToString::to_string).collect();
            Fatal::new(format!(
                "the configuration does not fit: {}",
                reasons.join("; ")
            ))
        })?;
        let profiles = Profiles::resolve(&config.browser, &ground.ports);
        let surroundings = Surroundings::of(&Environment::from_process(), &ground.home);
        Ok(Self {
            browser: config.browser,
            profiles,
            credentials,
            surroundings,
        })
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    pub(crate) fn profile_count(&self) -> usize {
        self.profiles.all().len()
    }

    /// The state of one profile. This release starts no browser, so none is running.
    pub(crate) async fn status(&self, profile: Option<&str>) -> Result<Status, UnknownProfile> {
        let profile = self.profiles.find(profile)?;
        let configured = self.browser.executable_path.clone();
        let surroundings = self.surroundings.clone();
        let detecting = spawn_blocking(move || {
            executable::detect(configured.as_deref(), &surroundings, &ThisMachine)
        });
        let (detected, cdp_http) = tokio::join!(detecting, answers(profile));
        let (detected, detect_error) = match detected {
            Ok(Ok(detected)) => (detected, None),
            Ok(Err(missing)) => (None, Some(format!("Error: {missing}"))),
            Err(failure) => {
                error!(target: "browser/service", error = %failure, "detection of a browser failed");
                (None, Some("Error: detection failed".to_owned()))
            }
        };
        Ok(Status {
            enabled: self.browser.enabled,
            profile: profile.name.clone(),
            running: false,
            cdp_ready: false,
            cdp_http,
            pid: None,
            cdp_port: profile.cdp_port(),
            cdp_url: profile.cdp_url(),
            chosen_browser: None,
            detected_browser: detected.as_ref().map(|one| one.kind),
            detected_executable_path: detected.map(|one| one.path.display().to_string()),
            detect_error,
            user_data_dir: None,
            color: profile.color.clone(),
            headless: self.browser.headless,
            no_sandbox: self.browser.no_sandbox,
            executable_path: self.browser.executable_path.clone(),
            attach_only: self.browser.attach_only,
        })
    }

    /// Every profile.
    pub(crate) fn list(&self) -> ProfileList {
        let report = |profile: &Profile| ProfileReport {
            name: profile.name.clone(),
            cdp_port: profile.cdp_port(),
            cdp_url: profile.cdp_url(),
            color: profile.color.clone(),
            running: false,
            tab_count: 0,
            is_default: self.profiles.is_default(profile),
            is_remote: profile.is_remote(),
        };
        ProfileList {
            profiles: self.profiles.all().iter().map(report).collect(),
        }
    }
}

/// Only ports of this machine are asked: a status must not make us call anywhere.
async fn answers(profile: &Profile) -> bool {
    match profile.browser {
        Place::Managed { port: Some(port) }
        | Place::Extension {
            port: Some(port), ..
        } => cdp::answers(port).await,
        Place::Managed { port: None }
        | Place::Extension { port: None, .. }
        | Place::Remote { .. } => false,
    }
}
