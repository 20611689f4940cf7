use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use openclaw_shared::transcript::{StopReason, Usage};

use super::*;
use crate::model::{Answering, Done, ModelErrorKind};

/// Says what it was told to say, one script for each time it is asked.
#[derive(Default)]
struct Scripted(RefCell<VecDeque<Vec<Result<ModelEvent, ModelError>>>>);

impl Model for Scripted {
    fn ask(&self, _: ModelRequest) -> LocalBoxStream<'_, Result<ModelEvent, ModelError>> {
        let script = self.0.borrow_mut().pop_front();
        stream::iter(script.expect("another request than was planned")).boxed_local()
    }
}

fn says(text: &str) -> Vec<Result<ModelEvent, ModelError>> {
    vec![
        Ok(ModelEvent::Began(Answering::default())),
        Ok(ModelEvent::Text(text.to_owned())),
        Ok(ModelEvent::Done(Done {
            stop: StopReason::Stop,
            usage: Usage::default(),
        })),
    ]
}

fn fails(kind: ModelErrorKind) -> Vec<Result<ModelEvent, ModelError>> {
    vec![Err(ModelError {
        kind,
        message: format!("{kind:?}"),
    })]
}

fn breaks_off(before: ModelEvent) -> Vec<Result<ModelEvent, ModelError>> {
    let mut events = vec![Ok(ModelEvent::Began(Answering::default())), Ok(before)];
    events.extend(fails(ModelErrorKind::BrokeOff));
    events
}

type Course = Vec<Vec<Result<ModelEvent, ModelError>>>;

fn failover(courses: impl IntoIterator<Item = Course>, cooldowns: &SharedCooldowns) -> Failover {
    let candidates = courses
        .into_iter()
        .enumerate()
        .map(|(index, course)| Candidate {
            model: Rc::new(Scripted(RefCell::new(course.into()))),
            name: format!("p/m{index}"),
            key: format!("k{index}"),
            rest: RestRules::default(),
        });
    Failover::new(
        candidates.collect(),
        Policy::default(),
        cooldowns.clone(),
        || 0.0,
    )
}

/// What is heard: `[` for each beginning, texts, `.` for the end, `!message` for an error.
async fn heard(model: &Failover) -> String {
    let events: Vec<_> = model.ask(ModelRequest::default()).collect().await;
    let shown = events.into_iter().map(|event| match event {
        Ok(ModelEvent::Began(_)) => "[".to_owned(),
        Ok(ModelEvent::Text(text)) => text,
        Ok(ModelEvent::Thinking(thought)) => format!("?{thought}"),
        Ok(ModelEvent::Done(_)) => ".".to_owned(),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("!{error}"),
    });
    shown.collect()
}

use ModelErrorKind as Kind;

#[tokio::test(flavor = "local", start_paused = true)]
async fn it_waits_as_long_as_the_provider_wants_and_asks_again() {
    let started = tokio::time::Instant::now();
    let wish = Kind::Limited(Some(Duration::from_secs(20)));
    let course = vec![fails(Kind::Overloaded(None)), fails(wish), says("yes")];
    let model = failover([course], &SharedCooldowns::default());
    assert_eq!(heard(&model).await, "[yes.");
    assert_eq!(started.elapsed(), Duration::from_millis(20_500));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn another_one_answers_when_the_first_cannot() {
    let started = tokio::time::Instant::now();
    let model = failover(
        [
            vec![fails(Kind::Auth)],
            vec![fails(Kind::Refused)],
            vec![says("yes")],
        ],
        &SharedCooldowns::default(),
    );
    assert_eq!(heard(&model).await, "[yes.");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_key_that_was_refused_is_asked_after_the_others_next_time() {
    let cooldowns = SharedCooldowns::default();
    let model = failover(
        [vec![fails(Kind::Auth)], vec![says("one"), says("two")]],
        &cooldowns,
    );
    assert_eq!(heard(&model).await, "[one.");
    // The first one would have no answer left.
    assert_eq!(heard(&model).await, "[two.");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn once_words_were_said_an_error_is_an_error() {
    let model = failover(
        [
            vec![breaks_off(ModelEvent::Text("half".to_owned()))],
            vec![],
        ],
        &SharedCooldowns::default(),
    );
    assert_eq!(heard(&model).await, "[half!BrokeOff");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn thoughts_are_no_words_and_the_answer_begins_anew() {
    let course = vec![
        breaks_off(ModelEvent::Thinking("hm".to_owned())),
        says("yes"),
    ];
    let model = failover([course], &SharedCooldowns::default());
    assert_eq!(heard(&model).await, "[?hm[yes.");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn when_nobody_answers_everybodys_last_word_is_told() {
    let model = failover(
        [vec![fails(Kind::Auth)], vec![fails(Kind::Refused)]],
        &SharedCooldowns::default(),
    );
    assert_eq!(
        heard(&model).await,
        "!no model has answered: p/m0: Auth | p/m1: Refused"
    );
    let alone = failover([vec![fails(Kind::Refused)]], &SharedCooldowns::default());
    assert_eq!(heard(&alone).await, "!Refused");
    let nobody = failover([], &SharedCooldowns::default());
    assert_eq!(heard(&nobody).await, "!no model is configured");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_full_context_is_nobody_elses_business() {
    let model = failover(
        [vec![fails(Kind::ContextFull)], vec![]],
        &SharedCooldowns::default(),
    );
    assert_eq!(heard(&model).await, "!ContextFull");
}
