//! Asks the supervisor of this instance over its control socket, which answers also when every child is dead.

use std::io;
use std::path::Path;
use std::time::Duration;

use openclaw_shared::control::{CliReply, CliRequest, InstanceStatus};
use openclaw_shared::ipc;
use openclaw_shared::ipc::codec::{MessageReader, write_message};
use tokio::time::timeout;

/// A supervisor that lives answers a question at once.
const STATUS_LIMIT: Duration = Duration::from_secs(2);
/// After it has reported a stop, the process itself takes a moment to end; on a machine that is busy, a long one.
const EXIT_LIMIT: Duration = Duration::from_secs(30);

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Asked<T> {
    /// It answered.
    Answered(T),
    /// Nobody is there.
    Absent,
    /// Somebody is there who does not answer as expected; the sentence says how.
    Failed(String),
}

impl<T> Asked<T> {
    pub(crate) const fn answer(&self) -> Option<&T> {
        match self {
            Self::Answered(answer) => Some(answer),
            Self::Absent | Self::Failed(_) => None,
        }
    }
}

/// Asks what runs.
pub(crate) async fn status(socket: &Path) -> Asked<InstanceStatus> {
    match ask(socket, &CliRequest::Status, STATUS_LIMIT).await {
        Asked::Answered(CliReply::Status(status)) => Asked::Answered(*status),
        Asked::Answered(CliReply::Failed { message }) => Asked::Failed(message),
        Asked::Answered(
            CliReply::Done { .. } | CliReply::Written { .. } | CliReply::Upgrade(_),
        ) => Asked::Failed("the supervisor answered something else than its status".to_owned()),
        Asked::Absent => Asked::Absent,
        Asked::Failed(reason) => Asked::Failed(reason),
    }
}

/// Asks one thing and waits for the answer.
pub(crate) async fn ask(socket: &Path, request: &CliRequest, limit: Duration) -> Asked<CliReply> {
    match timeout(limit, exchange(socket, request)).await {
        Ok(asked) => asked.map_or_else(Asked::Failed, |reply| {
            reply.map_or(Asked::Absent, Asked::Answered)
        }),
        Err(_) => Asked::Failed(late(limit)),
    }
}

/// Tells the instance to stop, and waits until its process is gone.
pub(crate) async fn stop(socket: &Path, limit: Duration) -> Asked<CliReply> {
    let stopping = async {
        let Some((mut reader, pid)) = connect(socket, &CliRequest::Stop).await? else {
            return Ok(None);
        };
        let process = pid.and_then(|pid| crate::port_owner::Watched::new(pid).ok().flatten());
        let reply = read_reply(&mut reader).await?;
        if let CliReply::Failed { .. } = reply {
            return Ok(Some(reply));
        }
        // The socket ends with the instance; anything that still arrives on it is progress.
        while let Ok(Some(_)) = reader.next::<CliReply>().await {}
        if let Some(process) = process
            && !process.ended(EXIT_LIMIT).await
        {
            return Err(
                "the supervisor reported its end but its process is still there".to_owned(),
            );
        }
        Ok(Some(reply))
    };
    match timeout(limit, stopping).await {
        Ok(asked) => asked.map_or_else(Asked::Failed, |reply| {
            reply.map_or(Asked::Absent, Asked::Answered)
        }),
        Err(_) => Asked::Failed(late(limit)),
    }
}

type Reader = MessageReader<tokio::io::ReadHalf<ipc::Stream>>;

/// Sends the request; none when nobody listens.
async fn connect(
    socket: &Path,
    request: &CliRequest,
) -> Result<Option<(Reader, Option<u32>)>, String> {
    let stream = match ipc::connect(socket).await {
        Ok(stream) => stream,
        Err(error) => {
            let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
            return match nobody.contains(&error.kind()) {
                true => Ok(None),
                false => Err(format!("the supervisor's socket cannot be used: {error}")),
            };
        }
    };
    let peer = ipc::check_peer(&stream).map_err(|error| error.to_string())?;
    let (receive, mut send) = tokio::io::split(stream);
    write_message(&mut send, request)
        .await
        .map_err(|error| format!("the supervisor took no request: {error}"))?;
    Ok(Some((MessageReader::new(receive), peer.pid)))
}

async fn exchange(socket: &Path, request: &CliRequest) -> Result<Option<CliReply>, String> {
    let Some((mut reader, _)) = connect(socket, request).await? else {
        return Ok(None);
    };
    read_reply(&mut reader).await.map(Some)
}

async fn read_reply(reader: &mut Reader) -> Result<CliReply, String> {
    match reader.next().await {
        Ok(Some(reply)) => Ok(reply),
        Ok(None) => Err("the supervisor ended the connection without an answer".to_owned()),
        Err(error) => Err(format!("the supervisor's answer cannot be read: {error}")),
    }
}

fn late(limit: Duration) -> String {
    format!(
        "the supervisor did not answer within {} ms",
        limit.as_millis()
    )
}

#[cfg(test)]
mod tests {
    use interprocess::local_socket::traits::tokio::Listener as _;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn nobody_there_is_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            status(&folder.path().join("none.sock")).await,
            Asked::Absent
        ));
        let stale = folder.path().join("stale.sock");
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        assert!(matches!(status(&stale).await, Asked::Absent));
    }

    #[tokio::test]
    async fn a_supervisor_that_is_stuck_or_babbles_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let listener = ipc::bind(&path).unwrap();
        let silent = async { ask(&path, &CliRequest::Status, Duration::from_millis(50)).await };
        let asked = silent.await;
        assert!(
            matches!(&asked, Asked::Failed(why) if why.contains("within 50 ms")),
            "{asked:?}"
        );
        drop(listener.accept().await.unwrap());
        let babble = async {
            let stream = listener.accept().await.unwrap();
            let (receive, mut send) = tokio::io::split(stream);
            MessageReader::new(receive)
                .next::<CliRequest>()
                .await
                .unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut send, b"\0\0\0\x02{}")
                .await
                .unwrap();
        };
        let (asked, ()) = tokio::join!(ask(&path, &CliRequest::Status, LIMIT), babble);
        assert!(
            matches!(&asked, Asked::Failed(why) if why.contains("cannot be read")),
            "{asked:?}"
        );
    }

    #[tokio::test]
    async fn an_answer_is_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let listener = ipc::bind(&path).unwrap();
        let serve = async {
            let stream = listener.accept().await.unwrap();
            let (receive, mut send) = tokio::io::split(stream);
            let request = MessageReader::new(receive)
                .next::<CliRequest>()
                .await
                .unwrap();
            assert!(matches!(
                request,
                Some(CliRequest::Restart { child: None, .. })
            ));
            let done = CliReply::Done {
                message: "Replaced.".to_owned(),
            };
            write_message(&mut send, &done).await.unwrap();
        };
        let request = CliRequest::Restart {
            child: None,
            trace: None,
        };
        let (asked, ()) = tokio::join!(ask(&path, &request, LIMIT), serve);
        assert!(
            matches!(asked, Asked::Answered(CliReply::Done { message }) if message == "Replaced.")
        );
    }
}
