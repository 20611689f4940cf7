//! What clients send for a job, made into what its schema describes.  (pure)
//!
//! Models and scripts write jobs, and each writes a little differently. What is plain enough is put right before the
//! parameters are looked at; what is not stays as it is, and is refused by name.

use openclaw_shared::clock::WallTime;
use serde_json::{Map, Value, json};

/// Puts the parameters of `cron.add` right.
pub(crate) fn add(params: &mut Value) {
    unwrap(params);
    let Some(job) = params.as_object_mut() else {
        return;
    };
    common(job);
    if says_nothing(job.get("wakeMode")) {
        job.insert("wakeMode".to_owned(), json!("next-heartbeat"));
    }
    if says_nothing(job.get("sessionTarget")) {
        let kind = job.get("payload").and_then(|payload| payload.get("kind"));
        let target = match kind.and_then(Value::as_str) {
            Some("systemEvent") => Some("main"),
            Some("agentTurn") => Some("isolated"),
            _ => None,
        };
        if let Some(target) = target {
            job.insert("sessionTarget".to_owned(), json!(target));
        }
    }
}

/// Puts the parameters of `cron.update` right.
pub(crate) fn update(params: &mut Value) {
    let Some(patch) = params.get_mut("patch") else {
        return;
    };
    unwrap(patch);
    if let Some(patch) = patch.as_object_mut() {
        common(patch);
    }
}

/// `{data: {…}}` and `{job: {…}}` stand for what is in them. Whoever judges a job before it is put right has to look inside too.
pub(crate) fn unwrap(params: &mut Value) {
    for wrapper in ["data", "job"] {
        if let Some(inner @ Value::Object(_)) = params.get_mut(wrapper) {
            *params = inner.take();
            return;
        }
    }
}

/// Forms send what was left blank as null, false, zero or an empty text.
fn says_nothing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Bool(true) | Value::Array(_) | Value::Object(_)) => false,
    }
}

fn common(job: &mut Map<String, Value>) {
    if let Some(Value::String(agent)) = job.get("agentId")
        && agent.trim().is_empty()
    {
        job.insert("agentId".to_owned(), Value::Null);
    }
    if let Some(Value::String(text)) = job.get("enabled") {
        let said = match text.trim().to_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        if let Some(said) = said {
            job.insert("enabled".to_owned(), json!(said));
        }
    }
    if let Some(Value::Object(schedule)) = job.get_mut("schedule") {
        normalise_schedule(schedule);
    }
    if let Some(Value::Object(payload)) = job.get_mut("payload") {
        normalise_payload(payload);
    }
}

fn normalise_schedule(schedule: &mut Map<String, Value>) {
    let kind = schedule.get("kind").and_then(Value::as_str);
    if kind.is_none_or(str::is_empty) {
        // What is of the wrong type tells no kind, so that the answer names what is missing.
        let told = |key: &str| schedule.get(key);
        let kind = if told("atMs").is_some_and(|at| at.is_number() || at.is_string())
            || told("at").is_some_and(Value::is_string)
        {
            Some("at")
        } else if told("everyMs").is_some_and(Value::is_number) {
            Some("every")
        } else if told("expr").is_some_and(Value::is_string) {
            Some("cron")
        } else {
            None
        };
        if let Some(kind) = kind {
            schedule.insert("kind".to_owned(), json!(kind));
        }
    }
    let at = schedule.remove("at");
    let text = match (schedule.get("atMs"), &at) {
        (Some(Value::String(text)), _) => Some(text),
        (None, Some(Value::String(text))) => Some(text),
        _ => None,
    };
    if let Some(at) = text.and_then(|text| moment(text)) {
        schedule.insert("atMs".to_owned(), json!(at.as_millis()));
    }
}

/// A time as people write it: milliseconds since the epoch, a date, or a date and a time; without a zone it is UTC.
fn moment(text: &str) -> Option<WallTime> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(WallTime::from_millis);
    }
    WallTime::parse_iso8601(text)
}

fn normalise_payload(payload: &mut Map<String, Value>) {
    let lower = |value: &Value| value.as_str().map(|text| text.trim().to_lowercase());
    if let Some(provider) = payload.remove("provider") {
        let channel = lower(&provider).filter(|channel| !channel.is_empty());
        if let Some(channel) = channel
            && says_nothing(payload.get("channel"))
        {
            payload.insert("channel".to_owned(), json!(channel));
        }
    }
    let channel = payload.get("channel").and_then(lower);
    if let Some(channel) = channel.filter(|channel| !channel.is_empty()) {
        payload.insert("channel".to_owned(), json!(channel));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{add, update};

    #[track_caller]
    fn check(mut params: Value, expected: Value) {
        let shown = params.to_string();
        add(&mut params);
        assert_eq!(params, expected, "{shown}");
    }

    #[test]
    fn what_is_plain_is_put_right() {
        let full = json!({
            "name": "A", "schedule": {"kind": "at", "atMs": 1_893_456_000_000_u64}, "sessionTarget": "main",
            "wakeMode": "next-heartbeat", "payload": {"kind": "systemEvent", "text": "hi"},
        });
        let payload = json!({"kind": "systemEvent", "text": "hi"});
        for at in [
            json!({"at": "2030-01-01T00:00:00Z"}),
            json!({"at": "2030-01-01"}),
            json!({"at": "2030-01-01T00:00:00"}),
            json!({"at": "2030-01-01 01:00:00+01:00"}),
            json!({"atMs": "2030-01-01T00:00:00.000Z"}),
            json!({"atMs": "1893456000000", "kind": "at"}),
            json!({"atMs": 1_893_456_000_000_u64}),
        ] {
            let job = json!({"name": "A", "schedule": at, "payload": payload});
            check(job.clone(), full.clone());
            check(json!({"job": job}), full.clone());
            check(json!({"data": job}), full.clone());
        }
        check(
            json!({"enabled": " True ", "schedule": {"everyMs": 5}, "payload": {"kind": "agentTurn", "provider": " Telegram"}}),
            json!({
                "enabled": true, "schedule": {"everyMs": 5, "kind": "every"},
                "payload": {"kind": "agentTurn", "channel": "telegram"},
                "wakeMode": "next-heartbeat", "sessionTarget": "isolated",
            }),
        );
    }

    #[test]
    fn what_a_form_left_blank_says_nothing() {
        let payload = json!({"kind": "agentTurn", "message": "hi", "channel": "telegram"});
        let full = json!({
            "name": "A", "agentId": null, "schedule": {"kind": "every", "everyMs": 5}, "sessionTarget": "isolated",
            "wakeMode": "next-heartbeat", "payload": payload,
        });
        for blank in [json!(null), json!(""), json!(0), json!(false)] {
            check(
                json!({
                    "name": "A", "agentId": " ", "schedule": {"kind": blank, "everyMs": 5}, "sessionTarget": blank,
                    "wakeMode": blank,
                    "payload": {"kind": "agentTurn", "message": "hi", "provider": "telegram", "channel": blank},
                }),
                full.clone(),
            );
        }
        let mut params = json!({"id": "x", "patch": {"agentId": ""}});
        update(&mut params);
        assert_eq!(params, json!({"id": "x", "patch": {"agentId": null}}));
    }

    #[test]
    fn a_schedule_of_the_wrong_type_tells_no_kind() {
        for schedule in [
            json!({"atMs": null}),
            json!({"at": 5}),
            json!({"everyMs": "5"}),
            json!({"expr": 5}),
        ] {
            let mut params = json!({"id": "x", "patch": {"schedule": schedule}});
            update(&mut params);
            assert_eq!(params["patch"]["schedule"].get("kind"), None, "{schedule}");
        }
    }

    #[test]
    fn what_is_not_plain_stays_for_the_schema_to_refuse() {
        check(json!([1]), json!([1]));
        check(
            json!({"enabled": "maybe", "schedule": {"at": "soon"}, "payload": {"text": "x"}}),
            json!({"enabled": "maybe", "schedule": {"kind": "at"}, "payload": {"text": "x"}, "wakeMode": "next-heartbeat"}),
        );
        check(
            json!({"schedule": {"kind": "at", "atMs": "9".repeat(40)}}),
            json!({"schedule": {"kind": "at", "atMs": "9".repeat(40)}, "wakeMode": "next-heartbeat"}),
        );
    }

    #[test]
    fn a_change_gets_no_defaults() {
        let mut params =
            json!({"id": "x", "patch": {"schedule": {"at": "2030-01-01"}, "enabled": "false"}});
        update(&mut params);
        let schedule = json!({"kind": "at", "atMs": 1_893_456_000_000_u64});
        assert_eq!(
            params,
            json!({"id": "x", "patch": {"schedule": schedule, "enabled": false}})
        );
    }
}
