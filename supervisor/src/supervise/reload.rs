//! From two settings to what each child has to do. Pure.

use std::collections::BTreeMap;

use openclaw_shared::config::diff::changed_keys;
use openclaw_shared::config::reload::{self, Process};
use openclaw_shared::config::section::ReloadMode;
use openclaw_shared::control::ChildName;

use super::fleet::Effect;
use crate::settings::Settings;

/// What a new configuration asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The keys that differ.
    pub(crate) keys: Vec<String>,
    /// What each child concerned has to do.
    pub(crate) effects: BTreeMap<ChildName, Effect>,
    /// Keys whose change waits, because the reload mode does not allow what it takes.
    pub(crate) waiting: Vec<String>,
}

/// Plans the way from `old` to `new`. With `restart`, every child is replaced, whatever the reload mode says.
pub(crate) fn plan(old: &Settings, new: &Settings, restart: Option<&[ChildName]>) -> Change {
    let keys = changed_keys(&old.effective, &new.effective);
    let mode = if restart.is_some() {
        ReloadMode::Hybrid
    } else {
        new.reload_mode
    };
    let plan = reload::plan(mode, &keys);
    let mut effects = BTreeMap::new();
    for child in ChildName::ALL {
        let process = match child {
            ChildName::Gateway => Process::Gateway,
            ChildName::CanvasHost => Process::CanvasHost,
            ChildName::BrowserControl => Process::BrowserControl,
        };
        let is_asked = restart.is_some_and(|children| children.contains(&child));
        let may_replace = mode == ReloadMode::Hybrid || mode == ReloadMode::Restart;
        let effect = match (old.children.contains(&child), new.children.contains(&child)) {
            (false, false) => None,
            (false, true) => may_replace.then_some(Effect::Start),
            (true, false) => may_replace.then_some(Effect::Stop),
            (true, true) if is_asked => Some(Effect::Replace),
            (true, true) => match plan.effect(process) {
                reload::Effect::Ignore => None,
                reload::Effect::Hot => Some(Effect::Hot),
                reload::Effect::Replace => Some(Effect::Replace),
            },
        };
        effects.extend(effect.map(|effect| (child, effect)));
    }
    let waiting = match mode {
        ReloadMode::Off => keys.clone(),
        ReloadMode::Hot | ReloadMode::Restart | ReloadMode::Hybrid => plan.needs_restart,
    };
    Change {
        keys,
        effects,
        waiting,
    }
}
