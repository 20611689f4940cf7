//! Whole stories over a real store: ask, approve, come back.

use std::collections::BTreeSet;
use std::sync::Arc;

use openclaw_shared::clock::WallTime;
use openclaw_shared::control::Generation;
use openclaw_shared::protocol::params::devices::PairDecision;
use openclaw_shared::protocol::scope::{Rights, Role};

use super::done::{Announcement, Done};
use super::keep;
use super::pair::{self, Approved, PairError, Settled};
use super::pending::EXPIRY;
use super::record::Device;
use super::standing::{Ask, Description, Proof, Standing, decide};
use super::{NodeFacts, note_node, paired_node, paired_nodes};
use crate::store::Store;

struct House {
    store: Store,
    _folder: tempfile::TempDir,
}

fn at(seconds: u64) -> WallTime {
    WallTime::from_millis(1_700_000_000_000 + seconds * 1_000)
}

fn list(scopes: &str) -> Vec<String> {
    scopes.split_whitespace().map(str::to_owned).collect()
}

fn ask(device: &str, role: Role, scopes: &str) -> Ask {
    Ask {
        device: device.into(),
        public_key: format!("key of {device}"),
        role,
        scopes: list(scopes),
        vouched: Some(Proof::Secret),
        token: None,
        is_local: false,
        may_go_unpaired: false,
        says: Description {
            platform: "linux".into(),
            display_name: Some(device.to_uppercase()),
            remote_ip: Some("192.0.2.9".into()),
            ..Description::default()
        },
    }
}

fn admin() -> Rights {
    Rights::new(Role::Operator, ["operator.admin"])
}

/// What was announced, in short.
fn told(announcements: &[Announcement]) -> Vec<String> {
    let tell = |announcement: &Announcement| match announcement {
        Announcement::Requested(request) => format!("{} asks", request.device),
        Announcement::Resolved {
            device, decision, ..
        } => format!("{device} {decision}"),
    };
    announcements.iter().map(tell).collect()
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("openclaw.sqlite"));
        store.activate(Generation(1));
        Self {
            store,
            _folder: folder,
        }
    }

    async fn settle(&self, ask: &Ask, now: WallTime) -> Done<Settled> {
        let ask = ask.clone();
        let settled = self
            .store
            .write(move |tx| pair::settle(tx, &ask, &BTreeSet::new(), now));
        settled.await.unwrap()
    }

    /// The id of the request that waits for the owner.
    async fn wait(&self, ask: &Ask, now: WallTime) -> (String, Vec<String>) {
        let done = self.settle(ask, now).await;
        match done.value {
            Settled::Waiting { request } => (request, told(&done.announcements)),
            Settled::LookAgain => panic!("nobody is asked"),
        }
    }

    async fn approve(
        &self,
        request: &str,
        rights: Rights,
        now: WallTime,
    ) -> Result<Approved, PairError> {
        let request = request.to_owned();
        let approved = self
            .store
            .write(move |tx| pair::approve(tx, &request, rights, now));
        approved.await.map(|done| done.value)
    }

    fn device(&self, id: &str) -> Option<Device> {
        let stored = self.store.read(|reader| keep::device(reader, id)).unwrap();
        stored.map(|stored| stored.device)
    }

    fn standing(&self, ask: &Ask) -> Standing {
        decide(ask, self.device(&ask.device).as_ref())
    }

    /// A device that was approved, and its token.
    async fn paired(&self, ask: &Ask) -> String {
        let (request, _) = self.wait(ask, at(0)).await;
        let approved = self.approve(&request, admin(), at(0)).await.unwrap();
        approved.stored.device.tokens[ask.role.as_str()]
            .token
            .clone()
    }
}

#[tokio::test]
async fn the_owner_approves_and_the_device_gets_its_token() {
    let house = House::new();
    let phone = ask("phone", Role::Operator, "operator.read");
    let (request, announced) = house.wait(&phone, at(0)).await;
    assert_eq!(announced, ["phone asks"]);
    assert_eq!(house.wait(&phone, at(9)).await, (request.clone(), vec![]));
    let approved = house.approve(&request, admin(), at(10)).await.unwrap();
    let token = &approved.stored.device.tokens["operator"];
    assert_eq!(token.token.len(), 32);
    assert_eq!(token.scopes, list("operator.read"));
    let admitted = Standing::Admitted {
        by: Proof::Secret,
        token: Some(token.clone()),
    };
    assert_eq!(house.standing(&phone), admitted);
    let again = house.approve(&request, admin(), at(11)).await;
    assert_eq!(again, Err(PairError::UnknownRequest));
}

#[tokio::test]
async fn a_local_device_is_approved_at_once_and_keeps_its_token() {
    let house = House::new();
    let mut cli = ask("cli", Role::Operator, "operator.admin");
    cli.is_local = true;
    let done = house.settle(&cli, at(0)).await;
    assert_eq!(
        (done.value, told(&done.announcements)),
        (Settled::LookAgain, vec!["cli approved".into()])
    );
    let first = house.device("cli").unwrap();
    // Somebody else was quicker: nothing is left to do.
    let done = house.settle(&cli, at(1)).await;
    assert_eq!(
        (done.value, done.announcements),
        (Settled::LookAgain, vec![])
    );
    assert_eq!(house.device("cli").unwrap(), first);
}

#[tokio::test]
async fn rule_30_an_approval_does_not_carry_over_to_what_is_asked_later() {
    let house = House::new();
    let modest = ask("phone", Role::Operator, "operator.read");
    let (first, _) = house.wait(&modest, at(0)).await;
    let greedy = ask("phone", Role::Operator, "operator.admin");
    let (second, announced) = house.wait(&greedy, at(1)).await;
    assert_eq!(announced, ["phone rejected", "phone asks"]);
    assert_eq!(
        house.approve(&first, admin(), at(2)).await,
        Err(PairError::UnknownRequest)
    );
    assert_eq!(house.device("phone"), None);
    // Asking for less than what waits is no other request: the owner still sees the whole of it.
    let (third, announced) = house.wait(&modest, at(3)).await;
    assert_eq!((&third, announced), (&second, vec![]));
    house
        .store
        .write(move |tx| pair::reject(tx, &third, at(3)))
        .await
        .unwrap();
    let (fourth, _) = house.wait(&modest, at(4)).await;
    house.approve(&fourth, admin(), at(4)).await.unwrap();
    assert_eq!(house.standing(&greedy), Standing::AskOwner);
    let mut other_key = modest.clone();
    other_key.public_key = "another".into();
    assert_eq!(house.standing(&other_key), Standing::AskOwner);
    assert_eq!(
        house.standing(&ask("phone", Role::Node, "")),
        Standing::AskOwner
    );
}

#[tokio::test]
async fn rules_29_30_what_was_revoked_does_not_come_back_with_another_approval() {
    let house = House::new();
    let writer = ask("phone", Role::Operator, "operator.write");
    house.paired(&writer).await;
    let revoked = house
        .store
        .write(|tx| pair::revoke(tx, "phone", Role::Operator, at(1)));
    revoked.await.unwrap();
    let other = ask("phone", Role::Operator, "operator.pairing");
    let (request, _) = house.wait(&other, at(2)).await;
    let pairing = Rights::new(Role::Operator, ["operator.pairing"]);
    let approved = house.approve(&request, pairing, at(3)).await.unwrap();
    let device = approved.stored.device;
    assert_eq!(device.tokens["operator"].scopes, list("operator.pairing"));
    assert_eq!(house.standing(&writer), Standing::AskOwner);
}

#[tokio::test]
async fn a_device_that_has_two_roles_may_ask_for_both_at_once() {
    let house = House::new();
    let (operator, _) = house
        .wait(&ask("laptop", Role::Operator, "operator.read"), at(0))
        .await;
    let (node, announced) = house.wait(&ask("laptop", Role::Node, ""), at(1)).await;
    assert_eq!(announced, ["laptop asks"]);
    for request in [operator, node] {
        assert!(house.approve(&request, admin(), at(2)).await.is_ok());
    }
}

#[tokio::test]
async fn rule_31_devices_nobody_was_asked_about_are_bounded() {
    let house = House::new();
    house
        .paired(&ask("phone", Role::Operator, "operator.read"))
        .await;
    let fresh = |number: u32| {
        let mut ask = ask(&format!("test{number}"), Role::Operator, "operator.read");
        ask.is_local = true;
        ask
    };
    let most = 1_000;
    let filled = house.store.write(move |tx| {
        for number in 0..most {
            pair::settle(tx, &fresh(number), &BTreeSet::new(), at(number.into()))?;
        }
        // The owner has said something about the second, and the third has been seen since.
        pair::revoke(tx, "test1", Role::Operator, at(2_000))?;
        keep::see(tx, "test2", &super::record::Sighting::default(), at(2_000))?;
        Ok::<_, PairError>(())
    });
    filled.await.unwrap();
    let ids = |house: &House| -> BTreeSet<String> {
        let devices = house.store.read(keep::devices).unwrap();
        devices.into_iter().map(|stored| stored.device.id).collect()
    };
    let full = ids(&house);
    assert_eq!(full.len(), 1_001);
    let present: BTreeSet<Arc<str>> = ["test3".into()].into();
    let done = house.store.write(move |tx| {
        pair::settle(tx, &fresh(5_000), &present, at(5_000))?;
        pair::settle(tx, &fresh(5_001), &present, at(5_001))?;
        pair::settle(tx, &fresh(5_002), &present, at(5_002))
    });
    let done = done.await.unwrap();
    assert_eq!(done.ended.len(), 1);
    assert_eq!(done.ended[0].why, "device forgotten");
    let gone: Vec<String> = full.difference(&ids(&house)).cloned().collect();
    assert_eq!(gone, ["test0", "test4"]);
}

#[tokio::test]
async fn rule_29_nobody_approves_more_than_they_hold() {
    let house = House::new();
    let (request, _) = house
        .wait(&ask("phone", Role::Operator, "operator.write"), at(0))
        .await;
    let pairing = Rights::new(Role::Operator, ["operator.pairing", "operator.read"]);
    let refused = house.approve(&request, pairing, at(1)).await;
    assert_eq!(refused, Err(PairError::NotHeld("operator.write".into())));
    let enough = Rights::new(Role::Operator, ["operator.pairing", "operator.write"]);
    assert!(
        house.approve(&request, enough, at(2)).await.is_ok(),
        "the request still waits"
    );
}

#[tokio::test]
async fn rules_27_28_a_rotation_stays_within_the_approval_and_the_caller() {
    let house = House::new();
    let scopes = "operator.read operator.write";
    let token = house.paired(&ask("phone", Role::Operator, scopes)).await;
    let rotate = async |role: Role, scopes: Option<&str>, rights: Rights| {
        let scopes = scopes.map(list);
        let rotated = house
            .store
            .write(move |tx| pair::rotate(tx, "phone", role, scopes, rights, at(5)));
        let rotated = rotated.await.map(|done| done.value);
        rotated.map(|rotated| (rotated.token, rotated.scopes))
    };
    let reader = Rights::new(Role::Operator, ["operator.pairing", "operator.read"]);
    let held = |scope: &str| Err(PairError::NotHeld(scope.into()));
    assert_eq!(
        rotate(Role::Operator, Some("operator.write"), reader).await,
        held("operator.write")
    );
    assert_eq!(
        rotate(Role::Operator, None, reader).await,
        held("operator.write")
    );
    let beyond = rotate(
        Role::Operator,
        Some("operator.read operator.admin"),
        admin(),
    )
    .await;
    assert_eq!(beyond, Err(PairError::NotApproved("operator.admin".into())));
    assert_eq!(
        rotate(Role::Node, None, admin()).await,
        Err(PairError::UnknownRole)
    );
    let (fresh, scopes) = rotate(Role::Operator, Some("operator.read operator.read"), reader)
        .await
        .unwrap();
    assert_ne!(fresh, token);
    assert_eq!(scopes, list("operator.read"));
    let by_token = |token: &str, scopes: &str| {
        let mut ask = ask("phone", Role::Operator, scopes);
        ask.vouched = None;
        ask.token = Some(openclaw_shared::secret::Secret::new(token.to_owned()));
        house.standing(&ask)
    };
    assert_eq!(by_token(&token, "operator.read"), Standing::Stranger);
    assert_eq!(by_token(&fresh, "operator.write"), Standing::Stranger);
    assert!(matches!(
        by_token(&fresh, "operator.read"),
        Standing::Admitted { .. }
    ));
}

#[tokio::test]
async fn a_revoked_device_gets_a_token_only_by_a_rotation() {
    let house = House::new();
    let mut phone = ask("phone", Role::Operator, "operator.read");
    house.paired(&phone).await;
    let revoke = || {
        house
            .store
            .write(|tx| pair::revoke(tx, "phone", Role::Operator, at(3)))
    };
    let since = revoke().await.unwrap();
    assert_eq!(revoke().await, Ok(since.clone()));
    phone.is_local = true;
    let without = Standing::Admitted {
        by: Proof::Secret,
        token: None,
    };
    assert_eq!(house.standing(&phone), without);
    assert_eq!(house.settle(&phone, at(4)).await.value, Settled::LookAgain);
    assert_eq!(house.standing(&phone), without);
    let wider = Ask {
        scopes: list("operator.admin"),
        ..phone.clone()
    };
    assert_eq!(house.standing(&wider), Standing::AskOwner);
    let rotated = house
        .store
        .write(|tx| pair::rotate(tx, "phone", Role::Operator, None, admin(), at(5)));
    rotated.await.unwrap();
    assert!(matches!(
        house.standing(&phone),
        Standing::Admitted { token: Some(_), .. }
    ));
}

#[tokio::test]
async fn rule_31_requests_expire_and_are_bounded() {
    let house = House::new();
    let (request, _) = house.wait(&ask("phone", Role::Node, ""), at(0)).await;
    let late = at(EXPIRY.as_secs());
    let done = house
        .store
        .write(move |tx| pair::expire(tx, late))
        .await
        .unwrap();
    assert_eq!(told(&done.announcements), ["phone expired"]);
    assert_eq!(
        house.approve(&request, admin(), late).await,
        Err(PairError::UnknownRequest)
    );
    for number in 0..40 {
        house
            .wait(&ask(&format!("flood{number}"), Role::Node, ""), late)
            .await;
    }
    let mut owner = ask("owner", Role::Node, "");
    owner.says.remote_ip = Some("198.51.100.1".into());
    let (request, _) = house.wait(&owner, late).await;
    for number in 40..80 {
        house
            .wait(&ask(&format!("flood{number}"), Role::Node, ""), late)
            .await;
    }
    let waiting = house.store.read(keep::requests).unwrap();
    assert_eq!(waiting.len(), 9);
    assert!(house.approve(&request, admin(), late).await.is_ok());
}

#[tokio::test]
async fn what_a_node_offers_is_known_while_it_is_away() {
    let house = House::new();
    let facts = NodeFacts {
        commands: list("system.run"),
        last_seen_at_ms: Some(7),
        ..NodeFacts::default()
    };
    let note = |node: &'static str| {
        let facts = facts.clone();
        house
            .store
            .write(move |tx| Ok::<_, PairError>(note_node(tx, node, &facts)?))
    };
    assert_eq!(note("phone").await, Ok(false));
    house
        .paired(&ask("laptop", Role::Operator, "operator.read"))
        .await;
    house.paired(&ask("phone", Role::Node, "")).await;
    assert_eq!(note("phone").await, Ok(true));
    let nodes = house.store.read(paired_nodes).unwrap();
    assert_eq!(nodes.len(), 1);
    assert_eq!(
        (nodes[0].node_id.as_str(), &nodes[0].facts),
        ("phone", &facts)
    );
    assert_eq!(nodes[0].display_name.as_deref(), Some("PHONE"));
    let rename = |node: &'static str| {
        house
            .store
            .write(move |tx| pair::rename_node(tx, node, "Kitchen"))
    };
    rename("phone").await.unwrap();
    assert_eq!(rename("laptop").await, Err(PairError::UnknownNode));
    let phone = house
        .store
        .read(|reader| paired_node(reader, "phone"))
        .unwrap()
        .unwrap();
    assert_eq!(
        (phone.display_name.as_deref(), &phone.facts),
        (Some("Kitchen"), &facts)
    );
    let removed = house.store.write(|tx| pair::remove(tx, "phone", at(9)));
    removed.await.unwrap();
    assert_eq!(house.store.read(paired_nodes).unwrap(), []);
    let again = house.store.write(|tx| pair::remove(tx, "phone", at(9)));
    assert_eq!(again.await, Err(PairError::UnknownDevice));
}

#[tokio::test]
async fn a_node_without_a_key_is_paired_and_then_shows_its_key() {
    let house = House::new();
    let params = serde_json::from_value(serde_json::json!({"nodeId": "phone", "platform": "iOS", "version": "7", "commands": ["b", "a"]})).unwrap();
    let new = super::pending::Request::of_node(params, at(0));
    let again = new.clone();
    let first = house
        .store
        .write(move |tx| pair::request_node(tx, new, at(0)))
        .await
        .unwrap();
    let second = house
        .store
        .write(move |tx| pair::request_node(tx, again, at(1)))
        .await
        .unwrap();
    assert_eq!((first.value.1, second.value.1), (true, false));
    assert_eq!(
        (first.value.0.id.clone(), second.announcements),
        (second.value.0.id, vec![])
    );
    let approved = house
        .approve(&first.value.0.id, admin(), at(2))
        .await
        .unwrap();
    assert_eq!(approved.facts.commands, list("a b"));
    let token = approved.stored.device.tokens["node"].token.clone();
    let verify = |token: String| {
        house
            .store
            .read(move |reader| pair::verify_node(reader, "phone", &token))
            .unwrap()
    };
    assert!(verify(token.clone()).is_some());
    assert!(verify("x".into()).is_none());
    let mut with_key = ask("phone", Role::Node, "");
    with_key.token = Some(openclaw_shared::secret::Secret::new(token.clone()));
    assert_eq!(house.standing(&with_key), Standing::AskOwner);
    let (request, _) = house.wait(&with_key, at(3)).await;
    house.approve(&request, admin(), at(4)).await.unwrap();
    assert!(verify(token).is_none(), "the key gets a token of its own");
}

#[tokio::test]
async fn a_node_that_is_announced_takes_nothing_from_the_device_that_has_the_key() {
    let house = House::new();
    let announced = || {
        let params = serde_json::json!({"nodeId": "phone"});
        super::pending::Request::of_node(serde_json::from_value(params).unwrap(), at(0))
    };
    let (early, late) = (announced(), announced());
    let early = house
        .store
        .write(move |tx| pair::request_node(tx, early, at(0)))
        .await
        .unwrap();
    let phone = ask("phone", Role::Operator, "operator.admin");
    let token = house.paired(&phone).await;
    // The key has come since.
    let approved = house.approve(&early.value.0.id, admin(), at(1)).await;
    assert_eq!(approved, Err(PairError::HasKey));
    let refused = house
        .store
        .write(move |tx| pair::request_node(tx, late, at(2)));
    assert_eq!(refused.await, Err(PairError::HasKey));
    let device = house.device("phone").unwrap();
    assert_eq!(device.tokens["operator"].token, token);
}

#[test]
fn decisions_are_spelled_as_clients_know_them() {
    let texts: Vec<&str> = PairDecision::ALL
        .iter()
        .map(|decision| decision.as_str())
        .collect();
    assert_eq!(texts, ["approved", "rejected", "expired"]);
}
