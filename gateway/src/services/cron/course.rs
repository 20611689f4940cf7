//! How it goes with a job, from due to over.  (pure)
//!
//! Invariant: a job has a next time exactly when something will happen then. However often it was due while nothing ran, it
//! is due once; and it is not due while it runs.

use jiff::tz::TimeZone;
use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::cron::{CronJob, CronSchedule, CronStatus};

use super::schedule;

/// How a run of a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) status: CronStatus,
    pub(crate) error: Option<String>,
    pub(crate) summary: Option<String>,
}

/// What becomes of a job after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a job that has had its day is removed by whoever keeps it"]
pub(crate) enum Fate {
    /// It stays.
    Stays,
    /// It is removed.
    Goes,
}

/// When a job is due, whatever it says about that itself.
fn next(job: &CronJob, after: u64, local: &TimeZone) -> Option<u64> {
    if !job.enabled {
        return None;
    }
    match &job.schedule {
        // What was missed happens late, rather than never.
        CronSchedule::At { at_ms } => {
            let at = at_ms.get_unsigned();
            let ran = job.state.last_run_at_ms.max(job.state.running_at_ms);
            ran.is_none_or(|ran| ran < at).then_some(at)
        }
        CronSchedule::Every { .. } | CronSchedule::Cron { .. } => {
            schedule::next(&job.schedule, job.created_at_ms, after, local)
        }
    }
}

/// Sees to it that a job has its next time: one that is new or was changed, one that an older version kept, and all of them when
/// the clock was set back. A time that has come and was missed is left as it is.
pub(crate) fn plan(job: &mut CronJob, now: WallTime, local: &TimeZone) {
    let fresh = next(job, now.as_millis(), local);
    let kept = job.state.next_run_at_ms;
    job.state.next_run_at_ms = match (kept, fresh) {
        (Some(kept), Some(fresh)) => Some(kept.min(fresh)),
        (None, fresh) => fresh,
        (Some(_), None) => None,
    };
}

/// A run of a job begins.
pub(crate) fn begin(job: &mut CronJob, now: WallTime, local: &TimeZone) {
    job.state.running_at_ms = Some(now.as_millis());
    job.state.next_run_at_ms = next(job, now.as_millis(), local);
}

/// A run of a job is over. `was` is the job as it ran; it may have been changed meanwhile.
pub(crate) fn end(
    job: &mut CronJob,
    was: &CronJob,
    began: WallTime,
    now: WallTime,
    ended: &Ended,
    local: &TimeZone,
) -> Fate {
    let state = &mut job.state;
    state.running_at_ms = None;
    state.last_run_at_ms = Some(began.as_millis());
    state.last_status = Some(ended.status);
    state.last_error.clone_from(&ended.error);
    let took = now.since(began).as_millis();
    state.last_duration_ms = Some(u64::try_from(took).unwrap_or(u64::MAX));
    let has_had_its_day = matches!(job.schedule, CronSchedule::At { .. })
        && job.schedule == was.schedule
        && ended.status == CronStatus::Ok;
    if has_had_its_day {
        if job.delete_after_run == Some(true) {
            return Fate::Goes;
        }
        job.enabled = false;
    }
    // Times that came while it ran are over.
    let kept = job.state.next_run_at_ms;
    let fresh = next(job, now.as_millis(), local);
    job.state.next_run_at_ms = match kept {
        Some(kept) if kept > now.as_millis() && job.enabled => Some(kept),
        Some(_) | None => fresh,
    };
    Fate::Stays
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use openclaw_shared::clock::WallTime;
    use openclaw_shared::protocol::params::cron::{CronJob, CronStatus};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Ended, Fate, begin, end, plan};

    fn job(schedule: Value) -> CronJob {
        serde_json::from_value(json!({
            "id": "j", "name": "N", "enabled": true, "createdAtMs": 1_000, "updatedAtMs": 1_000,
            "schedule": schedule, "sessionTarget": "isolated", "wakeMode": "now",
            "payload": {"kind": "agentTurn", "message": "hi"}, "state": {},
        }))
        .unwrap()
    }

    fn at(at: u64) -> CronJob {
        job(json!({"kind": "at", "atMs": at}))
    }

    fn every(every: u64) -> CronJob {
        job(json!({"kind": "every", "everyMs": every}))
    }

    fn ended(status: CronStatus) -> Ended {
        Ended {
            status,
            error: (status == CronStatus::Error).then(|| "it broke".to_owned()),
            summary: None,
        }
    }

    const fn time(millis: u64) -> WallTime {
        WallTime::from_millis(millis)
    }

    /// Runs a job through a story, a step a line: `<time> plan`, `<time> begin`, `<time> ok`, `<time> error`, `<time> off`, each with the
    /// next time that the job has after it.
    #[track_caller]
    fn check(mut job: CronJob, story: &str) {
        let mut was = job.clone();
        for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (step, expected) = line.split_once("=>").unwrap();
            let (now, what) = step.trim().split_once(' ').unwrap();
            let now = time(now.parse().unwrap());
            let utc = &TimeZone::UTC;
            let mut fate = Fate::Stays;
            match what.trim() {
                "plan" => plan(&mut job, now, utc),
                "begin" => {
                    was = job.clone();
                    begin(&mut job, now, utc);
                }
                "off" => {
                    job.enabled = false;
                    plan(&mut job, now, utc);
                }
                end_of => {
                    let status = if end_of == "ok" {
                        CronStatus::Ok
                    } else {
                        CronStatus::Error
                    };
                    let began = time(job.state.running_at_ms.unwrap());
                    fate = end(&mut job, &was, began, now, &ended(status), utc);
                }
            }
            let mut shown = job
                .state
                .next_run_at_ms
                .map_or("never".to_owned(), |next| next.to_string());
            if fate == Fate::Goes {
                shown = "gone".to_owned();
            } else if !job.enabled {
                shown.push_str(" off");
            }
            assert_eq!(shown, expected.trim(), "{line}");
        }
    }

    #[test]
    fn once_is_once_also_late_and_also_when_it_fails() {
        check(
            at(5_000),
            "1000 plan  => 5000
             4000 plan  => 5000
             5001 begin => never
             5002 plan  => never
             5009 ok    => never off
             6000 plan  => never off",
        );
        check(
            at(5_000),
            "90000 plan  => 5000
             90001 begin => never
             90002 error => never
             90003 plan  => never",
        );
        let mut goes = at(5_000);
        goes.delete_after_run = Some(true);
        check(
            goes.clone(),
            "1000 plan => 5000\n 5000 begin => never\n 5001 ok => gone",
        );
        check(
            goes,
            "1000 plan => 5000\n 5000 begin => never\n 5001 error => never",
        );
    }

    #[test]
    fn what_was_missed_many_times_is_due_once_and_never_while_it_runs() {
        check(
            every(100),
            "1000 plan  => 1100
             5050 plan  => 1100
             5050 begin => 5100
             5060 ok    => 5100
             5100 begin => 5200
             5555 ok    => 5600
             5600 begin => 5700
             5650 error => 5700
             5660 off   => never off",
        );
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_put_a_job_off_for_years() {
        check(
            every(100),
            "900000000 plan => 900000100
             2000      plan => 2100",
        );
    }

    #[test]
    fn a_job_that_was_changed_while_it_ran_keeps_its_new_time() {
        let mut job = at(5_000);
        let utc = &TimeZone::UTC;
        plan(&mut job, time(1_000), utc);
        let was = job.clone();
        begin(&mut job, time(5_000), utc);
        job.schedule = at(9_000).schedule;
        plan(&mut job, time(5_500), utc);
        let fate = end(
            &mut job,
            &was,
            time(5_000),
            time(6_000),
            &ended(CronStatus::Ok),
            utc,
        );
        assert_eq!(
            (fate, job.enabled, job.state.next_run_at_ms),
            (Fate::Stays, true, Some(9_000))
        );
    }

    proptest! {
        /// Whatever the clock does: after a run, nothing is due that has passed, and no job that repeats is without a next time.
        #[test]
        fn after_a_run_the_next_time_lies_ahead(every_ms in 1..10_000_u64, steps in proptest::collection::vec((0..50_000_u64, 0..50_000_u64), 1..20)) {
            let mut job = every(every_ms);
            let utc = &TimeZone::UTC;
            for (now, took) in steps {
                plan(&mut job, time(now), utc);
                let due = job.state.next_run_at_ms.unwrap();
                prop_assert!(due <= now.max(999) + every_ms || due == 1_000);
                let was = job.clone();
                begin(&mut job, time(now), utc);
                let fate = end(&mut job, &was, time(now), time(now + took), &ended(CronStatus::Ok), utc);
                prop_assert_eq!(fate, Fate::Stays);
                prop_assert!(job.state.next_run_at_ms.unwrap() > now + took);
            }
        }
    }
}
