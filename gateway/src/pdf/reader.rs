//! Has PDFs read, a few at a time, each by a process of its own.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{ARGUMENT, Order, Report};

/// How many are read at once; the others wait.
const AT_ONCE: usize = 2;
/// How long reading one may take, with the wait for a place.
const LONGEST: Duration = Duration::from_secs(60);
/// How many bytes of a report there may be for each character, and besides: JSON writes one with at most six, or twelve in two
/// halves.
const BYTES_A_LETTER: u64 = 12;
const BYTES_BESIDES: u64 = 4096;

/// Why there is no text; the text is for whoever has sent the PDF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoText {
    #[error("the PDF opens with a password only; send it without one")]
    Encrypted,
    #[error(
        "the PDF has no text, it was probably scanned; send pictures of its pages, or their text"
    )]
    Scanned,
    #[error("the PDF cannot be read, it is broken or cut off; make it again, or send its text")]
    Unreadable,
    #[error(
        "reading the PDF takes more memory or time than is given to one; send fewer pages, or their text"
    )]
    TooMuch,
    #[error("PDFs cannot be read at this moment, the log of the gateway says why; send the text")]
    Unavailable,
}

/// Has PDFs read.
#[derive(Debug)]
pub(crate) struct Reader {
    program: PathBuf,
    places: Semaphore,
}

impl Default for Reader {
    fn default() -> Self {
        // Also when the file was replaced since this process began.
        #[cfg(target_os = "linux")]
        let program = PathBuf::from("/proc/self/exe");
        // Whoever has no path reads no PDF, and says so.
        #[cfg(not(target_os = "linux"))]
        let program = std::env::current_exe().unwrap_or_default();
        Self {
            program,
            places: Semaphore::new(AT_ONCE),
        }
    }
}

impl Reader {
    /// The text of a PDF, and how much of it was looked at. Whoever does not wait for it any more ends the process, too.
    ///
    /// # Errors
    /// When there is no text in it, or none that can be read.
    pub(crate) async fn read(&self, pdf: &[u8], order: Order) -> Result<Report, NoText> {
        let read = async {
            let _place = self.places.acquire().await;
            self.ask(pdf, order).await
        };
        match timeout(LONGEST, read).await {
            Ok(Ok(Some(Report::Encrypted))) => Err(NoText::Encrypted),
            Ok(Ok(Some(Report::Unreadable))) => Err(NoText::Unreadable),
            Ok(Ok(Some(Report::Text { text, .. }))) if text.is_empty() => Err(NoText::Scanned),
            Ok(Ok(Some(report @ Report::Text { .. }))) => Ok(report),
            Ok(Ok(None)) | Err(_) => Err(NoText::TooMuch),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a PDF was not read, because its reader was not started");
                Err(NoText::Unavailable)
            }
        }
    }

    /// What a process says about a PDF; nothing when it has ended before it could.
    async fn ask(&self, pdf: &[u8], order: Order) -> io::Result<Option<Report>> {
        let mut child = Command::new(&self.program)
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = child.stdin.take().expect("its input is a pipe");
        let mut output = child.stdout.take().expect("its output is a pipe");
        let mut line = serde_json::to_vec(&order).expect("an order is JSON");
        line.push(b'\n');
        let give = async {
            // Who ends before it has read everything has its reason, which its report tells or its end.
            let _ = input.write_all(&line).await;
            let _ = input.write_all(pdf).await;
            drop(input);
        };
        let chars = u64::try_from(order.chars).unwrap_or(u64::MAX);
        let most = chars
            .saturating_mul(BYTES_A_LETTER)
            .saturating_add(BYTES_BESIDES);
        let mut report = Vec::new();
        let take = async {
            let mut bounded = (&mut output).take(most);
            bounded.read_to_end(&mut report).await
        };
        let ((), taken) = tokio::join!(give, take);
        taken?;
        let ended = child.wait().await?;
        if !ended.success() {
            tracing::info!(%ended, bytes = pdf.len(), "a PDF was not read to its end");
            return Ok(None);
        }
        Ok(serde_json::from_slice(&report).ok())
    }
}
