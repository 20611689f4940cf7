//! From spawn to the first `hello-ok`.

use anyhow::Result;
use openclaw_shared::clock::Moment;

use super::Measurement;
use crate::options::Options;
use crate::results::{Goal, Metric, Results, Section};
use crate::stats::ms;
use crate::subject::{Prepared, Running};

/// Launches the subject for a round; the time counts when it is asked for.
pub(super) async fn measure<'a>(
    prepared: &'a Prepared,
    options: &Options,
    results: &mut Results,
) -> Result<Running<'a>> {
    let start = Moment::now();
    let mut running = prepared.launch()?;
    running.first_hello().await?;
    let took = Moment::now().since(start);
    if options.measures(Measurement::Startup) {
        let metric = Metric::lower(Section::Start, "spawn to first hello-ok", "ms")
            .goal(Goal::TimesPeer(50.0));
        results.add(metric, prepared.subject, ms(took));
    }
    Ok(running)
}
