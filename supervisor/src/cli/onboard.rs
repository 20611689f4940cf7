//! `openclaw onboard` and `openclaw configure`: the first steps, one after the other or one by one.
//!
//! Every step shows what is there and changes only what is asked for; Enter keeps, so that a second run changes nothing. What an
//! option says is not asked. Each step is in force before the next one begins: whoever stops half-way keeps what is done.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use openclaw_shared::config::KeyPath;
use openclaw_shared::config::section::{AuthMode, BindMode, GatewayMode, TailscaleMode};
use openclaw_shared::exit::Exit;
use openclaw_shared::secret::Secret;
use serde_json::{Map, Value};

use super::args::{port, secret};
use super::config_edit::{Applied, Edit, apply};
use super::context::Context;
use super::control_client::Asked;
use super::failure::{Failure, Kind};
use super::{guard, own_program, prompt};

mod finish;
mod gateway;
mod keys;
mod model;
mod secrets;
mod service;
mod workspace;

/// `onboard`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Every step can be skipped with Enter, and the command can be run again at any time.\n\
                  For scripts: --non-interactive --accept-risk, with an option for whatever is to be changed.\n\
                  Secrets are better given in files or typed than as options, which other users can see."
)]
pub(crate) struct OnboardArgs {
    /// Ask nothing: do what the options say, and what a first start needs
    #[arg(long)]
    non_interactive: bool,
    /// Know that agents run commands and read files as you; needed with --non-interactive
    #[arg(long)]
    accept_risk: bool,
    /// Begin anew: move configuration, state and workspace into the backups first
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    wishes: Wishes,
    /// Accepted for scripts: which questions are asked is up to the options
    #[arg(long, hide = true, value_name = "FLOW")]
    flow: Option<String>,
    /// Accepted for scripts, since no runtime is needed
    #[arg(long, hide = true, value_name = "RUNTIME")]
    daemon_runtime: Option<String>,
    /// Accepted for scripts
    #[arg(long, hide = true, value_name = "NAME")]
    node_manager: Option<String>,
    /// Accepted for scripts, since there is no such step
    #[arg(long, hide = true)]
    skip_channels: bool,
    /// Accepted for scripts, since there is no such step
    #[arg(long, hide = true)]
    skip_skills: bool,
    /// Accepted for scripts, since nothing is opened by itself
    #[arg(long, hide = true)]
    skip_ui: bool,
}

/// What options say about the steps.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Wishes {
    /// Run a gateway on this machine (local), or use one elsewhere (remote)
    #[arg(long, value_name = "MODE", value_parser = mode)]
    mode: Option<GatewayMode>,
    /// Use the gateway at this WebSocket address
    #[arg(long, value_name = "WS_URL")]
    remote_url: Option<String>,
    /// Present this token to the gateway elsewhere; prefer --remote-token-file
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    remote_token: Option<Secret<String>>,
    /// Present the token in this file to the gateway elsewhere
    #[arg(long, value_name = "FILE", conflicts_with = "remote_token")]
    remote_token_file: Option<PathBuf>,
    /// Listen on this port
    #[arg(long, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    gateway_port: Option<u16>,
    /// Listen on these addresses: loopback, lan, tailnet, auto or custom
    #[arg(long, value_name = "MODE", value_parser = bind)]
    gateway_bind: Option<BindMode>,
    /// Ask callers for a token or for a password
    #[arg(long, value_name = "MODE", value_parser = auth)]
    gateway_auth: Option<AuthMode>,
    /// Ask callers for this token, instead of one that is made; prefer --gateway-token-file
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    gateway_token: Option<Secret<String>>,
    /// Ask callers for the token in this file
    #[arg(long, value_name = "FILE", conflicts_with = "gateway_token")]
    gateway_token_file: Option<PathBuf>,
    /// Ask callers for this password; prefer --gateway-password-file
    #[arg(long, value_name = "PASSWORD", value_parser = secret)]
    gateway_password: Option<Secret<String>>,
    /// Ask callers for the password in this file
    #[arg(long, value_name = "FILE", conflicts_with = "gateway_password")]
    gateway_password_file: Option<PathBuf>,
    /// Publish through Tailscale: off, serve or funnel
    #[arg(long, value_name = "MODE", value_parser = tailscale)]
    tailscale: Option<TailscaleMode>,
    /// Take the Tailscale publication back when the gateway stops
    #[arg(long)]
    tailscale_reset_on_exit: bool,
    /// Let agents use this model, as provider/model
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Store the key in this file for the provider of --model, or of --auth-choice
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Which provider the key is for, such as openai-api-key; skip for none
    #[arg(long, value_name = "CHOICE")]
    auth_choice: Option<String>,
    /// Store this key of Anthropic
    #[arg(long, hide = true, value_name = "KEY", value_parser = secret)]
    anthropic_api_key: Option<Secret<String>>,
    /// Store this key of OpenAI
    #[arg(long, hide = true, value_name = "KEY", value_parser = secret)]
    openai_api_key: Option<Secret<String>>,
    /// Store this key of Google
    #[arg(long, hide = true, value_name = "KEY", value_parser = secret)]
    gemini_api_key: Option<Secret<String>>,
    /// Store this key of OpenRouter
    #[arg(long, hide = true, value_name = "KEY", value_parser = secret)]
    openrouter_api_key: Option<Secret<String>>,
    /// Let the agent work in this folder
    #[arg(long, value_name = "DIR")]
    workspace: Option<String>,
    /// Install the gateway as a service
    #[arg(long, overrides_with_all = ["no_install_daemon"])]
    install_daemon: bool,
    /// Install no service
    #[arg(long, alias = "skip-daemon", overrides_with = "install_daemon")]
    no_install_daemon: bool,
    /// Do not look whether the gateway answers
    #[arg(long)]
    skip_health: bool,
}

/// `configure`.
#[derive(Debug, Args)]
pub(crate) struct ConfigureArgs {
    /// Only this step; can be given several times
    #[arg(long, value_name = "STEP")]
    section: Vec<Step>,
}

/// One of the first steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Here or elsewhere, the port, and what callers are asked for
    Gateway,
    /// The model that answers, and the key for it
    Model,
    /// The folder that agents work in
    Workspace,
    /// The service
    Daemon,
    /// Whether it answers
    Health,
}

impl Step {
    const ALL: [Self; 5] = [
        Self::Gateway,
        Self::Model,
        Self::Workspace,
        Self::Daemon,
        Self::Health,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Gateway => "Gateway",
            Self::Model => "Model",
            Self::Workspace => "Workspace",
            Self::Daemon => "Service",
            Self::Health => "Health",
        }
    }
}

impl OnboardArgs {
    /// The first steps as `setup` is asked for them.
    pub(crate) fn for_setup(non_interactive: bool, wishes: Wishes) -> Self {
        Self {
            non_interactive,
            // `setup` has never asked for it.
            accept_risk: true,
            wishes,
            ..Self::default()
        }
    }
}

impl Wishes {
    /// What `setup` can be told.
    pub(crate) fn of_setup(
        mode: Option<&str>,
        remote_url: Option<String>,
        remote_token: Option<Secret<String>>,
        workspace: Option<String>,
    ) -> Self {
        Self {
            mode: mode.and_then(|mode| mode.parse().ok()),
            remote_url,
            remote_token,
            workspace,
            ..Self::default()
        }
    }
}

/// Goes through all steps.
///
/// # Errors
/// When a step cannot be done; those before it are.
pub(crate) async fn perform(context: &Context, arguments: OnboardArgs) -> Result<Exit, Failure> {
    let asks = !arguments.non_interactive && !context.out.is_json() && prompt::is_possible();
    if !asks && !arguments.non_interactive {
        return Err(Failure::new(
            Kind::Usage,
            "The first steps are asked for at a terminal; there is none here.",
        )
        .hint(format!(
            "For scripts: {}",
            context.command("onboard --non-interactive --accept-risk")
        )));
    }
    if !asks && !arguments.accept_risk {
        return Err(Failure::new(
            Kind::Usage,
            "Agents run commands and read files as you; pass --accept-risk to say that you know.",
        ));
    }
    if arguments.reset {
        let scope = ["reset", "--scope", "full", "--yes"];
        if asks && !prompt::yes("Move everything that is there into the backups?", false).await? {
            return Err(Failure::new(Kind::Refused, "Nothing was changed."));
        }
        own_program::run(context, &scope).await?;
    }
    let mut wizard = Wizard::new(context, asks, arguments.wishes)?;
    if asks && !arguments.accept_risk && wizard.config().gateway.mode.is_none() {
        prompt::say(
            "Agents run commands and read files as you, and may be led astray by what they read.",
        );
        if !prompt::yes("Go on?", false).await? {
            context.out.note("Nothing was changed.");
            return Ok(Exit::Ok);
        }
    }
    wizard.walk(&Step::ALL).await
}

/// Goes through the steps that are named, or that are chosen.
///
/// # Errors
/// As [`perform`].
pub(crate) async fn configure(
    context: &Context,
    arguments: ConfigureArgs,
) -> Result<Exit, Failure> {
    if context.out.is_json() || !prompt::is_possible() {
        return Err(Failure::new(
            Kind::Usage,
            "The steps are asked for at a terminal; there is none here.",
        )
        .hint(format!(
            "For scripts: {}, or onboard --non-interactive",
            context.command("config set")
        )));
    }
    let mut wizard = Wizard::new(context, true, Wishes::default())?;
    if !arguments.section.is_empty() {
        return wizard.walk(&arguments.section).await;
    }
    let mut choices: Vec<prompt::Choice<'_>> =
        Step::ALL.iter().map(|step| (step.title(), "")).collect();
    choices.push(("Done", ""));
    loop {
        let chosen = prompt::choose("What next?", &choices, choices.len() - 1).await?;
        let Some(step) = Step::ALL.get(chosen) else {
            return wizard.finish().await;
        };
        wizard.step(*step).await?;
    }
}

/// The steps under way.
struct Wizard {
    context: Context,
    asks: bool,
    wishes: Wishes,
    /// What became of each step, for scripts.
    summary: Map<String, Value>,
    /// What a person should still do or know.
    warnings: Vec<String>,
    is_changed: bool,
    /// Why what runs must be restarted.
    restart_for: Option<&'static str>,
}

impl Wizard {
    fn new(context: &Context, asks: bool, wishes: Wishes) -> Result<Self, Failure> {
        let context = context.again();
        guard::require_valid(&context)?;
        Ok(Self {
            context,
            asks,
            wishes,
            summary: Map::new(),
            warnings: Vec::new(),
            is_changed: false,
            restart_for: None,
        })
    }

    async fn walk(&mut self, steps: &[Step]) -> Result<Exit, Failure> {
        for step in steps {
            self.step(*step).await?;
        }
        self.finish().await
    }

    async fn step(&mut self, step: Step) -> Result<(), Failure> {
        if self.is_remote() && matches!(step, Step::Model | Step::Workspace | Step::Daemon) {
            return Ok(());
        }
        if self.asks {
            prompt::say(&format!("\n{}", step.title()));
        }
        match step {
            Step::Gateway => {
                self.place().await?;
                if self.is_remote() {
                    self.elsewhere().await
                } else {
                    self.network().await?;
                    self.secret().await
                }
            }
            Step::Model => self.model().await,
            Step::Workspace => self.workspace().await,
            Step::Daemon => self.service().await,
            Step::Health => self.health().await,
        }
    }

    fn config(&self) -> openclaw_shared::config::Config {
        self.context.config()
    }

    fn is_remote(&self) -> bool {
        self.config().gateway.mode == Some(GatewayMode::Remote)
    }

    async fn is_running(&self) -> bool {
        matches!(self.context.again().running().await, Asked::Answered(_))
    }

    /// Changes the configuration; what comes after sees it.
    async fn change(&mut self, edits: &[Edit]) -> Result<(), Failure> {
        if edits.is_empty() {
            return Ok(());
        }
        match apply(&self.context, edits).await? {
            Applied::Unchanged => return Ok(()),
            Applied::Written => {}
            Applied::Taken(outcome) => {
                if !outcome.is_in_force() {
                    self.warnings.push(outcome.to_string());
                }
            }
        }
        self.is_changed = true;
        self.look_again();
        Ok(())
    }

    fn look_again(&mut self) {
        self.context = self.context.again();
    }

    fn tell(&self, text: impl AsRef<str>) {
        if self.asks {
            prompt::say(&format!("  {}", text.as_ref()));
        }
    }
}

fn set(path: &[&str], value: impl Into<Value>) -> Edit {
    Edit::Set(KeyPath::of_keys(path.iter().copied()), value.into())
}

fn unset(path: &[&str]) -> Edit {
    Edit::Unset(KeyPath::of_keys(path.iter().copied()))
}

fn mode(text: &str) -> Result<GatewayMode, String> {
    text.parse()
        .map_err(|_| "Invalid --mode (use \"local\" or \"remote\")".to_owned())
}

fn bind(text: &str) -> Result<BindMode, String> {
    text.parse().map_err(|_| {
        "Invalid --gateway-bind (use \"loopback\", \"lan\", \"tailnet\", \"auto\", or \"custom\")"
            .to_owned()
    })
}

fn auth(text: &str) -> Result<AuthMode, String> {
    text.parse()
        .map_err(|_| "Invalid --gateway-auth (use \"token\" or \"password\")".to_owned())
}

fn tailscale(text: &str) -> Result<TailscaleMode, String> {
    text.parse()
        .map_err(|_| "Invalid --tailscale (use \"off\", \"serve\", or \"funnel\")".to_owned())
}
