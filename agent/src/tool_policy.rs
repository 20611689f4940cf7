//! Which tools an agent has, by their names.                                                       (pure)
//!
//! There are layers: a profile to begin with, what the configuration says for everybody, what it says for a provider or a model, and
//! what it says for the agent. A tool has to pass all of them.
//!
//! Invariant: what is denied anywhere is denied, and no layer gives back what another has taken.

use std::collections::BTreeMap;

use openclaw_shared::config::section::{AgentTools, ToolPolicySection, ToolProfile, Tools};

/// Names for several tools at once.
const GROUPS: [(&str, &[&str]); 10] = [
    ("group:runtime", &["exec", "bash", "process"]),
    ("group:fs", &["read", "write", "edit", "apply_patch"]),
    ("group:sessions", &SESSIONS),
    ("group:memory", &["memory_search", "memory_get"]),
    ("group:web", &["web_search", "web_fetch"]),
    ("group:ui", &["browser", "canvas"]),
    ("group:automation", &["cron", "gateway"]),
    ("group:messaging", &["message"]),
    ("group:nodes", &["nodes"]),
    ("group:openclaw", &OPENCLAW),
];

const SESSIONS: [&str; 5] = [
    "sessions_list",
    "sessions_history",
    "sessions_send",
    "sessions_spawn",
    "session_status",
];

/// What is OpenClaw's own, besides files and commands.
const OPENCLAW: [&str; 19] = [
    "browser",
    "canvas",
    "nodes",
    "cron",
    "message",
    "tts",
    "gateway",
    "agents_list",
    "sessions_list",
    "sessions_history",
    "sessions_send",
    "sessions_spawn",
    "session_status",
    "memory_search",
    "memory_get",
    "web_search",
    "web_fetch",
    "image",
    "llm_task",
];

/// The tools of a profile; none where all of them are.
fn of_profile(profile: ToolProfile) -> Option<&'static [&'static str]> {
    match profile {
        ToolProfile::Minimal => Some(&["session_status"]),
        ToolProfile::Coding => Some(&[
            "group:fs",
            "group:runtime",
            "group:sessions",
            "group:memory",
            "image",
        ]),
        ToolProfile::Messaging => Some(&[
            "group:messaging",
            "sessions_list",
            "sessions_history",
            "sessions_send",
            "session_status",
        ]),
        ToolProfile::Full => None,
    }
}

/// What one agent may call when one model answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolPolicy {
    layers: Vec<Layer>,
}

/// One of the layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Layer {
    /// Only these pass, if there is a list.
    allow: Option<Vec<String>>,
    /// None of these passes.
    deny: Vec<String>,
}

impl ToolPolicy {
    /// The policy for an agent, and for a model of a provider; nobody's model when it is not known yet.
    #[must_use]
    pub fn of(tools: &Tools, agent: Option<&AgentTools>, provider: &str, model: &str) -> Self {
        let everybodys = Said::from(tools);
        let own = agent.map(Said::from).unwrap_or_default();
        let by_all = find(&tools.by_provider, provider, model);
        let by_own = agent.and_then(|agent| find(&agent.by_provider, provider, model));
        let by_all = by_all.map(Said::from).unwrap_or_default();
        let by_own = by_own.map(Said::from).unwrap_or_default();
        let layers = [
            Layer::of_profiles(own, everybodys),
            Layer::of_profiles(by_own, by_all),
            everybodys.lists(),
            by_all.lists(),
            own.lists(),
            by_own.lists(),
        ];
        let says_something = |layer: &Layer| layer.allow.is_some() || !layer.deny.is_empty();
        Self {
            layers: layers.into_iter().filter(says_something).collect(),
        }
    }

    /// The same with lists that somebody else has: the tools of agents that agents start, or of a door.
    #[must_use]
    pub fn and(mut self, allow: Option<&[String]>, deny: &[String]) -> Self {
        self.layers.push(Layer {
            allow: listed(allow),
            deny: deny.to_vec(),
        });
        self
    }

    /// Whether an agent has the tool of this name.
    #[must_use]
    pub fn passes(&self, name: &str) -> bool {
        self.layers.iter().all(|layer| layer.passes(name))
    }
}

/// What one place in the configuration says.
#[derive(Clone, Copy, Default)]
struct Said<'a> {
    profile: Option<ToolProfile>,
    allow: Option<&'a [String]>,
    also_allow: Option<&'a [String]>,
    deny: &'a [String],
}

/// The sections that name tools have the same four lists.
macro_rules! sections {
    ($($section:ty),*) => {$(
        impl<'a> From<&'a $section> for Said<'a> {
            fn from(section: &'a $section) -> Self {
                Self {
                    profile: section.profile,
                    allow: section.allow.as_deref(),
                    also_allow: section.also_allow.as_deref(),
                    deny: section.deny.as_deref().unwrap_or_default(),
                }
            }
        }
    )*};
}

sections!(Tools, AgentTools, ToolPolicySection);

impl Said<'_> {
    fn lists(self) -> Layer {
        Layer {
            allow: listed(self.allow),
            deny: self.deny.to_vec(),
        }
    }
}

/// An empty list allows everything, like none.
fn listed(allow: Option<&[String]>) -> Option<Vec<String>> {
    allow
        .filter(|list| !list.is_empty())
        .map(<[String]>::to_vec)
}

/// What is said of a model, or else of its provider.
fn find<'a>(
    by_provider: &'a BTreeMap<String, ToolPolicySection>,
    provider: &str,
    model: &str,
) -> Option<&'a ToolPolicySection> {
    let exact = format!("{provider}/{model}");
    let named = |name: &str| {
        let mut all = by_provider.iter();
        all.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
    };
    let found = named(&exact).or_else(|| named(provider));
    found.map(|(_, section)| section)
}

impl Layer {
    /// The profile that holds, with what is allowed besides it.
    fn of_profiles(own: Said<'_>, everybodys: Said<'_>) -> Self {
        let profile = own.profile.or(everybodys.profile);
        let also = own.also_allow.or(everybodys.also_allow);
        let allow = profile.and_then(of_profile).map(|names| {
            let names = names.iter().map(|name| (*name).to_owned());
            names.chain(also.unwrap_or_default().to_vec()).collect()
        });
        Self {
            allow,
            deny: Vec::new(),
        }
    }

    fn passes(&self, name: &str) -> bool {
        if holds(&self.deny, name) {
            return false;
        }
        match &self.allow {
            // Whoever may run commands may patch files, which is a part of it.
            Some(allow) => holds(allow, name) || name == "apply_patch" && holds(allow, "exec"),
            None => true,
        }
    }
}

/// Whether a list has a tool, by its name, a group or a pattern.
#[must_use]
pub fn holds(list: &[String], name: &str) -> bool {
    let name = plain(name);
    list.iter().any(|entry| {
        let entry = plain(entry);
        let group = GROUPS.iter().find(|(group, _)| *group == entry);
        match group {
            Some((_, names)) => names.contains(&name.as_str()),
            None => matches(entry.as_bytes(), name.as_bytes()),
        }
    })
}

/// The name by which a tool is known today.
fn plain(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    match name.as_str() {
        "bash" => "exec".to_owned(),
        "apply-patch" => "apply_patch".to_owned(),
        _ => name,
    }
}

/// Whether a pattern fits; `*` stands for anything. It looks at each place once, whatever the pattern is.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut to) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while to < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, to));
            at += 1;
        } else if pattern.get(at) == Some(&name[to]) {
            at += 1;
            to += 1;
        } else if let Some((begins, taken)) = star {
            star = Some((begins, taken + 1));
            at = begins + 1;
            to = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use openclaw_shared::config::Config;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const ALL: [&str; 12] = [
        "read",
        "write",
        "edit",
        "exec",
        "process",
        "web_fetch",
        "message",
        "sessions_list",
        "session_status",
        "cron",
        "image",
        "files__read",
    ];

    /// The policy of the agent `a`, for the model `p/m`.
    fn policy(tools: &Value, agent: Option<&Value>) -> ToolPolicy {
        let mut config = json!({ "tools": tools });
        if let Some(agent) = agent {
            config["agents"] = json!({"list": [{"id": "a", "tools": agent}]});
        }
        let config = Config::from_effective(&config).unwrap();
        let agent = config.agents.list.first().and_then(|a| a.tools.as_ref());
        ToolPolicy::of(&config.tools, agent, "p", "m")
    }

    #[track_caller]
    fn check(tools: Value, agent: Option<Value>, passes: &str) {
        let policy = policy(&tools, agent.as_ref());
        let found: Vec<&str> = ALL.into_iter().filter(|name| policy.passes(name)).collect();
        assert_eq!(found.join(" "), passes, "{tools} {agent:?}");
    }

    #[test]
    fn layers_make_the_policy() {
        let all = ALL.join(" ");
        let coding = "read write edit exec process sessions_list session_status image";
        check(json!({}), None, &all);
        check(json!({"profile": "full", "allow": []}), None, &all);
        check(json!({"profile": "minimal"}), None, "session_status");
        check(json!({"profile": "coding"}), None, coding);
        check(
            json!({"profile": "messaging"}),
            None,
            "message sessions_list session_status",
        );
        check(
            json!({"profile": "minimal", "alsoAllow": ["group:web", "files__*"]}),
            None,
            "web_fetch session_status files__read",
        );
        check(
            json!({"profile": "coding", "deny": ["group:runtime", "ED*"]}),
            None,
            "read write sessions_list session_status image",
        );
        check(
            json!({"allow": ["group:fs", "bash"]}),
            None,
            "read write edit exec",
        );
        check(json!({"allow": ["*"], "deny": ["*"]}), None, "");
        check(
            json!({"allow": ["group:openclaw"]}),
            None,
            "web_fetch message sessions_list session_status cron image",
        );
        check(
            json!({"profile": "coding"}),
            Some(json!({"profile": "minimal"})),
            "session_status",
        );
        check(
            json!({"deny": ["read"]}),
            Some(json!({"allow": ["group:fs"]})),
            "write edit",
        );
        check(
            json!({"allow": ["read"]}),
            Some(json!({"allow": ["write"]})),
            "",
        );
        check(
            json!({}),
            Some(json!({"byProvider": {"p": {"allow": ["cron"]}}})),
            "cron",
        );
        check(
            json!({"byProvider": {"P/M": {"profile": "minimal"}, "p": {"deny": ["*"]}}}),
            None,
            "session_status",
        );
        check(
            json!({"byProvider": {"p": {"deny": ["exec"]}, "q": {"allow": ["read"]}}}),
            None,
            "read write edit process web_fetch message sessions_list session_status cron image files__read",
        );
    }

    #[test]
    fn other_lists_only_take_away() {
        let policy = policy(&json!({"deny": ["read"]}), None);
        let with = policy.and(
            Some(&["read".to_owned(), "write".to_owned()]),
            &["write".to_owned()],
        );
        assert!(!with.passes("read") && !with.passes("write") && !with.passes("exec"));
    }

    #[test]
    fn patterns_fit_as_a_whole() {
        for (pattern, name, says) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("**a", "a", true),
            ("*_*", "sessions_list", true),
            ("session", "sessions_list", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                says,
                "{pattern} {name}"
            );
        }
    }

    /// Obviously right, and slow.
    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|taken| naive(rest, &name[taken..])),
            Some((byte, rest)) => name
                .split_first()
                .is_some_and(|(first, more)| first == byte && naive(rest, more)),
        }
    }

    fn entries() -> impl Strategy<Value = Vec<String>> {
        let words = [
            "read",
            "exec",
            "*",
            "group:fs",
            "group:openclaw",
            "s*",
            "cron",
            "nosuch",
        ];
        proptest::collection::vec(
            proptest::sample::select(words.map(str::to_owned).to_vec()),
            0..3,
        )
    }

    proptest! {
        #[test]
        fn a_pattern_means_what_it_says(pattern in "[ab*]{0,6}", name in "[ab]{0,8}") {
            prop_assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), naive(pattern.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn what_is_denied_anywhere_is_denied(
            allow in entries(), deny in entries(), own in entries(), provider in entries(),
            profile in proptest::sample::select(vec!["minimal", "coding", "full"]),
        ) {
            let tools = json!({"allow": allow, "deny": deny, "byProvider": {"p": {"deny": provider}}});
            let agent = json!({"profile": profile, "deny": own});
            let policy = policy(&tools, Some(&agent));
            for name in ALL {
                let is_denied = [&deny, &own, &provider].into_iter().any(|list| holds(list, name));
                prop_assert!(!is_denied || !policy.passes(name));
                let narrower = policy.clone().and(None, &own);
                prop_assert!(policy.passes(name) || !narrower.passes(name));
            }
        }
    }
}
