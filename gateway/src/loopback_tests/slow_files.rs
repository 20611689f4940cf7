//! Files that take long: only who asked for them waits.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::Mode;
use openclaw_shared::paths::StatePaths;
use serde_json::{Value, json};
use tokio::task::yield_now;

use crate::testing::{Client, Gateway};

/// Sends a request whose answer is not waited for.
async fn ask(client: &mut Client, method: &str, params: Value) {
    let request = json!({"type": "req", "id": method, "method": method, "params": params});
    client.send(request.to_string()).await;
}

#[tokio::test(flavor = "local")]
async fn exec_approvals_that_cannot_be_read_yet_make_nobody_else_wait() {
    let gateway = Gateway::start().await;
    let path = StatePaths(&gateway.context.instance.identity.state_dir).exec_approvals();
    // Whoever opens it waits for somebody who writes, as one does for a disk that has gone to sleep.
    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let (mut reader, _) = gateway.client().await;
    let (mut other, _) = gateway.client().await;
    ask(&mut reader, "exec.approvals.get", json!({})).await;
    // It can be opened for writing without waiting as soon as somebody waits to read it.
    let mut disk = loop {
        assert_eq!(other.call("health", json!({})).await["ok"], true);
        let nonblocking = OpenOptions::new()
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&path);
        match nonblocking {
            Ok(disk) => break disk,
            Err(_) => yield_now().await,
        }
    };
    // It is read by now, and has nothing to say yet.
    assert_eq!(other.call("health", json!({})).await["ok"], true);
    disk.write_all(br#"{"version":1}"#).unwrap();
    drop(disk);
    let answer = reader.answer().await;
    assert_eq!(answer["payload"]["file"]["version"], 1, "{answer}");
}

#[tokio::test(flavor = "local")]
async fn exec_approvals_that_somebody_else_is_changing_make_nobody_else_wait() {
    let gateway = Gateway::start().await;
    let path = StatePaths(&gateway.context.instance.identity.state_dir).exec_approvals();
    let lock = File::create(path.with_extension("json.lock")).unwrap();
    let lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    let (mut writer, _) = gateway.client().await;
    let (mut other, _) = gateway.client().await;
    let file = json!({"version": 1, "defaults": {"security": "deny"}});
    ask(&mut writer, "exec.approvals.set", json!({ "file": file })).await;
    // What is asked on the same connection later is answered first.
    assert_eq!(writer.call("health", json!({})).await["id"], "health");
    assert_eq!(other.call("health", json!({})).await["ok"], true);
    assert!(!path.exists(), "somebody else has the lock");
    drop(lock);
    let answer = writer.answer().await;
    assert_eq!(
        answer["payload"]["file"]["defaults"]["security"], "deny",
        "{answer}"
    );
    assert!(path.exists());
}
