//! A live page's socket, carried byte by byte between the page and the canvas host.

use std::io;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use openclaw_shared::serve;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_buf, split};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tracing::debug;

use super::{Connection, PATIENCE};

/// Live reload says six bytes at a time.
const PUMP_BUFFER: usize = 512;

/// Carries bytes between a page and the canvas host until either is done or the gateway leaves.
pub(super) async fn pump(
    client: OnUpgrade,
    host: OnUpgrade,
    mut closing: watch::Receiver<bool>,
    _slot: OwnedSemaphorePermit,
    _connection: Connection,
) {
    let carried = async {
        let host = TokioIo::new(host.await.map_err(io::Error::other)?);
        let client = serve::upgrade(client).await.map_err(io::Error::other)?;
        let (from_host, mut to_host) = split(host);
        let (from_page, mut to_page) = split(client.stream);
        let mut from_host = BufReader::with_capacity(PUMP_BUFFER, from_host);
        let mut from_page = BufReader::with_capacity(PUMP_BUFFER, from_page);
        to_host.write_all(&client.read_ahead).await?;
        tokio::select! {
            // A page that has closed its side is gone; a half-closed WebSocket has no meaning. The local
            // socket cannot pass the end on by itself, so the whole of it is closed by leaving here.
            gone = copy_buf(&mut from_page, &mut to_host) => gone.map(|_bytes| ()),
            left = copy_buf(&mut from_host, &mut to_page) => {
                left?;
                to_page.shutdown().await?;
                farewell(from_page).await
            }
        }
    };
    tokio::select! {
        outcome = carried => {
            if let Err(error) = outcome {
                debug!(target: "gateway/canvas", %error, "a live page is gone");
            }
        }
        // An error means that the mounts themselves are gone.
        _ = closing.wait_for(|closing| *closing) => {}
    }
}

/// Reads what a page still sends after the last word, so that its kernel does not throw that word away,
/// for as long as a page needs to hang up and no longer.
async fn farewell(mut from_page: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut scrap = [0; PUMP_BUFFER];
    let hung_up = async {
        while from_page.read(&mut scrap).await? > 0 {}
        io::Result::Ok(())
    };
    timeout(PATIENCE, hung_up).await.unwrap_or(Ok(()))
}
