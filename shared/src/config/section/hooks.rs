//! `hooks`: HTTP requests from outside that start runs.

use crate::config::setting::{Block, choice, section};
use crate::secret::Secret;

section! {
    /// HTTP requests that start runs.
    pub struct Hooks {
        /// Whether hooks are accepted; they need a token then.
        "enabled" => enabled: bool = false;
        /// The path below which hooks are accepted.
        "path" => path: String = "/hooks".to_owned();
        /// The token that a request must carry.
        "token" => token: Option<Secret<String>> = None;
        /// The largest request body in bytes.
        "maxBodyBytes" => max_body_bytes: u64 = 262_144;
        /// Whether a request may name any session, and not only such whose name begins with `hook:`. Our own key: the Node
        /// implementation refuses it.
        "allowRequestSessionKey" => allow_request_session_key: bool = false;
        /// Built-in mappings to use.
        "presets" => presets: Vec<String> = Vec::new();
        /// The folder of transformation modules. They are not run: requests that would need one are refused.
        "transformsDir" => transforms_dir: Option<String> = None;
        /// Which request starts which run; the first that fits counts.
        "mappings" => mappings: Vec<HookMapping> = Vec::new();
        /// The Gmail watcher.
        "gmail" => gmail: Option<Block> = None;
        /// Hooks on the gateway's own events.
        "internal" => internal: Option<Block> = None;
    }
}

section! {
    /// What a request to a hook of one's own starts.
    pub struct HookMapping {
        /// A name for people.
        "id" => id: Option<String> = None;
        /// Which requests it is for; absent means all.
        "match" => matches: HookMatch = HookMatch::default();
        /// What it starts; absent means an agent.
        "action" => action: Option<HookAction> = None;
        /// When the agent of the main session is told.
        "wakeMode" => wake_mode: Option<HookWakeMode> = None;
        /// What people see as the sender.
        "name" => name: Option<String> = None;
        /// The session, a template.
        "sessionKey" => session_key: Option<String> = None;
        /// What the agent is told, a template.
        "messageTemplate" => message_template: Option<String> = None;
        /// What the main session is told, a template.
        "textTemplate" => text_template: Option<String> = None;
        /// Whether the answer is sent to a channel.
        "deliver" => deliver: Option<bool> = None;
        /// Whether the text goes to the model without being marked as what strangers have written.
        "allowUnsafeExternalContent" => allow_unsafe_external_content: bool = false;
        /// The channel.
        "channel" => channel: Option<String> = None;
        /// Who is sent to, a template.
        "to" => to: Option<String> = None;
        /// The model.
        "model" => model: Option<String> = None;
        /// How much the model thinks.
        "thinking" => thinking: Option<String> = None;
        /// How long the run may take.
        "timeoutSeconds" => timeout_seconds: Option<u64> = None;
        /// A module that would decide. It is not run: requests that would need it are refused.
        "transform" => transform: Option<Block> = None;
    }
}

section! {
    /// Which requests a mapping is for.
    pub struct HookMatch {
        /// The path below the path of hooks.
        "path" => path: Option<String> = None;
        /// What the body says as its `source`.
        "source" => source: Option<String> = None;
    }
}

choice! {
    /// What a hook starts.
    pub enum HookAction {
        /// A note for the main session.
        Wake = "wake",
        /// A run of an agent.
        Agent = "agent",
    }
}

choice! {
    /// When the agent of the main session is told of a hook.
    pub enum HookWakeMode {
        /// At once.
        Now = "now",
        /// When it wakes up next.
        NextHeartbeat = "next-heartbeat",
    }
}
