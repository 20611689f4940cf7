//! The database, as the gateway's program has looked it over.                                              (pure)

use openclaw_shared::paths::StatePaths;

use super::super::finding::{Code, Finding};
use super::super::snapshot::Snapshot;

/// How many faults are quoted; all of them lead to the same advice.
const MOST_QUOTED: usize = 3;

pub(super) fn examined(snapshot: &Snapshot) -> Vec<Finding> {
    let place = snapshot.shown(&StatePaths(&snapshot.identity.state_dir).store());
    let report = match &snapshot.database {
        None => return Vec::new(),
        Some(Ok(report)) => report,
        Some(Err(why)) => {
            let finding = Finding::new(
                Code::DatabaseUnread,
                format!("The database could not be looked over: {why}."),
            );
            return vec![finding.at(place)];
        }
    };
    if let Some(error) = &report.error {
        let finding = Finding::new(
            Code::DatabaseUnread,
            format!("The database could not be looked over: {error}."),
        );
        return vec![finding.at(place)];
    }
    if !report.damage.is_empty() {
        let quoted: Vec<&str> = report
            .damage
            .iter()
            .take(MOST_QUOTED)
            .map(String::as_str)
            .collect();
        let finding = Finding::new(
            Code::DatabaseDamaged,
            format!("The database is damaged: {}.", quoted.join("; ")),
        )
        .at(place.clone())
        .advice(format!(
            "Stop the gateway ({}), keep a copy of {place} and of the files beside it, then put a backup in its place or rescue what can be read: sqlite3 {place} .recover",
            snapshot.command("gateway stop")
        ));
        return vec![finding];
    }
    if report.version > report.known {
        let finding = Finding::new(
            Code::DatabaseNewer,
            format!(
                "The database was written by a newer version (step {}; this one knows {}).",
                report.version, report.known
            ),
        )
        .at(place)
        .advice("It can be used. What the newer version has added is left as it is.");
        return vec![finding];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use openclaw_shared::examine::ExamineReport;

    use super::super::testing::{codes, found};
    use super::*;

    fn with(report: ExamineReport) -> impl FnOnce(&mut Snapshot) {
        move |seen| seen.database = Some(Ok(report))
    }

    #[test]
    fn a_database_is_well_damaged_newer_or_unread() {
        let current = ExamineReport {
            version: 4,
            known: 4,
            ..ExamineReport::default()
        };
        assert_eq!(codes(examined, with(current.clone())), [] as [&str; 0]);
        let newer = ExamineReport {
            version: 5,
            ..current.clone()
        };
        assert_eq!(codes(examined, with(newer)), ["database-newer"]);
        let unread = ExamineReport {
            error: Some("locked".to_owned()),
            ..current.clone()
        };
        assert_eq!(codes(examined, with(unread)), ["database-unread"]);
        let damaged = ExamineReport {
            damage: vec!["row 7 missing".to_owned(); 9],
            ..current
        };
        let found = found(examined, with(damaged));
        assert_eq!(found[0].code, Code::DatabaseDamaged);
        assert_eq!(found[0].what.matches("row 7").count(), MOST_QUOTED);
        assert_eq!(found[0].repair, None, "nobody but its owner gives up data");
    }
}
