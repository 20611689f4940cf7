//! How much an answer may be, and how long it may take from one frame to the next.  (pure)
//!
//! The crate `genai` keeps whatever belongs to a frame that has not ended, and looks at all of it again with each piece that arrives. It
//! says nothing of how much that is, so the pieces are counted: each is at most what is read from a connection at once. No provider cuts
//! a frame into so many.

use super::{ModelError, ModelErrorKind, error};

/// So many pieces of a frame may arrive before its end does.
const MOST_PIECES: u32 = 256;
/// The largest frame, in bytes.
const LARGEST_FRAME: usize = 16 * 1024 * 1024;
/// All frames of an answer, in bytes.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
/// So many tools may be called in one answer.
const MOST_CALLS: usize = 64;
/// The longest arguments of a call, in bytes of JSON.
const LONGEST_ARGUMENTS: usize = 1024 * 1024;

/// How much has come so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Measure {
    frames: usize,
    bytes: usize,
    /// Pieces since the last frame.
    pieces: u32,
    is_full: bool,
}

impl Measure {
    /// A frame of so many bytes is there.
    pub(super) fn frame(&mut self, bytes: usize) {
        self.frames += 1;
        self.pieces = 0;
        self.bytes = self.bytes.saturating_add(bytes);
        self.is_full |= bytes > LARGEST_FRAME || self.bytes > LARGEST_ANSWER;
    }

    /// Something has arrived and no frame has ended with it.
    pub(super) const fn piece(&mut self) {
        self.pieces += 1;
        self.is_full |= self.pieces > MOST_PIECES;
    }

    /// How many frames there were.
    pub(super) const fn frames(&self) -> usize {
        self.frames
    }

    /// Whether that was more than anybody keeps.
    pub(super) const fn is_full(&self) -> bool {
        self.is_full
    }
}

/// More has come than anybody keeps.
pub(super) fn too_large(provider: &str) -> ModelError {
    error(
        ModelErrorKind::TooLarge,
        format!("the answer of {provider} is too large to be kept"),
    )
}

/// One of the calls is none that anybody could have meant.
pub(super) fn check_call(provider: &str, calls: usize, arguments: usize) -> Result<(), ModelError> {
    if calls > MOST_CALLS {
        return Err(error(
            ModelErrorKind::TooLarge,
            format!("{provider} has called more than {MOST_CALLS} tools in one answer"),
        ));
    }
    if arguments > LONGEST_ARGUMENTS {
        return Err(error(
            ModelErrorKind::TooLarge,
            format!(
                "the arguments of a tool that {provider} has called are longer than {LONGEST_ARGUMENTS} bytes"
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(course: impl IntoIterator<Item = Option<usize>>) -> bool {
        let mut measure = Measure::default();
        for step in course {
            match step {
                Some(bytes) => measure.frame(bytes),
                None => measure.piece(),
            }
        }
        measure.is_full()
    }

    #[test]
    fn a_frame_has_an_end_and_an_answer_too() {
        let pieces = |count: u32| (0..count).map(|_| None);
        assert!(!after(pieces(MOST_PIECES)));
        assert!(after(pieces(MOST_PIECES + 1)));
        let in_between = pieces(MOST_PIECES)
            .chain([Some(1)])
            .chain(pieces(MOST_PIECES));
        assert!(!after(in_between), "each frame counts anew");
        assert!(!after([Some(LARGEST_FRAME)]));
        assert!(after([Some(LARGEST_FRAME + 1)]));
        let frames = |count: usize| (0..count).map(|_| Some(1024));
        assert!(!after(frames(LARGEST_ANSWER / 1024)));
        assert!(after(frames(LARGEST_ANSWER / 1024 + 1)));
        assert!(after(
            frames(LARGEST_ANSWER / 1024 + 1).chain([Some(1), None])
        ));
    }

    #[test]
    fn calls_are_counted_and_measured() {
        assert!(check_call("p", MOST_CALLS, LONGEST_ARGUMENTS).is_ok());
        let error = check_call("p", MOST_CALLS + 1, 0).unwrap_err();
        assert_eq!(
            error.message,
            "p has called more than 64 tools in one answer"
        );
        let error = check_call("p", 1, LONGEST_ARGUMENTS + 1).unwrap_err();
        assert_eq!(error.kind, ModelErrorKind::TooLarge);
    }
}
