//! Ports that the service manager holds.

use std::net::{Ipv4Addr, TcpStream};

use openclaw_tests::client::{Client, connect_params};
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::systemd::SystemdUser;

use super::{MAIN, done, serves, unit_path};

const SOCKET: &str = "openclaw-gateway.socket";

fn is_refused(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
}

#[tokio::test]
async fn connections_wait_while_the_service_is_down() {
    let home = Home::new();
    let Some(manager) = SystemdUser::start(&home).await else {
        return;
    };
    // Over a service that has bound its ports itself.
    done(
        &manager
            .openclaw(&home, &["gateway", "install", "--json"])
            .await,
    );
    done(
        &manager
            .openclaw(
                &home,
                &["gateway", "install", "--socket", "--force", "--json"],
            )
            .await,
    );
    Client::try_connect(home.port(), connect_params(TOKEN))
        .await
        .unwrap();
    let first = manager.main_pid(MAIN).await;
    assert_eq!(manager.property(SOCKET, "ActiveState").await, "active");

    // Only the service goes; whoever comes meanwhile waits, and is what starts it again.
    manager.systemctl(&["stop", MAIN]).await;
    for port in [home.port(), home.canvas_port(), home.browser_port()] {
        assert!(!is_refused(port), "port {port} was given up");
    }
    serves(&home).await;
    assert_ne!(manager.main_pid(MAIN).await, first);

    // A stop is a stop of both.
    done(
        &manager
            .openclaw(&home, &["gateway", "stop", "--json"])
            .await,
    );
    assert!(is_refused(home.port()));
    assert_eq!(manager.property(SOCKET, "ActiveState").await, "inactive");
    done(
        &manager
            .openclaw(&home, &["gateway", "start", "--json"])
            .await,
    );
    assert_eq!(manager.property(SOCKET, "ActiveState").await, "active");

    // Back to the plain service, and away.
    done(
        &manager
            .openclaw(&home, &["gateway", "install", "--force", "--json"])
            .await,
    );
    assert_eq!(manager.property(SOCKET, "LoadState").await, "not-found");
    Client::try_connect(home.port(), connect_params(TOKEN))
        .await
        .unwrap();
    done(
        &manager
            .openclaw(
                &home,
                &["gateway", "install", "--socket", "--force", "--json"],
            )
            .await,
    );
    done(
        &manager
            .openclaw(&home, &["gateway", "uninstall", "--json"])
            .await,
    );
    assert!(!unit_path(&home, SOCKET).exists() && !unit_path(&home, MAIN).exists());
    assert!(is_refused(home.port()));
}
