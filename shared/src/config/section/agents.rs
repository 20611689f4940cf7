//! `agents`: what all agents share, and the list of them.

use super::tools::AgentTools;
use crate::config::setting::{Block, Untyped, section};

section! {
    /// Agents.
    pub struct Agents {
        /// What holds for every agent that says nothing else.
        "defaults" => defaults: AgentsDefaults = AgentsDefaults::default();
        /// The agents; empty means one, `main`.
        "list" => list: Vec<AgentEntry> = Vec::new();
    }
}

section! {
    /// What holds for every agent that says nothing else.
    pub struct AgentsDefaults {
        /// The folder agents work in; absent means the instance's workspace.
        "workspace" => workspace: Option<String> = None;
        /// The repository shown to agents.
        "repoRoot" => repo_root: Option<String> = None;
        /// Whether a new workspace stays empty.
        "skipBootstrap" => skip_bootstrap: bool = false;
        /// How many characters of a bootstrap file are read.
        "bootstrapMaxChars" => bootstrap_max_chars: Option<u64> = None;
        /// The regular wake-up of agents.
        "heartbeat" => heartbeat: Heartbeat = Heartbeat::default();
        /// How many runs may be active at once.
        "maxConcurrent" => max_concurrent: u32 = 4;
        /// Agents that agents start.
        "subagents" => subagents: Subagents = Subagents::default();
        /// How many seconds a run may take.
        "timeoutSeconds" => timeout_seconds: Option<u64> = None;
        /// The model, by name or as `{primary, fallbacks}`.
        "model" => model: Option<Untyped> = None;
        /// The model for images.
        "imageModel" => image_model: Option<Untyped> = None;
        /// Models by id, with alias and parameters.
        "models" => models: Option<Block> = None;
        /// The time zone of the person.
        "userTimezone" => user_timezone: Option<String> = None;
        /// How times are shown to agents.
        "timeFormat" => time_format: Option<Untyped> = None;
        /// The size of the context window.
        "contextTokens" => context_tokens: Option<u64> = None;
        /// How much agents think.
        "thinkingDefault" => thinking_default: Option<Untyped> = None;
        /// How much agents tell.
        "verboseDefault" => verbose_default: Option<Untyped> = None;
        /// Whether tools run elevated.
        "elevatedDefault" => elevated_default: Option<Untyped> = None;
        /// Whether text is delivered in blocks.
        "blockStreamingDefault" => block_streaming_default: Option<Untyped> = None;
        /// Where blocks break.
        "blockStreamingBreak" => block_streaming_break: Option<Untyped> = None;
        /// How large blocks are.
        "blockStreamingChunk" => block_streaming_chunk: Option<Untyped> = None;
        /// How blocks are merged.
        "blockStreamingCoalesce" => block_streaming_coalesce: Option<Untyped> = None;
        /// How fast blocks follow each other.
        "humanDelay" => human_delay: Option<Untyped> = None;
        /// The largest media file.
        "mediaMaxMb" => media_max_mb: Option<f64> = None;
        /// When typing is shown.
        "typingMode" => typing_mode: Option<Untyped> = None;
        /// How often typing is shown again.
        "typingIntervalSeconds" => typing_interval_seconds: Option<u64> = None;
        /// What is left out of long contexts.
        "contextPruning" => context_pruning: Option<Block> = None;
        /// How long contexts are summarised.
        "compaction" => compaction: Option<Block> = None;
        /// The search in memories.
        "memorySearch" => memory_search: Option<Block> = None;
        /// Command lines that serve as models.
        "cliBackends" => cli_backends: Option<Block> = None;
        /// The sandbox tools run in.
        "sandbox" => sandbox: Option<Block> = None;
    }
}

section! {
    /// The regular wake-up of an agent.
    pub struct Heartbeat {
        /// How often, as a duration such as "30m".
        "every" => every: Option<String> = None;
        /// When in the day, as `{start, end, timezone}`.
        "activeHours" => active_hours: Option<Block> = None;
        /// The model for it.
        "model" => model: Option<String> = None;
        /// The session it happens in.
        "session" => session: Option<String> = None;
        /// Where its answer goes.
        "target" => target: Option<String> = None;
        /// Whom its answer goes to.
        "to" => to: Option<String> = None;
        /// What the agent is asked.
        "prompt" => prompt: Option<String> = None;
        /// How long an answer may be that says there is nothing.
        "ackMaxChars" => ack_max_chars: Option<u64> = None;
        /// Whether reasoning is delivered.
        "includeReasoning" => include_reasoning: Option<bool> = None;
    }
}

section! {
    /// Agents that agents start.
    pub struct Subagents {
        /// How many may be active at once.
        "maxConcurrent" => max_concurrent: u32 = 8;
        /// After how many minutes their sessions are archived.
        "archiveAfterMinutes" => archive_after_minutes: Option<u64> = None;
        /// Their model.
        "model" => model: Option<Untyped> = None;
        /// How much they think.
        "thinking" => thinking: Option<Untyped> = None;
    }
}

section! {
    /// One agent.
    pub struct AgentEntry {
        /// Its name in keys and paths; required.
        "id" => id: String = String::new();
        /// Whether it answers where no binding says otherwise.
        "default" => default: bool = false;
        /// Its name for people.
        "name" => name: Option<String> = None;
        /// The folder it works in.
        "workspace" => workspace: Option<String> = None;
        /// The folder of its own state; no two agents share one.
        "agentDir" => agent_dir: Option<String> = None;
        /// Its model, by name or as `{primary, fallbacks}`.
        "model" => model: Option<Untyped> = None;
        /// Its regular wake-up.
        "heartbeat" => heartbeat: Option<Heartbeat> = None;
        /// Who it is.
        "identity" => identity: Option<AgentIdentity> = None;
        /// How it behaves in groups.
        "groupChat" => group_chat: Option<Block> = None;
        /// Which agents it may start.
        "subagents" => subagents: Option<Block> = None;
        /// The sandbox its tools run in.
        "sandbox" => sandbox: Option<Block> = None;
        /// The tools it may use.
        "tools" => tools: Option<AgentTools> = None;
        /// Its search in memories.
        "memorySearch" => memory_search: Option<Block> = None;
        /// How fast its answers follow each other.
        "humanDelay" => human_delay: Option<Block> = None;
    }
}

section! {
    /// Who an agent is.
    pub struct AgentIdentity {
        /// Its name.
        "name" => name: Option<String> = None;
        /// Its character in a few words.
        "theme" => theme: Option<String> = None;
        /// Its emoji.
        "emoji" => emoji: Option<String> = None;
        /// Its picture.
        "avatar" => avatar: Option<String> = None;
    }
}
