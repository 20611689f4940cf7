//! Which repairs are done: none, all, or those that a person says yes to.

use openclaw_shared::log::printable;

use super::super::output::Output;
use super::super::prompt;
use super::finding::Finding;

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    /// Only look.
    None,
    /// Whatever can be repaired.
    All,
    /// The person at the terminal, one repair at a time.
    Ask,
}

impl Consent {
    /// `asked` is what was said on the command line: `--fix`, `--yes`, and whether nothing may be asked.
    pub(super) fn of(fix: bool, yes: bool, silent: bool) -> Self {
        let person = !silent && prompt::is_possible() && Output::is_terminal();
        Self::decide(fix, yes, person)
    }

    const fn decide(fix: bool, yes: bool, person: bool) -> Self {
        match (fix, yes, person) {
            (_, true, _) | (true, false, false) => Self::All,
            (_, false, true) => Self::Ask,
            (false, false, false) => Self::None,
        }
    }
}

/// What a person says to a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Yes,
    No,
    All,
    Quit,
}

impl Reply {
    fn read(line: &str) -> Option<Self> {
        match line.trim().to_lowercase().as_str() {
            "y" | "yes" => Some(Self::Yes),
            // Nothing is done by merely pressing Enter.
            "n" | "no" | "" => Some(Self::No),
            "a" | "all" => Some(Self::All),
            "q" | "quit" => Some(Self::Quit),
            _ => None,
        }
    }
}

/// The places of the findings whose repair is wanted.
pub(super) async fn wanted(consent: Consent, findings: &[Finding]) -> Vec<usize> {
    let repairable: Vec<usize> = (0..findings.len())
        .filter(|index| findings[*index].repair.is_some())
        .collect();
    match consent {
        Consent::None => Vec::new(),
        Consent::All => repairable,
        Consent::Ask => {
            let person = async |question: String| prompt::line(&question, "").await.ok();
            ask(&repairable, findings, person).await
        }
    }
}

/// Asks for each repair. A person who leaves has said no to all of them.
async fn ask(
    repairable: &[usize],
    findings: &[Finding],
    mut person: impl AsyncFnMut(String) -> Option<Option<String>>,
) -> Vec<usize> {
    let mut wanted = Vec::new();
    for (place, index) in repairable.iter().enumerate() {
        let finding = &findings[*index];
        let Some(repair) = &finding.repair else {
            continue;
        };
        let question = format!(
            "Repair {} ({})? [y]es, [n]o, [a]ll, [q]uit",
            finding.code.as_str(),
            printable(&repair.summary())
        );
        let reply = loop {
            let Some(line) = person(question.clone()).await else {
                return Vec::new();
            };
            if let Some(reply) = Reply::read(&line.unwrap_or_default()) {
                break reply;
            }
        };
        match reply {
            Reply::Yes => wanted.push(*index),
            Reply::No => {}
            Reply::All => {
                wanted.extend(&repairable[place..]);
                break;
            }
            Reply::Quit => break,
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::finding::{Code, Repair};
    use super::*;

    #[test]
    fn scripts_are_never_asked_and_people_always_unless_they_said_so() {
        let table = [
            ((false, false, false), Consent::None),
            ((true, false, false), Consent::All),
            ((false, false, true), Consent::Ask),
            ((true, false, true), Consent::Ask),
            ((true, true, true), Consent::All),
            ((false, true, false), Consent::All),
        ];
        for ((fix, yes, person), consent) in table {
            assert_eq!(
                Consent::decide(fix, yes, person),
                consent,
                "{fix} {yes} {person}"
            );
        }
    }

    #[tokio::test]
    async fn each_repair_is_asked_for() {
        let with =
            || Finding::new(Code::TokenMissing, "x").repair(Repair::MakeToken(PathBuf::new()));
        let findings = [with(), Finding::new(Code::DiskLow, "x"), with(), with()];
        let said = async |lines: &[&str]| {
            let mut lines = lines.iter().map(|line| Some((*line).to_owned()));
            let person = async |_: String| lines.next();
            ask(&[0, 2, 3], &findings, person).await
        };
        assert_eq!(said(&["y", "n", "yes"]).await, [0, 3]);
        assert_eq!(said(&["n", "a"]).await, [2, 3]);
        assert_eq!(said(&["y", "q"]).await, [0]);
        let asked_again = said(&["", "what?", "y", "n"]).await;
        assert_eq!(asked_again, [2], "a reply that is none is asked for again");
        assert_eq!(said(&["y"]).await, [] as [usize; 0], "the person has left");
    }
}
