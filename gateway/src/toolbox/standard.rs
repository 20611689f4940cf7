//! The tools that need nothing but this machine, as the configuration and the session have them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use openclaw_agent::tool::Tool;
use openclaw_agent::tools::exec::{ExecSettings, Exited, SkillPrograms};
use openclaw_agent::tools::process::Processes;
use openclaw_agent::tools::{FileRules, ToolSettings, standard};
use openclaw_exec::approvals::Approvals;
use openclaw_exec::environment::HostEnvironment;
use openclaw_exec::keeper::Keeper;
use openclaw_shared::clock::WallTime;
use openclaw_shared::exec_approvals::{Ask, Security};
use openclaw_shared::instance::Environment;
use openclaw_shared::paths::StatePaths;
use openclaw_shared::protocol::params::heartbeat::WakeMode;
use openclaw_shared::protocol::params::sessions::SessionEntry;

use super::Bench;
use super::consent::People;
use crate::context::Context;
use crate::heartbeat;
use crate::services::system_events::{self, Kind};
use crate::services::{sessions, skills};
use crate::store::StoreError;

/// How much of what a command has written last is told, in characters.
const LONGEST_TAIL: usize = 400;

thread_local! {
    /// The commands that go on in the background, by the life of the gateway they belong to. They stay on the one thread that runs
    /// everything, so that they cannot be where everybody shares.
    static IN_THE_BACKGROUND: RefCell<BTreeMap<String, Processes>> = const { RefCell::new(BTreeMap::new()) };
}

fn processes(context: &Context) -> Processes {
    let life = context.runs.life().to_owned();
    IN_THE_BACKGROUND.with_borrow_mut(|all| all.entry(life).or_default().clone())
}

/// This life ends, and with it what goes on in the background.
pub(crate) fn end(context: &Context) {
    super::servers::end(context);
    IN_THE_BACKGROUND.with_borrow_mut(|all| all.remove(context.runs.life()));
}

/// The tools of an agent that needs nothing but this machine.
pub(super) fn tools(bench: &Bench, may_background: bool) -> Vec<Rc<dyn Tool>> {
    let context = bench.context();
    let settings = context.settings();
    let identity = &context.instance.identity;
    let agent = bench.agent.as_str();
    let key = bench.session.as_str();
    let entry = context.store.read(|reader| Ok(sessions::find(reader, key)));
    let entry = entry.ok().and_then(Result::ok).flatten();
    let set = |field: fn(&SessionEntry) -> Option<&str>| entry.as_ref().and_then(field);
    let rules = settings.tooling.exec(agent).with(
        set(|entry| entry.exec_security.as_deref()),
        set(|entry| entry.exec_ask.as_deref()),
    );
    let environment = Environment::from_process();
    let host = HostEnvironment::of(&environment, Some(identity.home.clone()))
        .preferring(rules.path().iter().cloned());
    let told = (bench.context().clone(), bench.agent.clone(), key.to_owned());
    let on_exit: Rc<dyn Fn(&Exited)> = Rc::new(move |exited| tell(&told, exited));
    let state = StatePaths(&identity.state_dir);
    let is_free = rules.security() == Security::Full && rules.ask() == Ask::Off;
    let web = settings.tooling.web();
    let (whose, found_by) = (agent.to_owned(), settings.clone());
    let skill_programs: SkillPrograms =
        Arc::new(move || skills::bins_of(&found_by, &whose).into_iter().collect());
    let settings = ToolSettings {
        workspace: settings
            .catalog
            .workspace(agent, agent == settings.default_agent()),
        files: FileRules {
            protected: vec![identity.state_dir.clone(), identity.config_path.clone()],
            readable: vec![settings.catalog.managed_skills()],
            writes_anywhere: is_free,
        },
        exec: ExecSettings {
            agent: agent.to_owned(),
            keeper: Keeper::of_this_program(),
            host,
            approvals: Approvals::at(state.exec_approvals()),
            security: rules.security(),
            ask: rules.ask(),
            limit: rules.limit(),
            background_after: rules.background_after(),
            may_background,
            skill_programs,
            processes: processes(context),
            on_exit: rules.tells_of_ends().then_some(on_exit),
        },
        web,
    };
    let people = People {
        desk: bench.desk.clone(),
        session: key.to_owned(),
    };
    standard(settings, Rc::new(people))
}

/// Leaves a word for the session that a command in the background has ended, and wakes its agent.
fn tell((context, agent, session): &(Arc<Context>, String, String), exited: &Exited) {
    let tail: String = exited.tail.trim().chars().take(LONGEST_TAIL).collect();
    let mut text = format!(
        "The command {} (process session {}) has ended: {}",
        exited.name, exited.session, exited.how
    );
    if !tail.is_empty() {
        text.push('\n');
        text.push_str(&tail);
    }
    let (within, agent, session) = (context.clone(), agent.clone(), session.clone());
    let begun = context.aftermath.begin(async move {
        let kept: Result<_, StoreError> = within
            .store
            .write(move |tx| {
                system_events::enqueue(
                    tx,
                    WallTime::now(),
                    Some(&session),
                    Kind::Wake(WakeMode::Now),
                    &text,
                )
            })
            .await;
        match kept {
            Ok(_) => heartbeat::wake_agent(&within, &agent),
            Err(error) => {
                tracing::warn!(target: "runs", %error, "that a command has ended cannot be kept");
            }
        }
    });
    if !begun {
        tracing::warn!(target: "runs", "too much is going on to tell that a command has ended");
    }
}
