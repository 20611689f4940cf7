//! Configurations that are broken, each in another way, and the text that a person sees: file, line, column, key, reason, and what to
//! do. One golden file for each, with what a cold start, the doctor and the status say.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use openclaw_tests::golden::{check, told};
use openclaw_tests::home::{Home, Said};

/// How one configuration is broken.
struct Broken {
    /// The name of its golden file.
    name: &'static str,
    /// What a start ends with.
    code: i32,
    /// What is wrong with the place where the file should be.
    lay: fn(&Home),
}

/// A broken text; `BASE` is the base port of the home.
macro_rules! text {
    ($name:literal, $code:literal, $text:literal) => {
        Broken {
            name: $name,
            code: $code,
            lay: |home| home.write_config(&$text.replace("BASE", &home.port().to_string())),
        }
    };
}

/// Anything else that can be wrong with a file.
macro_rules! file {
    ($name:literal, $code:literal, $lay:expr) => {
        Broken {
            name: $name,
            code: $code,
            lay: $lay,
        }
    };
}

const BROKEN: &[Broken] = &[
    // ---- the text is no JSON5 -----------------------------------------------------------------------------------------------
    text!(
        "comma-missing",
        78,
        "{\n  gateway: {\n    mode: \"local\"\n    port: BASE,\n  },\n}\n"
    ),
    text!(
        "brace-missing",
        78,
        "{\n  gateway: {\n    mode: \"local\",\n"
    ),
    text!(
        "brace-too-many",
        78,
        "{\n  gateway: { mode: \"local\" },\n}\n}\n"
    ),
    text!(
        "bracket-mismatched",
        78,
        "{\n  gateway: { mode: \"local\", trustedProxies: [\"10.0.0.1\" } },\n}\n"
    ),
    text!(
        "colon-missing",
        78,
        "{\n  gateway { mode: \"local\" },\n}\n"
    ),
    text!(
        "quote-missing",
        78,
        "{\n  gateway: {\n    mode: \"local,\n    port: BASE,\n  },\n}\n"
    ),
    text!(
        "word-without-quotes",
        78,
        "{\n  gateway: { mode: local },\n}\n"
    ),
    text!(
        "comment-never-closed",
        78,
        "{\n  gateway: { mode: \"local\" },\n  /* later\n}\n"
    ),
    text!("empty-file", 78, ""),
    text!("comments-only", 78, "// nothing yet\n"),
    text!(
        "two-documents",
        78,
        "{ gateway: { mode: \"local\" } }\n{ canvasHost: { enabled: false } }\n"
    ),
    text!(
        "typographic-quotes",
        78,
        "{\n  gateway: { mode: \u{201c}local\u{201d} },\n}\n"
    ),
    // ---- the file is none that can be read ----------------------------------------------------------------------------------
    file!("utf-16", 78, |home| {
        let text = "\u{feff}{ gateway: { mode: \"local\" } }\n";
        put(
            home,
            &text
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>(),
        );
    }),
    file!("latin-1", 78, |home| {
        put(home, b"{\n  gateway: { mode: \"local\" },\n  ui: { assistant: { name: \"J\xfcrgen\" } },\n}\n");
    }),
    file!("byte-order-mark", 78, |home| {
        put(
            home,
            "\u{feff}{\n  gateway: { mode: \"lcal\" },\n}\n".as_bytes(),
        );
    }),
    file!("a-folder", 78, |home| fs::create_dir_all(
        home.config_path()
    )
    .unwrap()),
    file!("too-large", 78, |home| put(
        home,
        &vec![b' '; 9 * 1024 * 1024]
    )),
    file!("a-link-to-nowhere", 78, |home| {
        put(home, b"");
        fs::remove_file(home.config_path()).unwrap();
        std::os::unix::fs::symlink("gone.json", home.config_path()).unwrap();
    }),
    file!("not-there", 78, |home| fs::create_dir_all(home.state_dir())
        .unwrap()),
    // ---- wrong kinds of values ----------------------------------------------------------------------------------------------
    text!("root-an-array", 78, "[]\n"),
    text!("root-a-string", 78, "\"gateway\"\n"),
    text!(
        "wrong-types",
        78,
        "{\n  gateway: { mode: \"local\", auth: \"secret\" },\n  canvasHost: true,\n  browser: [],\n  cron: null,\n}\n"
    ),
    text!(
        "port-as-text",
        78,
        "{\n  gateway: { mode: \"local\", port: \"18789\" },\n}\n"
    ),
    text!(
        "port-too-large",
        78,
        "{\n  gateway: { mode: \"local\", port: 70000 },\n}\n"
    ),
    text!(
        "port-zero",
        78,
        "{\n  gateway: { mode: \"local\", port: 0 },\n}\n"
    ),
    text!(
        "port-with-a-fraction",
        78,
        "{\n  gateway: { mode: \"local\", port: 18789.5 },\n}\n"
    ),
    text!(
        "switch-as-text",
        78,
        "{\n  gateway: { mode: \"local\" },\n  canvasHost: { enabled: \"true\" },\n}\n"
    ),
    text!(
        "address-malformed",
        78,
        "{\n  gateway: { mode: \"local\", bind: \"custom\", customBindHost: \"my-host\" },\n}\n"
    ),
    text!(
        "unknown-word",
        78,
        "{\n  gateway: { mode: \"local\", bind: \"everywhere\" },\n}\n"
    ),
    text!(
        "word-misspelled",
        78,
        "{\n  gateway: { mode: \"Local\", bind: \"lopback\" },\n}\n"
    ),
    text!(
        "time-with-a-unit",
        78,
        "{\n  gateway: { mode: \"local\", reload: { debounceMs: \"300ms\" } },\n}\n"
    ),
    text!(
        "size-with-a-unit",
        78,
        "{\n  gateway: { mode: \"local\" },\n  logging: { maxFileBytes: \"10MB\" },\n}\n"
    ),
    text!(
        "heartbeat-malformed",
        78,
        "{\n  gateway: { mode: \"local\" },\n  agents: { defaults: { heartbeat: { every: \"soon\" } } },\n}\n"
    ),
    text!(
        "memory-bound-malformed",
        78,
        "{\n  gateway: { mode: \"local\", limits: { gateway: { memory: \"much\" } } },\n}\n"
    ),
    text!(
        "list-elements",
        78,
        "{\n  gateway: { mode: \"local\" },\n  agents: { list: [{ id: \"main\" }, 7, { id: \"\" }] },\n}\n"
    ),
    // ---- settings that do not fit each other --------------------------------------------------------------------------------
    text!(
        "custom-bind-without-address",
        78,
        "{\n  gateway: { mode: \"local\", bind: \"custom\" },\n}\n"
    ),
    text!(
        "ports-collide",
        78,
        "{\n  gateway: { mode: \"local\", port: BASE },\n  canvasHost: { port: BASE },\n}\n"
    ),
    text!(
        "port-collides-with-derived",
        78,
        "{\n  gateway: { mode: \"local\", port: 20000 },\n  canvasHost: { port: 20002 },\n}\n"
    ),
    text!(
        "derived-port-too-large",
        78,
        "{\n  gateway: { mode: \"local\", port: 65500 },\n}\n"
    ),
    text!(
        "hooks-without-token",
        78,
        "{\n  gateway: { mode: \"local\" },\n  hooks: { enabled: true },\n}\n"
    ),
    text!(
        "password-without-password",
        79,
        "{\n  gateway: { mode: \"local\", port: BASE, auth: { mode: \"password\" } },\n}\n"
    ),
    text!(
        "lan-without-auth",
        79,
        "{\n  gateway: { mode: \"local\", port: BASE, bind: \"lan\" },\n}\n"
    ),
    text!(
        "tailscale-on-lan",
        78,
        "{\n  gateway: { mode: \"local\", port: BASE, bind: \"lan\", tailscale: { mode: \"serve\" } },\n}\n"
    ),
    text!(
        "agents-share-a-folder",
        78,
        "{\n  gateway: { mode: \"local\" },\n  agents: { list: [{ id: \"a\", agentDir: \"~/x\" }, { id: \"b\", agentDir: \"~/x/\" }] },\n}\n"
    ),
    // ---- keys in the wrong place --------------------------------------------------------------------------------------------
    text!(
        "one-level-too-high",
        78,
        "{\n  mode: \"local\",\n  port: BASE,\n}\n"
    ),
    text!(
        "one-level-too-deep",
        78,
        "{\n  gateway: { gateway: { mode: \"local\", port: BASE } },\n}\n"
    ),
    text!(
        "key-twice",
        78,
        "{\n  gateway: { mode: \"local\" },\n  gateway: { port: BASE },\n}\n"
    ),
    text!("mode-not-set", 78, "{\n  gateway: { port: BASE },\n}\n"),
    // ---- what it refers to is not there -------------------------------------------------------------------------------------
    text!(
        "variable-missing",
        78,
        "{\n  gateway: { mode: \"local\", auth: { token: \"${NOT_SET_ANYWHERE}\" } },\n}\n"
    ),
    text!(
        "include-missing",
        78,
        "{\n  gateway: { mode: \"local\" },\n  $include: \"./none.json\",\n}\n"
    ),
    text!(
        "include-no-name",
        78,
        "{\n  gateway: { mode: \"local\" },\n  $include: { file: \"x\" },\n}\n"
    ),
    file!("include-cycle", 78, |home| {
        part(home, "a.json", "{\n  $include: \"./openclaw.json\",\n}\n");
        home.write_config("{\n  gateway: { mode: \"local\" },\n  $include: \"./a.json\",\n}\n");
    }),
    file!("include-too-deep", 78, |home| {
        for depth in 1..=11 {
            let next = format!("{{ $include: \"./{}.json\" }}\n", depth + 1);
            part(home, &format!("{depth}.json"), &next);
        }
        part(home, "12.json", "{ gateway: { mode: \"local\" } }\n");
        home.write_config("{ $include: \"./1.json\" }\n");
    }),
    file!("include-broken", 78, |home| {
        part(home, "ports.json", "{\n  port: \"many\",\n}\n");
        home.write_config("{\n  gateway: { mode: \"local\", $include: \"./ports.json\" },\n}\n");
    }),
    file!("include-no-json", 78, |home| {
        part(home, "ports.json", "port = 1\n");
        home.write_config("{\n  gateway: { mode: \"local\", $include: \"./ports.json\" },\n}\n");
    }),
];

fn put(home: &Home, bytes: &[u8]) {
    home.write_config("");
    fs::write(home.config_path(), bytes).unwrap();
}

fn part(home: &Home, name: &str, text: &str) {
    fs::create_dir_all(home.state_dir()).unwrap();
    fs::write(home.state_dir().join(name), text).unwrap();
}

/// What a command said, without what depends on the machine.
fn normal(home: &Home, said: &Said) -> String {
    let own = home.programs().display().to_string();
    told(home, said).replace(&own, "PROGRAMS")
}

/// Those findings of the doctor that are about the configuration, as a person is told them.
fn about_the_configuration(text: &str) -> String {
    let mut kept = String::new();
    let mut is_about = false;
    for line in text.lines() {
        let begins = ["error ", "warning ", "note "]
            .iter()
            .any(|word| line.starts_with(word));
        if begins {
            is_about = line.contains("  config-");
        } else if !line.starts_with("         ") {
            is_about = false;
        }
        if is_about {
            let _ = writeln!(kept, "{line}");
        }
    }
    kept
}

/// The problems of the status, the exit code, and what it says of the file.
fn of_the_status(text: &str) -> String {
    let mut kept = String::new();
    let mut problems = false;
    for line in text.lines() {
        problems |= line == "Problems:";
        let wanted = problems || line.starts_with("Config") || line.starts_with("exit code");
        // Services of the machine that the tests run on are not what this is about.
        if wanted && !line.contains("service-") && !line.starts_with("---") {
            let _ = writeln!(kept, "{line}");
        }
    }
    kept
}

async fn tell(broken: &Broken) {
    let home = Home::empty();
    (broken.lay)(&home);
    tighten(&home.state_dir());
    let start = home.run(&["gateway"]).await;
    assert_eq!(start.code, broken.code, "{}: {start:?}", broken.name);
    // A start that is refused leaves nothing that could be taken for an instance.
    assert!(!home.state_dir().join("run").exists(), "{}", broken.name);
    let doctor = home.run(&["doctor", "--non-interactive"]).await;
    assert_eq!(doctor.code, 4, "{}: {doctor:?}", broken.name);
    let status = home.run(&["gateway", "status"]).await;
    assert_eq!(status.code, 3, "{}: {status:?}", broken.name);
    let mut text = format!("$ openclaw gateway\n{}", normal(&home, &start));
    let _ = write!(
        text,
        "\n$ openclaw doctor\n{}",
        about_the_configuration(&normal(&home, &doctor))
    );
    let _ = write!(
        text,
        "\n$ openclaw gateway status\n{}",
        of_the_status(&normal(&home, &status))
    );
    check(&format!("broken-configs/{}.txt", broken.name), &text);
}

/// Open files are another finding, and not of this.
fn tighten(folder: &Path) {
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    set(folder, 0o700).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !path.is_symlink() {
            set(&path, 0o600).unwrap();
        }
    }
}

/// The names of the cases in `first..last`, so that the tests of this file share the work.
async fn tell_part(part: usize) {
    const PARTS: usize = 4;
    for broken in BROKEN.iter().skip(part).step_by(PARTS) {
        tell(broken).await;
    }
}

#[tokio::test]
async fn each_broken_configuration_is_told_1() {
    tell_part(0).await;
}

#[tokio::test]
async fn each_broken_configuration_is_told_2() {
    tell_part(1).await;
}

#[tokio::test]
async fn each_broken_configuration_is_told_3() {
    tell_part(2).await;
}

#[tokio::test]
async fn each_broken_configuration_is_told_4() {
    tell_part(3).await;
}

#[tokio::test]
async fn what_is_repeated_of_a_broken_file_commands_no_terminal() {
    let home = Home::empty();
    home.write_config(
        "{\n  \"\\u001b[2Jx\": 1,\n  gateway: { mode: \"\\u001b]0;mine\\u0007\" },\n}\n",
    );
    for line in [
        &["gateway"][..],
        &["gateway", "status"],
        &["doctor", "--non-interactive"],
        &["config", "validate"],
        &["health"],
    ] {
        let said = home.run(line).await;
        for words in [&said.out, &said.err] {
            let control = words.chars().find(|it| it.is_control() && *it != '\n');
            assert_eq!(control, None, "`{line:?}`: {said:?}");
        }
        assert_ne!(said.code, 0, "{said:?}");
    }
}

#[test]
fn every_golden_file_is_of_a_case_and_there_are_many() {
    assert!(BROKEN.len() >= 20);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/broken-configs");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            BROKEN
                .iter()
                .any(|broken| format!("{}.txt", broken.name) == name),
            "{name} is of no case"
        );
    }
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_told() {
    if nix::unistd::geteuid().is_root() {
        eprintln!("skipped: root may read every file");
        return;
    }
    let home = Home::new();
    let unreadable = fs::Permissions::from_mode(0o000);
    fs::set_permissions(home.config_path(), unreadable).unwrap();
    let said = home.run(&["gateway"]).await;
    assert_eq!(said.code, 78, "{said:?}");
    assert!(
        said.err.contains("cannot be read")
            && said
                .err
                .contains("let the user that runs the gateway read it"),
        "{said:?}"
    );
}
