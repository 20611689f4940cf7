//! A service file that is not what this version writes any more: told, and written anew as what it was.

use std::fs;
use std::path::Path;

use openclaw_tests::home::{Home, Said};
use openclaw_tests::systemd::SystemdUser;
use serde_json::Value;

use super::{MAIN, done, serves, unit_path};

const SOCKET: &str = "openclaw-gateway.socket";

/// What the doctor says of the service file.
fn drift(said: &Said) -> Option<Value> {
    let findings = said.json()["findings"].clone();
    let all = findings.as_array().cloned().unwrap_or_default();
    all.into_iter()
        .find(|finding| finding["code"] == "service-drift")
}

#[tokio::test]
async fn drift_of_a_service_is_told_and_repaired_and_its_sockets_stay() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    // Started by a path that stays when another version is installed, as packages do it.
    let link = home.path().join("bin");
    std::os::unix::fs::symlink(home.programs(), &link).unwrap();
    let program = link.join("openclaw");
    let install = ["gateway", "install", "--socket", "--json"];
    done(&manager.run(&program, &install).await);
    let unit = unit_path(&home, MAIN);
    let written = fs::read_to_string(&unit).unwrap();
    assert!(written.contains(program.to_str().unwrap()), "{written}");
    let doctor = ["doctor", "--non-interactive", "--json"];
    let said = manager.run(&program, &doctor).await;
    assert_eq!(drift(&said), None, "{said:?}");

    let edited = written.replace("RestartSec=5\n", "RestartSec=50\n");
    assert_ne!(edited, written);
    fs::write(&unit, &edited).unwrap();
    manager.systemctl(&["daemon-reload"]).await;
    let said = manager.run(&program, &doctor).await;
    let found = drift(&said).unwrap();
    assert!(
        found["repair"].is_string() && found["fixed"] == false,
        "{found}"
    );
    assert_eq!(fs::read_to_string(&unit).unwrap(), edited, "only looked at");

    let fix = ["doctor", "--fix", "--non-interactive", "--json"];
    let said = manager.run(&program, &fix).await;
    let found = drift(&said).unwrap();
    assert_eq!(found["fixed"], true, "{found}");
    assert_eq!(fs::read_to_string(&unit).unwrap(), written);
    let backup = Path::new(found["backup"].as_str().unwrap());
    assert_eq!(fs::read_to_string(backup).unwrap(), edited);
    assert_eq!(manager.property(MAIN, "NeedDaemonReload").await, "no");
    assert_eq!(manager.property(SOCKET, "ActiveState").await, "active");
    serves(&home).await;
    let said = manager.run(&program, &doctor).await;
    assert_eq!(drift(&said), None, "{said:?}");

    // The file of the sockets is judged as the service's own: by the configuration as it is.
    let socket = unit_path(&home, SOCKET);
    let held = fs::read_to_string(&socket).unwrap();
    let stale = held.replace("Backlog=1024\n", "Backlog=5\n");
    assert_ne!(stale, held);
    fs::write(&socket, &stale).unwrap();
    let said = manager.run(&program, &doctor).await;
    let found = drift(&said).unwrap();
    assert!(
        found["place"].as_str().unwrap().ends_with(SOCKET),
        "{found}"
    );
    let status = ["gateway", "status", "--no-probe", "--json"];
    let said = manager.run(&program, &status).await;
    assert!(
        said.out.contains("The file of the sockets differs"),
        "{said:?}"
    );
    fs::remove_file(&socket).unwrap();
    let said = manager.run(&program, &fix).await;
    let found = drift(&said).unwrap();
    assert!(
        found["message"].as_str().unwrap().contains("is missing") && found["fixed"] == true,
        "{found}"
    );
    assert_eq!(fs::read_to_string(&socket).unwrap(), held);
    assert_eq!(manager.property(SOCKET, "ActiveState").await, "active");
    serves(&home).await;
}
