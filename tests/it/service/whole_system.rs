//! A service of the whole system, which runs as a user who is not the one that installs it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use openclaw_tests::client::{Client, connect_params};
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::Home;
use openclaw_tests::systemd::SystemdUser;
use serde_json::json;

use super::{MAIN, done};

const UID: u32 = 61_234;

/// Makes a user `claw` known, with a home in the home of the test, and puts the programs where this user can read them.
async fn user(home: &Home, manager: &SystemdUser) {
    let own = home.path().join("claw");
    let programs = home.path().join("programs");
    for folder in [&own, &programs] {
        fs::create_dir(folder).unwrap();
    }
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).unwrap();
    std::os::unix::fs::chown(&own, Some(UID), Some(UID)).unwrap();
    let line = format!("claw:x:{UID}:{UID}::{}:/bin/sh\n", own.display());
    let group = format!("claw:x:{UID}:\n");
    for (file, line) in [("/etc/passwd", line), ("/etc/group", group)] {
        let known = fs::read_to_string(file).unwrap();
        let copy = home.path().join(Path::new(file).file_name().unwrap());
        fs::write(&copy, known + &line).unwrap();
        mount(manager, &copy, Path::new(file)).await;
    }
    mount(manager, home.programs(), &programs).await;
}

async fn mount(manager: &SystemdUser, what: &Path, place: &Path) {
    let (what, place) = (what.to_str().unwrap(), place.to_str().unwrap());
    let said = manager
        .run(Path::new("/usr/bin/mount"), &["--bind", what, place])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
}

#[tokio::test]
async fn a_service_of_the_whole_system_belongs_to_its_user() {
    let home = Home::empty();
    let Some(manager) = SystemdUser::of_a_system(&home).await else {
        return;
    };
    user(&home, &manager).await;
    let program = home.path().join("programs/openclaw");
    let port = home.port().to_string();
    let asked = [
        "gateway",
        "install",
        "--system",
        "--user",
        "claw",
        "--port",
        &port,
        "--token",
        "token-of-claw-7",
        "--json",
    ];
    let report = done(&manager.run(&program, &asked).await);
    assert_eq!(report["result"], "installed", "{report}");
    assert_eq!(
        report["warnings"],
        json!([]),
        "nobody has to linger: {report}"
    );
    Client::try_connect(home.port(), connect_params("token-of-claw-7"))
        .await
        .unwrap();

    let pid = manager.main_pid(MAIN).await;
    let outside = manager.outside(pid).unwrap();
    let owner = fs::metadata(format!("/proc/{outside}")).unwrap().uid();
    assert_eq!(owner, UID, "it runs as its user");
    // The user's configuration is the user's, and nobody else's to read.
    let config = fs::metadata(home.path().join("claw/.openclaw/openclaw.json")).unwrap();
    assert_eq!(
        (config.uid(), config.permissions().mode() & 0o777),
        (UID, 0o600)
    );
    assert!(
        !home.path().join(".openclaw").exists(),
        "whoever installs has no instance"
    );
    let unit = manager
        .run(
            Path::new("/bin/cat"),
            &["/etc/systemd/system/openclaw-gateway.service"],
        )
        .await;
    assert!(
        unit.out.contains("\nUser=claw\n") && !unit.out.contains("token-of-claw-7"),
        "{unit:?}"
    );

    let again = ["gateway", "install", "--system", "--user", "claw", "--json"];
    let report = done(&manager.run(&program, &again).await);
    assert_eq!(report["result"], "already-installed", "{report}");
    // Written anew without its user, it would run everything as root.
    let said = manager
        .run(&program, &["gateway", "install", "--force", "--json"])
        .await;
    assert_eq!(said.code, 1, "{said:?}");
    let way = "sudo openclaw gateway install --force --system --user claw";
    assert!(said.json()["hints"].to_string().contains(way), "{said:?}");
    assert!(
        !home.path().join(".openclaw").exists(),
        "nothing was written"
    );
    // Whoever is not its user does not know how its file should be, and so finds nothing wrong with it.
    let said = manager.run(&program, &["doctor", "--json"]).await;
    assert!(!said.out.contains("service-drift"), "{said:?}");
    assert_eq!(manager.main_pid(MAIN).await, pid);

    let report = done(
        &manager
            .run(&program, &["gateway", "uninstall", "--system", "--json"])
            .await,
    );
    assert_eq!(report["result"], "uninstalled", "{report}");
    assert_eq!(manager.property(MAIN, "LoadState").await, "not-found");
    assert!(
        Client::try_connect(home.port(), connect_params("token-of-claw-7"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_instance_that_the_user_has_started_by_hand_is_seen_by_root_too() {
    let home = Home::empty();
    let Some(manager) = SystemdUser::of_a_system(&home).await else {
        return;
    };
    user(&home, &manager).await;
    let (own, program) = (
        home.path().join("claw"),
        home.path().join("programs/openclaw"),
    );
    let (port, uid) = (home.port().to_string(), UID.to_string());
    let token = "token-of-claw-8";
    let by_hand = [
        "--reuid",
        &uid,
        "--regid",
        &uid,
        "--clear-groups",
        program.to_str().unwrap(),
        "gateway",
        "--allow-unconfigured",
        "--port",
        &port,
    ];
    let mut by_hand = manager.command(Path::new("/usr/bin/setpriv"), &by_hand);
    by_hand
        .env("HOME", &own)
        .env("TMPDIR", &own)
        .env("OPENCLAW_GATEWAY_TOKEN", token)
        .current_dir("/");
    let mut by_hand = by_hand.spawn().unwrap();
    eventually("the one by hand serves", async || {
        Client::try_connect(home.port(), connect_params(token)).await
    })
    .await;
    let install = [
        "gateway", "install", "--system", "--user", "claw", "--port", &port, "--json",
    ];
    let report = done(&manager.run(&program, &install).await);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("started by hand"), "{report}");
    assert!(
        report["hints"]
            .to_string()
            .contains("then sudo systemctl start openclaw-gateway.service"),
        "{report}"
    );
    assert_eq!(manager.property(MAIN, "ActiveState").await, "inactive");
    assert_eq!(manager.property(MAIN, "UnitFileState").await, "enabled");
    assert!(by_hand.try_wait().unwrap().is_none(), "it was ended");
    drop(manager);
    by_hand.wait().unwrap();
}
