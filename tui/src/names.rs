//! Sessions by name: what a person types, what the gateway calls it, and when two names mean one session.     (pure)

use openclaw_shared::protocol::snapshot::SessionDefaults;

/// What the gateway calls the sessions that every client needs.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    defaults: SessionDefaults,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            defaults: SessionDefaults {
                default_agent_id: "main".to_owned(),
                main_key: "main".to_owned(),
                main_session_key: "agent:main:main".to_owned(),
                scope: None,
            },
        }
    }
}

impl Names {
    pub(crate) const fn new(defaults: SessionDefaults) -> Self {
        Self { defaults }
    }

    /// The main session of the default agent.
    pub(crate) fn main(&self) -> &str {
        &self.defaults.main_session_key
    }

    /// The main session of an agent.
    pub(crate) fn main_of(&self, agent: &str) -> String {
        match agent == self.defaults.default_agent_id {
            true => self.defaults.main_session_key.clone(),
            false => format!("agent:{agent}:{}", self.defaults.main_key),
        }
    }

    /// The key of the session that is called so in the conversation with an agent.
    pub(crate) fn key(&self, name: &str, agent: &str) -> String {
        let name = name.trim();
        if name.starts_with("agent:") || name == "global" || name == "unknown" {
            return self.canonical(name);
        }
        match name {
            "" | "main" => self.main_of(agent),
            name if name == self.defaults.main_key => self.main_of(agent),
            name => format!("agent:{agent}:{name}"),
        }
    }

    /// The agent whose session it is.
    pub(crate) fn agent<'a>(&'a self, key: &'a str) -> &'a str {
        let rest = key
            .strip_prefix("agent:")
            .and_then(|rest| rest.split_once(':'));
        rest.map_or(&*self.defaults.default_agent_id, |(agent, _)| agent)
    }

    /// The part of a key that tells the sessions of one agent apart.
    pub(crate) fn short<'a>(&self, key: &'a str) -> &'a str {
        let rest = key
            .strip_prefix("agent:")
            .and_then(|rest| rest.split_once(':'));
        rest.map_or(key, |(_, rest)| rest)
    }

    /// Whether two keys, as different requesters wrote them, mean one session.
    pub(crate) fn are_same(&self, one: &str, other: &str) -> bool {
        one == other || self.canonical(one) == self.canonical(other)
    }

    fn canonical(&self, key: &str) -> String {
        match key
            .strip_prefix("agent:")
            .and_then(|rest| rest.split_once(':'))
        {
            Some((agent, name)) if name == "main" || name == self.defaults.main_key => {
                self.main_of(&agent.to_lowercase())
            }
            Some((agent, name)) => format!("agent:{}:{name}", agent.to_lowercase()),
            None if key == "global" || key == "unknown" => key.to_owned(),
            None => self.key(key, &self.defaults.default_agent_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_have_one_key_and_several_names() {
        let plain = Names::default();
        for (name, agent, key) in [
            ("main", "main", "agent:main:main"),
            ("", "work", "agent:work:main"),
            ("notes", "work", "agent:work:notes"),
            ("agent:Other:main", "work", "agent:other:main"),
            ("global", "work", "global"),
        ] {
            assert_eq!(plain.key(name, agent), key);
        }
        assert!(plain.are_same("main", "agent:main:main"));
        assert!(plain.are_same("x", "agent:main:x"));
        assert!(!plain.are_same("x", "agent:work:x"));
        assert_eq!(
            (plain.agent("agent:work:a:b"), plain.short("agent:work:a:b")),
            ("work", "a:b")
        );
        let renamed = Names::new(SessionDefaults {
            default_agent_id: "ada".to_owned(),
            main_key: "home".to_owned(),
            main_session_key: "agent:ada:home".to_owned(),
            scope: None,
        });
        assert!(renamed.are_same("main", "agent:ada:home"));
        assert!(renamed.are_same("agent:ada:main", "home"));
        assert_eq!(renamed.main_of("bob"), "agent:bob:home");
    }
}
