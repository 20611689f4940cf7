use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use openclaw_shared::config::Config;
use openclaw_shared::instance::Environment;
use serde_json::{Value, json};

use super::{Machine, bins, status};
use crate::settings::Settings;
use crate::testing::instance;

fn write(folder: &Path, name: &str, metadata: &Value) {
    fs::create_dir_all(folder.join(name)).unwrap();
    let text = format!(
        "---\nname: {name}\ndescription: d\nmetadata: {}\n---\n",
        json!({"openclaw": metadata})
    );
    fs::write(folder.join(name).join("SKILL.md"), text).unwrap();
}

#[test]
fn requirements_are_held_against_this_machine() {
    let home = tempfile::tempdir().unwrap();
    let instance = instance(home.path());
    let programs = home.path().join("bin");
    fs::create_dir_all(&programs).unwrap();
    fs::write(programs.join("here"), "").unwrap();
    fs::set_permissions(programs.join("here"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(programs.join("plain"), "").unwrap();
    let workspace = instance.workspace.join("skills");
    let managed = instance.identity.state_dir.join("skills");
    write(
        &workspace,
        "all",
        &json!({
            "requires": {"bins": ["here"], "anyBins": ["gone", "here"], "env": ["SET"], "config": ["browser.enabled"]},
            "os": ["linux"],
        }),
    );
    write(
        &workspace,
        "none",
        &json!({
            "requires": {"bins": ["plain", "../bin/here"], "anyBins": ["gone"], "env": ["UNSET", "KEY"], "config": ["a.b"]},
            "os": ["darwin"], "primaryEnv": "KEY", "install": [{"kind": "brew", "bins": ["gone2"]}],
        }),
    );
    write(
        &workspace,
        "always",
        &json!({"always": true, "requires": {"bins": ["gone"]}}),
    );
    write(&workspace, "off", &json!({}));
    write(&managed, "all", &json!({}));
    write(&managed, "managed", &json!({}));
    let elsewhere = home.path().join("elsewhere");
    write(&elsewhere, "linked", &json!({}));
    symlink(elsewhere.join("linked"), workspace.join("linked")).unwrap();
    fs::create_dir_all(workspace.join("broken")).unwrap();
    fs::write(workspace.join("broken/SKILL.md"), "no head").unwrap();
    let config =
        json!({"skills": {"entries": {"off": {"enabled": false}, "none": {"apiKey": "k"}}}});
    let settings = Settings::of(&Config::from_effective(&config).unwrap(), &instance);
    let environment = Environment::from_pairs(
        [("SET", "1"), ("PATH", programs.to_str().unwrap())],
        Path::new("/"),
    );
    let machine = Machine {
        os: "linux",
        ..Machine::of(&environment)
    };
    let reply = serde_json::to_value(status(&settings, &instance.identity, &machine)).unwrap();
    assert_eq!(reply["managedSkillsDir"], "~/.openclaw/skills");
    let skills = reply["skills"].as_array().unwrap();
    let short: Vec<String> = skills
        .iter()
        .map(|skill| {
            format!(
                "{} {} {}",
                skill["name"].as_str().unwrap(),
                skill["source"].as_str().unwrap(),
                skill["eligible"]
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            "all openclaw-workspace true",
            "always openclaw-workspace true",
            "managed openclaw-managed true",
            "none openclaw-workspace false",
            "off openclaw-workspace false",
        ]
    );
    assert_eq!(
        skills[3]["missing"],
        json!({"bins": ["plain", "../bin/here"], "anyBins": ["gone"], "env": ["UNSET"], "config": ["a.b"], "os": ["darwin"]})
    );
    assert_eq!(
        skills[0]["configChecks"],
        json!([{"path": "browser.enabled", "value": true, "satisfied": true}])
    );
    assert_eq!(skills[4]["disabled"], true);
    let text = reply.to_string();
    assert!(!text.contains(home.path().to_str().unwrap()), "{text}");
    assert_eq!(
        bins(&settings),
        ["../bin/here", "gone", "gone2", "here", "plain"]
    );
}
