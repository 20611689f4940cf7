//! The text of `/metrics`: Prometheus' text format, version 0.0.4.                                        (pure)
//!
//! Invariant: each metric is told of once, its help and its type before its numbers, in the order of the [`table`](super::table).

use std::fmt::{self, Write as _};

use super::Histogram;
use super::table::{Kind, Metric};

/// What the page is, for whoever reads it.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page that is being written.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

/// One metric of it.
pub(crate) struct Family<'a> {
    page: &'a mut Page,
    metric: &'static Metric,
}

/// A number as the format writes it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Number {
    fn from(is_so: bool) -> Self {
        Self::Whole(is_so.into())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(formatter),
            Self::Real(number) => number.fmt(formatter),
        }
    }
}

impl Page {
    /// Tells of a metric.
    pub(crate) fn of(&mut self, metric: &'static Metric) -> Family<'_> {
        let Metric {
            name, kind, help, ..
        } = metric;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.as_str()));
        Family { page: self, metric }
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a text does not fail.
        let _ = writeln!(self.0, "{line}");
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// A number; the values are those of the metric's labels, in their order.
    pub(crate) fn is(&mut self, values: &[&str], number: impl Into<Number>) -> &mut Self {
        debug_assert_ne!(self.metric.kind, Kind::Histogram, "a histogram has more");
        self.sample("", values, None, number.into());
        self
    }

    /// How long something takes.
    pub(crate) fn took(&mut self, values: &[&str], histogram: &Histogram) -> &mut Self {
        debug_assert_eq!(self.metric.kind, Kind::Histogram, "it is none");
        for (bound, count) in histogram.up_to() {
            let bound = bound.as_secs_f64().to_string();
            self.sample("_bucket", values, Some(&bound), count.into());
        }
        let count = histogram.count();
        self.sample("_bucket", values, Some("+Inf"), count.into());
        self.sample("_sum", values, None, histogram.sum_seconds().into());
        self.sample("_count", values, None, count.into());
        self
    }

    fn sample(&mut self, suffix: &str, values: &[&str], bound: Option<&str>, number: Number) {
        let Metric { name, labels, .. } = self.metric;
        debug_assert_eq!(labels.len(), values.len(), "{name}");
        let labels = labels.iter().copied().zip(values.iter().copied());
        let labels = labels.chain(bound.map(|bound| ("le", bound)));
        let labels: Vec<String> = labels
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        self.page
            .line(format_args!("{name}{suffix}{labels} {number}"));
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Histogram, QUICK};
    use super::Page;
    use crate::metrics::table::{Kind, Metric};

    static ROOMS: Metric = Metric {
        name: "rooms",
        kind: Kind::Gauge,
        labels: &["floor", "side"],
        help: "What there is,\nwith \\.",
    };
    static STAY: Metric = Metric {
        name: "stay_seconds",
        kind: Kind::Histogram,
        labels: &["floor"],
        help: "How long.",
    };

    #[test]
    fn values_cannot_leave_their_quotes() {
        let mut page = Page::default();
        page.of(&ROOMS)
            .is(&["1", "a\"b\\c\nd"], 3_u64)
            .is(&["2", ""], 0.5);
        assert_eq!(
            page.into_text(),
            "# HELP rooms What there is,\\nwith \\\\.\n# TYPE rooms gauge\n\
             rooms{floor=\"1\",side=\"a\\\"b\\\\c\\nd\"} 3\nrooms{floor=\"2\",side=\"\"} 0.5\n"
        );
    }

    #[test]
    fn a_histogram_counts_up_to_all_of_it() {
        let stays = Histogram::new(QUICK);
        stays.observe(Duration::from_millis(2));
        stays.observe(Duration::from_secs(20));
        let mut page = Page::default();
        page.of(&STAY).took(&["1"], &stays);
        let text = page.into_text();
        for line in [
            "stay_seconds_bucket{floor=\"1\",le=\"0.001\"} 0",
            "stay_seconds_bucket{floor=\"1\",le=\"0.005\"} 1",
            "stay_seconds_bucket{floor=\"1\",le=\"10\"} 1",
            "stay_seconds_bucket{floor=\"1\",le=\"+Inf\"} 2",
            "stay_seconds_sum{floor=\"1\"} 20.002",
            "stay_seconds_count{floor=\"1\"} 2",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
    }
}
