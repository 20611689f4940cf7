//! The checks: each looks at the snapshot and says what it finds.                                         (pure)

use openclaw_shared::instance::Identity;
use openclaw_shared::secret::Secret;

use super::finding::Finding;
use super::snapshot::{Snapshot, Unit};

mod config;
mod database;
mod leftovers;
mod machine;
mod ports;
mod security;
mod service;
mod state;

/// One question about an instance.
type Check = fn(&Snapshot) -> Vec<Finding>;

const CHECKS: &[Check] = &[
    config::missing,
    config::invalid,
    config::refused,
    config::warnings,
    config::not_in_force,
    config::own_keys,
    security::token,
    security::readable_secrets,
    security::secret_in_unit,
    security::exposed,
    security::safeguards,
    security::channels,
    state::folder,
    state::open_to_others,
    state::foreign_files,
    database::examined,
    service::condition,
    service::file,
    service::others,
    service::linger,
    ports::busy,
    ports::shared,
    leftovers::sockets,
    leftovers::locks,
    leftovers::half_written,
    leftovers::legacy,
    leftovers::tmp_logs,
    machine::running,
    machine::programs,
    machine::disk,
    machine::clock,
    machine::browser,
];

/// How many questions are asked.
pub(super) const COUNT: usize = CHECKS.len();

/// Everything that is to be said about an instance, in the order of its areas, the worst of each first.
pub(super) fn all(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(snapshot)).collect();
    findings.sort_by_key(|finding| (finding.code.area(), finding.code.severity()));
    findings
}

/// What is to be said about a service file alone.
pub(super) fn of_unit(
    unit: &Unit,
    secret: Option<&Secret<String>>,
    identity: &Identity,
) -> Vec<Finding> {
    let mut findings = security::secret_in(unit, secret, identity);
    findings.extend(service::judge(unit, identity));
    findings
}

/// What the tests of the checks share.
#[cfg(test)]
mod testing {
    use super::super::finding::Finding;
    use super::super::snapshot::{Snapshot, tests::well};

    /// The codes that a check finds after something was changed about an instance that is well.
    pub(super) fn codes(
        check: fn(&Snapshot) -> Vec<Finding>,
        change: impl FnOnce(&mut Snapshot),
    ) -> Vec<&'static str> {
        let found = found(check, change);
        found.iter().map(|finding| finding.code.as_str()).collect()
    }

    /// What it finds.
    pub(super) fn found(
        check: fn(&Snapshot) -> Vec<Finding>,
        change: impl FnOnce(&mut Snapshot),
    ) -> Vec<Finding> {
        let mut snapshot = well();
        assert_eq!(check(&snapshot), [], "nothing is wrong with what is well");
        change(&mut snapshot);
        check(&snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::well;

    #[test]
    fn nothing_is_wrong_with_an_instance_that_is_well() {
        assert_eq!(super::all(&well()), []);
    }
}
