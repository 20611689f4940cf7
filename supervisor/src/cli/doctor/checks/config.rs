//! The configuration file: whether it can be used, and what in it is odd.                                  (pure)

use openclaw_shared::config::{Issue, KeyPath, legacy_target, sentence};
use openclaw_shared::control::ConfigState;

use super::super::finding::{Code, Finding, Repair};
use super::super::snapshot::Snapshot;

pub(super) fn missing(snapshot: &Snapshot) -> Vec<Finding> {
    if snapshot.config.exists {
        return Vec::new();
    }
    let finding = Finding::new(Code::ConfigMissing, "There is no configuration file.")
        .at(snapshot.shown(&snapshot.identity.config_path))
        .advice(format!("Write a first one: {}", snapshot.command("setup")));
    vec![finding]
}

pub(super) fn invalid(snapshot: &Snapshot) -> Vec<Finding> {
    let mend = || {
        let check = snapshot.command("config validate");
        format!("Mend it, then check it: {check}")
    };
    snapshot
        .config
        .errors
        .iter()
        .map(|issue| {
            let advice = match &issue.hint {
                Some(hint) => sentence(hint),
                None => mend(),
            };
            of_issue(snapshot, Code::ConfigInvalid, issue).advice(advice)
        })
        .collect()
}

pub(super) fn refused(snapshot: &Snapshot) -> Vec<Finding> {
    let Err(refusal) = &snapshot.start else {
        return Vec::new();
    };
    // What is told by its own findings need not be told twice.
    if !snapshot.config.exists || !snapshot.config.errors.is_empty() || snapshot.is_remote {
        return Vec::new();
    }
    let finding = Finding::new(Code::ConfigRefused, sentence(&refusal.message))
        .at(snapshot.shown(&snapshot.identity.config_path));
    vec![match refusal.hints.is_empty() {
        true => finding,
        false => finding.advice(refusal.hints.join(" ")),
    }]
}

pub(super) fn warnings(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot
        .config
        .warnings
        .iter()
        .map(|issue| warning(snapshot, issue))
        .collect()
}

fn warning(snapshot: &Snapshot, issue: &Issue) -> Finding {
    let hint = issue.hint.as_deref().map(sentence);
    let advised = |finding: Finding, otherwise: &str| {
        finding.advice(hint.clone().unwrap_or_else(|| otherwise.to_owned()))
    };
    // A file that cannot be read as a whole cannot be changed either, and what an included file says is changed there.
    let ours = snapshot.config.errors.is_empty()
        && issue
            .file
            .as_ref()
            .is_none_or(|file| *file == snapshot.identity.config_path);
    let path: Option<KeyPath> = issue.key.parse().ok();
    if issue.is_legacy() {
        let finding = advised(of_issue(snapshot, Code::ConfigLegacyKey, issue), "Move it.");
        let moved = path.filter(|_| ours).and_then(|from| {
            let to = legacy_target(&from)?;
            let free = to.find(&snapshot.config.raw).is_none();
            let value = from.find(&snapshot.config.raw)?.clone();
            free.then_some(Repair::MoveKey { from, to, value })
        });
        return match moved {
            Some(repair) => finding.repair(repair),
            None => finding,
        };
    }
    if issue.is_unknown_key() {
        let finding = of_issue(snapshot, Code::ConfigUnknownKey, issue);
        return match (hint.is_some(), path.filter(|_| ours)) {
            // What was probably meant is for a person to decide.
            (true, _) | (false, None) => advised(finding, "Take it out."),
            (false, Some(path)) => finding
                .advice("Take it out, unless a newer version is to read it.")
                .repair(Repair::RemoveKeys(vec![path])),
        };
    }
    let finding = of_issue(snapshot, Code::ConfigOdd, issue);
    match hint {
        Some(hint) => finding.advice(hint),
        None => finding,
    }
}

pub(super) fn not_in_force(snapshot: &Snapshot) -> Vec<Finding> {
    let Some(status) = snapshot.running.status() else {
        return Vec::new();
    };
    let config = &status.fleet.config;
    let (what, advice) = match config.state {
        ConfigState::Ok => return Vec::new(),
        ConfigState::Degraded => (
            "The file was broken at the start; the gateway runs on the last configuration that worked.",
            "Mend the file; it is taken at once.".to_owned(),
        ),
        ConfigState::Rejected => (
            "The last change was refused; the gateway runs on the configuration before it.",
            "Mend the file; it is taken at once.".to_owned(),
        ),
        ConfigState::Pending => (
            "A change waits for a restart.",
            format!("Apply it: {}", snapshot.command("gateway restart")),
        ),
    };
    let what = match &config.error {
        // The mistakes themselves are told one by one.
        Some(error) if snapshot.config.errors.is_empty() => format!("{what} {error}"),
        Some(_) | None => what.to_owned(),
    };
    let finding = Finding::new(Code::ConfigNotInForce, what)
        .at(config.path.clone())
        .advice(advice);
    vec![finding]
}

pub(super) fn own_keys(snapshot: &Snapshot) -> Vec<Finding> {
    let keys = &snapshot.config.own_keys;
    if keys.is_empty() {
        return Vec::new();
    }
    let what = format!(
        "Only this version knows {}; the Node version would refuse the file.",
        keys.join(", ")
    );
    let finding = Finding::new(Code::ConfigOwnKeys, what)
        .at(snapshot.shown(&snapshot.identity.config_path))
        .advice("Nothing has to be done, unless you go back to the Node version.");
    vec![finding]
}

/// A finding at the place of an issue, in the words of the issue.
fn of_issue(snapshot: &Snapshot, code: Code, issue: &Issue) -> Finding {
    let what = match issue.key.is_empty() {
        true => sentence(&issue.message),
        // A key is written as it is.
        false => format!("{}: {}.", issue.key, issue.message),
    };
    let path = issue
        .file
        .as_ref()
        .unwrap_or(&snapshot.identity.config_path);
    let mut place = snapshot.shown(path);
    for number in [issue.line, issue.column].into_iter().flatten() {
        place.push_str(&format!(":{number}"));
    }
    Finding::new(code, what).at(place)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use openclaw_shared::config::load_candidate;
    use openclaw_shared::exit::Exit;

    use super::super::testing::{codes, found};
    use super::*;
    use crate::settings::Refusal;

    /// An instance with this configuration file.
    fn with(text: &'static str) -> impl FnOnce(&mut Snapshot) {
        move |snapshot| {
            let path = snapshot.identity.config_path.clone();
            let variables = [("TOKEN".to_owned(), "t".to_owned())].into();
            match load_candidate(&path, text, &variables) {
                Ok(loaded) => {
                    snapshot.config.warnings = loaded.warnings;
                    snapshot.config.raw = loaded.raw;
                    snapshot.config.config = loaded.config;
                }
                Err(error) => snapshot.config.errors = error.issues,
            }
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_what_to_do() {
        let found = found(invalid, with("{\n  gateway: { port: \"18789\" },\n}"));
        assert_eq!(found[0].code, Code::ConfigInvalid);
        assert_eq!(
            found[0].place.as_deref(),
            Some("~/.openclaw/openclaw.json:2:20")
        );
        assert!(
            found[0].what.starts_with("gateway.port: expected"),
            "{found:?}"
        );
        assert!(found[0].advice.is_some());
    }

    #[test]
    fn a_file_that_is_not_there_is_no_mistake_in_it() {
        let absent = |snapshot: &mut Snapshot| {
            snapshot.config.exists = false;
            snapshot.start = Err(Refusal::new(Exit::ConfigInvalid, "Missing config."));
        };
        assert_eq!(codes(missing, absent), ["config-missing"]);
        assert_eq!(codes(refused, absent), [] as [&str; 0]);
        let refusing = |snapshot: &mut Snapshot| {
            snapshot.start = Err(Refusal::new(Exit::Refused, "Refusing.").hint("Set a token."));
        };
        let found = found(refused, refusing);
        assert_eq!(found[0].advice.as_deref(), Some("Set a token."));
    }

    #[test]
    fn an_old_key_is_moved_when_its_new_place_is_free() {
        let moved = found(warnings, with("{gateway: {token: \"${TOKEN}\"}}"));
        let Some(Repair::MoveKey { from, to, value }) = &moved[0].repair else {
            panic!("{moved:?}");
        };
        assert_eq!(
            (from.to_string(), to.to_string(), value.as_str()),
            (
                "gateway.token".to_owned(),
                "gateway.auth.token".to_owned(),
                Some("${TOKEN}")
            ),
            "the reference stays one"
        );
        let taken = "{gateway: {token: \"a\", auth: {token: \"b\"}}}";
        assert_eq!(found(warnings, with(taken))[0].repair, None);
    }

    #[test]
    fn a_key_that_was_mistyped_is_left_to_its_author() {
        let mistyped = found(warnings, with("{gateway: {prot: 20001}}"));
        assert_eq!(mistyped[0].code, Code::ConfigUnknownKey);
        assert_eq!(mistyped[0].repair, None, "{mistyped:?}");
        let foreign = found(warnings, with("{zzyzx: {a: 1}}"));
        assert!(
            matches!(&foreign[0].repair, Some(Repair::RemoveKeys(keys)) if keys.len() == 1),
            "{foreign:?}"
        );
    }

    #[test]
    fn what_an_included_file_says_is_not_changed_in_the_main_file() {
        let found = found(warnings, |snapshot| {
            with("{zzyzx: 1}")(snapshot);
            snapshot.config.warnings[0].file = Some(Path::new("/home/me/part.json").to_owned());
        });
        assert_eq!(found[0].repair, None);
        assert!(
            found[0]
                .place
                .as_deref()
                .unwrap()
                .starts_with("~/part.json:1:")
        );
    }

    #[test]
    fn keys_of_our_own_are_a_note() {
        let found = found(own_keys, |snapshot| {
            snapshot.config.own_keys = vec!["mcp", "supervisor"];
        });
        assert!(found[0].what.contains("mcp, supervisor"));
        assert!(!found[0].is_left());
    }
}
