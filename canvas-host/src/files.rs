//! Answers requests for files of the canvas.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::task::spawn_blocking;
use tracing::{error, info};
use warp::Reply as _;
use warp::reply::Response;

use crate::beneath::{self, Found, Missing, Opened};
use crate::conditional::{self, Share, Validators};
use crate::root::{self, Refusal};
use crate::{answer, content_type, inject};

/// What is read at once; a file that fits is answered in one piece.
const CHUNK: u64 = 64 * 1024;
/// A page larger than this gets no script: it would have to be held in memory whole.
const MAX_INJECTED: u64 = 8 * 1024 * 1024;
/// Nothing larger is served. It is streamed, so this protects patience rather than memory.
const MAX_FILE: u64 = 4 * 1024 * 1024 * 1024;

const NO_INDEX: &str = include_str!("files/no_index.html");
const NO_ROOT: &str = include_str!("files/no_root.html");

/// The folder of the canvas.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    root_is_missing: AtomicBool,
}

/// A request below the mount.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// The path as it was sent, mount included.
    pub(crate) path: String,
    /// What follows the mount.
    pub(crate) below: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    /// Whether pages get the script.
    pub(crate) with_script: bool,
}

impl Files {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            root_is_missing: AtomicBool::new(false),
        }
    }

    pub(crate) async fn answer(self: Arc<Self>, asked: Asked) -> Response {
        if asked.method != Method::GET && asked.method != Method::HEAD {
            return answer::read_only();
        }
        let wanted = match root::resolve(&asked.below) {
            Ok(wanted) => wanted,
            Err(Refusal::BadEscape) => return answer::text(StatusCode::BAD_REQUEST, "bad request"),
            Err(Refusal::NotServed) => return not_found(),
        };
        let (root, with_script) = (self.root.clone(), asked.with_script);
        let looking = spawn_blocking(move || match beneath::find(&root, &wanted)? {
            Found::File(opened) => Content::of(opened, with_script)
                .map_err(Missing::Broken)
                .map(Some),
            Found::Folder => Ok(None),
        });
        let found = looking
            .await
            .unwrap_or_else(|stop| Err(Missing::Broken(io::Error::other(stop))));
        self.note_root(&found);
        match found {
            Ok(Some(content)) => content.share(&asked),
            Ok(None) => to_folder(&asked),
            Err(Missing::File) => not_found(),
            Err(Missing::Index) => answer::page(StatusCode::NOT_FOUND, NO_INDEX),
            Err(Missing::Root(_)) => answer::page(StatusCode::SERVICE_UNAVAILABLE, NO_ROOT),
            Err(Missing::Broken(error)) => {
                error!(target: "canvas", %error, "a file could not be read");
                answer::text(StatusCode::INTERNAL_SERVER_ERROR, "error")
            }
        }
    }

    /// Says once that the root cannot be opened, and once that it can be again.
    fn note_root(&self, found: &Result<Option<Content>, Missing>) {
        let problem = match found {
            Err(Missing::Root(problem)) => Some(problem),
            Ok(_) | Err(Missing::File | Missing::Index | Missing::Broken(_)) => None,
        };
        let before = self
            .root_is_missing
            .swap(problem.is_some(), Ordering::Relaxed);
        let root = self.root.display();
        match (before, problem) {
            (false, Some(error)) => {
                error!(target: "canvas", %root, %error, "the canvas folder cannot be opened");
            }
            (true, None) => info!(target: "canvas", %root, "the canvas folder can be opened again"),
            (true, Some(_)) | (false, None) => {}
        }
    }
}

fn not_found() -> Response {
    answer::text(StatusCode::NOT_FOUND, "not found")
}

/// Sends a browser to where relative links work. The path begins with the mount, so it cannot name
/// another host.
fn to_folder(asked: &Asked) -> Response {
    let query = asked
        .query
        .as_ref()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let mut response = answer::text(StatusCode::PERMANENT_REDIRECT, "");
    let place = answer::value(&format!("{}/{query}", asked.path));
    response.headers_mut().insert(header::LOCATION, place);
    response
}

/// A file on its way to a client.
#[derive(Debug)]
struct Content {
    content_type: String,
    validators: Validators,
    length: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Memory(Bytes),
    File(Arc<File>),
    TooLarge,
}

impl Content {
    /// Blocks for as long as it takes to read a chunk, or a page.
    fn of(opened: Opened, with_script: bool) -> io::Result<Self> {
        let Opened { file, name, state } = opened;
        let length = u64::try_from(state.st_size).unwrap_or_default();
        let content_type = content_type::of(&name);
        let injected =
            with_script && content_type::is_page(&content_type) && length <= MAX_INJECTED;
        let source = match length {
            _ if injected => Source::Memory(inject::inject(&read(&file, 0, length)?)),
            0..=CHUNK => Source::Memory(read(&file, 0, length)?.into()),
            _ if length > MAX_FILE => Source::TooLarge,
            _ => Source::File(Arc::new(file)),
        };
        let length = match &source {
            Source::Memory(bytes) => bytes.len() as u64,
            Source::File(_) | Source::TooLarge => length,
        };
        let validators = validators(&state, injected);
        Ok(Self {
            content_type,
            validators,
            length,
            source,
        })
    }

    fn share(self, asked: &Asked) -> Response {
        if matches!(self.source, Source::TooLarge) {
            return answer::text(StatusCode::FORBIDDEN, "file too large");
        }
        let share = conditional::share(&asked.headers, &self.validators, self.length);
        let (status, start, end) = match share {
            Share::Whole => (StatusCode::OK, 0, self.length),
            Share::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
            Share::Unchanged => (StatusCode::NOT_MODIFIED, 0, 0),
            Share::Nothing => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
        };
        let mut response = match self.source {
            _ if asked.method == Method::HEAD || start == end => Response::default(),
            Source::Memory(bytes) => {
                // The bounds come from the length of these very bytes.
                let in_memory = |place: u64| usize::try_from(place).unwrap_or(bytes.len());
                Response::new(bytes.slice(in_memory(start)..in_memory(end)).into())
            }
            Source::File(file) => warp::reply::stream(chunks(file, start, end)).into_response(),
            Source::TooLarge => Response::default(),
        };
        *response.status_mut() = status;
        let headers = response.headers_mut();
        answer::dress(headers, &self.content_type);
        headers.insert(header::ACCEPT_RANGES, answer::value("bytes"));
        headers.insert(header::ETAG, answer::value(&self.validators.tag));
        let modified = httpdate::fmt_http_date(self.validators.modified);
        headers.insert(header::LAST_MODIFIED, answer::value(&modified));
        match share {
            Share::Unchanged => {
                headers.remove(header::CONTENT_TYPE);
            }
            Share::Nothing => {
                let range = answer::value(&format!("bytes */{}", self.length));
                headers.insert(header::CONTENT_RANGE, range);
                headers.insert(header::CONTENT_LENGTH, answer::value("0"));
            }
            Share::Part { .. } => {
                let range = format!("bytes {start}-{}/{}", end - 1, self.length);
                headers.insert(header::CONTENT_RANGE, answer::value(&range));
                headers.insert(
                    header::CONTENT_LENGTH,
                    answer::value(&(end - start).to_string()),
                );
            }
            Share::Whole => {
                headers.insert(
                    header::CONTENT_LENGTH,
                    answer::value(&self.length.to_string()),
                );
            }
        }
        response
    }
}

/// A version is told by everything that changes when somebody writes: the time of the change of the
/// inode catches a write that set the modification time back.
fn validators(state: &nix::sys::stat::FileStat, injected: bool) -> Validators {
    let modified = since_epoch(state.st_mtime, state.st_mtime_nsec);
    let changed = since_epoch(state.st_ctime, state.st_ctime_nsec);
    let script = if injected { "-live" } else { "" };
    let tag = format!(
        "\"{:x}-{:x}-{:x}-{:x}{script}\"",
        state.st_ino,
        state.st_size,
        modified.as_nanos(),
        changed.as_nanos(),
    );
    Validators {
        tag,
        modified: SystemTime::UNIX_EPOCH + modified,
    }
}

fn since_epoch(seconds: i64, nanos: i64) -> Duration {
    let seconds = u64::try_from(seconds).unwrap_or_default();
    Duration::new(seconds, u32::try_from(nanos).unwrap_or_default())
}

/// Reads exactly the bytes of a range; a file that became shorter is an error, for its length has
/// been announced.
fn read(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(end - start).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

/// A part of a file, read as the client takes it.
fn chunks(file: Arc<File>, start: u64, end: u64) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(start, move |place| {
        let file = file.clone();
        async move {
            if place == end {
                return Ok(None);
            }
            let next = end.min(place + CHUNK);
            let bytes = spawn_blocking(move || read(&file, place, next)).await??;
            Ok(Some((Bytes::from(bytes), next)))
        }
    })
}
