//! What is written for service managers, on whatever machine: reviewed as golden files, and judged by the system's own readers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use openclaw_tests::golden;
use openclaw_tests::home::{Home, Said};

/// Runs a program that lies anywhere, with a home that lies anywhere.
fn run(home: &Home, program: &Path, own_home: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(program);
    home.isolate(&mut command);
    command.env("HOME", own_home).args(arguments);
    Said::of(&command.output().unwrap())
}

/// A file as it would be written, without what differs from one machine to the next.
async fn printed(home: &Home, arguments: &[&str]) -> String {
    let all: Vec<&str> = ["gateway", "install", "--print"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let said = home.run(&all).await;
    assert_eq!(said.code, 0, "{said:?}");
    let mut text = said.out;
    for (place, name) in [
        (
            home.programs().join("openclaw").display().to_string(),
            "PROGRAM",
        ),
        (home.path().display().to_string(), "HOME"),
        (openclaw_shared::instance::VERSION.to_owned(), "VERSION"),
        (home.canvas_port().to_string(), "BASE+4"),
        (home.browser_port().to_string(), "BASE+2"),
        (home.port().to_string(), "BASE"),
    ] {
        text = text.replace(&place, name);
    }
    // Not every machine has it.
    text.lines()
        .filter(|line| !line.starts_with("ListenStream=[::1]"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[tokio::test]
async fn units_and_property_lists_are_as_reviewed() {
    let home = Home::new();
    let rescue = home.profile("rescue");
    golden::check(
        "service/openclaw-gateway.service",
        &printed(&home, &["--manager", "systemd"]).await,
    );
    golden::check(
        "service/openclaw-gateway-rescue.service",
        &printed(&rescue, &["--manager", "systemd"]).await,
    );
    golden::check(
        "service/bot.molt.gateway.plist",
        &printed(&home, &["--manager", "launchd"]).await,
    );
    golden::check(
        "service/bot.molt.rescue.plist",
        &printed(&rescue, &["--manager", "launchd"]).await,
    );
    golden::check(
        "service/sockets.txt",
        &printed(&home, &["--manager", "systemd", "--socket"]).await,
    );
    assert!(!home.path().join(".config").exists(), "nothing was written");
}

#[tokio::test]
async fn a_unit_of_the_whole_system_names_its_user() {
    let home = Home::new();
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap();
    let unit = printed(&home, &["--system", "--user", &user.name]).await;
    for line in [
        &*format!("User={}", user.name),
        "WantedBy=multi-user.target",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}: {unit}");
    }
    let said = home
        .run(&[
            "gateway",
            "install",
            "--print",
            "--system",
            "--user",
            "nobody-here-7",
        ])
        .await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("There is no user \"nobody-here-7\""),
        "{said:?}"
    );
}

/// Lets systemd's own reader judge a unit. Warnings count.
fn verify(folder: &Path, scope: &str, files: &[PathBuf]) {
    let runtime = folder.join("runtime");
    fs::create_dir_all(&runtime).unwrap();
    let mut command = Command::new("/usr/bin/systemd-analyze");
    command
        .env_clear()
        .env("HOME", folder)
        .env("XDG_RUNTIME_DIR", &runtime);
    command.args(["verify", scope, "--man=no"]).args(files);
    let said = Said::of(&command.output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
}

#[tokio::test]
async fn systemd_has_nothing_to_say_about_any_unit() {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        openclaw_tests::skip("systemd-analyze is missing (Debian: systemd)");
        return;
    }
    let home = Home::new();
    // Every character that means something to systemd, in every path that stands in a unit.
    let odd = home.path().join("o dd 100%h $HOME \"q\" 'r' \\n");
    fs::create_dir_all(&odd).unwrap();
    let program = home.path().join("o dd 100%h $HOME");
    fs::create_dir_all(&program).unwrap();
    let program = program.join("openclaw");
    let built = home.programs().join("openclaw");
    if fs::hard_link(&built, &program).is_err() {
        fs::copy(&built, &program).unwrap();
    }
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap();
    let system: &[&str] = &["--system", "--user", &user.name];
    for (place, program, own_home, profile, more) in [
        ("plain", &built, home.path(), None, &[][..]),
        ("rescue", &built, home.path(), Some("rescue"), &[]),
        ("longest", &built, home.path(), Some(&*"x".repeat(64)), &[]),
        ("socket", &built, home.path(), None, &["--socket"]),
        ("system", &built, home.path(), Some("main"), system),
        ("odd", &program, &odd, Some("rescue_2"), &[]),
        ("odd-socket", &program, &odd, None, &["--socket"]),
        ("odd-system", &program, &odd, Some("a"), system),
    ] {
        let folder = home.path().join(place);
        let output = folder.join("units");
        let output = output.to_str().unwrap();
        let mut arguments: Vec<&str> = Vec::new();
        arguments.extend(profile.iter().flat_map(|name| ["--profile", name]));
        arguments.extend([
            "gateway",
            "install",
            "--manager",
            "systemd",
            "--output",
            output,
        ]);
        arguments.extend(more);
        let said = run(&home, program, own_home, &arguments);
        assert_eq!(said.code, 0, "{place}: {said:?}");
        let files: Vec<PathBuf> = fs::read_dir(output)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(
            files.len(),
            if more.contains(&"--socket") { 2 } else { 1 },
            "{place}: {files:?}"
        );
        let scope = if more == system { "--system" } else { "--user" };
        verify(&folder, scope, &files);
    }
}

#[tokio::test]
async fn rule_106_nothing_of_the_working_folder_or_of_the_shell_gets_into_a_service() {
    let home = Home::new();
    let workspace = home.path().join("workspace");
    fs::create_dir(&workspace).unwrap();
    let evil = "OPENCLAW_STATE_DIR=/evil\nOPENCLAW_CONFIG_PATH=/evil\nPATH=/evil\nOPENCLAW_GATEWAY_TOKEN=evil-token\n";
    fs::write(workspace.join(".env"), evil).unwrap();
    // Nor can the state folder's own file move the instance.
    fs::write(home.state_dir().join(".env"), evil).unwrap();
    for manager in ["systemd", "launchd"] {
        let mut command = home.command(&["gateway", "install", "--print", "--manager", manager]);
        command
            .current_dir(&workspace)
            .env("PATH", ".:/evil-path:/usr/bin:/bin");
        command
            .env("OPENCLAW_GATEWAY_TOKEN", "shell-token")
            .env("ANTHROPIC_API_KEY", "sk-shell");
        let said = Said::of(&command.output().unwrap());
        assert_eq!(said.code, 0, "{said:?}");
        for wrong in [
            "evil",
            "shell-token",
            "sk-shell",
            "sh -c",
            "PATH=.",
            ":.:",
            "workspace",
        ] {
            assert!(!said.out.contains(wrong), "{wrong}: {}", said.out);
        }
    }
}
