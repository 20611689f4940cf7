//! A configuration file, and one that it may include as `b.json5`, from text to types or to reasons.
#![no_main]

use std::collections::BTreeMap;
use std::path::PathBuf;

use openclaw_shared::config::{Config, Source, SourceFile, load_from_source, redacted};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (main, included) = text.split_once('\u{1e}').unwrap_or((text, "{}"));
    let file = |path: &str, text: &str| SourceFile {
        path: PathBuf::from(path),
        text: text.to_owned(),
    };
    let source = Source {
        main: PathBuf::from("/c/a.json5"),
        files: vec![file("/c/a.json5", main), file("/c/b.json5", included)],
        hash: String::new(),
    };
    let env = BTreeMap::from([("A".to_owned(), "${A}".to_owned())]);
    match load_from_source(&source, &env) {
        Ok(loaded) => {
            // What the children are handed leads to the same types.
            let config = Config::from_effective(&loaded.effective);
            assert!(
                config.is_ok_and(|config| config == loaded.config),
                "{:?}",
                loaded.effective
            );
            let again = load_from_source(&loaded.source, &env);
            assert!(again.is_ok_and(|again| again.effective == loaded.effective));
            let _ = redacted(&loaded.effective);
        }
        Err(error) => {
            assert!(!error.issues.is_empty());
            for issue in &error.issues {
                assert!(!issue.to_string().is_empty());
            }
        }
    }
});
