//! What a person hears of a call that did not succeed: where it happened, why, and what can be done about it.

use openclaw_client::{CallError, Refusal};
use openclaw_shared::log::printable;
use serde_json::{Value, json};

use super::context::Context;
use super::failure::{Failure, Kind, UNNAMED};
use super::target::Target;

/// A failed call in the words of a command.
pub(crate) trait IntoFailure {
    /// What kind of failure it is.
    fn kind(&self) -> Kind;
    /// The failure of a command: where it happened, when that matters, and what to do next.
    fn into_failure(self, prefix: &str, target: &Target, context: &Context) -> Failure;
}

impl IntoFailure for CallError {
    fn kind(&self) -> Kind {
        match self {
            Self::Connect { .. } | Self::NotWebSocket(_) | Self::Closed { .. } => Kind::Unreachable,
            Self::Unsupported(_) => Kind::Unsupported,
            Self::Timeout(_) => Kind::Timeout,
            Self::NotAdmitted(..) => Kind::Unauthorized,
            Self::Refused(_) => Kind::Refused,
        }
    }

    fn into_failure(self, prefix: &str, target: &Target, context: &Context) -> Failure {
        let said = self.to_string();
        // Some gateways and nodes begin their texts as commands do.
        let said = match said.strip_prefix("Error: ") {
            Some(rest) if prefix.ends_with("Error: ") => rest,
            Some(_) | None => &said,
        };
        let failure = Failure::new(self.kind(), format!("{prefix}{said}"));
        match &self {
            // The gateway was found and let us in: what it says is about the request.
            Self::Refused(refusal) => advise(explain(failure, refusal), refusal, context),
            Self::NotAdmitted(refusal, without_device) => {
                let failure = at(failure, target);
                if refusal.is_about_pairing() {
                    return pairing(failure, refusal, without_device.as_deref(), context);
                }
                failure.hint(if target.gateway.has_secret() {
                    "The token or password presented is not the gateway's. Check --token, OPENCLAW_GATEWAY_TOKEN and gateway.auth."
                } else if refusal.message.contains("mismatch") {
                    "The token that was issued to this device does not count any more. Set OPENCLAW_GATEWAY_TOKEN, or pass --token-file."
                } else {
                    "No token was presented. Set OPENCLAW_GATEWAY_TOKEN, or pass --token-file."
                })
            }
            Self::Connect { .. } | Self::Closed { .. } | Self::Timeout(_)
                if target.source.is_local() =>
            {
                at(failure, target)
                    .hint(format!(
                        "See what it is doing: {}",
                        context.command("gateway status")
                    ))
                    .hint(format!("Start it: {}", context.command("gateway")))
            }
            Self::Connect { .. }
            | Self::NotWebSocket(_)
            | Self::Unsupported(_)
            | Self::Timeout(_)
            | Self::Closed { .. } => at(failure, target),
        }
    }
}

/// Says which gateway it was.
fn at(failure: Failure, target: &Target) -> Failure {
    let failure = failure
        .detail("Gateway target", &*target.gateway.url)
        .detail("Source", target.source.describe())
        .detail("Config", &*target.config);
    match target.bind {
        Some(bind) => failure.detail("Bind", bind.as_str()),
        None => failure,
    }
}

/// Adds what the refusal says besides its words.
fn explain(mut failure: Failure, refusal: &Refusal) -> Failure {
    failure.refusal = Some(Box::new(json!({
        "code": refusal.code,
        "message": refusal.message,
        "details": refusal.details,
    })));
    let details = [
        ("Code", Value::from(refusal.code.as_str())),
        ("Reason", refusal.details["reason"].clone()),
        ("Command", refusal.details["command"].clone()),
        ("Node error", refusal.details["nodeError"]["code"].clone()),
    ];
    for (name, value) in details {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            failure = failure.detail(name, text);
        }
    }
    if failure.details.len() < 2 && !refusal.details.is_null() {
        failure = failure.detail(UNNAMED, refusal.details.to_string());
    }
    failure
}

/// Says what can be done about a refusal that a person can do something about.
fn advise(failure: Failure, refusal: &Refusal, context: &Context) -> Failure {
    let message = refusal.message.as_str();
    match refusal.details["reason"].as_str() {
        Some("command not allowlisted") => {
            return failure.hint(
                "Allow it in the gateway's configuration (gateway.nodes.allowCommands, and not in denyCommands), and let the node connect again.",
            );
        }
        Some("command not declared by node" | "node did not declare commands") => {
            return failure.hint(format!(
                "See what the node can do: {}",
                context.command("nodes describe")
            ));
        }
        Some(_) | None => {}
    }
    if message == "node not connected" {
        failure
            .hint(format!(
                "See which nodes are here: {}",
                context.command("nodes status")
            ))
            .hint(format!(
                "A headless node is started on its own machine: {}",
                context.command("node run")
            ))
    } else if message.starts_with("SYSTEM_RUN_DENIED") {
        failure
            .hint(format!(
                "Have a person asked: {}",
                context.command("nodes run")
            ))
            .hint(format!(
                "Or allow the program from now on: {}",
                context.command("approvals allowlist add --node")
            ))
    } else {
        failure
    }
}

/// Says how a device is let in.
fn pairing(
    failure: Failure,
    refusal: &Refusal,
    without_device: Option<&str>,
    context: &Context,
) -> Failure {
    if let Some(why) = without_device {
        return failure.hint(why);
    }
    match refusal.details["requestId"].as_str() {
        Some(request) => failure.detail("Request", request).hint(format!(
            "Approve this device on the gateway's machine: {}",
            context.command(&format!("devices approve {}", printable(request)))
        )),
        None => failure.hint(format!(
            "Find its request on the gateway's machine and approve it: {}",
            context.command("devices list")
        )),
    }
}

#[cfg(test)]
mod tests {
    use openclaw_client::Gateway;

    use super::super::context::tests::in_home;
    use super::super::target::Source;
    use super::*;

    fn target() -> Target {
        Target {
            gateway: Gateway {
                url: "ws://far:1".to_owned(),
                token: None,
                password: None,
                secret_is_given: false,
                is_ours: true,
                identity: None,
            },
            source: Source::Flag,
            bind: None,
            config: "~/.openclaw/openclaw.json".to_owned(),
        }
    }

    fn failure(error: CallError) -> Failure {
        let home = tempfile::tempdir().unwrap();
        let context = in_home(home.path(), &[("OPENCLAW_PROFILE", "rescue")]);
        error.into_failure("x failed: ", &target(), &context)
    }

    fn refusal(answer: Value) -> Box<Refusal> {
        Box::new(serde_json::from_value(answer).unwrap())
    }

    #[test]
    fn a_device_that_is_not_paired_is_told_who_lets_it_in() {
        let answer = json!({"code": "NOT_PAIRED", "message": "pairing required", "details": {"requestId": "b7ab"}});
        let failure = failure(CallError::NotAdmitted(refusal(answer), None));
        assert_eq!(
            failure.hints,
            [
                "Approve this device on the gateway's machine: openclaw --profile rescue devices approve b7ab"
            ]
        );
        assert!(failure.details.contains(&("Request", "b7ab".to_owned())));
        let answer = json!({"code": "NOT_PAIRED", "message": "device identity required"});
        let why = Some("there is no place for a key".to_owned());
        let failure = self::failure(CallError::NotAdmitted(refusal(answer), why));
        assert_eq!(failure.hints, ["there is no place for a key"]);
    }

    #[test]
    fn a_refused_request_says_why_and_not_where() {
        let answer = json!({"code": "INVALID_REQUEST", "message": "node command not allowed",
            "details": {"reason": "command not declared by node", "command": "x.y"}});
        let failure = failure(CallError::Refused(refusal(answer)));
        assert_eq!(failure.message, "x failed: node command not allowed");
        assert_eq!(
            failure.details,
            [
                ("Code", "INVALID_REQUEST".to_owned()),
                ("Reason", "command not declared by node".to_owned()),
                ("Command", "x.y".to_owned()),
            ]
        );
        assert_eq!(
            failure.hints,
            ["See what the node can do: openclaw --profile rescue nodes describe"]
        );
    }

    #[test]
    fn a_script_gets_all_that_the_gateway_said() {
        let said = json!({"code": "UNAVAILABLE", "message": "node not connected", "details": {"code": "NOT_CONNECTED"}});
        let failure = failure(CallError::Refused(refusal(said.clone())));
        assert_eq!(failure.to_json()["refusal"], said);
        assert_eq!(failure.to_json()["details"], json!({"code": "UNAVAILABLE"}));
        assert!(failure.hints[0].ends_with("openclaw --profile rescue nodes status"));
        assert_eq!(
            failure.details[1],
            (UNNAMED, r#"{"code":"NOT_CONNECTED"}"#.to_owned())
        );
    }

    #[test]
    fn an_error_is_called_so_once() {
        let said =
            json!({"code": "UNAVAILABLE", "message": "Error: node disconnected (system.run)"});
        let error = CallError::Refused(refusal(said));
        let home = tempfile::tempdir().unwrap();
        let context = in_home(home.path(), &[]);
        let failure = error.into_failure("nodes run failed: Error: ", &target(), &context);
        assert_eq!(
            failure.message,
            "nodes run failed: Error: node disconnected (system.run)"
        );
    }

    #[test]
    fn a_token_that_ran_out_is_not_called_missing() {
        let hint = |message: &str| {
            let said = json!({"code": "INVALID_REQUEST", "message": message});
            let failure = failure(CallError::NotAdmitted(refusal(said), None));
            failure.hints[0].clone()
        };
        assert!(
            hint("unauthorized: gateway token mismatch (x)")
                .starts_with("The token that was issued")
        );
        assert!(
            hint("unauthorized: gateway token missing (x)").starts_with("No token was presented")
        );
    }
}
