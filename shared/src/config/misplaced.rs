//! Keys that are known, but not where they stand.

use super::issue::Finding;
use super::path::Step;
use super::section::Gateway;
use super::setting::UNKNOWN_KEY;

/// Says of keys that are not known where they are.
pub(crate) fn explain(findings: &mut [Finding]) {
    for finding in findings {
        if finding.message != UNKNOWN_KEY {
            continue;
        }
        let hint = match finding.path.steps() {
            [Step::Key(key)] if Gateway::KEYS.contains(&key.as_str()) => {
                format!("did you mean \"gateway.{key}\"?")
            }
            [.., Step::Key(outer), Step::Key(inner)] if outer == inner => {
                format!("\"{inner}\" stands inside itself; take one level out")
            }
            _ => continue,
        };
        finding.hint = Some(hint);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Config;

    #[test]
    fn a_key_at_the_wrong_level_is_told_where_it_belongs() {
        let hint = |config: serde_json::Value| {
            let (_, findings) = Config::check(&config, None);
            findings[0].hint.clone().unwrap_or_default()
        };
        assert_eq!(
            hint(json!({"bind": "lan"})),
            "did you mean \"gateway.bind\"?"
        );
        assert_eq!(
            hint(json!({"gateway": {"gateway": {}}})),
            "\"gateway\" stands inside itself; take one level out"
        );
        assert_eq!(hint(json!({"zzyzx": {}})), "");
    }
}
