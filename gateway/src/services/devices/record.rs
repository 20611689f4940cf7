//! A device as it was approved.                                                          (pure)

use std::collections::BTreeMap;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::scope::Role;
use serde::{Deserialize, Serialize};

use super::scopes;

/// What an owner has approved, and the tokens that prove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Device {
    /// Lowercase hexadecimal SHA-256 of the raw public key; any name for a node without a key.
    pub(crate) id: String,
    /// The raw public key in base64url; none for a node that was paired by `node.pair.request` and has shown no key yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public_key: Option<String>,
    /// The name the owner gave it; it stands above the name that the device gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The platform it was approved as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<String>,
    /// The family it was approved as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device_family: Option<String>,
    /// The scopes that were approved, by role. A role that is not here was never approved.
    pub(crate) approved: BTreeMap<String, Vec<String>>,
    /// Its tokens, by role.
    pub(crate) tokens: BTreeMap<String, Token>,
    /// When it was approved for the first time.
    pub(crate) created_at_ms: u64,
    /// When it was approved for the last time.
    pub(crate) approved_at_ms: u64,
}

/// A device's own token for one role.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    /// 32 hexadecimal digits.
    pub(crate) token: String,
    /// What it covers.
    pub(crate) scopes: Vec<String>,
    /// When the device got its first token for this role.
    pub(crate) created_at_ms: u64,
    /// When this one took the place of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotated_at_ms: Option<u64>,
    /// When it stopped to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked_at_ms: Option<u64>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Token")
            .field("scopes", &self.scopes)
            .field("revoked_at_ms", &self.revoked_at_ms)
            .finish_non_exhaustive()
    }
}

/// How a device was last seen, in its own words. Nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Sighting {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_mode: Option<String>,
    /// The role of the last connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
    /// Its address; none when it was local.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_ip: Option<String>,
    /// When its token was last used, by role.
    pub(crate) last_used_at_ms: BTreeMap<String, u64>,
}

/// What an approval grants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grant<'a> {
    pub(crate) device: &'a str,
    pub(crate) public_key: Option<&'a str>,
    pub(crate) role: Role,
    pub(crate) scopes: &'a [String],
    pub(crate) platform: Option<&'a str>,
    pub(crate) device_family: Option<&'a str>,
}

impl Device {
    /// Whether somebody approved it for this role.
    pub(crate) fn has_role(&self, role: Role) -> bool {
        self.approved.contains_key(role.as_str())
    }

    /// The device after an approval: the role and the scopes are added to what it has, and it gets a fresh token for them. An
    /// approval of another key is one of another device, which inherits nothing. Nor does a role inherit what it had before its
    /// token was revoked: whoever approves it again has seen and holds the scopes that are asked for, and no others.
    pub(crate) fn approve(
        stored: Option<Self>,
        grant: &Grant<'_>,
        fresh: String,
        now: WallTime,
    ) -> Self {
        let role = grant.role.as_str();
        let is_same = |device: &Self| device.public_key.as_deref() == grant.public_key;
        let (name, created_at) = stored.as_ref().map_or((None, now.as_millis()), |device| {
            (device.name.clone(), device.created_at_ms)
        });
        let mut device = stored.filter(is_same).unwrap_or_else(|| Self {
            id: grant.device.to_owned(),
            public_key: grant.public_key.map(str::to_owned),
            name,
            platform: None,
            device_family: None,
            approved: BTreeMap::new(),
            tokens: BTreeMap::new(),
            created_at_ms: created_at,
            approved_at_ms: 0,
        });
        // What a node may be asked to do depends on its platform, so that of the node's approval counts.
        if grant.role == Role::Node || !device.has_role(Role::Node) {
            device.platform = grant.platform.map(str::to_owned);
            device.device_family = grant.device_family.map(str::to_owned);
        }
        let earlier = match device.tokens.get(role) {
            Some(token) if token.revoked_at_ms.is_some() => None,
            Some(_) | None => device.approved.remove(role),
        };
        let scopes = scopes::union(&earlier.unwrap_or_default(), grant.scopes);
        device.approved.insert(role.to_owned(), scopes.clone());
        device.approved_at_ms = now.as_millis();
        device.replace_token(grant.role, fresh, scopes, now);
        device
    }

    /// Gives the device another token for a role; the one it had is worth nothing from then on.
    pub(crate) fn replace_token(
        &mut self,
        role: Role,
        fresh: String,
        scopes: Vec<String>,
        now: WallTime,
    ) -> &Token {
        let earlier = self.tokens.remove(role.as_str());
        let token = Token {
            token: fresh,
            scopes,
            created_at_ms: earlier
                .as_ref()
                .map_or(now.as_millis(), |earlier| earlier.created_at_ms),
            rotated_at_ms: earlier.map(|_| now.as_millis()),
            revoked_at_ms: None,
        };
        self.tokens.entry(role.as_str().to_owned()).or_insert(token)
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::protocol::scope::Role;

    use super::{Device, Grant};

    fn at(millis: u64) -> WallTime {
        WallTime::from_millis(millis)
    }

    fn list(scopes: &str) -> Vec<String> {
        scopes.split_whitespace().map(str::to_owned).collect()
    }

    fn approve(stored: Option<Device>, key: &str, role: Role, scopes: &str, now: u64) -> Device {
        let grant = Grant {
            device: "d",
            public_key: Some(key),
            role,
            scopes: &list(scopes),
            platform: Some(if role == Role::Node {
                "iOS 18"
            } else {
                "linux"
            }),
            device_family: None,
        };
        Device::approve(stored, &grant, format!("t{now}"), at(now))
    }

    #[test]
    fn approvals_add_up_by_role() {
        let device = approve(None, "k", Role::Operator, "operator.read", 1);
        let device = approve(Some(device), "k", Role::Node, "", 2);
        let device = approve(Some(device), "k", Role::Operator, "operator.write", 3);
        assert_eq!(
            device.approved["operator"],
            list("operator.read operator.write")
        );
        assert_eq!(device.approved["node"], list(""));
        assert_eq!((device.created_at_ms, device.approved_at_ms), (1, 3));
        let token = &device.tokens["operator"];
        assert_eq!((token.token.as_str(), token.rotated_at_ms), ("t3", Some(3)));
        assert_eq!(token.created_at_ms, 1);
        assert_eq!(device.tokens["node"].token, "t2");
        assert_eq!(
            device.platform.as_deref(),
            Some("iOS 18"),
            "the node's platform stays"
        );
    }

    #[test]
    fn rule_30_what_was_revoked_is_not_approved_along_with_something_else() {
        let device = approve(None, "k", Role::Node, "", 1);
        let scopes = "operator.read operator.write";
        let mut device = approve(Some(device), "k", Role::Operator, scopes, 1);
        let token = device.tokens.get_mut("operator").unwrap();
        token.revoked_at_ms = Some(2);
        let device = approve(Some(device), "k", Role::Operator, "operator.pairing", 3);
        assert_eq!(device.approved["operator"], list("operator.pairing"));
        let token = &device.tokens["operator"];
        assert_eq!(token.scopes, list("operator.pairing"));
        assert_eq!(token.revoked_at_ms, None);
        assert!(
            device.has_role(Role::Node),
            "the other role was not revoked"
        );
    }

    #[test]
    fn rule_30_another_key_inherits_no_right() {
        let mut device = approve(None, "k", Role::Operator, "operator.admin", 1);
        device.name = Some("Kitchen".to_owned());
        let device = approve(Some(device), "other", Role::Node, "", 2);
        assert_eq!(device.approved.keys().collect::<Vec<_>>(), ["node"]);
        assert_eq!(device.tokens.keys().collect::<Vec<_>>(), ["node"]);
        assert_eq!(device.name.as_deref(), Some("Kitchen"));
    }
}
