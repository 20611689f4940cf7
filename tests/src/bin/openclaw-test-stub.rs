//! A child that misbehaves: `openclaw-test-stub CHILD BEHAVIOUR [OTHER]`, started by a supervisor in the place of a real one.

use std::io;
use std::process::ExitCode;

use openclaw_shared::child::Inheritance;
use openclaw_shared::control::{CONTROL_VERSION, ChildName, ToChild, ToSupervisor};
use openclaw_shared::ipc;
use openclaw_shared::ipc::codec::{MessageReader, write_message};
use tokio::io::AsyncWriteExt as _;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize| arguments.get(index).map(String::as_str).unwrap_or_default();
    let behaviour = argument(1);
    if behaviour == "exits" {
        return ExitCode::from(3);
    }
    let Some(child) = named(argument(0)) else {
        return ExitCode::from(64);
    };
    // Before the runtime, so that a stub that has one is bound to its supervisor's life.
    let Ok(inheritance) = Inheritance::take(child) else {
        return ExitCode::from(72);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    match runtime.block_on(misbehave(inheritance, child, behaviour, named(argument(2)))) {
        Ok(code) => code,
        // The supervisor has ended the channel; a stub has nothing to do without it.
        Err(_) => ExitCode::from(72),
    }
}

fn named(name: &str) -> Option<ChildName> {
    ChildName::ALL
        .into_iter()
        .find(|child| child.as_str() == name)
}

async fn misbehave(
    inheritance: Inheritance,
    child: ChildName,
    behaviour: &str,
    other: Option<ChildName>,
) -> io::Result<ExitCode> {
    if behaviour == "silent" {
        return std::future::pending().await;
    }
    let (claimed, path) = match other {
        Some(other) => {
            let beside = inheritance
                .control
                .with_file_name(format!("{other}.control"));
            (other, beside)
        }
        None => (child, inheritance.control),
    };
    let stream = ipc::connect(&path).await?;
    let (receive, mut send) = tokio::io::split(stream);
    match behaviour {
        "babbles" => {
            send.write_all(b"\x00\x00\x00\x20this is no document of any kind!")
                .await?;
            return std::future::pending().await;
        }
        "boasts" => {
            send.write_all(&[0xff; 64]).await?;
            return std::future::pending().await;
        }
        _ => {}
    }
    let generation = inheritance.generation;
    let (version, oldest) = match behaviour {
        "next-release" => (CONTROL_VERSION + 1, Some(CONTROL_VERSION)),
        "foreign" => (CONTROL_VERSION + 1, None),
        _ => (CONTROL_VERSION, None),
    };
    let hello = ToSupervisor::Hello {
        version,
        oldest,
        child: claimed,
        generation,
    };
    write_message(&mut send, &hello).await?;
    let mut orders = MessageReader::new(receive);
    while let Some(order) = orders.next::<ToChild>().await? {
        let report = match order {
            ToChild::Launch(launch) => {
                let is_crash = launch
                    .config
                    .pointer("/env/vars/STUB")
                    .is_some_and(|value| value == "crash");
                match behaviour {
                    "never-ready" => continue,
                    "picky" if !is_crash => ToSupervisor::Ready,
                    "desperate" | "picky" => {
                        let message = "the stub cannot go on".to_owned();
                        write_message(&mut send, &ToSupervisor::Fatal { message }).await?;
                        return Ok(ExitCode::FAILURE);
                    }
                    _ => ToSupervisor::Ready,
                }
            }
            ToChild::Activate if behaviour == "never-active" => continue,
            ToChild::Activate => ToSupervisor::Activated,
            ToChild::Drain(_) => return Ok(ExitCode::SUCCESS),
            ToChild::Reload(_) => ToSupervisor::Reloaded { error: None },
            ToChild::AreYouAlive { beat } => ToSupervisor::Alive { beat },
            ToChild::Fleet(_) | ToChild::Written { .. } => continue,
        };
        write_message(&mut send, &report).await?;
    }
    if behaviour == "impersonates" {
        // Refused, as it should be; a process that is still there shows that only its channel was ended.
        return std::future::pending().await;
    }
    Ok(ExitCode::SUCCESS)
}
