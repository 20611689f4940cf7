//! Waiting for facts.

use std::fmt::Display;
use std::time::Duration;

use openclaw_shared::clock::Moment;

/// How long a fact may take. Generous, because the machine may be busy; a fact that holds is seen at once.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(5);

/// What one look counts at most of a time that is promised, with the pause after it. A look that takes longer was kept waiting by a
/// machine that is slow or has other things to do, and so was what it looks at.
const LOOK: Duration = Duration::from_millis(15);

/// Looks at a condition until it holds, and returns what it gives.
///
/// # Panics
/// When it does not hold within [`DEADLINE`], with what it said last.
pub async fn eventually<T, E: Display>(what: &str, check: impl AsyncFnMut() -> Result<T, E>) -> T {
    looked_for(DEADLINE, DEADLINE, what, check).await
}

/// As [`eventually`], for promises that name a time. It is counted in looks, so that a machine that is ten times as slow has ten
/// times as long.
///
/// # Panics
/// When it does not hold in time.
pub async fn holds_within<T, E: Display>(
    deadline: Duration,
    what: &str,
    check: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    looked_for(deadline, LOOK, what, check).await
}

async fn looked_for<T, E: Display>(
    deadline: Duration,
    look: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let mut waited = Duration::ZERO;
    loop {
        let begun = Moment::now();
        let seen = match check().await {
            Ok(fact) => return fact,
            Err(seen) => seen,
        };
        assert!(
            waited < deadline,
            "{what}: not within {deadline:?}; last seen: {seen}"
        );
        tokio::time::sleep(PERIOD).await;
        waited += Moment::now().since(begun).min(look);
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
