//! The path by which a service starts this program: one that stays when a newer version is put in place.

use std::path::{Path, PathBuf};

mod replaceable;

use openclaw_shared::instance::Environment;

pub(crate) use self::replaceable::replaceable;

/// The path of this program as people know it. Packages and hand-made installations often put a link into a folder of the search path
/// and turn it at an upgrade; where the link points today is of no use tomorrow.
pub(crate) fn stable_program(environment: &Environment) -> std::io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let called = std::env::args_os().next().map(PathBuf::from);
    Ok(candidates(called.as_deref(), environment)
        .into_iter()
        .find(|path| is_this_program(path))
        .unwrap_or(own))
}

/// Whether a path leads to this program, by whatever links.
pub(crate) fn is_this_program(path: &Path) -> bool {
    let own = std::env::current_exe().and_then(|own| own.canonicalize());
    let real = path.canonicalize();
    real.is_ok_and(|real| own.is_ok_and(|own| own == real))
}

/// Where it may be found, the best first.                                                                          (pure)
fn candidates(called: Option<&Path>, environment: &Environment) -> Vec<PathBuf> {
    let mut found = Vec::new();
    match called {
        Some(path) if path.components().count() > 1 => {
            found.push(environment.working_dir().join(path))
        }
        Some(name) => {
            let folders = environment.get("PATH").unwrap_or_default().split(':');
            found.extend(
                folders
                    .filter(|folder| folder.starts_with('/'))
                    .map(|folder| Path::new(folder).join(name)),
            );
        }
        None => {}
    }
    found.extend(["/usr/local/bin/openclaw", "/usr/bin/openclaw"].map(PathBuf::from));
    // What leads through another folder, or through none, is another path tomorrow.
    found.retain(|path| !path.components().any(|part| part.as_os_str() == ".."));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(called: &str, expected: &[&str]) {
        let environment = Environment::from_pairs([("PATH", "/a:relative:/b")], Path::new("/cwd"));
        let seen = candidates(Some(Path::new(called)), &environment);
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn it_is_looked_for_as_the_shell_did() {
        let usual = ["/usr/local/bin/openclaw", "/usr/bin/openclaw"];
        let with = |first: &[&'static str]| [first, &usual].concat();
        check("openclaw", &with(&["/a/openclaw", "/b/openclaw"]));
        check("/opt/bin/openclaw", &with(&["/opt/bin/openclaw"]));
        check("bin/openclaw", &with(&["/cwd/bin/openclaw"]));
        check("../openclaw", &usual);
    }
}
