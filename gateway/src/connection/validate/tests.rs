//! The texts that clients know.

use std::fmt;

use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::method;
use openclaw_shared::protocol::params::logs::LogsTailParams;
use openclaw_shared::protocol::params::presence::SystemEventParams;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Compiled, Validator};

mod agreement;

/// A connect with every field there is.
fn full_connect() -> Value {
    json!({
        "minProtocol": 3, "maxProtocol": 3,
        "client": {
            "id": "cli", "displayName": "n", "version": "dev", "platform": "linux", "deviceFamily": "f",
            "modelIdentifier": "m", "mode": "cli", "instanceId": "i",
        },
        "caps": ["system"], "commands": ["system.run"], "permissions": {"camera": true}, "pathEnv": "/bin",
        "role": "operator", "scopes": ["operator.admin"],
        "device": {"id": "d", "publicKey": "k", "signature": "s", "signedAt": 1, "nonce": "n"},
        "auth": {"token": "t", "password": "p"}, "locale": "en", "userAgent": "u",
    })
}

#[track_caller]
fn check<P: DeserializeOwned + JsonSchema + fmt::Debug>(method: &str, raw: &str, complaint: &str) {
    let text = Validator::of::<P>().parse::<P>(method, raw).unwrap_err();
    assert_eq!(
        text,
        format!("invalid {method} params: {complaint}"),
        "{raw}"
    );
}

#[test]
fn complaints_read_as_clients_know_them() {
    let logs = check::<LogsTailParams>;
    logs(
        "logs.tail",
        r#"{"foo":1,"limit":0}"#,
        "at root: unexpected property 'foo'; at /limit: must be >= 1",
    );
    logs(
        "logs.tail",
        r#"{"limit":5001,"cursor":-1}"#,
        "at /cursor: must be >= 0; at /limit: must be <= 5000",
    );
    logs(
        "logs.tail",
        r#"{"limit":"1","maxBytes":1.5}"#,
        "at /limit: must be integer; at /maxBytes: must be integer",
    );
    logs(
        "logs.tail",
        r#"{"limit":null}"#,
        "at /limit: must be integer",
    );
    for raw in ["[]", "null", "1", "\"x\"", "true"] {
        logs("logs.tail", raw, "must be object");
    }
    check::<SystemEventParams>("system-event", r#"{"text":5}"#, "at /text: must be string");
    check::<SystemEventParams>(
        "system-event",
        r#"{"text":"x","host":1}"#,
        "at /host: must be string,null",
    );
    let connect = check::<ConnectParams>;
    connect(
        "connect",
        "{}",
        "must have required property 'minProtocol'; must have required property 'maxProtocol'; must have required property 'client'",
    );
    connect(
        "connect",
        r#"{"minProtocol":3,"maxProtocol":3,"client":{"id":"x","version":"","platform":"p","mode":7,"a/b~":1}}"#,
        "at /client: unexpected property 'a/b~'; at /client/id: must be equal to constant; \
         at /client/id: must match a schema in anyOf; at /client/version: must NOT have fewer than 1 characters; \
         at /client/mode: must be string; at /client/mode: must be equal to constant; \
         at /client/mode: must match a schema in anyOf",
    );
    let mut odd = full_connect();
    odd["scopes"] = json!(["", 1]);
    odd["permissions"] = json!({"camera/x": "yes"});
    odd["auth"] = json!(["t"]);
    connect(
        "connect",
        &odd.to_string(),
        "at /permissions/camera~1x: must be boolean; at /scopes/0: must NOT have fewer than 1 characters; \
         at /scopes/1: must be string; at /auth: must be object",
    );
}

#[test]
fn a_complaint_is_bounded_and_repeats_little_of_the_client() {
    let keys: Vec<String> = (0..5000)
        .map(|n| format!("\"{n}\n{}\":1", "x".repeat(50)))
        .collect();
    let raw = format!("{{{}}}", keys.join(","));
    let text = Validator::of::<LogsTailParams>()
        .parse::<LogsTailParams>("logs.tail", &raw)
        .unwrap_err();
    assert!(text.len() < 4_000, "{} bytes", text.len());
    assert!(!text.contains('\n'));
}

#[test]
fn a_key_that_occurs_twice_counts_as_its_last() {
    let params: LogsTailParams = Validator::of::<LogsTailParams>()
        .parse("logs.tail", r#"{"limit":1,"limit":2}"#)
        .unwrap();
    assert_eq!(params.limit.map(|limit| limit.get()), Some(2));
}

#[test]
fn every_schema_of_a_method_compiles() {
    for method in method::all() {
        let _ = Compiled::new((method.params_schema)().to_value());
    }
}

#[test]
fn the_schemas_say_what_the_published_ones_say() {
    let schema = (Validator::of::<ConnectParams>().schema)().to_value();
    assert_eq!(
        schema["required"],
        json!(["minProtocol", "maxProtocol", "client"])
    );
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["properties"]["minProtocol"]["minimum"], json!(1));
    assert_eq!(
        schema["properties"]["client"]["properties"]["mode"]["anyOf"][0],
        json!({"const": "webchat", "type": "string"})
    );
    assert_eq!(
        schema["properties"]["device"]["required"],
        json!(["id", "publicKey", "signature", "signedAt"])
    );
    let schema = (Validator::of::<LogsTailParams>().schema)().to_value();
    assert_eq!(
        (
            &schema["properties"]["limit"]["minimum"],
            &schema["properties"]["limit"]["maximum"]
        ),
        (&json!(1), &json!(5000))
    );
}
