//! `sessions.*`: what belongs together, and how each session is set.

mod change;
mod export;
mod look;

pub use self::change::{
    GroupActivation, ResponseUsage, SendPolicy, SessionEntry, SessionsCompactParams,
    SessionsCompactReply, SessionsDeleteParams, SessionsDeleteReply, SessionsPatchParams,
    SessionsPatchReply, SessionsResetParams, SessionsResetReply,
};
pub use self::export::{SessionsExportParams, SessionsExportReply};
pub use self::look::{
    LONGEST_LABEL, Label, PreviewItem, PreviewStatus, SessionKind, SessionPreview, SessionRow,
    SessionsDefaults, SessionsListParams, SessionsListReply, SessionsPreviewParams,
    SessionsPreviewReply, SessionsResolveParams, SessionsResolveReply,
};
