//! Whether it answers, and what comes next.

use openclaw_shared::exit::Exit;
use serde_json::{Map, Value, json};

use super::super::failure::Failure;
use super::super::{own_program, prompt};
use super::Wizard;

impl Wizard {
    /// Looks whether the gateway answers, when one should.
    pub(super) async fn health(&mut self) -> Result<(), Failure> {
        if self.wishes.skip_health || (!self.is_remote() && !self.is_running().await) {
            if !self.is_remote() {
                self.tell("The gateway does not run.");
            }
            self.summary.insert("reachable".to_owned(), Value::Null);
            return Ok(());
        }
        self.restart_if_needed().await?;
        let asked = own_program::run(&self.context, &["health"]).await;
        match &asked {
            Ok(_) => self.tell("The gateway answers."),
            Err(failure) => {
                self.tell(&failure.message);
                self.warnings.push(failure.message.clone());
            }
        }
        self.summary
            .insert("reachable".to_owned(), asked.is_ok().into());
        Ok(())
    }

    async fn restart_if_needed(&mut self) -> Result<(), Failure> {
        let Some(why) = self.restart_for else {
            return Ok(());
        };
        if self.is_remote() || !self.is_running().await {
            self.restart_for = None;
            return Ok(());
        }
        let question = format!("Restart the gateway for {why}? Nobody is refused meanwhile.");
        if self.asks && prompt::yes(&question, true).await? {
            own_program::run(&self.context, &["gateway", "restart"]).await?;
            self.restart_for = None;
        }
        Ok(())
    }

    /// Says what is there, and what comes next.
    pub(super) async fn finish(&mut self) -> Result<Exit, Failure> {
        self.restart_if_needed().await?;
        if let Some(why) = self.restart_for {
            self.warnings.push(format!(
                "What runs takes up {why} with: {}",
                self.context.command("gateway restart")
            ));
        }
        let context = &self.context;
        let mut next = Vec::new();
        if !self.is_remote() && !self.is_running().await {
            next.push(("Run the gateway", context.command("gateway")));
        }
        next.push(("Chat in the terminal", context.command("tui")));
        next.push(("Open the dashboard", context.command("dashboard")));
        if context.out.is_json() {
            let next: Map<String, Value> = next
                .iter()
                .map(|(what, command)| ((*what).to_owned(), command.as_str().into()))
                .collect();
            let mut document = Map::from_iter([
                ("ok".to_owned(), json!(true)),
                ("changed".to_owned(), self.is_changed.into()),
                ("config".to_owned(), json!(context.identity.config_path)),
            ]);
            document.extend(std::mem::take(&mut self.summary));
            document.insert("warnings".to_owned(), json!(self.warnings));
            document.insert("next".to_owned(), Value::Object(next));
            context.out.document(&document);
            return Ok(Exit::Ok);
        }
        let config = context.shown(&context.identity.config_path);
        context.out.line("");
        context.out.line(match self.is_changed {
            true => format!("Done. The configuration is in {config}."),
            false => format!("Nothing was changed. The configuration is in {config}."),
        });
        for warning in &self.warnings {
            context.out.note(format!("Note: {warning}"));
        }
        for (what, command) in next {
            context.out.line(format!("{what}: {command}"));
        }
        Ok(Exit::Ok)
    }
}
