//! The first frame, told as a table: what is said, what follows.

use openclaw_shared::clock::WallTime;
use openclaw_shared::credentials::{AuthMode, Credentials};
use openclaw_shared::identity::DeviceIdentity;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::scope::Role;
use openclaw_shared::protocol::strict::NonEmpty;
use openclaw_shared::secret::Secret;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ControlUiRules, Facts, Step, Tailnet, Verdict, first_frame};
use crate::auth::tailnet;
use crate::connection::validate::Validator;
use crate::services::devices::record::{Device, Grant};
use crate::store::StoreError;

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

const NOW: WallTime = WallTime::from_millis(1_700_000_000_000);

fn judge(frame: &str, credentials: &Credentials, control_ui: ControlUiRules) -> Step {
    look(frame, credentials, control_ui, |_| {}, &|_| Ok(None))
}

fn look(
    frame: &str,
    credentials: &Credentials,
    control_ui: ControlUiRules,
    change: impl FnOnce(&mut Facts<'_>),
    device: &dyn Fn(&str) -> Result<Option<Device>, StoreError>,
) -> Step {
    let connect = Validator::of::<ConnectParams>();
    let mut facts = Facts {
        nonce: "n-1",
        now: NOW,
        credentials: Some(credentials),
        control_ui,
        connect: &connect,
        is_local: true,
        address: Some("192.0.2.9".parse().unwrap()),
        tailnet: Tailnet::NotClaimed,
        device,
    };
    change(&mut facts);
    first_frame(frame, &facts)
}

fn frame(params: &Value) -> String {
    json!({"type": "req", "id": "c1", "method": "connect", "params": params}).to_string()
}

fn told(step: &Step) -> String {
    let verdict = match step {
        Step::Decided(verdict) => verdict,
        Step::AskTailnet => return "ask the tailnet".to_owned(),
        Step::Settle(unsettled) => {
            return format!(
                "settle {} [{}]",
                unsettled.ask.role,
                unsettled.ask.scopes.join(",")
            );
        }
    };
    match verdict {
        Verdict::Close { code, reason } => format!("close {code} {reason}"),
        Verdict::Refuse(refusal) => {
            format!(
                "{} {:?} {}{}",
                refusal.code,
                refusal.error.code,
                refusal.error.message,
                if refusal.is_guess { " (a guess)" } else { "" }
            )
        }
        Verdict::Admit(admission) => {
            let scopes = admission.scopes.join(",");
            let device = match (&admission.device, &admission.token) {
                (None, _) => String::new(),
                (Some(_), None) => format!(" device by {:?}", admission.by),
                (Some(_), Some(token)) => format!(" {} by {:?}", token.device_token, admission.by),
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
fn rules_16_32_37_39_scopes_and_roles_are_as_asked_for() {
    token(|_| {}, "admit operator [operator.admin]");
    token(|p| p["scopes"] = json!([]), "admit operator []");
    token(
        |p| p["scopes"] = json!(["operator.read"]),
        "admit operator [operator.read]",
    );
    token(
        |p| p["scopes"] = json!(["operator.*", "OPERATOR.ADMIN", "operator.admin "]),
        "admit operator [operator.*,OPERATOR.ADMIN,operator.admin ]",
    );
    token(
        |p| p["scopes"] = json!(vec!["operator.read"; 65]),
        "1008 InvalidRequest too many scopes",
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
        "1008 InvalidRequest unauthorized: gateway password mismatch (provide gateway auth password) (a guess)",
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
        let text =
            format!("1008 InvalidRequest unauthorized: gateway token mismatch ({hint}) (a guess)");
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
    let Step::Decided(Verdict::Refuse(refusal)) = judge(&long.to_string(), &credentials, NO_BYPASS)
    else {
        panic!()
    };
    assert!(refusal.reason.len() <= 120 && refusal.error.message.starts_with(&refusal.reason));
}

const SEED: [u8; 32] = [7; 32];

/// A connect that a device has signed, after the change.
fn signed(change: impl FnOnce(&mut Value)) -> String {
    let identity = DeviceIdentity::from_seed(&SEED);
    let mut params = json!({
        "minProtocol": 3, "maxProtocol": 3,
        "client": {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"},
        "role": "operator", "scopes": ["operator.read"],
        "auth": {"token": "tok"},
    });
    change(&mut params);
    let typed: ConnectParams = serde_json::from_value(params.clone()).unwrap();
    let proof = identity.prove(&typed, &NonEmpty::new("n-1").unwrap(), NOW);
    params["device"] = json!(proof);
    frame(&params)
}

/// The device as it is after an approval for this role and these scopes; its token is `own`.
fn approved(role: Role, scopes: &[&str]) -> Device {
    let identity = DeviceIdentity::from_seed(&SEED);
    let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    let grant = Grant {
        device: identity.device_id(),
        public_key: Some(&identity.public_key()),
        role,
        scopes: &scopes,
        platform: Some("linux"),
        device_family: None,
    };
    Device::approve(None, &grant, "own".to_owned(), NOW)
}

fn told_with(stored: Option<Device>, frame: &str, change: impl FnOnce(&mut Facts<'_>)) -> String {
    let lookup = |_: &str| Ok(stored.clone());
    told(&look(
        frame,
        &credentials(AuthMode::Token),
        NO_BYPASS,
        change,
        &lookup,
    ))
}

const MISMATCH: &str = "1008 InvalidRequest unauthorized: gateway token mismatch (provide gateway auth token) (a guess)";

#[test]
fn a_device_that_is_not_approved_for_what_it_asks_is_settled_first() {
    let reader = || Some(approved(Role::Operator, &["operator.read"]));
    let settle = "settle operator [operator.read]";
    assert_eq!(told_with(None, &signed(|_| {}), |_| {}), settle);
    assert_eq!(
        told_with(reader(), &signed(|_| {}), |_| {}),
        "admit operator [operator.read] own by Secret"
    );
    let wider = signed(|p| p["scopes"] = json!(["operator.write"]));
    assert_eq!(
        told_with(reader(), &wider, |_| {}),
        "settle operator [operator.write]"
    );
    // Absent means everything; an empty list means nothing, and so is approved with whatever was.
    let absent = signed(|p| drop(p.as_object_mut().unwrap().remove("scopes")));
    assert_eq!(
        told_with(reader(), &absent, |_| {}),
        "settle operator [operator.admin]"
    );
    let nothing = signed(|p| p["scopes"] = json!([]));
    assert_eq!(
        told_with(reader(), &nothing, |_| {}),
        "admit operator [] own by Secret"
    );
    let node = signed(|p| {
        p["role"] = "node".into();
        p["scopes"] = json!([]);
    });
    assert_eq!(told_with(reader(), &node, |_| {}), "settle node []");
    let mut other_key = reader();
    other_key.as_mut().unwrap().public_key = Some("other".to_owned());
    assert_eq!(told_with(other_key, &signed(|_| {}), |_| {}), settle);
    let mut narrowed = reader();
    let tokens = &mut narrowed.as_mut().unwrap().tokens;
    tokens.get_mut("operator").unwrap().scopes.clear();
    assert_eq!(told_with(narrowed, &signed(|_| {}), |_| {}), settle);
}

#[test]
fn rules_24_25_26_a_device_token_counts_alone_for_its_device_its_role_and_its_scopes() {
    let reader = || Some(approved(Role::Operator, &["operator.read"]));
    let own = |change: fn(&mut Value)| {
        signed(|p| {
            p["auth"]["token"] = "own".into();
            change(p);
        })
    };
    let admitted = "admit operator [operator.read] own by DeviceToken";
    assert_eq!(told_with(reader(), &own(|_| {}), |_| {}), admitted);
    assert_eq!(
        told_with(reader(), &own(|_| {}), |f| f.is_local = false),
        admitted
    );
    let wider = own(|p| p["scopes"] = json!(["operator.read", "operator.admin"]));
    assert_eq!(told_with(reader(), &wider, |_| {}), MISMATCH);
    let as_node = own(|p| p["role"] = "node".into());
    assert_eq!(told_with(reader(), &as_node, |_| {}), MISMATCH);
    assert_eq!(told_with(None, &own(|_| {}), |_| {}), MISMATCH);
    let mut other_key = reader();
    other_key.as_mut().unwrap().public_key = Some("other".to_owned());
    assert_eq!(told_with(other_key, &own(|_| {}), |_| {}), MISMATCH);
    let mut revoked = reader();
    let tokens = &mut revoked.as_mut().unwrap().tokens;
    tokens.get_mut("operator").unwrap().revoked_at_ms = Some(1);
    assert_eq!(told_with(revoked.clone(), &own(|_| {}), |_| {}), MISMATCH);
    // A revoked device may use the shared secret, and gets no token.
    assert_eq!(
        told_with(revoked, &signed(|_| {}), |_| {}),
        "admit operator [operator.read] device by Secret"
    );
    // Without the device, its token is just a wrong one.
    let bare = json!({
        "minProtocol": 3, "maxProtocol": 3, "auth": {"token": "own"},
        "client": {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"},
    });
    assert_eq!(told_with(reader(), &frame(&bare), |_| {}), MISMATCH);
}

#[test]
fn in_password_mode_a_device_token_counts_and_a_wrong_one_is_a_guess() {
    let judged = |token: &str, stored: Option<Device>| {
        let frame = signed(|p| p["auth"]["token"] = token.into());
        let lookup = |_: &str| Ok(stored.clone());
        told(&look(
            &frame,
            &credentials(AuthMode::Password),
            NO_BYPASS,
            |_| {},
            &lookup,
        ))
    };
    let reader = || Some(approved(Role::Operator, &["operator.read"]));
    assert_eq!(
        judged("own", reader()),
        "admit operator [operator.read] own by DeviceToken"
    );
    assert_eq!(
        judged("owm", reader()),
        "1008 InvalidRequest unauthorized: gateway password missing (provide gateway auth password) (a guess)"
    );
}

#[test]
fn rule_13_the_tailnet_is_asked_only_by_who_has_nothing_better() {
    let reader = || Some(approved(Role::Operator, &["operator.read"]));
    let with = |token: &str, tailnet: Tailnet| {
        let frame = signed(|p| match token {
            "" => drop(p.as_object_mut().unwrap().remove("auth")),
            _ => p["auth"]["token"] = token.into(),
        });
        told_with(reader(), &frame, |facts| {
            facts.tailnet = tailnet;
            facts.is_local = false;
        })
    };
    assert_eq!(
        with("tok", Tailnet::Claimed),
        "admit operator [operator.read] own by Secret"
    );
    assert_eq!(
        with("own", Tailnet::Claimed),
        "admit operator [operator.read] own by DeviceToken"
    );
    assert_eq!(with("", Tailnet::Claimed), "ask the tailnet");
    assert_eq!(with("wrong", Tailnet::Claimed), "ask the tailnet");
    assert_eq!(
        with("", Tailnet::Confirmed),
        "admit operator [operator.read] own by Tailnet"
    );
    let refused = Tailnet::Refused(tailnet::Failure::Mismatch);
    assert_eq!(
        with("", refused),
        "1008 InvalidRequest unauthorized: tailscale identity mismatch (use Tailscale Serve auth or gateway token/password)"
    );
    assert_eq!(with("wrong", refused), MISMATCH);
    let missing =
        "1008 InvalidRequest unauthorized: gateway token missing (provide gateway auth token)";
    assert_eq!(with("", Tailnet::NotClaimed), missing);
}

#[test]
fn without_a_store_only_a_local_operator_with_the_secret_gets_in() {
    let judged = |frame: &str, is_local: bool| {
        let lookup = |_: &str| Err(StoreError::Full);
        let change = |facts: &mut Facts<'_>| facts.is_local = is_local;
        told(&look(
            frame,
            &credentials(AuthMode::Token),
            NO_BYPASS,
            change,
            &lookup,
        ))
    };
    let unavailable = "1008 Unavailable the store cannot write: the disk is full";
    assert_eq!(
        judged(&signed(|_| {}), true),
        "admit operator [operator.read] device by Secret"
    );
    assert_eq!(judged(&signed(|_| {}), false), unavailable);
    assert_eq!(
        judged(&signed(|p| p["role"] = "node".into()), true),
        unavailable
    );
    assert_eq!(
        judged(&signed(|p| p["auth"]["token"] = "own".into()), true),
        unavailable
    );
}

#[test]
fn the_control_ui_goes_unpaired_only_where_the_owner_says_so() {
    let ui = |change: fn(&mut Value)| {
        signed(|p| {
            p["client"]["id"] = "openclaw-control-ui".into();
            change(p);
        })
    };
    let judged = |frame: &str, insecure: bool, disabled: bool| {
        let rules = ControlUiRules {
            allow_insecure_auth: insecure,
            disable_device_auth: disabled,
        };
        let change = |facts: &mut Facts<'_>| facts.is_local = false;
        told(&look(
            frame,
            &credentials(AuthMode::Token),
            rules,
            change,
            &|_| Ok(None),
        ))
    };
    let settle = "settle operator [operator.read]";
    assert_eq!(judged(&ui(|_| {}), false, false), settle);
    assert_eq!(
        judged(&ui(|_| {}), true, false),
        "admit operator [operator.read] device by Secret"
    );
    assert_eq!(
        judged(&ui(|_| {}), false, true),
        "admit operator [operator.read]"
    );
    assert_eq!(judged(&signed(|_| {}), true, true), settle);
    // Nobody becomes a node by calling itself the Control UI.
    let node = ui(|p| {
        p["role"] = "node".into();
        p["scopes"] = json!([]);
    });
    assert_eq!(judged(&node, true, false), "settle node []");
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
        let nobody = |step: &Step| matches!(step, Step::Decided(Verdict::Refuse(_) | Verdict::Close { .. }));
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
