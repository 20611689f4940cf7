//! Asking people whether a command of an agent may run on this machine.
//!
//! Invariant: what they are shown is what runs. The words, the folder and the variables go into the question as they are; an answer counts for
//! this one call, and nothing is asked any more when nobody waits for it.

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use openclaw_agent::tools::exec::{Answer, Consent, Question};
use openclaw_shared::protocol::params::approvals::{ApprovalDecision, ApprovalRequestParams};
use serde_json::json;

use crate::approvals;
use crate::desk::Desk;
use crate::methods::MethodError;

/// The people who look after this gateway.
pub(super) struct People {
    pub(super) desk: Desk,
    pub(super) session: String,
}

impl Consent for People {
    fn ask(&self, question: Question) -> LocalBoxFuture<'_, Answer> {
        async move {
            match self.decided(question).await {
                Ok(Some(ApprovalDecision::AllowOnce)) => Answer::Once,
                Ok(Some(ApprovalDecision::AllowAlways)) => Answer::Always,
                Ok(Some(ApprovalDecision::Deny)) => Answer::Denied,
                Ok(None) => Answer::Late,
                Err(error) => Answer::Unasked(error.into_shape().message),
            }
        }
        .boxed_local()
    }
}

impl People {
    async fn decided(&self, question: Question) -> Result<Option<ApprovalDecision>, MethodError> {
        let mut asked = json!({
            "id": question.id, "command": question.command, "argv": question.argv, "cwd": question.cwd,
            "host": "gateway", "security": question.security, "ask": question.ask, "agentId": question.agent,
            "resolvedPath": question.resolved_path, "sessionKey": self.session,
            "timeoutMs": u64::try_from(question.limit.as_millis()).unwrap_or(u64::MAX),
        });
        if !question.env.is_empty() {
            asked["env"] = json!(question.env);
        }
        let asked: ApprovalRequestParams = serde_json::from_value(asked)
            .map_err(|error| MethodError::invalid(format!("it cannot be shown: {error}")))?;
        let context = &self.desk.context;
        let asking = approvals::request(context, self.desk.caller(), asked).await?;
        Ok(approvals::hear(context, asking).await?.decision)
    }
}
