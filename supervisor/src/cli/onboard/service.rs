//! The service that starts the gateway by itself.

use serde_json::json;

use super::super::failure::Failure;
use super::super::{own_program, prompt};
use super::Wizard;
use crate::service;

impl Wizard {
    /// Installs the service when that is wanted.
    pub(super) async fn service(&mut self) -> Result<(), Failure> {
        let manager = service::manager(&self.context.identity, &self.context.environment);
        if let (true, Err(unavailable)) =
            (self.asks && !self.wishes.install_daemon, manager.check())
        {
            self.tell(format!(
                "No service can be installed here: {}.",
                unavailable.message
            ));
            self.summary
                .insert("service".to_owned(), json!("unavailable"));
            return Ok(());
        }
        let view = manager.view();
        let is_installed = view.is_installed();
        let wanted = if self.wishes.install_daemon {
            true
        } else if self.wishes.no_install_daemon || !self.asks {
            false
        } else if is_installed {
            self.tell(format!("The service is installed ({}).", view.label));
            false
        } else {
            let question = "Install the gateway as a service, so that it starts by itself?";
            prompt::yes(question, false).await?
        };
        let mut told = if is_installed { "installed" } else { "none" };
        if wanted && !is_installed {
            match own_program::run(&self.context, &["gateway", "install"]).await {
                Ok(_) => {
                    told = "installed";
                    self.is_changed = true;
                    self.tell("The service is installed.");
                }
                // Everything else is done, and counts without a service too.
                Err(failure) if self.asks => {
                    prompt::say(&failure.message);
                    failure.hints.iter().for_each(|hint| prompt::say(hint));
                    self.warnings.push(failure.message);
                }
                Err(failure) => return Err(failure),
            }
        }
        self.summary.insert("service".to_owned(), json!(told));
        Ok(())
    }
}
