//! `commands`: what people may ask for by a command in a chat, and who may restart the gateway.

use crate::config::setting::{Untyped, Whole, section};

section! {
    /// Commands.
    pub struct Commands {
        /// Whether commands are registered with the channel: true, false or "auto".
        "native" => native: Option<Untyped> = None;
        /// Whether skills are registered with the channel: true, false or "auto".
        "nativeSkills" => native_skills: Option<Untyped> = None;
        /// Whether commands are recognised in text.
        "text" => text: Option<bool> = None;
        /// Whether `!` runs a shell command.
        "bash" => bash: bool = false;
        /// How long a shell command runs in the foreground.
        "bashForegroundMs" => bash_foreground_ms: Option<Whole<0, 30_000>> = None;
        /// Whether `/config` works.
        "config" => config: bool = false;
        /// Whether `/debug` works.
        "debug" => debug: bool = false;
        /// Whether SIGUSR1 from outside and the restart command are authorised.
        "restart" => restart: bool = false;
        /// Whether access groups decide who may use commands.
        "useAccessGroups" => use_access_groups: Option<bool> = None;
    }
}
