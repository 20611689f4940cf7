//! Lines about strangers that a flood must not turn into a full disk.                    (pure)
//!
//! What anybody on this machine can cause is logged a few times per span; the next line says how many were left out.

use std::time::Duration;

use openclaw_shared::clock::Moment;

/// How long a span is.
const SPAN: Duration = Duration::from_secs(10);
/// Lines in a span.
const LINES: u32 = 20;

/// The account of one kind of line.
#[derive(Debug)]
pub(crate) struct Quiet {
    since: Moment,
    lines: u32,
    left_out: u64,
}

impl Quiet {
    pub(crate) const fn new(now: Moment) -> Self {
        Self {
            since: now,
            lines: 0,
            left_out: 0,
        }
    }

    /// How many lines were left out before this one; none when this one is to be left out too.
    pub(crate) fn may_speak(&mut self, now: Moment) -> Option<u64> {
        if now.since(self.since) >= SPAN {
            self.since = now;
            self.lines = 0;
        }
        if self.lines == LINES {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_shared::clock::Moment;

    use super::Quiet;

    #[test]
    fn a_flood_is_a_few_lines_and_a_number() {
        let now = Moment::now();
        let mut quiet = Quiet::new(now);
        let spoken = (0..1000).filter_map(|_| quiet.may_speak(now)).count();
        assert_eq!(spoken, 20);
        assert_eq!(quiet.may_speak(now + Duration::from_secs(10)), Some(980));
        assert_eq!(quiet.may_speak(now + Duration::from_secs(10)), Some(0));
    }
}
