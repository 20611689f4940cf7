//! Expected outputs in `tests/golden`, reviewed like code. `UPDATE=1` rewrites those of the tests that run.

use std::fs;
use std::path::Path;

use openclaw_shared::instance::Environment;

use crate::home::{Home, Said};

/// Compares a text with the golden file of this name.
///
/// # Panics
/// When they differ, or there is no such file.
pub fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name);
    if Environment::from_process().is_on("UPDATE") {
        let folder = path.parent().expect("golden files are in a folder");
        fs::create_dir_all(folder).expect("the folder of golden files");
        fs::write(&path, text).expect("a golden file can be written");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{} differs; look at it, then run the test with UPDATE=1.\n--- expected ---\n{expected}\n--- seen ---\n{text}",
        path.display()
    );
}

/// What a command said, as one text, with what differs from run to run replaced by names.
#[must_use]
pub fn told(home: &Home, said: &Said) -> String {
    let text = format!(
        "exit code {}\n--- stdout ---\n{}--- stderr ---\n{}",
        said.code, said.out, said.err
    );
    let mut text = text.replace(&home.path().display().to_string(), "HOME");
    for (port, name) in [
        (home.port(), "BASE"),
        (home.browser_port(), "BASE+2"),
        (home.canvas_port(), "BASE+4"),
    ] {
        text = text.replace(&port.to_string(), name);
    }
    text
}
