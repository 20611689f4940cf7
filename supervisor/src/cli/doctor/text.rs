//! What the doctor says to people.

use openclaw_shared::log::printable;

use super::super::context::Context;
use super::super::output::{Output, Tone};
use super::finding::{Area, Finding, Severity, State};

/// How wide the columns before a finding's own words are.
const SEVERITY_WIDTH: usize = "warning".len();
const AREA_WIDTH: usize = "Configuration".len();

/// One line for each area: the overview.
pub(super) fn overview(context: &Context, findings: &[Finding]) {
    let out = &context.out;
    out.line(format!(
        "Doctor: {}, state in {}",
        match context.identity.profile.name() {
            Some(name) => format!("profile {name}"),
            None => "default profile".to_owned(),
        },
        context.shown(&context.identity.state_dir)
    ));
    out.line("");
    for area in Area::ALL {
        let of_area = findings
            .iter()
            .filter(|finding| finding.code.area() == area);
        let severities: Vec<Severity> = of_area.map(|finding| finding.code.severity()).collect();
        let (tone, text) = match severities.iter().min() {
            None => (Tone::Good, "ok".to_owned()),
            Some(worst) => (tone(*worst), counted(&severities)),
        };
        out.line(format!(
            "  {:AREA_WIDTH$}  {}",
            area.name(),
            out.paint(tone, &text)
        ));
    }
}

const fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Odd,
        Severity::Note => Tone::Faint,
    }
}

/// `1 error, 2 warnings`.
fn counted(severities: &[Severity]) -> String {
    let parts = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .filter_map(|severity| {
            let word = severity.as_str();
            match severities.iter().filter(|one| **one == severity).count() {
                0 => None,
                1 => Some(format!("1 {word}")),
                count => Some(format!("{count} {word}s")),
            }
        });
    parts.collect::<Vec<_>>().join(", ")
}

/// Each finding: what, where, and what to do.
pub(super) fn findings(context: &Context, findings: &[Finding]) {
    let out = &context.out;
    for finding in findings {
        out.line("");
        for line in lines(out, finding) {
            out.line(line);
        }
    }
}

fn lines(out: &Output, finding: &Finding) -> Vec<String> {
    let severity = finding.code.severity();
    let word = format!("{:SEVERITY_WIDTH$}", severity.as_str());
    let mut head = format!(
        "{}  {}",
        out.paint(tone(severity), &word),
        finding.code.as_str()
    );
    if let Some(place) = &finding.place {
        head.push_str(&format!("  {}", printable(place)));
    }
    let indent = " ".repeat(SEVERITY_WIDTH + 2);
    let mut lines = vec![head, format!("{indent}{}", printable(&finding.what))];
    if let Some(advice) = &finding.advice {
        lines.push(format!("{indent}-> {}", printable(advice)));
    }
    if let Some(repair) = &finding.repair {
        lines.push(format!(
            "{indent}-> --fix: {}.",
            printable(&repair.summary())
        ));
    }
    lines
}

/// What became of the repairs.
pub(super) fn repaired(context: &Context, findings: &[Finding]) {
    let out = &context.out;
    let mut told = false;
    for finding in findings {
        let (tone, word, why, backup) = match &finding.state {
            State::Left => continue,
            State::Fixed { backup } => (Tone::Good, "fixed", None, backup.as_ref()),
            State::Failed(why) => (Tone::Bad, "failed", Some(why), None),
        };
        if !told {
            out.line("");
            told = true;
        }
        let word = out.paint(tone, &format!("{word:SEVERITY_WIDTH$}"));
        let mut line = format!("{word}  {}", finding.code.as_str());
        if let Some(place) = &finding.place {
            line.push_str(&format!("  {}", printable(place)));
        }
        if let Some(why) = why {
            line.push_str(&format!(": {}", printable(why)));
        }
        if let Some(backup) = backup {
            line.push_str(&format!(" (as it was: {})", context.shown(backup)));
        }
        out.line(line);
    }
}

/// The last line: what is left, and what can be done about it.
pub(super) fn summary(context: &Context, checks: usize, findings: &[Finding]) {
    let out = &context.out;
    let left: Vec<Severity> = findings
        .iter()
        .filter(|finding| finding.is_left())
        .map(|finding| finding.code.severity())
        .collect();
    let fixable = findings
        .iter()
        .filter(|finding| finding.repair.is_some() && finding.state == State::Left)
        .count();
    out.line("");
    match left.is_empty() {
        true => out.line(out.paint(
            Tone::Good,
            &format!("{checks} checks; nothing has to be done."),
        )),
        false => out.line(format!("{checks} checks; left: {}.", counted(&left))),
    }
    if fixable > 0 {
        let what = match fixable {
            1 => "1 of them can".to_owned(),
            count => format!("{count} of them can"),
        };
        out.line(format!(
            "{what} be repaired: {}",
            context.command("doctor --fix")
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::finding::{Code, Repair};
    use super::*;

    #[test]
    fn a_finding_is_lined_up_under_its_severity() {
        let out = Output::new(false, false);
        let finding = Finding::new(Code::TokenMissing, "There is none.")
            .at("~/x")
            .advice("Do nothing.")
            .repair(Repair::MakeToken(PathBuf::new()));
        assert_eq!(
            lines(&out, &finding),
            [
                "note     token-missing  ~/x",
                "         There is none.",
                "         -> Do nothing.",
                "         -> --fix: make a token.",
            ]
        );
    }

    #[test]
    fn severities_are_counted_the_worst_first() {
        use Severity::{Error, Note, Warning};
        assert_eq!(
            counted(&[Warning, Note, Error, Warning]),
            "1 error, 2 warnings, 1 note"
        );
    }
}
