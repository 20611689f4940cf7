//! The first steps of a person, and the last ones: a gateway is set up at a terminal, found by its web page, begun anew, removed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use openclaw_tests::eventually::eventually;
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::systemd::SystemdUser;
use openclaw_tests::tmux::Window;
use serde_json::{Value, json};

/// What the shell says when the command has ended.
const LEFT: &str = "left with";

async fn window(home: &Home, line: &str) -> Window {
    let line = format!("{line}; echo {LEFT} $?; exec cat");
    Window::open(home, (120, 50), &line).await
}

/// Waits for a question and answers it.
async fn answer(window: &Window, question: &str, text: &str) {
    window
        .until(&format!("{question:?} is asked"), |screen| {
            let last = screen.trim_end().lines().last().unwrap_or_default();
            last.contains(question)
        })
        .await;
    window.type_in(text);
    window.press("Enter");
}

/// Goes through all steps with Enter, but for what is said.
async fn go_through(window: &Window, port: Option<u16>) {
    let port = port.map(|port| port.to_string()).unwrap_or_default();
    answer(window, "Where is the gateway?", "").await;
    answer(window, "Port [", &port).await;
    answer(window, "What are callers asked for?", "").await;
    answer(window, "Whose model answers?", "").await;
    answer(window, "Folder [", "").await;
    let screen = window
        .until("the service is asked for, or cannot be", |screen| {
            screen.contains("Install the gateway as a service") || screen.contains(LEFT)
        })
        .await;
    if !screen.contains(LEFT) {
        answer(window, "Install the gateway as a service", "n").await;
    }
    window.until_shown(&format!("{LEFT} 0")).await;
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_first_steps_lead_to_a_gateway_and_a_second_time_change_nothing() {
    let home = Home::empty();
    let first = window(&home, "openclaw onboard").await;
    answer(&first, "Go on?", "y").await;
    go_through(&first, Some(home.port())).await;
    let screen = first.screen();
    assert!(screen.contains("Done. The configuration is in"), "{screen}");
    let token = home.state_dir().join("gateway-token");
    assert_eq!((mode(&token), mode(&home.config_path())), (0o600, 0o600));
    let secret = fs::read_to_string(&token).unwrap();
    assert_eq!(secret.len(), 64);
    assert!(!screen.contains(&secret), "{screen}");
    let config: Value = serde_json::from_str(&home.config_text()).unwrap();
    assert_eq!(
        config["gateway"],
        json!({ "mode": "local", "port": home.port() })
    );

    // A home has room for one window at a time.
    drop(first);
    let before = home.config_text();
    let second = window(&home, "openclaw onboard").await;
    go_through(&second, None).await;
    let screen = second.screen();
    assert!(screen.contains("Nothing was changed."), "{screen}");
    assert_eq!(home.config_text(), before);
    assert_eq!(fs::read_to_string(&token).unwrap(), secret);

    let instance = home.launch().ready().await;
    let said = home.run(&["health", "--json"]).await;
    assert_eq!(said.json()["ok"], true, "{said:?}");
    drop(instance);
}

#[tokio::test]
async fn a_secret_is_not_shown_while_it_is_typed_and_the_terminal_comes_back() {
    let home = Home::new();
    let window = window(&home, "openclaw configure --section gateway; stty -a").await;
    answer(&window, "Where is the gateway?", "").await;
    answer(&window, "Port [", "").await;
    answer(&window, "What are callers asked for?", "type").await;
    answer(&window, "Token (it is not shown)", "typed-secret-77").await;
    let screen = window.until_shown("Done.").await;
    assert!(!screen.contains("typed-secret"), "{screen}");
    let config: Value = serde_json::from_str(&home.config_text()).unwrap();
    assert_eq!(config["gateway"]["auth"]["token"], "typed-secret-77");

    drop(window);
    // Ctrl-C reaches the shell, too, which is to go on.
    let window = self::window(
        &home,
        "trap : INT; openclaw configure --section gateway; stty -a",
    )
    .await;
    answer(&window, "Where is the gateway?", "").await;
    answer(&window, "Port [", "").await;
    answer(&window, "What are callers asked for?", "password").await;
    window.until_shown("Password (it is not shown)").await;
    window.type_in("half-a-pass");
    window.press("C-c");
    let screen = window.until_shown(LEFT).await;
    assert!(screen.contains("Interrupted."), "{screen}");
    assert!(
        screen.contains(" echo ") && !screen.contains("-echo "),
        "{screen}"
    );
    assert!(!screen.contains("half-a-pass"), "{screen}");
}

#[tokio::test]
async fn a_secret_that_is_interrupted_leaves_the_terminal_as_it_was_and_goes_on_hidden() {
    let home = Home::new();
    let line = "set -m; openclaw configure --section gateway; echo stopped $?; stty -a; read back; fg; stty -a";
    let window = window(&home, line).await;
    answer(&window, "Where is the gateway?", "").await;
    answer(&window, "Port [", "").await;
    answer(&window, "What are callers asked for?", "type").await;
    window.until_shown("Token (it is not shown)").await;
    window.type_in("half-a-secret");
    window.press("C-z");
    // The shell has the terminal, and it shows what is typed.
    let screen = window
        .until("the shell goes on", |screen| {
            screen.contains("stopped 148") && screen.contains("echonl")
        })
        .await;
    assert!(
        screen.contains(" echo ") && !screen.contains("-echo "),
        "{screen}"
    );
    window.type_in("back");
    window.until_shown("back").await;
    window.press("Enter");
    answer(&window, "Token (it is not shown)", "typed-secret-78").await;
    let screen = window.until_shown(LEFT).await;
    assert!(screen.contains("Done."), "{screen}");
    assert!(
        !screen.contains("typed-secret") && !screen.contains("half-a-secret"),
        "{screen}"
    );
    assert!(!screen.contains("-echo "), "{screen}");
    let config: Value = serde_json::from_str(&home.config_text()).unwrap();
    assert_eq!(config["gateway"]["auth"]["token"], "typed-secret-78");
}

#[tokio::test]
async fn a_key_is_kept_where_agents_find_it() {
    let home = Home::new();
    let window = window(&home, "openclaw configure --section model").await;
    answer(&window, "Whose model answers?", "openai").await;
    answer(&window, "Key of openai", "key-of-a-test").await;
    answer(&window, "Model [", "").await;
    let screen = window.until_shown(&format!("{LEFT} 0")).await;
    assert!(!screen.contains("key-of-a-test"), "{screen}");
    let file = home
        .state_dir()
        .join("agents/main/agent/auth-profiles.json");
    assert_eq!(mode(&file), 0o600);
    let said = home.run(&["models", "status", "--json"]).await;
    assert!(said.out.contains("\"openai:default\""), "{said:?}");
    assert!(!said.out.contains("key-of-a-test"), "{said:?}");
    assert!(
        home.config_text().contains("openai/"),
        "{}",
        home.config_text()
    );
    assert!(!home.config_text().contains("key-of-a-test"));
}

#[tokio::test]
async fn scripts_say_it_all_at_once() {
    let home = Home::empty();
    let said = home.run(&["onboard", "--non-interactive"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("--accept-risk"), "{said:?}");
    let said = home.run(&["onboard"]).await;
    assert!(said.err.contains("--non-interactive"), "{said:?}");

    let port = home.port().to_string();
    let key = home.path().join("key");
    fs::write(&key, "key-of-a-test\n").unwrap();
    let key = key.display().to_string();
    let arguments = [
        "onboard",
        "--non-interactive",
        "--accept-risk",
        "--mode",
        "local",
        "--gateway-port",
        &port,
        "--auth-choice",
        "openai-api-key",
        "--api-key-file",
        &key,
        "--model",
        "openai/gpt-x",
        "--skip-daemon",
        "--json",
    ];
    let said = home.run(&arguments).await;
    let told = said.json();
    assert_eq!(told["ok"], true, "{said:?}");
    assert_eq!(told["changed"], true);
    assert_eq!(told["port"], home.port());
    assert_eq!(told["model"], "openai/gpt-x");
    assert_eq!(told["auth"]["secret"], "made");
    assert!(!said.out.contains("key-of-a-test"), "{said:?}");
    let secret = fs::read_to_string(home.state_dir().join("gateway-token")).unwrap();
    assert!(!said.out.contains(&secret), "{said:?}");

    let again = home
        .run(&["onboard", "--non-interactive", "--accept-risk", "--json"])
        .await;
    assert_eq!(again.json()["changed"], false, "{again:?}");
    assert_eq!(again.json()["port"], home.port());

    let elsewhere = Home::empty();
    let said = elsewhere
        .run(&[
            "setup",
            "--wizard",
            "--non-interactive",
            "--mode",
            "remote",
            "--remote-url",
            "ws://10.0.0.7:18789",
            "--json",
        ])
        .await;
    assert_eq!(said.json()["mode"], "remote", "{said:?}");
    let config: Value = serde_json::from_str(&elsewhere.config_text()).unwrap();
    assert_eq!(
        config["gateway"],
        json!({ "mode": "remote", "remote": { "url": "ws://10.0.0.7:18789" } })
    );
    assert!(!elsewhere.state_dir().join("gateway-token").exists());

    // What one gateway is shown is not offered to another.
    elsewhere.write_config(
        "{ gateway: { mode: 'remote', remote: { url: 'ws://10.0.0.7:1', token: 't', password: 'p' } } }",
    );
    let moved = [
        "onboard",
        "--non-interactive",
        "--accept-risk",
        "--remote-url",
        "ws://10.0.0.8:1",
        "--skip-health",
        "--json",
    ];
    let said = elsewhere.run(&moved).await;
    assert_eq!(said.json()["remoteUrl"], "ws://10.0.0.8:1", "{said:?}");
    for key in ["token", "password"] {
        assert!(!elsewhere.config_text().contains(key), "{key}: {said:?}");
    }
}

#[tokio::test]
async fn a_service_is_one_of_the_first_steps_and_of_the_last() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    let unit = "openclaw-gateway.service";
    let steps = [
        "onboard",
        "--non-interactive",
        "--accept-risk",
        "--install-daemon",
        "--json",
    ];
    let said = manager.openclaw(&home, &steps).await;
    let told = said.json();
    assert_eq!(told["service"], "installed", "{said:?}");
    assert_eq!(told["reachable"], true, "{said:?}");
    let pid = manager.main_pid(unit).await;
    let again = manager.openclaw(&home, &steps).await;
    assert_eq!(again.json()["service"], "installed", "{again:?}");
    assert_eq!(again.json()["changed"], false, "{again:?}");
    assert_eq!(manager.main_pid(unit).await, pid);

    let said = manager
        .openclaw(&home, &["uninstall", "--all", "--yes", "--json"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json()["removed"], true, "{said:?}");
    assert_eq!(manager.property(unit, "LoadState").await, "not-found");
    assert!(!home.state_dir().exists());
}

#[tokio::test]
async fn the_address_of_the_page_goes_without_its_token_where_it_could_be_kept() {
    let home = Home::new();
    let plain = format!("http://127.0.0.1:{}/", home.port());
    let said = home.run(&["dashboard"]).await;
    assert_eq!(said.out, format!("Dashboard URL: {plain}\n"), "{said:?}");
    assert!(!said.err.contains(TOKEN), "{said:?}");
    let said = home.run(&["dashboard", "--json"]).await;
    assert_eq!(said.json()["url"], plain.as_str());
    assert_eq!(said.json()["running"], false);
    let said = home.run(&["dashboard", "--show-token", "--no-open"]).await;
    assert_eq!(said.out, format!("Dashboard URL: {plain}#token={TOKEN}\n"));
    let window = window(&home, "openclaw dashboard --no-open").await;
    window.until_shown(&format!("{plain}#token={TOKEN}")).await;
}

#[tokio::test]
async fn a_browser_gets_the_token_through_a_file_that_others_cannot_read() {
    let home = Home::new();
    let folder = home.path().join("session");
    fs::create_dir(&folder).unwrap();
    let opener = folder.join("xdg-open");
    fs::write(
        &opener,
        "#!/bin/sh\necho \"$*\" > \"$(dirname \"$0\")/opened\"\n",
    )
    .unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    let folder = folder.display();
    let line = format!("DISPLAY=:9 PATH={folder}:$PATH openclaw dashboard");
    let window = window(&home, &line).await;
    window.until_shown("Opened in your browser.").await;
    // An opener that takes long is left to itself.
    let opened = eventually("it was opened", async || {
        let opened = fs::read_to_string(home.path().join("session/opened"));
        opened
            .ok()
            .filter(|page| page.ends_with('\n'))
            .ok_or("not yet")
    })
    .await;
    assert!(!opened.contains(TOKEN), "{opened}");
    let page = Path::new(opened.trim());
    assert_eq!(mode(page), 0o600);
    assert!(fs::read_to_string(page).unwrap().contains(TOKEN));
}

#[tokio::test]
async fn a_reset_moves_aside_what_it_says_and_never_under_a_running_gateway() {
    let home = Home::new();
    let rescue = home.path().join(".openclaw/workspace-rescue");
    fs::create_dir_all(&rescue).unwrap();
    fs::write(rescue.join("mine"), "of another profile").unwrap();
    // One that lies there under a name of its own.
    let lab = home.path().join(".openclaw/lab");
    fs::create_dir_all(&lab).unwrap();
    fs::create_dir(home.path().join(".openclaw-lab")).unwrap();
    fs::write(
        home.path().join(".openclaw-lab/openclaw.json"),
        "{ agents: { defaults: { workspace: '~/.openclaw/lab' } } }",
    )
    .unwrap();
    let mut instance = home.launch().ready().await;
    let said = home.run(&["reset", "--scope", "full"]).await;
    assert_eq!(said.code, 1, "not without a yes: {said:?}");
    let said = home.run(&["reset", "--scope", "full", "--yes"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("openclaw gateway stop"), "{said:?}");
    assert!(home.config_path().exists());

    let dry = home
        .run(&["reset", "--scope", "config", "--dry-run", "--json"])
        .await;
    let told = dry.json();
    assert_eq!(told["moved"], false, "{dry:?}");
    assert!(told["paths"].to_string().contains("openclaw.json"));
    assert!(!told["paths"].to_string().contains("sqlite"));
    assert!(home.config_path().exists());

    let said = home
        .run(&["reset", "--scope", "full", "--yes", "--stop", "--json"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(instance.exit_code_leaving_nothing().await, 0);
    let backup = said.json()["backup"].as_str().unwrap().to_owned();
    let backup = Path::new(&backup);
    assert!(!home.config_path().exists());
    assert!(!home.path().join(".openclaw/workspace").exists());
    assert!(!home.state_dir().join("openclaw.sqlite").exists());
    for kept in ["openclaw.json", "openclaw.sqlite", "workspace"] {
        assert!(backup.join(kept).exists(), "{kept} is in the backup");
    }
    assert_eq!(mode(backup), 0o700);
    assert!(
        rescue.join("mine").exists(),
        "another profile's is left alone"
    );
    assert!(lab.exists(), "also one under another name");
    let said = home.run(&["reset", "--scope", "full", "--yes"]).await;
    assert_eq!(said.out, "Nothing is there that could go.\n", "{said:?}");
    let word = "Left ~/.openclaw/lab: the profile lab works with it.";
    assert!(said.err.contains(word), "{said:?}");
}

#[tokio::test]
async fn a_person_is_asked_how_much_begins_anew() {
    let home = Home::new();
    let window = window(&home, "openclaw reset").await;
    answer(&window, "What begins anew?", "1").await;
    answer(&window, "Move all of this into the backups?", "y").await;
    window.until_shown(&format!("{LEFT} 0")).await;
    assert!(!home.config_path().exists());
}

#[tokio::test]
async fn removing_leaves_nothing_but_what_belongs_to_others() {
    let home = Home::new();
    let said = home.run(&["setup"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let said = home.run(&["uninstall"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    let said = home
        .run(&["uninstall", "--state", "--workspace", "--yes", "--dry-run"])
        .await;
    assert!(
        said.out.contains("Would remove ~/.openclaw/openclaw.json"),
        "{said:?}"
    );
    assert!(home.config_path().exists());
    let said = home.run(&["uninstall", "--state", "--workspace"]).await;
    assert_eq!(said.code, 1, "not without a yes: {said:?}");
    let said = home
        .run(&["uninstall", "--state", "--workspace", "--yes"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!home.state_dir().exists());

    // What does not look like a state is not taken apart, whatever the environment says.
    let strange = home.path().join("photos");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("cat.jpg"), "meow").unwrap();
    let strange_shown = strange.display().to_string();
    let variables = [("OPENCLAW_STATE_DIR", strange_shown.as_str())];
    let said = home
        .run_with(&["uninstall", "--state", "--yes"], &variables)
        .await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(strange.join("cat.jpg").exists());
    let home_itself = home.path().display().to_string();
    let variables = [("OPENCLAW_STATE_DIR", home_itself.as_str())];
    let said = home
        .run_with(&["uninstall", "--all", "--yes"], &variables)
        .await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(strange.join("cat.jpg").exists());
}

#[tokio::test]
async fn a_workspace_that_holds_more_is_left_alone() {
    let home = Home::new();
    let rescue = home.profile("rescue");
    for folder in [home.state_dir(), home.path().to_path_buf()] {
        rescue.configure(&json!({ "agents": { "defaults": { "workspace": folder } } }));
        for line in [
            &["uninstall", "--all", "--yes"][..],
            &["uninstall", "--workspace", "--yes"],
            &["reset", "--scope", "full", "--yes"],
        ] {
            let said = rescue.run(line).await;
            assert_eq!(said.code, 1, "{said:?}");
            assert!(said.err.contains("nothing was touched"), "{said:?}");
            assert!(home.config_path().exists(), "{said:?}");
            assert!(rescue.config_path().exists(), "{said:?}");
        }
    }
    // What does not look like a state is not begun anew either.
    let photos = home.path().join("photos");
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("cat.jpg"), "meow").unwrap();
    let shown = photos.display().to_string();
    let variables = [("OPENCLAW_STATE_DIR", shown.as_str())];
    let said = home
        .run_with(&["reset", "--scope", "full", "--yes"], &variables)
        .await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(photos.join("cat.jpg").exists(), "{said:?}");
}
