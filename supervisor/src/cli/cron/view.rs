//! Jobs and their runs as tables.                                                                      (pure)

use std::time::Duration;

use openclaw_shared::clock::WallTime;
use serde_json::Value;

use super::super::answer::{Answer as _, short_id};
use super::super::span::{relative, short};
use super::super::table::{Table, fields};

/// Whether jobs are run.
pub(super) fn status(answer: &Value, now: WallTime) -> Vec<String> {
    let yes = if answer.is_on("enabled") { "yes" } else { "no" };
    let next = answer.time("nextWakeAtMs");
    fields([
        ("Jobs are run", Some(yes.to_owned())),
        ("Jobs", answer["jobs"].as_u64().map(|jobs| jobs.to_string())),
        (
            "Next",
            Some(next.map_or_else(|| "none".to_owned(), |then| relative(now, then))),
        ),
        ("Store", answer.some_text("storePath")),
    ])
}

/// The jobs.
pub(super) fn jobs(answer: &Value, now: WallTime) -> Vec<String> {
    let jobs = answer.items("jobs");
    if jobs.is_empty() {
        return vec!["No cron jobs.".to_owned()];
    }
    let mut table = Table::new([
        "ID", "Name", "When", "Next", "Last", "Status", "Agent", "Session",
    ]);
    for job in jobs {
        let state = &job["state"];
        let when = |key: &str| state.time(key).map(|then| relative(now, then));
        table.row([
            short_id(&job.text("id")),
            job.text("name"),
            schedule(&job["schedule"]),
            when("nextRunAtMs").unwrap_or_default(),
            when("lastRunAtMs").unwrap_or_default(),
            standing(job),
            job.text("agentId"),
            job.text("sessionTarget"),
        ]);
    }
    table.lines()
}

fn standing(job: &Value) -> String {
    let state = &job["state"];
    match (job.is_on("enabled"), state.time("runningAtMs")) {
        (_, Some(_)) => "running".to_owned(),
        (false, None) => "off".to_owned(),
        (true, None) => state
            .some_text("lastStatus")
            .unwrap_or_else(|| "idle".to_owned()),
    }
}

fn schedule(schedule: &Value) -> String {
    match schedule.text("kind").as_str() {
        "at" => schedule
            .time("atMs")
            .map(WallTime::to_rfc3339)
            .unwrap_or_default(),
        "every" => {
            let every = schedule["everyMs"].as_u64().unwrap_or_default();
            format!("every {}", short(Duration::from_millis(every)))
        }
        "cron" => match schedule.some_text("tz") {
            Some(zone) => format!("{} ({zone})", schedule.text("expr")),
            None => schedule.text("expr"),
        },
        other => other.to_owned(),
    }
}

/// How the runs of a job went.
pub(super) fn runs(answer: &Value, now: WallTime) -> Vec<String> {
    let runs = answer.items("entries");
    if runs.is_empty() {
        return vec!["No runs.".to_owned()];
    }
    let mut table = Table::new(["When", "Status", "Took", "Summary"]);
    for run in runs {
        let took = run["durationMs"].as_u64().map(Duration::from_millis);
        table.row([
            run.time("ts")
                .map(|then| relative(now, then))
                .unwrap_or_default(),
            run.text("status"),
            took.map(short).unwrap_or_default(),
            run.some_text("error")
                .unwrap_or_else(|| run.text("summary")),
        ]);
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn jobs_fit_a_terminal() {
        let job = |name: &str, schedule: Value, enabled: bool| {
            json!({"id": "3f41c0aa-0000-4000-8000-000000000000", "name": name, "enabled": enabled, "schedule": schedule,
                "sessionTarget": "main", "state": {"lastStatus": "ok", "lastRunAtMs": 1_000, "nextRunAtMs": 7_201_000}})
        };
        let answer = json!({"jobs": [
            job("news", json!({"kind": "cron", "expr": "0 7 * * *", "tz": "Europe/Vienna"}), true),
            job("tick", json!({"kind": "every", "everyMs": 3_600_000}), false),
        ]});
        assert_eq!(
            jobs(&answer, WallTime::from_millis(1_500)),
            [
                "ID            Name  When                       Next   Last      Status  Session",
                "3f41c0aa-000  news  0 7 * * * (Europe/Vienna)  in 1h  just now  ok      main",
                "3f41c0aa-000  tick  every 1h                   in 1h  just now  off     main",
            ]
        );
        assert_eq!(
            jobs(&json!({"jobs": []}), WallTime::default()),
            ["No cron jobs."]
        );
    }
}
