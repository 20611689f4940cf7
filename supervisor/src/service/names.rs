//! What the service of a profile is called, by each service manager and by each generation of the product.                (pure)

use openclaw_shared::instance::{Environment, Profile};

/// The names of a profile's service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// The systemd unit, with its ending.
    pub(crate) unit: String,
    /// The systemd unit of the sockets, beside it.
    pub(crate) socket: String,
    /// The launchd label.
    pub(crate) label: String,
    /// Units that earlier names of the product have left.
    pub(crate) legacy_units: Vec<String>,
    /// Labels of the Node implementation and of earlier names.
    pub(crate) legacy_labels: Vec<String>,
}

impl Names {
    /// The names for `profile`. `OPENCLAW_SYSTEMD_UNIT` and `OPENCLAW_LAUNCHD_LABEL` name the service otherwise.
    pub(crate) fn of(profile: &Profile, environment: &Environment) -> Self {
        let suffix = profile.suffix();
        let last = profile.name().unwrap_or("gateway");
        let stem = environment
            .get("OPENCLAW_SYSTEMD_UNIT")
            .map(|unit| unit.trim().trim_end_matches(".service").to_owned())
            .filter(|unit| is_plain(unit))
            .unwrap_or_else(|| format!("openclaw-gateway{suffix}"));
        let label = environment
            .get("OPENCLAW_LAUNCHD_LABEL")
            .map(|label| label.trim().to_owned())
            .filter(|label| is_plain(label))
            .unwrap_or_else(|| format!("bot.molt.{last}"));
        Self {
            unit: format!("{stem}.service"),
            socket: format!("{stem}.socket"),
            legacy_units: ["clawdbot", "moltbot"]
                .map(|name| format!("{name}-gateway{suffix}.service"))
                .to_vec(),
            legacy_labels: ["ai.openclaw", "com.openclaw", "com.clawdbot", "com.moltbot"]
                .map(|prefix| format!("{prefix}.{last}"))
                .into_iter()
                .filter(|legacy| *legacy != label)
                .collect(),
            label,
        }
    }
}

/// Whether a name can be a file's and cannot be anything else.
fn is_plain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@:".contains(&byte);
    !name.is_empty()
        && name.len() < 200
        && !name.starts_with(['-', '.'])
        && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn names(profile: &str, variables: &[(&str, &str)]) -> Names {
        let environment = Environment::from_pairs(variables.iter().copied(), Path::new("/"));
        Names::of(&Profile::parse(profile).unwrap(), &environment)
    }

    #[test]
    fn a_service_is_named_for_its_profile() {
        let main = names("", &[]);
        assert_eq!(main.unit, "openclaw-gateway.service");
        assert_eq!(main.socket, "openclaw-gateway.socket");
        assert_eq!(main.label, "bot.molt.gateway");
        let rescue = names("rescue", &[]);
        assert_eq!(rescue.unit, "openclaw-gateway-rescue.service");
        assert_eq!(rescue.label, "bot.molt.rescue");
        assert!(
            rescue
                .legacy_labels
                .contains(&"ai.openclaw.rescue".to_owned())
        );
        assert!(
            rescue
                .legacy_labels
                .contains(&"com.openclaw.rescue".to_owned())
        );
        assert!(
            rescue
                .legacy_units
                .contains(&"clawdbot-gateway-rescue.service".to_owned())
        );
    }

    #[test]
    fn a_variable_names_it_otherwise_and_cannot_name_another_file() {
        let named = names(
            "",
            &[
                ("OPENCLAW_SYSTEMD_UNIT", "my-claw.service"),
                ("OPENCLAW_LAUNCHD_LABEL", "me.claw"),
            ],
        );
        assert_eq!(
            (named.unit.as_str(), named.label.as_str()),
            ("my-claw.service", "me.claw")
        );
        let wrong = names(
            "",
            &[
                ("OPENCLAW_SYSTEMD_UNIT", "../x"),
                ("OPENCLAW_LAUNCHD_LABEL", "a b"),
            ],
        );
        assert_eq!(wrong, names("", &[]));
    }
}
