//! Doors for the fuzz targets in `fuzz/`; part of no other build.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;

use bytes::Bytes;
use openclaw_shared::protocol::MAX_PAYLOAD;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::frame::{Request, RequestShape};
use openclaw_shared::protocol::method;
use openclaw_shared::serve::{Stream, Upgrade};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use super::misfit::{self, Misfit};
use super::socket::{Incoming, Socket};
use super::validate::Validator;

type Judges = BTreeMap<&'static str, (fn(&str) -> bool, Validator)>;

thread_local! {
    static REQUEST: Validator = const { Validator::of::<RequestShape>() };
    static METHODS: RefCell<Judges> = RefCell::new(judges());
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime can be made");
}

fn judges() -> Judges {
    let methods = method::all().map(|info| {
        let judges = (info.accepts, Validator::new(info.params_schema));
        (info.name, judges)
    });
    let accepts: fn(&str) -> bool = method::accepts::<ConnectParams>;
    let connect = ("connect", (accepts, Validator::of::<ConnectParams>()));
    methods.chain([connect]).collect()
}

/// A message as text: parsed or judged, and its parameters held against the type of its method.
pub fn frame(text: &str) {
    match Request::parse(text) {
        Some(request) => params(&request),
        None => match REQUEST.with(|validator| misfit::judge(text, validator)) {
            Misfit::Nothing => {}
            Misfit::Invalid { id, error } => {
                serde_json::from_str::<serde_json::Value>(&id).expect("an id goes back as JSON");
                assert!(error.message.len() < 8 * 1024, "{}", error.message.len());
            }
            Misfit::Valid(rewritten) => {
                let request = Request::parse(&rewritten).expect("a valid frame is a request");
                params(&request);
            }
        },
    }
}

fn params(request: &Request<'_>) {
    let raw = match request.params.map(|params| params.get()) {
        None | Some("null") => "{}",
        Some(raw) => raw,
    };
    METHODS.with_borrow(|methods| {
        let Some((accepts, validator)) = methods.get(&*request.method) else {
            return;
        };
        let taken = accepts(raw);
        match validator.check(&request.method, raw) {
            // What occurs twice is taken by the schema alone; the last one counts there. Judged again without, both agree.
            Ok(value) => {
                assert!(accepts(&value.to_string()), "{}: {value}", request.method);
            }
            Err(complaint) => {
                assert!(complaint.len() < 8 * 1024);
                // A value that is too deep for the schema may lie under a key that the type skips.
                let is_deep = complaint.ends_with("must be valid JSON of reasonable depth");
                assert!(!taken || is_deep, "{}: {raw}: {complaint}", request.method);
            }
        }
    });
}

/// A connection's bytes: the first byte says how they are cut and whether the client is known, the rest arrives.
pub fn websocket(bytes: &[u8]) {
    /// What a client may send before it is known.
    const ALLOWANCE: u64 = 4096;
    /// More would not fit the buffer of a local socket, and nobody reads while we write.
    const MOST: usize = 64 * 1024;
    let Some((how, bytes)) = bytes.split_first() else {
        return;
    };
    let bytes = &bytes[..bytes.len().min(MOST)];
    let is_known = how & 1 == 1;
    let ahead = usize::from(how >> 1).min(bytes.len());
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (mut client, server) = UnixStream::pair().expect("a pair of sockets");
            client
                .write_all(&bytes[ahead..])
                .await
                .expect("room for all of it");
            client.shutdown().await.expect("the other end is there");
            let upgrade = Upgrade {
                stream: Stream::Local(server),
                read_ahead: Bytes::copy_from_slice(&bytes[..ahead]),
            };
            let mut socket = Socket::new(upgrade, MAX_PAYLOAD, ALLOWANCE);
            if is_known {
                socket.lift_allowance(MAX_PAYLOAD);
            }
            let mut received = 0;
            // The end comes, whatever was sent.
            while let Ok(incoming) = poll_fn(|cx| socket.poll_read(cx, false)).await {
                received += match incoming {
                    Incoming::Text(text) => text.len(),
                    Incoming::Binary(bytes) => bytes.len(),
                    Incoming::Control => 0,
                };
            }
            assert!(received <= bytes.len());
            assert!(is_known || received as u64 <= ALLOWANCE + ahead as u64);
        });
    });
}
