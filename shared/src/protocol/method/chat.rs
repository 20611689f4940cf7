//! Runs of agents, and the chat that shows them.

use super::methods;
use crate::protocol::params::agent_runs::{
    AgentParams, AgentReply, AgentWaitParams, AgentWaitReply,
};
use crate::protocol::params::chat::{
    ChatAbortParams, ChatAbortReply, ChatHistoryParams, ChatHistoryReply, ChatInjectParams,
    ChatInjectReply, ChatSendParams, ChatSendReply,
};

methods! {
    "Chat and agent runs";
    /// Starts a run and answers twice under one id: when it is accepted, and when it is finished.
    Agent = "agent", Write, AgentParams => AgentReply;
    /// Waits for a run to end.
    AgentWait = "agent.wait", Write, AgentWaitParams => AgentWaitReply;
    /// The newest messages of a session.
    ChatHistory = "chat.history", Read, ChatHistoryParams => ChatHistoryReply;
    /// Stops runs of a session.
    ChatAbort = "chat.abort", Write, ChatAbortParams => ChatAbortReply;
    /// Sends a message to a session; the answer comes in `chat` events.
    ChatSend = "chat.send", Write, ChatSendParams => ChatSendReply;
    /// Appends a message of the assistant to a transcript, without a model.
    ChatInject = "chat.inject", Admin, ChatInjectParams => ChatInjectReply;
}
