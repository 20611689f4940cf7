//! Releases of stand-ins, made and installed. What needs the real programs of a release is `cargo xtask dist --verify`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use openclaw_shared::ports::{PortWishes, Ports};
use tempfile::TempDir;

use super::product::{Crate, Product};
use super::tree::Source;
use super::{archive, finish, pack};
use crate::{command, report, workspace};

/// The stand-in for a release.
fn product(version: &str, programs: &[&str]) -> Product {
    Product {
        version: version.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        programs: programs.iter().map(ToString::to_string).collect(),
        crates: Vec::<Crate>::new(),
        epoch: 1_767_312_000,
    }
}

const PROGRAMS: [&str; 2] = ["openclaw", "openclaw-gateway"];

/// The parts of a release whose programs lie in `programs`. Completions and pages come from the real command line.
fn source(programs: &Path) -> Source {
    let tests = std::env::current_exe().unwrap();
    let built = tests.ancestors().nth(2).unwrap();
    let writer = built.join("openclaw");
    assert!(
        writer.exists(),
        "{} is missing: cargo build -p openclaw",
        writer.display()
    );
    Source {
        programs: programs.to_owned(),
        writer,
        notices: "the licences of others".to_owned(),
    }
}

/// Programs that are scripts, for what does not look into them.
fn scripts(folder: &Path, version: &str, programs: &[&str]) -> PathBuf {
    let programs_dir = folder.join(format!("programs-{version}"));
    fs::create_dir(&programs_dir).unwrap();
    for name in programs {
        let path = programs_dir.join(name);
        fs::write(&path, format!("#!/bin/sh\necho {version}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    programs_dir
}

/// Programs that are linked with libraries, as Debian's tools want them.
fn linked(folder: &Path) -> PathBuf {
    let programs = folder.join("linked");
    fs::create_dir(&programs).unwrap();
    for name in PROGRAMS {
        fs::copy("/bin/true", programs.join(name)).unwrap();
    }
    programs
}

/// Whether this machine has the tools of a Debian machine that builds packages.
fn can_pack() -> bool {
    let can = command::succeeds(Command::new("dpkg-shlibdeps").arg("--version"))
        && command::succeeds(Command::new("dpkg-deb").arg("--version"));
    if !can {
        report::step("skipped: this test needs the package dpkg-dev");
    }
    can
}

/// Makes a release of scripts in a folder of its own.
fn released(folder: &Path, version: &str, programs: &[&str]) -> PathBuf {
    let (out, work) = (
        folder.join(format!("dist-{version}")),
        folder.join(format!("work-{version}")),
    );
    fs::create_dir(&out).unwrap();
    fs::create_dir(&work).unwrap();
    let source = source(&scripts(folder, version, programs));
    archive::make(&out, &work, &source, &product(version, programs)).unwrap();
    finish(&out).unwrap();
    out
}

fn contents(archive: &Path) -> String {
    let mut tar = Command::new("tar");
    tar.env("TZ", "UTC").arg("-tvzf").arg(archive);
    command::output(&mut tar).unwrap()
}

#[test]
fn the_archive_holds_programs_completions_pages_and_licences() {
    let folder = TempDir::new().unwrap();
    let out = released(folder.path(), "2026.1.2", &PROGRAMS);
    let name = format!("openclaw-2026.1.2-{}-linux", std::env::consts::ARCH);
    let contents = contents(&out.join(format!("{name}.tar.gz")));
    for line in [
        "bin/openclaw -> ../lib/openclaw/openclaw",
        "lib/openclaw/openclaw",
        "lib/openclaw/openclaw-gateway",
        "share/bash-completion/completions/openclaw",
        "share/zsh/site-functions/_openclaw",
        "share/fish/vendor_completions.d/openclaw.fish",
        "share/man/man1/openclaw.1.gz",
        "share/man/man1/openclaw-gateway-status.1.gz",
        "share/doc/openclaw/THIRD-PARTY-LICENSES",
        "LICENSE",
        "README.md",
        "install.sh",
    ] {
        let end = format!(" {name}/{line}");
        assert!(
            contents.lines().any(|found| found.ends_with(&end)),
            "{line} is missing:\n{contents}"
        );
    }
    for line in contents.lines() {
        assert!(line.contains(" 0/0 "), "whoever packs shows: {line}");
        assert!(
            line.contains(" 2026-01-02 "),
            "the day of packing shows: {line}"
        );
        let executable = line.contains("/lib/openclaw/openclaw") || line.ends_with("install.sh");
        let modes = match line.chars().next() {
            Some('d') => "drwxr-xr-x",
            Some('l') => "lrwxrwxrwx",
            _ if executable => "-rwxr-xr-x",
            _ => "-rw-r--r--",
        };
        assert!(line.starts_with(modes), "{line}");
    }
}

#[test]
fn the_same_programs_make_the_same_packages() {
    if !can_pack() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let source = source(&linked(folder.path()));
    let product = product("2026.1.2", &PROGRAMS);
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    pack(&first, &source, &product).unwrap();
    // What is there from before is not packed, and does not stay.
    fs::create_dir(&second).unwrap();
    fs::write(second.join("old.tar.gz"), "old").unwrap();
    pack(&second, &source, &product).unwrap();
    let names = |folder: &Path| {
        let files = super::tree::files_in(folder).unwrap();
        let names = files.iter().filter_map(|file| file.file_name());
        names.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&first), names(&second));
    assert_eq!(names(&first).len(), 4, "{:?}", names(&first));
    for name in names(&first) {
        assert!(
            fs::read(first.join(&name)).unwrap() == fs::read(second.join(&name)).unwrap(),
            "{} differs",
            name.display()
        );
    }
    let mut sums = Command::new("sha256sum");
    sums.current_dir(&first)
        .args(["--check", "--strict", "SHA256SUMS"]);
    command::output(&mut sums).unwrap();
}

#[test]
fn the_debian_package_is_as_debian_wants_it_and_runs_nothing() {
    if !can_pack() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let source = source(&linked(folder.path()));
    let out = folder.path().join("dist");
    let release = pack(&out, &source, &product("2026.1.2", &PROGRAMS)).unwrap();
    let field = |name: &str| {
        let mut dpkg = Command::new("dpkg-deb");
        let said = command::output(dpkg.arg("--field").arg(&release.package).arg(name)).unwrap();
        said.trim().to_owned()
    };
    assert_eq!(field("Package"), "openclaw");
    assert_eq!(field("Version"), "2026.1.2-1");
    assert!(
        field("Depends").starts_with("libc6 (>= "),
        "{}",
        field("Depends")
    );
    assert!(field("Installed-Size").parse::<u64>().unwrap() > 0);

    let opened = folder.path().join("opened");
    let mut dpkg = Command::new("dpkg-deb");
    command::output(dpkg.arg("--raw-extract").arg(&release.package).arg(&opened)).unwrap();
    let control: Vec<_> = super::tree::files_in(&opened.join("DEBIAN")).unwrap();
    let control: Vec<_> = control.iter().filter_map(|file| file.file_name()).collect();
    assert_eq!(control, ["control", "md5sums"], "no scripts, no conffiles");
    let mut sums = Command::new("md5sum");
    sums.current_dir(&opened)
        .args(["--check", "--strict", "DEBIAN/md5sums"]);
    command::output(&mut sums).unwrap();
    assert_eq!(
        fs::read_link(opened.join("usr/bin/openclaw")).unwrap(),
        Path::new("../lib/openclaw/openclaw")
    );
    for file in [
        "usr/lib/openclaw/openclaw-gateway",
        "usr/share/zsh/vendor-completions/_openclaw",
        "usr/share/man/man1/openclaw-gateway.1.gz",
        "usr/share/doc/openclaw/copyright",
        "usr/share/doc/openclaw/changelog.gz",
        "usr/share/doc/openclaw/changelog.Debian.gz",
    ] {
        assert!(opened.join(file).is_file(), "{file} is missing");
    }
    let copyright = fs::read_to_string(opened.join("usr/share/doc/openclaw/copyright")).unwrap();
    assert!(
        copyright.contains("\nLicense: MIT\n Permission is hereby granted"),
        "{copyright}"
    );
    // Whatever it holds lies below /usr: nothing of a person's, nothing of /etc.
    let places: Vec<_> = super::tree::files_in(&opened).unwrap();
    let places: Vec<_> = places.iter().filter_map(|file| file.file_name()).collect();
    assert_eq!(places, ["DEBIAN", "usr"]);
}

/// A person with a home, who calls the install script.
struct Person {
    folder: TempDir,
}

impl Person {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        Self { folder }
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn installed(&self, place: &str) -> PathBuf {
        self.home().join(".local").join(place)
    }

    fn install(&self, script: &Path, args: &[&str]) -> Output {
        let mut sh = Command::new("sh");
        sh.env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home());
        sh.current_dir(self.folder.path()).arg(script).args(args);
        sh.output().unwrap()
    }

    fn installs(&self, script: &Path, args: &[&str]) -> String {
        let output = self.install(script, args);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn is_refused(&self, script: &Path, args: &[&str]) -> String {
        let output = self.install(script, args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Everything below the home, but for folders.
    fn files(&self) -> Vec<String> {
        let mut find = Command::new("find");
        find.current_dir(self.home()).args([".", "!", "-type", "d"]);
        let said = command::output(&mut find).unwrap();
        let mut files: Vec<String> = said.lines().map(str::to_owned).collect();
        files.sort();
        files
    }
}

#[test]
fn an_archive_is_installed_upgraded_under_a_running_program_and_taken_away() {
    let person = Person::new();
    let folder = person.folder.path();
    let old = released(
        folder,
        "2026.1.2",
        &["openclaw", "openclaw-gateway", "openclaw-old"],
    );
    let new = released(folder, "2026.1.3", &PROGRAMS);
    let theirs = person.home().join(".local/bin/theirs");
    fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    fs::write(&theirs, "a program of somebody else").unwrap();
    let before = person.files();

    let said = person.installs(&old.join("install.sh"), &[]);
    assert!(said.contains("OpenClaw 2026.1.2 is installed"), "{said}");
    assert!(said.contains("export PATH="), "{said}");
    assert!(said.contains("Next: openclaw onboard"), "{said}");
    let run = || command::output(&mut Command::new(person.installed("bin/openclaw"))).unwrap();
    assert_eq!(run(), "2026.1.2\n");
    assert!(person.installed("lib/openclaw/openclaw-old").exists());
    assert!(person.installed("share/man/man1/openclaw.1.gz").exists());

    // What runs keeps its own file: the new one is another, put in its place.
    let running = fs::File::open(person.installed("lib/openclaw/openclaw")).unwrap();
    let said = person.installs(&new.join("install.sh"), &[]);
    assert!(said.contains("openclaw gateway upgrade"), "{said}");
    assert_eq!(run(), "2026.1.3\n");
    let place = fs::metadata(person.installed("lib/openclaw/openclaw")).unwrap();
    assert_ne!(place.ino(), running.metadata().unwrap().ino());
    assert!(
        !person.installed("lib/openclaw/openclaw-old").exists(),
        "what the new version does not have is gone"
    );
    assert!(
        !person
            .files()
            .iter()
            .any(|file| file.contains("openclaw-install")),
        "nothing is left of the work: {:?}",
        person.files()
    );

    // Once more changes nothing.
    person.installs(&new.join("install.sh"), &[]);
    assert_eq!(run(), "2026.1.3\n");

    let said = person.installs(&new.join("install.sh"), &["--uninstall"]);
    assert!(said.contains("is gone"), "{said}");
    assert_eq!(person.files(), before);
    let said = person.is_refused(&new.join("install.sh"), &["--uninstall"]);
    assert!(
        said.contains("nothing that this script has installed"),
        "{said}"
    );
}

#[test]
fn an_unpacked_archive_installs_itself_below_any_prefix() {
    let person = Person::new();
    let out = released(person.folder.path(), "2026.1.2", &PROGRAMS);
    let name = format!("openclaw-2026.1.2-{}-linux", std::env::consts::ARCH);
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(out.join(format!("{name}.tar.gz")));
    command::output(tar.arg("-C").arg(person.folder.path())).unwrap();
    let unpacked = person.folder.path().join(name);
    // It runs where it lies.
    let mut there = Command::new(unpacked.join("bin/openclaw"));
    assert_eq!(command::output(&mut there).unwrap(), "2026.1.2\n");

    let prefix = person.folder.path().join("a prefix");
    person.installs(
        &unpacked.join("install.sh"),
        &["--prefix", prefix.to_str().unwrap()],
    );
    let mut here = Command::new(prefix.join("bin/openclaw"));
    assert_eq!(command::output(&mut here).unwrap(), "2026.1.2\n");
    assert!(
        unpacked.join("lib/openclaw/openclaw").exists(),
        "it was copied"
    );
    let mode = fs::metadata(prefix.join("lib/openclaw")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn what_is_not_whole_or_not_ours_is_refused_and_nothing_changes() {
    let person = Person::new();
    let out = released(person.folder.path(), "2026.1.2", &PROGRAMS);
    let script = out.join("install.sh");
    let name = format!("openclaw-2026.1.2-{}-linux.tar.gz", std::env::consts::ARCH);
    let archive = out.join(&name);
    let whole = fs::read(&archive).unwrap();

    let mut broken = whole.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    fs::write(&archive, &broken).unwrap();
    let said = person.is_refused(&script, &[]);
    assert!(said.contains("is not what SHA256SUMS says"), "{said}");
    fs::write(&archive, &whole).unwrap();

    let sums = fs::read(out.join("SHA256SUMS")).unwrap();
    fs::remove_file(out.join("SHA256SUMS")).unwrap();
    let said = person.is_refused(&script, &[archive.to_str().unwrap()]);
    assert!(said.contains("nobody knows whether it is whole"), "{said}");
    fs::write(out.join("SHA256SUMS"), sums).unwrap();
    assert_eq!(person.files(), [""; 0]);

    let foreign = person.installed("bin/openclaw");
    fs::create_dir_all(foreign.parent().unwrap()).unwrap();
    symlink("../lib/node_modules/openclaw/openclaw.mjs", &foreign).unwrap();
    fs::create_dir_all(person.installed("lib/node_modules/openclaw")).unwrap();
    fs::write(
        person.installed("lib/node_modules/openclaw/openclaw.mjs"),
        "",
    )
    .unwrap();
    let before = person.files();
    let said = person.is_refused(&script, &[]);
    assert!(said.contains("is not from here"), "{said}");
    assert_eq!(person.files(), before);
    person.installs(&script, &["--force"]);
    assert_eq!(
        fs::read_link(&foreign).unwrap(),
        Path::new("../lib/openclaw/openclaw")
    );
}

#[test]
fn what_a_service_still_starts_is_not_taken_away() {
    let person = Person::new();
    let out = released(person.folder.path(), "2026.1.2", &PROGRAMS);
    let script = out.join("install.sh");
    person.installs(&script, &[]);
    let units = person.home().join(".config/systemd/user");
    fs::create_dir_all(&units).unwrap();
    let program = person.installed("lib/openclaw/openclaw");
    fs::write(
        units.join("openclaw-gateway-main.service"),
        format!(
            "[Service]\nExecStart={} --profile main gateway\n",
            program.display()
        ),
    )
    .unwrap();
    let said = person.is_refused(&script, &["--uninstall"]);
    assert!(said.contains("openclaw-gateway-main.service"), "{said}");
    assert!(said.contains("gateway uninstall"), "{said}");
    assert!(program.exists());
    person.installs(&script, &["--uninstall", "--force"]);
    assert!(!program.exists());
}

#[test]
fn scripts_are_what_shellcheck_wants() {
    if !command::succeeds(Command::new("shellcheck").arg("--version")) {
        report::step("skipped: this test needs the package shellcheck");
        return;
    }
    let mut shellcheck = Command::new("shellcheck");
    shellcheck.current_dir(workspace::root().join("packaging"));
    shellcheck.args(["--external-sources", "--source-path=.."]);
    shellcheck.args([
        "install.sh",
        "verify-deb",
        "verify-image",
        "prepare.sh",
        "run",
        "test",
        "../.ci/run",
    ]);
    command::output(&mut shellcheck).unwrap();
}

/// An instruction of a container file: its name and the rest, with the lines that it goes on in.
fn instructions(text: &str) -> Vec<(String, String)> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let whole = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = whole.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let (name, rest) = line.split_once(' ').unwrap();
            let words: Vec<_> = rest.split_whitespace().collect();
            (name.to_owned(), words.join(" "))
        })
        .collect()
}

#[test]
fn the_container_file_says_what_this_command_line_understands() {
    let text = fs::read_to_string(workspace::root().join("packaging/Containerfile")).unwrap();
    let instructions = instructions(&text);
    let said = |name: &str| -> Vec<&str> {
        let found = instructions.iter().filter(|(found, _)| found == name);
        found.map(|(_, rest)| rest.as_str()).collect()
    };
    // Two stages; the second has the package of the first and nothing that was needed to make it.
    assert_eq!(said("FROM"), ["${RUST} AS build", "${DEBIAN}"]);
    let manifest = fs::read_to_string(workspace::root().join("Cargo.toml")).unwrap();
    let compiler = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'))
        .unwrap();
    assert_eq!(
        said("ARG")[0],
        format!("RUST=docker.io/library/rust:{compiler}-bookworm")
    );
    assert_eq!(said("COPY"), [". ."]);
    assert_eq!(said("USER"), ["openclaw"]);
    assert_eq!(said("VOLUME"), ["/home/openclaw/.openclaw"]);
    assert_eq!(said("STOPSIGNAL"), ["SIGTERM"]);
    let ports = Ports::derive(PortWishes::default()).unwrap();
    assert_eq!(
        said("EXPOSE"),
        [format!("{} {}", ports.gateway, ports.canvas_host)]
    );

    let words = |json: &str| serde_json::from_str::<Vec<String>>(json).unwrap();
    let entry = words(said("ENTRYPOINT")[0]);
    assert_eq!(entry, ["/usr/bin/tini", "--", "openclaw"]);
    let health = said("HEALTHCHECK")[0].split_once("CMD ").unwrap().1;
    let health = words(health);
    assert_eq!(health[0], "openclaw");
    // Asking for the help of a line says whether it can be read, and does nothing.
    for line in [&words(said("CMD")[0])[..], &health[1..]] {
        let folder = TempDir::new().unwrap();
        let mut openclaw = Command::new(source(folder.path()).writer);
        openclaw.env_clear().env("HOME", folder.path());
        command::output(openclaw.args(line).arg("--help")).unwrap();
    }
}
