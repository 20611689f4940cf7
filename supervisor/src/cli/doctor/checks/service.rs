//! The service of this instance, and those that look like another one.                                     (pure)

use openclaw_shared::instance::Identity;

use super::super::finding::{Code, Finding, Repair};
use super::super::snapshot::{Condition, Snapshot, SocketFile, Unit};
use crate::service::linger::enable;

pub(super) fn condition(snapshot: &Snapshot) -> Vec<Finding> {
    let Some(service) = &snapshot.service else {
        return Vec::new();
    };
    let start = || match &service.start {
        Some(start) => format!("Start it: {start}"),
        None => format!("Start it: {}", snapshot.command("gateway start")),
    };
    let found = match service.condition {
        Condition::Running | Condition::Unknown => return Vec::new(),
        Condition::Failed => {
            let exit = match service.last_exit {
                Some(exit) => format!(" with exit code {exit}"),
                None => String::new(),
            };
            Finding::new(
                Code::ServiceFailed,
                format!("The service is installed, and its last start failed{exit}."),
            )
            .advice(format!(
                "See why: {}. Then: {}",
                snapshot.command("gateway status"),
                start()
            ))
        }
        // An instance that was started by hand serves as well.
        Condition::Stopped if snapshot.running.status().is_some() => return Vec::new(),
        Condition::Stopped => Finding::new(
            Code::ServiceStopped,
            "The service is installed and does not run.",
        )
        .advice(start()),
    };
    vec![found.at(service.name.clone())]
}

pub(super) fn file(snapshot: &Snapshot) -> Vec<Finding> {
    match &snapshot.unit {
        Some(unit) => judge(unit, &snapshot.identity),
        None => Vec::new(),
    }
}

/// How the files of a service compare with those that this version writes.
pub(super) fn judge(unit: &Unit, identity: &Identity) -> Vec<Finding> {
    let mut findings = judge_service(unit, identity);
    let is_repaired = findings.iter().any(|finding| finding.repair.is_some());
    if let Some(sockets) = &unit.sockets {
        findings.extend(judge_sockets(unit, sockets, identity, is_repaired));
    }
    if let Some(open) = &unit.replaceable {
        let what = "Another user of this machine can replace the program that the service starts, and so do whatever the service may.";
        let finding = Finding::new(Code::ServiceProgramOpen, what)
            .at(identity.display(open))
            .advice("Let it, and every folder on the way to it, be root's or the service's user's, and nobody else's to write; or install the program in /usr/local/bin.");
        findings.push(finding);
    }
    findings
}

/// One repair writes both files, so there is none here where the service's own has one.
fn judge_sockets(
    unit: &Unit,
    sockets: &SocketFile,
    identity: &Identity,
    is_repaired: bool,
) -> Option<Finding> {
    let (what, backed_up) = match &sockets.text {
        None => (
            "The file of the sockets that the service waits for is missing.".to_owned(),
            &unit.path,
        ),
        Some(text) if is_same(&sockets.recommended, text) => return None,
        Some(text) => {
            let example = first_difference(&sockets.recommended, text);
            let example =
                example.map_or_else(String::new, |line| format!(" (for example: {line})"));
            (
                format!(
                    "The file of the sockets differs from the one that this version writes for this configuration{example}."
                ),
                &sockets.path,
            )
        }
    };
    let finding = Finding::new(Code::ServiceDrift, what)
        .at(identity.display(&sockets.path))
        .advice(format!("Write it anew: {}", unit.install.typed(identity)));
    Some(match is_repaired {
        true => finding,
        false => finding.repair(Repair::Reinstall {
            unit: backed_up.clone(),
            by: unit.install.clone(),
        }),
    })
}

fn judge_service(unit: &Unit, identity: &Identity) -> Vec<Finding> {
    let place = identity.display(&unit.path);
    let install = format!("Write it anew: {}", unit.install.typed(identity));
    let reinstall = || Repair::Reinstall {
        unit: unit.path.clone(),
        by: unit.install.clone(),
    };
    if let Some((program, false)) = &unit.program {
        let finding = Finding::new(
            Code::ServiceProgramMissing,
            format!(
                "The service starts {}, which does not exist.",
                identity.display(program)
            ),
        )
        .at(place)
        .advice(install);
        return vec![match &unit.recommended {
            Some(_) => finding.repair(reinstall()),
            None => finding,
        }];
    }
    match &unit.recommended {
        Some(recommended) if !is_same(recommended, &unit.text) => {
            let what = match first_difference(recommended, &unit.text) {
                Some(line) => format!(
                    "The service file differs from the one that this version writes (for example: {line})."
                ),
                None => {
                    "The service file differs from the one that this version writes.".to_owned()
                }
            };
            let finding = Finding::new(Code::ServiceDrift, what)
                .at(place)
                .advice(install)
                .repair(reinstall());
            vec![finding]
        }
        Some(_) | None => Vec::new(),
    }
}

/// The lines that mean something, in their order.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
}

fn is_same(recommended: &str, found: &str) -> bool {
    lines(recommended).eq(lines(found))
}

/// One line that is missing or too many, the value of a secret left out.
fn first_difference(recommended: &str, found: &str) -> Option<String> {
    let has = |text: &str, wanted: &str| lines(text).any(|line| line == wanted);
    let missing = lines(recommended).find(|line| !has(found, line));
    let strange = || lines(found).find(|line| !has(recommended, line));
    // What somebody has added is not quoted further than its name: it may be anything.
    match missing {
        Some(line) => Some(format!("{line} is missing")),
        None => {
            let name = strange()?.split('=').next().unwrap_or_default();
            Some(format!("{name} is not in it any more"))
        }
    }
}

pub(super) fn others(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot
        .extra
        .iter()
        .map(|service| {
            let (code, what) = match service.legacy {
                true => (
                    Code::ServiceLegacy,
                    format!("A service of an earlier name of the product is installed ({}).", service.marker),
                ),
                false => (
                    Code::ServiceOther,
                    "Another service looks like a gateway; two of them on one state folder or one bot get into each other's way.".to_owned(),
                ),
            };
            let scope = match service.scope {
                "user" => "systemctl --user",
                _ => "sudo systemctl",
            };
            let advice = match service.platform {
                "darwin" => format!("If it is not wanted: launchctl bootout gui/{}/{}", snapshot.uid, service.label),
                _ => format!("If it is not wanted: {scope} disable --now {}", service.label),
            };
            Finding::new(code, what)
                .at(format!("{} ({})", service.label, service.detail))
                .advice(advice)
        })
        .collect()
}

pub(super) fn linger(snapshot: &Snapshot) -> Vec<Finding> {
    let installed = snapshot.service.is_some() && snapshot.unit.is_some();
    match snapshot.lingers {
        Some(false) if installed => {
            let finding = Finding::new(
                Code::ServiceLinger,
                format!(
                    "The service ends when {} logs out, and starts only when {} logs in.",
                    snapshot.user, snapshot.user
                ),
            )
            .advice(format!("Let it go on: {}", enable(&snapshot.user)));
            vec![finding]
        }
        Some(_) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::super::snapshot::ServiceSeen;
    use super::super::testing::{codes, found};
    use super::*;
    use crate::service::{ExtraService, Reinstall};

    const RECOMMENDED: &str =
        "# why\n[Service]\nType=notify\nExecStart=/usr/bin/openclaw gateway\n";

    fn service(condition: Condition) -> Option<ServiceSeen> {
        Some(ServiceSeen {
            name: "openclaw-gateway.service".to_owned(),
            condition,
            last_exit: Some(78),
            start: Some("systemctl --user start openclaw-gateway.service".to_owned()),
        })
    }

    fn unit(text: &str) -> Option<Unit> {
        Some(Unit {
            path: PathBuf::from("/home/me/.config/systemd/user/openclaw-gateway.service"),
            text: text.to_owned(),
            recommended: Some(RECOMMENDED.to_owned()),
            install: Reinstall::default(),
            program: None,
            sockets: None,
            replaceable: None,
        })
    }

    #[test]
    fn a_service_that_does_not_run_is_told_with_how_to_start_it() {
        let stopped = found(condition, |seen| seen.service = service(Condition::Stopped));
        assert_eq!(stopped[0].code, Code::ServiceStopped);
        assert!(
            stopped[0]
                .advice
                .as_deref()
                .unwrap()
                .contains("systemctl --user start")
        );
        let failed = found(condition, |seen| seen.service = service(Condition::Failed));
        assert!(failed[0].what.contains("exit code 78"));
        assert_eq!(
            codes(condition, |seen| seen.service = service(Condition::Running)),
            [] as [&str; 0]
        );
    }

    #[test]
    fn drift_is_what_means_something() {
        let drift = |text: &'static str| codes(file, move |seen| seen.unit = unit(text));
        assert_eq!(
            drift("[Service]\n\nType=notify\n; note\nExecStart=/usr/bin/openclaw gateway"),
            [] as [&str; 0]
        );
        assert_eq!(
            drift("[Service]\nExecStart=/usr/bin/openclaw gateway\n"),
            ["service-drift"]
        );
        let added = found(file, |seen| {
            seen.unit = unit(&format!("{RECOMMENDED}Environment=KEY=hidden\n"));
        });
        assert!(
            !added[0].what.contains("hidden") && added[0].what.contains("Environment"),
            "{added:?}"
        );
    }

    #[test]
    fn sockets_are_judged_as_the_service_is() {
        let sockets = |text: Option<&'static str>, service: &'static str| {
            found(file, move |seen| {
                let mut unit = unit(service).unwrap();
                unit.sockets = Some(SocketFile {
                    path: unit.path.with_extension("socket"),
                    text: text.map(str::to_owned),
                    recommended: "[Socket]\nListenStream=127.0.0.1:18789\n".to_owned(),
                });
                seen.unit = Some(unit);
            })
        };
        let same = Some("# why\n[Socket]\nListenStream=127.0.0.1:18789\n");
        assert_eq!(sockets(same, RECOMMENDED), []);
        let stale = sockets(
            Some("[Socket]\nListenStream=127.0.0.1:19789\n"),
            RECOMMENDED,
        );
        assert_eq!(stale[0].code, Code::ServiceDrift);
        assert!(
            stale[0]
                .what
                .contains("ListenStream=127.0.0.1:18789 is missing")
        );
        let missing = sockets(None, RECOMMENDED);
        assert!(missing[0].what.contains("is missing"), "{missing:?}");
        for found in [stale, missing] {
            assert!(found[0].place.as_deref().unwrap().ends_with(".socket"));
            assert!(found[0].repair.is_some());
        }
        let both = sockets(None, "[Service]\n");
        let repairs = both.iter().filter(|found| found.repair.is_some());
        assert_eq!((both.len(), repairs.count()), (2, 1), "one mends both");
    }

    #[test]
    fn a_program_that_somebody_else_can_replace_is_told_and_left_alone() {
        let found = found(file, |seen| {
            let mut unit = unit(RECOMMENDED).unwrap();
            unit.replaceable = Some(PathBuf::from("/opt/open"));
            seen.unit = Some(unit);
        });
        assert_eq!(found[0].code, Code::ServiceProgramOpen);
        assert_eq!(found[0].place.as_deref(), Some("/opt/open"));
        assert!(found[0].repair.is_none());
    }

    #[test]
    fn a_program_that_is_gone_is_told_before_any_drift() {
        let gone = found(file, |seen| {
            let mut unit = unit("[Service]\nExecStart=/gone\n").unwrap();
            unit.program = Some((PathBuf::from("/gone"), false));
            seen.unit = Some(unit);
        });
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].code, Code::ServiceProgramMissing);
        assert!(gone[0].repair.is_some());
    }

    #[test]
    fn other_services_are_named_and_left_alone() {
        let extra = |legacy: bool, marker: &'static str| ExtraService {
            platform: "linux",
            label: "x.service".to_owned(),
            detail: "unit: /etc/systemd/system/x.service".to_owned(),
            scope: "system",
            marker,
            legacy,
        };
        let found = found(others, |seen| {
            seen.extra = vec![extra(true, "clawdbot"), extra(false, "openclaw")];
        });
        assert_eq!(
            [found[0].code, found[1].code],
            [Code::ServiceLegacy, Code::ServiceOther]
        );
        assert!(found.iter().all(|found| found.repair.is_none()));
        assert!(
            found[0]
                .advice
                .as_deref()
                .unwrap()
                .contains("sudo systemctl disable --now x.service")
        );
    }

    #[test]
    fn lingering_matters_to_those_who_have_a_service() {
        let without = |seen: &mut Snapshot| seen.lingers = Some(false);
        assert_eq!(codes(linger, without), [] as [&str; 0]);
        let with = |seen: &mut Snapshot| {
            seen.lingers = Some(false);
            seen.service = service(Condition::Running);
            seen.unit = unit(RECOMMENDED);
        };
        assert_eq!(codes(linger, with), ["service-linger"]);
    }
}
