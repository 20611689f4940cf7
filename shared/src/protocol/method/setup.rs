//! Getting an instance ready: the wizard, updates, and what skills need.

use super::methods;
use crate::protocol::params::setup::{
    SkillsInstallParams, SkillsInstallReply, SkillsUpdateParams, SkillsUpdateReply,
    UpdateRunParams, UpdateRunReply, WizardNextParams, WizardNextReply, WizardSessionParams,
    WizardStartParams, WizardStartReply, WizardStatusReply,
};

methods! {
    "Setting up";
    /// Starts the wizard; there is one at a time.
    WizardStart = "wizard.start", Admin, WizardStartParams => WizardStartReply, planned "the wizard is not built";
    /// Answers a step and asks for the next one.
    WizardNext = "wizard.next", Admin, WizardNextParams => WizardNextReply, planned "the wizard is not built";
    /// Gives the wizard up.
    WizardCancel = "wizard.cancel", Admin, WizardSessionParams => WizardStatusReply, planned "the wizard is not built";
    /// How the wizard stands.
    WizardStatus = "wizard.status", Admin, WizardSessionParams => WizardStatusReply, planned "the wizard is not built";
    /// Updates the program and restarts.
    UpdateRun = "update.run", Admin, UpdateRunParams => UpdateRunReply, planned "updates are not built";
    /// Runs an installer that a skill names.
    SkillsInstall = "skills.install", Admin, SkillsInstallParams => SkillsInstallReply, planned "installing for skills is not built";
    /// Changes the entry of a skill in the configuration.
    SkillsUpdate = "skills.update", Admin, SkillsUpdateParams => SkillsUpdateReply, planned "skill settings are not built";
}
