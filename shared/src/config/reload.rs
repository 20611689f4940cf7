//! What a changed configuration asks of each process.
//!
//! One table says it for every key; the mode says how much of that is done. Only the processes whose settings
//! changed are touched. The core is pure: nothing here reloads anything.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::section::ReloadMode;

/// What a process has to do about a change, from least to most.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing.
    #[default]
    Ignore,
    /// It takes the new configuration while it runs.
    Hot,
    /// A successor starts on the new configuration.
    Replace,
}

/// The processes a change can concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// The control plane.
    Gateway,
    /// The canvas host.
    CanvasHost,
    /// Browser control.
    BrowserControl,
    /// The supervisor itself, which is never replaced by a change.
    Supervisor,
}

impl Process {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Gateway,
        Self::CanvasHost,
        Self::BrowserControl,
        Self::Supervisor,
    ];

    /// The name used in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::CanvasHost => "canvas-host",
            Self::BrowserControl => "browser-control",
            Self::Supervisor => "supervisor",
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a process is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The changed key.
    pub key: String,
    /// The process that reads it.
    pub process: Process,
    /// What the change asks of it, as far as the mode allows.
    pub effect: Effect,
}

/// What is done about a set of changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[must_use = "a plan that nobody follows is a change that never happens"]
pub struct ReloadPlan {
    /// For the gateway.
    pub gateway: Effect,
    /// For the canvas host.
    pub canvas_host: Effect,
    /// For browser control.
    pub browser_control: Effect,
    /// For the supervisor.
    pub supervisor: Effect,
    /// Whether the ports and addresses to listen on must be derived anew.
    pub ports: bool,
    /// What asks for it, key by key.
    pub reasons: Vec<Reason>,
    /// The keys whose change takes a restart that the mode does not allow.
    pub needs_restart: Vec<String>,
}

impl ReloadPlan {
    /// What is asked of one process.
    pub const fn effect(&self, process: Process) -> Effect {
        match process {
            Process::Gateway => self.gateway,
            Process::CanvasHost => self.canvas_host,
            Process::BrowserControl => self.browser_control,
            Process::Supervisor => self.supervisor,
        }
    }

    const fn effect_mut(&mut self, process: Process) -> &mut Effect {
        match process {
            Process::Gateway => &mut self.gateway,
            Process::CanvasHost => &mut self.canvas_host,
            Process::BrowserControl => &mut self.browser_control,
            Process::Supervisor => &mut self.supervisor,
        }
    }

    /// Whether no process has anything to do.
    pub fn is_empty(&self) -> bool {
        Process::ALL
            .iter()
            .all(|process| self.effect(*process) == Effect::Ignore)
    }
}

/// What a change of the keys under a prefix asks for.
struct Rule {
    prefix: &'static str,
    /// In the order of [`Process::ALL`].
    effects: [Effect; 4],
    ports: bool,
}

const fn rule(prefix: &'static str, effects: [Effect; 4]) -> Rule {
    Rule {
        prefix,
        effects,
        ports: false,
    }
}

const fn moves_ports(prefix: &'static str, effects: [Effect; 4]) -> Rule {
    Rule {
        prefix,
        effects,
        ports: true,
    }
}

/// The table; the longest prefix that holds the key counts.
const RULES: &[Rule] = {
    use Effect::{Hot as H, Ignore as I, Replace as R};
    //                                     gateway, canvas host, browser control, supervisor
    &[
        rule("gateway", [R, I, I, I]),
        moves_ports("gateway.port", [R, R, R, I]),
        moves_ports("gateway.bind", [R, R, I, I]),
        moves_ports("gateway.customBindHost", [R, R, I, I]),
        rule("gateway.tls", [R, I, I, I]),
        rule("gateway.tailscale", [R, I, I, I]),
        rule("gateway.auth", [H, I, H, I]),
        rule("gateway.controlUi", [H, I, I, I]),
        rule("gateway.controlUi.allowedHosts", [H, H, H, I]),
        rule("gateway.controlUi.allowedOrigins", [H, H, H, I]),
        rule("gateway.trustedProxies", [H, I, I, I]),
        rule("gateway.http", [H, I, I, I]),
        rule("gateway.nodes", [H, I, I, I]),
        rule("gateway.tools", [H, I, I, I]),
        rule("gateway.metrics", [H, I, I, I]),
        rule("gateway.reload", [I, I, I, H]),
        rule("gateway.limits", [I, I, I, H]),
        rule("gateway.watch", [I, I, I, H]),
        rule("gateway.remote", [I, I, I, I]),
        rule("gateway.mode", [I, I, I, I]),
        rule("canvasHost", [H, R, I, I]),
        moves_ports("canvasHost.enabled", [H, R, I, I]),
        moves_ports("canvasHost.port", [H, R, I, I]),
        rule("canvasHost.liveReload", [H, H, I, I]),
        rule("browser", [H, I, H, I]),
        moves_ports("browser.enabled", [H, I, R, I]),
        moves_ports("browser.controlPort", [H, I, R, I]),
        rule("logging", [H, H, H, H]),
        rule("commands", [H, I, I, H]),
        rule("env", [R, I, I, I]),
        rule("channels", [R, I, I, I]),
        rule("plugins", [R, I, I, I]),
        rule("discovery", [R, I, I, I]),
        rule("agents", [H, I, I, I]),
        // The canvas lies in the workspace unless canvasHost.root says otherwise.
        rule("agents.defaults.workspace", [H, R, I, I]),
        rule("approvals", [H, I, I, I]),
        rule("audio", [H, I, I, I]),
        rule("auth", [H, I, I, I]),
        rule("bindings", [H, I, I, I]),
        rule("broadcast", [H, I, I, I]),
        rule("cron", [H, I, I, I]),
        rule("diagnostics", [H, I, I, I]),
        rule("hooks", [H, I, I, I]),
        rule("mcp", [H, I, I, I]),
        rule("media", [H, I, I, I]),
        rule("messages", [H, I, I, I]),
        rule("models", [H, I, I, I]),
        rule("nodeHost", [H, I, I, I]),
        rule("session", [H, I, I, I]),
        rule("skills", [H, I, I, I]),
        rule("supervisor", [I, I, I, H]),
        rule("talk", [H, I, I, I]),
        rule("tools", [H, I, I, I]),
        rule("web", [H, I, I, I]),
        rule("$schema", [I, I, I, I]),
        rule("meta", [I, I, I, I]),
        rule("ui", [I, I, I, I]),
        rule("update", [I, I, I, I]),
        rule("wizard", [I, I, I, I]),
    ]
};

/// A key without a rule: whoever may read it starts anew.
const UNKNOWN: Rule = rule(
    "",
    [
        Effect::Replace,
        Effect::Ignore,
        Effect::Ignore,
        Effect::Ignore,
    ],
);

/// Plans what the changed keys ask for, as far as the mode allows.
pub fn plan(mode: ReloadMode, changed: &[String]) -> ReloadPlan {
    let mut plan = ReloadPlan::default();
    for key in changed {
        let (effects, ports) = wanted(key);
        let mut waits = false;
        for (process, wanted) in Process::ALL.into_iter().zip(effects) {
            let Some(effect) = allowed(mode, process, wanted) else {
                waits = true;
                continue;
            };
            if effect > Effect::Ignore {
                plan.reasons.push(Reason {
                    key: key.clone(),
                    process,
                    effect,
                });
                let planned = plan.effect_mut(process);
                *planned = (*planned).max(effect);
            }
        }
        if waits {
            plan.needs_restart.push(key.clone());
        }
        plan.ports |= ports && matches!(mode, ReloadMode::Restart | ReloadMode::Hybrid);
    }
    plan
}

/// What the mode makes of a wanted effect; nothing when it would take a restart that is not allowed.
fn allowed(mode: ReloadMode, process: Process, wanted: Effect) -> Option<Effect> {
    match (mode, wanted) {
        (ReloadMode::Off, _) | (_, Effect::Ignore) => Some(Effect::Ignore),
        (ReloadMode::Hot, Effect::Replace) => None,
        (ReloadMode::Restart, _) if process != Process::Supervisor => Some(Effect::Replace),
        (ReloadMode::Hot | ReloadMode::Restart | ReloadMode::Hybrid, wanted) => Some(wanted),
    }
}

/// What the table says about a key. A key that stands for a whole block asks for all that its members ask for.
fn wanted(key: &str) -> ([Effect; 4], bool) {
    let nearest = RULES
        .iter()
        .filter(|rule| is_within(key, rule.prefix))
        .max_by_key(|rule| rule.prefix.len())
        .unwrap_or(&UNKNOWN);
    let members = RULES
        .iter()
        .filter(|rule| rule.prefix != key && is_within(rule.prefix, key));
    members.fold(
        (nearest.effects, nearest.ports),
        |(effects, ports), rule| {
            let both = std::array::from_fn(|at| effects[at].max(rule.effects[at]));
            (both, ports || rule.ports)
        },
    )
}

/// Whether a dotted path is a prefix itself or lies below it.
fn is_within(key: &str, prefix: &str) -> bool {
    key.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::section::Gateway;
    use super::*;

    /// A plan in a line: `gateway=hot …`, `ports`, `waits: key`.
    fn check(mode: ReloadMode, changed: &[&str], expected: &str) {
        let changed: Vec<_> = changed.iter().map(|key| (*key).to_owned()).collect();
        let plan = plan(mode, &changed);
        let mut words: Vec<String> = Process::ALL
            .into_iter()
            .filter(|process| plan.effect(*process) != Effect::Ignore)
            .map(|process| format!("{process}={:?}", plan.effect(process)).to_lowercase())
            .collect();
        words.extend(plan.ports.then(|| "ports".to_owned()));
        words.extend(plan.needs_restart.iter().map(|key| format!("waits:{key}")));
        assert_eq!(words.join(" "), expected, "{mode} {changed:?}");
        for reason in &plan.reasons {
            assert!(reason.effect <= plan.effect(reason.process), "{reason:?}");
        }
    }

    #[test]
    fn only_the_processes_whose_settings_changed_are_touched() {
        let hybrid = |changed: &[&str], expected| check(ReloadMode::Hybrid, changed, expected);
        hybrid(&[], "");
        hybrid(
            &["gateway.port"],
            "gateway=replace canvas-host=replace browser-control=replace ports",
        );
        hybrid(
            &["gateway.bind"],
            "gateway=replace canvas-host=replace ports",
        );
        hybrid(
            &["gateway.customBindHost"],
            "gateway=replace canvas-host=replace ports",
        );
        hybrid(&["gateway.auth.token"], "gateway=hot browser-control=hot");
        hybrid(&["gateway.tls.enabled"], "gateway=replace");
        hybrid(&["gateway.reload.mode"], "supervisor=hot");
        hybrid(&["gateway.remote.url"], "");
        hybrid(&["gateway.whatever"], "gateway=replace");
        hybrid(&["canvasHost.root"], "gateway=hot canvas-host=replace");
        hybrid(
            &["canvasHost.port"],
            "gateway=hot canvas-host=replace ports",
        );
        hybrid(&["canvasHost.liveReload"], "gateway=hot canvas-host=hot");
        hybrid(&["browser.headless"], "gateway=hot browser-control=hot");
        hybrid(
            &["browser.controlPort"],
            "gateway=hot browser-control=replace ports",
        );
        hybrid(
            &["logging.level"],
            "gateway=hot canvas-host=hot browser-control=hot supervisor=hot",
        );
        hybrid(&["commands.restart"], "gateway=hot supervisor=hot");
        hybrid(
            &[
                "meta.lastTouchedAt",
                "wizard.x",
                "ui.seamColor",
                "update.channel",
            ],
            "",
        );
        hybrid(&["env.vars.X"], "gateway=replace");
        hybrid(&["channels.telegram.groups[\"a.b\"]"], "gateway=replace");
        hybrid(&["agents.list"], "gateway=hot");
        hybrid(
            &["agents.defaults.workspace"],
            "gateway=hot canvas-host=replace",
        );
        hybrid(&["cron.enabled", "meta.x"], "gateway=hot");
        hybrid(&["neverHeardOf"], "gateway=replace");
        hybrid(&["gatewayX"], "gateway=replace");
        hybrid(&["canvasHost"], "gateway=hot canvas-host=replace ports");
    }

    #[test]
    fn the_mode_decides_how_much_is_done() {
        let changed = &["gateway.port", "logging.level"];
        check(ReloadMode::Off, changed, "");
        check(
            ReloadMode::Hot,
            changed,
            "gateway=hot canvas-host=hot browser-control=hot supervisor=hot waits:gateway.port",
        );
        check(
            ReloadMode::Restart,
            &["logging.level"],
            "gateway=replace canvas-host=replace browser-control=replace supervisor=hot",
        );
        check(ReloadMode::Restart, &["cron.enabled"], "gateway=replace");
        check(
            ReloadMode::Restart,
            &["meta.x", "gateway.reload.mode"],
            "supervisor=hot",
        );
    }

    #[test]
    fn every_known_key_has_a_rule() {
        for key in Config::KEYS {
            assert!(
                RULES.iter().any(|rule| rule.prefix == *key),
                "no rule for {key}"
            );
        }
        let known = |prefix: &str| {
            let mut steps = prefix.split('.');
            let root = steps.next().unwrap();
            Config::KEYS.contains(&root)
                && (root != "gateway"
                    || steps.next().is_none_or(|key| Gateway::KEYS.contains(&key)))
        };
        for rule in RULES {
            assert!(
                known(rule.prefix),
                "a rule for {}, which is no key",
                rule.prefix
            );
        }
        let prefixes: std::collections::BTreeSet<_> =
            RULES.iter().map(|rule| rule.prefix).collect();
        assert_eq!(
            prefixes.len(),
            RULES.len(),
            "a prefix stands in the table twice"
        );
    }
}
