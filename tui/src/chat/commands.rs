//! The commands that are for this program; every other one goes to the gateway as it is.

use serde_json::json;

use super::{Ask, Chat, Effect, Link};

const HELP: &str = "\
/session [NAME]   open a session; without a name, pick one (Ctrl-P)
/agent NAME       open the main session of an agent
/new              begin this session again, with nothing said
/abort            stop what runs (Esc)
/deliver on|off   send answers to the session's channel too, or not
/quit             leave (Ctrl-D, or Ctrl-C twice)
Other commands, such as /status, /model and /think, are the gateway's.
Alt-Enter or Ctrl-J begins a line; Page Up and Page Down scroll.";

impl Chat {
    /// Carries out what was typed if it is a command of ours.
    pub(super) fn command(&mut self) -> Option<Vec<Effect>> {
        let typed = self.editor.text().trim();
        let (name, rest) = typed.split_once(char::is_whitespace).unwrap_or((typed, ""));
        let (name, rest) = (name.to_lowercase(), rest.trim().to_owned());
        let effects = match (name.as_str(), rest.as_str()) {
            ("/quit" | "/exit", "") => vec![Effect::Quit],
            ("/help", "") => {
                self.notice(HELP);
                Vec::new()
            }
            ("/session" | "/sessions", "") => self.pick_session(),
            ("/session", name) => {
                let key = self.names.key(name, self.agent());
                self.visit(key)
            }
            ("/agent", agent) if !agent.is_empty() => {
                let key = self.names.main_of(&agent.to_lowercase());
                self.visit(key)
            }
            ("/new" | "/reset", "") => self.reset(),
            ("/abort" | "/stop", "") => self.abort(),
            ("/deliver", "on" | "off") => {
                self.deliver = rest == "on";
                self.notice(match self.deliver {
                    true => "Answers go to the session's channel too.",
                    false => "Answers stay here.",
                });
                Vec::new()
            }
            _ => return None,
        };
        self.editor.take();
        Some(effects)
    }

    fn visit(&mut self, key: String) -> Vec<Effect> {
        match self.link {
            Link::Up => self.open(key),
            Link::Connecting | Link::Down { .. } => self.refuse("Not connected."),
        }
    }

    fn reset(&mut self) -> Vec<Effect> {
        if self.link != Link::Up {
            return self.refuse("Not connected.");
        }
        let params = json!({ "key": self.session });
        vec![Effect::Call(
            Ask::Reset(self.session.clone()),
            "sessions.reset",
            params,
        )]
    }
}
