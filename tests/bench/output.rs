//! The only file of the bench that prints: the table on stdout, everything else on stderr.

use std::fmt::Write;

use crate::conditions::Conditions;
use crate::results::{Goal, Results, Row, Section};
use crate::subject::Subject;

/// Says on stderr what is being done.
#[expect(clippy::print_stderr, reason = "progress goes to stderr")]
pub(crate) fn progress(text: &str) {
    eprintln!("bench: {text}");
}

/// Prints the table.
#[expect(
    clippy::print_stdout,
    reason = "the table is the answer of this program"
)]
pub(crate) fn table(conditions: &Conditions, results: &Results) {
    println!("{}", markdown(conditions, results));
}

const HEADER: &str = "\
| measured | unit | n | peer | ours | echo | ours : peer | ours : echo | goal | reached |
|---|---|--:|--:|--:|--:|--:|--:|---|---|
";

fn markdown(conditions: &Conditions, results: &Results) -> String {
    let mut text = String::new();
    for (what, how) in [
        ("Command", format!("`{}`", conditions.command)),
        ("Ours", conditions.ours.clone()),
        ("Peer", conditions.peer.clone()),
        (
            "Machine",
            format!("{}; Linux {}", conditions.machine, conditions.kernel),
        ),
        ("Load average before", conditions.load_before.clone()),
        ("Client", conditions.client.clone()),
    ] {
        writeln!(text, "- {what}: {how}").expect("writing to a string succeeds");
    }
    text.push_str("\nMedians. A ratio says how many times better ours is: above 1 it is better.\n");
    for section in Section::ALL {
        let mut rows = results
            .rows
            .iter()
            .filter(|row| row.metric.section == section)
            .peekable();
        if rows.peek().is_some() {
            write!(text, "\n## {}\n\n{HEADER}", section.title())
                .expect("writing to a string succeeds");
            text.extend(rows.map(line));
        }
    }
    if !results.failures.is_empty() {
        text.push_str("\nNot measured:\n\n");
        for failure in &results.failures {
            writeln!(text, "- {failure}").expect("writing to a string succeeds");
        }
    }
    text
}

fn line(row: &Row) -> String {
    let number = |value: Option<f64>| value.map_or_else(String::new, number);
    let ratio = |other| {
        row.ratio(other)
            .map_or_else(String::new, |ratio| format!("{} ×", short(ratio)))
    };
    let samples = row.samples.values().map(Vec::len).max().unwrap_or(0);
    let goals: Vec<String> = row
        .metric
        .goals
        .iter()
        .map(|goal| describe(*goal))
        .collect();
    let reached: Vec<&str> = row
        .metric
        .goals
        .iter()
        .filter_map(|goal| row.reaches(*goal))
        .map(verdict)
        .collect();
    format!(
        "| {} | {} | {samples} | {} | {} | {} | {} | {} | {} | {} |\n",
        row.metric.name,
        row.metric.unit,
        number(row.median(Subject::Peer)),
        number(row.median(Subject::Ours)),
        number(row.median(Subject::Echo)),
        ratio(Subject::Peer),
        ratio(Subject::Echo),
        goals.join("; "),
        reached.join("; "),
    )
}

fn describe(goal: Goal) -> String {
    match goal {
        Goal::TimesPeer(times) => format!("{times} × peer"),
        Goal::ShareOfEcho(share) => format!("{share} × echo"),
        Goal::AtMost(limit) => format!("≤ {limit}"),
        Goal::Never => "0".into(),
    }
}

fn verdict(reached: bool) -> &'static str {
    if reached { "yes" } else { "**no**" }
}

/// Three significant digits or so; counts as they are, and separators from a thousand on.
fn number(value: f64) -> String {
    if value >= 1000.0 {
        grouped(value)
    } else if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        short(value)
    }
}

fn short(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Metric;

    #[test]
    fn numbers_are_short_and_large_ones_are_grouped() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(1.234), "1.23");
        assert_eq!(number(335.4), "335");
        assert_eq!(number(92_700.4), "92,700");
        assert_eq!(number(1_234_567.0), "1,234,567");
    }

    #[test]
    fn a_row_shows_medians_ratios_and_verdicts() {
        let mut results = Results::default();
        let metric = || Metric::lower(Section::Start, "start", "ms").goal(Goal::TimesPeer(50.0));
        for (subject, sample) in [
            (Subject::Peer, 2782.0),
            (Subject::Ours, 40.0),
            (Subject::Ours, 60.0),
        ] {
            results.add(metric(), subject, sample);
        }
        assert_eq!(
            line(&results.rows[0]),
            "| start | ms | 2 | 2,782 | 50 |  | 55.6 × |  | 50 × peer | yes |\n"
        );
    }
}
