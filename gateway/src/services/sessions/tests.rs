use std::sync::Arc;

use openclaw_shared::clock::WallTime;
use openclaw_shared::config::Config;
use openclaw_shared::protocol::params::sessions::SessionsListParams;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::list::Asked;
use super::{Register, Rows};
use crate::methods::MethodError;
use crate::settings::Settings;
use crate::testing::instance;

pub(super) struct House {
    pub(super) store: Connection,
    pub(super) register: Register,
}

impl House {
    pub(super) fn new(config: Value) -> Self {
        let instance = instance(std::path::Path::new("/home/me"));
        let settings = Settings::of(&Config::from_effective(&config).unwrap(), &instance);
        let store = Connection::open_in_memory().unwrap();
        for tables in [
            include_str!("../../store/schema/sessions.sql"),
            include_str!("../../store/schema/runs.sql"),
            include_str!("../../store/schema/transcripts.sql"),
            include_str!("../../store/schema/session_changes.sql"),
        ] {
            store.execute_batch(tables).unwrap();
        }
        Self {
            store,
            register: Register::new(Arc::new(settings)),
        }
    }

    pub(super) fn patch(&self, at: u64, params: Value) -> Result<Value, String> {
        let params = read(params);
        let patched = self
            .register
            .patch(&self.store, WallTime::from_millis(at), &params);
        text(patched.map(|(_, entry)| entry))
    }

    fn list(&self, at: u64, params: Value) -> Value {
        let params = read(params);
        let mut kept = Rows::default();
        let list = self.list_with(&mut kept, at, &params);
        serde_json::from_str(&list).unwrap()
    }

    pub(super) fn list_with(
        &self,
        kept: &mut Rows,
        at: u64,
        params: &SessionsListParams,
    ) -> String {
        let now = WallTime::from_millis(at);
        let list = self.register.list(&self.store, kept, now, params, "~/s");
        String::from_utf8(list.unwrap().json().to_vec()).unwrap()
    }

    /// The same with nothing kept.
    pub(super) fn list_plainly(&self, at: u64, params: &SessionsListParams) -> String {
        let now = WallTime::from_millis(at);
        let asked = Asked::of(params, now);
        let listing = self.register.listing(&self.store, &asked, now, "~/s");
        serde_json::to_string(&listing.unwrap()).unwrap()
    }

    fn keys(&self, at: u64, params: Value) -> Vec<String> {
        let list = self.list(at, params);
        let rows = list["sessions"].as_array().unwrap().iter();
        rows.map(|row| row["key"].as_str().unwrap().to_owned())
            .collect()
    }

    fn resolve(&self, params: Value) -> Result<Value, String> {
        let params = read(params);
        text(self.register.resolve(&self.store, &params))
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(params: Value) -> T {
    serde_json::from_value(params).unwrap()
}

fn text<T: serde::Serialize>(outcome: Result<T, MethodError>) -> Result<Value, String> {
    outcome
        .map(|value| serde_json::to_value(value).unwrap())
        .map_err(|error| error.shape().message.clone())
}

#[test]
fn each_field_takes_its_words_and_refuses_others_by_name() {
    let house = House::new(json!({}));
    for (field, value, expected) in [
        ("thinkingLevel", json!("ULTRA"), json!("high")),
        ("thinkingLevel", json!("think"), json!("minimal")),
        ("thinkingLevel", json!("off"), Value::Null),
        ("verboseLevel", json!("true"), json!("on")),
        ("verboseLevel", json!("off"), json!("off")),
        ("verboseLevel", json!("all"), json!("full")),
        ("reasoningLevel", json!("draft"), json!("stream")),
        ("reasoningLevel", json!("hide"), Value::Null),
        ("elevatedLevel", json!("auto"), json!("full")),
        ("elevatedLevel", json!("off"), json!("off")),
        ("responseUsage", json!("on"), json!("tokens")),
        ("responseUsage", json!("off"), Value::Null),
        ("execHost", json!("NODE"), json!("node")),
        ("execSecurity", json!(" Deny "), json!("deny")),
        ("execAsk", json!("ON-MISS"), json!("on-miss")),
        ("execNode", json!(" n "), json!("n")),
        ("sendPolicy", json!("deny"), json!("deny")),
        ("groupActivation", json!("always"), json!("always")),
        ("label", json!(" l "), json!("l")),
        ("label", Value::Null, Value::Null),
    ] {
        let entry = house.patch(1, json!({"key": "x", field: value})).unwrap();
        assert_eq!(
            entry.get(field).unwrap_or(&Value::Null),
            &expected,
            "{field} {value}"
        );
    }
    for (field, value, refusal) in [
        (
            "thinkingLevel",
            "bogus",
            "invalid thinkingLevel (use off|minimal|low|medium|high)",
        ),
        (
            "verboseLevel",
            "bogus",
            "invalid verboseLevel (use \"on\"|\"off\")",
        ),
        (
            "reasoningLevel",
            "bogus",
            "invalid reasoningLevel (use \"on\"|\"off\"|\"stream\")",
        ),
        (
            "elevatedLevel",
            "bogus",
            "invalid elevatedLevel (use \"on\"|\"off\"|\"ask\"|\"full\")",
        ),
        (
            "execHost",
            "bogus",
            "invalid execHost (use \"sandbox\"|\"gateway\"|\"node\")",
        ),
        (
            "execSecurity",
            "bogus",
            "invalid execSecurity (use \"deny\"|\"allowlist\"|\"full\")",
        ),
        (
            "execAsk",
            "bogus",
            "invalid execAsk (use \"off\"|\"on-miss\"|\"always\")",
        ),
        ("execNode", " ", "invalid execNode: empty"),
        ("label", "  ", "invalid label: empty"),
        ("model", " ", "invalid model: empty"),
        ("model", "opus", "invalid model: opus (use provider/model)"),
        (
            "spawnedBy",
            "agent:main:main",
            "spawnedBy is only supported for subagent:* sessions",
        ),
    ] {
        assert_eq!(
            house.patch(1, json!({"key": "x", field: value})),
            Err(refusal.to_owned())
        );
    }
}

#[test]
fn a_label_is_one_sessions_and_a_parent_is_set_once() {
    let house = House::new(json!({}));
    house.patch(1, json!({"key": "a", "label": "L"})).unwrap();
    house.patch(1, json!({"key": "a", "label": "L"})).unwrap();
    assert_eq!(
        house.patch(1, json!({"key": "b", "label": "L"})),
        Err("label already in use: L".to_owned())
    );
    assert_eq!(house.keys(2, json!({})), ["agent:main:a"]);
    house.patch(1, json!({"key": "a", "label": null})).unwrap();
    house.patch(1, json!({"key": "b", "label": "L"})).unwrap();
    let child = |parent: Value| {
        house
            .patch(1, json!({"key": "subagent:1", "spawnedBy": parent}))
            .map(drop)
    };
    assert_eq!(child(json!("agent:main:a")), Ok(()));
    assert_eq!(child(json!("agent:main:a")), Ok(()));
    assert_eq!(
        child(json!("agent:main:b")),
        Err("spawnedBy cannot be changed once set".to_owned())
    );
    assert_eq!(
        child(Value::Null),
        Err("spawnedBy cannot be cleared once set".to_owned())
    );
}

#[test]
fn a_model_that_is_the_default_is_no_override() {
    let house = House::new(json!({"agents": {"defaults": {"model": "p/m"}}}));
    let entry = house
        .patch(1, json!({"key": "a", "model": "p/other"}))
        .unwrap();
    assert_eq!(
        (&entry["providerOverride"], &entry["modelOverride"]),
        (&json!("p"), &json!("other"))
    );
    let entry = house.patch(2, json!({"key": "a", "model": "p/m"})).unwrap();
    assert!(entry.get("modelOverride").is_none() && entry.get("providerOverride").is_none());
}

#[test]
fn rows_are_filtered_and_sorted_by_time() {
    let house = House::new(json!({}));
    const MINUTE: u64 = 60_000;
    house
        .patch(MINUTE, json!({"key": "old", "label": "Hello"}))
        .unwrap();
    house.patch(5 * MINUTE, json!({"key": "main"})).unwrap();
    house
        .patch(6 * MINUTE, json!({"key": "agent:ops:telegram:group:-5"}))
        .unwrap();
    house.patch(7 * MINUTE, json!({"key": "global"})).unwrap();
    house.patch(8 * MINUTE, json!({"key": "unknown"})).unwrap();
    let now = 9 * MINUTE;
    let all = [
        "agent:ops:telegram:group:-5",
        "agent:main:main",
        "agent:main:old",
    ];
    assert_eq!(house.keys(now, json!({})), all);
    assert_eq!(
        house
            .keys(now, json!({"includeGlobal": true, "includeUnknown": true}))
            .len(),
        5
    );
    assert_eq!(house.keys(now, json!({"limit": 1})), all[..1]);
    assert_eq!(house.keys(now, json!({"activeMinutes": 5})), all[..2]);
    assert_eq!(house.keys(now, json!({"agentId": "Ops"})), all[..1]);
    assert_eq!(house.keys(now, json!({"search": "HELL"})), all[2..]);
    assert_eq!(house.keys(now, json!({"label": "Hello"})), all[2..]);
    let list = house.list(
        now,
        json!({"includeDerivedTitles": true, "includeLastMessage": true}),
    );
    assert_eq!((&list["path"], &list["count"]), (&json!("~/s"), &json!(3)));
    let group = &list["sessions"][0];
    assert_eq!(
        (
            &group["kind"],
            &group["displayName"],
            &group["channel"],
            &group["totalTokens"]
        ),
        (
            &json!("group"),
            &json!("telegram:g--5"),
            &json!("telegram"),
            &json!(0)
        )
    );
    let title = list["sessions"][2]["derivedTitle"].as_str().unwrap();
    assert!(
        title.len() == 21 && title.ends_with(" (1970-01-01)"),
        "{title}"
    );
    assert_eq!(list["sessions"][2]["displayName"], "Hello");
    assert!(list["sessions"][2].get("lastMessagePreview").is_none());
}

#[test]
fn a_session_is_resolved_by_exactly_one_name() {
    let house = House::new(json!({}));
    let entry = house.patch(1, json!({"key": "a", "label": "L"})).unwrap();
    let found = Ok(json!("agent:main:a"));
    assert_eq!(house.resolve(json!({"key": "a"})), found);
    assert_eq!(house.resolve(json!({"label": "L"})), found);
    assert_eq!(house.resolve(json!({"key": " ", "label": "L"})), found);
    assert_eq!(
        house.resolve(json!({"sessionId": entry["sessionId"]})),
        found
    );
    let refused =
        |params: Value, text: &str| assert_eq!(house.resolve(params), Err(text.to_owned()));
    refused(json!({"key": "zzz"}), "No session found: zzz");
    refused(json!({"sessionId": "zzz"}), "No session found: zzz");
    refused(json!({"label": "zzz"}), "No session found with label: zzz");
    refused(json!({}), "Either key, sessionId, or label is required");
    refused(
        json!({"key": "a", "label": "L"}),
        "Provide either key, sessionId, or label (not multiple)",
    );
    refused(json!({"key": "../x"}), "invalid session key");
}

#[test]
fn a_reset_keeps_how_it_is_set_and_the_main_session_stays() {
    let house = House::new(json!({}));
    let before = house
        .patch(
            1,
            json!({
                "key": "main", "label": "L", "thinkingLevel": "high", "sendPolicy": "deny",
                "elevatedLevel": "full", "execHost": "node", "execSecurity": "full", "execAsk": "off", "execNode": "n",
                "groupActivation": "always",
            }),
        )
        .unwrap();
    let reset = house
        .register
        .reset(&house.store, WallTime::from_millis(2), "main")
        .map(|(_, entry)| entry);
    let after = text(reset).unwrap();
    assert_ne!(after["sessionId"], before["sessionId"]);
    assert_eq!(
        (&after["label"], &after["thinkingLevel"]),
        (&json!("L"), &json!("high"))
    );
    assert_eq!(after["sendPolicy"], json!("deny"));
    for gone in [
        "elevatedLevel",
        "execHost",
        "execSecurity",
        "execAsk",
        "execNode",
        "groupActivation",
    ] {
        assert!(!before[gone].is_null(), "{gone}");
        assert_eq!(after.get(gone), None, "{gone}");
    }
    assert_eq!(
        (&after["totalTokens"], &after["systemSent"]),
        (&json!(0), &json!(false))
    );
    let delete = |key| {
        let register = &house.register;
        let deleted = register
            .deletable(key)
            .and_then(|key| register.delete(&house.store, WallTime::from_millis(3), &key, true));
        text(deleted.map(|deleted| deleted.deleted))
    };
    assert_eq!(
        delete("main"),
        Err("Cannot delete the main session (agent:main:main).".to_owned())
    );
    house.patch(1, json!({"key": "agent:gone:main"})).unwrap();
    assert_eq!(delete("agent:gone:main"), Ok(json!(true)));
    house.patch(1, json!({"key": "x"})).unwrap();
    assert_eq!(
        (delete("x"), delete("x")),
        (Ok(json!(true)), Ok(json!(false)))
    );
}

#[test]
fn what_another_version_wrote_stays() {
    let house = House::new(json!({}));
    house.patch(1, json!({"key": "x"})).unwrap();
    let newer = json!({"sessionId": "s", "updatedAt": 1, "fromTheFuture": {"a": 1}}).to_string();
    house
        .store
        .execute("UPDATE sessions SET entry = ?1", [newer])
        .unwrap();
    let entry = house.patch(2, json!({"key": "x", "label": "L"})).unwrap();
    assert_eq!(entry["fromTheFuture"], json!({"a": 1}));
}
