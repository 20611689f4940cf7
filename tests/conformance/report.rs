//! What came of it: progress on stderr, the page of results on stdout and in a file.

use std::fmt::Write as _;

use openclaw_shared::clock::WallTime;
use openclaw_shared::instance::VERSION;

/// What came of one thing that a client does.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    client: &'static str,
    what: String,
    /// Why it does not work.
    failure: Option<String>,
}

impl Outcome {
    pub(crate) fn new(
        client: &'static str,
        what: impl Into<String>,
        result: Result<(), String>,
    ) -> Self {
        let outcome = Self {
            client,
            what: what.into(),
            failure: result.err(),
        };
        progress(&format!(
            "{client}: {} … {}",
            outcome.what,
            outcome.verdict()
        ));
        outcome
    }

    pub(crate) const fn works(&self) -> bool {
        self.failure.is_none()
    }

    fn verdict(&self) -> String {
        match &self.failure {
            None => "works".to_owned(),
            Some(failure) => {
                let one_line: String = failure.split_whitespace().collect::<Vec<_>>().join(" ");
                let short: String = one_line.chars().take(2500).collect();
                format!("FAILS: {}", short.replace('|', "\\|"))
            }
        }
    }
}

/// The page of results.
pub(crate) fn page(outcomes: &[Outcome], now: WallTime) -> String {
    let works = outcomes.iter().filter(|outcome| outcome.works()).count();
    let mut text = format!(
        "# Conformance\n\n\
         Clients of OpenClaw 2026.1.30, unchanged, against this gateway, each on a fresh instance with real processes. Written \
         by `cargo xtask conformance`, which installs the peer. What these clients send is kept in `tests/golden/peer`, and the \
         ordinary tests send it again.\n\n\
         Run on {} with version {VERSION}: {works} of {} work.\n\n| client | what it does | result |\n|---|---|---|\n",
        now.to_rfc3339(),
        outcomes.len(),
    );
    for outcome in outcomes {
        let what = outcome.what.replace('|', "\\|");
        writeln!(
            text,
            "| {} | {what} | {} |",
            outcome.client,
            outcome.verdict()
        )
        .expect("a string takes everything");
    }
    text
}

/// Says on stderr what is being done.
#[expect(clippy::print_stderr, reason = "progress goes to stderr")]
pub(crate) fn progress(text: &str) {
    eprintln!("conformance: {text}");
}

/// Prints the page.
#[expect(
    clippy::print_stdout,
    reason = "the page is the answer of this program"
)]
pub(crate) fn table(page: &str) {
    println!("{page}");
}
