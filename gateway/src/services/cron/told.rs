//! What an agent is asked by a job, and what others are told of its answer.  (pure)

use openclaw_shared::protocol::params::cron::{CronJob, CronStatus, PostMode};

use super::course::Ended;
use crate::services::system_events::Queued;

/// What a note to the main session begins with.
const PREFIX: &str = "Cron";
/// How much of an answer is kept with a run, in characters.
const LONGEST_SUMMARY: usize = 2_000;
/// How much of an answer the main session is told that is told all of it, in characters, when the job does not say.
const LONGEST_POST: u64 = 8_000;

/// The answer of an agent, and how its run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) ended: Ended,
    /// All of it.
    pub(crate) text: String,
}

impl Answer {
    /// It said this.
    pub(crate) fn said(text: &str) -> Self {
        let text = text.trim();
        Self {
            ended: Ended {
                status: CronStatus::Ok,
                error: None,
                summary: (!text.is_empty()).then(|| cut(text, LONGEST_SUMMARY)),
            },
            text: text.to_owned(),
        }
    }

    /// It went wrong.
    pub(crate) fn failed(error: &str, text: &str) -> Self {
        let said = Self::said(text);
        Self {
            ended: Ended {
                status: CronStatus::Error,
                error: Some(cut(error, LONGEST_SUMMARY)),
                summary: said.ended.summary,
            },
            text: said.text,
        }
    }
}

/// The question of a job: the message, with the job in front, so that whoever reads the conversation knows where it came from.
pub(crate) fn question(job: &CronJob, message: &str) -> String {
    format!("[cron:{} {}] {message}", job.id, job.name)
}

/// What the main session is told of a run.
pub(crate) fn for_main(job: &CronJob, answer: &Answer) -> String {
    let isolation = job.isolation.clone().unwrap_or_default();
    let prefix = isolation.post_to_main_prefix.as_deref().map(str::trim);
    let prefix = prefix.filter(|text| !text.is_empty()).unwrap_or(PREFIX);
    let ended = &answer.ended;
    let short = || {
        let short = ended.summary.as_deref().or(ended.error.as_deref());
        short.unwrap_or(ended.status.as_str()).to_owned()
    };
    let body = match isolation.post_to_main_mode {
        Some(PostMode::Full) if !answer.text.is_empty() => {
            let most = isolation.post_to_main_max_chars;
            let most = most.map_or(LONGEST_POST, |most| most.get_unsigned());
            cut(&answer.text, usize::try_from(most).unwrap_or(usize::MAX))
        }
        Some(PostMode::Full | PostMode::Summary) | None => short(),
    };
    match ended.status {
        CronStatus::Ok => format!("{prefix}: {body}"),
        CronStatus::Error | CronStatus::Skipped => format!("{prefix} ({}): {body}", ended.status),
    }
}

/// How a run ended that leaves a note.
pub(crate) fn left(queued: Queued, text: &str) -> Ended {
    let (status, error) = match queued {
        Queued::Waits => (CronStatus::Ok, None),
        Queued::Blank => (CronStatus::Skipped, Some("there is nothing in the note")),
        Queued::TooLong => (CronStatus::Error, Some("the note is too long")),
        Queued::Full => (
            CronStatus::Error,
            Some("too many notes wait for the main session"),
        ),
    };
    Ended {
        status,
        error: error.map(str::to_owned),
        summary: (status == CronStatus::Ok).then(|| cut(text.trim(), LONGEST_SUMMARY)),
    }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use openclaw_shared::protocol::params::cron::{CronJob, CronStatus};
    use serde_json::{Value, json};

    use super::{Answer, for_main, left, question};
    use crate::services::system_events::Queued;

    fn job(isolation: Value) -> CronJob {
        serde_json::from_value(json!({
            "id": "j1", "name": "Morning", "enabled": true, "createdAtMs": 1, "updatedAtMs": 1,
            "schedule": {"kind": "at", "atMs": 1}, "sessionTarget": "isolated", "wakeMode": "now",
            "payload": {"kind": "agentTurn", "message": "hi"}, "isolation": isolation, "state": {},
        }))
        .unwrap()
    }

    #[track_caller]
    fn check(isolation: Value, answer: &Answer, expected: &str) {
        assert_eq!(for_main(&job(isolation), answer), expected);
    }

    #[test]
    fn the_question_says_where_it_came_from() {
        assert_eq!(question(&job(json!({})), "go"), "[cron:j1 Morning] go");
    }

    #[test]
    fn the_main_session_is_told_as_much_as_the_job_says() {
        check(json!({}), &Answer::said(" all well \n"), "Cron: all well");
        check(json!({}), &Answer::said(""), "Cron: ok");
        check(
            json!({"postToMainPrefix": " News "}),
            &Answer::failed("no key", ""),
            "News (error): no key",
        );
        let long = Answer::said(&"ü".repeat(9_000));
        assert_eq!(long.ended.summary.as_ref().unwrap().chars().count(), 2_001);
        let told = |isolation: Value| for_main(&job(isolation), &long).chars().count();
        assert_eq!(told(json!({"postToMainMode": "summary"})), 6 + 2_001);
        assert_eq!(told(json!({"postToMainMode": "full"})), 6 + 8_001);
        check(
            json!({"postToMainMode": "full", "postToMainMaxChars": 3}),
            &Answer::said("abcdef"),
            "Cron: abc…",
        );
    }

    #[test]
    fn a_note_that_cannot_be_left_is_no_success() {
        assert_eq!(left(Queued::Waits, " hi ").summary.as_deref(), Some("hi"));
        assert_eq!(left(Queued::Blank, " ").status, CronStatus::Skipped);
        for queued in [Queued::TooLong, Queued::Full] {
            assert_eq!(left(queued, "x").status, CronStatus::Error);
        }
    }
}
