//! One command against the rules of the owner: what is to run, or why it does not.
//!
//! This looks at paths that somebody else named and writes into the owner's file, so that it is done aside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use openclaw_shared::clock::WallTime;
use tracing::warn;

use crate::approvals::Approvals;
use crate::environment::{Effect, HostEnvironment};
use crate::policy::decide::{Asked, Consent, Denial, Verdict, decide};
use crate::policy::programs::{Disk, Site};
use crate::policy::resolve::Resolved;

/// A command that somebody wants to have executed.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its words.
    pub argv: &'a [String],
    /// The folder it is to run in.
    pub cwd: &'a Path,
    /// The variables that were asked for.
    pub env: &'a BTreeMap<String, String>,
    /// What those may do.
    pub effect: Effect,
    /// How people read it.
    pub shown: &'a str,
    /// The agent that wants it.
    pub agent: Option<&'a str>,
}

/// What is to be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The program; none when it was not found.
    pub program: Option<PathBuf>,
    /// What the program is told that it is called, and its arguments.
    pub argv: Vec<String>,
}

/// Why it is not executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// By which rule.
    pub denial: Denial,
    /// Why nobody could tell what runs, if that was the reason; for the log.
    pub why: Option<&'static str>,
}

/// Decides, and notes in the owner's file what was used and what is allowed from here on.
///
/// # Errors
/// When the rules do not let it run.
pub fn admit(
    wanted: &Wanted<'_>,
    rules: &Resolved<'_>,
    skills: &BTreeSet<String>,
    consent: Consent,
    host: &HostEnvironment,
    approvals: &Approvals,
) -> Result<Admitted, Denied> {
    let site = Site {
        files: &Disk,
        cwd: wanted.cwd,
        path: &host.path,
        home: host.home.as_deref(),
    };
    let asked = Asked {
        argv: wanted.argv,
        variables: match wanted.effect {
            Effect::None => None,
            Effect::Unknown => Some("a variable that may change what runs"),
        },
    };
    let now = WallTime::now();
    let (program, argv) = match decide(asked, rules, skills, consent, &site) {
        Verdict::Refuse(denial, why) => return Err(Denied { denial, why }),
        Verdict::RunJudged { file, argv, used } => {
            told(approvals.note(wanted.agent, &used, wanted.shown, now));
            (Some(file), argv)
        }
        Verdict::RunAsAsked { remember } => {
            told(approvals.remember(wanted.agent, &remember, wanted.shown, now));
            // A search path is no program: what a person has approved is looked for where this machine looks. Where everything
            // is allowed, it is looked for where the caller says.
            let path = match consent {
                Consent::Once | Consent::Always => host.path.clone(),
                Consent::None => host.path_with(wanted.env),
            };
            let located = wanted.argv.first().and_then(|name| {
                Site {
                    path: &path,
                    ..site
                }
                .locate(name)
            });
            (located.map(|located| located.found), wanted.argv.to_vec())
        }
    };
    Ok(Admitted { program, argv })
}

/// What cannot be written down does not keep the owner's rules from holding.
fn told<E: std::error::Error>(result: Result<(), E>) {
    if let Err(error) = result {
        warn!(target: "exec", %error, "a use was not noted in the exec approvals");
    }
}
