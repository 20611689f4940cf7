//! What was seen, as tables and as text.                                                                 (pure)

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_shared::control::{ChildName, ChildStatus};
use openclaw_shared::protocol::params::activity::Activity;

use super::look::{Look, Seen};
use super::table::{Cell, Table};

/// How wide text is that nobody looks at on a screen.
const PAGE: usize = 160;
/// Methods that are shown, those with the most requests.
const METHODS: usize = 30;

/// The line about the supervisor, and the one about the gateway.
pub(crate) fn heads(look: &Look) -> [String; 2] {
    let supervisor = match &look.supervisor {
        Ok(status) => {
            let memory = status.fleet.memory_bytes;
            let memory = memory.map(|memory| format!(" · {}", bytes(memory).shown()));
            format!(
                "supervisor {} · pid {} · up {}{} · {}",
                status.version,
                status.pid,
                span(status.uptime_ms),
                memory.unwrap_or_default(),
                status.fleet.recovery.rung
            )
        }
        Err(why) => format!("supervisor: {}", Cell::text(why).shown()),
    };
    let gateway = match &look.gateway {
        Ok(Seen { activity, .. }) => format!(
            "gateway up {} · {} clients, {} not let in yet, {} nodes · {} events sent · {} slow readers dropped",
            span(activity.uptime_ms),
            activity.clients,
            activity.unauthenticated,
            activity.nodes,
            activity.events_sent,
            activity.slow_readers
        ),
        Err(why) => format!("gateway: {}", Cell::text(why).shown()),
    };
    [supervisor, gateway]
}

/// Everything, in the order in which it is shown. The look before this one tells how fast things go.
pub(crate) fn tables(look: &Look, before: Option<&Look>) -> [Table; 5] {
    [
        processes(look, before),
        queues(look),
        runs(look),
        clients(look),
        requests(look, before),
    ]
}

/// One look as text.
pub(crate) fn text(look: &Look) -> String {
    let mut text = heads(look).join("\n");
    text.push('\n');
    for table in tables(look, None) {
        if table.rows.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{}\n", table.title));
        for line in table.lines(PAGE) {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

fn processes(look: &Look, before: Option<&Look>) -> Table {
    let children = look.fleet().map_or(&[][..], |fleet| &fleet.children);
    let rows = children.iter().map(|child| {
        let used = processor(look, before, child.name);
        vec![
            Cell::text(child.name.as_str()),
            Cell::text(child.state.to_string()),
            number(child.pid.map(u64::from)),
            Cell::Number(child.generation.0 as f64, child.generation.0.to_string()),
            Cell::Number(f64::from(child.restarts), child.restarts.to_string()),
            child.memory_bytes.map_or_else(Cell::unknown, bytes),
            used.map_or_else(Cell::unknown, |used| {
                Cell::Number(used, format!("{used:.1}%"))
            }),
            child.cpu_ms.map_or_else(Cell::unknown, time),
            Cell::text(child.last_error.as_deref().unwrap_or_default()),
        ]
    });
    Table {
        title: "Processes".to_owned(),
        columns: vec![
            "process", "state", "pid", "life", "restarts", "memory", "cpu", "time", "error",
        ],
        rows: rows.collect(),
    }
}

/// The part of one processor that a child has used since the look before, in percent.
fn processor(look: &Look, before: Option<&Look>, name: ChildName) -> Option<f64> {
    let find = |look: &Look| -> Option<ChildStatus> {
        let children = &look.fleet()?.children;
        children.iter().find(|child| child.name == name).cloned()
    };
    let (now, then) = (find(look)?, find(before?)?);
    // Another life has used what it has used by itself.
    if now.generation != then.generation {
        return None;
    }
    let passed = look.at.since(before?.at).as_secs_f64();
    let used = Duration::from_millis(now.cpu_ms?.saturating_sub(then.cpu_ms?));
    (passed > 0.0).then(|| 100.0 * used.as_secs_f64() / passed)
}

fn queues(look: &Look) -> Table {
    let queues = activity(look).map_or(&[][..], |activity| &activity.queues);
    let rows = queues.iter().map(|queue| {
        vec![
            Cell::text(&queue.name),
            number(Some(queue.count)),
            number(queue.limit),
        ]
    });
    Table {
        title: "Queues".to_owned(),
        columns: vec!["queue", "count", "limit"],
        rows: rows.collect(),
    }
}

fn runs(look: &Look) -> Table {
    let runs = activity(look).map_or(&[][..], |activity| &activity.runs);
    let rows = runs.iter().map(|run| {
        vec![
            Cell::text(&run.session_key),
            Cell::text(&run.kind),
            Cell::text(if run.is_active { "active" } else { "waits" }),
            time(run.for_ms),
            Cell::text(&run.run_id),
        ]
    });
    Table {
        title: "Runs".to_owned(),
        columns: vec!["session", "kind", "state", "for", "run"],
        rows: rows.collect(),
    }
}

fn clients(look: &Look) -> Table {
    let Ok(seen) = &look.gateway else {
        return Table {
            title: "Clients".to_owned(),
            ..Table::default()
        };
    };
    let present = seen.presence.iter().filter(|entry| {
        let reason = entry.reason.as_deref().unwrap_or_default();
        !matches!(reason, "self" | "disconnect" | "node-disconnected")
    });
    let text = |text: &Option<String>| Cell::text(text.as_deref().unwrap_or_default());
    let rows = present.map(|entry| {
        vec![
            text(&entry.host),
            text(&entry.mode),
            text(&entry.platform),
            text(&entry.version),
            text(&entry.ip),
            time(seen.activity.ts.saturating_sub(entry.ts)),
        ]
    });
    Table {
        title: "Clients".to_owned(),
        columns: vec!["client", "mode", "platform", "version", "address", "since"],
        rows: rows.collect(),
    }
}

fn requests(look: &Look, before: Option<&Look>) -> Table {
    let methods = activity(look).map_or(&[][..], |activity| &activity.requests);
    let earlier: BTreeMap<&str, u64> = before
        .and_then(activity)
        .filter(|then| activity(look).is_some_and(|now| now.uptime_ms >= then.uptime_ms))
        .map(|then| {
            let methods = then.requests.iter();
            methods
                .map(|it| (it.method.as_str(), it.answered))
                .collect()
        })
        .unwrap_or_default();
    let passed = before.map(|before| look.at.since(before.at).as_secs_f64());
    let mut methods: Vec<_> = methods.iter().collect();
    methods.sort_by_key(|it| std::cmp::Reverse(it.answered));
    let rows = methods.into_iter().take(METHODS).map(|it| {
        let rate = passed.filter(|passed| *passed > 0.0).map(|passed| {
            let then = earlier.get(it.method.as_str()).copied().unwrap_or_default();
            it.answered.saturating_sub(then) as f64 / passed
        });
        let mean = it.took_ms / it.answered.max(1) as f64;
        vec![
            Cell::text(&it.method),
            rate.map_or_else(Cell::unknown, |rate| {
                Cell::Number(rate, format!("{rate:.1}/s"))
            }),
            number(Some(it.answered)),
            number(Some(it.failed)),
            Cell::Number(mean, format!("{mean:.2} ms")),
        ]
    });
    Table {
        title: "Requests".to_owned(),
        columns: vec!["method", "rate", "answered", "failed", "mean"],
        rows: rows.collect(),
    }
}

fn activity(look: &Look) -> Option<&Activity> {
    look.gateway.as_ref().ok().map(|seen| &seen.activity)
}

fn number(number: Option<u64>) -> Cell {
    number.map_or_else(Cell::unknown, |number| {
        Cell::Number(number as f64, number.to_string())
    })
}

fn bytes(bytes: u64) -> Cell {
    let megabytes = bytes as f64 / (1024.0 * 1024.0);
    Cell::Number(megabytes, format!("{megabytes:.1} MB"))
}

fn time(millis: u64) -> Cell {
    Cell::Number(millis as f64, span(millis))
}

/// A span in its two largest units.
fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{}.{}s", seconds, millis % 1_000 / 100),
        60..3_600 => format!("{minutes}m{:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        86_400.. => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use openclaw_shared::clock::Moment;
    use serde_json::json;

    use super::*;

    /// A gateway that has answered so many requests, with a run under way.
    pub(crate) fn seen(at: Moment, answered: u64, cpu_ms: u64) -> Look {
        let child = |name: &str| {
            json!({"name": name, "state": "active", "generation": 2, "pid": 7, "restarts": 1, "memoryBytes": 3_145_728,
                "cpuMs": cpu_ms, "lastError": null})
        };
        let fleet = json!({
            "config": {"state": "ok", "path": "~/x", "hash": null, "error": null, "warnings": []},
            "children": [child("gateway"), child("canvas-host"), child("browser-control")],
        });
        let activity = json!({
            "ts": 10_000, "uptimeMs": 61_000, "clients": 1, "unauthenticated": 0, "nodes": 0, "eventsSent": 5, "slowReaders": 0,
            "requests": [{"method": "health", "answered": answered, "failed": 1, "tookMs": 10.0}],
            "runs": [{"runId": "r1", "sessionKey": "agent:main:main", "kind": "chat", "isActive": true, "forMs": 1_500}],
            "queues": [{"name": "runs", "count": 1, "limit": 4}],
        });
        let presence = json!([
            {"host": "gw", "mode": "gateway", "reason": "self", "ts": 9_000, "text": "Gateway"},
            {"host": "desk\u{1b}[2J", "mode": "ui", "reason": "connect", "ts": 4_000, "text": "Desk"},
        ]);
        Look {
            at,
            supervisor: Err("it is on another machine".to_owned()),
            gateway: Ok(Seen {
                activity: serde_json::from_value(activity).unwrap(),
                presence: serde_json::from_value(presence).unwrap(),
                fleet: Some(serde_json::from_value(fleet).unwrap()),
            }),
        }
    }

    #[test]
    fn one_look_is_text_without_power_over_the_terminal() {
        let text = text(&seen(Moment::now(), 4, 90_000));
        for line in [
            "supervisor: it is on another machine",
            "gateway up 1m01s · 1 clients, 0 not let in yet, 0 nodes · 5 events sent · 0 slow readers dropped",
            "agent:main:main  chat  active  1.5s  r1",
            "runs       1      4",
            "health     -         4       1  2.50 ms",
        ] {
            assert!(text.lines().any(|it| it == line), "{line:?} in\n{text}");
        }
        assert!(text.contains("3.0 MB") && text.contains("1m30s"), "{text}");
        assert!(!text.contains('\u{1b}') && text.contains("desk"), "{text}");
    }

    #[test]
    fn two_looks_tell_how_fast_things_go() {
        let now = Moment::now();
        let then = seen(now, 4, 90_000);
        let look = seen(now + Duration::from_secs(2), 14, 91_000);
        let [processes, .., requests] = tables(&look, Some(&then));
        assert_eq!(processes.rows[0][6].shown(), "50.0%");
        assert_eq!(requests.rows[0][1].shown(), "5.0/s");
    }

    #[test]
    fn without_a_gateway_the_rest_is_there() {
        let mut look = seen(Moment::now(), 4, 90_000);
        look.gateway = Err("refused\u{1b}".to_owned());
        assert!(look.is_blind().is_some());
        let text = text(&look);
        assert!(
            text.contains("gateway: refused") && !text.contains('\u{1b}'),
            "{text}"
        );
        assert_eq!(look.to_json()["gateway"]["reachable"], false);
    }
}
