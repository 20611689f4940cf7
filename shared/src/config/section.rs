//! The typed sections of the configuration, one file each, named like their keys.
//!
//! Every key is optional and its default stands beside it. A key that is documented but that no process of
//! this version reads is held untyped, so that it is neither warned about nor lost.

pub mod agents;
pub mod browser;
pub mod canvas_host;
pub mod channels;
pub mod commands;
pub mod cron;
pub mod discovery;
pub mod env;
pub mod gateway;
pub mod hooks;
pub mod logging;
pub mod meta;
pub mod models;
pub mod session;
pub mod supervisor;
pub mod tools;
pub mod ui;
pub mod update;

pub use agents::{AgentEntry, AgentIdentity, Agents, AgentsDefaults, Heartbeat, Subagents};
pub use browser::{Browser, BrowserDriver, BrowserProfile, SnapshotDefaults, SnapshotMode};
pub use canvas_host::CanvasHost;
pub use channels::Channels;
pub use commands::Commands;
pub use cron::Cron;
pub use discovery::{Discovery, Mdns, MdnsMode, WideArea};
pub use env::{Env, ShellEnv};
pub use gateway::{
    Auth, AuthMode, BindMode, ChatCompletions, ControlUi, Gateway, GatewayMode, GatewayTools, Http,
    HttpEndpoints, Limits, Metrics, NodeBrowser, NodeBrowserMode, Nodes, ProcessLimits, Reload,
    ReloadMode, Remote, RemoteTransport, Responses, ResponsesFiles, ResponsesImages, ResponsesPdf,
    Tailscale, TailscaleMode, Tls, Watch,
};
pub use hooks::{HookAction, HookMapping, HookMatch, HookWakeMode, Hooks};
pub use logging::{ConsoleStyle, LogLevel, Logging, RedactSensitive};
pub use meta::Meta;
pub use models::{
    AuthCooldowns, AuthProfile, ModelAuth, ModelCost, ModelEntry, ModelProvider, Models, ModelsMode,
};
pub use session::{AgentToAgent, DmScope, ResetMode, Session, SessionReset, SessionScope};
pub use supervisor::Supervisor;
pub use tools::{
    AgentTools, ExecAsk, ExecHost, ExecSecurity, ExecTools, Mcp, McpServer, ToolPolicySection,
    ToolProfile, Tools, WebFetchTool, WebTools,
};
pub use ui::{Assistant, Ui};
pub use update::{Update, UpdateChannel};
