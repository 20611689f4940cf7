//! What must hold between settings that are each well-formed.

use std::collections::BTreeMap;

use super::Config;
use super::issue::Finding;
use super::path::KeyPath;
use super::period::period;
use super::section::{BindMode, TailscaleMode};
use super::setting::MemoryBound;
use crate::instance::Profile;

/// Every rule the configuration breaks.
pub(crate) fn broken(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    agents(config, &mut found);
    heartbeats(config, &mut found);
    ports(config, &mut found);
    gateway(config, &mut found);
    limits_and_watch(config, &mut found);
    hooks(config, &mut found);
    browser_profiles(config, &mut found);
    found
}

fn agents(config: &Config, found: &mut Vec<Finding>) {
    let list = KeyPath::of_keys(["agents", "list"]);
    let mut ids = BTreeMap::new();
    let mut folders = BTreeMap::new();
    for (index, agent) in config.agents.list.iter().enumerate() {
        let here = list.index(index);
        if agent.id.trim().is_empty() {
            found.push(Finding::error(
                here.clone(),
                "expected an agent with an \"id\"",
            ));
        } else if let Some(first) = ids.insert(&agent.id, index) {
            let message =
                format!("agents.list[{first}] has the same id; only the first one counts");
            found.push(Finding::warning(here.key("id"), message));
        }
        let Some(folder) = &agent.agent_dir else {
            continue;
        };
        if let Some(first) = folders.insert(folder.trim_end_matches('/'), index) {
            let message = format!(
                "agents.list[{first}] uses the same folder, and two agents cannot share one"
            );
            found.push(Finding::error(here.key("agentDir"), message));
        }
    }
}

/// How often hearts beat: one that nobody can read would be one that never beats.
fn heartbeats(config: &Config, found: &mut Vec<Finding>) {
    let defaults = KeyPath::of_keys(["agents", "defaults", "heartbeat"]);
    let list = KeyPath::of_keys(["agents", "list"]);
    let agents = config.agents.list.iter().enumerate();
    let own = agents.filter_map(|(index, agent)| {
        let heartbeat = agent.heartbeat.as_ref()?;
        Some((list.index(index).key("heartbeat"), heartbeat))
    });
    let everybodys = (defaults, &config.agents.defaults.heartbeat);
    for (path, heartbeat) in std::iter::once(everybodys).chain(own) {
        let every = heartbeat.every.as_deref().unwrap_or_default().trim();
        if !every.is_empty() && period(every).is_none() {
            let message =
                format!("expected a duration such as \"30m\", found the string {every:?}");
            let hint = "\"0m\" switches heartbeats off";
            found.push(Finding::error(path.key("every"), message).hint(hint));
        }
    }
}

/// Ports that are written down and collide. Derived ports are checked where they are derived.
fn ports(config: &Config, found: &mut Vec<Finding>) {
    let written = [
        (["gateway", "port"], config.gateway.port),
        (
            ["canvasHost", "port"],
            config
                .canvas_host
                .port
                .filter(|_| config.canvas_host.enabled),
        ),
        (
            ["browser", "controlPort"],
            config
                .browser
                .control_port
                .filter(|_| config.browser.enabled),
        ),
    ];
    let mut owners: BTreeMap<_, KeyPath> = BTreeMap::new();
    for (keys, port) in written {
        let Some(port) = port else { continue };
        let path = KeyPath::of_keys(keys);
        if let Some(owner) = owners.get(&port) {
            let message = format!("{owner} has the same port {port}");
            let hint = "give one of them another port";
            found.push(Finding::error(path, message).hint(hint));
        } else {
            owners.insert(port, path);
        }
    }
}

fn gateway(config: &Config, found: &mut Vec<Finding>) {
    let gateway = &config.gateway;
    if gateway.bind == BindMode::Custom && gateway.custom_bind_host.is_none() {
        let path = KeyPath::of_keys(["gateway", "bind"]);
        found.push(
            Finding::error(path, "\"custom\" needs an address").hint("set gateway.customBindHost"),
        );
    }
    if gateway.tailscale.mode != TailscaleMode::Off
        && !matches!(gateway.bind, BindMode::Loopback | BindMode::Auto)
    {
        let path = KeyPath::of_keys(["gateway", "tailscale", "mode"]);
        let message = format!(
            "\"{}\" needs gateway.bind \"loopback\"",
            gateway.tailscale.mode
        );
        found.push(Finding::error(path, message));
    }
}

/// A ceiling below what is allowed, and a name that no profile can have.
fn limits_and_watch(config: &Config, found: &mut Vec<Finding>) {
    let limits = &config.gateway.limits;
    let processes = [
        ("gateway", &limits.gateway),
        ("canvasHost", &limits.canvas_host),
        ("browserControl", &limits.browser_control),
    ];
    for (name, process) in processes {
        let bytes = |bound: Option<MemoryBound>| bound.and_then(MemoryBound::bytes);
        if let (Some(memory), Some(ceiling)) =
            (bytes(process.memory), bytes(process.memory_ceiling))
            && ceiling < memory
        {
            let path = KeyPath::of_keys(["gateway", "limits", name, "memoryCeiling"]);
            found.push(Finding::error(path, "expected no less than \"memory\""));
        }
    }
    if let Some(profile) = &config.gateway.watch.profile
        && (profile.is_empty() || Profile::parse(profile).is_err())
    {
        let path = KeyPath::of_keys(["gateway", "watch", "profile"]);
        let message = "expected the name of a profile (letters, numbers, \"_\", \"-\")";
        found.push(Finding::error(path, message));
    }
}

fn hooks(config: &Config, found: &mut Vec<Finding>) {
    let token = config
        .hooks
        .token
        .as_ref()
        .map(|token| token.expose().trim());
    if config.hooks.enabled && token.is_none_or(str::is_empty) {
        let path = KeyPath::of_keys(["hooks", "enabled"]);
        found.push(Finding::error(path, "hooks need a token").hint("set hooks.token"));
    }
    let mappings = KeyPath::of_keys(["hooks", "mappings"]);
    for (index, mapping) in config.hooks.mappings.iter().enumerate() {
        if mapping.transform.is_some() {
            let message = "modules are not run by this version, so requests to this hook are refused with 501";
            let path = mappings.index(index).key("transform");
            found.push(Finding::warning(path, message).hint("use messageTemplate or textTemplate"));
        }
    }
    if config.hooks.path.trim_matches('/').is_empty() {
        let path = KeyPath::of_keys(["hooks", "path"]);
        found.push(Finding::error(
            path,
            "hooks cannot take every path; expected one such as \"/hooks\"",
        ));
    }
}

fn browser_profiles(config: &Config, found: &mut Vec<Finding>) {
    let in_charset = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    for name in config.browser.profiles.keys() {
        if name.is_empty() || !name.chars().all(in_charset) {
            let path = KeyPath::of_keys(["browser", "profiles", name]);
            found.push(Finding::error(
                path,
                "a profile's name consists of a-z, 0-9 and -",
            ));
        }
    }
}
