//! Sessions.

use super::methods;
use crate::protocol::params::sessions::{
    SessionsCompactParams, SessionsCompactReply, SessionsDeleteParams, SessionsDeleteReply,
    SessionsExportParams, SessionsExportReply, SessionsListParams, SessionsListReply,
    SessionsPatchParams, SessionsPatchReply, SessionsPreviewParams, SessionsPreviewReply,
    SessionsResetParams, SessionsResetReply, SessionsResolveParams, SessionsResolveReply,
};

methods! {
    "Sessions";
    /// The sessions, the newest first.
    SessionsList = "sessions.list", Read, SessionsListParams => SessionsListReply;
    /// The newest messages of some sessions, in short.
    SessionsPreview = "sessions.preview", Read, SessionsPreviewParams => SessionsPreviewReply;
    /// The canonical key of a session.
    SessionsResolve = "sessions.resolve", Admin, SessionsResolveParams => SessionsResolveReply;
    /// Changes how a session is set, and creates it when there is none.
    SessionsPatch = "sessions.patch", Admin, SessionsPatchParams => SessionsPatchReply;
    /// Begins another conversation under the same key.
    SessionsReset = "sessions.reset", Admin, SessionsResetParams => SessionsResetReply;
    /// Deletes a session; a main one cannot be deleted.
    SessionsDelete = "sessions.delete", Admin, SessionsDeleteParams => SessionsDeleteReply;
    /// Puts the older messages of a session aside.
    SessionsCompact = "sessions.compact", Admin, SessionsCompactParams => SessionsCompactReply;
    /// A conversation as the lines of a file, a page at a time. An addition of this gateway.
    SessionsExport = "sessions.export", Admin, SessionsExportParams => SessionsExportReply;
}
