//! The default browser of a freedesktop desktop, from the files that say so.
//!
//! `xdg-settings` and `xdg-mime` read the same files; reading them ourselves starts no process and
//! needs no desktop.

use std::path::{Path, PathBuf};

use super::{Executable, Machine, Surroundings, kind_of};

/// The default browser, if it is of Chromium's family and installed.
pub(super) fn default_browser(
    surroundings: &Surroundings,
    machine: &impl Machine,
) -> Option<Executable> {
    let associations = [
        surroundings.config_home.join("mimeapps.list"),
        PathBuf::from("/etc/xdg/mimeapps.list"),
        surroundings.data_home.join("applications/mimeapps.list"),
        PathBuf::from("/usr/local/share/applications/mimeapps.list"),
        PathBuf::from("/usr/share/applications/mimeapps.list"),
    ];
    let entries = [
        surroundings.data_home.join("applications"),
        PathBuf::from("/usr/local/share/applications"),
        PathBuf::from("/usr/share/applications"),
        PathBuf::from("/var/lib/snapd/desktop/applications"),
    ];
    let names = associations.iter().filter_map(|list| machine.read(list));
    let names: Vec<String> = names.flat_map(|list| handlers(&list)).collect();
    // The first entry that exists decides, also when its browser cannot be driven.
    let entry = names.iter().find_map(|name| {
        entries
            .iter()
            .find_map(|folder| machine.read(&folder.join(name)))
    })?;
    let program = program(&entry)?;
    let kind = kind_of(Path::new(&program))?;
    let path = locate(&program, surroundings, machine)?;
    Some(Executable { kind, path })
}

/// The entries that handle web addresses, best first. A name is a file name, never a path.
fn handlers(list: &str) -> Vec<String> {
    let values = [
        "x-scheme-handler/http",
        "x-scheme-handler/https",
        "text/html",
    ]
    .into_iter()
    .filter_map(|key| value(list, "Default Applications", key));
    let names = values.flat_map(|value| value.split(';')).map(str::trim);
    names
        .filter(|name| name.ends_with(".desktop") && !name.contains('/'))
        .map(str::to_owned)
        .collect()
}

/// The program of an entry's `Exec` line, without its arguments and without `env` before it.
fn program(entry: &str) -> Option<String> {
    let exec = value(entry, "Desktop Entry", "Exec")?;
    let mut words = words(exec).into_iter();
    let first = words.next()?;
    if Path::new(&first)
        .file_name()
        .is_some_and(|name| name == "env")
    {
        return words.find(|word| !word.contains('=') && !word.starts_with('-'));
    }
    Some(first)
}

/// Splits at blanks, with double quotes as the specification of desktop entries has them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' if quoted => words
                .last_mut()
                .into_iter()
                .for_each(|word| word.extend(characters.next())),
            ' ' | '\t' if !quoted => words.push(String::new()),
            other => words
                .last_mut()
                .into_iter()
                .for_each(|word| word.push(other)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn value<'t>(text: &'t str, section: &str, key: &str) -> Option<&'t str> {
    let header = format!("[{section}]");
    let lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != header)
        .skip(1);
    let mut own = lines.take_while(|line| !line.starts_with('['));
    own.find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim())
    })
}

fn locate(program: &str, surroundings: &Surroundings, machine: &impl Machine) -> Option<PathBuf> {
    if Path::new(program).is_absolute() {
        return Some(PathBuf::from(program)).filter(|path| machine.is_program(path));
    }
    let folders = surroundings
        .search_path
        .iter()
        .map(PathBuf::as_path)
        .chain([Path::new("/usr/bin")]);
    let mut paths = folders
        .filter(|_| !program.contains('/'))
        .map(|folder| folder.join(program));
    paths.find(|path| machine.is_program(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_an_entry_is_found_among_its_words() {
        for (exec, expected) in [
            (
                "/usr/bin/google-chrome-stable %U",
                Some("/usr/bin/google-chrome-stable"),
            ),
            ("chromium", Some("chromium")),
            ("\"/opt/a b/chrome\" --flag %u", Some("/opt/a b/chrome")),
            (
                "env A=1 -i /snap/bin/chromium %U",
                Some("/snap/bin/chromium"),
            ),
            (
                "/usr/bin/env BAMF=x /snap/bin/brave",
                Some("/snap/bin/brave"),
            ),
            ("", None),
        ] {
            let entry = format!("[Desktop Entry]\nExec={exec}\n[Desktop Action x]\nExec=other\n");
            assert_eq!(program(&entry).as_deref(), expected, "{exec}");
        }
    }

    #[test]
    fn handlers_are_names_of_entries() {
        let list = "[Added Associations]\nx-scheme-handler/http=no.desktop\n\
            [Default Applications]\ntext/html=c.desktop\n\
            x-scheme-handler/http=a.desktop;b.desktop;../x.desktop;y\n";
        assert_eq!(handlers(list), ["a.desktop", "b.desktop", "c.desktop"]);
    }
}
