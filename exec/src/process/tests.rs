use super::*;

const LONGEST: Duration = Duration::from_secs(600);

/// The program of `examples`, which lies beside the folder of this one.
fn keeper() -> Keeper {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(std::path::Path::parent).unwrap();
    Keeper::at(folder.join("examples/keeper"))
}

fn task(script: &str, limit: Duration) -> Task {
    Task {
        program: Some("/bin/sh".into()),
        argv: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        cwd: "/".into(),
        variables: [("PATH".into(), "/usr/bin:/bin".into())].into(),
        limit: Some(limit),
        input: None,
        output: Output::Apart,
    }
}

async fn shell(script: &str, time: Option<u64>) -> Ended {
    let limit = time.map_or(LONGEST, Duration::from_millis);
    run(&keeper(), task(script, limit)).await
}

#[tokio::test]
async fn outputs_and_code_are_told_apart() {
    let ended = shell("echo out; echo err >&2; cat; exit 3", None).await;
    assert_eq!(ended.exit_code, Some(3));
    assert_eq!(
        (&*ended.stdout, &*ended.stderr),
        (&b"out\n"[..], &b"err\n"[..])
    );
    assert!(!ended.timed_out && !ended.truncated);
}

#[tokio::test]
async fn a_command_that_is_not_there_is_said_to_be() {
    let task = |program: Option<&str>, cwd: &str| Task {
        program: program.map(Into::into),
        argv: vec!["/no/such".to_owned()],
        cwd: cwd.into(),
        ..task("", LONGEST)
    };
    let ended = run(&keeper(), task(None, "/")).await;
    assert_eq!(ended.error.as_deref(), Some("spawn /no/such ENOENT"));
    let ended = run(&keeper(), task(Some("/bin/sh"), "/no/folder")).await;
    assert_eq!(
        ended.error.as_deref(),
        Some("spawn /no/such ENOENT: /no/folder is no folder")
    );
}

#[tokio::test]
async fn output_is_bounded_and_the_command_still_ends() {
    let ended = shell("head -c 1000000 /dev/zero; echo end >&2", None).await;
    assert_eq!(ended.exit_code, Some(0));
    assert!(ended.truncated);
    assert_eq!(ended.stdout.len() + ended.stderr.len(), MOST_OUTPUT);
}

#[tokio::test]
async fn when_time_is_over_the_whole_group_is_killed() {
    // The grandchild would keep the pipe open for a minute.
    let started = Moment::now();
    let ended = shell("sleep 60 & echo $!; wait", Some(3_000)).await;
    assert!(ended.timed_out);
    assert_eq!(ended.exit_code, None);
    assert!(Moment::now().since(started) < Duration::from_secs(50));
    assert!(is_gone(&ended));
}

#[tokio::test]
async fn what_outlives_its_command_is_ended_with_it() {
    for script in [
        "sleep 600 >/dev/null 2>&1 & echo $!",
        // It holds the output, and would be read for ever.
        "sleep 600 & echo $!",
    ] {
        let ended = shell(script, None).await;
        assert_eq!((ended.exit_code, ended.timed_out), (Some(0), false));
        assert!(is_gone(&ended), "{script}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_new_session_is_no_way_out() {
    let away = "setsid sh -c 'echo $$; exec sleep 600 >/dev/null 2>&1'";
    let ended = shell(&format!("{away} & sleep 600"), Some(3_000)).await;
    assert!(ended.timed_out && is_gone(&ended));
    let ended = shell(&format!("({away} &) &"), None).await;
    assert_eq!(ended.exit_code, Some(0));
    assert!(is_gone(&ended));
}

#[tokio::test]
async fn a_command_that_kills_its_keeper_ends_itself() {
    let ended = shell("sleep 600 & echo $!; kill -9 $PPID; sleep 600", None).await;
    assert_eq!(
        ended.error.as_deref(),
        Some("the command was killed with its keeper")
    );
    assert!(is_gone(&ended));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_command_that_kills_its_keeper_and_passes_for_one_is_ended() {
    orphans::adopt().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (program, orders) = (keeper().program().to_owned(), folder.path().join("orders"));
    let (program, orders) = (program.display(), orders.display());
    // It waits for orders that never end, in a session of its own.
    let script = format!(
        "mkfifo {orders}; exec 3<>{orders}; setsid {program} keep-one-command <&3 >/dev/null 2>&1 & echo $!;
         until [ $(readlink /proc/$!/exe) = {program} ]; do :; done; kill -9 $PPID; sleep 600"
    );
    let ended = shell(&script, Some(60_000)).await;
    assert_eq!(
        ended.error.as_deref(),
        Some("the command was killed with its keeper")
    );
    assert!(is_gone(&ended));
}

#[tokio::test]
async fn a_command_that_stops_its_keeper_ends_all_the_same() {
    let ended = shell("echo $$; kill -STOP $PPID; sleep 600", Some(3_000)).await;
    assert!(ended.timed_out && is_gone(&ended));
}

#[tokio::test]
async fn a_command_reads_what_it_is_given_and_writes_where_it_is_told() {
    let (read, write) = std::io::pipe().unwrap();
    let (mut output, sink) = std::io::pipe().unwrap();
    let task = Task {
        input: Some(read.into()),
        output: Output::To(sink.into()),
        ..task("cat; echo done >&2", LONGEST)
    };
    std::io::Write::write_all(&mut &write, b"hello").unwrap();
    drop(write);
    let mut errors = Vec::new();
    let ended = follow(&keeper(), task, pending(), &mut |step| match step {
        Step::Began(group) => assert!(group > 1),
        Step::Output(piece) => panic!("{piece:?}"),
        Step::Errors(piece) => errors.extend_from_slice(piece),
    })
    .await;
    assert_eq!((ended.exit_code, &*errors), (Some(0), &b"done\n"[..]));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut output, &mut text).unwrap();
    assert_eq!(text, "hello");
}

#[tokio::test]
async fn outputs_that_are_read_together_keep_their_order() {
    let task = Task {
        output: Output::Together,
        ..task(
            "for i in 1 2 3; do echo $i; echo e$i >&2; done; kill -9 $$",
            LONGEST,
        )
    };
    let ended = run(&keeper(), task).await;
    assert_eq!(ended.stdout, b"1\ne1\n2\ne2\n3\ne3\n");
    assert_eq!((ended.exit_code, ended.signal), (None, Some(9)));
}

#[tokio::test]
async fn a_command_can_be_stopped_and_is_gone_then() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut stop = Some(stop);
    let mut stdout = Vec::new();
    let task = task("sleep 600 & echo $!; sleep 600", LONGEST);
    let stopped = async { stopped.await.unwrap_or_default() };
    let ended = follow(&keeper(), task, stopped, &mut |step| {
        if let Step::Output(piece) = step {
            stdout.extend_from_slice(piece);
            stop.take();
        }
    })
    .await;
    assert!(!ended.timed_out && ended.exit_code.is_none());
    assert!(is_gone(&Ended { stdout, ..ended }));
}

/// Whether the process whose number was printed has ended.
fn is_gone(ended: &Ended) -> bool {
    let text = std::str::from_utf8(&ended.stdout).unwrap();
    let pid: i32 = text.trim().parse().unwrap();
    nix::sys::signal::kill(Pid::from_raw(pid), None).is_err() || is_zombie(pid)
}

/// Whoever is to reap it may take its time.
fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z"))
}
