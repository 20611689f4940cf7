//! The instance that this one watches, as a rescue bot does: the main session is told when it falls and when it is back.

use std::sync::Arc;

use openclaw_shared::clock::WallTime;
use openclaw_shared::control::FleetStatus;
use openclaw_shared::recovery::{WatchedState, WatchedStatus};

use crate::context::Context;
use crate::phase::Phase;
use crate::services::system_events;

/// What there is to tell about a change of the watched instance. Pure.
fn news(before: Option<&WatchedStatus>, after: Option<&WatchedStatus>) -> Option<String> {
    let after = after?;
    let was = before
        .filter(|before| before.profile == after.profile)
        .map_or(WatchedState::Unknown, |before| before.state);
    let profile = &after.profile;
    match (was, after.state) {
        (was, is) if was == is => None,
        (_, WatchedState::Unknown) | (WatchedState::Unknown, WatchedState::Up) => None,
        (_, WatchedState::Up) => Some(format!("The watched gateway \"{profile}\" is up again.")),
        (_, WatchedState::Unwell | WatchedState::Down) => {
            let reason = after.reason.as_deref().unwrap_or("it gave no reason");
            let state = after.state;
            Some(format!(
                "The watched gateway \"{profile}\" is {state}: {reason}."
            ))
        }
    }
}

/// Takes the supervisor's view, and leaves a note for the main session when there is one. Of two lives that hear of it at once both
/// leave one, and the store keeps one.
pub(crate) fn take(context: &Arc<Context>, fleet: FleetStatus) {
    let before = context.health(|health| health.fleet().watch.clone());
    let news = news(before.as_ref(), fleet.watch.as_ref());
    context.set_fleet(fleet);
    if let Some(text) = news
        && context.phases.get() == Phase::Active
    {
        tell(context.clone(), text);
    }
}

fn tell(context: Arc<Context>, text: String) {
    tokio::task::spawn_local(async move {
        let teller = context.clone();
        let noted = context.errands.run(async move {
            let note = teller
                .store
                .write(move |tx| system_events::note(tx, WallTime::now(), &text));
            if let Err(error) = note.await {
                tracing::warn!(target: "watch", %error, "the main session could not be told");
            }
        });
        // Interrupted by the end of this life; the log and `health` say it too.
        let _ = noted.await;
    });
}

#[cfg(test)]
mod tests {
    use openclaw_shared::recovery::{WatchedState, WatchedStatus};

    use super::news;

    fn watched(state: WatchedState) -> WatchedStatus {
        WatchedStatus {
            profile: "main".to_owned(),
            state,
            since_ms: None,
            reason: (state == WatchedState::Down).then(|| "nobody answers".to_owned()),
            falls: 0,
        }
    }

    #[test]
    fn a_fall_and_a_return_are_told_and_nothing_else() {
        let (up, down) = (watched(WatchedState::Up), watched(WatchedState::Down));
        let unknown = watched(WatchedState::Unknown);
        let fell = "The watched gateway \"main\" is down: nobody answers.";
        assert_eq!(news(Some(&up), Some(&down)).as_deref(), Some(fell));
        assert_eq!(news(Some(&unknown), Some(&down)).as_deref(), Some(fell));
        let back = "The watched gateway \"main\" is up again.";
        assert_eq!(news(Some(&down), Some(&up)).as_deref(), Some(back));
        for (before, after) in [
            (None, Some(&up)),
            (Some(&unknown), Some(&up)),
            (Some(&down), Some(&down)),
            (Some(&down), None),
            (Some(&down), Some(&unknown)),
        ] {
            assert_eq!(news(before, after), None, "{before:?} {after:?}");
        }
    }
}
