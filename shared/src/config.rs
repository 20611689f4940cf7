//! The one configuration model: what the file may say, how it is read, changed and compared.
//!
//! The supervisor loads the file once ([`load`]) and hands the children plain values, which they turn into the
//! same types ([`Config::from_effective`]). Unknown keys are warned about and kept: in the file, because edits
//! are made in its text ([`write`]), and in [`Loaded::effective`].
//!
//! This module reads no environment variable, resolves no path of an instance and binds no port.

pub mod diff;
mod include;
mod issue;
mod legacy;
pub mod load;
mod misplaced;
pub mod model;
pub mod outcome;
mod own_keys;
pub mod page;
pub mod path;
mod period;
pub mod reload;
mod rules;
pub mod schema;
pub mod section;
pub mod sensitive;
pub mod setting;
pub mod shown;
pub mod source;
mod substitute;
#[cfg(test)]
mod testing;
mod tree;
pub mod write;

use serde_json::Value;

pub use issue::{Issue, IssueLevel, LoadError, sentence};
pub use legacy::legacy_target;
pub use load::{Loaded, load, load_candidate, load_from_source, read_text};
pub use outcome::{Outcome, RefusalCause};
pub use own_keys::{OWN_KEYS, own_keys_in};
pub use path::{KeyPath, PathError, Step};
pub use period::period;
pub use sensitive::{is_secret, redacted};
pub use source::{Source, SourceFile};

use issue::Finding;
use section::{
    Agents, Browser, CanvasHost, Channels, Commands, Cron, Discovery, Env, Gateway, Hooks, Logging,
    Mcp, Meta, ModelAuth, Models, Session, Supervisor, Tools, Ui, Update,
};
use setting::{Block, Setting, Untyped, Walk, section};

section! {
    /// The whole configuration, with defaults where the file is silent.
    pub struct Config {
        /// The gateway.
        "gateway" => gateway: Gateway = Gateway::default();
        /// The canvas host.
        "canvasHost" => canvas_host: CanvasHost = CanvasHost::default();
        /// Browser control.
        "browser" => browser: Browser = Browser::default();
        /// Logging.
        "logging" => logging: Logging = Logging::default();
        /// Commands in chats, and who may restart.
        "commands" => commands: Commands = Commands::default();
        /// Agents.
        "agents" => agents: Agents = Agents::default();
        /// Runs at set times.
        "cron" => cron: Cron = Cron::default();
        /// HTTP requests that start runs.
        "hooks" => hooks: Hooks = Hooks::default();
        /// The messaging networks.
        "channels" => channels: Channels = Channels::default();
        /// Sessions.
        "session" => session: Session = Session::default();
        /// Environment variables.
        "env" => env: Env = Env::default();
        /// Updates.
        "update" => update: Update = Update::default();
        /// How apps find the gateway.
        "discovery" => discovery: Discovery = Discovery::default();
        /// How apps look.
        "ui" => ui: Ui = Ui::default();
        /// How patient the supervisor is.
        "supervisor" => supervisor: Supervisor = Supervisor::default();
        /// Who touched the file last.
        "meta" => meta: Meta = Meta::default();
        /// How messages are worded, grouped and queued.
        "messages" => messages: Option<Block> = None;
        /// Tools and who may use them.
        "tools" => tools: Tools = Tools::default();
        /// Servers of tools.
        "mcp" => mcp: Mcp = Mcp::default();
        /// Model providers.
        "models" => models: Models = Models::default();
        /// Credentials of model providers.
        "auth" => auth: ModelAuth = ModelAuth::default();
        /// Skills.
        "skills" => skills: Option<Block> = None;
        /// Plugins.
        "plugins" => plugins: Option<Block> = None;
        /// Speech.
        "talk" => talk: Option<Block> = None;
        /// Audio.
        "audio" => audio: Option<Block> = None;
        /// Media.
        "media" => media: Option<Block> = None;
        /// Which agent answers where.
        "bindings" => bindings: Vec<Block> = Vec::new();
        /// Which agents hear the same messages.
        "broadcast" => broadcast: Option<Block> = None;
        /// Where approvals are asked for.
        "approvals" => approvals: Option<Block> = None;
        /// Traces and metrics.
        "diagnostics" => diagnostics: Option<Block> = None;
        /// This machine as a node of another gateway.
        "nodeHost" => node_host: Option<Block> = None;
        /// The WhatsApp Web connection.
        "web" => web: Option<Block> = None;
        /// What the wizard noted.
        "wizard" => wizard: Option<Block> = None;
        /// The schema an editor checks the file against.
        "$schema" => schema: Option<Untyped> = None;
    }
}

impl Config {
    /// Reads a plain configuration whose includes and variables are resolved, as the supervisor hands it out.
    pub fn from_effective(effective: &Value) -> Result<Self, Vec<Issue>> {
        let (config, findings) = Self::check(effective, None);
        let errors: Vec<_> = findings
            .into_iter()
            .filter(|finding| finding.level == IssueLevel::Error)
            .map(Finding::without_place)
            .collect();
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(errors)
        }
    }

    /// Reads what can be read, with everything that is wrong or odd.
    fn check(effective: &Value, raw: Option<&Value>) -> (Self, Vec<Finding>) {
        let mut walk = Walk::new(raw);
        let config = Self::read(effective, &mut walk).unwrap_or_default();
        let mut findings = walk.into_findings();
        // A rule between settings is judged only in sections that were read without an error: a token that is
        // not a string must not be called missing as well.
        let unread: Vec<_> = findings
            .iter()
            .filter(|finding| finding.level == IssueLevel::Error)
            .map(|finding| finding.path.steps().first().cloned())
            .collect();
        let broken = rules::broken(&config);
        findings.extend(
            broken
                .into_iter()
                .filter(|f| !unread.contains(&f.path.steps().first().cloned())),
        );
        misplaced::explain(&mut findings);
        legacy::explain(effective, &mut findings);
        (config, findings)
    }
}
