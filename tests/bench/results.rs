//! Every sample of every measurement, and whether its goal was reached.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::stats::median;
use crate::subject::Subject;

/// Something that is measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Metric {
    pub(crate) section: Section,
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) goals: Vec<Goal>,
}

/// The table that a metric stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Section {
    Start,
    Idle,
    Requests,
    Connect,
    Fanout,
    Durable,
    Stopped,
    Flood,
    Runs,
    Kill,
    Replace,
}

impl Section {
    /// All of them, in the order in which they are printed.
    pub(crate) const ALL: [Self; 11] = [
        Self::Start,
        Self::Idle,
        Self::Requests,
        Self::Connect,
        Self::Fanout,
        Self::Durable,
        Self::Stopped,
        Self::Flood,
        Self::Runs,
        Self::Kill,
        Self::Replace,
    ];

    /// The heading.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Idle => "Idle",
            Self::Requests => "Requests",
            Self::Connect => "Connect to hello-ok",
            Self::Fanout => "Fan-out",
            Self::Durable => "Durable writes",
            Self::Stopped => "Clients that stop reading",
            Self::Flood => "Floods",
            Self::Runs => "Runs of agents",
            Self::Kill => "kill -9 under load",
            Self::Replace => "Replacement under load",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// What ours should reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Goal {
    /// At least so many times better than the peer.
    TimesPeer(f64),
    /// At least this share of the echo.
    ShareOfEcho(f64),
    /// Not more than this.
    AtMost(f64),
    /// Not once, in no sample.
    Never,
}

impl Metric {
    pub(crate) fn lower(section: Section, name: impl Into<String>, unit: &'static str) -> Self {
        Self {
            section,
            name: name.into(),
            unit,
            better: Better::Lower,
            goals: Vec::new(),
        }
    }

    pub(crate) fn higher(section: Section, name: impl Into<String>, unit: &'static str) -> Self {
        Self {
            section,
            name: name.into(),
            unit,
            better: Better::Higher,
            goals: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }
}

/// A metric with its samples.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) metric: Metric,
    pub(crate) samples: BTreeMap<Subject, Vec<f64>>,
}

impl Row {
    pub(crate) fn median(&self, subject: Subject) -> Option<f64> {
        median(self.samples.get(&subject)?)
    }

    /// How many times better ours is than the other.
    pub(crate) fn ratio(&self, other: Subject) -> Option<f64> {
        let (ours, other) = (self.median(Subject::Ours)?, self.median(other)?);
        let (above, below) = match self.metric.better {
            Better::Lower => (other, ours),
            Better::Higher => (ours, other),
        };
        (below != 0.0).then(|| above / below)
    }

    /// Whether ours reaches the goal; `None` when a number for that is missing.
    pub(crate) fn reaches(&self, goal: Goal) -> Option<bool> {
        match goal {
            Goal::TimesPeer(times) => Some(self.ratio(Subject::Peer)? >= times),
            Goal::ShareOfEcho(share) => Some(self.ratio(Subject::Echo)? >= share),
            // Never means never: zero lost requests is not a matter of the median.
            Goal::Never => {
                let samples = self.samples.get(&Subject::Ours)?;
                Some(samples.iter().all(|sample| *sample == 0.0))
            }
            Goal::AtMost(limit) => Some(self.median(Subject::Ours)? <= limit),
        }
    }
}

/// The rows in the order in which they were first measured, and what went wrong on the way.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Results {
    pub(crate) rows: Vec<Row>,
    pub(crate) failures: Vec<String>,
}

impl Results {
    pub(crate) fn add(&mut self, metric: Metric, subject: Subject, sample: f64) {
        let known = self
            .rows
            .iter()
            .position(|row| row.metric.name == metric.name);
        let row = match known {
            Some(index) => &mut self.rows[index],
            None => {
                self.rows.push(Row {
                    metric,
                    samples: BTreeMap::new(),
                });
                self.rows.last_mut().expect("a row has been pushed")
            }
        };
        row.samples.entry(subject).or_default().push(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(metric: Metric, samples: &[(Subject, &[f64])]) -> Row {
        let samples = samples
            .iter()
            .map(|(subject, values)| (*subject, values.to_vec()));
        Row {
            metric,
            samples: samples.collect(),
        }
    }

    #[test]
    fn a_ratio_says_how_many_times_better_ours_is() {
        let samples: &[(Subject, &[f64])] = &[(Subject::Ours, &[2.0]), (Subject::Peer, &[10.0])];
        assert_eq!(
            row(Metric::lower(Section::Start, "a", "ms"), samples).ratio(Subject::Peer),
            Some(5.0)
        );
        assert_eq!(
            row(Metric::higher(Section::Start, "a", "/s"), samples).ratio(Subject::Peer),
            Some(0.2)
        );
        assert_eq!(
            row(Metric::higher(Section::Start, "a", "/s"), samples).ratio(Subject::Echo),
            None
        );
    }

    #[test]
    fn goals_compare_medians_but_never_means_never() {
        let samples: &[(Subject, &[f64])] =
            &[(Subject::Ours, &[0.0, 0.0, 1.0]), (Subject::Peer, &[9.0])];
        let row = row(Metric::lower(Section::Start, "a", ""), samples);
        assert_eq!(row.reaches(Goal::Never), Some(false));
        assert_eq!(row.reaches(Goal::AtMost(0.5)), Some(true));
        assert_eq!(row.reaches(Goal::ShareOfEcho(0.5)), None);
    }
}
