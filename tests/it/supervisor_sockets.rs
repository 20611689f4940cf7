//! Garbage, half frames, huge lengths and silence on a local socket end that connection, and nothing else.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use openclaw_shared::control::{
    CONTROL_VERSION, ChildName, ChildState, CliRequest, Generation, ToSupervisor,
};
use openclaw_shared::ipc;
use openclaw_shared::ipc::codec::{MessageReader, write_message};
use openclaw_tests::eventually::{eventually, soon};
use openclaw_tests::faults::{Stub, misbehave};
use openclaw_tests::home::{Home, Said};
use openclaw_tests::instance::{Instance, of, pid};
use serde_json::json;

/// What no proper peer says.
fn nonsense() -> Vec<Vec<u8>> {
    let framed = |text: &str| {
        let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes
    };
    vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 1024],
        vec![0; 1024],
        framed("not json"),
        framed("{}"),
        framed("[1,2,3]"),
        framed(r#"{"type":"no-such-thing"}"#),
        framed(&format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000))),
        // A length of four gigabytes, and one that is allowed but never comes.
        u32::MAX.to_be_bytes().to_vec(),
        [&(16 * 1024 * 1024_u32).to_be_bytes()[..], b"half"].concat(),
    ]
}

#[tokio::test]
async fn rule_105_nonsense_on_a_local_socket_ends_that_connection_and_nothing_else() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let before = instance.status().await;
    let mut paths = vec![home.supervisor_socket()];
    for child in ChildName::ALL {
        paths.extend([home.control_socket(child), home.service_socket(child)]);
    }
    for path in &paths {
        for bytes in nonsense() {
            say(path, &bytes);
        }
        // One that connects and leaves, and one that leaves in the middle of a message.
        drop(UnixStream::connect(path).unwrap());
    }
    for name in ChildName::ALL {
        let (before, after) = (of(&before, name), of(&instance.status().await, name));
        assert_eq!(
            (before.pid, after.state),
            (after.pid, ChildState::Active),
            "{name}"
        );
    }
    instance
        .client()
        .await
        .call("status", json!({}))
        .await
        .unwrap();
    instance.restart(None).await.unwrap();
}

/// Says it, says that there is no more, and waits for the end of the connection.
fn say(path: &Path, bytes: &[u8]) {
    let mut stream = UnixStream::connect(path).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // Whoever reads the beginning may close before the rest is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{}: the connection is still there: {error}", path.display()),
    }
}

#[tokio::test]
async fn silence_on_the_control_sockets_is_ended_and_keeps_nobody_out() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    for path in [
        home.supervisor_socket(),
        home.control_socket(ChildName::Gateway),
    ] {
        // More than the socket serves at a time.
        let silent: Vec<UnixStream> = (0..48)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        instance.status().await;
        instance.restart(Some(ChildName::Gateway)).await.unwrap();
        drop(silent);
    }
}

#[tokio::test]
async fn askers_that_never_leave_keep_nobody_out() {
    let instance = Home::new().launch().ready().await;
    let mut stuck = Vec::new();
    for _ in 0..48 {
        let stream = ipc::connect(&instance.home().supervisor_socket())
            .await
            .unwrap();
        let (receive, mut send) = tokio::io::split(stream);
        write_message(&mut send, &CliRequest::Status).await.unwrap();
        stuck.push((receive, send));
    }
    instance.status().await;
}

#[tokio::test]
async fn a_process_that_was_not_spawned_as_a_child_is_none() {
    // One of them has been spawned and not connected yet: its place is free, and still nobody else's. Nobody loses patience with it.
    let home = Home::empty().with_own_programs();
    home.configure(&json!({ "supervisor": { "readyTimeoutMs": 600_000 } }));
    misbehave(&home, ChildName::CanvasHost, Stub::Silent);
    let instance = home.launch().start();
    instance
        .until_child(ChildName::Gateway, ChildState::Active)
        .await;
    instance
        .until_child(ChildName::CanvasHost, ChildState::Starting)
        .await;
    let before = instance.status().await;
    for name in ChildName::ALL {
        for generation in [Generation(1), Generation(2)] {
            let stream = ipc::connect(&home.control_socket(name)).await.unwrap();
            let (receive, mut send) = tokio::io::split(stream);
            let hello = ToSupervisor::Hello {
                version: CONTROL_VERSION,
                oldest: None,
                child: name,
                generation,
            };
            write_message(&mut send, &hello).await.unwrap();
            let mut reader = MessageReader::new(receive);
            let answer = soon("it is turned away", reader.next::<serde_json::Value>()).await;
            // Above all it must not get the launch, which holds the secrets.
            assert!(
                matches!(answer, Ok(None) | Err(_)),
                "{name} {generation}: {answer:?}"
            );
        }
    }
    let refused = home.log().said("a stranger's hello was refused").await;
    assert_eq!(refused["1"]["pid"], std::process::id(), "{refused}");
    let after = instance.status().await;
    for name in ChildName::ALL {
        assert_eq!(of(&before, name).pid, of(&after, name).pid);
    }
}

#[tokio::test]
async fn a_child_of_the_next_release_is_taken_when_it_speaks_our_version_too() {
    let home = Home::new().with_own_programs();
    misbehave(&home, ChildName::CanvasHost, Stub::NextRelease);
    misbehave(&home, ChildName::BrowserControl, Stub::Foreign);
    let instance = home.launch().start();
    instance
        .until_child(ChildName::CanvasHost, ChildState::Active)
        .await;
    // Whoever speaks nothing that we do is turned away, every time.
    eventually("the other one is given up", async || {
        let status = instance.status().await;
        let refused = of(&status, ChildName::BrowserControl);
        assert_ne!(refused.state, ChildState::Active, "{refused:?}");
        match refused.restarts {
            0 => Err(format!("{refused:?}")),
            _ => Ok(()),
        }
    })
    .await;
}

#[tokio::test]
async fn rule_105_a_child_cannot_speak_for_another_child() {
    let home = Home::new().with_own_programs();
    let instance = home.launch().ready().await;
    let before = instance.status().await;
    misbehave(
        &home,
        ChildName::CanvasHost,
        Stub::Impersonates(ChildName::Gateway),
    );
    openclaw_tests::process::send(
        pid(&of(&before, ChildName::CanvasHost)).unwrap(),
        openclaw_tests::process::Signal::SIGKILL,
    );
    instance
        .until_child(ChildName::CanvasHost, ChildState::Starting)
        .await;
    let log = home.log();
    let refused = log.said("a stranger's hello was refused").await;
    assert_eq!(refused["1"]["child"], "gateway", "{refused}");
    let gateway = instance.child(ChildName::Gateway).await;
    assert_eq!(gateway.pid, of(&before, ChildName::Gateway).pid);
    assert_eq!(gateway.state, ChildState::Active);
}

#[tokio::test]
async fn rule_104_a_link_in_the_place_of_a_socket_is_not_followed() {
    let home = Home::new();
    let precious = home.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    std::fs::create_dir_all(home.state_dir().join("run")).unwrap();
    std::os::unix::fs::symlink(&precious, home.supervisor_socket()).unwrap();
    let said = home.run(&["gateway"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("supervisor.sock"),
        "it names what is in the way: {said:?}"
    );
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
}

#[tokio::test]
async fn a_state_folder_too_deep_for_sockets_is_no_obstacle() {
    let home = Home::new();
    let deep = home.path().join("d".repeat(100));
    let runtime = home.path().join("r");
    std::fs::create_dir(&runtime).unwrap();
    let config = home.config_path();
    let mut instance = home
        .launch()
        .variable("OPENCLAW_STATE_DIR", deep.to_str().unwrap())
        .variable("OPENCLAW_CONFIG_PATH", config.to_str().unwrap())
        .variable("XDG_RUNTIME_DIR", runtime.to_str().unwrap())
        .start();
    serves_by_and_by(&mut instance).await;
    let run = std::fs::read_dir(&runtime)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(run.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(deep.join("logs").is_dir());
}

async fn serves_by_and_by(instance: &mut Instance) {
    let target = instance.target();
    eventually("the gateway serves", async || {
        assert!(!instance.has_ended(), "{}", instance.console());
        let params = openclaw_tests::client::connect_params(&target.token);
        openclaw_tests::client::Client::try_connect(target.port, params)
            .await
            .map(drop)
    })
    .await;
}

#[tokio::test]
async fn rule_104_another_user_is_turned_away_before_a_byte_is_read() {
    if !nix::unistd::geteuid().is_root() {
        return openclaw_tests::skip("only root can be another user for a moment");
    }
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    let run = home.supervisor_socket();
    let run = run.parent().unwrap();
    let mut paths = vec![home.supervisor_socket()];
    for child in ChildName::ALL {
        paths.extend([home.control_socket(child), home.service_socket(child)]);
    }
    // As if nothing but the check were left: every folder on the way and the sockets themselves are open to everybody.
    for path in run
        .ancestors()
        .filter(|path| path.starts_with(home.path()))
        .chain(paths.iter().map(|path| &**path))
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(path, mode).unwrap();
    }
    for path in &paths {
        let (own, nobody) = (nix::unistd::geteuid(), nix::unistd::Uid::from_raw(65_534));
        nix::unistd::seteuid(nobody).unwrap();
        let stream = UnixStream::connect(path);
        nix::unistd::seteuid(own).unwrap();
        let mut stream = stream.unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let question = if *path == home.supervisor_socket() {
            let asked = serde_json::to_vec(&CliRequest::Status).unwrap();
            let length = u32::try_from(asked.len()).unwrap();
            [&length.to_be_bytes()[..], &asked].concat()
        } else {
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec()
        };
        // Whoever is turned away may not get so far as to ask.
        let _ = stream.write_all(&question);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "{}", path.display());
    }
    instance.status().await;
}

/// A command in a namespace of processes of its own, as in a container that shares the state folder; none where that is not allowed.
fn in_a_container(home: &Home, arguments: &[&str]) -> Option<tokio::process::Command> {
    let flags = ["--fork", "--kill-child", "--pid", "--mount-proc"];
    let probe = std::process::Command::new("unshare")
        .args(flags)
        .arg("true")
        .output();
    if !probe.is_ok_and(|ended| ended.status.success()) {
        openclaw_tests::skip("no namespace of processes of one's own here");
        return None;
    }
    let mut command = std::process::Command::new("unshare");
    command
        .args(flags)
        .arg(home.programs().join("openclaw"))
        .args(arguments);
    home.isolate(&mut command);
    let mut command = tokio::process::Command::from(command);
    command
        .kill_on_drop(true)
        .stdin(std::process::Stdio::null());
    Some(command)
}

#[tokio::test]
async fn a_command_in_a_container_is_answered_by_the_instance_outside() {
    let instance = Home::new().launch().ready().await;
    let home = instance.home();
    for arguments in [
        &["gateway", "status", "--no-probe", "--json"][..],
        &["gateway", "restart", "canvas-host", "--json"],
    ] {
        let Some(mut command) = in_a_container(home, arguments) else {
            return;
        };
        let said = Said::of(&soon("the command ends", command.output()).await.unwrap());
        let found = said.json();
        match arguments[1] {
            "status" => assert_eq!(found["supervisor"]["pid"], instance.pid(), "{said:?}"),
            _ => assert_eq!((said.code, &found["result"]), (0, &json!("restarted"))),
        }
    }
}

#[tokio::test]
async fn a_command_outside_is_answered_by_the_instance_in_a_container() {
    let home = Home::new();
    let Some(mut inside) = in_a_container(&home, &["gateway"]) else {
        return;
    };
    inside.stdout(std::process::Stdio::null());
    inside.stderr(std::process::Stdio::null());
    let mut inside = inside.spawn().unwrap();
    eventually("every process in the container serves", async || {
        let said = home
            .run(&["gateway", "status", "--no-probe", "--json"])
            .await;
        let children = said.json()["supervisor"]["fleet"]["children"].clone();
        let all = children.as_array().cloned().unwrap_or_default();
        match all.len() == ChildName::ALL.len()
            && all.iter().all(|child| child["state"] == "active")
        {
            true => Ok(()),
            false => Err(format!("{said:?}")),
        }
    })
    .await;
    let said = home.run(&["gateway", "stop"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let ended = soon("the container ends", inside.wait()).await;
    assert!(ended.unwrap().success());
}
