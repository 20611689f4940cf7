//! The verdict.                                                                             (pure)

use openclaw_shared::exec_approvals::{Ask, Security};

use super::allowlist::{self, Reason};
use super::glob;
use super::judge::judge;
use super::programs::Site;
use super::resolve::Resolved;

/// What a person has said about exactly this execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Nothing that holds.
    None,
    /// Yes, this time.
    Once,
    /// Yes, and to its programs from here on.
    Always,
}

/// Why it does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    /// Nothing may run here.
    Disabled,
    /// A person must be asked first.
    ApprovalRequired,
    /// The list does not have it, and nobody is to be asked.
    AllowlistMiss,
}

impl Denial {
    /// The text that callers know.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Disabled => "SYSTEM_RUN_DISABLED: security=deny",
            Self::ApprovalRequired => "SYSTEM_RUN_DENIED: approval required",
            Self::AllowlistMiss => "SYSTEM_RUN_DENIED: allowlist miss",
        }
    }

    /// The word in the event `exec.denied`.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Disabled => "security=deny",
            Self::ApprovalRequired => "approval-required",
            Self::AllowlistMiss => "allowlist-miss",
        }
    }
}

/// An entry of the list that let something run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) pattern: String,
    pub(crate) path: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Execute exactly this argument vector, on the host's own search path: the list allows it.
    RunJudged { argv: Vec<String>, used: Vec<Used> },
    /// Execute it as it was asked for. The programs are to be added to the agent's list.
    RunAsAsked { remember: Vec<String> },
    /// Do not execute it. The second is for the log: why nobody could tell what runs.
    Refuse(Denial, Option<&'static str>),
}

/// Decides about an argument vector.
pub(crate) fn decide(
    argv: &[String],
    rules: &Resolved<'_>,
    consent: Consent,
    site: &Site<'_>,
) -> Verdict {
    let list = match rules.security {
        Security::Deny => return Verdict::Refuse(Denial::Disabled, None),
        Security::Full => None,
        Security::Allowlist => Some(&rules.allowlist),
    };
    // With everything allowed and nothing to remember, nobody needs to know what runs.
    if list.is_none() && rules.ask != Ask::Always {
        return Verdict::RunAsAsked { remember: vec![] };
    }
    let judged = judge(argv, site);
    let reasons: Option<Vec<_>> = judged.as_ref().ok().map(|judged| {
        let programs = judged.programs.iter();
        programs
            .map(|program| (program, allowlist::allows(&rules.allowlist, program, site)))
            .collect()
    });
    match consent {
        Consent::Once => return Verdict::RunAsAsked { remember: vec![] },
        Consent::Always => {
            let missing = reasons
                .into_iter()
                .flatten()
                .filter(|(_, reason)| reason.is_none());
            let mut remember: Vec<String> = missing
                .filter_map(|(program, _)| program.located.real.to_str())
                // A file whose name reads as a pattern would allow others too.
                .filter(|path| !glob::is_pattern(path))
                .map(str::to_owned)
                .collect();
            remember.sort();
            remember.dedup();
            return Verdict::RunAsAsked { remember };
        }
        Consent::None => {}
    }
    let opaque = judged.as_ref().err().copied();
    if rules.ask == Ask::Always {
        return Verdict::Refuse(Denial::ApprovalRequired, opaque);
    }
    let allowed: Option<Vec<_>> = reasons
        .into_iter()
        .flatten()
        .map(|(program, reason)| Some((program.located.real.display().to_string(), reason?)))
        .collect();
    match (judged.as_ref(), allowed) {
        (Ok(judged), Some(allowed)) => Verdict::RunJudged {
            argv: judged.argv.clone(),
            used: allowed
                .into_iter()
                .filter_map(|(path, reason)| match reason {
                    Reason::Entry(pattern) => Some(Used { pattern, path }),
                    Reason::SafeBin => None,
                })
                .collect(),
        },
        (Ok(_) | Err(_), _) => {
            let denial = match rules.ask {
                Ask::Off => Denial::AllowlistMiss,
                Ask::OnMiss | Ask::Always => Denial::ApprovalRequired,
            };
            Verdict::Refuse(denial, opaque)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::programs::testing::Table;
    use super::*;

    fn decided(security: Security, ask: Ask, argv: &[&str], consent: Consent) -> Verdict {
        let table = Table::usual().file("/work/notes");
        let path = [PathBuf::from("/usr/bin")];
        let site = Site {
            files: &table,
            cwd: Path::new("/work"),
            path: &path,
            home: None,
        };
        let entry = allowlist::entry("/bin/echo");
        let rules = Resolved {
            security,
            ask,
            allowlist: vec![&entry],
        };
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        decide(&argv, &rules, consent, &site)
    }

    /// `yes`, or the denial.
    #[track_caller]
    fn check(security: Security, ask: Ask, argv: &[&str], consent: Consent, says: &str) {
        let found = match decided(security, ask, argv, consent) {
            Verdict::RunJudged { .. } => "judged",
            Verdict::RunAsAsked { .. } => "as asked",
            Verdict::Refuse(denial, _) => denial.reason(),
        };
        assert_eq!(found, says, "{security:?} {ask:?} {argv:?} {consent:?}");
    }

    #[test]
    fn rules_and_consent_make_the_verdict() {
        use Ask::{Always, Off, OnMiss};
        use Consent::{None, Once};
        use Security::{Allowlist, Deny, Full};
        let listed = &["echo", "a"][..];
        let other = &["ls"][..];
        let hidden = &["sh", "-c", "echo \"$(id)\""][..];
        for (security, ask, argv, consent, says) in [
            (Deny, Off, listed, None, "security=deny"),
            (Deny, Off, listed, Once, "security=deny"),
            (Deny, Always, listed, Consent::Always, "security=deny"),
            (Full, Off, hidden, None, "as asked"),
            (Full, OnMiss, hidden, None, "as asked"),
            (Full, Always, listed, None, "approval-required"),
            (Full, Always, hidden, Once, "as asked"),
            (Allowlist, Off, listed, None, "judged"),
            (Allowlist, Off, other, None, "allowlist-miss"),
            (Allowlist, Off, hidden, None, "allowlist-miss"),
            (Allowlist, OnMiss, listed, None, "judged"),
            (Allowlist, OnMiss, other, None, "approval-required"),
            (Allowlist, OnMiss, hidden, None, "approval-required"),
            (Allowlist, OnMiss, hidden, Once, "as asked"),
            (Allowlist, Always, listed, None, "approval-required"),
            (Allowlist, Always, listed, Once, "as asked"),
        ] {
            check(security, ask, argv, consent, says);
        }
    }

    #[test]
    fn rules_49_50_nothing_that_was_tried_gets_past_the_list() {
        for argv in [
            // With echo allowed, this ran id.
            &["sh", "-c", "echo \"$(id -u)\""][..],
            &["sh", "-c", "echo `id`"],
            &["sh", "-c", "echo a; id"],
            &["sh", "-c", "echo a\nid"],
            &["sh", "-c", "echo a & id"],
            &["sh", "-c", "echo a > /etc/passwd"],
            &["sh", "-c", "\"/bin/ec\"ho a || i\"d\""],
            &["sh", "-c", "echo a | sh"],
            &["sh", "-c", "echo a | xargs rm"],
            &["sh", "-lc", "head -1 notes"],
            &["sh", "-ec", "echo a"],
            &["sh", "-c", "echo a", "--", "id"],
            &["env", "A=$(id)", "echo"],
            &["env", "sh", "-c", "id"],
            &["env", "-S", "id"],
            &["nice", "-n", "1", "id"],
            &["flock", "x", "id"],
            &["/BIN/echo", "a"],
            &["Echo", "a"],
            &["python3", "-c", "1"],
        ] {
            check(
                Security::Allowlist,
                Ask::OnMiss,
                argv,
                Consent::None,
                "approval-required",
            );
        }
    }

    #[test]
    fn always_remembers_what_really_ran_and_never_the_shell() {
        let remembered = |argv: &[&str]| match decided(
            Security::Allowlist,
            Ask::OnMiss,
            argv,
            Consent::Always,
        ) {
            Verdict::RunAsAsked { remember } => remember,
            other @ (Verdict::RunJudged { .. } | Verdict::Refuse(..)) => panic!("{other:?}"),
        };
        assert_eq!(
            remembered(&["sh", "-lc", "ls -l && echo a && cat b | head -1"]),
            ["/usr/bin/cat", "/usr/bin/ls"]
        );
        assert_eq!(remembered(&["timeout", "5", "ls"]), ["/usr/bin/ls"]);
        assert!(remembered(&["sh", "-c", "ls $HOME"]).is_empty());
    }

    #[test]
    fn what_was_used_is_told() {
        let Verdict::RunJudged { argv, used } = decided(
            Security::Allowlist,
            Ask::Off,
            &["sh", "-c", "echo a | wc -l"],
            Consent::None,
        ) else {
            panic!("it is allowed");
        };
        assert_eq!(argv[2], "'/usr/bin/echo' 'a' | '/usr/bin/wc' '-l'");
        assert_eq!(
            used,
            [Used {
                pattern: "/bin/echo".to_owned(),
                path: "/usr/bin/echo".to_owned()
            }]
        );
    }
}
