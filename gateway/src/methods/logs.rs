//! `logs.tail`.

use openclaw_shared::clock::WallTime;
use openclaw_shared::log;
use openclaw_shared::protocol::params::logs::{LogsTailParams, LogsTailReply};

use super::MethodError;
use crate::connection::Caller;
use crate::context::Context;
use crate::services::log_tail::{self, Wanted};

pub(super) async fn tail(
    context: &Context,
    _caller: &Caller,
    params: LogsTailParams,
) -> Result<LogsTailReply, MethodError> {
    let logging = context.logging();
    let wanted = Wanted::from(params);
    // A read of a million bytes would make the others wait.
    let tailed = tokio::task::spawn_blocking(move || {
        let now = WallTime::now();
        let file =
            log::newest_file(&logging, now).unwrap_or_else(|| log::current_file(&logging, now));
        (log_tail::tail(&file, wanted), file)
    })
    .await;
    let unreadable = || MethodError::Unavailable("the log file cannot be read".to_owned());
    let (tail, file) = tailed.map_err(|_| unreadable())?;
    let tail = tail.map_err(|error| {
        tracing::warn!(target: "gateway", %error, "the log file cannot be read");
        unreadable()
    })?;
    Ok(LogsTailReply {
        file: context.instance.identity.display(&file),
        cursor: tail.cursor,
        size: tail.size,
        lines: tail.lines,
        truncated: tail.truncated,
        reset: tail.reset,
    })
}
