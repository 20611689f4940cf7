//! `session`: which messages belong together, and for how long.

use crate::config::setting::{Block, Untyped, Whole, choice, section};

section! {
    /// Sessions.
    pub struct Session {
        /// Whether every sender has a session of their own.
        "scope" => scope: SessionScope = SessionScope::PerSender;
        /// How direct messages are told apart.
        "dmScope" => dm_scope: DmScope = DmScope::Main;
        /// Which senders are the same person.
        "identityLinks" => identity_links: Option<Block> = None;
        /// Texts that start a new session.
        "resetTriggers" => reset_triggers: Option<Vec<String>> = None;
        /// After how many idle minutes a session ends.
        "idleMinutes" => idle_minutes: Option<u64> = None;
        /// When a session ends.
        "reset" => reset: Option<SessionReset> = None;
        /// When a session of a type ends.
        "resetByType" => reset_by_type: Option<Block> = None;
        /// When a session of a channel ends.
        "resetByChannel" => reset_by_channel: Option<Block> = None;
        /// The file of the sessions.
        "store" => store: Option<String> = None;
        /// When typing is shown.
        "typingMode" => typing_mode: Option<Untyped> = None;
        /// How often typing is shown again.
        "typingIntervalSeconds" => typing_interval_seconds: Option<u64> = None;
        /// Who may be sent to.
        "sendPolicy" => send_policy: Option<Block> = None;
        /// What agents may say to each other.
        "agentToAgent" => agent_to_agent: AgentToAgent = AgentToAgent::default();
        /// The name of the main session; always "main".
        "mainKey" => main_key: Option<String> = None;
    }
}

choice! {
    /// Whether senders share a session.
    pub enum SessionScope {
        /// Every sender has their own.
        PerSender = "per-sender",
        /// There is one for all.
        Global = "global",
    }
}

choice! {
    /// How direct messages are told apart.
    pub enum DmScope {
        /// Not at all.
        Main = "main",
        /// By sender.
        PerPeer = "per-peer",
        /// By channel and sender.
        PerChannelPeer = "per-channel-peer",
        /// By account, channel and sender.
        PerAccountChannelPeer = "per-account-channel-peer",
    }
}

section! {
    /// When a session ends.
    pub struct SessionReset {
        /// By the clock or by silence.
        "mode" => mode: Option<ResetMode> = None;
        /// The hour of the day.
        "atHour" => at_hour: Option<Whole<0, 23>> = None;
        /// The minutes of silence.
        "idleMinutes" => idle_minutes: Option<u64> = None;
    }
}

choice! {
    /// What ends a session.
    pub enum ResetMode {
        /// An hour of the day.
        Daily = "daily",
        /// Silence.
        Idle = "idle",
    }
}

section! {
    /// What agents may say to each other.
    pub struct AgentToAgent {
        /// How many turns.
        "maxPingPongTurns" => max_ping_pong_turns: Option<Whole<0, 5>> = None;
    }
}
