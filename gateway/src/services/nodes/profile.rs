//! What is kept of a node's own introduction, within bounds, and what its owner says above that.                          (pure)

use std::collections::BTreeSet;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::strict::NonEmpty;

use super::super::devices::platform::Platform;
use super::super::devices::{NodeFacts, PairedNode};
use super::policy;
use crate::settings::NodeCommands;

/// Capabilities and commands of one node that are kept.
const MOST_OFFERS: usize = 256;
/// How much of a node's text is kept, in characters.
const LONGEST_TEXT: usize = 256;
/// How much of its search path is kept, in characters.
const LONGEST_PATH: usize = 4_096;

/// A node as it introduces itself, with what its owner says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    /// As its device was paired, not as it claims.
    pub(crate) platform: Platform,
    /// The same for people.
    pub(crate) platform_name: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) remote_ip: Option<String>,
    pub(crate) facts: NodeFacts,
}

impl Profile {
    /// What follows from a `connect`. What was paired stands above what is claimed.
    pub(crate) fn of(
        now: WallTime,
        params: &ConnectParams,
        remote_ip: Option<String>,
        paired: Option<&PairedNode>,
        settings: &NodeCommands,
    ) -> Self {
        let client = &params.client;
        let text = |text: &Option<NonEmpty>| text.as_deref().map(|text| cut(text, LONGEST_TEXT));
        let claimed = Some(cut(&client.platform, LONGEST_TEXT));
        let family = text(&client.device_family);
        let platform = match paired {
            Some(PairedNode {
                platform: Some(platform),
                device_family,
                ..
            }) => Platform::of(Some(platform), device_family.as_deref()),
            Some(PairedNode { platform: None, .. }) => {
                Platform::of(claimed.as_deref(), family.as_deref())
            }
            // Whose pairing cannot be read is asked for nothing.
            None => Platform::Unknown,
        };
        let pinned = paired.and_then(|paired| paired.platform.clone());
        let platform_name = pinned.or(claimed);
        let offers = |offered: &Option<Vec<NonEmpty>>| {
            let offered = offered
                .iter()
                .flatten()
                .map(|offer| cut(offer.trim(), LONGEST_TEXT));
            offered
                .filter(|offer| !offer.is_empty())
                .collect::<BTreeSet<String>>()
        };
        let commands = offers(&params.commands);
        let commands = policy::filter(platform, commands.iter().map(String::as_str), settings);
        let facts = NodeFacts {
            caps: offers(&params.caps).into_iter().take(MOST_OFFERS).collect(),
            commands: commands.into_iter().take(MOST_OFFERS).collect(),
            version: Some(cut(&client.version, LONGEST_TEXT)),
            core_version: None,
            ui_version: None,
            device_family: family,
            model_identifier: text(&client.model_identifier),
            path_env: params
                .path_env
                .as_deref()
                .map(|path| cut(path, LONGEST_PATH)),
            permissions: params.permissions.as_ref().map(|permissions| {
                let kept = permissions.iter().take(MOST_OFFERS);
                kept.map(|(name, is_granted)| (cut(name, LONGEST_TEXT), *is_granted))
                    .collect()
            }),
            last_connected_at_ms: Some(now.as_millis()),
            last_seen_at_ms: Some(now.as_millis()),
        };
        let own_name = paired.and_then(|paired| paired.display_name.clone());
        Self {
            platform,
            platform_name,
            display_name: own_name.or_else(|| text(&client.display_name)),
            remote_ip,
            facts,
        }
    }
}

fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::devices::PairedNode;
    use super::super::testing::{paired, profile_of};

    #[test]
    fn rule_45_a_platform_that_was_paired_stands_above_the_claim() {
        let offers = |params: &mut Value| {
            params["client"]["platform"] = json!("macOS 15");
            params["client"]["deviceFamily"] = json!("Mac");
        };
        assert!(profile_of(offers, None).facts.commands.is_empty());
        let unsaid = PairedNode {
            platform: None,
            ..paired("a", None)
        };
        let all = ["camera.snap", "system.run", "system.which"];
        assert_eq!(profile_of(offers, Some(&unsaid)).facts.commands, all);
        let claimed = profile_of(offers, Some(&paired("a", Some("Box"))));
        assert_eq!(claimed.facts.commands, ["system.run", "system.which"]);
        assert_eq!(
            (
                claimed.platform_name.as_deref(),
                claimed.display_name.as_deref()
            ),
            (Some("linux"), Some("Box"))
        );
    }
}
