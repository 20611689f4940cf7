//! Which lines are wanted.                                                                              (pure)

use clap::{Args, ValueEnum};
use jiff::civil::{Date, Time};
use openclaw_shared::clock::{WallTime, local_zone};
use openclaw_shared::trace::TraceId;

use super::super::span;
use super::line::Line;

/// The options that choose lines.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Filter {
    /// Show only what is at least as important as this
    #[arg(long, value_name = "LEVEL", ignore_case = true)]
    level: Option<Rank>,
    /// Show only this subsystem and those below it (may be repeated)
    #[arg(long, value_name = "NAME")]
    subsystem: Vec<String>,
    /// Show only what this process has written (may be repeated)
    #[arg(long, value_name = "NAME", value_parser = ["supervisor", "gateway", "canvas-host", "browser-control", "node-host"])]
    process: Vec<String>,
    /// Show only what was written since then: 10m, 07:30, 2026-11-22, 2026-11-22T07:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<WallTime>,
    /// Show only what was written until then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<WallTime>,
    /// Show only lines that hold this text; upper and lower case count when it has upper case
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Show only what happened because of one request, by its trace id or the beginning of it
    #[arg(long, value_name = "ID", value_parser = trace)]
    trace: Option<String>,
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Rank {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Filter {
    /// Whether anything is chosen at all.
    pub(super) fn chooses(&self) -> bool {
        let Self {
            level,
            subsystem,
            process,
            since,
            until,
            grep,
            trace,
        } = self;
        let several = !subsystem.is_empty() || !process.is_empty();
        let times = since.is_some() || until.is_some();
        several || times || level.is_some() || grep.is_some() || trace.is_some()
    }

    /// From when on lines are wanted.
    pub(super) const fn since(&self) -> Option<WallTime> {
        self.since
    }

    /// Whether nothing that is written from now on is wanted.
    pub(super) fn is_over(&self, now: WallTime) -> bool {
        self.until.is_some_and(|until| now > until)
    }

    /// Whether a line can be wanted, as far as its bytes tell. Most of a long log need not be taken apart.
    pub(super) fn may_take(&self, raw: &str) -> bool {
        self.trace
            .as_ref()
            .is_none_or(|trace| raw.contains(trace.as_str()))
    }

    /// Whether a line is wanted.
    pub(super) fn takes(&self, line: &Line) -> bool {
        let has_text = self
            .grep
            .as_ref()
            .is_none_or(|text| holds(&line.plain(), text));
        let Line::Record {
            time,
            level,
            subsystem,
            process,
            trace,
            ..
        } = line
        else {
            // What is no record has neither a time nor a level.
            return has_text && !self.asks_more_than_text();
        };
        let time = time.as_deref().and_then(WallTime::parse_iso8601);
        let rank = level
            .as_deref()
            .and_then(|level| Rank::from_str(level, true).ok());
        has_text
            && self
                .level
                .is_none_or(|least| rank.is_some_and(|it| it >= least))
            && (self.subsystem.is_empty() || subsystem.as_deref().is_some_and(|it| self.names(it)))
            && (self.process.is_empty()
                || process.as_ref().is_some_and(|it| self.process.contains(it)))
            && self
                .since
                .is_none_or(|since| time.is_some_and(|it| it >= since))
            && self
                .until
                .is_none_or(|until| time.is_some_and(|it| it <= until))
            && self.trace.as_ref().is_none_or(|wanted| {
                trace
                    .as_ref()
                    .is_some_and(|it| it.starts_with(wanted.as_str()))
            })
    }

    fn asks_more_than_text(&self) -> bool {
        let rest = Self {
            grep: None,
            ..self.clone()
        };
        rest.chooses()
    }

    /// Whether a subsystem is one of those that are named, or below one. `gateway/` may be left out, as the console leaves it out.
    fn names(&self, subsystem: &str) -> bool {
        let short = subsystem.strip_prefix("gateway/").unwrap_or(subsystem);
        self.subsystem.iter().any(|wanted| {
            let wanted = wanted.trim_end_matches('/');
            [subsystem, short].iter().any(|it| {
                it.strip_prefix(wanted)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        })
    }
}

/// Whether a text holds another one.
fn holds(text: &str, wanted: &str) -> bool {
    if wanted.chars().any(char::is_uppercase) {
        text.contains(wanted)
    } else {
        text.to_lowercase().contains(wanted)
    }
}

/// Reads a moment: a span before now, a time of this day, a date, or both.
fn moment(text: &str) -> Result<WallTime, String> {
    moment_before(WallTime::now(), text)
}

fn moment_before(now: WallTime, text: &str) -> Result<WallTime, String> {
    let wrong = || {
        format!(
            "Invalid time {text:?} (use for example \"10m\", \"07:30\", \"2026-11-22\" or \"2026-11-22T07:00:00Z\")"
        )
    };
    let zone = local_zone();
    let local = |date: Date, time: Time| {
        let moment = date.to_datetime(time).to_zoned(zone.clone()).ok()?;
        let millis = u64::try_from(moment.timestamp().as_millisecond()).ok()?;
        Some(WallTime::from_millis(millis))
    };
    // A number alone could be anything.
    if text.chars().any(|it| it.is_ascii_alphabetic())
        && let Ok(span) = span::parse(text)
    {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        return Ok(WallTime::from_millis(
            now.as_millis().saturating_sub(millis),
        ));
    }
    let today = || now.local_date().parse::<Date>().ok();
    let found = match (text.parse::<Date>(), text.contains(':')) {
        _ if text.contains('T') => WallTime::parse_iso8601(text),
        (Ok(date), false) => local(date, Time::midnight()),
        (_, true) => text
            .parse::<Time>()
            .ok()
            .zip(today())
            .and_then(|(time, date)| local(date, time)),
        (Err(_), false) => None,
    };
    found.ok_or_else(wrong)
}

/// Reads a trace id, the header that names one, or the beginning of one.
fn trace(text: &str) -> Result<String, String> {
    const SHORTEST: usize = 8;
    if let Ok(id) = text.parse::<TraceId>() {
        return Ok(id.to_string());
    }
    let text = text.to_lowercase();
    let is_beginning =
        (SHORTEST..=32).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_hexdigit());
    is_beginning.then_some(text).ok_or_else(|| {
        "A trace id is 32 hexadecimal digits; the first 8 of them are enough".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        filter: Filter,
    }

    fn filter(arguments: &str) -> Result<Filter, String> {
        let words = std::iter::once("logs").chain(arguments.split_whitespace());
        Command::try_parse_from(words)
            .map(|command| command.filter)
            .map_err(|error| error.to_string())
    }

    fn record(level: &str, subsystem: &str, time: &str) -> String {
        format!(
            r#"{{"0":"{{\"subsystem\":\"{subsystem}\"}}","1":{{"conn":"c1"}},"2":"Closed it","_meta":{{"name":"{{\"subsystem\":\"{subsystem}\"}}","logLevelName":"{level}","process":"gateway","traceId":"{ID}"}},"time":"{time}"}}"#
        )
    }

    #[track_caller]
    fn check(arguments: &str, raw: &str, expected: bool) {
        let filter = filter(arguments).unwrap();
        let taken = filter.may_take(raw) && filter.takes(&Line::parse(raw));
        assert_eq!(taken, expected, "{arguments}: {raw}");
    }

    #[test]
    fn each_option_leaves_out_what_it_does_not_name() {
        let line = record("WARN", "gateway/ws", "2026-11-22T07:12:07.275Z");
        for (arguments, expected) in [
            ("", true),
            ("--level info", true),
            ("--level WARN", true),
            ("--level error", false),
            ("--subsystem ws", true),
            ("--subsystem gateway", true),
            ("--subsystem gateway/ws", true),
            ("--subsystem w", false),
            ("--subsystem store --subsystem ws", true),
            ("--process gateway", true),
            ("--process supervisor", false),
            ("--since 2026-11-22T07:12:07Z", true),
            ("--since 2026-11-22T07:12:08Z", false),
            ("--until 2026-11-22T07:12:08Z", true),
            ("--until 2026-11-22T07:12:07Z", false),
            ("--grep closed", true),
            ("--grep Closed", true),
            ("--grep CLOSED", false),
            ("--grep conn=c1", true),
            ("--trace 4bf92f35", true),
            (
                "--trace 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                true,
            ),
            ("--trace 4bf92f3577b34da6a3ce929d0e0e4737", false),
            (
                "--level info --grep closed --trace 4bf92f35 --subsystem store",
                false,
            ),
        ] {
            check(arguments, &line, expected);
        }
    }

    #[test]
    fn what_is_no_record_is_found_by_its_text_only() {
        check("", "a panic", true);
        check("--grep panic", "a panic", true);
        check("--grep panic --level info", "a panic", false);
        check("--since 10m", "a panic", false);
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now = WallTime::from_millis(1_795_331_527_274);
        let read = |text: &str| moment_before(now, text);
        let ago = |seconds: u64| WallTime::from_millis(now.as_millis() - seconds * 1_000);
        assert_eq!(read("10m"), Ok(ago(600)));
        assert_eq!(read("1h30m"), Ok(ago(5_400)));
        assert_eq!(
            read("2026-11-22T07:00:00Z")
                .map(WallTime::to_rfc3339)
                .as_deref(),
            Ok("2026-11-22T07:00:00.000Z")
        );
        let midnight = read("2026-11-22").unwrap();
        assert_eq!(midnight.local_date(), "2026-11-22");
        assert!(midnight.local_time().starts_with("00:00:00"));
        let half_past = read("07:30").unwrap();
        assert_eq!(half_past.local_date(), now.local_date());
        assert!(half_past.local_time().starts_with("07:30:00"));
        for wrong in ["", "10", "yesterday", "25:00", "2026-13-01", "10x"] {
            assert!(read(wrong).unwrap_err().contains("Invalid time"), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_an_id_is_refused() {
        for wrong in ["4bf92f3", "xyzxyzxyz", "4bf92f3577b34da6a3ce929d0e0e47361"] {
            assert!(filter(&format!("--trace {wrong}")).is_err(), "{wrong}");
        }
        assert!(filter("--level loud").is_err());
        assert!(filter("--process nobody").is_err());
    }
}
