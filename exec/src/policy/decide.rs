//! The verdict.                                                                             (pure)

use std::collections::BTreeSet;
use std::path::PathBuf;

use openclaw_shared::exec_approvals::{Ask, Security};

use super::allowlist::{Allowed, Reason};
use super::glob;
use super::judge::{Opaque, judge};
use super::programs::Site;
use super::resolve::Resolved;

/// What a person has said about exactly this execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Nothing that holds.
    None,
    /// Yes, this time.
    Once,
    /// Yes, and to its programs from here on.
    Always,
}

/// Why it does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Nothing may run here.
    Disabled,
    /// A person must be asked first.
    ApprovalRequired,
    /// The list does not have it, and nobody is to be asked.
    AllowlistMiss,
}

impl Denial {
    /// The text that callers know.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Disabled => "SYSTEM_RUN_DISABLED: security=deny",
            Self::ApprovalRequired => "SYSTEM_RUN_DENIED: approval required",
            Self::AllowlistMiss => "SYSTEM_RUN_DENIED: allowlist miss",
        }
    }

    /// The word in the event `exec.denied`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Disabled => "security=deny",
            Self::ApprovalRequired => "approval-required",
            Self::AllowlistMiss => "allowlist-miss",
        }
    }
}

/// An entry of the list that let something run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// What the entry says.
    pub pattern: String,
    /// The program that it let run.
    pub path: String,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What is to be executed, word by word.
    pub argv: &'a [String],
    /// Why nobody can tell what its variables do, if so.
    pub variables: Option<Opaque>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Execute exactly this file with exactly this argument vector: the list allows it.
    RunJudged {
        /// The file.
        file: PathBuf,
        /// The arguments, the name that the program is told that it is called first.
        argv: Vec<String>,
        /// What let it run.
        used: Vec<Used>,
    },
    /// Execute it as it was asked for. The programs are to be added to the agent's list.
    RunAsAsked {
        /// The programs.
        remember: Vec<String>,
    },
    /// Do not execute it. The second is for the log: why nobody could tell what runs.
    Refuse(Denial, Option<&'static str>),
}

/// Decides about a command. `skills` are the programs of skills, which count where the rules say so.
pub fn decide(
    asked: Asked<'_>,
    rules: &Resolved<'_>,
    skills: &BTreeSet<String>,
    consent: Consent,
    site: &Site<'_>,
) -> Verdict {
    let is_open = match rules.security {
        Security::Deny => return Verdict::Refuse(Denial::Disabled, None),
        Security::Full => rules.ask != Ask::Always,
        Security::Allowlist => false,
    };
    // With everything allowed or approved and nothing to remember, nobody needs to know what runs.
    if is_open || consent == Consent::Once {
        return Verdict::RunAsAsked { remember: vec![] };
    }
    let none = BTreeSet::new();
    let skills = if rules.auto_allow_skills {
        skills
    } else {
        &none
    };
    let allowed = Allowed::new(&rules.allowlist, skills, site);
    let judged = judge(asked.argv, site);
    let reasons: Option<Vec<_>> = judged.as_ref().ok().map(|judged| {
        let programs = judged.programs.iter();
        programs
            .map(|program| (program, allowed.allows(program)))
            .collect()
    });
    if consent == Consent::Always {
        let missing = reasons
            .into_iter()
            .flatten()
            .filter(|(program, reason)| reason.is_none() && program.is_its_own_master);
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
    let opaque = judged.as_ref().err().copied().or(asked.variables);
    if rules.ask == Ask::Always {
        return Verdict::Refuse(Denial::ApprovalRequired, opaque);
    }
    let allowed: Option<Vec<_>> = reasons
        .into_iter()
        .flatten()
        .map(|(program, reason)| Some((program.located.real.display().to_string(), reason?)))
        .collect();
    match (judged.as_ref(), allowed) {
        (Ok(judged), Some(allowed)) if asked.variables.is_none() => Verdict::RunJudged {
            file: judged.file.clone(),
            argv: judged.argv.clone(),
            used: allowed
                .into_iter()
                .filter_map(|(path, reason)| match reason {
                    Reason::Entry(pattern) => Some(Used { pattern, path }),
                    Reason::SafeBin | Reason::Skill => None,
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
    use std::path::Path;

    use super::super::allowlist;
    use super::super::programs::testing::Table;
    use super::*;

    fn decided(security: Security, ask: Ask, argv: &[&str], consent: Consent) -> Verdict {
        decided_with(None, false, (security, ask), argv, consent)
    }

    fn decided_with(
        variables: Option<Opaque>,
        auto_allow_skills: bool,
        (security, ask): (Security, Ask),
        argv: &[&str],
        consent: Consent,
    ) -> Verdict {
        let table = Table::usual().file("/srv/notes").file("/srv/a.py");
        let path = [PathBuf::from("/usr/bin")];
        let site = Site {
            files: &table,
            cwd: Path::new("/srv"),
            path: &path,
            home: None,
        };
        let entry = allowlist::entry("/bin/echo");
        let rules = Resolved {
            security,
            ask,
            auto_allow_skills,
            has_fallback: false,
            allowlist: vec![&entry],
        };
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let asked = Asked {
            argv: &argv,
            variables,
        };
        decide(asked, &rules, &["cat".to_owned()].into(), consent, &site)
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
        // Who approved one of these has not approved what else they can be told to do.
        assert!(remembered(&["python3", "a.py"]).is_empty());
        assert!(remembered(&["git", "status"]).is_empty());
        assert!(remembered(&["sh", "-c", "git status && python3 a.py"]).is_empty());
    }

    #[test]
    fn a_variable_that_nobody_can_judge_needs_approval() {
        let check = |rules, consent, says: &str| {
            let variables = Some("a variable");
            let found = match decided_with(variables, false, rules, &["echo", "a"], consent) {
                Verdict::RunJudged { .. } => "judged",
                Verdict::RunAsAsked { .. } => "as asked",
                Verdict::Refuse(denial, _) => denial.reason(),
            };
            assert_eq!(found, says, "{rules:?} {consent:?}");
        };
        let list = |ask| (Security::Allowlist, ask);
        check(list(Ask::OnMiss), Consent::None, "approval-required");
        check(list(Ask::Off), Consent::None, "allowlist-miss");
        check(list(Ask::OnMiss), Consent::Once, "as asked");
        check((Security::Full, Ask::OnMiss), Consent::None, "as asked");
    }

    #[test]
    fn programs_of_skills_run_where_the_rules_say_so() {
        let rules = (Security::Allowlist, Ask::OnMiss);
        let runs = |skills, argv: &[&str]| {
            let verdict = decided_with(None, skills, rules, argv, Consent::None);
            matches!(verdict, Verdict::RunJudged { .. })
        };
        assert!(runs(true, &["sh", "-c", "cat notes | echo"]));
        assert!(!runs(false, &["sh", "-c", "cat notes | echo"]));
        assert!(!runs(true, &["ls"]));
    }

    #[test]
    fn what_was_used_is_told() {
        let Verdict::RunJudged { argv, used, .. } = decided(
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
