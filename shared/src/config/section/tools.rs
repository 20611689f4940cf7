//! `tools`: which tools agents have, and what those may do.

use std::collections::BTreeMap;

use crate::config::setting::{Block, choice, section};
use crate::secret::Secret;

section! {
    /// Tools.
    pub struct Tools {
        /// The set of tools that agents begin with.
        "profile" => profile: Option<ToolProfile> = None;
        /// The tools agents have, and no others: names, `group:…`, patterns with `*`.
        "allow" => allow: Option<Vec<String>> = None;
        /// The tools agents have besides those of the profile; not together with `allow`.
        "alsoAllow" => also_allow: Option<Vec<String>> = None;
        /// The tools agents do not have, whatever allows them.
        "deny" => deny: Option<Vec<String>> = None;
        /// What holds besides for models of a provider, or for one model, by `provider` or `provider/model`.
        "byProvider" => by_provider: BTreeMap<String, ToolPolicySection> = BTreeMap::new();
        /// Pages of the web.
        "web" => web: WebTools = WebTools::default();
        /// What is made of pictures, sounds and films.
        "media" => media: Option<Block> = None;
        /// What is made of links.
        "links" => links: Option<Block> = None;
        /// Messages to people.
        "message" => message: Option<Block> = None;
        /// Whether agents may talk to each other.
        "agentToAgent" => agent_to_agent: Option<Block> = None;
        /// Who may have commands run outside of a sandbox.
        "elevated" => elevated: Option<Block> = None;
        /// Commands.
        "exec" => exec: ExecTools = ExecTools::default();
        /// The tools of agents that agents start.
        "subagents" => subagents: Option<Block> = None;
        /// The tools in a sandbox.
        "sandbox" => sandbox: Option<Block> = None;
    }
}

choice! {
    /// A set of tools.
    pub enum ToolProfile {
        /// Only the status of the session.
        Minimal = "minimal",
        /// Files, commands, sessions and memory.
        Coding = "coding",
        /// Messages and sessions.
        Messaging = "messaging",
        /// All of them.
        Full = "full",
    }
}

section! {
    /// Which tools there are.
    pub struct ToolPolicySection {
        /// The set of tools to begin with.
        "profile" => profile: Option<ToolProfile> = None;
        /// These tools, and no others.
        "allow" => allow: Option<Vec<String>> = None;
        /// These tools besides those of the profile.
        "alsoAllow" => also_allow: Option<Vec<String>> = None;
        /// Not these tools.
        "deny" => deny: Option<Vec<String>> = None;
    }
}

section! {
    /// The tools of one agent.
    pub struct AgentTools {
        /// The set of tools to begin with, in place of everybody's.
        "profile" => profile: Option<ToolProfile> = None;
        /// These tools, and no others.
        "allow" => allow: Option<Vec<String>> = None;
        /// These tools besides those of the profile.
        "alsoAllow" => also_allow: Option<Vec<String>> = None;
        /// Not these tools.
        "deny" => deny: Option<Vec<String>> = None;
        /// What holds besides for models of a provider, or for one model.
        "byProvider" => by_provider: BTreeMap<String, ToolPolicySection> = BTreeMap::new();
        /// Who may have commands run outside of a sandbox.
        "elevated" => elevated: Option<Block> = None;
        /// Commands, where they differ from everybody's.
        "exec" => exec: ExecTools = ExecTools::default();
        /// The tools in a sandbox.
        "sandbox" => sandbox: Option<Block> = None;
    }
}

section! {
    /// Commands that agents run.
    pub struct ExecTools {
        /// Where they run; there is no sandbox here, so that `sandbox` means the gateway.
        "host" => host: Option<ExecHost> = None;
        /// How much may be executed; absent means what the allow-list names.
        "security" => security: Option<ExecSecurity> = None;
        /// When a person is asked; absent means when the allow-list does not say.
        "ask" => ask: Option<ExecAsk> = None;
        /// The node they run on.
        "node" => node: Option<String> = None;
        /// Folders that programs are searched in first.
        "pathPrepend" => path_prepend: Vec<String> = Vec::new();
        /// Programs that need no entry because they read their input only.
        "safeBins" => safe_bins: Option<Vec<String>> = None;
        /// After how many milliseconds a command goes on in the background; absent means 10000.
        "backgroundMs" => background_ms: Option<u64> = None;
        /// After how many seconds a command is ended; absent means 1800.
        "timeoutSec" => timeout_sec: Option<u64> = None;
        /// For how many milliseconds ended commands are remembered; absent means 1800000.
        "cleanupMs" => cleanup_ms: Option<u64> = None;
        /// Whether the agent is told when a command in the background has ended; absent means it is.
        "notifyOnExit" => notify_on_exit: Option<bool> = None;
        /// After how many milliseconds a person is told that a command they approved still runs.
        "approvalRunningNoticeMs" => approval_running_notice_ms: Option<u64> = None;
        /// Patches of several files.
        "applyPatch" => apply_patch: Option<Block> = None;
    }
}

choice! {
    /// Where commands run.
    pub enum ExecHost {
        /// In a sandbox.
        Sandbox = "sandbox",
        /// On the gateway's machine.
        Gateway = "gateway",
        /// On a node.
        Node = "node",
    }
}

choice! {
    /// How much may be executed.
    pub enum ExecSecurity {
        /// Nothing.
        Deny = "deny",
        /// What the allow-list names.
        Allowlist = "allowlist",
        /// Everything.
        Full = "full",
    }
}

choice! {
    /// When a person is asked.
    pub enum ExecAsk {
        /// Never.
        Off = "off",
        /// When the allow-list does not say.
        OnMiss = "on-miss",
        /// Each time.
        Always = "always",
    }
}

section! {
    /// Pages of the web.
    pub struct WebTools {
        /// Searching.
        "search" => search: Option<Block> = None;
        /// Fetching.
        "fetch" => fetch: WebFetchTool = WebFetchTool::default();
    }
}

section! {
    /// Fetching pages of the web.
    pub struct WebFetchTool {
        /// Whether agents may.
        "enabled" => enabled: bool = true;
        /// How many characters of a page are shown at most.
        "maxChars" => max_chars: u64 = 50_000;
        /// How many seconds a page may take.
        "timeoutSeconds" => timeout_seconds: u64 = 30;
        /// For how many minutes a page is remembered.
        "cacheTtlMinutes" => cache_ttl_minutes: Option<f64> = None;
        /// How many redirects are followed.
        "maxRedirects" => max_redirects: u64 = 3;
        /// What it calls itself.
        "userAgent" => user_agent: Option<String> = None;
        /// Whether the main part of a page is looked for.
        "readability" => readability: Option<bool> = None;
        /// A service that fetches pages.
        "firecrawl" => firecrawl: Option<Block> = None;
        /// Hosts of the private network that pages may be fetched from: `name` or `name:port`. Our own key: the Node
        /// implementation refuses it.
        "allowHosts" => allow_hosts: Vec<String> = Vec::new();
    }
}

section! {
    /// Servers of tools that speak the Model Context Protocol. Our own key: the Node implementation refuses it.
    pub struct Mcp {
        /// The servers by name; their tools are called `name__tool`.
        "servers" => servers: BTreeMap<String, McpServer> = BTreeMap::new();
    }
}

section! {
    /// A server of tools: a program that is started, or an address.
    pub struct McpServer {
        /// Whether it is used.
        "enabled" => enabled: bool = true;
        /// The program.
        "command" => command: Option<String> = None;
        /// Its arguments.
        "args" => args: Vec<String> = Vec::new();
        /// Its variables, besides those that every program needs.
        "env" => env: BTreeMap<String, Secret<String>> = BTreeMap::new();
        /// The folder it runs in; absent means the agent's workspace.
        "cwd" => cwd: Option<String> = None;
        /// The address of a server that is there already.
        "url" => url: Option<String> = None;
        /// What is sent with each request to the address.
        "headers" => headers: BTreeMap<String, Secret<String>> = BTreeMap::new();
        /// How many seconds a call may take; absent means 60.
        "timeoutSeconds" => timeout_seconds: Option<u64> = None;
    }
}
