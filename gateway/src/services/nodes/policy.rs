//! Which commands a node may be asked for.                                                (pure)
//!
//! A table by platform, what the configuration adds, and what it takes away, which wins. A platform that is not known gets nothing
//! but what the configuration names.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::services::devices::platform::Platform;
use crate::settings::NodeCommands;

const CANVAS: [&str; 8] = [
    "canvas.present",
    "canvas.hide",
    "canvas.navigate",
    "canvas.eval",
    "canvas.snapshot",
    "canvas.a2ui.push",
    "canvas.a2ui.pushJSONL",
    "canvas.a2ui.reset",
];
const CAMERA: [&str; 3] = ["camera.list", "camera.snap", "camera.clip"];
const SCREEN: [&str; 1] = ["screen.record"];
const LOCATION: [&str; 1] = ["location.get"];
const SMS: [&str; 1] = ["sms.send"];
const SYSTEM: [&str; 6] = [
    "system.run",
    "system.which",
    "system.notify",
    "system.execApprovals.get",
    "system.execApprovals.set",
    "browser.proxy",
];

const fn sets(platform: Platform) -> &'static [&'static [&'static str]] {
    match platform {
        Platform::Ios => &[&CANVAS, &CAMERA, &SCREEN, &LOCATION],
        Platform::Android => &[&CANVAS, &CAMERA, &SCREEN, &LOCATION, &SMS],
        Platform::Macos => &[&CANVAS, &CAMERA, &SCREEN, &LOCATION, &SYSTEM],
        Platform::Linux | Platform::Windows => &[&SYSTEM],
        Platform::Unknown => &[],
    }
}

/// Whether nodes of this platform may be asked for a command.
pub(crate) fn allows(platform: Platform, command: &str, settings: &NodeCommands) -> bool {
    let built_in = || sets(platform).iter().any(|set| set.contains(&command));
    !settings.deny.contains(command) && (built_in() || settings.allow.contains(command))
}

/// What of the commands that a node offers it may be asked for: in order, each once.
pub(crate) fn filter<'a>(
    platform: Platform,
    offered: impl IntoIterator<Item = &'a str>,
    settings: &NodeCommands,
) -> BTreeSet<String> {
    offered
        .into_iter()
        .map(str::trim)
        .filter(|command| !command.is_empty() && allows(platform, command, settings))
        .map(str::to_owned)
        .collect()
}

/// Why a command is not sent to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotAllowed,
    DeclaredNothing,
    NotDeclared,
}

impl Refusal {
    /// What a program may act on.
    pub(crate) fn details(self, command: &str) -> Value {
        let reason = match self {
            Self::NotAllowed => "command not allowlisted",
            Self::DeclaredNothing => "node did not declare commands",
            Self::NotDeclared => "command not declared by node",
        };
        json!({ "reason": reason, "command": command })
    }
}

/// Judges one request by the settings of this moment, whatever they were when the node came.
pub(crate) fn judge(
    platform: Platform,
    declared: &[String],
    command: &str,
    settings: &NodeCommands,
) -> Result<(), Refusal> {
    if !allows(platform, command, settings) {
        Err(Refusal::NotAllowed)
    } else if declared.is_empty() {
        Err(Refusal::DeclaredNothing)
    } else if !declared.iter().any(|known| known == command) {
        Err(Refusal::NotDeclared)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Platform, Refusal, filter, judge};
    use crate::settings::NodeCommands;

    fn settings(allow: &[&str], deny: &[&str]) -> NodeCommands {
        let set = |commands: &[&str]| {
            commands
                .iter()
                .map(|command| (*command).to_owned())
                .collect()
        };
        NodeCommands {
            allow: set(allow),
            deny: set(deny),
        }
    }

    #[test]
    fn rule_40_each_platform_gets_its_sets_and_no_more() {
        let some = [
            "canvas.eval",
            "camera.snap",
            "screen.record",
            "location.get",
            "sms.send",
            "system.run",
            "browser.proxy",
        ];
        for (platform, expected) in [
            (Platform::Ios, "1111000"),
            (Platform::Android, "1111100"),
            (Platform::Macos, "1111011"),
            (Platform::Linux, "0000011"),
            (Platform::Windows, "0000011"),
            (Platform::Unknown, "0000000"),
        ] {
            let none = settings(&[], &[]);
            let allowed = filter(platform, some, &none);
            let found: String = some
                .iter()
                .map(|command| if allowed.contains(*command) { '1' } else { '0' })
                .collect();
            assert_eq!(found, expected, "{platform:?}");
        }
    }

    #[test]
    fn what_is_offered_is_trimmed_sorted_and_unique() {
        let offered = [
            " system.which",
            "system.run",
            "",
            "system.run ",
            "SYSTEM.RUN",
            "system.*",
        ];
        let found: Vec<String> = filter(Platform::Linux, offered, &settings(&[], &[]))
            .into_iter()
            .collect();
        assert_eq!(found, ["system.run", "system.which"]);
    }

    #[test]
    fn the_configuration_adds_and_takes_away_exact_names_and_taking_away_wins() {
        let both = settings(
            &["my.tool", "camera.snap", "x.*"],
            &["system.run", "camera.snap"],
        );
        let offered = [
            "my.tool",
            "camera.snap",
            "system.run",
            "system.which",
            "x.y",
        ];
        let found: Vec<String> = filter(Platform::Linux, offered, &both)
            .into_iter()
            .collect();
        assert_eq!(found, ["my.tool", "system.which"]);
        let found: Vec<String> = filter(Platform::Unknown, offered, &both)
            .into_iter()
            .collect();
        assert_eq!(found, ["my.tool"]);
    }

    #[test]
    fn rule_40_the_policy_of_the_moment_comes_before_what_was_declared() {
        let declared = ["system.run".to_owned()];
        let none = settings(&[], &[]);
        let judged = |declared: &[String], command: &str, settings: &NodeCommands| {
            judge(Platform::Linux, declared, command, settings)
        };
        assert_eq!(judged(&declared, "system.run", &none), Ok(()));
        assert_eq!(
            judged(&declared, "system.which", &none),
            Err(Refusal::NotDeclared)
        );
        assert_eq!(
            judged(&declared, "camera.snap", &none),
            Err(Refusal::NotAllowed)
        );
        assert_eq!(judged(&[], "camera.snap", &none), Err(Refusal::NotAllowed));
        assert_eq!(
            judged(&[], "system.run", &none),
            Err(Refusal::DeclaredNothing)
        );
        assert_eq!(
            judged(&declared, "system.run", &settings(&[], &["system.run"])),
            Err(Refusal::NotAllowed)
        );
    }
}
