//! What every command starts from: which instance, its configuration, and where to print.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use openclaw_shared::config::section::GatewayMode;
use openclaw_shared::config::{self, Config, LoadError, Loaded};
use openclaw_shared::control::InstanceStatus;
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::{Environment, Identity, Instance, Profile, Wishes};
use openclaw_shared::log::LogSettings;
use openclaw_shared::paths::{RunPaths, StatePaths};

use super::args::Globals;
use super::control_client::{self, Asked};
use super::failure::{Failure, Kind};
use super::output::Output;
use crate::settings::{self, Flags, Refusal, Settings};
use crate::supervise::last_good;

/// The instance a command acts on.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) out: Output,
    pub(crate) environment: Environment,
    pub(crate) identity: Identity,
    pub(crate) no_color: bool,
    loaded: OnceCell<Result<Loaded, LoadError>>,
    last_good: OnceCell<Option<Loaded>>,
    settings: OnceCell<Result<Settings, Refusal>>,
    running: tokio::sync::OnceCell<Asked<InstanceStatus>>,
}

impl Context {
    /// Finds out which instance is meant.
    ///
    /// # Errors
    /// With exit code 2 when the profile is none, and as the identity says otherwise.
    pub(crate) fn new(globals: &Globals, mut environment: Environment) -> Result<Self, Failure> {
        let flag = globals.profile.as_deref();
        let profile = Profile::select(flag, globals.dev, environment.get("OPENCLAW_PROFILE"))
            .map_err(|error| {
                Failure::new(Kind::Usage, format!("[openclaw] {error}")).exit(Exit::Usage)
            })?;
        let identity = Identity::resolve(profile, &environment, &|path| path.exists())
            .map_err(|error| Failure::new(Kind::Failed, format!("[openclaw] {error}")))?;
        if let Ok(text) = std::fs::read_to_string(StatePaths(&identity.state_dir).dotenv()) {
            environment.fill_from_dotenv(&text);
        }
        let no_color = globals.no_color || environment.get("NO_COLOR").is_some();
        Ok(Self {
            out: Output::new(globals.json, !no_color),
            environment,
            identity,
            no_color,
            loaded: OnceCell::new(),
            last_good: OnceCell::new(),
            settings: OnceCell::new(),
            running: tokio::sync::OnceCell::new(),
        })
    }

    /// The context of a command line for another profile of this user, on the same terminal. What the environment says of our own
    /// instance is nothing to it.
    ///
    /// # Errors
    /// As [`Context::new`].
    pub(crate) fn of_profile(&self, profile: &str) -> Result<Self, Failure> {
        let mut globals = Globals::default();
        globals.profile = Some(profile.to_owned());
        globals.json = self.out.is_json();
        globals.no_color = self.no_color;
        let environment = Environment::from_process().of_another_instance(&self.identity.home);
        Self::new(&globals, environment)
    }

    /// The same instance, looked at anew: after a change nothing that was read before counts.
    pub(crate) fn again(&self) -> Self {
        Self {
            out: self.out.clone(),
            environment: self.environment.clone(),
            identity: self.identity.clone(),
            no_color: self.no_color,
            loaded: OnceCell::new(),
            last_good: OnceCell::new(),
            settings: OnceCell::new(),
            running: tokio::sync::OnceCell::new(),
        }
    }

    /// The configuration file, read once.
    pub(crate) fn loaded(&self) -> &Result<Loaded, LoadError> {
        self.loaded
            .get_or_init(|| config::load(&self.identity.config_path, self.environment.variables()))
    }

    /// The configuration; when the file is broken the last one that was good, or else the defaults. Commands that only look must
    /// go on then, since somebody looks because something is broken.
    pub(crate) fn config(&self) -> Config {
        self.usable()
            .map(|loaded| loaded.config.clone())
            .unwrap_or_default()
    }

    fn usable(&self) -> Option<&Loaded> {
        let last_good = || {
            let source = last_good::recall(&self.identity.state_dir)?;
            config::load_from_source(&source, self.environment.variables()).ok()
        };
        match self.loaded() {
            Ok(loaded) => Some(loaded),
            Err(_) => self.last_good.get_or_init(last_good).as_ref(),
        }
    }

    /// Whether the gateway that is meant runs on another machine, by the configuration.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.config().gateway.mode == Some(GatewayMode::Remote)
    }

    /// What the running instance says of itself, asked once.
    pub(crate) async fn running(&self) -> &Asked<InstanceStatus> {
        let ask = async || control_client::status(&self.supervisor_socket()).await;
        self.running.get_or_init(ask).await
    }

    /// The instance as configuration and environment describe it. Commands that only look get one also when the configuration
    /// is broken or asks for what this machine does not have: the instance of the defaults.
    ///
    /// # Errors
    /// When even that has no ports.
    pub(crate) fn instance(&self) -> Result<Instance, Failure> {
        match self.settings() {
            Ok(settings) => Ok(settings.instance.clone()),
            Err(_) => {
                let on_disk = |path: &Path| path.exists();
                let wishes = Wishes::default();
                Instance::resolve(self.identity.clone(), wishes, &self.environment, &on_disk)
                    .map_err(|error| Failure::new(Kind::Config, format!("{error}.")))
            }
        }
    }

    /// Everything the instance would run on if it were started, resolved once, as the supervisor resolves it.
    pub(crate) fn settings(&self) -> &Result<Settings, Refusal> {
        self.settings.get_or_init(|| {
            let loaded = self.usable().cloned();
            let loaded = loaded
                .ok_or_else(|| Refusal::new(Exit::ConfigInvalid, "The configuration is broken."))?;
            settings::resolve(
                &self.identity,
                loaded,
                &Flags::default(),
                &self.environment,
                None,
            )
        })
    }

    pub(crate) fn supervisor_socket(&self) -> PathBuf {
        RunPaths(&self.identity.run_dir(&self.environment)).supervisor()
    }

    /// Where the instance logs.
    pub(crate) fn log_settings(&self) -> LogSettings {
        match self.settings() {
            Ok(settings) => settings.logging.clone(),
            Err(_) => LogSettings::in_dir(StatePaths(&self.identity.state_dir).logs()),
        }
    }

    /// A path with the home folder shortened.
    pub(crate) fn shown(&self, path: &Path) -> String {
        self.identity.display(path)
    }

    /// A command line to type, for the instance that is meant.
    pub(crate) fn command(&self, rest: &str) -> String {
        self.identity.command(rest)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The context of a command in a private home where nothing runs.
    pub(crate) fn in_home(home: &Path, variables: &[(&str, &str)]) -> Context {
        let home = home.display().to_string();
        let pairs = [("HOME", home.as_str())];
        let environment =
            Environment::from_pairs(pairs.iter().chain(variables).copied(), Path::new("/"));
        Context::new(&Globals::default(), environment).unwrap()
    }

    #[test]
    fn hints_name_the_profile_that_is_meant() {
        let home = tempfile::tempdir().unwrap();
        let plain = in_home(home.path(), &[]);
        assert_eq!(plain.command("gateway status"), "openclaw gateway status");
        let rescue = in_home(home.path(), &[("OPENCLAW_PROFILE", "rescue")]);
        assert_eq!(
            rescue.command("gateway status"),
            "openclaw --profile rescue gateway status"
        );
    }

    #[test]
    fn a_broken_file_leaves_the_last_good_configuration_in_force() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join(".openclaw");
        std::fs::create_dir(&state).unwrap();
        let file = state.join("openclaw.json");
        std::fs::write(&file, "{gateway: {port: 20001}}").unwrap();
        let good = in_home(home.path(), &[]);
        last_good::keep(&state, &good.loaded().as_ref().unwrap().source).unwrap();
        std::fs::write(&file, "{gateway: {port: ").unwrap();
        let broken = in_home(home.path(), &[]);
        assert!(broken.loaded().is_err());
        assert_eq!(broken.instance().unwrap().ports.gateway, 20001);
    }
}
