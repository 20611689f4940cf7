//! The keys that only this implementation knows.
//!
//! The Node implementation refuses a file that holds a key it does not know, so whoever wants to go back to it
//! has to be told which ones to take out.

use serde_json::Value;

use super::path::KeyPath;

/// Our own keys, as dotted paths.
pub const OWN_KEYS: &[&str] = &[
    "browser.controlPort",
    "gateway.controlUi.allowedHosts",
    "gateway.controlUi.allowedOrigins",
    "gateway.customBindHost",
    "gateway.http.endpoints.chatCompletions.maxBodyBytes",
    "gateway.limits",
    "gateway.metrics",
    "gateway.tools",
    "gateway.watch",
    "hooks.allowRequestSessionKey",
    "logging.keepDays",
    "logging.maxFileBytes",
    "mcp",
    "models.idleTimeoutSeconds",
    "models.proxy",
    "supervisor",
    "tools.web.fetch.allowHosts",
];

/// Those of our own keys that a configuration uses.
pub fn own_keys_in(config: &Value) -> impl Iterator<Item = &'static str> {
    let used = |key: &&str| KeyPath::of_keys(key.split('.')).find(config).is_some();
    OWN_KEYS.iter().filter(move |key| used(key)).copied()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Config;
    use super::*;

    #[test]
    fn every_own_key_is_a_key() {
        let unset_port = json!({"browser": {"controlPort": 1}});
        assert_eq!(
            own_keys_in(&unset_port).collect::<Vec<_>>(),
            ["browser.controlPort"]
        );
        let defaults = serde_json::to_value(Config::default()).unwrap();
        assert_eq!(own_keys_in(&defaults).collect::<Vec<_>>(), OWN_KEYS);
    }
}
