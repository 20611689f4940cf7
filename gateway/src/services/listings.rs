//! What `sessions.list` is answered from between two requests: kept while somebody asks for it, and given up when nobody does.
//!
//! Clients ask for the same list again and again. Most of the time nothing has changed, and then the last answer is given once more,
//! without a look at the store. Otherwise the answer is made of the rows that are kept.
//!
//! Invariant: an answer is given again only while the version of the store, the settings and the question are those it was made for.

use std::sync::Arc;
use std::time::Duration;

use openclaw_shared::clock::{Moment, WallTime};
use openclaw_shared::protocol::params::sessions::{SessionsListParams, SessionsListReply};

use crate::prepared::Prepared;
use crate::services::sessions::Rows;
use crate::settings::Settings;

/// How long everything is kept after the last request.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);
/// The largest answer that is kept, in bytes. A larger one is made of rows that are kept already; it would lie here twice.
const LARGEST_ANSWER: usize = 64 * 1024;

/// What is kept.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    kept: Option<(Moment, Rows)>,
    last: Option<Last>,
    /// Somebody was given the last answer again since the last look at the time.
    was_asked: bool,
}

/// What an answer was made for.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The version of the store before it was read.
    pub(crate) version: u64,
    /// The settings; held, so that no others can come to lie in their place.
    pub(crate) settings: Arc<Settings>,
    /// What was asked.
    pub(crate) params: SessionsListParams,
}

impl Question {
    fn is_same(&self, other: &Self) -> bool {
        self.version == other.version
            && Arc::ptr_eq(&self.settings, &other.settings)
            && self.params == other.params
    }

    /// Whether its answer is the same at another time, but for the time that it tells.
    const fn is_timeless(&self) -> bool {
        self.params.active_minutes.is_none()
    }
}

/// An answer that was given.
#[derive(Debug)]
struct Last {
    question: Question,
    made: WallTime,
    answer: Prepared<SessionsListReply>,
}

impl Listings {
    /// The last answer, if it is the answer to this question too.
    pub(crate) fn again(
        &mut self,
        question: &Question,
        now: WallTime,
    ) -> Option<Prepared<SessionsListReply>> {
        let last = self.last.as_mut()?;
        if !last.question.is_same(question) {
            return None;
        }
        self.was_asked = true;
        if last.made != now {
            last.answer = at(&last.answer, now)?;
            last.made = now;
        }
        Some(last.answer.clone())
    }

    /// Takes the rows to work with; nothing is kept until they are put back.
    pub(crate) fn take(&mut self) -> Rows {
        self.kept.take().map(|(_, rows)| rows).unwrap_or_default()
    }

    /// Puts the rows back.
    pub(crate) fn put(&mut self, now: Moment, rows: Rows) {
        self.kept = Some((now, rows));
    }

    /// Keeps an answer, if it may be given again.
    pub(crate) fn answered(
        &mut self,
        question: Question,
        made: WallTime,
        answer: &Prepared<SessionsListReply>,
    ) {
        let may_be_kept = question.is_timeless() && answer.json().len() <= LARGEST_ANSWER;
        self.last = may_be_kept.then(|| Last {
            question,
            made,
            answer: answer.clone(),
        });
    }

    /// Gives up what nobody has asked for in a while. Whether there was something.
    pub(crate) fn forget(&mut self, now: Moment) -> bool {
        if std::mem::take(&mut self.was_asked)
            && let Some((asked, _)) = &mut self.kept
        {
            *asked = now;
        }
        let gone = self
            .kept
            .take_if(|(asked, _)| now.since(*asked) >= KEPT_FOR);
        if gone.is_some() {
            self.last = None;
        }
        gone.is_some()
    }
}

/// The same list at another time, which it begins with.
fn at(answer: &Prepared<SessionsListReply>, now: WallTime) -> Option<Prepared<SessionsListReply>> {
    const TIME: &[u8] = br#"{"ts":"#;
    let rest = answer.json().strip_prefix(TIME)?;
    let rest = &rest[rest.iter().position(|byte| !byte.is_ascii_digit())?..];
    let now = now.as_millis().to_string();
    let mut json = Vec::with_capacity(TIME.len() + now.len() + rest.len());
    for piece in [TIME, now.as_bytes(), rest] {
        json.extend_from_slice(piece);
    }
    Some(Prepared::of_json(json.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openclaw_shared::clock::{Moment, WallTime};
    use openclaw_shared::config::Config;
    use openclaw_shared::protocol::params::sessions::{
        SessionsDefaults, SessionsListParams, SessionsListReply,
    };
    use serde_json::{Value, json};

    use super::{KEPT_FOR, LARGEST_ANSWER, Listings, Question};
    use crate::prepared::Prepared;
    use crate::services::sessions::Rows;
    use crate::settings::Settings;
    use crate::testing::instance;

    fn settings() -> Arc<Settings> {
        let instance = instance(std::path::Path::new("/home/me"));
        let config = Config::from_effective(&json!({})).unwrap();
        Arc::new(Settings::of(&config, &instance))
    }

    fn asked(settings: &Arc<Settings>, version: u64, params: Value) -> Question {
        Question {
            version,
            settings: settings.clone(),
            params: serde_json::from_value(params).unwrap(),
        }
    }

    fn reply(ts: u64, path: &str) -> Prepared<SessionsListReply> {
        Prepared::new(&SessionsListReply {
            ts,
            path: path.to_owned(),
            count: 0,
            defaults: SessionsDefaults::default(),
            sessions: Vec::new(),
        })
    }

    fn read(answer: &Prepared<SessionsListReply>) -> SessionsListReply {
        serde_json::from_slice(answer.json()).unwrap()
    }

    #[test]
    fn rows_are_given_up_when_nobody_asks_for_them() {
        let now = Moment::now();
        let mut listings = Listings::default();
        assert!(!listings.forget(now));
        listings.put(now, Rows::default());
        assert!(!listings.forget(now + KEPT_FOR / 2));
        assert!(listings.forget(now + KEPT_FOR));
        assert!(!listings.forget(now + KEPT_FOR));
    }

    #[test]
    fn an_answer_is_given_again_as_long_as_nothing_has_changed() {
        let (settings, others) = (settings(), settings());
        let mut listings = Listings::default();
        let question = asked(&settings, 7, json!({"limit": 3}));
        let at = WallTime::from_millis;
        assert!(
            listings.again(&question, at(1)).is_none(),
            "nothing was asked"
        );
        listings.answered(question.clone(), at(9), &reply(9, "~/s"));
        for ts in [9, 10, 12_345, 12_345, 8] {
            let again = listings.again(&question, at(ts)).unwrap();
            assert_eq!(read(&again), read(&reply(ts, "~/s")));
        }
        for other in [
            asked(&settings, 8, json!({"limit": 3})),
            asked(&others, 7, json!({"limit": 3})),
            asked(&settings, 7, json!({"limit": 4})),
            asked(&settings, 7, json!({})),
        ] {
            assert!(
                listings.again(&other, at(9)).is_none(),
                "{:?}",
                other.params
            );
        }
        // What was not the answer to another question still is to this one.
        assert!(listings.again(&question, at(9)).is_some());
    }

    #[test]
    fn what_depends_on_the_time_or_is_large_is_made_anew() {
        let (settings, at) = (settings(), WallTime::from_millis(1));
        let mut listings = Listings::default();
        let recent = asked(&settings, 1, json!({"activeMinutes": 5}));
        listings.answered(recent.clone(), at, &reply(1, "~/s"));
        assert!(listings.again(&recent, at).is_none());
        let all = asked(&settings, 1, json!({}));
        assert_eq!(all.params, SessionsListParams::default());
        listings.answered(all.clone(), at, &reply(1, "~/s"));
        assert!(listings.again(&all, at).is_some());
        listings.answered(all.clone(), at, &reply(1, &"s".repeat(LARGEST_ANSWER)));
        assert!(listings.again(&all, at).is_none());
    }

    #[test]
    fn whoever_is_answered_again_has_asked() {
        let (now, at) = (Moment::now(), WallTime::from_millis(1));
        let mut listings = Listings::default();
        let question = asked(&settings(), 1, json!({}));
        listings.put(now, Rows::default());
        listings.answered(question.clone(), at, &reply(1, "~/s"));
        assert!(listings.again(&question, at).is_some());
        assert!(!listings.forget(now + KEPT_FOR));
        assert!(listings.forget(now + KEPT_FOR * 2));
        assert!(listings.again(&question, at).is_none());
    }
}
