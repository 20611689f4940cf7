//! The folder that agents work in.

use serde_json::json;

use super::super::failure::Failure;
use super::super::prompt;
use super::super::setup;
use super::{Wizard, set};

impl Wizard {
    /// Chooses the workspace and creates what is missing.
    pub(super) async fn workspace(&mut self) -> Result<(), Failure> {
        let current = self.context.instance()?.workspace;
        let shown = self.context.shown(&current);
        let wanted = match &self.wishes.workspace {
            Some(workspace) => Some(workspace.clone()),
            None if self.asks => prompt::line("Folder", &shown).await?,
            None => None,
        };
        let path = &["agents", "defaults", "workspace"];
        let is_written = self.config().agents.defaults.workspace.is_some();
        let edit = match wanted {
            Some(wanted) if wanted != shown => Some(set(path, wanted)),
            Some(_) | None if !is_written => Some(set(path, shown)),
            Some(_) | None => None,
        };
        self.change(&edit.into_iter().collect::<Vec<_>>()).await?;
        let folders = setup::folders(&self.context)?;
        self.summary
            .insert("workspace".to_owned(), json!(folders.workspace));
        Ok(())
    }
}
