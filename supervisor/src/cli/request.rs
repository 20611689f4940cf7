//! Which of several waiting requests a person means.                                                   (pure)
//!
//! Something that gives rights is never decided without being named: with one request waiting and no id given, the answer is
//! its name, not its approval.

use openclaw_shared::log::printable;

use super::failure::{Failure, Kind};

/// A request that waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: String,
    /// What it is about, for people.
    pub(crate) about: String,
}

/// Finds the request that is meant by its id or by a beginning of it that fits no other one. `again` makes the command line
/// that names a request.
///
/// # Errors
/// When none or several could be meant.
pub(crate) fn choose<'a>(
    waiting: &'a [Waiting],
    wanted: Option<&str>,
    again: impl Fn(&str) -> String,
) -> Result<&'a Waiting, Failure> {
    let usage = |message: String| Failure::new(Kind::Usage, message);
    // As it is shown in tables.
    let wanted = wanted.map(|wanted| wanted.trim().trim_end_matches('…'));
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
        return Err(match waiting {
            [] => usage("No request is waiting.".to_owned()),
            [only] => usage(format!("One request is waiting: {}.", describe(only)))
                .hint(format!("If that is the one: {}", again(&only.id))),
            several => listed(
                usage("Several requests are waiting; name one of them.".to_owned()),
                several.iter(),
            ),
        });
    };
    if let Some(exact) = waiting.iter().find(|request| request.id == wanted) {
        return Ok(exact);
    }
    let fitting: Vec<&Waiting> = waiting
        .iter()
        .filter(|request| request.id.starts_with(wanted))
        .collect();
    match fitting[..] {
        [only] => Ok(only),
        [] => Err(listed(
            usage(format!("No request begins with {wanted:?}.")),
            waiting.iter(),
        )),
        _ => Err(listed(
            usage(format!(
                "Several requests begin with {wanted:?}; give more of the id."
            )),
            fitting.into_iter(),
        )),
    }
}

fn describe(request: &Waiting) -> String {
    format!("{} ({})", printable(&request.id), printable(&request.about))
}

fn listed<'a>(failure: Failure, requests: impl Iterator<Item = &'a Waiting>) -> Failure {
    requests.fold(failure, |failure, request| {
        failure.hint(format!("  {}", describe(request)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: Option<&str>, ids: &[&str]) -> String {
        let waiting: Vec<Waiting> = ids
            .iter()
            .map(|id| Waiting {
                id: (*id).to_owned(),
                about: "a phone".to_owned(),
            })
            .collect();
        match choose(&waiting, wanted, |id| format!("approve {id}")) {
            Ok(request) => request.id.clone(),
            Err(failure) => [&[failure.message][..], &failure.hints]
                .concat()
                .join(" | "),
        }
    }

    #[test]
    fn an_id_or_the_beginning_of_one_is_enough() {
        assert_eq!(check(Some("b7ab"), &["b7ab6506", "0a"]), "b7ab6506");
        assert_eq!(check(Some("b7ab…"), &["b7ab6506", "0a"]), "b7ab6506");
        assert_eq!(check(Some("ab"), &["ab", "abc"]), "ab");
        assert_eq!(
            check(Some("a"), &["ab", "ac", "b"]),
            "Several requests begin with \"a\"; give more of the id. |   ab (a phone) |   ac (a phone)"
        );
        assert_eq!(
            check(Some("x"), &["ab"]),
            "No request begins with \"x\". |   ab (a phone)"
        );
    }

    #[test]
    fn nothing_is_decided_that_was_not_named() {
        assert_eq!(
            check(None, &["ab"]),
            "One request is waiting: ab (a phone). | If that is the one: approve ab"
        );
        assert_eq!(check(None, &[]), "No request is waiting.");
        assert_eq!(
            check(None, &["ab", "cd"]),
            "Several requests are waiting; name one of them. |   ab (a phone) |   cd (a phone)"
        );
    }
}
