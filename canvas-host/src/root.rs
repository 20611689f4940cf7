//! From the path of a URL to the names below the root, or a refusal.                   (pure)
//!
//! The path is taken apart at its slashes first and decoded afterwards, each part once. A slash,
//! a backslash or two dots that appear only by decoding are thereby part of a name, and such a
//! name is refused.
//!
//! Invariant: what comes out are plain names, none of which can lead upwards, to another folder
//! than the one it is opened in, or to something hidden.

use percent_encoding::percent_decode_str;

/// The depth of a path; far beyond what a page needs, and a bound on the work of opening it.
const MAX_DEPTH: usize = 64;
/// The longest name that file systems accept.
const MAX_NAME: usize = 255;

/// What a URL asks for, below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The names on the way, from the root on; none for the root itself.
    pub(crate) names: Vec<String>,
    /// The path ends in a slash, so that relative links resolve below it.
    pub(crate) is_folder: bool,
}

/// Why a path is not looked up at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A percent sign without two hexadecimal digits: 400.
    BadEscape,
    /// Nothing that we would serve can have this name: 404.
    NotServed,
}

/// Reads the part of a path that follows the mount: empty, or beginning with a slash.
pub(crate) fn resolve(below: &str) -> Result<Wanted, Refusal> {
    if !escapes_are_whole(below) {
        return Err(Refusal::BadEscape);
    }
    let mut names = Vec::new();
    for part in below.split('/') {
        let name = percent_decode_str(part)
            .decode_utf8()
            .map_err(|_| Refusal::NotServed)?;
        match name.as_ref() {
            // Doubled slashes and single dots change nothing, here as in a file system.
            "" | "." => {}
            name if is_served(name) && names.len() < MAX_DEPTH => names.push(name.to_owned()),
            _ => return Err(Refusal::NotServed),
        }
    }
    Ok(Wanted {
        names,
        is_folder: below.ends_with('/'),
    })
}

fn is_served(name: &str) -> bool {
    let is_plain = !name.contains(['/', '\\']) && !name.contains(char::is_control);
    is_plain && !name.starts_with('.') && name.len() <= MAX_NAME
}

fn escapes_are_whole(path: &str) -> bool {
    path.split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(below: &str, names: &[&str], is_folder: bool) {
        let wanted = resolve(below).unwrap_or_else(|refusal| panic!("{below:?}: {refusal:?}"));
        assert_eq!(
            (&wanted.names[..], wanted.is_folder),
            (&owned(names)[..], is_folder)
        );
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn ordinary_paths_become_names() {
        check("", &[], false);
        check("/", &[], true);
        check("/index.html", &["index.html"], false);
        check("/a/b/", &["a", "b"], true);
        check("//a/./b", &["a", "b"], false);
        check("/a%20b/%C3%A9.png", &["a b", "é.png"], false);
        check("/100%25.txt", &["100%.txt"], false);
        check("/a..b/c...", &["a..b", "c..."], false);
        check("//etc/passwd", &["etc", "passwd"], false);
    }

    #[test]
    fn rules_82_90_every_way_out_is_refused() {
        for below in [
            "/../package.json",
            "/..%2f..%2fpackage.json",
            "/%2e%2e/",
            "/%2E%2e%2f",
            "/a/%2e%2e/b",
            "/..%5c",
            "/..%5C..%5cpackage.json",
            "/..\\..\\x",
            "/a\\b",
            "/..%252f",
            "/....//",
            "/..;/",
            "/assets/../../..",
            "/%2fetc%2fpasswd",
            "/etc/passwd%00.css",
            "/a%00",
            "/a%0ab",
            "/a%7fb",
            "/.hidden",
            "/.git/config",
            "/a/.env",
            "/%2ehidden",
            "/..",
            "/a/..",
            "/%ff",
            "/%c0%ae%c0%ae/",
        ] {
            assert_eq!(resolve(below), Err(Refusal::NotServed), "{below:?}");
        }
        assert_eq!(
            resolve(&"/a".repeat(MAX_DEPTH + 1)),
            Err(Refusal::NotServed)
        );
        assert_eq!(
            resolve(&format!("/{}", "a".repeat(300))),
            Err(Refusal::NotServed)
        );
    }

    #[test]
    fn a_broken_escape_is_the_callers_mistake() {
        for below in ["/%", "/%z", "/%zz", "/a%2", "/%%32%65", "/%+1", "/..%2"] {
            assert_eq!(resolve(below), Err(Refusal::BadEscape), "{below:?}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leads_out_of_the_root(
            below in "(/|//|\\.|\\.\\.|%2e|%2E%2e|%2f|%5c|\\\\|%00|%25|%252e|;|[a-c]|%[0-9a-f]{2}|é){0,24}",
        ) {
            if let Ok(wanted) = resolve(&below) {
                let path = wanted.names.join("/");
                let kept = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
                prop_assert!(kept, "{below:?} became {path:?}");
                prop_assert_eq!(Path::new(&path).components().count(), wanted.names.len());
                prop_assert!(!wanted.names.iter().any(|name| name.starts_with('.')));
            }
        }

        #[test]
        fn any_text_gets_a_verdict(below in "\\PC{0,64}") {
            let _ = resolve(&below);
        }
    }
}
