//! What agents can be taught.

use super::methods;
use crate::protocol::params::skills::{SkillsStatusParams, SkillsStatusReply};

methods! {
    "Skills";
    /// The skills, and whether this machine has what each asks for.
    SkillsStatus = "skills.status", Read, SkillsStatusParams => SkillsStatusReply;
}
