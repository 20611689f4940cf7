//! Which repairs are done: none, all, or those that a person says yes to.

use std::io::{self, BufRead, IsTerminal as _};

use super::super::output::Output;
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
        let person = !silent && io::stdin().is_terminal() && Output::is_terminal();
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
pub(super) fn wanted(consent: Consent, findings: &[Finding], out: &Output) -> Vec<usize> {
    let repairable: Vec<usize> = (0..findings.len())
        .filter(|index| findings[*index].repair.is_some())
        .collect();
    match consent {
        Consent::None => Vec::new(),
        Consent::All => repairable,
        Consent::Ask => ask(&repairable, findings, out, &mut io::stdin().lock()),
    }
}

fn ask(
    repairable: &[usize],
    findings: &[Finding],
    out: &Output,
    person: &mut impl BufRead,
) -> Vec<usize> {
    let mut wanted = Vec::new();
    if !repairable.is_empty() {
        out.line("");
    }
    for (place, index) in repairable.iter().enumerate() {
        let finding = &findings[*index];
        let Some(repair) = &finding.repair else {
            continue;
        };
        let question = format!(
            "Repair {} ({})? [y]es, [n]o, [a]ll, [q]uit: ",
            finding.code.as_str(),
            repair.summary()
        );
        let reply = loop {
            out.write(&question);
            let mut line = String::new();
            match person.read_line(&mut line) {
                // The person has left.
                Ok(0) | Err(_) => break Reply::Quit,
                Ok(_) => {}
            }
            if let Some(reply) = Reply::read(&line) {
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

    #[test]
    fn each_repair_is_asked_for() {
        let with =
            || Finding::new(Code::TokenMissing, "x").repair(Repair::MakeToken(PathBuf::new()));
        let findings = [with(), Finding::new(Code::DiskLow, "x"), with(), with()];
        let said = |text: &str| {
            let out = Output::new(true, false);
            ask(&[0, 2, 3], &findings, &out, &mut text.as_bytes())
        };
        assert_eq!(said("y\nn\nyes\n"), [0, 3]);
        assert_eq!(said("n\na\n"), [2, 3]);
        assert_eq!(said("y\nq\n"), [0]);
        assert_eq!(
            said("\nwhat?\ny\n"),
            [2],
            "a reply that is none is asked for again"
        );
        assert_eq!(said(""), [] as [usize; 0], "nobody is there");
    }
}
