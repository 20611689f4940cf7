//! Which browser a managed profile would be started with.
//!
//! The order: what the configuration names; the desktop's default browser, if it is of Chromium's
//! family; the usual places; the search path; what Playwright has installed. The core works on a
//! view of the file system that tests replace by a table.

use std::path::{Path, PathBuf};

use openclaw_shared::instance::Environment;
use serde::Serialize;

mod desktop;

/// A family of browsers that speak the DevTools protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Google Chrome.
    Chrome,
    /// Brave.
    Brave,
    /// Microsoft Edge.
    Edge,
    /// Chromium.
    Chromium,
    /// Google Chrome Canary.
    Canary,
    /// Whatever the configuration names.
    Custom,
}

/// A browser that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Executable {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
}

/// The configured browser does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("browser.executablePath not found: {0}")]
pub(crate) struct ConfiguredMissing(String);

/// What detection asks of the machine.
pub(crate) trait Machine {
    /// Whether a program is there and may be executed.
    fn is_program(&self, path: &Path) -> bool;
    /// The content of a small text file.
    fn read(&self, path: &Path) -> Option<String>;
    /// The names in a folder.
    fn names(&self, folder: &Path) -> Vec<String>;
}

/// Where to look, besides the fixed places.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) home: PathBuf,
    pub(crate) search_path: Vec<PathBuf>,
    pub(crate) config_home: PathBuf,
    pub(crate) data_home: PathBuf,
    pub(crate) cache_home: PathBuf,
}

impl Surroundings {
    pub(crate) fn of(environment: &Environment, home: &Path) -> Self {
        let folder = |name: &str, below: &str| {
            environment
                .get(name)
                .map_or_else(|| home.join(below), PathBuf::from)
        };
        let search_path = environment.get("PATH").unwrap_or_default();
        Self {
            home: home.to_path_buf(),
            // A relative entry would depend on where the process happens to have been started.
            search_path: std::env::split_paths(search_path)
                .filter(|one| one.is_absolute())
                .collect(),
            config_home: folder("XDG_CONFIG_HOME", ".config"),
            data_home: folder("XDG_DATA_HOME", ".local/share"),
            cache_home: folder("XDG_CACHE_HOME", ".cache"),
        }
    }
}

/// Programs by the name that they have in `/usr/bin` and on the search path.
const PROGRAMS: [(&str, Kind); 11] = [
    ("google-chrome", Kind::Chrome),
    ("google-chrome-stable", Kind::Chrome),
    ("chrome", Kind::Chrome),
    ("brave-browser", Kind::Brave),
    ("brave-browser-stable", Kind::Brave),
    ("brave", Kind::Brave),
    ("microsoft-edge", Kind::Edge),
    ("microsoft-edge-stable", Kind::Edge),
    ("chromium", Kind::Chromium),
    ("chromium-browser", Kind::Chromium),
    ("google-chrome-canary", Kind::Canary),
];

/// Applications of macOS, looked for in `/Applications` and the user's own.
const APPLICATIONS: [(&str, Kind); 5] = [
    (
        "Google Chrome.app/Contents/MacOS/Google Chrome",
        Kind::Chrome,
    ),
    (
        "Brave Browser.app/Contents/MacOS/Brave Browser",
        Kind::Brave,
    ),
    (
        "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
        Kind::Edge,
    ),
    ("Chromium.app/Contents/MacOS/Chromium", Kind::Chromium),
    (
        "Google Chrome Canary.app/Contents/MacOS/Google Chrome Canary",
        Kind::Canary,
    ),
];

/// Finds the browser to use, if there is any.
pub(crate) fn detect(
    configured: Option<&str>,
    surroundings: &Surroundings,
    machine: &impl Machine,
) -> Result<Option<Executable>, ConfiguredMissing> {
    if let Some(configured) = configured {
        let path = match configured.strip_prefix("~/") {
            Some(rest) => surroundings.home.join(rest),
            None => PathBuf::from(configured),
        };
        return if machine.is_program(&path) {
            Ok(Some(Executable {
                kind: Kind::Custom,
                path,
            }))
        } else {
            Err(ConfiguredMissing(configured.to_owned()))
        };
    }
    let by_default = desktop::default_browser(surroundings, machine);
    let mut candidates = usual_places(surroundings)
        .into_iter()
        .chain(on_search_path(surroundings))
        .chain(from_playwright(surroundings, machine));
    Ok(by_default.or_else(|| candidates.find(|one| machine.is_program(&one.path))))
}

/// The kind of browser behind a program's path, if it is one of Chromium's family.
fn kind_of(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    PROGRAMS
        .iter()
        .find(|(program, _)| *program == name)
        .map(|(_, kind)| *kind)
}

fn usual_places(surroundings: &Surroundings) -> Vec<Executable> {
    let mut places = Vec::new();
    if cfg!(target_os = "macos") {
        let own = surroundings.home.join("Applications");
        for (application, kind) in APPLICATIONS {
            for folder in [Path::new("/Applications"), &own] {
                places.push(Executable {
                    kind,
                    path: folder.join(application),
                });
            }
        }
    } else {
        let of_kind = |kind| PROGRAMS.iter().filter(move |(_, one)| *one == kind);
        for (kind, snap) in [
            (Kind::Chrome, None),
            (Kind::Brave, Some("/snap/bin/brave")),
            (Kind::Edge, None),
            (Kind::Chromium, Some("/snap/bin/chromium")),
            (Kind::Canary, None),
        ] {
            let installed = of_kind(kind).map(|(name, _)| Path::new("/usr/bin").join(name));
            let paths = installed.chain(snap.map(PathBuf::from));
            places.extend(paths.map(|path| Executable { kind, path }));
        }
    }
    places
}

fn on_search_path(surroundings: &Surroundings) -> impl Iterator<Item = Executable> {
    PROGRAMS.iter().flat_map(move |(name, kind)| {
        let paths = surroundings
            .search_path
            .iter()
            .map(move |folder| folder.join(name));
        paths.map(|path| Executable { kind: *kind, path })
    })
}

/// The newest Chromium in Playwright's cache.
fn from_playwright(surroundings: &Surroundings, machine: &impl Machine) -> Option<Executable> {
    let (cache, program) = if cfg!(target_os = "macos") {
        (
            surroundings.home.join("Library/Caches"),
            "chrome-mac/Chromium.app/Contents/MacOS/Chromium",
        )
    } else {
        (surroundings.cache_home.clone(), "chrome-linux/chrome")
    };
    let cache = cache.join("ms-playwright");
    let revision = |name: &String| name.strip_prefix("chromium-")?.parse::<u64>().ok();
    let newest = machine
        .names(&cache)
        .into_iter()
        .max_by_key(|name| revision(name).unwrap_or(0))?;
    revision(&newest)?;
    Some(Executable {
        kind: Kind::Chromium,
        path: cache.join(newest).join(program),
    })
}

/// The machine that the process runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThisMachine;

impl Machine for ThisMachine {
    fn is_program(&self, path: &Path) -> bool {
        let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        is_file && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
    }

    fn read(&self, path: &Path) -> Option<String> {
        // Settings of a desktop are a few kilobytes; what is larger is something else.
        const LARGEST: u64 = 256 * 1024;
        let metadata = std::fs::metadata(path).ok()?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return None;
        }
        std::fs::read_to_string(path).ok()
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A machine as a table: programs have no content, other files do.
    #[derive(Default)]
    struct Table(BTreeMap<PathBuf, Option<&'static str>>);

    impl Machine for Table {
        fn is_program(&self, path: &Path) -> bool {
            self.0.get(path) == Some(&None)
        }

        fn read(&self, path: &Path) -> Option<String> {
            self.0.get(path).copied().flatten().map(str::to_owned)
        }

        fn names(&self, folder: &Path) -> Vec<String> {
            let below = self
                .0
                .keys()
                .filter_map(|path| path.strip_prefix(folder).ok());
            let first = below.filter_map(|path| path.components().next());
            first
                .map(|one| one.as_os_str().to_str().unwrap().to_owned())
                .collect()
        }
    }

    #[track_caller]
    fn check(
        configured: Option<&str>,
        files: &[(&str, Option<&'static str>)],
        expected: Option<(Kind, &str)>,
    ) {
        let table = Table(
            files
                .iter()
                .map(|(path, text)| (PathBuf::from(path), *text))
                .collect(),
        );
        let pairs = [("PATH", "/opt/tools:relative:/usr/local/bin")];
        let environment = Environment::from_pairs(pairs, Path::new("/"));
        let surroundings = Surroundings::of(&environment, Path::new("/home/me"));
        let found = detect(configured, &surroundings, &table).unwrap();
        let found = found
            .as_ref()
            .map(|one| (one.kind, one.path.to_str().unwrap()));
        assert_eq!(found, expected);
    }

    const ENTRY: Option<&str> =
        Some("[Desktop Entry]\nName=Brave\nExec=/usr/bin/brave-browser %U\n");
    const DEFAULTS: Option<&str> =
        Some("[Default Applications]\nx-scheme-handler/http=brave-browser.desktop;\n");

    #[test]
    #[cfg(target_os = "linux")]
    fn browsers_are_looked_for_in_order() {
        let chromium = ("/usr/bin/chromium", None);
        let chrome = ("/usr/bin/google-chrome-stable", None);
        let elsewhere = ("/usr/local/bin/chromium", None);
        let playwright = (
            "/home/me/.cache/ms-playwright/chromium-1200/chrome-linux/chrome",
            None,
        );
        let older = (
            "/home/me/.cache/ms-playwright/chromium-999/chrome-linux/chrome",
            None,
        );
        check(None, &[], None);
        check(
            None,
            &[playwright, older],
            Some((Kind::Chromium, playwright.0)),
        );
        check(
            None,
            &[playwright, elsewhere],
            Some((Kind::Chromium, elsewhere.0)),
        );
        check(
            None,
            &[playwright, elsewhere, chromium],
            Some((Kind::Chromium, chromium.0)),
        );
        check(
            None,
            &[elsewhere, chromium, chrome],
            Some((Kind::Chrome, chrome.0)),
        );
        check(
            None,
            &[("/relative/chromium", None), ("relative/chromium", None)],
            None,
        );
        check(
            Some("/x/mine"),
            &[chrome, ("/x/mine", None)],
            Some((Kind::Custom, "/x/mine")),
        );
        let own = ("/home/me/b/chrome", None);
        check(Some("~/b/chrome"), &[own], Some((Kind::Custom, own.0)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_desktops_default_comes_first_when_it_can_be_driven() {
        let defaults = ("/home/me/.config/mimeapps.list", DEFAULTS);
        let entry = ("/usr/share/applications/brave-browser.desktop", ENTRY);
        let brave = ("/usr/bin/brave-browser", None);
        let chrome = ("/usr/bin/google-chrome", None);
        check(
            None,
            &[defaults, entry, brave, chrome],
            Some((Kind::Brave, brave.0)),
        );
        check(
            None,
            &[defaults, entry, chrome],
            Some((Kind::Chrome, chrome.0)),
        );
        let firefox = Some("[Desktop Entry]\nExec=firefox %u\n");
        let other = ("/usr/share/applications/brave-browser.desktop", firefox);
        check(
            None,
            &[defaults, other, ("/usr/bin/firefox", None), chrome],
            Some((Kind::Chrome, chrome.0)),
        );
    }

    #[test]
    fn a_configured_browser_that_is_missing_is_an_error() {
        let surroundings = Surroundings::of(&Environment::default(), Path::new("/home/me"));
        let missing = detect(Some("/no/such"), &surroundings, &Table::default()).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "browser.executablePath not found: /no/such"
        );
    }
}
