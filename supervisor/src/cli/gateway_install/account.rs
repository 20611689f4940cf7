//! The user that a service runs as, when it may be another one than who installs it.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User, geteuid};
use openclaw_shared::instance::{Environment, Identity};

use super::InstallArgs;
use super::settle::Settled;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Kind};
use crate::cli::target::read_secret;

/// A user of this machine.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) name: String,
    uid: Uid,
    gid: u32,
    home: PathBuf,
}

impl Account {
    /// The user that is meant: for a service of the whole system the one that is named, or who called `sudo`; else who runs this.
    pub(super) fn choose(
        context: &Context,
        system: bool,
        named: Option<&str>,
    ) -> Result<Self, Failure> {
        let found = match (named, context.environment.get("SUDO_USER")) {
            (Some(name), _) => User::from_name(name),
            (None, Some(name)) if system && geteuid().is_root() => User::from_name(name),
            (None, _) => User::from_uid(geteuid()),
        };
        match found {
            Ok(Some(user)) => Ok(Self {
                name: user.name,
                uid: user.uid,
                gid: user.gid.as_raw(),
                home: user.dir,
            }),
            Ok(None) if named.is_none() => Ok(Self {
                name: geteuid().to_string(),
                uid: geteuid(),
                gid: nix::unistd::getegid().as_raw(),
                home: context.identity.home.clone(),
            }),
            Ok(None) => Err(Failure::new(
                Kind::Usage,
                format!(
                    "There is no user {:?} on this machine.",
                    named.unwrap_or_default()
                ),
            )),
            Err(error) => Err(Failure::new(
                Kind::Failed,
                format!("The users of this machine cannot be read: {error}."),
            )),
        }
    }

    /// Whether it is somebody else's service.
    pub(super) fn is_other(&self) -> bool {
        self.uid != geteuid()
    }

    /// What whoever installs has said in the environment, and does not hold for a service of another user: it is about that user's own
    /// folders and settings.
    pub(super) fn left_behind(&self, context: &Context) -> Option<String> {
        const MEANT: [&str; 6] = [
            "OPENCLAW_STATE_DIR",
            "OPENCLAW_CONFIG_PATH",
            "OPENCLAW_CANVAS_HOST_PORT",
            "OPENCLAW_GATEWAY_PORT",
            "OPENCLAW_GATEWAY_TOKEN",
            "OPENCLAW_GATEWAY_PASSWORD",
        ];
        if !self.is_other() {
            return None;
        }
        let is_set = |name: &&str| context.environment.get(name).is_some();
        let set: Vec<&str> = MEANT.into_iter().filter(is_set).collect();
        let (names, owner) = (set.join(", "), &self.name);
        (!set.is_empty()).then(|| {
            format!("Not taken over into a service of another user: {names}. It starts the instance of {owner} in {owner}'s home; use --profile, --port, --token-file or --password for another one.")
        })
    }

    /// What this user's instance of the profile finds in its environment.
    pub(super) fn environment(&self, context: &Context) -> Environment {
        if !self.is_other() {
            return context.environment.clone();
        }
        let home = self.home.to_string_lossy();
        let path = context.environment.get("PATH").unwrap_or("/usr/bin:/bin");
        let pairs = [("HOME", home.as_ref()), ("PATH", path)];
        Environment::from_pairs(pairs, context.environment.working_dir())
    }

    /// This user's instance of the profile.
    pub(super) fn identity(&self, context: &Context) -> Result<Identity, Failure> {
        if !self.is_other() {
            return Ok(context.identity.clone());
        }
        let profile = context.identity.profile.clone();
        Identity::resolve(profile, &self.environment(context), &|path| path.exists())
            .map_err(|error| Failure::new(Kind::Failed, format!("{error}.")))
    }

    /// Has the configuration written by its owner: what root writes into another user's folder could be led elsewhere by a link.
    pub(super) async fn settle(
        &self,
        context: &Context,
        arguments: &InstallArgs,
    ) -> Result<Settled, Failure> {
        let failed = |why: String| {
            Failure::new(
                Kind::Failed,
                format!(
                    "The configuration of {} cannot be written: {why}.",
                    self.name
                ),
            )
        };
        let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let mut command = Command::new(program);
        command.env_clear().uid(self.uid.as_raw()).gid(self.gid);
        command
            .env("HOME", &self.home)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir("/");
        if let Some(name) = context.identity.profile.name() {
            command.args(["--profile", name]);
        }
        command.args(["gateway", "install", "--only-settle", "--json"]);
        let words = [
            ("--port", arguments.port.map(|port| port.to_string())),
            (
                "--bind",
                arguments.bind.map(|bind| bind.as_str().to_owned()),
            ),
            (
                "--auth",
                arguments.auth.map(|auth| auth.as_str().to_owned()),
            ),
            (
                "--tailscale",
                arguments.tailscale.map(|mode| mode.as_str().to_owned()),
            ),
            ("--watch", arguments.watch.clone()),
        ];
        for (option, value) in words {
            if let Some(value) = value {
                command.args([option, &value]);
            }
        }
        if arguments.tailscale_reset_on_exit {
            command.arg("--tailscale-reset-on-exit");
        }
        let token = match (&arguments.token, &arguments.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => Some(read_secret(path)?),
            (None, None) => None,
        };
        // What is in the environment only this user and root can see.
        if let Some(token) = token {
            command.env("OPENCLAW_GATEWAY_TOKEN", token.expose());
        }
        if let Some(password) = &arguments.password {
            command.env("OPENCLAW_GATEWAY_PASSWORD", password.expose());
        }
        command.stdin(Stdio::null());
        let said = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| failed(error.to_string()))?;
        serde_json::from_slice(&said.stdout).map_err(|_| {
            let document: serde_json::Value =
                serde_json::from_slice(&said.stdout).unwrap_or_default();
            let why = document["error"].as_str().map(str::to_owned);
            failed(why.unwrap_or_else(|| String::from_utf8_lossy(&said.stderr).trim().to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::context::tests::in_home;

    #[test]
    fn what_is_not_taken_over_is_named() {
        let home = tempfile::tempdir().unwrap();
        let account = |uid: Uid| Account {
            name: "claw".to_owned(),
            uid,
            gid: 0,
            home: PathBuf::from("/home/claw"),
        };
        let other = account(Uid::from_raw(geteuid().as_raw() + 1));
        let moved = in_home(home.path(), &[("OPENCLAW_STATE_DIR", "/srv/claw")]);
        let said = other.left_behind(&moved).unwrap();
        assert!(
            said.contains("OPENCLAW_STATE_DIR") && !said.contains("OPENCLAW_GATEWAY_PORT"),
            "{said}"
        );
        assert_eq!(account(geteuid()).left_behind(&moved), None);
        assert_eq!(other.left_behind(&in_home(home.path(), &[])), None);
    }
}
