//! `openclaw sessions`: the conversations that the gateway knows, what was said in them, and their end.

use clap::{Arg, Args, Subcommand};
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::chat::ChatHistory;
use openclaw_shared::protocol::method::sessions::{
    SessionsCompact, SessionsDelete, SessionsList, SessionsPreview, SessionsReset,
};
use serde_json::{Value, json};

use super::answer::{Answer as _, given};
use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::failure::{Failure, Kind};
use super::rpc::ask;

mod export;
mod view;

/// `sessions`.
#[derive(Debug, Args)]
#[command(
    mut_args = as_a_group,
    after_help = "A session is named by its key, or by main for the main one of the default agent.\n\
                  Without a command, the sessions are listed."
)]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    which: Which,
    /// Read a file of another version
    #[arg(long, hide = true, value_name = "FILE")]
    store: Option<String>,
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: Option<SessionsCommand>,
}

/// Which sessions are listed.
#[derive(Debug, Clone, Default, Args)]
struct Which {
    /// List only those that were active in the last so many minutes
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..))]
    active: Option<u64>,
    /// List only those of this agent
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// List only those whose key or name contains this
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, Default, Args)]
struct Limit {
    /// Show at most so many
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// The options that only some of the commands have.
const OF_SOME: [&str; 4] = ["active", "agent", "search", "limit"];

fn as_a_group(argument: Arg) -> Arg {
    match OF_SOME.contains(&argument.get_id().as_str()) {
        true => argument,
        false => everywhere(argument),
    }
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// List the sessions
    List(Which),
    /// Show the beginnings of the newest messages of sessions
    Preview {
        /// The sessions
        #[arg(value_name = "SESSION", required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show what was said in a session
    History {
        #[command(flatten)]
        session: SessionName,
        #[command(flatten)]
        limit: Limit,
    },
    /// Begin a session again, with nothing said
    Reset(SessionName),
    /// Delete a session, and what was said in it
    #[command(alias = "rm")]
    Delete {
        #[command(flatten)]
        session: SessionName,
        /// Keep what was said
        #[arg(long)]
        keep_transcript: bool,
    },
    /// Write what was said in a session as a file of lines
    Export(export::ExportArgs),
    /// Put the older messages of a session aside
    Compact {
        #[command(flatten)]
        session: SessionName,
        /// Leave so many messages in place [default: 400]
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
        keep: Option<u64>,
    },
}

#[derive(Debug, Clone, Args)]
struct SessionName {
    /// The session
    #[arg(value_name = "SESSION")]
    key: String,
}

impl SessionsCommand {
    const fn name(&self) -> &'static str {
        match self {
            Self::List(_) => "list",
            Self::Preview { .. } => "preview",
            Self::History { .. } => "history",
            Self::Reset(_) => "reset",
            Self::Delete { .. } => "delete",
            Self::Compact { .. } => "compact",
            Self::Export(_) => "export",
        }
    }

    /// How much it shows, when it shows so many of something.
    const fn limit(&self) -> Option<Limit> {
        match self {
            Self::List(which) => Some(which.limit),
            Self::Preview { limit, .. } | Self::History { limit, .. } => Some(*limit),
            Self::Reset(_) | Self::Delete { .. } | Self::Compact { .. } | Self::Export(_) => None,
        }
    }
}

impl Limit {
    /// What was said at the command, or else before its name.
    fn or(self, before: Self) -> Option<u64> {
        self.limit.or(before.limit)
    }
}

impl Which {
    /// Fills what was not said with what was said before the command's name.
    fn or(&self, before: &Self) -> Self {
        let text = |here: &Option<String>, before: &Option<String>| here.clone().or(before.clone());
        Self {
            active: self.active.or(before.active),
            agent: text(&self.agent, &before.agent),
            search: text(&self.search, &before.search),
            limit: Limit {
                limit: self.limit.or(before.limit),
            },
        }
    }
}

impl SessionsArgs {
    /// Refuses what would have no effect.
    fn check(&self) -> Result<(), Failure> {
        let Some(command) = &self.command else {
            return Ok(());
        };
        let Which {
            active,
            agent,
            search,
            limit,
        } = &self.which;
        let is_list = matches!(command, SessionsCommand::List(_));
        let takes_a_limit = command.limit().is_some();
        let said = [
            ("active", active.is_some() && !is_list),
            ("agent", agent.is_some() && !is_list),
            ("search", search.is_some() && !is_list),
            ("limit", limit.limit.is_some() && !takes_a_limit),
        ];
        match said.iter().find(|(_, is_wrong)| *is_wrong) {
            Some((option, _)) => Err(Failure::new(
                Kind::Usage,
                format!(
                    "error: option '--{option}' does not apply to 'sessions {}'",
                    command.name()
                ),
            )),
            None => Ok(()),
        }
    }
}

pub(crate) async fn perform(context: &Context, arguments: SessionsArgs) -> Result<Exit, Failure> {
    arguments.check()?;
    if arguments.store.is_some() {
        return Err(Failure::new(
            Kind::Unsupported,
            "Sessions are kept in the gateway's store, and no sessions.json is read.",
        )
        .hint(format!(
            "Take over what another version has left: {}",
            context.command("doctor --from DIR")
        )));
    }
    let rpc = &arguments.rpc;
    let before = &arguments.which;
    match &arguments.command {
        None => list(context, rpc, before).await,
        Some(SessionsCommand::List(which)) => list(context, rpc, &which.or(before)).await,
        Some(SessionsCommand::Preview { keys, limit }) => {
            preview(context, rpc, keys, limit.or(before.limit)).await
        }
        Some(SessionsCommand::History { session, limit }) => {
            history(context, rpc, &session.key, limit.or(before.limit)).await
        }
        Some(SessionsCommand::Reset(session)) => reset(context, rpc, &session.key).await,
        Some(SessionsCommand::Export(wanted)) => export::perform(context, rpc, wanted).await,
        Some(SessionsCommand::Delete {
            session,
            keep_transcript,
        }) => delete(context, rpc, &session.key, *keep_transcript).await,
        Some(SessionsCommand::Compact { session, keep }) => {
            compact(context, rpc, &session.key, *keep).await
        }
    }
}

async fn list(context: &Context, rpc: &RpcFlags, which: &Which) -> Result<Exit, Failure> {
    let params = given(json!({
        "activeMinutes": which.active,
        "agentId": which.agent,
        "search": which.search,
        "limit": which.limit.limit,
    }));
    let mut answer = ask::<SessionsList>(context, rpc, "sessions", params).await?;
    let now = WallTime::now();
    with_ages(&mut answer, which.active, now);
    context.out.answer(&answer, || view::list(&answer, now));
    Ok(Exit::Ok)
}

/// Adds what scripts find in the list of the existing command.
fn with_ages(answer: &mut Value, active: Option<u64>, now: WallTime) {
    answer["activeMinutes"] = active.into();
    for session in answer["sessions"].as_array_mut().into_iter().flatten() {
        let age = session
            .time("updatedAt")
            .map(|then| now.as_millis().saturating_sub(then.as_millis()));
        session["ageMs"] = age.into();
    }
}

async fn preview(
    context: &Context,
    rpc: &RpcFlags,
    keys: &[String],
    limit: Option<u64>,
) -> Result<Exit, Failure> {
    let params = given(json!({ "keys": keys, "limit": limit }));
    let answer = ask::<SessionsPreview>(context, rpc, "sessions preview", params).await?;
    context.out.answer(&answer, || view::previews(&answer));
    Ok(Exit::Ok)
}

async fn history(
    context: &Context,
    rpc: &RpcFlags,
    key: &str,
    limit: Option<u64>,
) -> Result<Exit, Failure> {
    let params = given(json!({ "sessionKey": key, "limit": limit }));
    let answer = ask::<ChatHistory>(context, rpc, "sessions history", params).await?;
    context.out.answer(&answer, || view::history(&answer));
    Ok(Exit::Ok)
}

async fn reset(context: &Context, rpc: &RpcFlags, key: &str) -> Result<Exit, Failure> {
    let answer =
        ask::<SessionsReset>(context, rpc, "sessions reset", json!({ "key": key })).await?;
    context.out.answer(&answer, || {
        vec![format!(
            "{} begins again ({}).",
            answer.text("key"),
            answer["entry"].text("sessionId")
        )]
    });
    Ok(Exit::Ok)
}

async fn delete(context: &Context, rpc: &RpcFlags, key: &str, keep: bool) -> Result<Exit, Failure> {
    let params = given(json!({ "key": key, "deleteTranscript": keep.then_some(false) }));
    let answer = ask::<SessionsDelete>(context, rpc, "sessions delete", params).await?;
    context.out.answer(&answer, || {
        let mut lines = vec![match answer.is_on("deleted") {
            true => format!("Deleted {}.", answer.text("key")),
            false => format!("There is no session {}.", answer.text("key")),
        }];
        lines.extend(
            answer
                .texts("archived")
                .iter()
                .map(|file| format!("What was said is in {file}.")),
        );
        lines
    });
    Ok(Exit::Ok)
}

async fn compact(
    context: &Context,
    rpc: &RpcFlags,
    key: &str,
    keep: Option<u64>,
) -> Result<Exit, Failure> {
    let params = given(json!({ "key": key, "maxLines": keep }));
    let answer = ask::<SessionsCompact>(context, rpc, "sessions compact", params).await?;
    context.out.answer(&answer, || {
        let key = answer.text("key");
        let kept = answer["kept"].as_u64();
        let mut lines = vec![match (answer.is_on("compacted"), kept) {
            (true, Some(kept)) => format!("{key} keeps {kept} messages."),
            (true, None) => format!("{key} is shorter."),
            (false, _) => match answer.some_text("reason") {
                Some(reason) => format!("{key} stays as it is: {reason}"),
                None => format!("{key} stays as it is: it is short enough."),
            },
        }];
        lines.extend(
            answer
                .some_text("archived")
                .map(|file| format!("The others are in {file}.")),
        );
        lines
    });
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        sessions: SessionsArgs,
    }

    fn parsed(text: &str) -> SessionsArgs {
        let words = std::iter::once("sessions").chain(text.split_whitespace());
        Line::try_parse_from(words).unwrap().sessions
    }

    #[test]
    fn options_of_a_list_may_stand_on_either_side_of_its_name() {
        let arguments = parsed("--active 5 --limit 3 list --limit 4 --agent ops");
        arguments.check().unwrap();
        let Some(SessionsCommand::List(which)) = &arguments.command else {
            panic!("{arguments:?}");
        };
        let which = which.or(&arguments.which);
        assert_eq!((which.active, which.limit.limit), (Some(5), Some(4)));
        assert_eq!(which.agent.as_deref(), Some("ops"));
        parsed("--limit 3 preview main").check().unwrap();
        for wrong in ["--limit 3 reset main", "--search x history main"] {
            let failure = parsed(wrong).check().unwrap_err();
            assert!(failure.message.contains("does not apply"), "{failure:?}");
        }
    }

    #[test]
    fn a_command_shows_only_what_applies_to_it() {
        use clap::CommandFactory as _;
        let mut command = Line::command();
        command.build();
        let mut shown = |of: &str| {
            let command = command.find_subcommand_mut(of).unwrap();
            let help = command.render_help().to_string();
            assert!(help.contains("--url <WS_URL>"), "{help}");
            ["--active", "--agent", "--search", "--limit"].map(|option| help.contains(option))
        };
        assert_eq!(shown("list"), [true; 4]);
        for of in ["preview", "history"] {
            assert_eq!(shown(of), [false, false, false, true], "{of}");
        }
        for of in ["reset", "delete", "export", "compact"] {
            assert_eq!(shown(of), [false; 4], "{of}");
        }
    }

    #[test]
    fn scripts_find_the_age_of_a_session() {
        let mut answer = json!({"sessions": [{"key": "a", "updatedAt": 1_000}, {"key": "b", "updatedAt": null}]});
        with_ages(&mut answer, Some(5), WallTime::from_millis(3_500));
        assert_eq!(answer["sessions"][0]["ageMs"], 2_500);
        assert_eq!(answer["sessions"][1]["ageMs"], Value::Null);
        assert_eq!(answer["activeMinutes"], 5);
    }
}
