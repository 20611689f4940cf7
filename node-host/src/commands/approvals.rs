//! The owner's file of what may be executed, as the gateway shows and replaces it.
//!
//! The gateway lets only administrators ask for this. A file that cannot be understood is not replaced. All of this waits for the
//! disk and is done aside.

use std::path::Path;

use openclaw_shared::exec_approvals::{self, ApprovalsError, ApprovalsSnapshot};
use openclaw_shared::protocol::params::approvals::{ApprovalsReply, ApprovalsSetParams};

use super::{Answer, Refused, answer, read};

/// What may be executed.
pub(super) fn get(path: &Path) -> Answer {
    let snapshot = exec_approvals::load(path).map_err(|error| refused(&error))?;
    shown(path, snapshot)
}

/// Replaces it.
pub(super) fn set(path: &Path, params: Option<&str>) -> Answer {
    let params: ApprovalsSetParams = read(params)?;
    let replaced = exec_approvals::replace(path, params.file, params.base_hash.as_deref());
    shown(path, replaced.map_err(|error| refused(&error))?)
}

fn shown(path: &Path, snapshot: ApprovalsSnapshot) -> Answer {
    answer(&ApprovalsReply {
        path: path.display().to_string(),
        exists: snapshot.exists,
        hash: snapshot.hash,
        file: snapshot.file.redacted(),
    })
}

/// The texts carry a prefix because clients of the existing product know them so.
fn refused(error: &ApprovalsError) -> Refused {
    match error {
        ApprovalsError::BaseRequired | ApprovalsError::Changed => {
            Refused::invalid(format!("Error: INVALID_REQUEST: {error}"))
        }
        ApprovalsError::Unreadable { .. }
        | ApprovalsError::Broken { .. }
        | ApprovalsError::Unwritable { .. } => Refused::unavailable(format!("cannot {error}")),
    }
}
