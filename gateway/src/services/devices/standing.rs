//! What a client that has proved its device may do right away, and what has to happen first.   (pure)
//!
//! The same function is asked twice: by the handshake, on what the store says at that moment, and again inside the transaction
//! that writes what the answer demands, on what that transaction reads. What the second answer demands is what is done.

use openclaw_shared::protocol::scope::Role;
use openclaw_shared::secret::{Secret, constant_time_eq};

use super::platform::Platform;
use super::record::{Device, Token};
use super::scopes;

/// How much of a text that a device says of itself is kept, in characters.
const LONGEST_TEXT: usize = 256;

/// What lets somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The shared secret.
    Secret,
    /// An identity that the tailnet vouches for.
    Tailnet,
    /// The device's own token.
    DeviceToken,
}

/// What a client with a verified device asks for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// The device, whose key was proved.
    pub(crate) device: String,
    /// The raw key in base64url.
    pub(crate) public_key: String,
    pub(crate) role: Role,
    /// The scopes, with what an absent list means.
    pub(crate) scopes: Vec<String>,
    /// What was found without looking at the device: the secret is right, or the tailnet knows the caller.
    pub(crate) vouched: Option<Proof>,
    /// What it presents as a token.
    pub(crate) token: Option<Secret<String>>,
    /// Whether it is a program of this machine that speaks to us directly.
    pub(crate) is_local: bool,
    /// Whether the owner allows this client to go without pairing.
    pub(crate) may_go_unpaired: bool,
    /// How it describes itself.
    pub(crate) says: Description,
}

/// How a device describes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) display_name: Option<String>,
    pub(crate) platform: String,
    pub(crate) device_family: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_mode: String,
    /// Its address; none when it is local.
    pub(crate) remote_ip: Option<String>,
}

impl Description {
    /// As much of a text as is kept, because all of it goes to every client that may pair.
    pub(crate) fn cut(text: &str) -> String {
        text.chars().take(LONGEST_TEXT).collect()
    }
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing speaks for it.
    Stranger,
    /// It may come in.
    Admitted {
        /// By what.
        by: Proof,
        /// Its own token; none for one that was revoked or goes unpaired.
        token: Option<Token>,
    },
    /// It is approved, but has no token that covers what it asks for.
    NeedsToken,
    /// It is to be approved without asking anybody, because it is local.
    PairSilently,
    /// The owner must be asked.
    AskOwner,
}

/// Decides on the device as it is stored.
pub(crate) fn decide(ask: &Ask, stored: Option<&Device>) -> Standing {
    let known = stored.filter(|device| device.public_key.as_deref() == Some(&ask.public_key));
    let token = known.and_then(|device| device.tokens.get(ask.role.as_str()));
    let is_own = |token: &&Token| {
        let presented = ask.token.as_ref().map(Secret::expose);
        presented.is_some_and(|presented| token.is(presented))
            && scopes::cover(&token.scopes, &ask.scopes)
    };
    let by = match (ask.vouched, token.filter(is_own)) {
        (Some(proof), _) => proof,
        (None, Some(_)) => Proof::DeviceToken,
        (None, None) => return Standing::Stranger,
    };
    let is_approved = known
        .and_then(|device| device.approved.get(ask.role.as_str()))
        .is_some_and(|approved| scopes::cover(approved, &ask.scopes));
    let is_another_platform = known.is_some_and(|device| has_become_another(ask, device));
    let is_revoked = stored
        .and_then(|device| device.tokens.get(ask.role.as_str()))
        .is_some_and(|token| token.revoked_at_ms.is_some());
    if is_approved && !is_another_platform {
        return match token {
            Some(token) if token.revoked_at_ms.is_some() => Standing::Admitted { by, token: None },
            Some(token) if scopes::cover(&token.scopes, &ask.scopes) => Standing::Admitted {
                by,
                token: Some(token.clone()),
            },
            Some(_) | None => Standing::NeedsToken,
        };
    }
    if ask.may_go_unpaired && by == Proof::Secret {
        Standing::Admitted { by, token: None }
    } else if ask.is_local && !is_revoked && !is_another_platform {
        Standing::PairSilently
    } else {
        Standing::AskOwner
    }
}

/// What a node may be asked to do depends on its platform, so it cannot choose another one by saying so.
fn has_become_another(ask: &Ask, device: &Device) -> bool {
    let approved = Platform::of(device.platform.as_deref(), device.device_family.as_deref());
    let claimed = Platform::of(Some(&ask.says.platform), ask.says.device_family.as_deref());
    ask.role == Role::Node && device.has_role(Role::Node) && approved != claimed
}

impl Token {
    /// Whether this is what was presented, and still counts.
    pub(crate) fn is(&self, presented: &str) -> bool {
        self.revoked_at_ms.is_none()
            && constant_time_eq(presented.as_bytes(), self.token.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::protocol::scope::Role;

    use super::{Ask, Description, Proof, Standing, decide};
    use crate::services::devices::record::{Device, Grant};

    fn list(scopes: &str) -> Vec<String> {
        scopes.split_whitespace().map(str::to_owned).collect()
    }

    fn ask(role: Role, scopes: &str) -> Ask {
        Ask {
            device: "d".into(),
            public_key: "k".into(),
            role,
            scopes: list(scopes),
            vouched: Some(Proof::Secret),
            token: None,
            is_local: true,
            may_go_unpaired: false,
            says: Description {
                platform: "linux".into(),
                ..Description::default()
            },
        }
    }

    fn approved(role: Role, scopes: &str) -> Device {
        let grant = Grant {
            device: "d",
            public_key: Some("k"),
            role,
            scopes: &list(scopes),
            platform: Some("Linux 6"),
            device_family: None,
        };
        Device::approve(None, &grant, "t".into(), WallTime::from_millis(1))
    }

    fn told(ask: &Ask, device: Option<&Device>) -> &'static str {
        match decide(ask, device) {
            Standing::Stranger => "stranger",
            Standing::Admitted { token: Some(_), .. } => "admitted with its token",
            Standing::Admitted { token: None, .. } => "admitted without a token",
            Standing::NeedsToken => "needs a token",
            Standing::PairSilently => "paired silently",
            Standing::AskOwner => "the owner is asked",
        }
    }

    /// What becomes of a local and of a remote client.
    #[track_caller]
    fn check(mut ask: Ask, device: Option<&Device>, local: &str, remote: &str) {
        assert_eq!(told(&ask, device), local, "local");
        ask.is_local = false;
        assert_eq!(told(&ask, device), remote, "remote");
    }

    const ASKED: &str = "the owner is asked";
    const SILENTLY: &str = "paired silently";
    const TOKEN: &str = "admitted with its token";

    #[test]
    fn local_clients_are_paired_silently_and_others_by_the_owner() {
        let reader = approved(Role::Operator, "operator.read");
        check(ask(Role::Operator, ""), None, SILENTLY, ASKED);
        check(
            ask(Role::Operator, "operator.admin"),
            Some(&reader),
            SILENTLY,
            ASKED,
        );
        check(ask(Role::Node, ""), Some(&reader), SILENTLY, ASKED);
        check(
            ask(Role::Operator, "operator.read"),
            Some(&reader),
            TOKEN,
            TOKEN,
        );
        check(ask(Role::Operator, ""), Some(&reader), TOKEN, TOKEN);
    }

    #[test]
    fn a_revoked_device_is_not_paired_silently() {
        let mut device = approved(Role::Operator, "operator.read");
        let token = device.tokens.get_mut("operator").unwrap();
        token.revoked_at_ms = Some(2);
        let without = "admitted without a token";
        check(
            ask(Role::Operator, "operator.read"),
            Some(&device),
            without,
            without,
        );
        check(
            ask(Role::Operator, "operator.write"),
            Some(&device),
            ASKED,
            ASKED,
        );
        // Another role was not revoked.
        check(ask(Role::Node, ""), Some(&device), SILENTLY, ASKED);
        // Nor does a fresh key get around it.
        device.public_key = Some("other".into());
        check(
            ask(Role::Operator, "operator.read"),
            Some(&device),
            ASKED,
            ASKED,
        );
    }

    #[test]
    fn rule_45_a_node_that_has_become_another_platform_needs_a_new_approval() {
        let node = approved(Role::Node, "");
        check(ask(Role::Node, ""), Some(&node), TOKEN, TOKEN);
        let mut other = ask(Role::Node, "");
        other.says.platform = "darwin".into();
        check(other.clone(), Some(&node), ASKED, ASKED);
        other.vouched = None;
        other.token = Some(openclaw_shared::secret::Secret::new("t".into()));
        check(other, Some(&node), ASKED, ASKED);
        // An operator is asked for nothing that depends on its platform.
        let operator = approved(Role::Operator, "");
        let mut other = ask(Role::Operator, "");
        other.says.platform = "darwin".into();
        check(other, Some(&operator), TOKEN, TOKEN);
    }

    #[test]
    fn rule_24_nobody_gets_in_without_a_proof_of_their_own() {
        let device = approved(Role::Operator, "operator.read");
        // The last one is the token of another device, in its form.
        let other = "0123456789abcdef0123456789abcdef";
        for presented in [None, Some(""), Some("T"), Some("t "), Some(other)] {
            let mut ask = ask(Role::Operator, "operator.read");
            ask.vouched = None;
            ask.token = presented.map(|text| openclaw_shared::secret::Secret::new(text.into()));
            check(ask, Some(&device), "stranger", "stranger");
        }
    }
}
