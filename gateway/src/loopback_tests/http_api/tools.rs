//! Tools that programs call.

use http::StatusCode;
use serde_json::json;

use super::{ask, gateway, post};
use crate::testing::Gateway;
#[tokio::test(flavor = "local")]
async fn rule_61_powerful_tools_are_off_over_http_unless_they_are_named() {
    let gateway = gateway().await;
    let config = json!({"gateway": {"tools": {"allow": ["cron", "exec"]}}});
    let named = Gateway::start_with(&config).await;
    for tool in [
        "exec",
        "process",
        "write",
        "edit",
        "nodes",
        "cron",
        "gateway",
        "sessions_send",
        "sessions_spawn",
    ] {
        // Arguments that do not fit: what is called says so, and does nothing.
        let asked = json!({"tool": tool, "args": {"action": "nothing"}});
        let off = post(&gateway, "/tools/invoke", &asked).await;
        assert_eq!(off.status, StatusCode::NOT_FOUND, "{off:?}");
        let why = off.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(why.contains("gateway.tools.allow"), "{why}");
        let is_named = ["cron", "exec"].contains(&tool);
        let answer = post(&named, "/tools/invoke", &asked).await;
        let is_called = answer.status != StatusCode::NOT_FOUND;
        assert_eq!(is_called, is_named, "{tool}: {answer:?}");
    }
}

#[tokio::test(flavor = "local")]
async fn a_tool_is_invoked_as_the_policy_allows() {
    let gateway = gateway().await;
    let listed = post(
        &gateway,
        "/tools/invoke",
        &json!({"tool": "sessions_list", "args": {}}),
    )
    .await;
    assert_eq!(listed.status, StatusCode::OK, "{listed:?}");
    let answer = listed.json();
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["result"]["content"][0]["type"], "text");
    assert!(answer["result"]["details"].is_object());
    let asked = json!({"tool": "web_fetch", "args": {"url": "http://127.0.0.1:1/"}});
    let failed = post(&gateway, "/tools/invoke", &asked).await;
    assert_eq!(
        (failed.status, failed.json()),
        (
            StatusCode::BAD_REQUEST,
            json!({"ok": false, "error": {"type": "tool_error", "message": "Blocked: private/internal IP address"}})
        )
    );
    let none = post(&gateway, "/tools/invoke", &json!({"tool": "nope"})).await;
    assert_eq!(
        (none.status, none.json()),
        (
            StatusCode::NOT_FOUND,
            json!({"ok": false, "error": {"type": "not_found", "message": "Tool not available: nope"}})
        )
    );
    let nothing = post(&gateway, "/tools/invoke", &json!({})).await;
    assert_eq!(
        (nothing.status, nothing.json()),
        (
            StatusCode::BAD_REQUEST,
            json!({"error": {"message": "tools.invoke requires body.tool", "type": "invalid_request_error"}})
        )
    );
    let get = ask(&gateway, "GET", "/tools/invoke", &[], "").await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
    let strict = Gateway::start_with(&json!({"tools": {"deny": ["sessions_list"]}})).await;
    let denied = post(&strict, "/tools/invoke", &json!({"tool": "sessions_list"})).await;
    assert_eq!(denied.status, StatusCode::NOT_FOUND, "{denied:?}");
}
