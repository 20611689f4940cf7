//! Law 10: nothing is orphaned, and nothing inherits what it should not.

use openclaw_shared::control::ChildName;
use openclaw_tests::client::Received;
use openclaw_tests::home::Home;
use openclaw_tests::process;

#[tokio::test]
async fn a_tool_started_by_a_child_would_inherit_no_port_and_no_lock() {
    let instance = Home::new().launch().ready().await;
    let mut all = vec![instance.pid()];
    for child in ChildName::ALL {
        all.push(instance.pid_of(child).await);
    }
    // What the caller of this test left open for it is none of ours.
    let from_outside = targets(i32::try_from(std::process::id()).unwrap());
    for pid in all {
        let process = procfs::process::Process::new(pid).unwrap();
        for descriptor in process
            .fd()
            .unwrap()
            .flatten()
            .filter(|descriptor| descriptor.fd > 2)
        {
            if from_outside.contains(&format!("{:?}", descriptor.target)) {
                continue;
            }
            let path = format!("/proc/{pid}/fdinfo/{}", descriptor.fd);
            let Ok(info) = std::fs::read_to_string(path) else {
                continue;
            };
            let flags = info
                .lines()
                .find_map(|line| line.strip_prefix("flags:"))
                .unwrap()
                .trim();
            let is_cloexec = u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 != 0;
            assert!(
                is_cloexec,
                "{pid} ({:?}): {descriptor:?}",
                process.stat().map(|stat| stat.comm)
            );
        }
    }
}

fn targets(pid: i32) -> Vec<String> {
    let descriptors = procfs::process::Process::new(pid).unwrap().fd().unwrap();
    descriptors
        .flatten()
        .map(|descriptor| format!("{:?}", descriptor.target))
        .collect()
}

#[tokio::test]
async fn every_process_of_an_instance_is_a_child_of_its_supervisor() {
    let instance = Home::new().launch().ready().await;
    let processes = instance.processes();
    assert_eq!(processes.len(), 4, "{processes:?}");
    for process in processes
        .iter()
        .filter(|process| process.pid != instance.pid())
    {
        assert_eq!(process.parent, instance.pid(), "{process:?}");
    }
}

#[tokio::test]
async fn rule_117_a_second_instance_on_the_same_state_is_refused_and_names_the_first() {
    let instance = Home::new().launch().ready().await;
    let said = instance.home().run(&["gateway"]).await;
    assert_eq!(said.code, 76, "{said:?}");
    assert!(
        said.err.contains(&format!("pid {}", instance.pid())),
        "{said:?}"
    );
    instance.client().await;
}

#[tokio::test]
async fn rule_117_a_lock_file_that_nobody_holds_is_in_nobodys_way() {
    let home = Home::new();
    for content in ["", "1\n", "99999999\n", "half"] {
        std::fs::write(home.state_dir().join("instance.lock"), content).unwrap();
        let mut instance = home.launch().ready().await;
        instance.signal(process::Signal::SIGTERM);
        assert_eq!(instance.exit_code_leaving_nothing().await, 0, "{content:?}");
    }
}

#[tokio::test]
async fn socket_files_of_a_crash_are_replaced() {
    let home = Home::new();
    let mut first = home.launch().ready().await;
    let mut client = first.client().await;
    kill_and_reap(&mut first).await;
    assert_eq!(client.rest().await.1, Received::Cut);
    assert!(
        home.supervisor_socket().exists(),
        "a crash leaves its socket files"
    );
    home.launch().ready().await.client().await;
}

async fn kill_and_reap(instance: &mut openclaw_tests::instance::Instance) {
    process::send(instance.pid(), process::Signal::SIGKILL);
    assert_eq!(instance.exit_code().await, 128 + 9);
    instance
        .leaves_nothing_within(std::time::Duration::from_secs(1))
        .await;
}

#[tokio::test]
async fn a_start_in_the_very_moment_of_a_kill_succeeds() {
    let home = Home::new();
    let mut instance = home.launch().ready().await;
    for _ in 0..12 {
        let _client = instance.client().await;
        instance.signal(process::Signal::SIGKILL);
        // Nothing is waited for: what is still on its way out is the new one's business.
        instance = home.launch().ready().await;
    }
    instance.client().await;
}
