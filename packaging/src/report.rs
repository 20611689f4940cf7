//! The only file of this crate that prints: answers on stdout, talk on stderr.

/// Prints what is about to happen.
#[expect(clippy::print_stderr, reason = "the talk of a chore goes to stderr")]
pub(crate) fn step(text: &str) {
    eprintln!("==> {text}");
}

/// Prints the answer of a chore.
#[expect(clippy::print_stdout, reason = "the answer of a chore goes to stdout")]
pub(crate) fn answer(text: &str) {
    println!("{text}");
}

/// Prints why a chore failed, with its causes.
#[expect(clippy::print_stderr, reason = "the talk of a chore goes to stderr")]
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
