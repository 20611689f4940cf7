//! Waiting for facts.

use std::fmt::Display;
use std::time::Duration;

use openclaw_shared::clock::Moment;

/// How long a fact may take. Generous, because the machine may be busy; a fact that holds is seen at once.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(5);

/// Looks at a condition until it holds, and returns what it gives.
///
/// # Panics
/// When it does not hold within [`DEADLINE`], with what it said last.
pub async fn eventually<T, E: Display>(what: &str, check: impl AsyncFnMut() -> Result<T, E>) -> T {
    holds_within(DEADLINE, what, check).await
}

/// As [`eventually`], with a deadline of its own: for promises that name a time.
///
/// # Panics
/// When it does not hold in time.
pub async fn holds_within<T, E: Display>(
    deadline: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let start = Moment::now();
    loop {
        let seen = match check().await {
            Ok(fact) => return fact,
            Err(seen) => seen,
        };
        let waited = Moment::now().since(start);
        assert!(
            waited < deadline,
            "{what}: not within {deadline:?}; last seen: {seen}"
        );
        tokio::time::sleep(PERIOD).await;
    }
}

/// Waits for a future.
///
/// # Panics
/// When it takes longer than [`DEADLINE`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}
