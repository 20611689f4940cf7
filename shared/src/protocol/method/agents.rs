//! Agents and models.

use super::methods;
use crate::protocol::params::agents::{
    AgentIdentityParams, AgentIdentityReply, AgentsListParams, AgentsListReply, ModelsListParams,
    ModelsListReply,
};

methods! {
    "Agents and models";
    /// The agents.
    AgentsList = "agents.list", Read, AgentsListParams => AgentsListReply;
    /// Who answers.
    AgentIdentityGet = "agent.identity.get", Read, AgentIdentityParams => AgentIdentityReply;
    /// The models that the configuration names.
    ModelsList = "models.list", Read, ModelsListParams => ModelsListReply;
}
