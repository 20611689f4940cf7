//! What the notes of the clients add up to. Pure: notes in, numbers out.
//!
//! A request whose connection ends, by a close frame or a kill, is *failed*; one that stays unanswered on an open
//! connection is *lost*. The *gap* of a client lasts from its last answer on one connection to its first on the next.

use std::time::Duration;

use openclaw_shared::clock::Moment;

/// One thing that a client saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Note {
    pub(crate) at: Moment,
    pub(crate) seen: Seen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A connect was refused: nobody listened.
    Refused,
    /// A connect succeeded, but the connection ended before `hello-ok`.
    ConnectFailed,
    /// A connection is open.
    Hello,
    /// A request was answered.
    Answered { latency: Duration },
    /// A request was answered with an error.
    Rejected,
    /// A request will not be answered, since its connection ended.
    Failed,
    /// A request stayed unanswered on an open connection.
    Lost,
    /// The server closed the connection with this code.
    Closed { code: u16 },
    /// The connection ended without a close frame.
    Cut,
}

/// The sums over all clients and a span of time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) refused: usize,
    pub(crate) connect_failed: usize,
    pub(crate) answered: usize,
    pub(crate) rejected: usize,
    pub(crate) failed: usize,
    pub(crate) lost: usize,
    pub(crate) closed_for_restart: usize,
    pub(crate) closed_otherwise: usize,
    pub(crate) cut: usize,
    pub(crate) latencies: Vec<Duration>,
    pub(crate) gaps: Vec<Duration>,
}

/// Adds up what was seen from `from` until just before `until`. A gap counts where it ends.
pub(crate) fn tally(clients: &[Vec<Note>], from: Moment, until: Moment) -> Tally {
    let mut tally = Tally::default();
    for notes in clients {
        let mut last_served = None;
        let mut interrupted = false;
        for note in notes {
            let counts = note.at >= from && note.at < until;
            let one = usize::from(counts);
            match note.seen {
                Seen::Refused => tally.refused += one,
                Seen::ConnectFailed => tally.connect_failed += one,
                Seen::Hello => {}
                Seen::Answered { latency } => {
                    tally.answered += one;
                    if counts {
                        tally.latencies.push(latency);
                        if let (true, Some(before)) = (interrupted, last_served) {
                            tally.gaps.push(note.at.since(before));
                        }
                    }
                    interrupted = false;
                    last_served = Some(note.at);
                }
                Seen::Rejected => tally.rejected += one,
                Seen::Failed => tally.failed += one,
                Seen::Lost => {
                    tally.lost += one;
                    interrupted = true;
                }
                Seen::Closed { code } => {
                    match code {
                        1012 => tally.closed_for_restart += one,
                        _ => tally.closed_otherwise += one,
                    }
                    interrupted = true;
                }
                Seen::Cut => {
                    tally.cut += one;
                    interrupted = true;
                }
            }
        }
    }
    tally
}

/// When the first client had a new connection after `moment`.
pub(crate) fn first_hello_after(clients: &[Vec<Note>], moment: Moment) -> Option<Moment> {
    let notes = clients.iter().flatten();
    notes
        .filter(|note| note.seen == Seen::Hello && note.at > moment)
        .map(|note| note.at)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn story(start: Moment, events: &[(u64, Seen)]) -> Vec<Note> {
        events
            .iter()
            .map(|&(at, seen)| Note {
                at: start + ms(at),
                seen,
            })
            .collect()
    }

    #[test]
    fn a_gap_lasts_from_the_last_answer_to_the_first_on_a_new_connection() {
        let start = Moment::now();
        let answered = Seen::Answered { latency: ms(1) };
        let notes = story(
            start,
            &[
                (0, Seen::Hello),
                (1, answered),
                (2, answered),
                (10, Seen::Failed),
                (10, Seen::Closed { code: 1012 }),
                (11, Seen::Refused),
                (20, Seen::Hello),
                (25, answered),
                (26, answered),
            ],
        );
        let tally = tally(&[notes], start, start + ms(1000));
        assert_eq!(tally.gaps, [ms(23)]);
        assert_eq!(
            (tally.failed, tally.refused, tally.closed_for_restart),
            (1, 1, 1)
        );
        assert_eq!((tally.answered, tally.lost, tally.cut), (4, 0, 0));
    }

    #[test]
    fn only_what_lies_in_the_span_counts() {
        let start = Moment::now();
        let answered = Seen::Answered { latency: ms(1) };
        let notes = story(
            start,
            &[
                (1, answered),
                (5, Seen::Lost),
                (9, answered),
                (12, Seen::Cut),
            ],
        );
        let clients = [notes];
        let early = tally(&clients, start, start + ms(9));
        assert_eq!(
            (early.answered, early.lost, early.cut, early.gaps.len()),
            (1, 1, 0, 0)
        );
        let late = tally(&clients, start + ms(9), start + ms(20));
        assert_eq!((late.answered, late.lost, late.cut), (1, 0, 1));
        assert_eq!(late.gaps, [ms(8)]);
    }

    #[test]
    fn the_first_hello_after_a_kill_is_the_earliest_of_all_clients() {
        let start = Moment::now();
        let clients = [
            story(
                start,
                &[(0, Seen::Hello), (10, Seen::Cut), (30, Seen::Hello)],
            ),
            story(
                start,
                &[(1, Seen::Hello), (10, Seen::Cut), (22, Seen::Hello)],
            ),
        ];
        assert_eq!(
            first_hello_after(&clients, start + ms(9)),
            Some(start + ms(22))
        );
        assert_eq!(first_hello_after(&clients, start + ms(31)), None);
    }
}
