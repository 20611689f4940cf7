//! Every known threat has a test that is named by its number, or a reason why it does not apply yet.
//!
//! The numbers are those of the list of threats that the project is built against; each line here says the threat in a few
//! words. A test defends a threat when its name begins with `rule_` or `rules_` and the number.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How many threats there are.
const LAST: u32 = 128;

/// What this version does not have yet, and the threats that come with it.
const LATER: &[(&str, &[u32])] = &[
    ("channels, and the codes by which their users pair", &[33]),
    ("skills, plugins and backups that are unpacked", &[62]),
    ("a web page of the gateway's own that connects", &[87]),
    (
        "browsers that are driven: relay, downloads, navigation",
        &[95, 96, 97, 127],
    ),
];

#[test]
fn every_threat_is_defended_by_a_test_or_does_not_apply_yet() {
    let tested = tested();
    let later: BTreeSet<u32> = LATER
        .iter()
        .flat_map(|(_, numbers)| numbers.iter().copied())
        .collect();
    let open: Vec<u32> = (1..=LAST)
        .filter(|number| !tested.contains(number) && !later.contains(number))
        .collect();
    assert!(open.is_empty(), "no test is named for {open:?}");
    let both: Vec<_> = tested.intersection(&later).collect();
    assert!(both.is_empty(), "tested, and said to come later: {both:?}");
}

/// The numbers in the names of all tests of the workspace.
fn tested() -> BTreeSet<u32> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.expect("the tests are a folder of the workspace");
    let mut numbers = BTreeSet::new();
    let mut folders: Vec<PathBuf> = [
        "shared",
        "exec",
        "agent",
        "client",
        "supervisor",
        "gateway",
        "canvas-host",
        "browser-control",
        "node-host",
        "tui",
        "tests",
    ]
    .iter()
    .map(|folder| root.join(folder))
    .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                numbers.extend(text.lines().flat_map(numbers_of));
            }
        }
    }
    numbers
}

/// The numbers that the name of a test begins with, when the line declares one.
fn numbers_of(line: &str) -> Vec<u32> {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line);
    let Some(name) = line
        .strip_prefix("fn rule_")
        .or_else(|| line.strip_prefix("fn rules_"))
    else {
        return Vec::new();
    };
    name.split('_')
        .map_while(|part| part.parse().ok())
        .collect()
}

#[test]
fn names_are_read_as_they_are_written() {
    assert_eq!(numbers_of("    async fn rules_03_04_a_miss() {"), [3, 4]);
    assert_eq!(numbers_of("fn rule_12_and_3_more() {"), [12]);
    assert!(numbers_of("fn a_rule_5() {").is_empty());
}
