use std::path::PathBuf;

use openclaw_shared::digest;
use serde_json::{Value, json};

use crate::testing::{Client, Gateway};

const FILE: &str = r##"{
  // mine
  gateway: { port: 20001, auth: { token: "geheim-im-file" } },
  ui: { seamColor: "#111111" }, // nice
}
"##;

struct Desk {
    gateway: Gateway,
    client: Client,
    path: PathBuf,
}

impl Desk {
    async fn with(text: Option<&str>) -> Self {
        let gateway = Gateway::start().await;
        let path = gateway.context.instance.identity.config_path.clone();
        if let Some(text) = text {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let (client, _) = gateway.client().await;
        Self {
            gateway,
            client,
            path,
        }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }

    fn hash(&self) -> String {
        digest::hex(self.text().as_bytes())
    }

    async fn payload(&mut self, method: &str, params: Value) -> Value {
        let answer = self.client.call(method, params).await;
        assert_eq!(answer["ok"], true, "{answer}");
        answer["payload"].clone()
    }

    /// A change that must be refused, with the file as it was.
    async fn refused(&mut self, method: &str, raw: &str, base: Option<&str>) -> Value {
        let before = std::fs::read_to_string(&self.path).ok();
        let mut params = json!({"raw": raw});
        if let Some(base) = base {
            params["baseHash"] = base.into();
        }
        let answer = self.client.call(method, params).await;
        assert_eq!(answer["ok"], false, "{answer}");
        assert_eq!(std::fs::read_to_string(&self.path).ok(), before);
        answer["error"].clone()
    }
}

#[tokio::test(flavor = "local")]
async fn a_snapshot_has_the_keys_of_the_peer_and_no_secret() {
    let mut desk = Desk::with(Some(FILE)).await;
    let shown = desk.payload("config.get", json!({})).await;
    let keys: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys,
        [
            "path",
            "exists",
            "raw",
            "parsed",
            "valid",
            "config",
            "hash",
            "issues",
            "warnings",
            "legacyIssues"
        ]
    );
    assert_eq!(shown["path"], desk.path.display().to_string());
    assert_eq!(shown["hash"], desk.hash());
    assert_eq!(
        shown["raw"],
        FILE.replace("geheim-im-file", "__OPENCLAW_REDACTED__")
    );
    for place in ["/parsed", "/config"] {
        let token = shown.pointer(&format!("{place}/gateway/auth/token"));
        assert_eq!(token, Some(&json!("__OPENCLAW_REDACTED__")), "{place}");
    }
    assert!(!shown.to_string().contains("geheim-im-file"));
    let clear = desk
        .payload("config.get", json!({"includeSecrets": true}))
        .await;
    assert_eq!(clear["raw"], FILE);
    assert_eq!(
        clear["config"]["gateway"]["auth"]["token"],
        "geheim-im-file"
    );
    let answer = desk.client.call("config.get", json!({"x": 1})).await;
    assert_eq!(
        answer["error"]["message"],
        "invalid config.get params: at root: unexpected property 'x'"
    );
}

#[tokio::test(flavor = "local")]
async fn a_file_that_is_not_there_or_not_readable_is_a_snapshot_too() {
    let mut desk = Desk::with(None).await;
    let shown = desk.payload("config.get", json!({})).await;
    let path = desk.path.display().to_string();
    assert_eq!(
        shown,
        json!({
            "path": path, "exists": false, "raw": null, "parsed": {}, "valid": true, "config": {},
            "hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "issues": [], "warnings": [], "legacyIssues": [],
        })
    );
    // Written for the first time, without a base.
    let set = desk
        .payload("config.set", json!({"raw": "{ui: {seamColor: '#123456'}}"}))
        .await;
    assert_eq!(set["config"], json!({"ui": {"seamColor": "#123456"}}));
    std::fs::write(&desk.path, "{ broken, token: \"geheim\"").unwrap();
    let shown = desk.payload("config.get", json!({})).await;
    assert_eq!(shown["valid"], false);
    assert_eq!(shown["parsed"], json!({}));
    assert!(!shown["raw"].to_string().contains("geheim"), "{shown}");
    let message = shown["issues"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("JSON5 parse failed: SyntaxError: JSON5: "),
        "{message}"
    );
    let hash = desk.hash();
    let error = desk.refused("config.patch", "{}", Some(&hash)).await;
    assert_eq!(error["message"], "invalid config; fix before patching");
}

#[tokio::test(flavor = "local")]
async fn an_edit_is_seen_at_once_and_odd_keys_are_told_apart() {
    let mut desk = Desk::with(Some(FILE)).await;
    desk.payload("config.get", json!({})).await;
    for text in [
        "{wat: 1}",
        "{wat: 2}",
        "{telegram: {}}",
        "{gateway: {port: \"x\"}}",
    ] {
        std::fs::write(&desk.path, text).unwrap();
        let shown = desk.payload("config.get", json!({})).await;
        assert_eq!(shown["raw"], text);
        let counts = ["issues", "warnings", "legacyIssues"]
            .map(|kind| shown[kind].as_array().unwrap().len());
        let expected = match text {
            "{telegram: {}}" => [0, 0, 1],
            "{wat: 1}" | "{wat: 2}" => [0, 1, 0],
            _ => [1, 0, 0],
        };
        assert_eq!(counts, expected, "{shown}");
    }
}

#[tokio::test(flavor = "local")]
async fn rule_55_a_write_without_its_base_or_on_an_old_one_is_refused() {
    let mut desk = Desk::with(Some(FILE)).await;
    for method in ["config.set", "config.apply", "config.patch"] {
        let error = desk.refused(method, "{}", None).await;
        assert_eq!(error["code"], "INVALID_REQUEST");
        assert_eq!(
            error["message"],
            "config base hash required; re-run config.get and retry"
        );
        let error = desk.refused(method, "{}", Some("0000")).await;
        assert_eq!(
            error["message"],
            "config changed since last load; re-run config.get and retry"
        );
    }
    // Of two writers with the same base one wins.
    let hash = desk.hash();
    let (mut other, _) = desk.gateway.client().await;
    let params =
        |color: &str| json!({"raw": format!("{{ui: {{seamColor: '{color}'}}}}"), "baseHash": hash});
    let (first, second) = tokio::join!(
        desk.client.call("config.patch", params("#aaaaaa")),
        other.call("config.patch", params("#bbbbbb"))
    );
    assert_ne!(first["ok"], second["ok"], "{first} {second}");
}

#[tokio::test(flavor = "local")]
async fn rule_56_a_text_that_does_not_validate_is_not_written() {
    let mut desk = Desk::with(Some(FILE)).await;
    let hash = desk.hash();
    let error = desk
        .refused("config.set", "{gateway: {port: \"x\"}}", Some(&hash))
        .await;
    assert_eq!(error["message"], "invalid config");
    assert_eq!(error["details"]["issues"][0]["path"], "gateway.port");
    let error = desk
        .refused(
            "config.patch",
            "{gateway: {bind: \"everywhere\"}}",
            Some(&hash),
        )
        .await;
    assert_eq!(error["details"]["issues"][0]["path"], "gateway.bind");
    for raw in ["{a:", "{a: b}", &"[".repeat(100_000), &"{a:".repeat(60_000)] {
        let error = desk.refused("config.set", raw, Some(&hash)).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("SyntaxError: JSON5: "), "{message}");
    }
    let error = desk.refused("config.set", "[]", Some(&hash)).await;
    assert_eq!(error["message"], "invalid config");
    let error = desk.refused("config.patch", "[]", Some(&hash)).await;
    assert_eq!(error["message"], "config.patch raw must be an object");
    let error = desk.refused("config.patch", "", Some(&hash)).await;
    assert_eq!(
        error["message"],
        "invalid config.patch params: at /raw: must NOT have fewer than 1 characters"
    );
    let many: Vec<String> = (0..3_000).map(|n| format!("k{n}: 1")).collect();
    let error = desk
        .refused(
            "config.patch",
            &format!("{{x: {{{}}}}}", many.join(", ")),
            Some(&hash),
        )
        .await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("use config.set"),
        "{error}"
    );
}

#[tokio::test(flavor = "local")]
async fn rule_57_keys_that_javascript_takes_for_something_else_are_refused_at_any_depth() {
    let mut desk = Desk::with(Some(FILE)).await;
    let hash = desk.hash();
    for key in ["__proto__", "constructor", "prototype"] {
        for raw in [
            format!("{{\"{key}\": {{polluted: true}}}}"),
            format!("{{agents: {{list: [{{id: 'a', x: {{'{key}': 1}}}}]}}}}"),
            format!("{{ui: {{{key}: null}}}}"),
        ] {
            for method in ["config.set", "config.apply", "config.patch"] {
                let error = desk.refused(method, &raw, Some(&hash)).await;
                assert!(
                    error["details"].to_string().contains(key),
                    "{method} {raw}: {error}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "local")]
async fn rule_103_a_placeholder_sent_back_keeps_the_secret_and_alone_it_is_refused() {
    let mut desk = Desk::with(Some(FILE)).await;
    let shown = desk.payload("config.get", json!({})).await;
    let raw = shown["raw"].as_str().unwrap().replace("#111111", "#222222");
    let set = desk
        .payload("config.set", json!({"raw": raw, "baseHash": shown["hash"]}))
        .await;
    assert_eq!(desk.text(), FILE.replace("#111111", "#222222"));
    assert_eq!(
        set["config"]["gateway"]["auth"]["token"],
        "__OPENCLAW_REDACTED__"
    );
    // As a form does it: the whole configuration as JSON.
    let shown = desk.payload("config.get", json!({})).await;
    let form = shown["config"].to_string();
    desk.payload(
        "config.apply",
        json!({"raw": form, "baseHash": shown["hash"]}),
    )
    .await;
    let clear = desk
        .payload("config.get", json!({"includeSecrets": true}))
        .await;
    assert_eq!(
        clear["config"]["gateway"]["auth"]["token"],
        "geheim-im-file"
    );
    let hash = desk.hash();
    for method in ["config.set", "config.patch"] {
        let raw = "{hooks: {token: \"__OPENCLAW_REDACTED__\"}}";
        let error = desk.refused(method, raw, Some(&hash)).await;
        assert_eq!(
            error["details"]["issues"][0]["path"], "hooks.token",
            "{error}"
        );
    }
}

#[tokio::test(flavor = "local")]
async fn a_patch_keeps_what_it_does_not_name_and_answers_as_the_peer_does() {
    let mut desk = Desk::with(Some(FILE)).await;
    let params = json!({
        "raw": "{ui: {seamColor: null}, gateway: {port: 20002, auth: {token: '__OPENCLAW_REDACTED__'}}}",
        "baseHash": desk.hash(), "note": "why", "sessionKey": "agent:main:main", "restartDelayMs": 500,
    });
    let done = desk.payload("config.patch", params).await;
    assert_eq!(
        desk.text(),
        "{\n  // mine\n  gateway: { port: 20002, auth: { token: \"geheim-im-file\" } },\n  ui: { }, // nice\n}\n"
    );
    let path = desk.path.display().to_string();
    let ts = done["sentinel"]["payload"]["ts"].clone();
    assert!(ts.is_u64());
    assert_eq!(
        done,
        json!({
            "ok": true,
            "path": path,
            "config": {"gateway": {"port": 20002, "auth": {"token": "__OPENCLAW_REDACTED__"}}, "ui": {}},
            "restart": {"ok": false, "pid": std::process::id(), "signal": "SIGUSR1", "delayMs": 0, "reason": "config.patch", "mode": "none"},
            "sentinel": {"path": null, "payload": {
                "kind": "config-apply", "status": "ok", "ts": ts, "sessionKey": "agent:main:main", "message": "why",
                "doctorHint": "Run: openclaw doctor --non-interactive", "stats": {"mode": "config.patch", "root": path},
            }},
            "outcome": {"state": "live", "keys": []},
        })
    );
}

#[tokio::test(flavor = "local")]
async fn a_reference_stays_one_and_its_value_is_not_shown() {
    let text =
        "{env: {vars: {SECRET_WORD: 'geheim'}}, gateway: {auth: {password: '${SECRET_WORD}'}}}";
    let mut desk = Desk::with(Some(text)).await;
    let shown = desk.payload("config.get", json!({})).await;
    assert!(!shown.to_string().contains("geheim"), "{shown}");
    assert_eq!(
        shown["parsed"]["gateway"]["auth"]["password"],
        "${SECRET_WORD}"
    );
    assert_eq!(
        shown["config"]["gateway"]["auth"]["password"],
        "__OPENCLAW_REDACTED__"
    );
    let raw = shown["config"].to_string();
    desk.payload("config.set", json!({"raw": raw, "baseHash": shown["hash"]}))
        .await;
    assert!(desk.text().contains("${SECRET_WORD}"), "{}", desk.text());
}

#[tokio::test(flavor = "local")]
async fn a_form_can_be_built_from_the_schema() {
    let mut desk = Desk::with(None).await;
    let reply = desk.payload("config.schema", json!({})).await;
    let keys: Vec<_> = reply.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["schema", "uiHints", "version", "generatedAt"]);
    assert_eq!(reply["schema"]["type"], "object");
    assert_eq!(reply["uiHints"]["gateway.auth.token"]["sensitive"], true);
}
