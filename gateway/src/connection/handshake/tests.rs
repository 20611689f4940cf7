//! The first frame, told as a table: what is said, what follows.

use openclaw_shared::clock::WallTime;
use openclaw_shared::credentials::{AuthMode, Credentials};
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::secret::Secret;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ControlUiRules, Facts, Verdict, first_frame};
use crate::connection::validate::Validator;

const NO_BYPASS: ControlUiRules = ControlUiRules {
    allow_insecure_auth: false,
    disable_device_auth: false,
};

fn credentials(mode: AuthMode) -> Credentials {
    let secret = |text: &str| Some(Secret::new(text.to_owned()));
    Credentials {
        mode,
        token: secret("tok"),
        password: secret("pass"),
    }
}

fn judge(frame: &str, credentials: &Credentials, control_ui: ControlUiRules) -> Verdict {
    let connect = Validator::of::<ConnectParams>();
    let facts = Facts {
        nonce: "n-1",
        now: WallTime::from_millis(1_700_000_000_000),
        credentials: Some(credentials),
        control_ui,
        connect: &connect,
    };
    first_frame(frame, &facts)
}

fn frame(params: &Value) -> String {
    json!({"type": "req", "id": "c1", "method": "connect", "params": params}).to_string()
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Close { code, reason } => format!("close {code} {reason}"),
        Verdict::Refuse(refusal) => {
            format!(
                "{} {:?} {}",
                refusal.code, refusal.error.code, refusal.error.message
            )
        }
        Verdict::Admit(admission) => {
            let scopes = admission.scopes.join(",");
            let device = if admission.device.is_some() {
                " device"
            } else {
                ""
            };
            format!("admit {} [{scopes}]{device}", admission.rights.role())
        }
    }
}

#[track_caller]
fn check(mode: AuthMode, rules: ControlUiRules, change: impl FnOnce(&mut Value), expected: &str) {
    let mut params = json!({
        "minProtocol": 3, "maxProtocol": 3,
        "client": {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"},
        "auth": {"token": "tok"},
    });
    change(&mut params);
    assert_eq!(
        told(&judge(&frame(&params), &credentials(mode), rules)),
        expected,
        "{params}"
    );
}

fn token(change: impl FnOnce(&mut Value), expected: &str) {
    check(AuthMode::Token, NO_BYPASS, change, expected);
}

#[test]
fn scopes_and_roles_are_as_asked_for() {
    token(|_| {}, "admit operator [operator.admin]");
    token(|p| p["scopes"] = json!([]), "admit operator []");
    token(
        |p| p["scopes"] = json!(["operator.read"]),
        "admit operator [operator.read]",
    );
    token(
        |p| p["role"] = "operator".into(),
        "admit operator [operator.admin]",
    );
    token(
        |p| p["role"] = "node".into(),
        "1008 NotPaired device identity required",
    );
    token(
        |p| p["role"] = "Operator".into(),
        "1008 InvalidRequest invalid role",
    );
    token(
        |p| p["role"] = "".into(),
        "1008 InvalidRequest invalid connect params: at /role: must NOT have fewer than 1 characters",
    );
}

#[test]
fn a_secret_must_be_presented_in_the_place_of_its_mode() {
    let nothing = |p: &mut Value| drop(p.as_object_mut().unwrap().remove("auth"));
    token(nothing, "1008 NotPaired device identity required");
    token(
        |p| p["auth"] = json!({"password": "pass"}),
        "1008 NotPaired device identity required",
    );
    let password = |change: &mut dyn FnMut(&mut Value), expected| {
        check(AuthMode::Password, NO_BYPASS, change, expected);
    };
    password(
        &mut |p| p["auth"] = json!({"password": "pass"}),
        "admit operator [operator.admin]",
    );
    password(
        &mut |p| p["auth"] = json!({"password": "tok"}),
        "1008 InvalidRequest unauthorized: gateway password mismatch (provide gateway auth password)",
    );
    password(
        &mut |_| {},
        "1008 InvalidRequest unauthorized: gateway password missing (provide gateway auth password)",
    );
    password(
        &mut |p| nothing(p),
        "1008 NotPaired device identity required",
    );
}

#[test]
fn the_control_ui_needs_a_device_unless_the_owner_says_otherwise() {
    let ui = |p: &mut Value| p["client"]["id"] = "openclaw-control-ui".into();
    let refused = "1008 InvalidRequest control ui requires HTTPS or localhost (secure context)";
    token(ui, refused);
    for (insecure, disabled) in [(true, false), (false, true)] {
        let rules = ControlUiRules {
            allow_insecure_auth: insecure,
            disable_device_auth: disabled,
        };
        check(
            AuthMode::Token,
            rules,
            ui,
            "admit operator [operator.admin]",
        );
        let wrong = |p: &mut Value| {
            ui(p);
            p["auth"] = json!({"token": "x"});
        };
        let hint = "open a tokenized dashboard URL or paste token in Control UI settings";
        let text = format!("1008 InvalidRequest unauthorized: gateway token mismatch ({hint})");
        check(AuthMode::Token, rules, wrong, &text);
    }
}

#[test]
fn a_device_block_is_verified_whatever_the_secret() {
    let device = json!({"id": "0".repeat(64), "publicKey": "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg", "signature": "x", "signedAt": 1});
    token(
        |p| p["device"] = device.clone(),
        "1008 InvalidRequest device identity mismatch",
    );
    let ui = |p: &mut Value| {
        p["client"]["id"] = "openclaw-control-ui".into();
        p["device"] = device.clone();
    };
    let ignoring = ControlUiRules {
        disable_device_auth: true,
        ..NO_BYPASS
    };
    check(
        AuthMode::Token,
        ignoring,
        ui,
        "admit operator [operator.admin]",
    );
    let checking = ControlUiRules {
        allow_insecure_auth: true,
        ..NO_BYPASS
    };
    check(
        AuthMode::Token,
        checking,
        ui,
        "1008 InvalidRequest device identity mismatch",
    );
}

#[test]
fn the_protocol_range_must_contain_ours() {
    let range = |min: Value, max: Value, expected: &str| {
        token(
            |p| {
                p["minProtocol"] = min;
                p["maxProtocol"] = max;
            },
            expected,
        );
    };
    range(json!(1), json!(9), "admit operator [operator.admin]");
    range(json!(3.0), json!(3.0), "admit operator [operator.admin]");
    range(json!(3), json!(1e20), "admit operator [operator.admin]");
    for (min, max) in [(1, 2), (4, 9), (9, 1)] {
        range(
            json!(min),
            json!(max),
            "1002 InvalidRequest protocol mismatch",
        );
    }
    let refused =
        |field| format!("1008 InvalidRequest invalid connect params: at /{field}: must be ");
    for (bad, must) in [
        (json!(0), ">= 1"),
        (json!(-1e20), ">= 1"),
        (json!(3.5), "integer"),
        (json!("3"), "integer"),
        (json!(null), "integer"),
    ] {
        range(bad, json!(3), &format!("{}{must}", refused("minProtocol")));
    }
}

#[test]
fn parameters_must_be_there() {
    let credentials = credentials(AuthMode::Token);
    for frame in [
        r#"{"type":"req","id":"1","method":"connect"}"#,
        r#"{"type":"req","id":"1","method":"connect","params":null}"#,
        r#"{"type":"req","id":"1","method":"connect","params":[]}"#,
    ] {
        let verdict = told(&judge(frame, &credentials, NO_BYPASS));
        assert_eq!(
            verdict, "1008 InvalidRequest invalid connect params: must be object",
            "{frame}"
        );
    }
}

#[test]
fn the_close_reason_is_cut_between_characters() {
    let long =
        json!({"type": "req", "id": "1", "method": "connect", "params": {"ü".repeat(60): 1}});
    let credentials = credentials(AuthMode::Token);
    let Verdict::Refuse(refusal) = judge(&long.to_string(), &credentials, NO_BYPASS) else {
        panic!()
    };
    assert!(refusal.reason.len() <= 120 && refusal.error.message.starts_with(&refusal.reason));
}

proptest! {
    #[test]
    fn whatever_comes_first_nobody_is_let_in_without_the_secret(
        text in prop_oneof![
            ".{0,60}",
            "\\{\"type\":\"req\",\"id\":\"1\",\"method\":\"connect\",\"params\":.{0,40}\\}",
        ],
        presented in prop_oneof![Just(String::new()), "[tok]{1,4}", "tok.", ".tok", "TOK", "pass"],
    ) {
        let nobody = |verdict: &Verdict| !matches!(verdict, Verdict::Admit(_));
        let credentials = credentials(AuthMode::Token);
        prop_assert!(nobody(&judge(&text, &credentials, NO_BYPASS)));
        prop_assume!(presented != "tok");
        let params = json!({
            "minProtocol": 3, "maxProtocol": 3,
            "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"},
            "auth": {"token": presented, "password": "pass"},
        });
        prop_assert!(nobody(&judge(&frame(&params), &credentials, NO_BYPASS)));
    }
}
